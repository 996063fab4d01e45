//! `GET /v1/events/stream`: the feed as server-sent events, with automatic reconnection in clients.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::Gateway;
use super::error::Problem;
use super::events::{Entry, unreadable, wanted};
use super::query::Query;
use crate::keys::Caller;
use crate::store::Reader;

/// Most events in memory per reader; more are read when these were sent.
const AT_ONCE: usize = 100;
/// Interval of heartbeats, which show that the connection lives and carry the cursor.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Streams events from `Last-Event-ID` or `?after=` on; without either, new ones only. `&types=`
/// and `&session=` filter as for the feed.
///
/// Each event's id is its cursor; its data is the feed's entry: `{"seq": …, "id": "evt_…", "event":
/// {…}}`.
pub async fn stream(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    mut query: Query,
) -> Result<Response, Problem> {
    let asked = query.optional_number("after", i64::MAX);
    let wanted = wanted(&caller, &mut query);
    query.done()?;
    let after = match last_event_id(&headers)?.or(asked) {
        Some(seq) => seq,
        None => gateway.store.newest_event().await.map_err(unreadable)?,
    };
    let reader = gateway.store.reader(after, wanted?);
    let telling = Telling {
        gateway,
        reader,
        next: Next::Hello,
    };
    let chunks = stream::unfold(telling, |mut telling| async move {
        let chunk = telling.chunk().await?;
        Some((Ok::<_, Infallible>(chunk), telling))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

/// Returns the cursor of a reader that reconnects.
fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
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
    seq.map(Some)
        .ok_or_else(|| Problem::field("Last-Event-ID", "must be the id of an event of this stream"))
}

/// One reader's stream. It reads nothing until the reader has taken the last chunk.
struct Telling {
    gateway: Gateway,
    reader: Reader,
    next: Next,
}

/// Next part of the stream.
enum Next {
    /// A first chunk, so that the caller sees the connection at once.
    Hello,
    /// Events already in the database.
    Earlier,
    /// Events still to come.
    Later,
}

impl Telling {
    /// Returns the next chunk of the stream; `None` at its end.
    async fn chunk(&mut self) -> Option<Bytes> {
        let gateway = self.gateway.clone();
        let chunk = match self.next {
            Next::Hello => {
                self.next = Next::Earlier;
                Ok(self.heartbeat())
            }
            Next::Earlier => {
                self.next = Next::Later;
                self.events().await
            }
            Next::Later => {
                let more = gateway.clock.timeout(HEARTBEAT, self.more());
                match gateway.lifecycle.unless_stopping(more).await? {
                    Ok(chunk) => chunk,
                    // Reads the database as well, in case a wake-up was missed.
                    Err(_) => {
                        self.next = Next::Earlier;
                        Ok(self.heartbeat())
                    }
                }
            }
        };
        // The status is long sent; the reader reconnects with its last id.
        chunk.ok()
    }

    /// Returns a comment with the current cursor, which also advances past events that are filtered
    /// out.
    fn heartbeat(&self) -> Bytes {
        format!(":\nid: {}\n\n", self.reader.place()).into()
    }

    async fn events(&mut self) -> Result<Bytes, Problem> {
        let events = self.reader.read(AT_ONCE).await.map_err(unreadable)?;
        written(events.iter().map(|saved| Entry::new(saved)))
    }

    async fn more(&mut self) -> Result<Bytes, Problem> {
        loop {
            let events = self.reader.read_more(AT_ONCE).await.map_err(unreadable)?;
            if !events.is_empty() {
                return written(events.iter().map(|saved| Entry::new(saved)));
            }
        }
    }
}

/// Formats entries as server-sent events. JSON has no line breaks, so each is one line of data.
fn written(entries: impl Iterator<Item = Result<Entry, Problem>>) -> Result<Bytes, Problem> {
    let mut text = String::new();
    for entry in entries {
        let entry = entry?;
        let data = serde_json::to_string(&entry).expect("an entry is always JSON");
        text.push_str(&format!("id: {}\ndata: {data}\n\n", entry.seq));
    }
    Ok(text.into())
}
