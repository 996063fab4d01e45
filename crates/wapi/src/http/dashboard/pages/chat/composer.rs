//! The composer: texts, files, polls, reactions, votes, and the mark that a chat was read.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::files::FILE_KINDS;
use super::list::chat_address;
use super::texts;
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{list_at, read_response, text_at};
use crate::http::dashboard::form::{PageForm, form_token, once_field, take_once};
use crate::http::dashboard::layout::{action_button, address_with};
use crate::http::dashboard::login::forms::{FormFields, json_fields};
use crate::http::error::Problem;
use crate::http::request::extract::{OptionalJson, SessionPath};
use crate::http::request::query::QueryParameters;
use crate::http::v1;
use crate::http::v1::chats::ChatPath;

pub fn draw_composer(context: &PageContext, address: &str) -> Markup {
    let form = |action| PageForm::new(context, &format!("{address}/{action}"));
    let (text, file, poll) = (form("send"), form("file"), form("poll"));
    html! {
        section.card id="composer" {
            form.stack method="post" action={ (address) "/send" } {
                (form_token(context))
                (once_field())
                (text.field("text", texts::WRITE).long().required())
                (text.field("reply_to", texts::REPLY_TO).id("reply-to"))
                button type="submit" { (context.text(texts::SEND)) }
            }
            details open[file.is_shown_again()] {
                summary { (context.text(texts::SEND_FILE)) }
                (draw_file_form(context, file, address))
            }
            details open[poll.is_shown_again()] {
                summary { (context.text(texts::SEND_POLL)) }
                (draw_poll_form(context, poll, address))
            }
            p.hint { (context.text(texts::READ_HINT)) }
            (action_button(context, &format!("{address}/read"), texts::MARK_READ))
        }
    }
}

fn draw_file_form(context: &PageContext, form: PageForm<'_>, address: &str) -> Markup {
    html! {
        form.stack method="post" enctype="multipart/form-data" action={ (address) "/file" } {
            (form_token(context))
            (once_field())
            label for="kind" { (context.text(texts::SEND_AS)) }
            select id="kind" name="kind" {
                option value="" { (context.text(texts::AS_IT_IS)) }
                @for (kind, text) in FILE_KINDS {
                    option value=(kind) selected[form.is_chosen("kind", kind, false)] { (context.text(text)) }
                }
            }
            (form.field("caption", texts::CAPTION))
            (form.field("reply_to", texts::REPLY_TO).id("file-reply-to"))
            // Last, so that the rest is read before it.
            label for="file" { (context.text(texts::FILE)) }
            input id="file" name="file" type="file" required;
            button type="submit" { (context.text(texts::SEND)) }
        }
    }
}

fn draw_poll_form(context: &PageContext, form: PageForm<'_>, address: &str) -> Markup {
    html! {
        form.stack method="post" action={ (address) "/poll" } {
            (form_token(context))
            (once_field())
            (form.field("question", texts::QUESTION).required())
            (form.field("options", texts::OPTIONS).long().required())
            (form.field("max_selections", texts::MOST_CHOICES).id("most").kind("number").value("1").required())
            button type="submit" { (context.text(texts::SEND)) }
        }
    }
}

/// `POST …/send`: queues a text; the page shows how far it comes.
pub async fn send_text(
    gateway: State<Gateway>,
    path: ChatPath,
    caller: Caller,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let mut message = json!({"text": {"body": fields.require("text")?}});
    quote(&mut message, fields.take("reply_to"));
    let once = take_once(&mut fields);
    send_message(gateway, path, caller, once, message).await
}

/// Makes a message the answer to another one.
pub fn quote(message: &mut Value, quoted: Option<String>) {
    if let Some(quoted) = quoted {
        message["context"] = json!({"message_id": quoted});
    }
}

/// `POST …/poll`: queues a poll.
pub async fn send_poll(
    gateway: State<Gateway>,
    path: ChatPath,
    caller: Caller,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let options = fields.require("options")?;
    let options: Vec<_> = options
        .lines()
        .map(str::trim)
        .filter(|option| !option.is_empty())
        .collect();
    let poll = json!({
        "question": fields.require("question")?,
        "options": options,
        "max_selections": number_of(&fields.require("max_selections")?),
    });
    let once = take_once(&mut fields);
    send_message(gateway, path, caller, once, json!({"poll": poll})).await
}

/// Returns a number as a program would send it; the route refuses everything else.
fn number_of(text: &str) -> Value {
    text.parse::<u32>()
        .map_or_else(|_| json!(text), |number| json!(number))
}

/// `POST …/react`: reacts to a message; without an emoji, takes the reaction back.
pub async fn react(
    gateway: State<Gateway>,
    path: ChatPath,
    caller: Caller,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let reaction = json!({
        "message_id": fields.require("message_id")?,
        "emoji": fields.take("emoji"),
    });
    send_message(
        gateway,
        path,
        caller,
        HeaderMap::new(),
        json!({"reaction": reaction}),
    )
    .await
}

/// `POST …/vote`: votes in a poll; without options, takes the vote back.
pub async fn vote(
    gateway: State<Gateway>,
    path: ChatPath,
    caller: Caller,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let vote = json!({
        "message_id": fields.require("message_id")?,
        "options": fields.take_all("options"),
    });
    send_message(
        gateway,
        path,
        caller,
        HeaderMap::new(),
        json!({"poll_vote": vote}),
    )
    .await
}

/// `POST …/respond`: responds to the invitation of an event.
pub async fn respond(
    gateway: State<Gateway>,
    path: ChatPath,
    caller: Caller,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let response = json!({
        "message_id": fields.require("message_id")?,
        "response": fields.require("response")?,
    });
    send_message(
        gateway,
        path,
        caller,
        HeaderMap::new(),
        json!({"event_response": response}),
    )
    .await
}

/// Queues a message for the chat, and leads back to it.
pub async fn send_message(
    gateway: State<Gateway>,
    ChatPath { session, chat }: ChatPath,
    caller: Caller,
    headers: HeaderMap,
    mut message: Value,
) -> Result<Response, Problem> {
    let address = chat_address(&session, &chat.to_string());
    message["to"] = json!(chat.to_string());
    let sent = v1::messages::send_message(
        gateway,
        SessionPath(session),
        caller,
        QueryParameters::parse("wait=0"),
        headers,
        json_fields(message),
    );
    let document = read_response(Box::pin(sent).await).await?;
    Ok(lead_to_sent(&address, &document))
}

/// Leads to the end of a chat, where the state of the message in this answer is shown.
pub fn lead_to_sent(address: &str, document: &Value) -> Response {
    let id = list_at(document, "messages").first();
    let id = id.map_or("", |sent| text_at(sent, "id"));
    let address = address_with(address, &[("sent", id)]);
    Redirect::to(&format!("{address}#end")).into_response()
}

/// `POST …/read`: tells the senders that their messages were read.
pub async fn mark_read(
    gateway: State<Gateway>,
    ChatPath { session, chat }: ChatPath,
    _: FormFields,
) -> Result<Response, Problem> {
    let address = chat_address(&session, &chat.to_string());
    let body = OptionalJson(json_fields(Value::Null));
    let marked = v1::chats::mark_chat_read(gateway, ChatPath { session, chat }, body).await;
    marked.map(drop)?;
    Ok(Redirect::to(&address).into_response())
}
