//! `GET /v1/events`: the durable feed, for callers without webhooks, and for reconciliation.

pub mod event_stream;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;
use crate::model::access::Scope;
use crate::model::event::TYPES;
use crate::store::{EventFilter, EventReader, LifeFilter, StoreError, StoredEvent};
use crate::webhooks::validation::describe_unknown_type;

/// Events on one page: default and maximum.
const LIMIT: (usize, usize) = (100, 1_000);
/// The longest that a caller may wait, in seconds.
const LONGEST_WAIT: u64 = 60;

/// An event with a new invite link, which lets all its readers in. No text of a person can
/// look like this: in JSON its quotation marks are escaped.
const INVITE_LINK: (&str, &str) = ("group.updated", r#""change":{"invite_link":"#);

/// A page of the feed.
#[derive(Debug, Serialize)]
pub struct FeedPage {
    events: Vec<FeedEntry>,
    /// The `after` of the next call. It survives restarts, and no later event is ever placed before
    /// it.
    next: i64,
    /// Whether more events may be available at once. A page ends after scanning a limited number of
    /// events, however few of them match.
    more: bool,
}

/// An event and its position in the feed.
#[derive(Debug, Serialize)]
pub(in crate::http) struct FeedEntry {
    pub seq: i64,
    /// Sent as `webhook-id` with webhooks.
    id: String,
    /// The same envelope as webhooks carry.
    event: Box<RawValue>,
}

impl FeedEntry {
    pub fn new(saved: &StoredEvent) -> Result<Self, Problem> {
        let event = RawValue::from_string(saved.body.to_string()).map_err(|error| {
            tracing::error!(%error, event = saved.id, "an event in the database is not JSON");
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
pub async fn list_events(
    State(gateway): State<Gateway>,
    caller: Caller,
    mut query: QueryParameters,
) -> Result<Json<FeedPage>, Problem> {
    let after = query.number_or("after", 0, i64::MAX);
    let limit = query.list_limit(LIMIT);
    let wait = Duration::from_secs(query.number_or("wait", 0, LONGEST_WAIT));
    let wanted = read_event_filter(&caller, &mut query);
    query.finish()?;
    let mut reader = gateway.store.events().open_reader(after, wanted?);
    let mut events = reader.read_page(limit).await.map_err(feed_problem)?;
    if events.is_empty() && !wait.is_zero() {
        let more = gateway
            .clock
            .timeout(wait, await_events(&mut reader, limit));
        // A stopping program keeps no caller waiting, and a wait without events is no error.
        events = match gateway.lifecycle.unless_stopping(more).await {
            Some(Ok(events)) => events?,
            Some(Err(_)) => Vec::new(),
            None => return Err(Problem::Stopping),
        };
    }
    let events = events
        .iter()
        .map(|saved| FeedEntry::new(saved))
        .collect::<Result<_, _>>()?;
    Ok(Json(FeedPage {
        events,
        next: reader.position(),
        more: reader.has_more(),
    }))
}

/// Waits for the first new events.
async fn await_events(
    reader: &mut EventReader,
    limit: usize,
) -> Result<Vec<Arc<StoredEvent>>, Problem> {
    loop {
        let events = reader.read_next(limit).await.map_err(feed_problem)?;
        if !events.is_empty() {
            return Ok(events);
        }
    }
}

/// Parses the filter of the request, limited to the events that the caller may see.
pub(in crate::http) fn read_event_filter(
    caller: &Caller,
    query: &mut QueryParameters,
) -> Result<EventFilter, Problem> {
    let types = query.optional_text("types").unwrap_or_default();
    let types: Vec<_> = types
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if let Some(unknown) = types.iter().find(|name| !TYPES.contains(&name.as_str())) {
        return Err(Problem::invalid_field(
            "types",
            describe_unknown_type(unknown),
        ));
    }
    let lives = match query.optional_text("session") {
        Some(session) if !caller.can_reach(&session) => return Err(Problem::SessionNotAllowed),
        Some(session) => LifeFilter::Named(vec![(session.clone(), caller.access_since(&session))]),
        None => match caller.allowed_sessions() {
            Some(sessions) => LifeFilter::Named(
                sessions
                    .iter()
                    .map(|name| (name.clone(), caller.access_since(name)))
                    .collect(),
            ),
            // Only an admin key reads events of past lives.
            None if caller.has_scope(Scope::Admin) => LifeFilter::Any,
            None => LifeFilter::Current,
        },
    };
    // Seeing a QR code or the challenge of a passkey suffices to link an account to the session;
    // keys and webhooks are for admins on their routes, too.
    let hidden: &[_] = if caller.has_scope(Scope::Admin) {
        &[]
    } else {
        &[
            "session.qr",
            "session.passkey",
            "webhook.changed",
            "api_key.created",
            "api_key.removed",
        ]
    };
    // The route of an invite link is for the same keys.
    let hidden_parts: &[_] = if caller.has_scope(Scope::Manage) {
        &[]
    } else {
        &[INVITE_LINK]
    };
    Ok(EventFilter {
        types,
        hidden,
        hidden_parts,
        lives,
    })
}

pub(in crate::http) fn feed_problem(error: StoreError) -> Problem {
    tracing::error!(%error, "failed to read the feed");
    Problem::Internal
}
