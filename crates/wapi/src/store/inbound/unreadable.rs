//! Messages that could not be read, as their events have them.

use jiff::Timestamp;
use serde::Deserialize;

use crate::model::event::{MessageKey, UnreadableMessage, UnreadableReason};
use crate::store::db;
use crate::store::{InboundStore, Life, StoreError};

/// A message that could not be read when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndecryptedMessage {
    /// The addresses as WhatsApp writes them, without devices.
    pub key: MessageKey,
    pub device: u16,
    pub from_me: bool,
    pub sent_at: Timestamp,
    pub reason: UnreadableReason,
    /// It has come since, and was read.
    pub was_read: bool,
}

/// The part of an event's envelope needed here.
#[derive(Deserialize)]
struct UnreadableEnvelope {
    data: UnreadableMessage,
}

impl InboundStore<'_> {
    /// Finds a message of a chat, given by all its addresses, that could not be read. Returns the
    /// one that came last if there are several with this id.
    pub async fn find_unreadable(
        self,
        session: &Life,
        chats: &[String],
        id: &str,
    ) -> Result<Option<UndecryptedMessage>, StoreError> {
        let sql = "SELECT sender, body, EXISTS (SELECT 1 FROM events AS read WHERE read.session = events.session \
                   AND read.message_chat = events.message_chat AND read.message_id = events.message_id \
                   AND read.sender = events.sender AND read.type != 'message.undecryptable') AS was_read \
                   FROM events WHERE session = $1 AND message_chat = $2 AND message_id = $3 \
                   AND type = 'message.undecryptable' ORDER BY seq DESC";
        for chat in chats {
            let query = db::query(sql).bind(session).bind(chat).bind(id);
            let Some(row) = query.fetch_optional(&self.store.readers).await? else {
                continue;
            };
            let Ok(UnreadableEnvelope { data }) = serde_json::from_str(row.get("body")) else {
                continue;
            };
            let key = MessageKey {
                chat: chat.clone(),
                sender: row.get("sender"),
                id: id.to_owned(),
            };
            return Ok(Some(UndecryptedMessage {
                key,
                device: data.device,
                from_me: data.origin.from_me,
                sent_at: data.origin.timestamp,
                reason: data.reason,
                was_read: row.get("was_read"),
            }));
        }
        Ok(None)
    }
}
