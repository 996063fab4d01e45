//! `GET /v1/events`: the durable feed, for callers without webhooks, and for reconciliation.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Gateway;
use super::error::Problem;
use super::query::Query;
use crate::event::TYPES;
use crate::keys::{Caller, Scope};
use crate::store::{Lived, Reader, Saved, StoreError, Wanted};
use crate::webhooks::rules::unknown_type;

/// Events on one page: default and maximum.
const LIMIT: (usize, usize) = (100, 1_000);
/// The longest that a caller may wait, in seconds.
const LONGEST_WAIT: u64 = 60;

/// A page of the feed.
#[derive(Debug, Serialize)]
pub struct Page {
    events: Vec<Entry>,
    /// The `after` of the next call. It survives restarts, and no later event is ever placed before
    /// it.
    next: i64,
    /// Whether more events may be available at once. A page ends after scanning a limited number of
    /// events, however few of them match.
    more: bool,
}

/// An event and its position in the feed.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub seq: i64,
    /// Sent as `webhook-id` with webhooks.
    id: String,
    /// The same envelope as webhooks carry.
    event: Box<RawValue>,
}

impl Entry {
    pub fn new(saved: &Saved) -> Result<Self, Problem> {
        let event = RawValue::from_string(saved.body.clone()).map_err(|error| {
            tracing::error!(%error, event = saved.id, "an event in the database is no JSON");
            Problem::Internal
        })?;
        Ok(Self {
            seq: saved.seq,
            id: saved.id.clone(),
            event,
        })
    }
}

/// `GET /v1/events`: reads `limit` events after the cursor `after` (0: from the beginning),
/// filtered by `types` (comma-separated) and `session`. Waits up to `wait` seconds if there are
/// none yet.
pub async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    mut query: Query,
) -> Result<Json<Page>, Problem> {
    let after = query.number("after", 0, i64::MAX);
    let limit = query.limit(LIMIT);
    let wait = Duration::from_secs(query.number("wait", 0, LONGEST_WAIT));
    let wanted = wanted(&caller, &mut query);
    query.done()?;
    let mut reader = gateway.store.reader(after, wanted?);
    let mut events = reader.read(limit).await.map_err(unreadable)?;
    if events.is_empty() && !wait.is_zero() {
        let more = gateway
            .clock
            .timeout(wait, something_new(&mut reader, limit));
        // A stopping program keeps no caller waiting, and a wait without events is no error.
        events = match gateway.lifecycle.unless_stopping(more).await {
            Some(Ok(events)) => events?,
            Some(Err(_)) => Vec::new(),
            None => return Err(Problem::Stopping),
        };
    }
    let events = events
        .iter()
        .map(|saved| Entry::new(saved))
        .collect::<Result<_, _>>()?;
    Ok(Json(Page {
        events,
        next: reader.place(),
        more: reader.has_more(),
    }))
}

/// Waits for the first new events.
async fn something_new(reader: &mut Reader, limit: usize) -> Result<Vec<Arc<Saved>>, Problem> {
    loop {
        let events = reader.read_more(limit).await.map_err(unreadable)?;
        if !events.is_empty() {
            return Ok(events);
        }
    }
}

/// Parses the filter of the request, limited to the events that the caller may see.
pub(super) fn wanted(caller: &Caller, query: &mut Query) -> Result<Wanted, Problem> {
    let types = query.text("types").unwrap_or_default();
    let types: Vec<_> = types
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if let Some(unknown) = types.iter().find(|name| !TYPES.contains(&name.as_str())) {
        return Err(Problem::field("types", unknown_type(unknown)));
    }
    let lives = match query.text("session") {
        Some(session) if !caller.reaches(&session) => return Err(Problem::SessionNotAllowed),
        Some(session) => Lived::By(vec![(session.clone(), caller.since(&session))]),
        None => match caller.sessions() {
            Some(sessions) => Lived::By(
                sessions
                    .iter()
                    .map(|name| (name.clone(), caller.since(name)))
                    .collect(),
            ),
            // Only an admin key reads events of past lives.
            None if caller.has(Scope::Admin) => Lived::Any,
            None => Lived::Now,
        },
    };
    // Seeing a QR code suffices to link an account to the session.
    let hidden: &[_] = if caller.has(Scope::Admin) {
        &[]
    } else {
        &["session.qr"]
    };
    Ok(Wanted {
        types,
        hidden,
        lives,
    })
}

pub(super) fn unreadable(error: StoreError) -> Problem {
    tracing::error!(%error, "the feed cannot be read");
    Problem::Internal
}
