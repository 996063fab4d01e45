//! A message in its chat: author, ticks, quote, content, reactions, and the way to its own page.
//!
//! Everything in a message was written by somebody else, and is drawn as text.

mod content;
mod interactive;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::texts;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{
    flag_at, list_at, name_of, number_at, optional_text, text_at,
};
use crate::http::dashboard::form::form_token;
use crate::http::dashboard::layout::{address_with, render_time};
use crate::model::access::Scope;
use crate::model::message::Message;
use crate::model::session_name::SessionName;
use content::draw_content;

pub use content::name_of_response;
pub use summary::describe_content;

/// The page that messages are drawn on.
pub struct ThreadView<'a> {
    pub context: &'a PageContext,
    pub session: SessionName,
    /// Of the chat's page.
    pub address: String,
    /// Ids of the messages on the page.
    pub present: HashSet<&'a str>,
}

impl ThreadView<'_> {
    /// Returns the place of a message: on this page, or on one that begins with it.
    fn place_of(&self, id: &str) -> String {
        let element = element_id(id);
        if self.present.contains(id) {
            format!("#{element}")
        } else {
            format!(
                "{}#{element}",
                address_with(&self.address, &[("up_to", id)])
            )
        }
    }
}

/// Returns the id of a message's element: ids of messages are anything that a sender chose.
pub fn element_id(id: &str) -> String {
    format!("m-{}", utf8_percent_encode(id, NON_ALPHANUMERIC))
}

/// Returns the address of a message's own page, below that of its chat.
pub fn message_address(chat: &str, id: &str) -> String {
    format!(
        "{chat}/messages/{}",
        utf8_percent_encode(id, NON_ALPHANUMERIC)
    )
}

/// Returns whether nothing is left of a message.
pub fn is_deleted(message: &Value) -> bool {
    optional_text(message, "deleted_at").is_some() || text_at(message, "type") == "deleted"
}

/// Draws a message of a chat.
pub fn draw_message(view: &ThreadView<'_>, message: &Value) -> Markup {
    let context = view.context;
    let id = text_at(message, "id");
    let is_own = flag_at(message, "from_me");
    html! {
        li.message.own[is_own] id=(element_id(id)) {
            (draw_head(context, message, is_own))
            (draw_quote(view, message))
            @if is_deleted(message) {
                p { em { (context.text(texts::DELETED)) } }
            } @else {
                div.body { (draw_body(view, message)) }
            }
            (draw_reactions(context, message))
            (draw_answers(view, message))
        }
    }
}

fn draw_head(context: &PageContext, message: &Value, is_own: bool) -> Markup {
    let author = if is_own {
        context.text(texts::YOU).to_owned()
    } else {
        name_of(&message["from"])
    };
    let notes = [
        (
            optional_text(message, "edited_at").is_some(),
            "edited",
            texts::EDITED,
        ),
        (flag_at(message, "forwarded"), "forwarded", texts::FORWARDED),
        (
            number_at(message, "expires_after").is_some(),
            "disappears",
            texts::DISAPPEARS,
        ),
        (
            flag_at(message, "mentions_everyone"),
            "mentions",
            texts::TO_EVERYBODY,
        ),
    ];
    html! {
        p.quiet {
            bdi { (author) } " " (render_time(text_at(message, "timestamp"))) " " (draw_ticks(message))
            @for (is_so, class, text) in notes {
                @if is_so { " " span class=(class) { (context.text(text)) } }
            }
        }
    }
}

/// Draws the content of a message that was not deleted.
fn draw_body(view: &ThreadView<'_>, message: &Value) -> Markup {
    let album = optional_text(message, "album_id");
    html! {
        @match serde_json::from_value::<Message>(message.clone()) {
            Ok(known) => (draw_content(view, &known.content, list_at(message, "tally"))),
            // A kind to come; the rest is in the JSON on the message's page.
            Err(_) => em { "[" (text_at(message, "type")) "]" },
        }
        @if let Some(album) = album {
            p.quiet { a href=(view.place_of(album)) { (view.context.text(texts::PART_OF_ALBUM)) } }
        }
    }
}

/// Draws how far a message of the account has come.
pub fn draw_ticks(message: &Value) -> Markup {
    let Some(status) = optional_text(message, "status") else {
        return html! {};
    };
    let ticks = match status {
        "sent" => "✓",
        "delivered" => "✓✓",
        "read" | "played" => "✓✓ •",
        "failed" | "cancelled" => "✗",
        _ => "…",
    };
    html! { span.ticks data-status=(status) title=(status) role="img" aria-label=(status) { (ticks) } }
}

fn draw_quote(view: &ThreadView<'_>, message: &Value) -> Markup {
    let Some(id) = optional_text(message, "context/message_id") else {
        return html! {};
    };
    let quoted = &message["context"]["quoted"];
    let is_elsewhere = optional_text(message, "context/chat").is_some();
    let text = if quoted.is_null() {
        id.to_owned()
    } else {
        describe_content(view.context, quoted)
    };
    html! {
        @if is_elsewhere {
            span.quote { (text) }
        } @else {
            a.quote href=(view.place_of(id)) { (text) }
        }
    }
}

fn draw_reactions(context: &PageContext, message: &Value) -> Markup {
    let reactions = list_at(message, "reactions");
    let author = |reaction: &Value| {
        if flag_at(reaction, "from_me") {
            context.text(texts::BY_ACCOUNT).to_owned()
        } else {
            name_of(&reaction["from"])
        }
    };
    html! {
        @if !reactions.is_empty() {
            p.reactions {
                @for reaction in reactions {
                    span title=(author(reaction)) { (text_at(reaction, "emoji")) } " "
                }
            }
        }
    }
}

/// Draws the shortest answers, and the way to all others.
fn draw_answers(view: &ThreadView<'_>, message: &Value) -> Markup {
    let context = view.context;
    let id = text_at(message, "id");
    html! {
        div.row {
            @if context.has_scope(Scope::Send) && !is_deleted(message) {
                button.plain type="button" data-reply=(id) hidden { (context.text(texts::REPLY)) }
                form method="post" action={ (view.address) "/react" } {
                    (form_token(context))
                    input type="hidden" name="message_id" value=(id);
                    button.plain type="submit" name="emoji" value="👍"
                        aria-label={ (context.text(texts::REACT)) " 👍" } { "👍" }
                }
            }
            a.more href=(message_address(&view.address, id)) aria-label=(context.text(texts::MORE)) { "⋯" }
        }
    }
}
