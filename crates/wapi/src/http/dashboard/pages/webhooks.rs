//! The webhooks: their state, their test, and what they did not accept.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::Value;

use super::operator;
use crate::http::Gateway;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{
    flag_at, list_at, no_query, number_at, optional_text, page_after, read_document, text_at,
};
use crate::http::dashboard::form::form_token;
use crate::http::dashboard::layout::{action_button, address_with, render_page, render_time};
use crate::http::dashboard::login::forms::{FormFields, json_fields};
use crate::http::dashboard::texts;
use crate::http::error::Problem;
use crate::http::request::extract::OptionalJson;
use crate::http::request::query::QueryParameters;
use crate::http::v1;

/// Webhooks on one page.
const PAGE_SIZE: usize = 25;

/// `GET /dashboard/webhooks?event=&after=`: the webhooks; with an event, those it can be sent to.
pub async fn show_webhooks(
    State(gateway): State<Gateway>,
    context: PageContext,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let event = query.optional_text("event").unwrap_or_default();
    let after = query.optional_text("after").unwrap_or_default();
    query.finish()?;
    let answer = v1::webhooks::list_webhooks(State(gateway), no_query()).await;
    let document = read_document(answer)?;
    let (webhooks, next) = page_after(list_at(&document, "webhooks"), "id", &after, PAGE_SIZE);
    let next = next.map(|next| {
        address_with(
            "/dashboard/webhooks",
            &[("event", &*event), ("after", next)],
        )
    });
    let title = context.text(texts::WEBHOOKS);
    let content = html! {
        h1 { (title) }
        @if event.is_empty() {
            @for webhook in webhooks { (draw_webhook(&context, webhook)) }
        } @else {
            (draw_choice(&context, &webhooks, &event))
        }
        @if let Some(next) = next { p { a rel="next" href=(next) { (context.text(texts::LATER)) } } }
        @if event.is_empty() { (operator::creation_form(&context)) }
    };
    Ok(render_page(&context, title, content))
}

/// Draws the webhooks to which one event can be sent.
fn draw_choice(context: &PageContext, webhooks: &[&Value], event: &str) -> Markup {
    html! {
        p { (context.text(texts::CHOOSE_WEBHOOK)) " " code { (event) } }
        @for webhook in webhooks {
            form.card method="post" action={ "/dashboard/webhooks/" (text_at(webhook, "id")) "/deliveries/send" } {
                (form_token(context))
                input type="hidden" name="event" value=(event);
                p { (text_at(webhook, "url")) }
                button type="submit" { (context.text(texts::SEND)) " → " (text_at(webhook, "id")) }
            }
        }
    }
}

/// Draws a webhook, on its page and in the list of all.
pub fn draw_webhook(context: &PageContext, webhook: &Value) -> Markup {
    let id = text_at(webhook, "id");
    let address = format!("/dashboard/webhooks/{id}");
    let types: Vec<_> = list_at(webhook, "types")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    html! {
        section.card {
            h2 { a href=(address) { (id) } }
            p { a href={ (address) "/deliveries" } { (context.text(texts::DELIVERIES)) } }
            dl {
                div { dt { (context.text(texts::ADDRESS)) } dd { (text_at(webhook, "url")) } }
                div {
                    dt { (context.text(texts::SESSION)) }
                    dd {
                        @match optional_text(webhook, "session") {
                            Some(session) => (session),
                            None => (context.text(texts::ALL)),
                        }
                    }
                }
                div {
                    dt { (context.text(texts::EVENTS)) }
                    dd { @if types.is_empty() { (context.text(texts::ALL)) } @else { (types.join(", ")) } }
                }
                div {
                    dt { (context.text(texts::ENABLED)) }
                    dd {
                        @if flag_at(webhook, "enabled") { (context.text(texts::YES)) }
                        @else {
                            (context.text(texts::NO)) ": " (text_at(webhook, "disabled/reason")) " "
                            (render_time(text_at(webhook, "disabled/since")))
                        }
                    }
                }
                div {
                    dt { (context.text(texts::FAILURES)) }
                    dd {
                        (number_at(webhook, "failures").unwrap_or_default())
                        @if let Some(since) = optional_text(webhook, "failing_since") {
                            " " (context.text(texts::SINCE)) " " (render_time(since))
                        }
                    }
                }
            }
            div.row {
                (action_button(context, &format!("{address}/test"), texts::TEST))
                @if !flag_at(webhook, "enabled") {
                    (action_button(context, &format!("{address}/enable"), texts::ENABLE))
                }
            }
        }
    }
}

/// `POST …/enable`: enables a webhook; its events go on.
pub async fn enable_webhook(
    gateway: State<Gateway>,
    context: PageContext,
    id: Path<String>,
    _: FormFields,
) -> Result<Response, Problem> {
    let body = OptionalJson(json_fields(Value::Null));
    let enabled = v1::webhooks::enable_webhook(gateway, no_query(), id, body).await;
    enabled.map(drop)?;
    Ok(Redirect::to(&context.back_to("/dashboard/webhooks")).into_response())
}

/// `POST …/test`: posts a test event, and shows the answer.
pub async fn test_webhook(
    gateway: State<Gateway>,
    context: PageContext,
    id: Path<String>,
    _: FormFields,
) -> Result<Response, Problem> {
    let body = OptionalJson(json_fields(Value::Null));
    let answer = v1::webhooks::test_webhook(gateway, no_query(), id, body).await;
    let document = read_document(answer)?;
    let title = context.text(texts::TEST);
    let content = html! {
        h1 { (title) }
        section.card id="test-result" {
            dl {
                div {
                    dt { (context.text(texts::TAKEN)) }
                    dd { (context.text(if flag_at(&document, "taken") { texts::YES } else { texts::NO })) }
                }
                @if let Some(status) = number_at(&document, "status") {
                    div { dt { (context.text(texts::STATUS)) } dd { strong { (status) } } }
                }
                @if let Some(error) = optional_text(&document, "error") {
                    div { dt { (context.text(texts::ERROR)) } dd { (error) } }
                }
                div {
                    dt { (context.text(texts::MILLISECONDS)) }
                    dd { (number_at(&document, "took_ms").unwrap_or_default()) }
                }
            }
            @if let Some(answer) = optional_text(&document, "answer") {
                pre { (context.text(texts::ANSWER)) ": " (answer) }
            }
            p { a href="/dashboard/webhooks" { (context.text(texts::WEBHOOKS)) } }
        }
    };
    Ok(render_page(&context, title, content))
}
