//! The messages of a session that left lately, to be counted.

use jiff::Timestamp;

use super::messages::MessageSeq;
use super::outcomes::CANCELLED;
use crate::model::message::ChatId;
use crate::model::send_failure::SendFailure;
use crate::store::db::{QueryBuilder, Row};
use crate::store::{Life, OutboxStore, StoreError, to_timestamp};

/// A message that may have left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    pub seq: MessageSeq,
    /// WhatsApp's id.
    pub id: String,
    pub at: Timestamp,
    /// The person, if this message counts as a new contact of the day.
    pub new_chat: Option<ChatId>,
}

impl OutboxStore<'_> {
    /// Returns the messages that may have left since `since`, oldest first. If new chats are to be
    /// counted, one that left while nobody looked counts as new where no message from the person
    /// precedes it.
    pub async fn departures_since(
        self,
        session: &Life,
        since: Timestamp,
        counts_new_chats: bool,
    ) -> Result<Vec<Departure>, StoreError> {
        let mut sql = departures_query(session, since, counts_new_chats);
        let rows = sql.build().fetch_all(&self.store.readers).await?;
        let departure = |row: &Row| {
            let person = || {
                let chat = ChatId::parse(row.get("chat")).ok();
                chat.filter(ChatId::is_person)
            };
            Departure {
                seq: MessageSeq(row.get("place")),
                id: row.get("id"),
                at: to_timestamp(row.get("attempted_at")),
                new_chat: row.get::<bool, _>("is_new").then(person).flatten(),
            }
        };
        Ok(rows.iter().map(departure).collect())
    }
}

/// The first comparison is what the index `messages_attempted` is made for.
fn departures_query(session: &Life, since: Timestamp, counts_new_chats: bool) -> QueryBuilder<'_> {
    let is_new = match counts_new_chats {
        true => {
            // Messages may have come under the person's other address.
            "COALESCE(m.new_chat, NOT EXISTS (SELECT 1 FROM events e WHERE e.session = m.session \
               AND e.message_chat IN (SELECT m.chat UNION ALL SELECT a.address FROM identities i \
                 JOIN identities a ON a.session = i.session AND a.id = i.id \
                 WHERE i.session = m.session AND i.address = m.chat) \
               AND e.message_id IS NOT NULL AND e.type = 'message.received' \
               AND e.created_at < m.attempted_at))"
        }
        false => "COALESCE(m.new_chat, 0)",
    };
    let mut sql = QueryBuilder::new("SELECT m.place, m.id, m.chat, m.attempted_at, ");
    sql.push(is_new)
        .push(" AS is_new FROM messages m WHERE m.session = ")
        .push_bind(session.clone());
    sql.push(" AND m.attempted_at > ")
        .push_bind(since.as_millisecond());
    sql.push(" AND m.status <> ").push_bind(CANCELLED);
    sql.push(" AND NOT (m.status = 'failed' AND m.error_code IN (");
    let mut codes = sql.separated(", ");
    for code in SendFailure::UNSENT_CODES {
        codes.push_bind(code);
    }
    sql.push(")) ORDER BY m.attempted_at, m.place");
    sql
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::db;
    use crate::store::tests::new_store;

    /// A number grows with a table, and this one is asked for while messages wait.
    #[tokio::test]
    async fn the_messages_of_a_day_are_found_by_an_index() {
        let (store, _folder) = new_store().await;
        let session = Life::for_test(1, "shop");
        for counts_new_chats in [false, true] {
            let sql = departures_query(&session, Timestamp::UNIX_EPOCH, counts_new_chats);
            let plan = format!("EXPLAIN QUERY PLAN {}", sql.sql());
            let mut query = db::query(plan).bind(&session).bind(0_i64);
            for text in [CANCELLED].iter().chain(&SendFailure::UNSENT_CODES) {
                query = query.bind(*text);
            }
            let rows = query.fetch_all(&store.readers).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            let index = "USING INDEX messages_attempted (session=? AND attempted_at>?)";
            assert!(steps[0].ends_with(index), "{steps:#?}");
            let is_whole = |step: &String| step.starts_with("SCAN") && step != "SCAN CONSTANT ROW";
            assert!(!steps.iter().any(is_whole), "{steps:#?}");
        }
    }
}
