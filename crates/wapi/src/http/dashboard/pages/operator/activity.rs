//! The activity: what callers did, to which session, from where.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;
use strum::VariantNames;

use crate::http::Gateway;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{
    list_at, number_at, optional_text, read_document, text_at,
};
use crate::http::dashboard::layout::{address_with, render_page, render_time};
use crate::http::dashboard::pages::sessions::session_address;
use crate::http::dashboard::texts::{self, PageText};
use crate::http::error::Problem;
use crate::http::monitoring;
use crate::http::request::query::QueryParameters;
use crate::store::ActivityKind;

const PAGE: &str = "/dashboard/activity";
/// Parameters that select rows.
const FILTERS: [&str; 3] = ["kind", "session", "key"];

fn list_query(pairs: &[(&str, &str)]) -> QueryParameters {
    QueryParameters::parse(address_with("", pairs).trim_start_matches('?'))
}

/// `GET /dashboard/activity?kind=&session=&key=&before=`: a page, newest first.
pub async fn show_activity(
    State(gateway): State<Gateway>,
    context: PageContext,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let filters = FILTERS.map(|name| (name, query.optional_text(name).unwrap_or_default()));
    let before = query.optional_text("before").unwrap_or_default();
    query.finish()?;
    let mut pairs: Vec<_> = filters
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    let export = address_with("/dashboard/activity/export", &pairs);
    pairs.push(("before", &before));
    let page = monitoring::activity::read_page(&gateway, list_query(&pairs)).await;
    let document = read_document(page.map(axum::Json))?;
    let rows = list_at(&document, "activity");
    let next = number_at(&document, "next");
    let next = next.as_deref().map(|next| {
        pairs.pop();
        pairs.push(("before", next));
        address_with(PAGE, &pairs)
    });
    let title = context.text(texts::ACTIVITY);
    let headings = [
        texts::TIME,
        texts::CALLER,
        texts::REQUEST,
        texts::SESSION,
        texts::OUTCOME,
        texts::FROM_ADDRESS,
    ];
    let content = html! {
        h1 { (title) }
        p.hint { (context.text(texts::ACTIVITY_HINT)) }
        (filter_form(&context, &filters))
        p { a href=(export) download="activity.ndjson" { (context.text(texts::EXPORT)) } }
        @if rows.is_empty() { p { (context.text(texts::NO_ACTIVITY)) } }
        @else {
            table id="activity" {
                thead { tr { @for text in headings { th scope="col" { (context.text(text)) } } } }
                tbody { @for row in rows { (draw_row(&context, row)) } }
            }
        }
        @if let Some(next) = next { p { a rel="next" href=(next) { (context.text(texts::OLDER)) } } }
    };
    Ok(render_page(&context, title, content))
}

const fn kind_text(kind: &str) -> PageText {
    match kind.as_bytes() {
        b"send" => texts::KIND_SEND,
        b"read" => texts::KIND_READ,
        b"login" => texts::KIND_LOGIN,
        _ => texts::KIND_CHANGE,
    }
}

fn filter_form(context: &PageContext, filters: &[(&str, String); 3]) -> Markup {
    let [(_, kind), (_, session), (_, key)] = filters;
    html! {
        form method="get" action=(PAGE) {
            label for="kind" { (context.text(texts::KIND)) }
            select id="kind" name="kind" {
                option value="" { (context.text(texts::ALL)) }
                @for other in ActivityKind::VARIANTS {
                    option value=(other) selected[other == kind] { (context.text(kind_text(other))) }
                }
            }
            label for="session" { (context.text(texts::SESSION)) }
            input id="session" name="session" value=(session);
            label for="key" { (context.text(texts::KEY_ID)) }
            input id="key" name="key" value=(key);
            button type="submit" { (context.text(texts::FILTER)) }
        }
    }
}

fn draw_row(context: &PageContext, row: &Value) -> Markup {
    let requests = number_at(row, "requests").unwrap_or_default();
    let failures = number_at(row, "failures").unwrap_or_default();
    html! {
        tr id={ "a-" (number_at(row, "seq").unwrap_or_default()) } {
            td data-label=(context.text(texts::TIME)) { (render_time(text_at(row, "at"))) }
            td data-label=(context.text(texts::CALLER)) { (draw_caller(context, &row["who"])) }
            td data-label=(context.text(texts::REQUEST)) {
                code { (text_at(row, "method")) " " (text_at(row, "route")) }
                " " span.quiet { (context.text(kind_text(text_at(row, "kind")))) }
            }
            td data-label=(context.text(texts::SESSION)) {
                @if let Some(session) = optional_text(row, "session") {
                    a href=(session_address(session)) { bdi { (session) } }
                }
            }
            td data-label=(context.text(texts::OUTCOME)) {
                @if row["request_id"].is_null() {
                    (context.text(texts::REQUESTS)) " " (requests)
                    @if failures != "0" { ", " (context.text(texts::FAILED_REQUESTS)) " " (failures) }
                } @else {
                    (number_at(row, "status").unwrap_or_else(|| context.text(texts::UNKNOWN).to_owned()))
                }
                @if let Some(problem) = optional_text(row, "problem") { " " code { (problem) } }
            }
            td data-label=(context.text(texts::FROM_ADDRESS)) { (text_at(row, "address")) }
        }
    }
}

fn draw_caller(context: &PageContext, who: &Value) -> Markup {
    html! {
        @match text_at(who, "type") {
            "api_key" => { bdi { (text_at(who, "key_name")) } br; code { (text_at(who, "key_id")) } }
            "setting" => (context.text(texts::KEY_OF_SETTINGS)),
            "connect_link" => (context.text(texts::WITH_LINK)),
            "stranger" => (context.text(texts::WRONG_KEY_SHOWN)),
            _ => (context.text(texts::WITHOUT_KEY)),
        }
        @if let Some(login) = optional_text(who, "login") {
            br; span.quiet { (context.text(texts::LOGIN)) " " (login) }
        }
    }
}

/// `GET /dashboard/activity/export`: everything that the filter selects, one row a line.
pub async fn export_activity(
    State(gateway): State<Gateway>,
    query: QueryParameters,
) -> Result<Response, Problem> {
    monitoring::activity::export_activity(&gateway, query)
}
