//! The deliveries of a webhook: their attempts, resending, and replaying.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::{Value, json};

use crate::http::Gateway;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{
    list_at, no_query, number_at, optional_text, read_document, text_at,
};
use crate::http::dashboard::form::{PageForm, form_token};
use crate::http::dashboard::layout::{action_button, address_with, render_page, render_time};
use crate::http::dashboard::login::forms::{FormFields, json_fields};
use crate::http::dashboard::texts;
use crate::http::error::Problem;
use crate::http::request::extract::OptionalJson;
use crate::http::request::query::QueryParameters;
use crate::http::v1;
use crate::model::timestamp::format_timestamp;

const STATUSES: [&str; 3] = ["waiting", "delivered", "dead"];
/// Pages of the route that are read in search of one delivery. Each looks at some thousand.
const MOST_PAGES: usize = 20;

fn page_address(webhook: &str) -> String {
    format!("/dashboard/webhooks/{webhook}/deliveries")
}

fn list_query(pairs: &[(&str, &str)]) -> QueryParameters {
    QueryParameters::parse(address_with("", pairs).trim_start_matches('?'))
}

/// `GET …/deliveries?status=&before=`: the deliveries, newest first.
pub async fn show_deliveries(
    State(gateway): State<Gateway>,
    context: PageContext,
    Path(webhook): Path<String>,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let mut given = |name| query.optional_text(name).unwrap_or_default();
    let (status, before) = (given("status"), given("before"));
    query.finish()?;
    let document = find_deliveries(&gateway, &webhook, &status, before).await?;
    let title = format!("{} · {webhook}", context.text(texts::DELIVERIES));
    let address = page_address(&webhook);
    let next = number_at(&document, "next");
    let content = html! {
        h1 { (context.text(texts::DELIVERIES)) " · " (webhook) }
        nav {
            a href=(address) aria-current=[status.is_empty().then_some("page")] { (context.text(texts::ALL)) }
            @for other in STATUSES {
                a href={ (address) "?status=" (other) } aria-current=[(status == other).then_some("page")] { (other) }
            }
        }
        @if !list_at(&document, "deliveries").is_empty() { (draw_table(&context, &address, &document)) }
        @else if next.is_some() { p { (context.text(texts::NONE_SO_FAR)) } }
        @else { p { (context.text(texts::NO_DELIVERIES)) } }
        @if let Some(next) = next {
            p {
                a rel="next" href=(address_with(&address, &[("status", &status), ("before", &next)])) {
                    (context.text(texts::OLDER))
                }
            }
        }
        section.card {
            h2 { (context.text(texts::ACTIONS)) }
            (action_button(&context, &format!("{address}/resend-failed"), texts::RESEND_FAILED))
            (replay_form(&context, &webhook))
        }
    };
    Ok(render_page(&context, &title, content))
}

/// Returns a page of deliveries. A page of the route may be empty long before the end: this one goes
/// on until it finds something.
async fn find_deliveries(
    gateway: &Gateway,
    webhook: &str,
    status: &str,
    mut before: String,
) -> Result<Value, Problem> {
    for _ in 1..MOST_PAGES {
        let page = list_page(gateway, webhook, status, &before).await?;
        match number_at(&page, "next") {
            Some(next) if list_at(&page, "deliveries").is_empty() => before = next,
            _ => return Ok(page),
        }
    }
    list_page(gateway, webhook, status, &before).await
}

async fn list_page(
    gateway: &Gateway,
    webhook: &str,
    status: &str,
    before: &str,
) -> Result<Value, Problem> {
    let query = list_query(&[("status", status), ("before", before)]);
    let (gateway, webhook) = (State(gateway.clone()), Path(webhook.to_owned()));
    read_document(v1::webhooks::deliveries::list_deliveries(gateway, webhook, query).await)
}

fn draw_table(context: &PageContext, address: &str, document: &Value) -> Markup {
    let headings = [
        texts::EVENT,
        texts::STATUS,
        texts::ATTEMPTS,
        texts::CREATED,
        texts::ACTIONS,
    ];
    html! {
        table {
            thead { tr { @for text in headings { th scope="col" { (context.text(text)) } } } }
            tbody {
                @for delivery in list_at(document, "deliveries") {
                    (draw_delivery(context, address, delivery))
                }
            }
        }
    }
}

fn draw_delivery(context: &PageContext, address: &str, delivery: &Value) -> Markup {
    let id = number_at(delivery, "id").unwrap_or_default();
    let status = text_at(delivery, "status");
    html! {
        tr id={ "d-" (id) } {
            td data-label=(context.text(texts::EVENT)) {
                strong { (text_at(delivery, "event/type")) } " "
                bdi { (text_at(delivery, "event/session")) } br;
                code { (text_at(delivery, "event/id")) }
            }
            td data-label=(context.text(texts::STATUS)) {
                span.status data-status=(status) { (status) }
                @if let Some(next) = optional_text(delivery, "next_attempt_at") {
                    br; (context.text(texts::NEXT_ATTEMPT)) " " (render_time(next))
                }
            }
            td data-label=(context.text(texts::ATTEMPTS)) {
                (number_at(delivery, "attempts").unwrap_or_default())
                (draw_attempts(context, delivery))
            }
            td data-label=(context.text(texts::CREATED)) { (render_time(text_at(delivery, "created_at"))) }
            td data-label=(context.text(texts::ACTIONS)) {
                (action_button(context, &format!("{address}/{id}/resend"), texts::RESEND))
            }
        }
    }
}

fn draw_attempts(context: &PageContext, delivery: &Value) -> Markup {
    let attempts = list_at(delivery, "failed_attempts");
    html! {
        @if !attempts.is_empty() {
            details {
                summary { (context.text(texts::FAILURES)) ": " (attempts.len()) }
                ol {
                    @for attempt in attempts {
                        li {
                            (render_time(text_at(attempt, "at"))) " "
                            @if let Some(status) = number_at(attempt, "status") { strong { (status) } " " }
                            (text_at(attempt, "error"))
                            @if let Some(answer) = optional_text(attempt, "answer") {
                                pre { (context.text(texts::ANSWER)) ": " (answer) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn replay_form(context: &PageContext, webhook: &str) -> Markup {
    let action = format!("/dashboard/webhooks/{webhook}/replay");
    let form = PageForm::new(context, &action);
    html! {
        form method="post" action=(action) {
            (form_token(context))
            (form.field("from", texts::REPLAY_FROM).placeholder("2030-01-31T12:00:00Z"))
            (form.field("from_seq", texts::REPLAY_FROM_SEQ).digits())
            (form.field("to", texts::REPLAY_TO).placeholder("2030-01-31T13:00:00Z"))
            button type="submit" { (context.text(texts::REPLAY)) }
        }
    }
}

/// `POST …/deliveries/{delivery}/resend`: posts a delivery again, and leads back to the list.
pub async fn resend_delivery(
    gateway: State<Gateway>,
    context: PageContext,
    Path((webhook, delivery)): Path<(String, String)>,
    _: FormFields,
) -> Result<Response, Problem> {
    resend(gateway, &webhook, delivery).await?;
    let back = context.back_to(&page_address(&webhook));
    Ok(Redirect::to(&back).into_response())
}

/// `POST …/deliveries/resend-failed`: posts again those that were given up, and shows how many.
pub async fn resend_failed(
    gateway: State<Gateway>,
    context: PageContext,
    Path(webhook): Path<String>,
    _: FormFields,
) -> Result<Response, Problem> {
    let back = context.back_to(&page_address(&webhook));
    let body = json_fields(json!({"status": "dead"}));
    let path = Path(webhook.clone());
    let answer = v1::webhooks::deliveries::resend_deliveries(gateway, no_query(), path, body).await;
    let document = read_document(answer.map(|(_, document)| document))?;
    let title = context.text(texts::RESEND_FAILED);
    let content = html! {
        h1 { (title) " · " (webhook) }
        section.card {
            p { (context.text(texts::RESENT)) " "
                strong id="resent" { (number_at(&document, "deliveries").unwrap_or_default()) } }
            p { a href=(back) { (context.text(texts::DELIVERIES)) } }
        }
    };
    Ok(render_page(&context, title, content))
}

async fn resend(gateway: State<Gateway>, webhook: &str, delivery: String) -> Result<(), Problem> {
    let body = OptionalJson(json_fields(Value::Null));
    let path = Path((webhook.to_owned(), delivery));
    let resent = v1::webhooks::deliveries::resend_delivery(gateway, no_query(), path, body).await;
    resent.map(drop)
}

/// `POST …/replay`: counts the events of a period first, and replays them once that is confirmed.
pub async fn replay_events(
    gateway: State<Gateway>,
    context: PageContext,
    Path(webhook): Path<String>,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let back = context.back_to(&page_address(&webhook));
    let to = fields
        .take("to")
        .unwrap_or_else(|| format_timestamp(gateway.clock.now()));
    let mut wish = json!({"to": to});
    match fields.take("from_seq") {
        // What is no number is refused by the route, by name.
        Some(seq) => wish["from_seq"] = seq.parse::<u64>().map_or(json!(seq), Value::from),
        None => wish["from"] = fields.require("from")?.into(),
    }
    let is_confirmed = fields.take("confirmed").is_some();
    wish["dry_run"] = (!is_confirmed).into();
    let body = json_fields(wish.clone());
    let path = Path(webhook.clone());
    let answer = v1::webhooks::deliveries::replay_events(gateway, no_query(), path, body).await;
    let document = read_document(answer.map(|(_, document)| document))?;
    let events = number_at(&document, "events").unwrap_or_default();
    let title = context.text(texts::REPLAY);
    let content = if is_confirmed {
        html! { p { (context.text(texts::REPLAYED)) " " strong id="replayed" { (events) } } }
    } else {
        html! {
            p { (context.text(texts::REPLAYS)) " " strong id="count" { (events) } }
            form method="post" action={ "/dashboard/webhooks/" (webhook) "/replay" } {
                (form_token(&context))
                @for name in ["from", "from_seq"] {
                    @if let Some(value) = optional_text(&wish, name).map(str::to_owned).or_else(|| number_at(&wish, name)) {
                        input type="hidden" name=(name) value=(value);
                    }
                }
                input type="hidden" name="to" value=(to);
                input type="hidden" name="confirmed" value="yes";
                button type="submit" { (title) }
            }
        }
    };
    let content = html! {
        h1 { (title) " · " (webhook) }
        section.card {
            (content)
            p { a href=(back) { (context.text(texts::DELIVERIES)) } }
        }
    };
    Ok(render_page(&context, title, content))
}
