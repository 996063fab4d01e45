//! Trust tokens: whether a contact has just given the account one, after a message was refused for
//! want of it.

use std::time::Duration;

use whatsapp_rust::Jid;

use super::encode;
use crate::model::message::ChatId;
use crate::whatsapp::connection::link::Link;

/// How long a token may take. A phone sends it right after its first message, so an answer can be
/// quicker than the token.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(2);
/// Interval between lookups of the token.
const LOOKUP_INTERVAL: Duration = Duration::from_millis(100);
/// Greatest age, in seconds, of a token that was not on the message yet.
const MAX_TOKEN_AGE: i64 = 10;

impl Link {
    /// Returns whether a contact trusts the account now, after a message was refused a moment ago;
    /// waits for the token if necessary.
    pub async fn wait_for_trust(&self, by: &ChatId) -> bool {
        let refused = self.clock.now().as_second();
        let look = async {
            loop {
                if self
                    .find_token_time(by)
                    .await
                    .is_some_and(|given| given >= refused - MAX_TOKEN_AGE)
                {
                    return;
                }
                self.clock.sleep(LOOKUP_INTERVAL).await;
            }
        };
        self.clock.timeout(TOKEN_TIMEOUT, look).await.is_ok()
    }

    /// Whether a contact has given the account a token, or is the account itself.
    pub async fn is_trusted_by(&self, chat: &ChatId) -> bool {
        let jid = encode::chat_jid(chat);
        self.is_own_number(&jid)
            || self
                .client
                .lid()
                .is_some_and(|own| own.user_base() == jid.user_base())
            || self.find_token_time(chat).await.is_some()
    }

    /// Returns when a contact gave the account its token, in seconds since 1970. The engine keeps
    /// it under the LID, where that is known.
    async fn find_token_time(&self, chat: &ChatId) -> Option<i64> {
        let jid: Jid = encode::chat_jid(chat);
        let lid = self
            .client
            .get_lid_pn_entry(&jid)
            .await
            .ok()
            .flatten()
            .map(|known| known.lid.to_string());
        let token = self
            .client
            .tc_token()
            .get(lid.as_deref().unwrap_or(&jid.user))
            .await
            .ok()??;
        (!token.token.is_empty()).then_some(token.token_timestamp)
    }
}
