//! `GET /v1/events`: the durable feed, for those who cannot receive webhooks, and to reconcile.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Gateway;
use super::error::Problem;
use super::query::Query;
use crate::store::Wanted;

/// Events in one answer when the caller does not say, and at most.
const LIMIT: (usize, usize) = (100, 1_000);
/// The longest a caller may wait, in seconds.
const LONGEST_WAIT: u64 = 60;

/// A page of the feed.
#[derive(Debug, Serialize)]
pub struct Page {
    events: Vec<Entry>,
    /// The `after` of the next call. It survives restarts, and nothing that is written later ever comes before it.
    next: i64,
}

#[derive(Debug, Serialize)]
struct Entry {
    seq: i64,
    id: String,
    /// The same envelope that webhooks carry.
    event: Box<RawValue>,
}

/// `?after=` a place (0: from the beginning) `&types=message.received,… &session=… &limit=100 &wait=` seconds for something new.
pub async fn list(State(gateway): State<Gateway>, mut query: Query) -> Result<Json<Page>, Problem> {
    let after = query.number("after", 0, i64::MAX);
    let limit = query.number("limit", LIMIT.0, LIMIT.1).max(1);
    let wait = Duration::from_secs(query.number("wait", 0, LONGEST_WAIT));
    let types = query.text("types").unwrap_or_default();
    let wanted = Wanted {
        types: types.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        session: query.text("session"),
    };
    query.done()?;
    if wait.is_zero() {
        return page_after(&gateway, after, &wanted, limit).await;
    }
    let page = first_page(&gateway, after, &wanted, limit);
    // Nobody is kept waiting by a program that ends, and a wait that was in vain is no error.
    match gateway.lifecycle.unless_stopping(gateway.clock.timeout(wait, page)).await {
        Some(Ok(page)) => page,
        Some(Err(_)) => page_after(&gateway, after, &wanted, limit).await,
        None => Err(Problem::Stopping),
    }
}

/// The first page that is not empty.
async fn first_page(gateway: &Gateway, after: i64, wanted: &Wanted, limit: usize) -> Result<Json<Page>, Problem> {
    // Listens before it looks, so that nothing saved in between is missed.
    let mut commits = gateway.store.commits();
    let mut after = after;
    loop {
        let page = page_after(gateway, after, wanted, limit).await?;
        if !page.events.is_empty() {
            return Ok(page);
        }
        after = page.next;
        if commits.changed().await.is_err() {
            return Err(Problem::Stopping);
        }
    }
}

async fn page_after(gateway: &Gateway, after: i64, wanted: &Wanted, limit: usize) -> Result<Json<Page>, Problem> {
    let read = gateway.store.events_after(after, wanted, limit).await;
    let (saved, next) = read.map_err(|error| {
        tracing::error!(%error, "the feed cannot be read");
        Problem::Internal
    })?;
    let entry = |saved: crate::store::Saved| {
        Ok(Entry { seq: saved.seq, id: saved.id, event: RawValue::from_string(saved.body)? })
    };
    let events = saved.into_iter().map(entry).collect::<Result<_, serde_json::Error>>().map_err(|error| {
        tracing::error!(%error, "an event in the database is no JSON");
        Problem::Internal
    })?;
    Ok(Json(Page { events, next }))
}
