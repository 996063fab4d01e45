//! What an operator asks of a session: its limits, its queue, a check of both directions, its pace.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use crate::http::Gateway;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{
    flag_at, no_query, number_at, optional_text, read_document, text_at,
};
use crate::http::dashboard::form::{PageForm, form_token};
use crate::http::dashboard::layout::{action_button, render_page, render_time};
use crate::http::dashboard::login::forms::{FormFields, json_fields};
use crate::http::dashboard::pages::sessions::session_address;
use crate::http::dashboard::texts::{self, PageText};
use crate::http::error::Problem;
use crate::http::request::extract::SessionPath;
use crate::http::v1;
use crate::model::session_name::SessionName;
use crate::model::timestamp::format_timestamp;

/// Parts of a check, in the order of the page.
const PARTS: [(&str, PageText); 3] = [
    ("socket", texts::SOCKET),
    ("store", texts::STORE),
    ("inbound", texts::INBOUND),
];
/// Numbers of a pace.
const PACE_FIELDS: [(&str, PageText); 4] = [
    ("min_gap", texts::MIN_GAP),
    ("jitter", texts::JITTER),
    ("per_day", texts::PER_DAY),
    ("new_chats_per_day", texts::NEW_CHATS_PER_DAY),
];

/// Events of a session that are counted: as many as an index gives within a few milliseconds.
const COUNTED_EVENTS: i64 = 10_000;

/// Draws the limits that are known, and the messages that wait.
pub async fn draw_queue(
    gateway: &Gateway,
    context: &PageContext,
    name: &SessionName,
) -> Result<Markup, Problem> {
    let session = gateway.sessions.find(name).ok_or(Problem::NoSession)?;
    let limits = serde_json::to_value(session.limits()).map_err(|_| Problem::Internal)?;
    let life = gateway.sessions.life(name).ok_or(Problem::NoSession)?;
    let open = gateway.store.outbox().count_open_messages(&life).await;
    let open = open.map_err(|error| Problem::NotReady {
        detail: error.to_string(),
    })?;
    let held = session.holds.count_by_reason();
    Ok(html! {
        section.card id="queue" {
            h2 { (context.text(texts::QUEUE)) }
            dl.counts {
                div { dt { (context.text(texts::MESSAGES_WAITING)) } dd { (open) } }
                @for (reason, count) in held {
                    div { dt { (context.text(texts::HELD)) ": " code { (reason) } } dd { (count) } }
                }
            }
            h2 { (context.text(texts::LIMITS)) }
            (draw_limits(context, &limits))
        }
    })
}

/// Draws how many of the session's last events are of each type.
pub async fn draw_counts(
    gateway: &Gateway,
    context: &PageContext,
    name: &SessionName,
) -> Result<Markup, Problem> {
    let life = gateway.sessions.life(name).ok_or(Problem::NoSession)?;
    let counted = gateway.store.count_last_events(&life, COUNTED_EVENTS).await;
    let counted = counted.map_err(|error| Problem::NotReady {
        detail: error.to_string(),
    })?;
    Ok(html! {
        section.card id="counts" {
            h2 { (context.text(texts::COUNTS)) }
            @match counted.since {
                Some(since) => {
                    p.hint { (context.text(texts::COUNTED_SINCE)) " " (render_time(&format_timestamp(since))) }
                }
                None => p { (context.text(texts::COUNTED_NOTHING)) },
            }
            dl.counts {
                @for (kind, count) in counted.counts {
                    div { dt { code { (kind) } } dd { (count) } }
                }
            }
        }
    })
}

fn draw_limits(context: &PageContext, limits: &Value) -> Markup {
    let used = number_at(limits, "new_chats/used");
    html! {
        dl {
            div {
                dt { (context.text(texts::TIMELOCK)) }
                dd {
                    @if flag_at(limits, "timelock/active") {
                        span.status data-status="failed" { (context.text(texts::TIMELOCKED)) } " "
                        @if let Some(until) = optional_text(limits, "timelock/until") { (render_time(until)) }
                        @if let Some(kind) = optional_text(limits, "timelock/kind") { " " code { (kind) } }
                    } @else { (context.text(texts::ALLOWED)) }
                }
            }
            div {
                dt { (context.text(texts::NEW_CHATS)) }
                dd {
                    @match (used, number_at(limits, "new_chats/of")) {
                        (Some(used), Some(of)) => { (used) " " (context.text(texts::OUT_OF)) " " (of) }
                        _ => (context.text(texts::UNKNOWN)),
                    }
                    @if let Some(status) = optional_text(limits, "new_chats/status") { " " code { (status) } }
                }
            }
        }
    }
}

/// Draws the buttons and the pace.
pub fn draw_forms(context: &PageContext, name: &SessionName, session: &Value) -> Markup {
    let address = session_address(name.as_str());
    let pace = PageForm::new(context, &format!("{address}/pacing"));
    let types_first = flag_at(session, "pacing/typing");
    html! {
        section.card {
            h2 { (context.text(texts::CHECK)) }
            p.hint { (context.text(texts::CHECK_HINT)) }
            div.row {
                (action_button(context, &format!("{address}/check"), texts::CHECK))
                (action_button(context, &format!("{address}/limits"), texts::ASK_LIMITS))
            }
        }
        section.card {
            h2 { (context.text(texts::PACING)) }
            form.stack method="post" action={ (address) "/pacing" } {
                (form_token(context))
                @for (field, text) in PACE_FIELDS {
                    @let set = number_at(session, &format!("pacing/{field}"));
                    (pace.field(field, text).value(set.unwrap_or_default()).digits())
                }
                label {
                    input type="checkbox" name="typing" value="yes"
                        checked[pace.is_chosen("typing", "yes", types_first)];
                    " " (context.text(texts::TYPING))
                }
                button type="submit" { (context.text(texts::SAVE)) }
            }
        }
    }
}

/// `POST …/check`: checks both directions, and shows each part.
pub async fn check_session(
    gateway: State<Gateway>,
    SessionPath(name): SessionPath,
    context: PageContext,
    _: FormFields,
) -> Result<Response, Problem> {
    let answer = v1::sessions::check::check_session(gateway, SessionPath(name.clone())).await;
    let document = read_document(answer)?;
    let content = html! {
        section.card id="check" {
            p { (render_time(text_at(&document, "checked_at"))) }
            dl {
                @for (part, text) in PARTS {
                    div {
                        dt { (context.text(text)) }
                        dd { (draw_part(&context, &document[part])) }
                    }
                }
            }
        }
    };
    Ok(show_result(&context, texts::CHECK, &name, content))
}

fn draw_part(context: &PageContext, part: &Value) -> Markup {
    let is_ok = flag_at(part, "ok");
    let (status, text) = match is_ok {
        true => ("online", texts::PASSED),
        false => ("failed", texts::NOT_PASSED),
    };
    html! {
        span.status data-status=(status) { (context.text(text)) }
        @if let Some(ms) = number_at(part, "ms") { " " (ms) " ms" }
        @if let Some(proof) = optional_text(part, "proof") {
            " " (context.text(texts::PROOF)) ": " code { (proof) }
        }
        @if let Some(detail) = optional_text(part, "detail") { " " span.reason { (detail) } }
    }
}

/// `POST …/limits`: asks WhatsApp for the limits, and shows them.
pub async fn ask_limits(
    gateway: State<Gateway>,
    SessionPath(name): SessionPath,
    context: PageContext,
    _: FormFields,
) -> Result<Response, Problem> {
    let path = SessionPath(name.clone());
    let answer = v1::sessions::limits::show_limits(gateway, path, no_query()).await;
    let document = read_document(answer)?;
    let content = html! { section.card id="limits" { (draw_limits(&context, &document)) } };
    Ok(show_result(&context, texts::LIMITS, &name, content))
}

fn show_result(
    context: &PageContext,
    title: PageText,
    name: &SessionName,
    content: Markup,
) -> Response {
    let title = context.text(title);
    let content = html! {
        h1 { (title) " · " bdi { (name.as_str()) } }
        (content)
        p { a href=(session_address(name.as_str())) { (context.text(texts::BACK_TO_SESSION)) } }
    };
    render_page(context, title, content)
}

/// `POST …/pacing`: sets the pace of the session; empty fields are off.
pub async fn set_pacing(
    gateway: State<Gateway>,
    SessionPath(name): SessionPath,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let mut pacing = Map::new();
    for (field, _) in PACE_FIELDS {
        if let Some(number) = fields.take(field) {
            // What is no number is refused by the route, by name.
            let number = number.parse::<u64>().map_or(json!(number), Value::from);
            pacing.insert(field.to_owned(), number);
        }
    }
    pacing.insert("typing".to_owned(), fields.take("typing").is_some().into());
    let body = json_fields(json!({"pacing": pacing}));
    let path = SessionPath(name.clone());
    let changed = v1::sessions::settings::change_session(gateway, path, body).await;
    changed.map(drop)?;
    Ok(Redirect::to(&session_address(name.as_str())).into_response())
}
