//! Requests to WhatsApp about other people's statuses.

use crate::model::message::STATUS;
use crate::model::session_name::SessionName;
use crate::sessions::{RequestError, Sessions};
use crate::store::UnreadMessage;

impl Sessions {
    /// Sends a read receipt for a status to its author.
    pub async fn view_status(
        &self,
        name: &SessionName,
        id: &str,
        author: &str,
    ) -> Result<(), RequestError> {
        let seen = UnreadMessage {
            seq: 0,
            chat: STATUS.to_owned(),
            sender: author.to_owned(),
            id: id.to_owned(),
        };
        self.run_request(name, async |link, limit| {
            link.mark_read(std::slice::from_ref(&seen), limit).await
        })
        .await
    }
}
