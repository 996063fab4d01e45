//! One webhook: its settings, its secret, one event for it, and its removal.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use crate::http::Gateway;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{
    flag_at, list_at, no_query, optional_text, read_document, text_at,
};
use crate::http::dashboard::form::{PageForm, form_token};
use crate::http::dashboard::layout::{action_button, render_page, render_time};
use crate::http::dashboard::login::KeyConfirmation;
use crate::http::dashboard::login::forms::{FormFields, json_fields};
use crate::http::dashboard::pages::webhooks::draw_webhook;
use crate::http::dashboard::texts;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;
use crate::http::v1;
use crate::model::event::TYPES;
use crate::webhooks::ORIGINAL_ENDPOINT;

const LIST: &str = "/dashboard/webhooks";

fn page_address(id: &str) -> String {
    format!("{LIST}/{id}")
}

/// `GET /dashboard/webhooks/{id}`: a webhook, and everything that can be changed of it.
pub async fn show_webhook(
    State(gateway): State<Gateway>,
    context: PageContext,
    Path(id): Path<String>,
    query: QueryParameters,
) -> Result<Response, Problem> {
    query.finish()?;
    let answer = v1::webhooks::show_webhook(State(gateway), no_query(), Path(id.clone())).await;
    let webhook = read_document(answer)?;
    let title = format!("{} · {id}", context.text(texts::WEBHOOK));
    let address = page_address(&id);
    let content = html! {
        h1 { (title) }
        (draw_webhook(&context, &webhook))
        (event_form(&context, &address))
        @if id == ORIGINAL_ENDPOINT {
            p.hint { (context.text(texts::OF_THE_SETTINGS)) }
        } @else {
            (change_form(&context, &address, &webhook))
            (secret_form(&context, &address))
            (removal_form(&context, &address))
        }
    };
    Ok(render_page(&context, &title, content))
}

fn event_form(context: &PageContext, address: &str) -> Markup {
    let form = PageForm::new(context, &format!("{address}/deliveries/send"));
    html! {
        section.card {
            h2 { (context.text(texts::SEND_EVENT)) }
            form method="post" action={ (address) "/deliveries/send" } {
                (form_token(context))
                (form.field("event", texts::EVENT_ID).required())
                button type="submit" { (context.text(texts::SEND)) }
            }
        }
    }
}

/// Draws the form for a new webhook.
pub fn creation_form(context: &PageContext) -> Markup {
    html! {
        section.card {
            h2 { (context.text(texts::NEW_WEBHOOK)) }
            form.stack method="post" action=(LIST) {
                (form_token(context))
                (draw_fields(context, PageForm::new(context, LIST), &Value::Null))
                (KeyConfirmation::draw_field(context, "create"))
                button type="submit" { (context.text(texts::CREATE)) }
            }
        }
    }
}

fn change_form(context: &PageContext, address: &str, webhook: &Value) -> Markup {
    let form = PageForm::new(context, &format!("{address}/change"));
    html! {
        section.card {
            h2 { (context.text(texts::CHANGE)) }
            form.stack method="post" action={ (address) "/change" } {
                (form_token(context))
                (draw_fields(context, form, webhook))
                (KeyConfirmation::draw_optional(context, "change", texts::KEY_AGAIN_FOR_ADDRESS))
                button type="submit" { (context.text(texts::SAVE)) }
            }
            @if flag_at(webhook, "enabled") {
                (action_button(context, &format!("{address}/disable"), texts::DISABLE))
            }
        }
    }
}

/// Draws the fields of a webhook; of a new one, if it is `null`.
fn draw_fields(context: &PageContext, form: PageForm<'_>, webhook: &Value) -> Markup {
    let chosen = list_at(webhook, "types");
    let headers = webhook["headers"].as_object();
    let names: Vec<_> = headers.into_iter().flat_map(Map::keys).collect();
    html! {
        (form.field("url", texts::ADDRESS).kind("url").value(text_at(webhook, "url").to_owned()).required())
        (form.field("session", texts::ALL_SESSIONS_IF_EMPTY).value(text_at(webhook, "session").to_owned()))
        details open[!chosen.is_empty() || form.is_shown_again()] {
            summary { (context.text(texts::EVENT_TYPES)) }
            fieldset.types {
                legend { (context.text(texts::EVENTS)) }
                @for kind in TYPES {
                    label {
                        input type="checkbox" name="types" value=(kind)
                            checked[form.is_chosen("types", kind, chosen.iter().any(|it| it == kind))];
                        " " (kind)
                    } " "
                }
            }
        }
        (form.field("headers", texts::HEADERS).long())
        @if form.is_shown_again() { p.fault { (context.text(texts::TYPE_AGAIN)) } }
        @if !names.is_empty() {
            fieldset {
                legend { (context.text(texts::REMOVE_HEADERS)) }
                @for name in names {
                    label {
                        input type="checkbox" name="removed_headers" value=(name)
                            checked[form.is_chosen("removed_headers", name, false)];
                        " " (name)
                    } " "
                }
            }
        }
    }
}

fn secret_form(context: &PageContext, address: &str) -> Markup {
    html! {
        section.card {
            h2 { (context.text(texts::NEW_SECRET)) }
            form method="post" action={ (address) "/rotate-secret" } {
                (form_token(context))
                (KeyConfirmation::draw_field(context, "secret"))
                button type="submit" { (context.text(texts::NEW_SECRET)) }
            }
        }
    }
}

fn removal_form(context: &PageContext, address: &str) -> Markup {
    let form = PageForm::new(context, &format!("{address}/remove"));
    html! {
        section.card {
            h2 { (context.text(texts::REMOVE)) }
            form method="post" action={ (address) "/remove" } {
                (form_token(context))
                (form.field("typed_id", texts::TYPE_ID).id("typed-id").required())
                button.danger type="submit" { (context.text(texts::REMOVE)) }
            }
        }
    }
}

/// Reads the fields of a form into the body that a program would send.
fn read_fields(fields: &mut FormFields) -> Result<Value, Problem> {
    let types = fields.take_all("types");
    let mut headers = Map::new();
    for name in fields.take_all("removed_headers") {
        headers.insert(name, Value::Null);
    }
    for line in fields.take("headers").unwrap_or_default().lines() {
        if line.trim().is_empty() {
            continue;
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| Problem::invalid_field("headers", "has a line without a colon"))?;
        headers.insert(name.trim().to_owned(), value.trim().into());
    }
    Ok(json!({
        "url": fields.require("url")?,
        "session": fields.take("session"),
        "types": (!types.is_empty()).then_some(types),
        "headers": headers,
    }))
}

/// `POST /dashboard/webhooks`: creates a webhook, and shows its secret this once.
pub async fn create_webhook(
    State(gateway): State<Gateway>,
    context: PageContext,
    confirmation: KeyConfirmation,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    confirmation.require(&mut fields).await?;
    let wish = json_fields(read_fields(&mut fields)?);
    let created = v1::webhooks::make_webhook(&gateway, wish).await?;
    let document = serde_json::to_value(created).map_err(|_| Problem::Internal)?;
    let address = page_address(text_at(&document, "id"));
    Ok(show_secret(&context, &address, &document))
}

/// `POST …/rotate-secret`: replaces the secret, and shows the new one this once.
pub async fn rotate_secret(
    State(gateway): State<Gateway>,
    context: PageContext,
    confirmation: KeyConfirmation,
    Path(id): Path<String>,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    confirmation.require(&mut fields).await?;
    let renewed = v1::webhooks::renew_secret(&gateway, &id, json_fields(Value::Null)).await?;
    let document = serde_json::to_value(renewed).map_err(|_| Problem::Internal)?;
    Ok(show_secret(&context, &page_address(&id), &document))
}

fn show_secret(context: &PageContext, address: &str, document: &Value) -> Response {
    let title = context.text(texts::NEW_SECRET);
    let secret = text_at(document, "secret");
    let content = html! {
        h1 { (title) }
        section.card {
            p { (context.text(texts::SECRET_ONCE)) }
            p { code id="new-secret" { (secret) } " "
                button.plain type="button" data-copy=(secret) { (context.text(texts::COPY)) }
            }
            @if let Some(until) = optional_text(document, "former_until") {
                p { (context.text(texts::FORMER_UNTIL)) " " (render_time(until)) }
            }
            p { a href=(address) { (context.text(texts::WEBHOOK)) } }
        }
    };
    render_page(context, title, content)
}

/// `POST …/change`: changes a webhook. A new address asks for the key again.
pub async fn change_webhook(
    State(gateway): State<Gateway>,
    confirmation: KeyConfirmation,
    Path(id): Path<String>,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let mut change = read_fields(&mut fields)?;
    let path = Path(id.clone());
    let answer = v1::webhooks::show_webhook(State(gateway.clone()), no_query(), path).await;
    let before = read_document(answer)?;
    if change["url"] == before["url"] {
        // The page has it without its password.
        change.as_object_mut().map(|change| change.remove("url"));
    } else {
        confirmation.require(&mut fields).await?;
    }
    let body = json_fields(change);
    let changed = v1::webhooks::change_webhook(State(gateway), no_query(), Path(id.clone()), body);
    changed.await.map(drop)?;
    Ok(Redirect::to(&page_address(&id)).into_response())
}

/// `POST …/disable`: disables a webhook; its events wait.
pub async fn disable_webhook(
    gateway: State<Gateway>,
    Path(id): Path<String>,
    _: FormFields,
) -> Result<Response, Problem> {
    let body = json_fields(json!({"enabled": false}));
    let path = Path(id.clone());
    let changed = v1::webhooks::change_webhook(gateway, no_query(), path, body).await;
    changed.map(drop)?;
    Ok(Redirect::to(&page_address(&id)).into_response())
}

/// `POST …/remove`: removes a webhook, once its id is typed.
pub async fn remove_webhook(
    gateway: State<Gateway>,
    Path(id): Path<String>,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    if fields.require("typed_id")? != id {
        return Err(Problem::invalid_field(
            "typed_id",
            format!("is not the id of the webhook; type `{id}`"),
        ));
    }
    v1::webhooks::remove_webhook(gateway, no_query(), Path(id)).await?;
    Ok(Redirect::to(LIST).into_response())
}

/// `POST …/deliveries/send`: sends one event to the webhook.
pub async fn send_event(
    gateway: State<Gateway>,
    Path(id): Path<String>,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let body = json_fields(json!({"event": fields.require("event")?.trim()}));
    let path = Path(id.clone());
    let sent = v1::webhooks::deliveries::deliver_event(gateway, no_query(), path, body).await;
    sent.map(drop)?;
    Ok(Redirect::to(&format!("{}/deliveries", page_address(&id))).into_response())
}
