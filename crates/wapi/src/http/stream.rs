//! `GET /v1/events/stream`: the feed as server-sent events, which browsers and many programs reconnect by themselves.

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

/// Events that are in memory for one reader at most; the next are read when these were taken.
const AT_ONCE: usize = 100;
/// How often a reader hears that the connection lives, and where it is.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// `Last-Event-ID`, or `?after=` a place; neither: what comes from now on. `&types= &session=` as for the feed.
///
/// Each event's id is its place; its data is what the feed has: `{"seq": …, "id": "evt_…", "event": {…}}`.
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

/// Where a reader that reconnects was.
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

/// One reader's stream. It does nothing unless the reader takes what it is sent.
struct Telling {
    gateway: Gateway,
    reader: Reader,
    next: Next,
}

/// What comes next.
enum Next {
    /// A first word, so that whoever connects knows at once that it is connected.
    Hello,
    /// What is in the database already.
    Earlier,
    /// What is yet to come.
    Later,
}

impl Telling {
    /// The next piece of the stream; `None` at its end.
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
                    // The database is asked as well, should a wake-up ever be missed.
                    Err(_) => {
                        self.next = Next::Earlier;
                        Ok(self.heartbeat())
                    }
                }
            }
        };
        // The status is long sent; whoever reads comes again with the last id.
        chunk.ok()
    }

    /// A comment, and the place that was reached, past events that are not wanted.
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

/// As server-sent events. JSON has no line breaks, so each is one line of data.
fn written(entries: impl Iterator<Item = Result<Entry, Problem>>) -> Result<Bytes, Problem> {
    let mut text = String::new();
    for entry in entries {
        let entry = entry?;
        let data = serde_json::to_string(&entry).expect("an entry is always JSON");
        text.push_str(&format!("id: {}\ndata: {data}\n\n", entry.seq));
    }
    Ok(text.into())
}
