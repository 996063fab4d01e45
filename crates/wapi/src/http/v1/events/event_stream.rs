//! `GET /v1/events/stream`: the feed as server-sent events, with automatic reconnection in clients.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};

use super::{FeedEntry, feed_problem, read_event_filter};
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;
use crate::store::{EventReader, StoredEvent};

/// Most events in memory per reader; more are read when these were sent.
const BATCH_SIZE: usize = 100;
/// Interval of heartbeats, which show that the connection lives and carry the cursor.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// Streams events from `Last-Event-ID` or `?after=` on; without either, new ones only. `&types=`
/// and `&session=` filter as for the feed.
///
/// Each event's id is its cursor; its data is the feed's entry: `{"seq": …, "id": "evt_…", "event":
/// {…}}`.
pub async fn stream_events(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let after = query.optional_number("after", i64::MAX);
    let wanted = read_event_filter(&caller, &mut query);
    query.finish()?;
    let after = match last_event_id(&headers)?.or(after) {
        Some(seq) => seq,
        None => gateway.store.events().newest_position(),
    };
    let reader = gateway.store.events().open_reader(after, wanted?);
    let telling = EventStream {
        gateway,
        reader,
        next: StreamStage::Hello,
    };
    let batches = stream::unfold(telling, |mut telling| async move {
        let batch = telling.next_batch().await?;
        Some((stream::iter(batch).map(Ok::<_, Infallible>), telling))
    });
    let headers = [(header::CACHE_CONTROL, "no-store")];
    Ok((headers, Sse::new(batches.flatten())).into_response())
}

/// Returns the cursor of a reader that reconnects.
pub(in crate::http) fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers
        .get("last-event-id")
        .filter(|value| !value.is_empty())
    else {
        return Ok(None);
    };
    let seq = value
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|seq| *seq >= 0);
    seq.map(Some).ok_or_else(|| {
        Problem::invalid_field("Last-Event-ID", "must be the id of an event of this stream")
    })
}

/// One reader's stream. It reads nothing until the reader has taken the last batch.
struct EventStream {
    gateway: Gateway,
    reader: EventReader,
    next: StreamStage,
}

/// Next part of the stream.
enum StreamStage {
    /// A first heartbeat, so that the caller sees the connection at once.
    Hello,
    /// Events already in the database.
    Stored,
    /// Events still to come.
    Live,
}

impl EventStream {
    /// Returns the next events of the stream; `None` at its end.
    async fn next_batch(&mut self) -> Option<Vec<Event>> {
        let gateway = self.gateway.clone();
        let batch = match self.next {
            StreamStage::Hello => {
                self.next = StreamStage::Stored;
                Ok(vec![self.heartbeat()])
            }
            StreamStage::Stored => {
                self.next = StreamStage::Live;
                self.read_events().await
            }
            StreamStage::Live => {
                let more = gateway
                    .clock
                    .timeout(HEARTBEAT_INTERVAL, self.await_events());
                match gateway.lifecycle.unless_stopping(more).await? {
                    Ok(batch) => batch,
                    // Reads the database as well, in case a wake-up was missed.
                    Err(_) => {
                        self.next = StreamStage::Stored;
                        Ok(vec![self.heartbeat()])
                    }
                }
            }
        };
        // The status is long sent; the reader reconnects with its last id.
        batch.ok()
    }

    /// Returns a comment with the current cursor, which also advances past events that are filtered
    /// out. `KeepAlive` would repeat one fixed text, on a clock of its own.
    fn heartbeat(&self) -> Event {
        Event::default()
            .comment("")
            .id(self.reader.position().to_string())
    }

    async fn read_events(&mut self) -> Result<Vec<Event>, Problem> {
        let events = self
            .reader
            .read_page(BATCH_SIZE)
            .await
            .map_err(feed_problem)?;
        format_events(&events)
    }

    async fn await_events(&mut self) -> Result<Vec<Event>, Problem> {
        loop {
            let events = self
                .reader
                .read_next(BATCH_SIZE)
                .await
                .map_err(feed_problem)?;
            if !events.is_empty() {
                return format_events(&events);
            }
        }
    }
}

/// Formats entries as server-sent events.
fn format_events(saved: &[Arc<StoredEvent>]) -> Result<Vec<Event>, Problem> {
    let format = |saved: &Arc<StoredEvent>| {
        let entry = FeedEntry::new(saved)?;
        Ok(Event::default()
            .id(entry.seq.to_string())
            .json_data(&entry)
            .expect("an entry is always JSON"))
    };
    saved.iter().map(format).collect()
}
