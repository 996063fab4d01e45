//! The chats of a session, the most recent first.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use super::message::{describe_content, draw_ticks};
use super::texts;
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{
    flag_at, list_at, name_of, optional_text, read_document, text_at,
};
use crate::http::dashboard::layout::{address_with, render_live_page, render_time};
use crate::http::dashboard::live::{self, LivePage, PageFragment, stream_address};
use crate::http::dashboard::pages::sessions::{draw_tabs, session_address};
use crate::http::error::Problem;
use crate::http::request::extract::SessionPath;
use crate::http::request::query::QueryParameters;
use crate::http::v1;
use crate::model::message::ChatId;
use crate::model::session_name::SessionName;

/// Returns the address of a chat's page.
pub fn chat_address(session: &SessionName, chat: &str) -> String {
    format!("{}/chats/{chat}", session_address(session.as_str()))
}

/// Returns a query with these parameters.
pub fn cursor_query(parameters: &[(&str, &str)]) -> QueryParameters {
    let query = address_with("", parameters);
    QueryParameters::parse(query.trim_start_matches('?'))
}

struct ChatTable {
    session: SessionName,
    before: Option<String>,
}

/// `GET …/chats?before=`: the chats of a session.
pub async fn show_chats(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    context: PageContext,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let before = query.optional_text("before");
    query.finish()?;
    let path = format!("/dashboard/live/sessions/{}/chats", session.url_segment());
    let cursor = before.clone().unwrap_or_default();
    let stream = stream_address(&gateway, &path, &[("before", &cursor)]);
    let title = format!("{} · {}", context.text(texts::CHATS), session.as_str());
    let page = ChatTable { session, before };
    let parts = page.draw(&gateway, &context).await?;
    let content = html! {
        h1 { (context.text(texts::CHATS)) " · " (page.session.as_str()) }
        (draw_tabs(&context, &page.session))
        p.hint { (context.text(texts::READ_HINT)) }
        @for part in parts { (part.html) }
    };
    Ok(render_live_page(&context, &title, &stream, content))
}

/// `GET /dashboard/live/sessions/{session}/chats`: the changes of the list.
pub async fn stream_chats(
    gateway: State<Gateway>,
    SessionPath(session): SessionPath,
    context: PageContext,
    caller: Caller,
    headers: HeaderMap,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let before = query.optional_text("before");
    let page = ChatTable { session, before };
    live::stream_page(page, gateway, context, caller, headers, query).await
}

impl LivePage for ChatTable {
    fn session(&self) -> Option<String> {
        Some(self.session.as_str().to_owned())
    }

    async fn draw(
        &self,
        gateway: &Gateway,
        context: &PageContext,
    ) -> Result<Vec<PageFragment>, Problem> {
        let query = cursor_query(&[("before", self.before.as_deref().unwrap_or_default())]);
        let path = SessionPath(self.session.clone());
        let answer = v1::history::list_chats(State(gateway.clone()), path, query).await;
        let page = read_document(answer)?;
        let html = draw_list(context, &self.session, &page);
        Ok(vec![PageFragment::fixed("chats", html)])
    }
}

fn draw_list(context: &PageContext, session: &SessionName, page: &Value) -> Markup {
    let chats = list_at(page, "chats");
    let address = format!("{}/chats", session_address(session.as_str()));
    let older = optional_text(page, "next").map(|next| address_with(&address, &[("before", next)]));
    html! {
        section id="chats" {
            @if chats.is_empty() { p { (context.text(texts::NO_CHATS)) } }
            ul.plain.chats {
                @for chat in chats { (draw_chat(context, session, chat)) }
            }
            @if let Some(older) = older { p { a rel="next" href=(older) { (context.text(texts::OLDER)) } } }
        }
    }
}

fn draw_chat(context: &PageContext, session: &SessionName, chat: &Value) -> Markup {
    let id = text_at(chat, "id");
    let unread = chat["unread_count"].as_u64().unwrap_or_default();
    let last = &chat["last_message"];
    html! {
        li {
            // The list has chats without a page, such as that of statuses.
            @if ChatId::parse(id).is_ok() {
                a href={ (chat_address(session, id)) "#end" } { bdi { (name_of(chat)) } }
            } @else {
                bdi { (name_of(chat)) }
            }
            @if unread > 0 || flag_at(chat, "unread") {
                " " strong { @if unread > 0 { (unread) " " } (context.text(texts::UNREAD)) }
            }
            @if flag_at(chat, "pinned") { " " span.quiet { (context.text(texts::PINNED)) } }
            @if flag_at(chat, "archived") { " " span.quiet { (context.text(texts::ARCHIVED)) } }
            @if !last.is_null() {
                br;
                span.quiet {
                    (render_time(text_at(last, "timestamp"))) " "
                    (draw_ticks(last)) " "
                    bdi { (describe_content(context, last)) }
                }
            }
        }
    }
}
