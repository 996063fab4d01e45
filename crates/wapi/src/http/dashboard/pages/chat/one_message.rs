//! One message: everything about it, and everything that can be done with it.

use std::collections::HashSet;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::composer::lead_to_sent;
use super::list::{chat_address, cursor_query};
use super::message::{
    ThreadView, draw_message, element_id, is_deleted, message_address, name_of_response,
};
use super::texts;
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{
    flag_at, list_at, name_of, optional_text, read_document, read_response, text_at,
};
use crate::http::dashboard::form::{PageForm, ask_first, form_token, once_field, take_once};
use crate::http::dashboard::layout::{address_with, render_page};
use crate::http::dashboard::login::forms::{FormFields, json_fields};
use crate::http::error::Problem;
use crate::http::request::extract::{NOT_TEXT, SessionPath};
use crate::http::request::query::QueryParameters;
use crate::http::v1;
use crate::http::v1::chats::ChatPath;
use crate::http::v1::messages::{MessagePath, edit_delete_forward};
use crate::model::access::Scope;
use crate::model::message::{CalendarEvent, ChatId};
use crate::model::session_name::SessionName;

/// Reactions with a button of their own.
const REACTIONS: [&str; 6] = ["👍", "❤️", "😂", "😮", "😢", "🙏"];
/// Kinds whose text or caption can be edited.
const EDITABLE: [&str; 4] = ["text", "image", "video", "document"];

/// The session, chat, and message in a path.
pub struct MessagePlace {
    session: SessionName,
    chat: ChatId,
    id: String,
}

impl<S: Send + Sync> FromRequestParts<S> for MessagePlace {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::invalid_field("session", NOT_TEXT);
        let Path((session, chat, id)) =
            Path::<(String, String, String)>::from_request_parts(parts, state)
                .await
                .map_err(not_text)?;
        let session = SessionName::parse(&session)
            .map_err(|error| Problem::invalid_field("session", error.to_string()))?;
        let chat = ChatId::parse(&chat)
            .map_err(|error| Problem::invalid_field("chat", error.to_string()))?;
        Ok(Self { session, chat, id })
    }
}

impl MessagePlace {
    fn chat_address(&self) -> String {
        chat_address(&self.session, &self.chat.to_string())
    }

    fn route_path(&self) -> MessagePath {
        MessagePath {
            session: self.session.clone(),
            id: self.id.clone(),
        }
    }

    /// Returns the message as the history has it.
    async fn read(&self, gateway: &Gateway) -> Result<Value, Problem> {
        let path = ChatPath {
            session: self.session.clone(),
            chat: self.chat.clone(),
        };
        let query = cursor_query(&[("up_to", &self.id), ("limit", "1")]);
        let answer = v1::history::list_messages(State(gateway.clone()), path, query).await;
        let page = read_document(answer)?;
        list_at(&page, "messages")
            .first()
            .cloned()
            .ok_or(Problem::NoMessage)
    }
}

/// `GET …/messages/{id}`: a message of a chat.
pub async fn show_message(
    State(gateway): State<Gateway>,
    place: MessagePlace,
    context: PageContext,
    query: QueryParameters,
) -> Result<Response, Problem> {
    query.finish()?;
    let message = place.read(&gateway).await?;
    // Only messages that were sent through the gateway have one.
    let delivery = v1::messages::show_message(State(gateway.clone()), place.route_path()).await;
    let delivery = match read_response(delivery).await {
        Ok(delivery) => Some(delivery),
        Err(Problem::NoMessage) => None,
        Err(problem) => return Err(problem),
    };
    let chats = if context.has_scope(Scope::Send) && !is_deleted(&message) {
        let path = SessionPath(place.session.clone());
        let answer = v1::history::list_chats(State(gateway), path, cursor_query(&[])).await;
        read_document(answer)?
    } else {
        Value::Null
    };
    let address = place.chat_address();
    let view = ThreadView {
        context: &context,
        session: place.session.clone(),
        address: address.clone(),
        present: HashSet::new(),
    };
    let title = context.text(texts::MESSAGE);
    let in_chat = format!(
        "{}#{}",
        address_with(&address, &[("up_to", &place.id)]),
        element_id(&place.id)
    );
    let content = html! {
        h1 { (title) }
        p { a href=(in_chat) { (context.text(texts::IN_CHAT)) } " " code { (place.id) } }
        ol.messages { (draw_message(&view, &message)) }
        @if context.has_scope(Scope::Send) && !is_deleted(&message) {
            (draw_actions(&context, &address, &message, &chats))
        }
        section.card {
            h2 { (context.text(texts::RAW)) }
            pre id="raw" { (serde_json::to_string_pretty(&message).unwrap_or_default()) }
        }
        @if let Some(delivery) = delivery {
            section.card {
                h2 { (context.text(texts::DELIVERY)) }
                pre id="delivery" { (serde_json::to_string_pretty(&delivery).unwrap_or_default()) }
            }
        }
    };
    Ok(render_page(&context, title, content))
}

fn draw_actions(context: &PageContext, address: &str, message: &Value, chats: &Value) -> Markup {
    let id = text_at(message, "id");
    let own_address = message_address(address, id);
    let form = |action: String| PageForm::new(context, &action);
    let reply = form(format!("{address}/send"));
    let reaction = form(format!("{address}/react"));
    let forward = form(format!("{own_address}/forward"));
    html! {
        section.card {
            h2 { (context.text(texts::ACTIONS)) }
            form.stack method="post" action={ (address) "/send" } {
                (form_token(context))
                input type="hidden" name="reply_to" value=(id);
                (reply.field("text", texts::REPLY).long().required())
                button type="submit" { (context.text(texts::SEND)) }
            }
            form method="post" action={ (address) "/react" } {
                (form_token(context))
                input type="hidden" name="message_id" value=(id);
                @for emoji in REACTIONS {
                    button.plain type="submit" name="emoji" value=(emoji)
                        aria-label={ (context.text(texts::REACT)) " " (emoji) } { (emoji) }
                }
                button.plain type="submit" name="emoji" value="" { (context.text(texts::TAKE_BACK)) }
            }
            form method="post" action={ (address) "/react" } {
                (form_token(context))
                input type="hidden" name="message_id" value=(id);
                (reaction.field("emoji", texts::EMOJI).required())
                button type="submit" { (context.text(texts::REACT)) }
            }
            (draw_choices(context, address, message))
            (draw_edit_form(context, &own_address, message))
            form method="post" action={ (own_address) "/forward" } {
                (form_token(context))
                (once_field())
                (forward.field("to", texts::FORWARD_TO).list("chats").required())
                datalist id="chats" {
                    @for chat in list_at(chats, "chats") {
                        option value=(text_at(chat, "id")) { (name_of(chat)) }
                    }
                }
                button type="submit" { (context.text(texts::FORWARD)) }
            }
            form method="post" action={ (own_address) "/delete" } {
                (form_token(context))
                @if flag_at(message, "from_me") || text_at(message, "chat").ends_with("@g.us") {
                    button.danger type="submit" name="for" value="everyone"
                        data-question=(context.text(texts::DELETE_FOR_ALL_QUESTION)) {
                        (context.text(texts::DELETE_FOR_ALL))
                    }
                }
                button.danger type="submit" name="for" value="me"
                    data-question=(context.text(texts::DELETE_FOR_ME_QUESTION)) {
                    (context.text(texts::DELETE_FOR_ME))
                }
            }
        }
    }
}

/// Draws the vote in a poll, or the response to an event.
fn draw_choices(context: &PageContext, address: &str, message: &Value) -> Markup {
    let id = text_at(message, "id");
    let kind = text_at(message, "type");
    let is_single = message["poll"]["max_selections"].as_u64() == Some(1);
    html! {
        @if kind == "poll" {
            form method="post" action={ (address) "/vote" } {
                (form_token(context))
                input type="hidden" name="message_id" value=(id);
                fieldset {
                    legend { (context.text(texts::VOTE)) }
                    @for option in list_at(message, "poll/options").iter().filter_map(Value::as_str) {
                        label {
                            input type=(if is_single { "radio" } else { "checkbox" }) name="options" value=(option);
                            " " (option)
                        }
                        " "
                    }
                }
                button type="submit" { (context.text(texts::VOTE)) }
            }
        } @else if kind == "event" {
            form method="post" action={ (address) "/respond" } {
                (form_token(context))
                input type="hidden" name="message_id" value=(id);
                (context.text(texts::RESPOND)) ": "
                @for response in CalendarEvent::RESPONSES {
                    button.plain type="submit" name="response" value=(response) {
                        (name_of_response(context, response))
                    }
                }
            }
        }
    }
}

fn draw_edit_form(context: &PageContext, own_address: &str, message: &Value) -> Markup {
    let kind = text_at(message, "type");
    let text = match kind {
        "text" => text_at(message, "text/body"),
        _ => optional_text(&message[kind], "caption").unwrap_or_default(),
    };
    let form = PageForm::new(context, &format!("{own_address}/edit"));
    html! {
        @if flag_at(message, "from_me") && EDITABLE.contains(&kind) {
            form.stack method="post" action={ (own_address) "/edit" } {
                (form_token(context))
                (once_field())
                input type="hidden" name="kind" value=(kind);
                (form.field("new_text", texts::NEW_TEXT).id("new-text").value(text.to_owned())
                    .long().required_if(kind == "text"))
                button type="submit" { (context.text(texts::EDIT)) }
            }
        }
    }
}

/// `POST …/edit`: changes the text or the caption.
pub async fn edit_message(
    gateway: State<Gateway>,
    place: MessagePlace,
    caller: Caller,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let kind = fields.require("kind")?;
    let text = fields.take("new_text").unwrap_or_default();
    let body = match kind.as_str() {
        "text" => json!({"text": {"body": text}}),
        kind => json!({kind: {"caption": text}}),
    };
    let query = QueryParameters::parse("wait=0");
    let (path, headers) = (place.route_path(), take_once(&mut fields));
    let edit =
        edit_delete_forward::edit_message(gateway, path, caller, query, headers, json_fields(body));
    let document = read_response(Box::pin(edit).await).await?;
    Ok(lead_to_sent(&place.chat_address(), &document))
}

/// `POST …/delete`: deletes the message for everyone, or for the account alone.
pub async fn delete_message(
    gateway: State<Gateway>,
    place: MessagePlace,
    context: PageContext,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let question = if fields.has("for", "everyone") {
        texts::DELETE_FOR_ALL_QUESTION
    } else {
        texts::DELETE_FOR_ME_QUESTION
    };
    if let Some(question) = ask_first(&context, &mut fields, question) {
        return Ok(question);
    }
    let whom = fields.require("for")?;
    let chat = place.chat.to_string();
    let query = cursor_query(&[("for", &whom), ("chat", &chat), ("wait", "0")]);
    let deletion = edit_delete_forward::delete_message(gateway, place.route_path(), query);
    let document = read_response(Box::pin(deletion).await).await?;
    Ok(lead_to_sent(&place.chat_address(), &document))
}

/// `POST …/forward`: sends the content to another chat, and leads there.
pub async fn forward_message(
    gateway: State<Gateway>,
    place: MessagePlace,
    caller: Caller,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let body = json!({"to": fields.require("to")?, "chat": place.chat.to_string()});
    let query = QueryParameters::parse("wait=0");
    let (path, headers) = (place.route_path(), take_once(&mut fields));
    let forward = edit_delete_forward::forward_message(
        gateway,
        path,
        caller,
        query,
        headers,
        json_fields(body),
    );
    let document = read_response(Box::pin(forward).await).await?;
    let chat = list_at(&document, "messages").first();
    let chat = chat.map_or("", |sent| text_at(sent, "chat"));
    if chat.is_empty() {
        return Ok(Redirect::to(&place.chat_address()).into_response());
    }
    Ok(lead_to_sent(&chat_address(&place.session, chat), &document))
}
