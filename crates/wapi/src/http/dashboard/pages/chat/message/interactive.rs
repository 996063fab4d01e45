//! Interactive messages: buttons, lists, and the answers to them. Nothing here can be tapped: the
//! buttons belong to the recipient's phone.

use maud::{Markup, html};

use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::pages::chat::texts;
use crate::model::message::interactive::{
    InteractiveContent, InteractiveElement, InteractiveHeader, ReplyButton, ReplyChoice,
};

/// Draws an interactive message.
pub fn draw_interactive(context: &PageContext, content: &InteractiveContent) -> Markup {
    html! {
        @if let Some(InteractiveHeader::Text { text }) = &content.header { p { strong { (text) } } }
        @if let Some(body) = &content.body { p { (body.text) } }
        (draw_element(context, &content.element))
        @if let Some(footer) = &content.footer { p.quiet { (footer.text) } }
    }
}

fn draw_element(context: &PageContext, element: &InteractiveElement) -> Markup {
    let button = |label: &str, target: &str| {
        html! { ul.choices { li { (label) " " span.quiet { (target) } } } }
    };
    let chosen = |choice: &ReplyChoice| {
        html! { p { (context.text(texts::CHOSEN)) ": " strong { (choice.title) } } (draw_detail(choice)) }
    };
    match element {
        InteractiveElement::Button { action } => html! {
            ul.choices {
                @for ReplyButton::Reply { reply } in &action.buttons { li { (reply.title) } }
            }
        },
        InteractiveElement::List { action } => html! {
            p { (context.text(texts::LIST)) ": " (action.button) }
            @for section in &action.sections {
                @if let Some(title) = &section.title { p { strong { (title) } } }
                ul.choices { @for row in &section.rows { li { (row.title) (draw_detail(row)) } } }
            }
        },
        InteractiveElement::CtaUrl { action } => {
            button(&action.parameters.display_text, &action.parameters.url)
        }
        InteractiveElement::CtaCall { action } => button(
            &action.parameters.display_text,
            &action.parameters.phone_number,
        ),
        InteractiveElement::CtaCopy { action } => {
            button(&action.parameters.display_text, &action.parameters.code)
        }
        InteractiveElement::Pix { action } => html! {
            p {
                (context.text(texts::PAYMENT)) ": " (action.parameters.merchant_name) " · "
                (action.parameters.key_type) " " (action.parameters.key)
            }
        },
        InteractiveElement::ButtonReply {
            button_reply: choice,
        }
        | InteractiveElement::ListReply { list_reply: choice } => chosen(choice),
        InteractiveElement::NfmReply { nfm_reply } => html! {
            p {
                (context.text(texts::FORM_FILLED)) ": "
                (nfm_reply.name.as_deref().unwrap_or_default()) " "
                (nfm_reply.body.as_deref().unwrap_or_default())
            }
            @if let Some(json) = &nfm_reply.response_json { pre { (json) } }
        },
    }
}

fn draw_detail(choice: &ReplyChoice) -> Markup {
    html! { @if let Some(detail) = &choice.description { " " span.quiet { (detail) } } }
}
