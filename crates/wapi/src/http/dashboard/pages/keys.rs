//! API keys: made once, shown once, removed at once.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::{Value, json};
use strum::VariantNames;

use crate::http::Gateway;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{
    list_at, no_query, optional_text, page_after, read_document, text_at,
};
use crate::http::dashboard::form::{PageForm, ask_first, form_token};
use crate::http::dashboard::layout::{address_with, asking_button, render_page, render_time};
use crate::http::dashboard::login::KeyConfirmation;
use crate::http::dashboard::login::forms::{FormFields, json_fields};
use crate::http::dashboard::texts;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;
use crate::http::v1;
use crate::model::access::Scope;

/// Keys on one page.
const PAGE_SIZE: usize = 50;

/// `GET /dashboard/keys?after=`: all keys but that of the settings.
pub async fn show_keys(
    State(gateway): State<Gateway>,
    context: PageContext,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let after = query.optional_text("after").unwrap_or_default();
    query.finish()?;
    let answer = v1::api_keys::list_api_keys(State(gateway), no_query()).await;
    let document = read_document(answer)?;
    let (keys, next) = page_after(list_at(&document, "api_keys"), "id", &after, PAGE_SIZE);
    let title = context.text(texts::KEYS);
    let headings = [
        texts::NAME,
        texts::SCOPES,
        texts::SESSIONS,
        texts::CREATED,
        texts::EXPIRES,
        texts::LAST_USED,
        texts::ACTIONS,
    ];
    let content = html! {
        h1 { (title) }
        table {
            thead { tr { @for text in headings { th scope="col" { (context.text(text)) } } } }
            tbody {
                @for key in keys { (draw_key(&context, key)) }
            }
        }
        @if let Some(next) = next {
            p { a rel="next" href=(address_with("/dashboard/keys", &[("after", next)])) { (context.text(texts::LATER)) } }
        }
        (creation_form(&context))
    };
    Ok(render_page(&context, title, content))
}

fn draw_key(context: &PageContext, key: &Value) -> Markup {
    let texts_of = |name: &str| {
        let texts = list_at(key, name).iter().filter_map(Value::as_str);
        texts.collect::<Vec<_>>().join(", ")
    };
    let time_or = |name: &str, otherwise| {
        html! {
            @match optional_text(key, name) {
                Some(at) => (render_time(at)),
                None => (context.text(otherwise)),
            }
        }
    };
    html! {
        tr {
            td data-label=(context.text(texts::NAME)) {
                bdi { (text_at(key, "name")) } " " code { "…" (text_at(key, "hint")) }
            }
            td data-label=(context.text(texts::SCOPES)) { (texts_of("scopes")) }
            td data-label=(context.text(texts::SESSIONS)) {
                @if key["sessions"].is_null() { (context.text(texts::ALL)) } @else { (texts_of("sessions")) }
            }
            td data-label=(context.text(texts::CREATED)) { (render_time(text_at(key, "created_at"))) }
            td data-label=(context.text(texts::EXPIRES)) { (time_or("expires_at", texts::UNTIL_NOW)) }
            td data-label=(context.text(texts::LAST_USED)) { (time_or("last_used_at", texts::UNTIL_NOW)) }
            td data-label=(context.text(texts::ACTIONS)) {
                (asking_button(
                    context,
                    &format!("/dashboard/keys/{}/remove", text_at(key, "id")),
                    texts::REMOVE,
                    texts::REMOVE_KEY_QUESTION,
                ))
            }
        }
    }
}

fn creation_form(context: &PageContext) -> Markup {
    let form = PageForm::new(context, "/dashboard/keys");
    html! {
        section.card {
            h2 { (context.text(texts::NEW_KEY)) }
            form.stack method="post" action="/dashboard/keys" {
                (form_token(context))
                (form.field("name", texts::NAME).longest(100).required())
                fieldset {
                    legend { (context.text(texts::SCOPES)) }
                    @for scope in Scope::VARIANTS {
                        label {
                            input type="checkbox" name="scopes" value=(scope)
                                checked[form.is_chosen("scopes", scope, false)];
                            " " (scope)
                        } " "
                    }
                    @if let Some(faults) = form.faults("scopes", "scopes") { (faults) }
                }
                (form.field("sessions", texts::ONLY_SESSIONS).long())
                (form.field("expires_at", texts::EXPIRES).placeholder("2030-01-31T12:00:00Z"))
                (KeyConfirmation::draw_field(context, "keys"))
                button type="submit" { (context.text(texts::CREATE)) }
            }
        }
    }
}

/// `POST /dashboard/keys`: creates a key, and shows it this once.
pub async fn create_key(
    State(gateway): State<Gateway>,
    context: PageContext,
    confirmation: KeyConfirmation,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let scopes = fields.take_all("scopes");
    // A key outlives this login, whatever it may do.
    confirmation.require(&mut fields).await?;
    let sessions = fields.take("sessions").unwrap_or_default();
    let sessions: Vec<_> = sessions
        .lines()
        .filter(|name| !name.trim().is_empty())
        .collect();
    let wish = json!({
        "name": fields.require("name")?,
        "scopes": scopes,
        "sessions": (!sessions.is_empty()).then_some(sessions),
        "expires_at": fields.take("expires_at"),
    });
    let created = v1::api_keys::make_api_key(&gateway, json_fields(wish)).await?;
    let document = serde_json::to_value(created).map_err(|_| Problem::Internal)?;
    let title = context.text(texts::NEW_KEY);
    let content = html! {
        h1 { (title) }
        section.card {
            p { (context.text(texts::KEY_ONCE)) }
            p { code id="new-key" { (text_at(&document, "key")) } " "
                button.plain type="button" data-copy=(text_at(&document, "key")) {
                    (context.text(texts::COPY))
                }
            }
            p { a href="/dashboard/keys" { (context.text(texts::KEYS)) } }
        }
    };
    Ok(render_page(&context, title, content))
}

/// `POST …/remove`: removes a key.
pub async fn remove_key(
    gateway: State<Gateway>,
    id: Path<String>,
    context: PageContext,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    if let Some(question) = ask_first(&context, &mut fields, texts::REMOVE_KEY_QUESTION) {
        return Ok(question);
    }
    v1::api_keys::remove_api_key(gateway, no_query(), id).await?;
    Ok(Redirect::to(&context.back_to("/dashboard/keys")).into_response())
}
