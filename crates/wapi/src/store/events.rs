//! What happened, in the order it was written.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::sqlite::{Sqlite, SqliteConnection};
use sqlx::{QueryBuilder, Row};

use super::endpoints::Subscriber;
use super::fresh::News;
use super::{Life, Store, StoreError, deliveries, endpoints};
use crate::event::{Event, MessageKey};

/// Rows in one statement: SQLite takes 32,766 parameters.
pub(super) const ROWS: usize = 500;
/// What is about an endpoint is told in an order of its own, as the events of a chat are. No chat's address begins like this.
const ENDPOINT_CHAT: &str = "endpoint:";

/// An event to be saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Travels as the header `webhook-id`.
    pub id: String,
    /// [`Life::nobodys`] for what concerns the whole gateway.
    pub session: Life,
    /// Events of one chat are told in order. Empty for what concerns the whole session.
    pub chat: String,
    /// For what is about a message: with session and type it says whether the event is new.
    pub message: Option<MessageKey>,
    /// As in the envelope, e.g. `message.received`.
    pub kind: &'static str,
    /// The whole envelope as JSON.
    pub body: String,
}

impl NewEvent {
    /// Something about a session as a whole.
    pub fn of_session(session: &Life, event: &Event) -> Self {
        let (id, kind, body) = (event.id.clone(), event.data.kind(), event.to_json());
        Self {
            id,
            session: session.clone(),
            chat: String::new(),
            message: None,
            kind,
            body,
        }
    }

    /// Something about a message; told in the order of `chat`, which is the chat as callers know it.
    pub fn of_message(session: &Life, chat: &str, key: MessageKey, event: &Event) -> Self {
        Self {
            chat: chat.to_owned(),
            message: Some(key),
            ..Self::of_session(session, event)
        }
    }

    /// Something about an endpoint; told to all others. `session` has no name for an endpoint of all sessions.
    pub fn of_endpoint(endpoint: &str, session: &Life, event: &Event) -> Self {
        Self {
            chat: format!("{ENDPOINT_CHAT}{endpoint}"),
            ..Self::of_session(session, event)
        }
    }
}

/// Whether what is told in this chat is about this endpoint.
pub(super) fn is_about_endpoint(chat: &str, endpoint: &str) -> bool {
    chat.strip_prefix(ENDPOINT_CHAT) == Some(endpoint)
}

/// An event that was new.
pub(super) struct Inserted<'a> {
    pub seq: i64,
    pub event: &'a NewEvent,
}

impl Store {
    /// Saves events together with their deliveries to every endpoint. An event that is there already is left as it is.
    pub async fn append(&self, events: Vec<NewEvent>) -> Result<(), StoreError> {
        self.writer.append(events).await
    }
}

/// Saves those events that are new, and one delivery of each for everybody who wants to be told; whether anybody does. For whatever
/// has something to tell: the change and the events it causes are in one transaction.
pub(super) async fn record(
    connection: &mut SqliteConnection,
    events: &[&NewEvent],
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let endpoints = endpoints::subscribers(connection).await?;
    let mut news = News::default();
    append(connection, events, &endpoints, now, &mut news).await?;
    Ok(news.is_unusual || !news.made.is_empty())
}

/// The same for these endpoints.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    events: &[&NewEvent],
    endpoints: &[Subscriber],
    now: Timestamp,
    news: &mut News,
) -> Result<(), sqlx::Error> {
    let inserted = insert(connection, events, now).await?;
    deliveries::insert(connection, &inserted, endpoints, now, news).await
}

/// Saves those that are new, and returns them in the order they were given.
async fn insert<'a>(
    connection: &mut SqliteConnection,
    events: &[&'a NewEvent],
    now: Timestamp,
) -> Result<Vec<Inserted<'a>>, sqlx::Error> {
    let mut inserted = Vec::with_capacity(events.len());
    for events in events.chunks(ROWS) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO events (id, session, name, chat, message_chat, sender, message_id, type, body, created_at) ",
        );
        sql.push_values(events, |mut row, event| {
            let key = event.message.as_ref();
            row.push_bind(&event.id)
                .push_bind(event.session.id())
                .push_bind(event.session.name())
                .push_bind(&event.chat);
            row.push_bind(key.map(|key| &key.chat))
                .push_bind(key.map(|key| &key.sender));
            row.push_bind(key.map(|key| &key.id))
                .push_bind(event.kind)
                .push_bind(&event.body);
            row.push_bind(now.as_millisecond());
        });
        sql.push(" ON CONFLICT DO NOTHING RETURNING seq, id");
        let rows = sql.build().fetch_all(&mut *connection).await?;
        let by_id: HashMap<&str, &'a NewEvent> = events
            .iter()
            .map(|event| (event.id.as_str(), *event))
            .collect();
        for row in &rows {
            if let Some(event) = by_id.get(row.get::<&str, _>("id")) {
                inserted.push(Inserted {
                    seq: row.get("seq"),
                    event,
                });
            }
        }
    }
    inserted.sort_by_key(|inserted| inserted.seq);
    Ok(inserted)
}
