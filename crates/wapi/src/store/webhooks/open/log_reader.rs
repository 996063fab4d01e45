//! Events of the log as deliveries read them.

use std::collections::HashSet;
use std::sync::Arc;

use super::accepted;
use crate::model::event::MessageKey;
use crate::store::db::{self, Connection, Row};
use crate::store::events::log::InsertedEvent;
use crate::store::webhooks::endpoints::EventSubscriber;
use crate::store::{Life, StoredEvent};

/// An event, as far as its deliveries need it.
#[derive(Debug, Clone)]
pub(in crate::store) struct LoggedEvent {
    pub seq: i64,
    pub id: String,
    pub session: Life,
    pub chat: String,
    pub message: Option<MessageKey>,
    pub kind: String,
    pub body: Arc<str>,
    /// In milliseconds since 1970.
    pub created_at: i64,
}

impl LoggedEvent {
    pub fn from_inserted(inserted: &InsertedEvent<'_>, now: i64) -> Self {
        let event = inserted.event;
        Self {
            seq: inserted.seq,
            id: event.id.clone(),
            session: event.session.clone(),
            chat: event.chat.clone(),
            message: event.message.clone(),
            kind: event.kind.to_owned(),
            body: event.body.as_str().into(),
            created_at: now,
        }
    }

    /// Returns it as readers of the log see it.
    pub fn to_stored(&self) -> StoredEvent {
        StoredEvent {
            seq: self.seq,
            id: self.id.clone(),
            session: self.session.clone(),
            kind: self.kind.clone(),
            body: Arc::clone(&self.body),
        }
    }

    fn from_row(row: &Row) -> Self {
        Self {
            seq: row.get("seq"),
            id: row.get("id"),
            session: Life::from_parts(row.get("session"), row.get("name")),
            chat: row.get("chat"),
            message: message_key(row),
            kind: row.get("type"),
            body: row.get::<&str, _>("body").into(),
            created_at: row.get("created_at"),
        }
    }
}

/// Returns the message that the event of a row is about.
pub(in crate::store) fn message_key(row: &Row) -> Option<MessageKey> {
    let text = |column| row.get::<Option<String>, _>(column);
    Some(MessageKey {
        chat: text("message_chat")?,
        sender: text("sender")?,
        id: text("message_id")?,
    })
}

/// Returns the events behind a position, in their order.
pub(in crate::store) async fn load_events_after(
    connection: &mut Connection,
    seq: i64,
) -> Result<Vec<LoggedEvent>, db::Error> {
    let sql = "SELECT seq, id, session, name, chat, message_chat, sender, message_id, type, body, created_at \
               FROM events WHERE seq > $1 AND body <> '' ORDER BY seq";
    let rows = db::query(sql).bind(seq).fetch_all(connection).await?;
    Ok(rows.iter().map(LoggedEvent::from_row).collect())
}

/// The deliveries of events behind a position that are made already: event and endpoint of each.
pub(in crate::store) async fn load_made(
    connection: &mut Connection,
    (seq, first_delivery): (i64, i64),
    endpoints: &[EventSubscriber],
) -> Result<HashSet<(i64, String)>, db::Error> {
    let sql = "SELECT event, endpoint FROM deliveries WHERE event > $1";
    let rows: Vec<(i64, String)> = db::query_as(sql)
        .bind(seq)
        .fetch_all(&mut *connection)
        .await?;
    let mut made = HashSet::from_iter(rows);
    for endpoint in endpoints {
        let (id, range) = (&endpoint.id, (first_delivery, i64::MAX));
        let accepted = accepted::load_accepted(connection, id, range).await?;
        made.extend(accepted.into_iter().map(|it| (it.seq, it.endpoint)));
    }
    Ok(made)
}
