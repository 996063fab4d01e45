//! One session: its QR code while it waits for a phone, its state, and its timeline.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};
use serde_json::Value;

use super::operator::session::{draw_counts, draw_forms, draw_queue};
use super::overview::draw_status;
use super::session_actions::draw_actions;
use super::session_passkey::draw_passkey;
use super::sessions::{draw_account, draw_tabs};
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{
    flag_at, list_at, no_query, optional_text, read_document, text_at,
};
use crate::http::dashboard::layout::{address_with, render_live_page, render_time};
use crate::http::dashboard::live::{self, LivePage, PageFragment, session_filter, stream_address};
use crate::http::dashboard::texts;
use crate::http::error::Problem;
use crate::http::request::extract::SessionPath;
use crate::http::request::query::QueryParameters;
use crate::http::v1;
use crate::http::v1::events::feed_problem;
use crate::media::qr_image::QrImage;
use crate::model::access::Scope;
use crate::model::session_name::SessionName;
use crate::store::OlderEvents;

/// Entries of the timeline.
const TIMELINE_LENGTH: usize = 15;
const TIMELINE_TYPES: [&str; 3] = ["session.status", "session.paired", "session.logged_out"];

struct SessionSheet {
    caller: Caller,
    name: SessionName,
}

/// `GET /dashboard/sessions/{session}`: a session.
pub async fn show_session(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
    context: PageContext,
    caller: Caller,
    query: QueryParameters,
) -> Result<Response, Problem> {
    query.finish()?;
    let path = format!("/dashboard/live/sessions/{}", name.url_segment());
    let stream = stream_address(&gateway, &path, &[]);
    let title = name.as_str().to_owned();
    let page = SessionSheet { caller, name };
    let parts = page.draw(&gateway, &context).await?;
    let path = SessionPath(page.name.clone());
    let answer = v1::sessions::show_session(State(gateway.clone()), path, no_query()).await;
    let session = read_document(answer)?;
    let content = html! {
        h1 { (title) }
        (draw_tabs(&context, &page.name))
        @for part in parts { (part.html) }
        @if context.has_scope(Scope::Admin) {
            (draw_actions(&context, &page.name))
            (draw_forms(&context, &page.name, &session))
        }
    };
    Ok(render_live_page(&context, &title, &stream, content))
}

/// `GET /dashboard/live/sessions/{session}`: the changes of a session's page.
pub async fn stream_session(
    gateway: State<Gateway>,
    SessionPath(name): SessionPath,
    context: PageContext,
    caller: Caller,
    headers: HeaderMap,
    query: QueryParameters,
) -> Result<Response, Problem> {
    let page = SessionSheet {
        caller: caller.clone(),
        name,
    };
    live::stream_page(page, gateway, context, caller, headers, query).await
}

impl LivePage for SessionSheet {
    fn session(&self) -> Option<String> {
        Some(self.name.as_str().to_owned())
    }

    async fn draw(
        &self,
        gateway: &Gateway,
        context: &PageContext,
    ) -> Result<Vec<PageFragment>, Problem> {
        let path = SessionPath(self.name.clone());
        let answer = v1::sessions::show_session(State(gateway.clone()), path, no_query()).await;
        let session = read_document(answer)?;
        let qr = draw_qr(gateway, context, &self.name, &session);
        let timeline = read_timeline(gateway, &self.caller, &self.name).await?;
        Ok(vec![
            PageFragment::fixed("qr", qr),
            PageFragment::fixed("state", draw_state(context, &session)),
            PageFragment::fixed("queue", draw_queue(gateway, context, &self.name).await?),
            PageFragment::fixed("counts", draw_counts(gateway, context, &self.name).await?),
            PageFragment::fixed("timeline", draw_timeline(context, &self.name, &timeline)),
        ])
    }
}

/// Draws the QR code or the step of a passkey that waits. The code links any phone to the session, so that
/// it is for admins.
fn draw_qr(
    gateway: &Gateway,
    context: &PageContext,
    name: &SessionName,
    session: &Value,
) -> Markup {
    let is_waiting = text_at(session, "status") == "scan_qr";
    let code = gateway
        .sessions
        .find(name)
        .and_then(|session| session.state().qr);
    let now = gateway.clock.now();
    let seconds_until = |end: Timestamp| end.duration_since(now).as_secs().max(0);
    let drawn = code.filter(|code| code.expires_at > now).and_then(|code| {
        let left = seconds_until(code.expires_at);
        Some((QrImage::from_text(&code.text).ok()?.to_svg(), left))
    });
    let found = gateway.sessions.find(name);
    let passkey = found.and_then(|session| session.state().passkey);
    html! {
        section id="qr" {
            @if let Some(passkey) = passkey {
                (draw_passkey(context, name, &passkey, seconds_until(passkey.expires_at)))
            } @else if is_waiting && !context.has_scope(Scope::Admin) {
                p.card { (context.text(texts::QR_ADMINS_ONLY)) }
            } @else if is_waiting {
                div.card {
                    @if let Some((svg, left)) = drawn {
                        p { (context.text(texts::SCAN)) }
                        div.qr role="img" aria-label=(context.text(texts::QR_ALT)) {
                            (PreEscaped(svg))
                        }
                        p {
                            (context.text(texts::SECONDS_LEFT)) " "
                            span.seconds data-seconds=(left) { (left) }
                        }
                    } @else {
                        p { (context.text(texts::QR_EXPIRED)) }
                    }
                }
            }
        }
    }
}

fn draw_state(context: &PageContext, session: &Value) -> Markup {
    let yes_or_no = |flag| context.text(if flag { texts::YES } else { texts::NO });
    html! {
        section.card id="state" {
            h2 { (context.text(texts::STATUS)) }
            dl {
                div {
                    dt { (context.text(texts::STATUS)) }
                    dd { (draw_status(session)) " " (context.text(texts::SINCE)) " "
                        (render_time(text_at(session, "since"))) }
                }
                div { dt { (context.text(texts::ACCOUNT)) } dd { (draw_account(context, session)) } }
                div {
                    dt { (context.text(texts::PAIRED)) }
                    dd { (yes_or_no(flag_at(session, "paired"))) }
                }
                div {
                    dt { (context.text(texts::CONNECTION)) }
                    dd { (text_at(session, "connection/state")) " " (context.text(texts::SINCE)) " "
                        (render_time(text_at(session, "connection/since"))) }
                }
                @if let Some(host) = optional_text(session, "proxy/host") {
                    div {
                        dt { (context.text(texts::PROXY)) }
                        dd { (text_at(session, "proxy/scheme")) "://" (host) ":" (session["proxy"]["port"]) }
                    }
                }
                @if let Some(app_state) = optional_text(session, "app_state") {
                    div { dt { (context.text(texts::APP_STATE)) } dd { (app_state) } }
                }
                div {
                    dt { (context.text(texts::LAST_RECEIVED)) }
                    dd {
                        @match optional_text(session, "last_received_at") {
                            Some(at) => (render_time(at)),
                            None => (context.text(texts::UNTIL_NOW)),
                        }
                    }
                }
                @if let Some(status) = optional_text(session, "history/status") {
                    div {
                        dt { (context.text(texts::HISTORY)) }
                        dd { (status) " " (session["history"]["progress"]) " %" }
                    }
                }
                @if !list_at(session, "disabled_webhooks").is_empty() {
                    div {
                        dt { (context.text(texts::DISABLED_WEBHOOKS)) }
                        dd {
                            @for webhook in list_at(session, "disabled_webhooks") {
                                (text_at(webhook, "id")) " (" (text_at(webhook, "reason")) ") "
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the last changes of the session's status.
async fn read_timeline(
    gateway: &Gateway,
    caller: &Caller,
    name: &SessionName,
) -> Result<OlderEvents, Problem> {
    let mut filter = session_filter(caller, Some(name.as_str()))?;
    filter.types = TIMELINE_TYPES.map(str::to_owned).to_vec();
    let events = gateway.store.events();
    let read = events.read_events_before(i64::MAX, &filter, TIMELINE_LENGTH);
    read.await.map_err(feed_problem)
}

fn draw_timeline(context: &PageContext, name: &SessionName, timeline: &OlderEvents) -> Markup {
    let bodies = timeline.events.iter();
    let bodies: Vec<Value> = bodies
        .filter_map(|event| serde_json::from_str(&event.body).ok())
        .collect();
    let older = timeline.next.map(|next| {
        let (types, next) = (TIMELINE_TYPES.join(","), next.to_string());
        let choice = [
            ("session", name.as_str()),
            ("types", &types),
            ("before", &next),
        ];
        address_with("/dashboard/events", &choice)
    });
    html! {
        section.card id="timeline" {
            h2 { (context.text(texts::TIMELINE)) }
            @if bodies.is_empty() { p { (context.text(texts::NO_TIMELINE)) } }
            ol.timeline {
                @for event in &bodies {
                    li {
                        (render_time(text_at(event, "timestamp"))) " "
                        @match optional_text(event, "data/status") {
                            Some(_) => (draw_status(&event["data"])),
                            None => {
                                code { (text_at(event, "type")) }
                                @if let Some(reason) = optional_text(event, "data/reason") {
                                    " " span.reason { (reason) }
                                }
                            }
                        }
                    }
                }
            }
            @if let Some(older) = older { p { a href=(older) { (context.text(texts::OLDER)) } } }
        }
    }
}
