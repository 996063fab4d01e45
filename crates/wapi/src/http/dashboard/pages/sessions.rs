//! The list of sessions, and the form for a new one.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::overview::draw_status;
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{
    list_at, no_query, optional_text, page_after, read_document, text_at,
};
use crate::http::dashboard::form::{PageForm, form_token};
use crate::http::dashboard::layout::{address_with, render_live_page, render_time};
use crate::http::dashboard::live::{self, LivePage, PageFragment, stream_address};
use crate::http::dashboard::login::forms::{FormFields, json_fields};
use crate::http::dashboard::texts;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;
use crate::http::v1;
use crate::model::access::Scope;
use crate::model::session_name::SessionName;

/// Sessions on one page.
const PAGE_SIZE: usize = 50;

/// Returns the documents of the sessions that the caller reaches.
pub async fn list_documents(
    gateway: &Gateway,
    caller: &Caller,
    query: QueryParameters,
) -> Result<Vec<Value>, Problem> {
    let answer = v1::sessions::list_sessions(State(gateway.clone()), caller.clone(), query).await;
    Ok(list_at(&read_document(answer)?, "sessions").to_vec())
}

/// Draws the ways to the pages of a session.
pub fn draw_tabs(context: &PageContext, session: &SessionName) -> Markup {
    let address = session_address(session.as_str());
    let here = context.path.split('?').next().unwrap_or_default();
    let tabs = [
        ("", texts::SESSION),
        ("/chats", texts::CHATS),
        ("/contacts", texts::CONTACTS),
        ("/groups", texts::GROUPS),
        ("/media", texts::MEDIA),
    ];
    html! {
        nav.row aria-label=(session.as_str()) {
            @for (path, text) in tabs {
                @let tab = format!("{address}{path}");
                a href=(tab) aria-current=[(here == tab).then_some("page")] { (context.text(text)) }
            }
        }
    }
}

/// Returns the address of a session's page.
pub fn session_address(name: &str) -> String {
    match SessionName::parse(name) {
        Ok(name) => format!("/dashboard/sessions/{}", name.url_segment()),
        Err(_) => "/dashboard/sessions".to_owned(),
    }
}

struct SessionTable {
    caller: Caller,
    /// Name after which the page begins; empty at the beginning.
    after: String,
}

/// `GET /dashboard/sessions?after=`: the sessions by name.
pub async fn show_sessions(
    State(gateway): State<Gateway>,
    context: PageContext,
    caller: Caller,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let from = query.optional_text("from").unwrap_or_default();
    query.finish()?;
    let path = "/dashboard/live/sessions";
    let stream = stream_address(&gateway, path, &[("from", &from)]);
    let page = SessionTable {
        caller,
        after: from,
    };
    let parts = page.draw(&gateway, &context).await?;
    let content = html! {
        h1 { (context.text(texts::SESSIONS)) }
        @for part in parts { (part.html) }
        @if context.has_scope(Scope::Admin) { (creation_form(&context)) }
    };
    Ok(render_live_page(
        &context,
        context.text(texts::SESSIONS),
        &stream,
        content,
    ))
}

/// `GET /dashboard/live/sessions`: the changes of the list.
pub async fn stream_sessions(
    gateway: State<Gateway>,
    context: PageContext,
    caller: Caller,
    headers: HeaderMap,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let page = SessionTable {
        caller: caller.clone(),
        after: query.optional_text("from").unwrap_or_default(),
    };
    live::stream_page(page, gateway, context, caller, headers, query).await
}

/// `POST /dashboard/sessions`: creates a session, and leads to its QR code.
pub async fn create_session(
    gateway: State<Gateway>,
    caller: Caller,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let name = fields.require("id")?;
    let body = json_fields(json!({"id": name}));
    v1::sessions::create_session(gateway, caller, body).await?;
    Ok(Redirect::to(&session_address(&name)).into_response())
}

impl LivePage for SessionTable {
    // Messages change only the time of the last one, which may wait for the next heartbeat: else a
    // busy gateway would draw the list for each open page several times a second.
    const TYPES: &'static [&'static str] =
        &["session.status", "session.paired", "session.logged_out"];
    const IS_MEASURED: bool = true;

    fn session(&self) -> Option<String> {
        None
    }

    async fn draw(
        &self,
        gateway: &Gateway,
        context: &PageContext,
    ) -> Result<Vec<PageFragment>, Problem> {
        let sessions = list_documents(gateway, &self.caller, no_query()).await?;
        let (page, next) = page_after(&sessions, "id", &self.after, PAGE_SIZE);
        Ok(vec![PageFragment::fixed(
            "sessions",
            draw_table(context, &page, next),
        )])
    }
}

fn draw_table(context: &PageContext, sessions: &[&Value], next: Option<&str>) -> Markup {
    let next = next.map(|next| address_with("/dashboard/sessions", &[("from", next)]));
    html! {
        section id="sessions" {
            @if sessions.is_empty() { p { (context.text(texts::NO_SESSIONS)) } }
            @else {
                table {
                    thead {
                        tr {
                            th scope="col" { (context.text(texts::NAME)) }
                            th scope="col" { (context.text(texts::STATUS)) }
                            th scope="col" { (context.text(texts::ACCOUNT)) }
                            th scope="col" { (context.text(texts::LAST_RECEIVED)) }
                        }
                    }
                    tbody {
                        @for session in sessions { (draw_row(context, session)) }
                    }
                }
            }
            @if let Some(next) = next { p { a rel="next" href=(next) { (context.text(texts::LATER)) } } }
        }
    }
}

fn draw_row(context: &PageContext, session: &Value) -> Markup {
    let name = text_at(session, "id");
    html! {
        tr {
            td data-label=(context.text(texts::NAME)) { a href=(session_address(name)) { (name) } }
            td data-label=(context.text(texts::STATUS)) { (draw_status(session)) }
            td data-label=(context.text(texts::ACCOUNT)) { (draw_account(context, session)) }
            td data-label=(context.text(texts::LAST_RECEIVED)) {
                @match optional_text(session, "last_received_at") {
                    Some(at) => (render_time(at)),
                    None => (context.text(texts::UNTIL_NOW)),
                }
            }
        }
    }
}

/// Draws the linked account of a session.
pub fn draw_account(context: &PageContext, session: &Value) -> Markup {
    html! {
        @match optional_text(session, "account/phone") {
            Some(phone) => {
                "+" (phone)
                @if let Some(name) = optional_text(session, "account/name") { " " (name) }
            }
            None => (context.text(texts::NONE)),
        }
    }
}

fn creation_form(context: &PageContext) -> Markup {
    let form = PageForm::new(context, "/dashboard/sessions");
    html! {
        section.card {
            h2 { (context.text(texts::NEW_SESSION)) }
            form method="post" action="/dashboard/sessions" {
                (form_token(context))
                (form.field("id", texts::NAME).longest(200).required())
                button type="submit" { (context.text(texts::CREATE)) }
            }
        }
    }
}
