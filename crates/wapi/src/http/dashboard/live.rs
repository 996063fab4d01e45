//! Live pages: one stream of server-sent events a tab, with the parts of its page that changed.
//!
//! A part is drawn by the function that drew it for the page. After events of its sessions, a
//! stream draws the page again and sends the parts that differ from those it sent last.

use std::collections::HashMap;
use std::convert::Infallible;
use std::mem;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use maud::Markup;
use serde::Serialize;

use super::context::PageContext;
use super::layout::address_with;
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;
use crate::http::v1::events::event_stream::last_event_id;
use crate::http::v1::events::read_event_filter;
use crate::model::session_name::SessionName;
use crate::store::{EventFilter, EventReader};

/// Interval of heartbeats, which show that the connection lives.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// Events read at once; only their number matters here.
const BATCH_SIZE: usize = 1_000;

/// A part of a page that may change.
#[derive(Debug, Clone)]
pub struct PageFragment {
    /// Id of its element.
    pub id: String,
    /// Id of the list that a new element is appended to; `None` for parts that are always there.
    pub list: Option<&'static str>,
    pub html: Markup,
}

impl PageFragment {
    /// Returns a part that is always there.
    pub fn fixed(id: &str, html: Markup) -> Self {
        Self {
            id: id.to_owned(),
            list: None,
            html,
        }
    }
}

/// A page with live parts.
pub trait LivePage: Send + Sync + 'static {
    /// Time in which events are collected before the page is drawn again.
    const PAUSE: Duration = Duration::from_millis(150);

    /// Whether the page also shows what changes without an event. It is drawn again with each
    /// heartbeat.
    const IS_MEASURED: bool = false;

    /// Types of the events that change the page; empty: all.
    const TYPES: &'static [&'static str] = &[];

    /// Returns the session whose events change the page; `None` for all.
    fn session(&self) -> Option<String>;

    /// Draws the parts, in the order of the page.
    fn draw(
        &self,
        gateway: &Gateway,
        context: &PageContext,
    ) -> impl Future<Output = Result<Vec<PageFragment>, Problem>> + Send;

    /// Draws the parts once more for a stream. What is measured for them may be this old.
    fn redraw(
        &self,
        gateway: &Gateway,
        context: &PageContext,
        _max_age: Duration,
    ) -> impl Future<Output = Result<Vec<PageFragment>, Problem>> + Send {
        self.draw(gateway, context)
    }
}

/// Returns the address of a page's stream, from the events on that the page is drawn after.
pub fn stream_address(gateway: &Gateway, path: &str, parameters: &[(&str, &str)]) -> String {
    let newest = gateway.store.events().newest_position().to_string();
    let mut parameters = parameters.to_vec();
    parameters.push(("after", &newest));
    address_with(path, &parameters)
}

/// Returns the events of one session, or of all that the caller may see.
pub fn session_filter(caller: &Caller, session: Option<&str>) -> Result<EventFilter, Problem> {
    let query = address_with("", &[("session", session.unwrap_or_default())]);
    let mut query = QueryParameters::parse(query.trim_start_matches('?'));
    read_event_filter(caller, &mut query)
}

/// Streams the changes of a page.
pub async fn stream_page(
    page: impl LivePage,
    State(gateway): State<Gateway>,
    context: PageContext,
    caller: Caller,
    headers: HeaderMap,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let after = query.number_or("after", 0, i64::MAX);
    query.finish()?;
    let after = last_event_id(&headers)?.unwrap_or(after);
    // The script reloads a page whose stream is not found, and the page says why.
    check_session(&gateway, &page)?;
    let filter = page_filter(&caller, &page)?;
    let newest = gateway.store.events().newest_position();
    // Of what happened while a page was away for long, its state now is all that counts.
    let is_stale = newest.saturating_sub(after) > BATCH_SIZE as i64;
    let after = if is_stale { newest } else { after };
    let reader = gateway.store.events().open_reader(after, filter);
    let stream = PageStream {
        page,
        heartbeat_at: gateway.clock.uptime() + HEARTBEAT_INTERVAL,
        gateway,
        context,
        reader,
        is_stale,
        sent: HashMap::new(),
        stage: StreamPhase::Hello,
    };
    let batches = stream::unfold(stream, |mut stream| async move {
        let event = stream.next_event().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    Ok(respond_stream(batches))
}

/// Returns the events that change a page, as far as the caller may see them.
fn page_filter<P: LivePage>(caller: &Caller, page: &P) -> Result<EventFilter, Problem> {
    let filter = session_filter(caller, page.session().as_deref())?;
    Ok(EventFilter {
        types: P::TYPES.iter().map(|&kind| kind.to_owned()).collect(),
        ..filter
    })
}

/// Checks that the session of a page is there.
fn check_session(gateway: &Gateway, page: &impl LivePage) -> Result<(), Problem> {
    let Some(session) = page.session() else {
        return Ok(());
    };
    let name = SessionName::parse(&session).map_err(|_| Problem::NoSession)?;
    gateway.current_life(&name).map(drop)
}

/// Responds with a stream that no cache keeps.
pub fn respond_stream<S>(events: S) -> Response
where
    S: Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    ([(header::CACHE_CONTROL, "no-store")], Sse::new(events)).into_response()
}

/// Formats parts as one event, which has no name yet.
pub fn format_fragments<'a>(
    position: i64,
    fragments: impl IntoIterator<Item = &'a PageFragment>,
) -> Event {
    let fragments = fragments.into_iter().map(|fragment| SentFragment {
        id: &fragment.id,
        list: fragment.list,
        html: &fragment.html.0,
    });
    Event::default()
        .id(position.to_string())
        .json_data(fragments.collect::<Vec<_>>())
        .expect("parts are always JSON")
}

/// Returns an event with the position: scripts see that the connection lives. Browsers drop events
/// without data.
pub fn format_heartbeat(position: i64) -> Event {
    Event::default()
        .event("alive")
        .id(position.to_string())
        .data("alive")
}

/// One tab's stream.
struct PageStream<P> {
    page: P,
    gateway: Gateway,
    context: PageContext,
    reader: EventReader,
    /// Set while the page is to be drawn, whatever the log says.
    is_stale: bool,
    /// When the next heartbeat is due, by the uptime: also while events come that are of no concern.
    heartbeat_at: Duration,
    /// The parts as they were sent last, by id.
    sent: HashMap<String, String>,
    stage: StreamPhase,
}

/// Next step of a stream.
enum StreamPhase {
    /// A first heartbeat, so that the browser sees the connection at once.
    Hello,
    /// Events since the page was drawn.
    Missed,
    /// Events still to come.
    Live,
}

/// A part as scripts read it.
#[derive(Serialize)]
struct SentFragment<'a> {
    id: &'a str,
    list: Option<&'static str>,
    html: &'a str,
}

impl<P: LivePage> PageStream<P> {
    /// Returns the next event of the stream; `None` at its end.
    async fn next_event(&mut self) -> Option<Event> {
        loop {
            match self.stage {
                StreamPhase::Hello => {
                    self.stage = StreamPhase::Missed;
                    return Some(format_heartbeat(self.reader.position()));
                }
                StreamPhase::Missed => {
                    self.stage = StreamPhase::Live;
                    let missed = self.reader.read_page(BATCH_SIZE).await.ok()?;
                    if mem::take(&mut self.is_stale) || !missed.is_empty() {
                        self.reader.skip_saved();
                        // All tabs share numbers of this age: many idle ones cost what one costs.
                        if let Some(event) = self.redraw(HEARTBEAT_INTERVAL).await? {
                            return Some(event);
                        }
                    }
                }
                StreamPhase::Live => {
                    let gateway = self.gateway.clone();
                    let left = self.heartbeat_at.saturating_sub(gateway.clock.uptime());
                    let more = self.reader.read_next(BATCH_SIZE);
                    let more = gateway.clock.timeout(left, more);
                    match gateway.lifecycle.unless_stopping(more).await? {
                        Ok(Ok(events)) if events.is_empty() => {}
                        Ok(Ok(_)) => {
                            let pause = gateway.clock.sleep(P::PAUSE);
                            gateway.lifecycle.unless_stopping(pause).await?;
                            self.reader.skip_saved();
                            if let Some(event) = self.redraw(P::PAUSE).await? {
                                return Some(event);
                            }
                        }
                        // The status is long sent; the browser reconnects.
                        Ok(Err(_)) => return None,
                        // Nothing tells of the end of a session that is removed.
                        Err(_) if check_session(&self.gateway, &self.page).is_err() => return None,
                        // Reads the database as well, in case a wake-up was missed.
                        Err(_) => {
                            self.stage = StreamPhase::Missed;
                            self.is_stale = P::IS_MEASURED;
                            self.heartbeat_at = gateway.clock.uptime() + HEARTBEAT_INTERVAL;
                            return Some(format_heartbeat(self.reader.position()));
                        }
                    }
                }
            }
        }
    }

    /// Draws the page, and returns the parts that changed, if any did.
    async fn redraw(&mut self, max_age: Duration) -> Option<Option<Event>> {
        let position = self.reader.position();
        let drawn = self.page.redraw(&self.gateway, &self.context, max_age);
        let drawn = drawn.await.ok()?;
        let is_changed = |it: &&PageFragment| self.sent.get(&it.id) != Some(&it.html.0);
        let changed: Vec<_> = drawn.iter().filter(is_changed).collect();
        if changed.is_empty() {
            return Some(None);
        }
        let event = format_fragments(position, changed);
        // The list may go on behind a hole: nothing of it is on the page for sure.
        let is_known = |it: &PageFragment| it.list.is_some() && self.sent.contains_key(&it.id);
        let has_list = drawn.iter().any(|it| it.list.is_some());
        let event = if has_list && !drawn.iter().any(is_known) {
            event.event("whole")
        } else {
            event.event("fragments")
        };
        self.sent = drawn
            .into_iter()
            .map(|fragment| (fragment.id, fragment.html.0))
            .collect();
        Some(Some(event))
    }
}
