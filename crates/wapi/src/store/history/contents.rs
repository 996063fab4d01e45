//! Contents of messages: in their rows, or in the events that brought them.

use super::batch::{message_to_json, rows_to_json};
use crate::model::event::ReceivedMessage;
use crate::model::message::{Message, MessageContent};
use crate::store::db::{self, Connection, Row};

/// The columns of a content, of the table `history_messages` as `m`: that of the row, and otherwise
/// the envelope of the event.
pub(super) const COLUMNS: &str = "m.content, CASE WHEN m.content IS NULL THEN \
    (SELECT e.body FROM events e WHERE e.seq = m.place) END AS body";

/// The content of a row that has [`COLUMNS`].
pub(super) struct StoredContent<'a> {
    content: Option<&'a str>,
    body: Option<&'a str>,
}

/// The part of an event's envelope that is a message.
#[derive(serde::Deserialize)]
struct MessageEnvelope {
    data: ReceivedMessage,
}

impl<'a> StoredContent<'a> {
    pub fn from_row(row: &'a Row) -> Self {
        Self {
            content: row.get("content"),
            body: row.get("body"),
        }
    }

    /// Returns the size in bytes.
    pub fn len(&self) -> usize {
        self.content.or(self.body).map_or(0, str::len)
    }

    /// Returns the message; `None` once it was deleted.
    pub fn message(&self) -> Option<Message> {
        match self.content {
            Some("") => None,
            Some(content) => Some(serde_json::from_str(content).unwrap_or_else(|_| unreadable())),
            None => Some(
                self.body
                    .and_then(message_of_event)
                    .unwrap_or_else(unreadable),
            ),
        }
    }
}

fn message_of_event(body: &str) -> Option<Message> {
    let envelope: MessageEnvelope = serde_json::from_str(body).ok()?;
    Some(envelope.data.message)
}

/// Returns the content to keep of an event. One that a newer version wrote is for that to read.
fn content_of_event(body: &str) -> String {
    if let Some(message) = message_of_event(body) {
        return message_to_json(&message);
    }
    let envelope: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    envelope["data"].to_string()
}

/// A newer version may have written content that this one does not know.
fn unreadable() -> Message {
    Message::new(MessageContent::Unsupported {
        raw: serde_json::Value::Null,
    })
}

/// Returns the contents of messages that are not deleted, by row id.
pub(super) async fn read_contents(
    connection: &mut Connection,
    row_ids: &[i64],
) -> Result<Vec<(i64, Message)>, db::Error> {
    if row_ids.is_empty() {
        return Ok(Vec::new());
    }
    // The text is a constant.
    let sql = format!(
        "SELECT m.place, {COLUMNS} FROM history_messages m WHERE m.place IN (SELECT value FROM json_each($1))"
    );
    let query = db::query(sql).bind(rows_to_json(row_ids));
    let rows = query.fetch_all(connection).await?;
    let contents = rows
        .iter()
        .filter_map(|row| Some((row.get("place"), StoredContent::from_row(row).message()?)));
    Ok(contents.collect())
}

/// Copies the contents of messages from these events into their rows, before retention removes the
/// events.
pub(in crate::store) async fn keep_contents(
    connection: &mut Connection,
    events: &[i64],
) -> Result<(), db::Error> {
    let sql = "SELECT m.place, e.body FROM json_each($1) gone \
               CROSS JOIN history_messages m ON m.place = gone.value \
               CROSS JOIN events e ON e.seq = m.place WHERE m.content IS NULL AND e.body <> ''";
    let query = db::query(sql).bind(rows_to_json(events));
    let rows = query.fetch_all(&mut *connection).await?;
    let content = |row: &Row| {
        (
            row.get::<i64, _>("place"),
            content_of_event(row.get("body")),
        )
    };
    let contents: Vec<_> = rows.iter().map(content).collect();
    if contents.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE history_messages SET content = v.value ->> 1 FROM json_each($1) v WHERE place = v.value ->> 0";
    let query = db::query(sql).bind(rows_to_json(contents));
    query.execute(connection).await.map(drop)
}
