//! Received messages that are not marked read, and the read position of each chat.

use jiff::Timestamp;

use crate::store::db::{self, Connection};
use crate::store::writer::StoreChange;
use crate::store::{InboundStore, Life, StoreError};

/// Most messages marked read at a time; of more, the newest.
const MOST: u32 = 10_000;

/// A received message, by WhatsApp's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadMessage {
    pub seq: i64,
    pub chat: String,
    pub sender: String,
    pub id: String,
}

db::from_row!(UnreadMessage { seq, chat = "message_chat", sender, id = "message_id" });

impl InboundStore<'_> {
    /// Returns the unread messages of a chat, the newest first, up to one of them or all; `None`
    /// when that message does not exist. `chat` is every address the chat has on the wire.
    pub async fn find_unread(
        self,
        session: &Life,
        chat: &[String; 2],
        up_to: Option<&str>,
    ) -> Result<Option<Vec<UnreadMessage>>, StoreError> {
        let [one, other] = chat;
        let mut question = self.store.api_readers.acquire().await?;
        let newest = match up_to {
            None => i64::MAX,
            Some(id) => {
                let sql = "SELECT seq FROM events WHERE session = $1 AND message_chat IN ($2, $3) AND message_id = $4 \
                           AND type = 'message.received'";
                let query = db::query_scalar(sql)
                    .bind(session)
                    .bind(one)
                    .bind(other)
                    .bind(id);
                let Some(seq) = query.fetch_optional(&mut *question).await? else {
                    return Ok(None);
                };
                seq
            }
        };
        // Written so that SQLite uses the index of messages, chat by chat, and does not scan all
        // later events.
        let sql = "SELECT seq, message_chat, sender, message_id FROM events \
                   WHERE session = $1 AND message_chat IN ($2, $3) AND message_id IS NOT NULL \
                   AND type = 'message.received' AND seq <= $4 AND seq > \
                   (SELECT COALESCE(max(seq), 0) FROM reads WHERE session = $1 AND chat IN ($2, $3)) \
                   ORDER BY +seq DESC LIMIT $5";
        let query = db::query_as(sql)
            .bind(session)
            .bind(one)
            .bind(other)
            .bind(newest)
            .bind(MOST);
        Ok(Some(query.fetch_all(&mut *question).await?))
    }

    /// Records that a chat was marked read up to the message with this sequence number.
    pub async fn mark_read(self, session: &Life, chat: &str, seq: i64) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(MarkRead {
                session: session.clone(),
                chat: chat.to_owned(),
                seq,
            })
            .await
    }
}

struct MarkRead {
    session: Life,
    chat: String,
    seq: i64,
}

impl StoreChange for MarkRead {
    type Answer = ();

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _now: Timestamp) -> Result<(), db::Error> {
        let sql = "INSERT INTO reads (session, chat, seq) VALUES ($1, $2, $3) \
                   ON CONFLICT (session, chat) DO UPDATE SET seq = max(reads.seq, excluded.seq)";
        db::query(sql)
            .bind(&self.session)
            .bind(&self.chat)
            .bind(self.seq)
            .execute(connection)
            .await?;
        Ok(())
    }
}
