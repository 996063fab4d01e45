//! The files of a session: size, state, download, and removal.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::Value;

use super::list::{chat_address, cursor_query};
use super::message::message_address;
use super::texts;
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{
    list_at, no_query, optional_text, read_document, read_response, text_at,
};
use crate::http::dashboard::form::ask_first;
use crate::http::dashboard::layout::{address_with, asking_button, render_page, render_time};
use crate::http::dashboard::login::forms::FormFields;
use crate::http::dashboard::pages::sessions::{draw_tabs, session_address};
use crate::http::error::Problem;
use crate::http::request::extract::SessionPath;
use crate::http::request::query::QueryParameters;
use crate::http::v1;
use crate::model::access::Scope;
use crate::model::session_name::SessionName;

/// States to choose from; the first shows all.
const STATES: [&str; 6] = ["", "stored", "waiting", "remote", "failed", "removed"];

/// `GET …/media?status=&before=`: the files of a session, the newest first.
pub async fn show_media(
    gateway: State<Gateway>,
    SessionPath(session): SessionPath,
    context: PageContext,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let mut given = |name| query.optional_text(name).unwrap_or_default();
    let (status, before) = (given("status"), given("before"));
    query.finish()?;
    let path = SessionPath(session.clone());
    let asked = cursor_query(&[("status", &status), ("before", &before)]);
    let answer = v1::media::listing::list_media(gateway, path, asked).await;
    let page = read_document(answer)?;
    let files = list_at(&page, "media");
    let address = format!("{}/media", session_address(session.as_str()));
    let next = optional_text(&page, "next");
    let next = next.map(|next| address_with(&address, &[("status", &status), ("before", next)]));
    let title = context.text(texts::MEDIA);
    let headings = [
        texts::FILE,
        texts::SIZE,
        texts::STATUS,
        texts::CREATED,
        texts::ACTIONS,
    ];
    let content = html! {
        h1 { (title) " · " (session.as_str()) }
        (draw_tabs(&context, &session))
        form method="get" action=(address) {
            label for="status" { (context.text(texts::STATUS)) }
            select id="status" name="status" {
                @for state in STATES {
                    option value=(state) selected[state == status] {
                        (if state.is_empty() { context.text(texts::ALL) } else { state })
                    }
                }
            }
            button.plain type="submit" { (context.text(texts::FILTER)) }
        }
        @if files.is_empty() { p { (context.text(texts::NO_FILES)) } }
        @else {
            table {
                thead { tr { @for text in headings { th scope="col" { (context.text(text)) } } } }
                tbody { @for file in files { (draw_row(&context, &session, file)) } }
            }
        }
        @if let Some(next) = next { p { a rel="next" href=(next) { (context.text(texts::OLDER)) } } }
    };
    Ok(render_page(&context, title, content))
}

fn draw_row(context: &PageContext, session: &SessionName, file: &Value) -> Markup {
    let id = text_at(file, "id");
    let status = text_at(file, "status");
    let is_here = status == "stored";
    let name = optional_text(file, "filename").unwrap_or(id);
    let message = optional_text(file, "message_id").zip(optional_text(file, "chat"));
    let message = message.map(|(id, chat)| message_address(&chat_address(session, chat), id));
    html! {
        tr {
            td data-label=(context.text(texts::FILE)) {
                @if status == "removed" { bdi { (name) } }
                @else { a href={ "/dashboard/media/" (id) } download { bdi { (name) } } }
                " " span.quiet { (text_at(file, "mime_type")) }
                @if let Some(message) = message { " " a href=(message) { (context.text(texts::MESSAGE)) } }
            }
            td data-label=(context.text(texts::SIZE)) {
                @if let Some(size) = file["size"].as_u64() { (size.div_ceil(1024)) " KiB" }
            }
            td data-label=(context.text(texts::STATUS)) {
                span.status data-status=(status) { (status) }
                @if let Some(error) = optional_text(file, "error") { " " span.reason { (error) } }
            }
            td data-label=(context.text(texts::CREATED)) { (render_time(text_at(file, "created_at"))) }
            td data-label=(context.text(texts::ACTIONS)) {
                @if context.has_scope(Scope::Send) && is_here {
                    (asking_button(
                        context,
                        &format!("/dashboard/media/{id}/remove"),
                        texts::REMOVE,
                        texts::REMOVE_FILE_QUESTION,
                    ))
                }
            }
        }
    }
}

/// `GET /dashboard/media/{id}`: a file of a message.
pub async fn show_file(
    gateway: State<Gateway>,
    caller: Caller,
    query: QueryParameters,
    id: Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut file = v1::media::send_media_content(gateway, caller, query, id, headers).await?;
    // The browser belongs to somebody else after the logout.
    let kept = HeaderValue::from_static("no-store");
    file.headers_mut().insert(header::CACHE_CONTROL, kept);
    Ok(file)
}

/// `POST /dashboard/media/{id}/remove`: removes a file, and leads back to the list.
pub async fn remove_file(
    gateway: State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    context: PageContext,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let shown = v1::media::show_media(
        gateway.clone(),
        caller.clone(),
        no_query(),
        Path(id.clone()),
    );
    let file = read_response(shown.await).await?;
    if let Some(question) = ask_first(&context, &mut fields, texts::REMOVE_FILE_QUESTION) {
        return Ok(question);
    }
    v1::media::remove_media(gateway, caller, no_query(), Path(id)).await?;
    let address = format!("{}/media", session_address(text_at(&file, "session")));
    Ok(Redirect::to(&context.back_to(&address)).into_response())
}
