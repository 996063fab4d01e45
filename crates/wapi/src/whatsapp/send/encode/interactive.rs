//! Interactive messages: buttons, lists and calls to action as the native flow phones show. Pure.

use serde_json::{Value, json};
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message::InteractiveMessage;
use whatsapp_rust::waproto::whatsapp::message::interactive_message::native_flow_message::NativeFlowButton;
use whatsapp_rust::waproto::whatsapp::message::interactive_message::{
    self as parts, InteractiveMessage as Payload, NativeFlowMessage,
};

use crate::model::message::interactive::{
    InteractiveContent, InteractiveElement, InteractiveHeader, ListSection, PixKey, ReplyButton,
    ReplyChoice,
};

/// The only version in use.
const VERSION: i32 = 1;

/// Builds the message; `None` for elements that are only received.
pub(crate) fn build_interactive(interactive: &InteractiveContent) -> Option<wa::Message> {
    let buttons = build_buttons(&interactive.element)?
        .into_iter()
        .map(|(name, parameters)| NativeFlowButton {
            name: Some(name.to_owned()),
            button_params_json: Some(parameters.to_string()),
        });
    let flow = NativeFlowMessage {
        buttons: buttons.collect(),
        message_version: Some(VERSION),
        ..Default::default()
    };
    let header = interactive
        .header
        .as_ref()
        .map(|InteractiveHeader::Text { text }| parts::Header {
            title: Some(text.clone()),
            has_media_attachment: Some(false),
            ..Default::default()
        });
    let body = interactive.body.as_ref().map(|body| parts::Body {
        text: Some(body.text.clone()),
    });
    let footer = interactive.footer.as_ref();
    let footer = footer.map(|footer| parts::Footer {
        text: Some(footer.text.clone()),
        ..Default::default()
    });
    let message = InteractiveMessage {
        header: header.map(MessageField::some).unwrap_or_default(),
        body: body.map(MessageField::some).unwrap_or_default(),
        footer: footer.map(MessageField::some).unwrap_or_default(),
        interactive_message: Some(Payload::NativeFlowMessage(Box::new(flow))),
        ..Default::default()
    };
    Some(wa::Message {
        interactive_message: MessageField::some(message),
        ..Default::default()
    })
}

/// Returns the name and parameters of each button; `None` for elements that are only received.
fn build_buttons(element: &InteractiveElement) -> Option<Vec<(&'static str, Value)>> {
    Some(match element {
        InteractiveElement::Button { action } => {
            let one = |ReplyButton::Reply { reply }: &ReplyButton| {
                (
                    "quick_reply",
                    json!({"display_text": reply.title, "id": reply.id}),
                )
            };
            action.buttons.iter().map(one).collect()
        }
        InteractiveElement::List { action } => {
            let sections: Vec<_> = action.sections.iter().map(build_section).collect();
            vec![(
                "single_select",
                json!({"title": action.button, "sections": sections}),
            )]
        }
        InteractiveElement::CtaUrl { action } => {
            let link = &action.parameters;
            let url = json!({"display_text": link.display_text, "url": link.url, "merchant_url": link.url});
            vec![("cta_url", url)]
        }
        InteractiveElement::CtaCall { action } => {
            let number = &action.parameters;
            vec![(
                "cta_call",
                json!({"display_text": number.display_text, "phone_number": number.phone_number}),
            )]
        }
        InteractiveElement::CtaCopy { action } => {
            let code = &action.parameters;
            vec![(
                "cta_copy",
                json!({"display_text": code.display_text, "copy_code": code.code}),
            )]
        }
        InteractiveElement::Pix { action } => vec![("payment_info", build_pix(&action.parameters))],
        InteractiveElement::ButtonReply { .. }
        | InteractiveElement::ListReply { .. }
        | InteractiveElement::NfmReply { .. } => {
            return None;
        }
    })
}

/// Builds the parameters as phones do for a key without an amount.
fn build_pix(pix: &PixKey) -> Value {
    let nothing = json!({"value": 0, "offset": 100});
    let item = json!({"name": "", "amount": nothing, "quantity": 0, "sale_amount": nothing});
    let order =
        json!({"status": "pending", "subtotal": nothing, "order_type": "ORDER", "items": [item]});
    let code =
        json!({"merchant_name": pix.merchant_name, "key": pix.key, "key_type": pix.key_type});
    json!({
        "currency": "BRL", "total_amount": nothing, "reference_id": pix.reference_id, "type": "physical-goods",
        "order": order, "payment_settings": [{"type": "pix_static_code", "pix_static_code": code}],
        "share_payment_status": false,
    })
}

fn build_section(section: &ListSection) -> Value {
    let row = |row: &ReplyChoice| match &row.description {
        Some(description) => json!({"id": row.id, "title": row.title, "description": description}),
        None => json!({"id": row.id, "title": row.title}),
    };
    let rows: Vec<_> = section.rows.iter().map(row).collect();
    match &section.title {
        Some(title) => json!({"title": title, "rows": rows}),
        None => json!({"rows": rows}),
    }
}
