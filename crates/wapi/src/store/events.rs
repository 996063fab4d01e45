//! What happened, in the order it was written.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::sqlite::{Sqlite, SqliteConnection};
use sqlx::{QueryBuilder, Row};

/// Rows in one statement: SQLite takes 32,766 parameters.
pub(super) const ROWS: usize = 500;

/// An event to be saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Travels as the header `webhook-id`.
    pub id: String,
    pub session: String,
    pub chat: String,
    /// WhatsApp's sender and message id, for what is about a message: with session, chat and type they say whether it is new.
    pub message: Option<(String, String)>,
    /// As in the envelope, e.g. `message.received`.
    pub kind: String,
    /// The whole envelope as JSON.
    pub body: String,
}

/// An event that was new.
pub(super) struct Inserted<'a> {
    pub seq: i64,
    pub event: &'a NewEvent,
}

/// Saves those that are new, and returns them in the order they were given.
pub(super) async fn insert<'a>(
    connection: &mut SqliteConnection,
    events: &[&'a NewEvent],
    now: Timestamp,
) -> Result<Vec<Inserted<'a>>, sqlx::Error> {
    let mut inserted = Vec::with_capacity(events.len());
    for events in events.chunks(ROWS) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO events (id, session, chat, sender, message_id, type, body, created_at) ",
        );
        sql.push_values(events, |mut row, event| {
            let (sender, message_id) = event.message.as_ref().map(|(sender, id)| (sender, id)).unzip();
            row.push_bind(&event.id).push_bind(&event.session).push_bind(&event.chat);
            row.push_bind(sender).push_bind(message_id).push_bind(&event.kind).push_bind(&event.body);
            row.push_bind(now.as_millisecond());
        });
        sql.push(" ON CONFLICT DO NOTHING RETURNING seq, id");
        let rows = sql.build().fetch_all(&mut *connection).await?;
        let by_id: HashMap<&str, &'a NewEvent> = events.iter().map(|event| (event.id.as_str(), *event)).collect();
        for row in &rows {
            if let Some(event) = by_id.get(row.get::<&str, _>("id")) {
                inserted.push(Inserted { seq: row.get("seq"), event });
            }
        }
    }
    inserted.sort_by_key(|inserted| inserted.seq);
    Ok(inserted)
}
