//! Lookup of a sent message, with its outcome and receipts.

use jiff::Timestamp;
use serde::Deserialize;

use super::messages::MessageSeq;
use crate::model::message::{EditContent, Message, MessageContent};
use crate::model::send_failure::SendFailure;
use crate::store::db::{self, Pool, Row};
use crate::store::to_timestamp;
use crate::store::{Life, OutboxStore, StoreError};

/// An accepted message, and its progress so far.
#[derive(Debug, Clone, PartialEq)]
pub struct SentMessage {
    pub seq: MessageSeq,
    pub id: String,
    pub chat: String,
    pub message: Message,
    /// `queued`, `unknown`, `sent`, `failed`, or `cancelled`.
    pub status: String,
    pub failure: Option<SendFailure>,
    pub accepted_at: Timestamp,
    pub send_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    /// The time since which it may have left.
    pub attempted_at: Option<Timestamp>,
    /// The time at which WhatsApp accepted it.
    pub sent_at: Option<Timestamp>,
    /// The time since which no more is done about it.
    pub settled_at: Option<Timestamp>,
    /// The times at which it was edited and deleted.
    pub edited_at: Option<Timestamp>,
    pub deleted_at: Option<Timestamp>,
    pub recipients: Vec<RecipientProgress>,
}

/// Progress of the message at one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientProgress {
    pub recipient: String,
    pub delivered_at: Option<Timestamp>,
    pub read_at: Option<Timestamp>,
    pub played_at: Option<Timestamp>,
}

impl OutboxStore<'_> {
    /// Returns the number of a session's accepted messages without a final outcome.
    pub async fn count_open_messages(self, life: &Life) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM messages WHERE session = $1 AND settled_at IS NULL";
        let count = db::query_scalar(sql)
            .bind(life.id())
            .fetch_one(&self.store.readers)
            .await?;
        Ok(count)
    }

    /// Returns the message with this id, if it was sent through this gateway.
    pub async fn find_sent_message(
        self,
        session: &Life,
        id: &str,
    ) -> Result<Option<SentMessage>, StoreError> {
        Ok(query_sent_message(&self.store.readers, session, id).await?)
    }
}

async fn query_sent_message(
    pool: &Pool,
    session: &Life,
    id: &str,
) -> Result<Option<SentMessage>, db::Error> {
    // The receipts first: a message is saved as sent before or with them. The other way round, what
    // is saved in between would be a message that was read and never sent.
    let sql = "SELECT recipient, delivered_at, read_at, played_at FROM receipts \
               WHERE message = (SELECT place FROM messages WHERE session = $1 AND id = $2) ORDER BY recipient";
    let receipts = db::query(sql)
        .bind(session)
        .bind(id)
        .fetch_all(pool)
        .await?;
    let sql = "SELECT place, id, chat, content, status, error_code, error, accepted_at, send_at, expires_at, \
                      attempted_at, sent_at, settled_at, edited_at \
               FROM messages WHERE session = $1 AND id = $2";
    let Some(row) = db::query(sql)
        .bind(session)
        .bind(id)
        .fetch_optional(pool)
        .await?
    else {
        return Ok(None);
    };
    let recipients = receipts.iter().map(recipient_from_row).collect();
    let mut message = SentMessage {
        recipients,
        ..message_from_row(&row)
    };
    let SentChanges { edit, deleted_at } = query_sent_changes(pool, session, id).await?;
    message.deleted_at = deleted_at;
    if let Some((edited_at, edit)) = edit {
        message.edited_at = Some(edited_at);
        message.message.content.apply_edit(&edit);
    }
    Ok(Some(message))
}

/// Changes of a message of ours that were sent through the gateway.
pub(super) struct SentChanges {
    /// The last edit, and the time at which it was accepted.
    pub edit: Option<(Timestamp, EditContent)>,
    pub deleted_at: Option<Timestamp>,
}

/// Returns the changes that did not fail.
pub(super) async fn query_sent_changes(
    pool: &Pool,
    session: &Life,
    id: &str,
) -> Result<SentChanges, db::Error> {
    // The condition and the expression of the index, literally.
    let sql = "SELECT type, content, max(accepted_at) AS changed_at FROM messages \
               WHERE session = $1 AND coalesce(json_extract(content, '$.edit.message_id'), \
                                               json_extract(content, '$.deletion.message_id')) = $2 \
                 AND type IN ('edit', 'deletion') AND status NOT IN ('failed', 'cancelled') GROUP BY type";
    let rows = db::query(sql)
        .bind(session)
        .bind(id)
        .fetch_all(pool)
        .await?;
    let mut changes = SentChanges {
        edit: None,
        deleted_at: None,
    };
    for row in rows {
        let changed_at = to_timestamp(row.get("changed_at"));
        // SQLite takes the columns beside a maximum from the row that has it.
        match serde_json::from_str(row.get("content")) {
            Ok(Message {
                content: MessageContent::Edit { edit },
                ..
            }) => changes.edit = Some((changed_at, edit)),
            Ok(_) => changes.deleted_at = Some(changed_at),
            Err(_) => {}
        }
    }
    Ok(changes)
}

/// Content of a message that a newer version wrote.
const UNREADABLE: MessageContent = MessageContent::Unsupported {
    raw: serde_json::Value::Null,
};

fn message_from_row(row: &Row) -> SentMessage {
    let failure = |code: &str| {
        let detail = row.get::<Option<String>, _>("error");
        SendFailure::from_stored(code, detail.unwrap_or_default())
    };
    SentMessage {
        seq: MessageSeq(row.get("place")),
        id: row.get("id"),
        chat: row.get("chat"),
        message: serde_json::from_str(row.get("content"))
            .unwrap_or_else(|_| Message::new(UNREADABLE)),
        status: row.get("status"),
        failure: row.get::<Option<&str>, _>("error_code").map(failure),
        accepted_at: to_timestamp(row.get("accepted_at")),
        send_at: optional_time(row, "send_at"),
        expires_at: optional_time(row, "expires_at"),
        attempted_at: optional_time(row, "attempted_at"),
        sent_at: optional_time(row, "sent_at"),
        settled_at: optional_time(row, "settled_at"),
        edited_at: optional_time(row, "edited_at"),
        deleted_at: None,
        recipients: Vec::new(),
    }
}

fn recipient_from_row(row: &Row) -> RecipientProgress {
    RecipientProgress {
        recipient: row.get("recipient"),
        delivered_at: optional_time(row, "delivered_at"),
        read_at: optional_time(row, "read_at"),
        played_at: optional_time(row, "played_at"),
    }
}

fn optional_time(row: &Row, column: &str) -> Option<Timestamp> {
    row.get::<Option<i64>, _>(column).map(to_timestamp)
}

impl OutboxStore<'_> {
    /// Returns the author's address and the time of a received message of a chat, given by all its
    /// addresses.
    pub async fn find_received(
        self,
        session: &Life,
        chats: &[String],
        id: &str,
    ) -> Result<Option<(String, Timestamp)>, StoreError> {
        let sql = "SELECT sender, body FROM events \
                   WHERE session = $1 AND message_chat = $2 AND message_id = $3 AND type = 'message.received'";
        for chat in chats {
            let query = db::query(sql).bind(session).bind(chat).bind(id);
            let Some(row) = query.fetch_optional(&self.store.readers).await? else {
                continue;
            };
            let body: Option<TimedEnvelope> = serde_json::from_str(row.get("body")).ok();
            return Ok(body.map(|body| (row.get("sender"), body.data.timestamp)));
        }
        Ok(None)
    }

    /// Returns the known authors of the messages with this id in a chat, given by all its
    /// addresses: their addresses; `None`: the session itself.
    pub async fn find_authors(
        self,
        session: &Life,
        chats: &[String],
        id: &str,
    ) -> Result<Vec<Option<String>>, StoreError> {
        let sql = "SELECT 1 FROM messages WHERE session = $1 AND id = $2";
        let own: Option<i64> = db::query_scalar(sql)
            .bind(session)
            .bind(id)
            .fetch_optional(&self.store.readers)
            .await?;
        let mut authors: Vec<Option<String>> = own.map(|_| None).into_iter().collect();
        let sql = "SELECT sender FROM events WHERE session = $1 AND message_chat = $2 AND message_id = $3 \
                     AND type IN ('message.received', 'message.echo', 'status.received', 'message.undecryptable')";
        for chat in chats {
            let query = db::query_scalar(sql).bind(session).bind(chat).bind(id);
            authors.extend(
                query
                    .fetch_all(&self.store.readers)
                    .await?
                    .into_iter()
                    .map(Some),
            );
        }
        Ok(authors)
    }
}

/// The time in the JSON of a received message.
#[derive(Deserialize)]
struct TimedEnvelope {
    data: TimedData,
}

#[derive(Deserialize)]
struct TimedData {
    timestamp: Timestamp,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::future::join;

    use super::*;
    use crate::model::event::Person;
    use crate::model::message::ChatId;
    use crate::store::tests::new_store;
    use crate::store::{
        AcceptOutcome, MessageOutcome, OutcomeBatch, Receipt, ReceiptKind, SendIntent, SendOutcome,
        SendRequest,
    };

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_message_is_shown_as_read_before_it_is_shown_as_sent() {
        let (store, _folder) = new_store().await;
        let session = Life::for_test(1, "shop");
        let at = Timestamp::UNIX_EPOCH;
        for _ in 0..100 {
            let request = SendRequest {
                session: session.clone(),
                to: ChatId::Phone("375440000001".to_owned()),
                message: Message::from_text("hi".to_owned()),
                send_at: None,
                expires_at: None,
                key: None,
            };
            let accepted = store
                .outbox()
                .accept_message(Arc::new(request), SendIntent::Recorded);
            let AcceptOutcome::New(message) = accepted.await.unwrap() else {
                panic!("it is new")
            };
            let id = message.id.clone();
            let receipt = Receipt {
                session: session.clone(),
                id: id.clone(),
                from: Person::default(),
                is_one_of_many: false,
                kind: ReceiptKind::Read,
                at,
            };
            let outcome = MessageOutcome {
                message,
                outcome: SendOutcome::Sent { at },
                voter: None,
            };
            let outcomes = OutcomeBatch {
                outcomes: vec![outcome],
                receipts: vec![receipt],
            };
            let look = async {
                loop {
                    let found = store.outbox().find_sent_message(&session, &id).await;
                    let found = found.unwrap().unwrap();
                    let is_read = !found.recipients.is_empty();
                    assert!(!is_read || found.sent_at.is_some(), "{found:?}");
                    if is_read {
                        break;
                    }
                }
            };
            let (written, ()) = join(store.outbox().record_outcomes(outcomes), look).await;
            written.unwrap();
        }
    }
}
