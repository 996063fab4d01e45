//! Trust tokens: whether a contact has just given the account one, after a message was refused for
//! want of it.

use std::time::Duration;

use whatsapp_rust::Jid;

use super::link::Link;
use super::outgoing;
use crate::message::ChatId;

/// How long a token may take. A phone sends it right after its first message, so an answer can be
/// quicker than the token.
const ON_ITS_WAY: Duration = Duration::from_secs(2);
/// Interval between lookups of the token.
const LOOK: Duration = Duration::from_millis(100);
/// Greatest age, in seconds, of a token that was not on the message yet.
const NEW: i64 = 10;

impl Link {
    /// Returns whether a contact trusts the account now, after a message was refused a moment ago;
    /// waits for the token if necessary.
    pub async fn is_trusted_now(&self, by: &ChatId) -> bool {
        let refused = self.clock.now().as_second();
        let look = async {
            loop {
                if self
                    .token_from(by)
                    .await
                    .is_some_and(|given| given >= refused - NEW)
                {
                    return;
                }
                self.clock.sleep(LOOK).await;
            }
        };
        self.clock.timeout(ON_ITS_WAY, look).await.is_ok()
    }

    /// Returns when a contact gave the account its token, in seconds since 1970. The engine keeps
    /// it under the LID, where that is known.
    async fn token_from(&self, whom: &ChatId) -> Option<i64> {
        let jid: Jid = outgoing::jid(whom);
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
