//! One chat: its messages, older ones by cursor, and around a quoted one. Reading it tells nobody that it
//! was read.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::composer::draw_composer;
use super::list::{chat_address, cursor_query};
use super::message::{ThreadView, draw_message, draw_ticks, element_id};
use super::texts;
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{
    list_at, name_of, no_query, optional_text, read_document, read_response, text_at,
};
use crate::http::dashboard::layout::{address_with, render_live_page, render_page};
use crate::http::dashboard::live::{self, LivePage, PageFragment, stream_address};
use crate::http::dashboard::pages::sessions::session_address;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;
use crate::http::v1;
use crate::http::v1::chats::ChatPath;
use crate::http::v1::messages::MessagePath;
use crate::model::access::Scope;
use crate::model::message::ChatId;
use crate::model::session_name::SessionName;

/// The messages that a page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ThreadPart {
    Newest,
    /// Those before a cursor.
    Before(String),
    /// A message, and those before it.
    UpTo(String),
}

struct ChatThread {
    session: SessionName,
    chat: ChatId,
    part: ThreadPart,
    /// Id of the message that the reader has just sent.
    sent: Option<String>,
}

impl ChatThread {
    /// Reads a page of messages.
    async fn read(&self, gateway: &Gateway) -> Result<Value, Problem> {
        let position = match &self.part {
            ThreadPart::Newest => None,
            ThreadPart::Before(cursor) => Some(("before", cursor.as_str())),
            ThreadPart::UpTo(id) => Some(("up_to", id.as_str())),
        };
        let path = ChatPath {
            session: self.session.clone(),
            chat: self.chat.clone(),
        };
        let answer = v1::history::list_messages(
            State(gateway.clone()),
            path,
            cursor_query(position.as_slice()),
        );
        match read_document(answer.await) {
            // Nothing was written yet: the page is there to begin.
            Err(Problem::NoChat) if self.part == ThreadPart::Newest => Ok(json!({"messages": []})),
            read => read,
        }
    }

    fn view<'a>(&self, context: &'a PageContext, messages: &'a [Value]) -> ThreadView<'a> {
        ThreadView {
            context,
            session: self.session.clone(),
            address: self.address(),
            present: messages.iter().map(|it| text_at(it, "id")).collect(),
        }
    }

    fn address(&self) -> String {
        chat_address(&self.session, &self.chat.to_string())
    }

    /// Draws how far the message has come that the reader has just sent: messages that wait or
    /// failed are not in the history.
    async fn draw_sent(&self, gateway: &Gateway, context: &PageContext) -> Markup {
        let Some(id) = self.sent.clone() else {
            return html! { div id="sent" {} };
        };
        let path = MessagePath {
            session: self.session.clone(),
            id,
        };
        let answer = v1::messages::show_message(State(gateway.clone()), path).await;
        let Ok(document) = read_response(answer).await else {
            return html! { div id="sent" {} };
        };
        let reason = ["error/detail", "queued_reason"]
            .into_iter()
            .find_map(|path| optional_text(&document, path));
        html! {
            div id="sent" role="status" {
                p {
                    (context.text(texts::SENT_MESSAGE)) ": " (draw_ticks(&document)) " "
                    span.status data-status=(text_at(&document, "status")) { (text_at(&document, "status")) }
                    @if let Some(reason) = reason { " " span.reason { (reason) } }
                }
            }
        }
    }
}

/// `GET …/chats/{chat}?before=&up_to=&sent=`: the newest messages, those before a cursor, or those up
/// to a message.
pub async fn show_chat(
    State(gateway): State<Gateway>,
    ChatPath { session, chat }: ChatPath,
    context: PageContext,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let mut given = |name| query.optional_text(name).filter(|text| !text.is_empty());
    let part = match (given("before"), given("up_to")) {
        (None, None) => ThreadPart::Newest,
        (Some(cursor), _) => ThreadPart::Before(cursor),
        (None, Some(id)) => ThreadPart::UpTo(id),
    };
    let sent = given("sent");
    query.finish()?;
    let path = format!(
        "/dashboard/live/sessions/{}/chats/{chat}",
        session.url_segment()
    );
    let parameters = [("sent", sent.as_deref().unwrap_or_default())];
    let stream = stream_address(&gateway, &path, &parameters);
    let thread = ChatThread {
        session,
        chat,
        part,
        sent,
    };
    let path = ChatPath {
        session: thread.session.clone(),
        chat: thread.chat.clone(),
    };
    let document = v1::history::show_chat(State(gateway.clone()), path, no_query());
    let title = match read_document(document.await) {
        Err(Problem::NoChat) if thread.part == ThreadPart::Newest => thread.chat.to_string(),
        document => name_of(&document?),
    };
    let page = thread.read(&gateway).await?;
    let sent = thread.draw_sent(&gateway, &context).await;
    let content = draw_page(&context, &thread, &title, &page, &sent);
    // Older messages stay as they are: the stream is that of the newest.
    Ok(match thread.part {
        ThreadPart::Newest => render_live_page(&context, &title, &stream, content),
        ThreadPart::Before(_) | ThreadPart::UpTo(_) => render_page(&context, &title, content),
    })
}

/// `GET /dashboard/live/sessions/{session}/chats/{chat}`: new messages, and changes of the newest.
pub async fn stream_chat(
    gateway: State<Gateway>,
    ChatPath { session, chat }: ChatPath,
    context: PageContext,
    caller: Caller,
    headers: HeaderMap,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let page = ChatThread {
        session,
        chat,
        part: ThreadPart::Newest,
        sent: query.optional_text("sent"),
    };
    live::stream_page(page, gateway, context, caller, headers, query).await
}

impl LivePage for ChatThread {
    fn session(&self) -> Option<String> {
        Some(self.session.as_str().to_owned())
    }

    async fn draw(
        &self,
        gateway: &Gateway,
        context: &PageContext,
    ) -> Result<Vec<PageFragment>, Problem> {
        let page = self.read(gateway).await?;
        let messages = list_at(&page, "messages");
        let view = self.view(context, messages);
        let mut fragments: Vec<_> = messages
            .iter()
            .rev()
            .map(|message| PageFragment {
                id: element_id(text_at(message, "id")),
                list: Some("messages"),
                html: draw_message(&view, message),
            })
            .collect();
        let sent = self.draw_sent(gateway, context).await;
        fragments.push(PageFragment::fixed("sent", sent));
        Ok(fragments)
    }
}

fn draw_page(
    context: &PageContext,
    thread: &ChatThread,
    title: &str,
    page: &Value,
    sent: &Markup,
) -> Markup {
    let address = thread.address();
    let messages = list_at(page, "messages");
    let view = thread.view(context, messages);
    let older = optional_text(page, "before");
    let older = older.map(|before| address_with(&address, &[("before", before)]));
    let is_newest = thread.part == ThreadPart::Newest;
    html! {
        h1 { bdi { (title) } }
        p {
            a href={ (session_address(thread.session.as_str())) "/chats" } {
                (context.text(texts::CHATS)) " · " (thread.session.as_str())
            }
            " " code { (thread.chat.to_string()) }
        }
        @if let Some(older) = older { p { a href=(older) rel="prev" { (context.text(texts::OLDER)) } } }
        @if messages.is_empty() { p data-empty { (context.text(texts::NO_MESSAGES)) } }
        ol.messages id="messages" {
            @for message in messages.iter().rev() { (draw_message(&view, message)) }
        }
        div id="end" {}
        @if is_newest {
            (sent)
            @if context.has_scope(Scope::Send) { (draw_composer(context, &address)) }
        } @else {
            p { a href={ (address) "#end" } { (context.text(texts::NEWEST)) } }
        }
    }
}
