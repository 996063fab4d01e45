//! Requests to WhatsApp about other people's statuses.

use super::{AskError, SessionName, Sessions};
use crate::message::STATUS;
use crate::store::Unread;

impl Sessions {
    /// Sends a read receipt for a status to its author.
    pub async fn view(&self, name: &SessionName, id: &str, author: &str) -> Result<(), AskError> {
        let seen = Unread {
            seq: 0,
            chat: STATUS.to_owned(),
            sender: author.to_owned(),
            id: id.to_owned(),
        };
        self.ask_whatsapp(name, async |link, limit| {
            link.mark_read(std::slice::from_ref(&seen), limit).await
        })
        .await
    }
}
