//! Interactive messages: buttons, lists and calls to action as the native flow phones show. Pure.

use serde_json::{Value, json};
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message::InteractiveMessage;
use whatsapp_rust::waproto::whatsapp::message::interactive_message::native_flow_message::NativeFlowButton;
use whatsapp_rust::waproto::whatsapp::message::interactive_message::{
    self as parts, InteractiveMessage as Payload, NativeFlowMessage,
};

use crate::message::interactive::{Button, Choice, Element, Header, Interactive, PixKey, Section};

/// The only version in use.
const VERSION: i32 = 1;

/// Builds the message; `None` for elements that are only received.
pub(super) fn message(interactive: &Interactive) -> Option<wa::Message> {
    let buttons = buttons(&interactive.element)?
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
        .map(|Header::Text { text }| parts::Header {
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
fn buttons(element: &Element) -> Option<Vec<(&'static str, Value)>> {
    Some(match element {
        Element::Button { action } => {
            let one = |Button::Reply { reply }: &Button| {
                (
                    "quick_reply",
                    json!({"display_text": reply.title, "id": reply.id}),
                )
            };
            action.buttons.iter().map(one).collect()
        }
        Element::List { action } => {
            let sections: Vec<_> = action.sections.iter().map(section).collect();
            vec![(
                "single_select",
                json!({"title": action.button, "sections": sections}),
            )]
        }
        Element::CtaUrl { action } => {
            let link = &action.parameters;
            let url = json!({"display_text": link.display_text, "url": link.url, "merchant_url": link.url});
            vec![("cta_url", url)]
        }
        Element::CtaCall { action } => {
            let number = &action.parameters;
            vec![(
                "cta_call",
                json!({"display_text": number.display_text, "phone_number": number.phone_number}),
            )]
        }
        Element::CtaCopy { action } => {
            let code = &action.parameters;
            vec![(
                "cta_copy",
                json!({"display_text": code.display_text, "copy_code": code.code}),
            )]
        }
        Element::Pix { action } => vec![("payment_info", pix(&action.parameters))],
        Element::ButtonReply { .. } | Element::ListReply { .. } | Element::NfmReply { .. } => {
            return None;
        }
    })
}

/// Builds the parameters as phones do for a key without an amount.
fn pix(pix: &PixKey) -> Value {
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

fn section(section: &Section) -> Value {
    let row = |row: &Choice| match &row.description {
        Some(description) => json!({"id": row.id, "title": row.title, "description": description}),
        None => json!({"id": row.id, "title": row.title}),
    };
    let rows: Vec<_> = section.rows.iter().map(row).collect();
    match &section.title {
        Some(title) => json!({"title": title, "rows": rows}),
        None => json!({"rows": rows}),
    }
}
