//! The durable event log: appending events, of which the writer makes deliveries.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::Timestamp;

use super::facts::{self, EventFact};
use crate::model::event::{Event, MessageKey};
use crate::store::db::{self, Connection, QueryBuilder};
use crate::store::webhooks::open::log_reader::LoggedEvent;
use crate::store::{EventStore, Life, StoreError};

/// Rows per statement: SQLite takes at most 32,766 parameters.
pub(in crate::store) const MAX_ROWS: usize = 500;
/// Events about an endpoint are ordered like the events of a chat. No chat address has this prefix.
const ENDPOINT_CHAT_PREFIX: &str = "endpoint:";

/// An event to append.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Sent as the header `webhook-id`.
    pub id: String,
    /// [`Life::for_gateway`] for events of the whole gateway.
    pub session: Life,
    /// Events of one chat are delivered in order. Empty for events of the whole session.
    pub chat: String,
    /// The message that the event is about, if any: an event of the same session, message and type
    /// is a duplicate.
    pub message: Option<MessageKey>,
    /// The type in the envelope, e.g. `message.received`.
    pub kind: &'static str,
    /// The complete envelope as JSON.
    pub body: String,
    /// Saved with the event.
    pub facts: Vec<EventFact>,
}

impl NewEvent {
    /// Builds an event about a session as a whole.
    pub fn for_session(session: &Life, event: &Event) -> Self {
        let (id, kind, body) = (event.id.clone(), event.data.kind(), event.to_json());
        Self {
            id,
            session: session.clone(),
            chat: String::new(),
            message: None,
            kind,
            body,
            facts: Vec::new(),
        }
    }

    /// Builds an event about a message, ordered by `chat`, the chat id in the API.
    pub fn for_message(session: &Life, chat: &str, key: MessageKey, event: &Event) -> Self {
        Self {
            chat: chat.to_owned(),
            message: Some(key),
            ..Self::for_session(session, event)
        }
    }

    /// Adds the facts that `event` reports, to be saved with it.
    pub fn with_facts(mut self, facts: Vec<EventFact>, event: &Event) -> Self {
        self.facts = facts;
        for fact in &mut self.facts {
            if let EventFact::Vote(vote) = fact {
                vote.event = Some(Box::new(event.clone()));
            }
        }
        self
    }

    /// Builds an event about an endpoint, which all other endpoints may receive. The name of
    /// `session` is empty for an endpoint of all sessions.
    pub fn for_endpoint(endpoint: &str, session: &Life, event: &Event) -> Self {
        Self {
            chat: format!("{ENDPOINT_CHAT_PREFIX}{endpoint}"),
            ..Self::for_session(session, event)
        }
    }
}

/// Returns whether the events of this chat are about this endpoint.
pub(in crate::store) fn is_about_endpoint(chat: &str, endpoint: &str) -> bool {
    chat.strip_prefix(ENDPOINT_CHAT_PREFIX) == Some(endpoint)
}

/// An event that was new, with its position.
pub(in crate::store) struct InsertedEvent<'a> {
    pub seq: i64,
    pub event: &'a NewEvent,
}

impl EventStore<'_> {
    /// Saves events, which are delivered to all subscribers from there. Duplicates are ignored.
    pub async fn append_events(self, mut events: Vec<NewEvent>) -> Result<(), StoreError> {
        let mut timers = self.store.overlay_timers();
        for event in &mut events {
            timers.keep_changes(&event.session, &mut event.facts);
            facts::seal_facts(&self.store.sealer, &event.session, &mut event.facts)?;
        }
        let changes = timers.into_changes();
        self.store.writer.append_events(events).await?;
        self.store.remember_timers(changes);
        Ok(())
    }
}

/// Saves the events that are new, in the transaction of the change that causes them; the writer makes
/// their deliveries. Returns whether any was new.
pub(in crate::store) async fn record_events(
    connection: &mut Connection,
    events: &[&NewEvent],
    now: Timestamp,
) -> Result<bool, db::Error> {
    Ok(!append_events(connection, events, now).await?.is_empty())
}

/// Saves the events that are new, with their facts, and returns them in the order of their positions.
pub(in crate::store) async fn append_events(
    connection: &mut Connection,
    events: &[&NewEvent],
    now: Timestamp,
) -> Result<Vec<LoggedEvent>, db::Error> {
    let counted = facts::save_event_facts(connection, events, now).await?;
    let mut events = Cow::Borrowed(events);
    for (index, event) in &counted {
        events.to_mut()[*index] = event;
    }
    let inserted = insert_events(connection, &events, now).await?;
    let logged = inserted
        .iter()
        .map(|it| LoggedEvent::from_inserted(it, now.as_millisecond()));
    Ok(logged.collect())
}

/// Inserts the events that are new, and returns them in the order of their positions.
async fn insert_events<'a>(
    connection: &mut Connection,
    events: &[&'a NewEvent],
    now: Timestamp,
) -> Result<Vec<InsertedEvent<'a>>, db::Error> {
    let mut inserted = Vec::with_capacity(events.len());
    for events in events.chunks(MAX_ROWS) {
        let mut sql = QueryBuilder::new(
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
                inserted.push(InsertedEvent {
                    seq: row.get("seq"),
                    event,
                });
            }
        }
    }
    inserted.sort_by_key(|inserted| inserted.seq);
    Ok(inserted)
}
