//! Lookup of messages that others quote, forward, or are about: as they read now.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::lookup::{SentChanges, query_sent_changes};
use crate::model::event::{DeletionChange, DeletionRight, MessageChange};
use crate::model::message::Message;
use crate::store::db::{self, Pool, Row};
use crate::store::{Life, OutboxStore, StoreError};

/// A message that another one quotes or is about.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotedMessage {
    /// The author's address; `None`: the session itself.
    pub author: Option<String>,
    /// With the last edit of its author.
    pub message: Option<Message>,
    /// It was deleted for everyone.
    pub is_deleted: bool,
}

impl OutboxStore<'_> {
    /// Returns a message of a chat, sent or received, if it is known; the chat is given by all its
    /// addresses. A sent message that never left, because it failed or was cancelled, does not
    /// count.
    pub async fn find_quoted(
        self,
        session: &Life,
        chats: &[String],
        id: &str,
    ) -> Result<Option<QuotedMessage>, StoreError> {
        let pool = &self.store.readers;
        let sql = "SELECT chat, content, status IN ('failed', 'cancelled') AS is_nobodys FROM messages \
                   WHERE session = $1 AND id = $2";
        if let Some(own) = db::query(sql)
            .bind(session)
            .bind(id)
            .fetch_optional(pool)
            .await?
        {
            let is_there = !own.get::<bool, _>("is_nobodys")
                && chats.iter().any(|chat| chat == own.get::<&str, _>("chat"));
            if !is_there {
                return Ok(None);
            }
            let mut changes = query_changes(pool, session, chats, id, None).await?;
            changes.add_sent(query_sent_changes(pool, session, id).await?);
            let message = serde_json::from_str(own.get("content")).ok();
            return Ok(Some(changes.apply(None, message)));
        }
        let sql = "SELECT sender, type, body FROM events \
                   WHERE session = $1 AND message_chat = $2 AND message_id = $3 \
                     AND type IN ('message.received', 'message.echo', 'status.received')";
        for chat in chats {
            let query = db::query(sql).bind(session).bind(chat).bind(id);
            let Some(row) = query.fetch_optional(pool).await? else {
                continue;
            };
            let message = parse_data(&row);
            // The account wrote an echo on another device.
            let author: Option<String> =
                Some(row.get("sender")).filter(|_| row.get::<&str, _>("type") != "message.echo");
            let mut changes = query_changes(pool, session, chats, id, author.as_deref()).await?;
            if author.is_none() {
                changes.add_sent(query_sent_changes(pool, session, id).await?);
            }
            return Ok(Some(changes.apply(author, message)));
        }
        Ok(None)
    }
}

/// The changes of a message.
#[derive(Default)]
struct Changes {
    /// The last edit from WhatsApp, and its time.
    received: Option<(Timestamp, Message)>,
    sent: Option<SentChanges>,
    is_deleted: bool,
}

impl Changes {
    fn add_received(&mut self, edit: MessageChange<Message>) {
        let at = edit.origin.timestamp;
        if self.received.as_ref().is_none_or(|(last, _)| *last <= at) {
            self.received = Some((at, edit.change));
        }
    }

    fn add_sent(&mut self, sent: SentChanges) {
        self.is_deleted |= sent.deleted_at.is_some();
        self.sent = Some(sent);
    }

    fn apply(self, author: Option<String>, message: Option<Message>) -> QuotedMessage {
        let sent = self.sent.and_then(|sent| sent.edit);
        let message = message.map(|mut message| match (self.received, sent) {
            (Some((at, edit)), sent) if sent.as_ref().is_none_or(|(sent, _)| *sent < at) => {
                message.with_edit(&edit)
            }
            (_, Some((_, edit))) => {
                message.content.apply_edit(&edit);
                message
            }
            (_, None) => message,
        });
        QuotedMessage {
            author,
            message,
            is_deleted: self.is_deleted,
        }
    }
}

/// The condition of the index, literally. Events that were cleaned up have no body.
const CHANGES: &str = "SELECT sender, type, body FROM events WHERE session = $1 AND message_chat = $2 \
    AND type IN ('message.edited', 'message.deleted') \
    AND CASE WHEN body <> '' THEN json_extract(body, '$.data.message_id') END = $3 ORDER BY seq";

/// Returns the changes that came from WhatsApp, by the author of the message or, for deletions, an
/// admin.
async fn query_changes(
    pool: &Pool,
    session: &Life,
    chats: &[String],
    id: &str,
    author: Option<&str>,
) -> Result<Changes, db::Error> {
    let mut changes = Changes::default();
    for chat in chats {
        let is_group = chat.ends_with("@g.us");
        let query = db::query(CHANGES).bind(session).bind(chat).bind(id);
        for row in query.fetch_all(pool).await? {
            let sender: &str = row.get("sender");
            let is_authors = |from_me: bool| match author {
                None => from_me,
                Some(author) => !from_me && (!is_group || author == sender),
            };
            if row.get::<&str, _>("type") == "message.edited" {
                let edit: Option<MessageChange<Message>> = parse_data(&row);
                let edit = edit.filter(|edit| is_authors(edit.origin.from_me));
                edit.into_iter().for_each(|edit| changes.add_received(edit));
            } else {
                let deletion: Option<MessageChange<DeletionChange>> = parse_data(&row);
                changes.is_deleted |= deletion.is_some_and(|deletion| {
                    is_authors(deletion.origin.from_me)
                        || (is_group && deletion.change.by == DeletionRight::Admin)
                });
            }
        }
    }
    Ok(changes)
}

/// The part of an event's envelope needed here.
#[derive(Deserialize)]
struct EventEnvelope<T> {
    data: T,
}

/// Parses the data of an event; `None` if it was cleaned up, or a newer version wrote it.
fn parse_data<T: DeserializeOwned>(row: &Row) -> Option<T> {
    let body: Option<EventEnvelope<T>> = serde_json::from_str(row.get("body")).ok();
    body.map(|body| body.data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::new_store;

    /// Each answer that quotes a message asks for them, also in a chat of many messages.
    #[tokio::test]
    async fn the_changes_of_a_chat_are_found_by_an_index() {
        let (store, _folder) = new_store().await;
        let plan = format!("EXPLAIN QUERY PLAN {CHANGES}");
        let query = db::query(plan);
        let query = query.bind(1_i64).bind("chat").bind("id");
        let rows = query.fetch_all(&store.readers).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        let index = "USING INDEX events_changes (session=? AND message_chat=?)";
        assert!(steps.len() == 1 && steps[0].ends_with(index), "{steps:#?}");
    }
}
