//! The limits that WhatsApp sets the account.

use futures_util::future::try_join;

use crate::model::event::AccountLimits;
use crate::model::session_name::SessionName;
use crate::sessions::{SessionError, Sessions};
use crate::whatsapp::LimitsUpdate;

impl Sessions {
    /// Asks WhatsApp for the limits of the account. The queue learns them, too.
    pub async fn fetch_limits(&self, name: &SessionName) -> Result<AccountLimits, SessionError> {
        let online = self.online(name)?;
        let both = try_join(online.fetch_timelock(), online.fetch_new_chat_quota());
        let (timelock, new_chats) = both.await?;
        online.session.update_limits(LimitsUpdate {
            timelock: Some(timelock.clone()),
            new_chats: Some(new_chats.clone()),
        });
        Ok(AccountLimits {
            is_unknown: false,
            timelock,
            new_chats,
        })
    }
}
