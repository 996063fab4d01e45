//! The events as they happen, or from a sequence number on.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::stream;
use maud::{Markup, html};
use serde_json::Value;

use super::sessions::session_address;
use super::try_it::{TrialRequest, write_curl};
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::text_at;
use crate::http::dashboard::layout::{address_with, render_live_page, render_page, render_time};
use crate::http::dashboard::live::{
    HEARTBEAT_INTERVAL, PageFragment, format_fragments, format_heartbeat, respond_stream,
    stream_address,
};
use crate::http::dashboard::texts;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;
use crate::http::v1::events::event_stream::last_event_id;
use crate::http::v1::events::{feed_problem, read_event_filter};
use crate::store::{EventFilter, EventReader, StoreError, StoredEvent};

/// Events on one page.
const PAGE_SIZE: usize = 50;
/// Events sent at once: with the pause, a hundred in a second, more than anybody reads. The others
/// are skipped, so that a watcher costs the same under any load.
const BATCH_SIZE: usize = 40;
/// Events that a tail may be behind the log.
const MAX_LAG: i64 = 1_000;
/// Time in which events are collected before they are sent.
const PAUSE: Duration = Duration::from_millis(400);
/// Id of the list of events.
const LIST: &str = "event-list";

/// The reader's choice of events, as in the page's address.
struct EventChoice {
    session: String,
    types: String,
}

impl EventChoice {
    fn read(query: &mut QueryParameters) -> Self {
        Self {
            session: query.optional_text("session").unwrap_or_default(),
            types: query.optional_text("types").unwrap_or_default(),
        }
    }

    /// Returns the filter, as the API's feed reads it.
    fn filter(&self, caller: &Caller) -> Result<EventFilter, Problem> {
        let query = address_with("", &self.parameters());
        read_event_filter(
            caller,
            &mut QueryParameters::parse(query.trim_start_matches('?')),
        )
    }

    fn parameters(&self) -> [(&'static str, &str); 2] {
        [("session", &self.session), ("types", &self.types)]
    }

    /// Returns the address of the events on one side of a position.
    fn address(&self, (side, position): (&str, i64)) -> String {
        let [session, types] = self.parameters();
        let position = position.to_string();
        address_with("/dashboard/events", &[session, types, (side, &position)])
    }
}

/// The part of the log that a page shows.
#[derive(Clone, Copy)]
enum LogPart {
    /// The last events, and those to come.
    Tail,
    After(i64),
    Before(i64),
}

impl LogPart {
    fn read(query: &mut QueryParameters) -> Result<Self, Problem> {
        // The field of the form may be empty.
        let mut position =
            |name: &'static str| {
                let text = query.optional_text(name).filter(|text| !text.is_empty())?;
                let position = text.parse().ok().filter(|position| *position >= 0);
                Some(position.ok_or_else(|| {
                    Problem::invalid_field(name, "must be a whole number, 0 or more")
                }))
            };
        Ok(match (position("after"), position("before")) {
            (Some(_), Some(_)) => {
                let detail = "must be left out where `after` is given";
                return Err(Problem::invalid_field("before", detail));
            }
            (Some(after), None) => Self::After(after?),
            (None, Some(before)) => Self::Before(before?),
            (None, None) => Self::Tail,
        })
    }
}

/// Events in the order of the log, and the ways to those around them.
struct EventList {
    events: Vec<Arc<StoredEvent>>,
    /// The position before which older ones may follow.
    older: Option<i64>,
    /// The position after which later ones may follow.
    later: Option<i64>,
}

/// `GET /dashboard/events?session=&types=&after=&before=`: the last events, or those after or before
/// a position.
pub async fn show_events(
    State(gateway): State<Gateway>,
    context: PageContext,
    caller: Caller,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let choice = EventChoice::read(&mut query);
    let part = LogPart::read(&mut query);
    query.finish()?;
    let (part, filter) = (part?, choice.filter(&caller)?);
    let stream = stream_address(&gateway, "/dashboard/live/events", &choice.parameters());
    let list = read_list(&gateway, filter, part).await?;
    let title = context.text(texts::EVENTS);
    let (is_tail, after) = match part {
        LogPart::Tail => (true, None),
        LogPart::After(after) => (false, Some(after)),
        LogPart::Before(_) => (false, None),
    };
    let [session, types] = choice.parameters();
    let position = after.map(|after| after.to_string()).unwrap_or_default();
    let curl = curl_of_feed(&[session, types, ("after", &position)]);
    let content = html! {
        h1 { (title) }
        (draw_filter(&context, &choice, after))
        @if is_tail {
            button.plain type="button" id="pause" hidden data-on=(context.text(texts::GO_ON)) {
                (context.text(texts::PAUSE))
            }
        }
        @if list.events.is_empty() {
            @let has_others = list.older.is_some() || list.later.is_some();
            p.quiet data-empty {
                (context.text(if has_others { texts::NONE_IN_THIS_PART } else { texts::NO_EVENTS }))
            }
        }
        @if let Some(older) = list.older {
            p { a href=(choice.address(("before", older))) rel="prev" { (context.text(texts::OLDER)) } }
        }
        ol.plain id=(LIST) data-limit="500" {
            @for event in &list.events { (draw_event(&context, event)) }
        }
        @if let Some(later) = list.later {
            p { a href=(choice.address(("after", later))) rel="next" { (context.text(texts::LATER)) } }
        }
        details {
            summary { (context.text(texts::CURL_EVENTS)) }
            pre id="curl" { (curl) }
            button.plain type="button" data-copy=(curl) { (context.text(texts::COPY)) }
        }
    };
    Ok(if is_tail {
        render_live_page(&context, title, &stream, content)
    } else {
        render_page(&context, title, content)
    })
}

async fn read_list(
    gateway: &Gateway,
    filter: EventFilter,
    part: LogPart,
) -> Result<EventList, Problem> {
    let events = gateway.store.events();
    let before = match part {
        LogPart::Tail => i64::MAX,
        LogPart::Before(before) => before,
        LogPart::After(after) => {
            let mut reader = events.open_reader(after, filter);
            let events = reader.read_page(PAGE_SIZE).await.map_err(feed_problem)?;
            return Ok(EventList {
                events,
                older: Some(after.saturating_add(1)).filter(|before| *before > 1),
                later: reader.has_more().then_some(reader.position()),
            });
        }
    };
    let page = events.read_events_before(before, &filter, PAGE_SIZE).await;
    let mut page = page.map_err(feed_problem)?;
    page.events.reverse();
    Ok(EventList {
        events: page.events.into_iter().map(Arc::new).collect(),
        older: page.next,
        later: match part {
            LogPart::Before(before) => Some(before.saturating_sub(1).max(0)),
            LogPart::Tail | LogPart::After(_) => None,
        },
    })
}

/// Draws an event: its head, and the whole of it as JSON.
fn draw_event(context: &PageContext, event: &StoredEvent) -> Markup {
    let body: Value = serde_json::from_str(&event.body).unwrap_or_default();
    let session = text_at(&body, "data/session");
    let chat = body["data"]["chat"]
        .as_str()
        .unwrap_or_else(|| text_at(&body, "data/chat/id"));
    // The feed's page of this event alone.
    let position = (event.seq - 1).to_string();
    let curl = curl_of_feed(&[("session", session), ("after", &position), ("limit", "1")]);
    html! {
        li id={ "e-" (event.seq) } {
            details {
                summary {
                    code { (event.seq) } " " (render_time(text_at(&body, "timestamp"))) " "
                    strong { (event.kind) } " " bdi { (session) } " " span.quiet { (chat) }
                }
                p.quiet {
                    code { (event.id) }
                    @if !session.is_empty() { " " a href=(session_address(session)) { (session) } }
                    @if context.is_admin_of_all() {
                        " " a href={ "/dashboard/webhooks?event=" (event.id) } { (context.text(texts::SEND_TO_WEBHOOK)) }
                    }
                    " " button.plain type="button" data-copy=(curl) { (context.text(texts::COPY_CURL)) }
                }
                pre { (serde_json::to_string_pretty(&body).unwrap_or_default()) }
            }
        }
    }
}

/// Returns the call that reads events as the page does, for the shell.
fn curl_of_feed(parameters: &[(&str, &str)]) -> String {
    write_curl(&TrialRequest {
        method: "GET".to_owned(),
        target: address_with("/v1/events", parameters),
        headers: Vec::new(),
        body: None,
    })
}

fn draw_filter(context: &PageContext, choice: &EventChoice, after: Option<i64>) -> Markup {
    html! {
        form method="get" action="/dashboard/events" {
            label for="session" { (context.text(texts::SESSION)) }
            input id="session" name="session" value=(choice.session);
            label for="types" { (context.text(texts::TYPES)) }
            input id="types" name="types" value=(choice.types);
            label for="after" { (context.text(texts::FROM_SEQ)) }
            input id="after" name="after" inputmode="numeric" value=[after];
            button type="submit" { (context.text(texts::FILTER)) }
        }
    }
}

/// `GET /dashboard/live/events`: events as they happen.
pub async fn stream_events(
    State(gateway): State<Gateway>,
    context: PageContext,
    caller: Caller,
    headers: HeaderMap,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let choice = EventChoice::read(&mut query);
    let after = query.number_or("after", 0, i64::MAX);
    query.finish()?;
    let after = last_event_id(&headers)?.unwrap_or(after);
    let reader = gateway
        .store
        .events()
        .open_reader(after, choice.filter(&caller)?);
    let tail = EventTail {
        gateway,
        context,
        caller,
        choice,
        reader,
        is_new: true,
    };
    Ok(respond_stream(stream::unfold(
        tail,
        |mut tail| async move {
            let event = tail.next_event().await?;
            Some((Ok::<_, Infallible>(event), tail))
        },
    )))
}

/// One tab's tail of the log.
struct EventTail {
    gateway: Gateway,
    context: PageContext,
    caller: Caller,
    choice: EventChoice,
    reader: EventReader,
    is_new: bool,
}

impl EventTail {
    /// Returns the next event of the stream; `None` at its end.
    async fn next_event(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.is_new) {
            return Some(format_heartbeat(self.reader.position()));
        }
        let gateway = self.gateway.clone();
        let lifecycle = &gateway.lifecycle;
        lifecycle
            .unless_stopping(gateway.clock.sleep(PAUSE))
            .await?;
        if let Some(gap) = self.skip_old().await.ok()? {
            return Some(gap);
        }
        let mut events = self.reader.read_page(BATCH_SIZE).await.ok()?;
        // Also while events come that are not wanted.
        let heartbeat_at = gateway.clock.uptime() + HEARTBEAT_INTERVAL;
        while events.is_empty() {
            let more = self.reader.read_next(BATCH_SIZE);
            let left = heartbeat_at.saturating_sub(gateway.clock.uptime());
            let more = gateway.clock.timeout(left, more);
            match lifecycle.unless_stopping(more).await? {
                Ok(more) => events = more.ok()?,
                Err(_) => return Some(format_heartbeat(self.reader.position())),
            }
        }
        let fragment = |event: &Arc<StoredEvent>| PageFragment {
            id: format!("e-{}", event.seq),
            list: Some(LIST),
            html: draw_event(&self.context, event),
        };
        let fragments: Vec<_> = events.iter().map(fragment).collect();
        let fragments = format_fragments(self.reader.position(), &fragments);
        Some(fragments.event("fragments"))
    }

    /// Skips to the last events if the tail is far behind: its page would not keep the others.
    /// Returns the entry that stands for them.
    async fn skip_old(&mut self) -> Result<Option<Event>, StoreError> {
        let events = self.gateway.store.events();
        let (newest, after) = (events.newest_position(), self.reader.position());
        if newest.saturating_sub(after) <= MAX_LAG {
            return Ok(None);
        }
        let upto = newest - PAGE_SIZE as i64;
        let filter = self.choice.filter(&self.caller);
        // It was read before, with the rights of a caller whose streams end with them.
        let Ok(filter) = filter else { return Ok(None) };
        self.reader = events.open_reader(upto, filter);
        let gap = PageFragment {
            id: format!("gap-{after}"),
            list: Some(LIST),
            html: draw_gap(&self.context, &self.choice, after, upto),
        };
        Ok(Some(format_fragments(upto, [&gap]).event("fragments")))
    }
}

/// Draws the entry that stands for events that were skipped.
fn draw_gap(context: &PageContext, choice: &EventChoice, after: i64, upto: i64) -> Markup {
    let address = choice.address(("after", after));
    html! {
        li.warning id={ "gap-" (after) } {
            (context.text(texts::EVENTS_SKIPPED)) " " (after + 1) "–" (upto) ". "
            a href=(address) { (context.text(texts::SHOW_SKIPPED)) }
        }
    }
}
