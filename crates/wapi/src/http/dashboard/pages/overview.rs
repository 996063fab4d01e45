//! The overview: sessions that need a hand, counts, and queues. Every number is measured.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use super::operator::numbers::{GatewayNumbers, draw_queues, draw_traffic, read_numbers};
use super::sessions::{list_documents, session_address};
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{list_at, no_query, optional_text, text_at};
use crate::http::dashboard::layout::{render_live_page, render_time};
use crate::http::dashboard::live::{self, LivePage, PageFragment, stream_address};
use crate::http::dashboard::texts;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;
use crate::model::timestamp::format_timestamp;

/// Statuses that last until a person acts.
const WAITING_FOR_PEOPLE: [&str; 4] = ["scan_qr", "passkey", "logged_out", "failed"];

/// Sessions that wait for people and are named; the others are counted.
const MOST_WAITING: usize = 50;

struct OverviewPage {
    caller: Caller,
}

/// `GET /dashboard`: the overview.
pub async fn show_overview(
    State(gateway): State<Gateway>,
    context: PageContext,
    caller: Caller,
    query: QueryParameters,
) -> Result<Response, Problem> {
    query.finish()?;
    let stream = stream_address(&gateway, "/dashboard/live", &[]);
    let parts = OverviewPage { caller }.draw(&gateway, &context).await?;
    let content = html! {
        h1 { (context.text(texts::OVERVIEW)) }
        @for part in parts { (part.html) }
    };
    Ok(render_live_page(
        &context,
        context.text(texts::OVERVIEW),
        &stream,
        content,
    ))
}

/// `GET /dashboard/live`: the changes of the overview.
pub async fn stream_overview(
    gateway: State<Gateway>,
    context: PageContext,
    caller: Caller,
    headers: HeaderMap,
    query: QueryParameters,
) -> Result<Response, Problem> {
    let page = OverviewPage {
        caller: caller.clone(),
    };
    live::stream_page(page, gateway, context, caller, headers, query).await
}

impl LivePage for OverviewPage {
    // Its numbers come from whole tables.
    const PAUSE: Duration = Duration::from_secs(2);
    const IS_MEASURED: bool = true;

    fn session(&self) -> Option<String> {
        None
    }

    async fn draw(
        &self,
        gateway: &Gateway,
        context: &PageContext,
    ) -> Result<Vec<PageFragment>, Problem> {
        // Whoever loads the page wants it as it is now.
        self.draw_with(gateway, context, Duration::ZERO).await
    }

    async fn redraw(
        &self,
        gateway: &Gateway,
        context: &PageContext,
        max_age: Duration,
    ) -> Result<Vec<PageFragment>, Problem> {
        self.draw_with(gateway, context, max_age).await
    }
}

impl OverviewPage {
    /// Draws the parts with numbers that are at most this old.
    async fn draw_with(
        &self,
        gateway: &Gateway,
        context: &PageContext,
        max_age: Duration,
    ) -> Result<Vec<PageFragment>, Problem> {
        let sessions = list_documents(gateway, &self.caller, no_query()).await?;
        let now = gateway.clock.now();
        let limited: Vec<_> = gateway
            .sessions
            .all_sessions()
            .iter()
            .filter(|session| self.caller.can_reach(session.name.as_str()))
            .filter(|session| {
                let limits = session.limits();
                limits.timelock.holds(now) || limits.new_chats.is_used_up(now)
            })
            .map(|session| session.name.as_str().to_owned())
            .collect();
        let mut parts = vec![
            PageFragment::fixed("needs-a-hand", draw_waiting(context, &sessions, &limited)),
            PageFragment::fixed("by-status", draw_counts(context, &sessions)),
        ];
        if context.is_admin_of_all() {
            let numbers = read_numbers(gateway, max_age).await?;
            parts.extend([
                PageFragment::fixed("gateway", draw_gateway(context, &numbers)),
                PageFragment::fixed("traffic", draw_traffic(context, &numbers)),
                PageFragment::fixed("queues", draw_queues(context, &numbers)),
            ]);
        }
        Ok(parts)
    }
}

fn draw_waiting(context: &PageContext, sessions: &[Value], limited: &[String]) -> Markup {
    let is_limited = |session: &Value| limited.iter().any(|name| name == text_at(session, "id"));
    let waiting = |session: &&Value| {
        WAITING_FOR_PEOPLE.contains(&text_at(session, "status"))
            || is_limited(session)
            || session["disabled_webhooks"]
                .as_array()
                .is_some_and(|list| !list.is_empty())
    };
    let waiting: Vec<_> = sessions.iter().filter(waiting).collect();
    html! {
        section.card id="needs-a-hand" {
            h2 { (context.text(texts::NEEDS_A_HAND)) }
            @if sessions.is_empty() {
                p { (context.text(texts::NO_SESSIONS)) " "
                    a href="/dashboard/sessions" { (context.text(texts::NEW_SESSION)) } }
            } @else if waiting.is_empty() {
                p { (context.text(texts::ALL_WELL)) }
            }
            ul {
                @for session in waiting.iter().take(MOST_WAITING) {
                    li {
                        a href=(session_address(text_at(session, "id"))) { (text_at(session, "id")) }
                        " " (draw_status(session))
                        " " (render_time(text_at(session, "since")))
                        @if is_limited(session) { " " span.reason { (context.text(texts::LIMITED)) } }
                        @for webhook in list_at(session, "disabled_webhooks") {
                            " " span.reason {
                                (context.text(texts::WEBHOOK)) " " (text_at(webhook, "id")) " "
                                (context.text(texts::WEBHOOK_DISABLED)) ": " (text_at(webhook, "reason"))
                            }
                        }
                    }
                }
            }
            @if let Some(more) = waiting.len().checked_sub(MOST_WAITING).filter(|more| *more > 0) {
                p { a href="/dashboard/sessions" { (context.text(texts::MORE)) " " (more) } }
            }
        }
    }
}

/// Draws a session's status in the API's words, with its reason.
pub fn draw_status(session: &Value) -> Markup {
    let status = text_at(session, "status");
    html! {
        span.status data-status=(status) { (status) }
        @if let Some(reason) = optional_text(session, "reason") { " " span.reason { (reason) } }
    }
}

fn draw_counts(context: &PageContext, sessions: &[Value]) -> Markup {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for session in sessions {
        *counts.entry(text_at(session, "status")).or_default() += 1;
    }
    html! {
        section.card id="by-status" {
            h2 { (context.text(texts::BY_STATUS)) }
            dl.counts {
                @for (status, count) in counts {
                    div {
                        dt { span.status data-status=(status) { (status) } }
                        dd { (count) }
                    }
                }
            }
        }
    }
}

fn draw_gateway(context: &PageContext, numbers: &GatewayNumbers) -> Markup {
    let stats = &numbers.stats;
    let count_of = |kind: &str| stats.events.get(kind).copied().unwrap_or_default();
    let oldest = stats.oldest_waiting.map(|oldest| {
        let age = numbers.measured_at.duration_since(oldest);
        age.as_secs().max(0).unsigned_abs()
    });
    let rows = [
        (texts::RECEIVED_SINCE_START, count_of("message.received")),
        (texts::SENT_SINCE_START, count_of("message.sent")),
        (texts::MESSAGES_WAITING, stats.open.values().sum()),
        (texts::DELIVERIES_WAITING, stats.waiting.values().sum()),
        (texts::DATABASE_MIB, stats.used_bytes / (1 << 20)),
    ];
    html! {
        section.card id="gateway" {
            h2 { (context.text(texts::GATEWAY)) }
            p.hint {
                (context.text(texts::MEASURED_AT)) " " (render_time(&format_timestamp(numbers.measured_at)))
            }
            dl.counts {
                div { dt { (context.text(texts::VERSION)) } dd { (env!("CARGO_PKG_VERSION")) } }
                @for (text, number) in rows {
                    div { dt { (context.text(text)) } dd { (number) } }
                }
                @if let Some(oldest) = oldest {
                    div { dt { (context.text(texts::OLDEST_DELIVERY)) } dd { (oldest) } }
                }
            }
        }
    }
}
