//! Buttons, lists and calls to action. Pure.

use serde_json::{Value, json};

use super::schema::{object, or_null, string_enum, text, with_description, with_keyword};

const DESCRIPTION: &str = "As in Meta's Cloud API. WhatsApp means this for businesses: it comes from a linked device as what it calls a native \
                      flow, which phones show in chats of two. WhatsApp Web and older phones may show the body alone, groups may show \
                      nothing, and WhatsApp may change that any day: for what must be read, say it in the body. The answer comes as \
                      `interactive` with `button_reply` or `list_reply`. `pix` shows a Brazilian Pix key to pay to; without a \
                      `reference_id` it gets one. WhatsApp may refuse it from accounts that are no business.";

pub fn sent_members() -> Vec<(&'static str, Value)> {
    let frame = || object(&[("text", text())]);
    let header = object(&[("type", string_enum(&["text"])), ("text", text())]);
    let action = with_description(
        json!({"type": "object"}),
        "Content for this type; see the examples.",
    );
    let interactive = object(&[
        (
            "type",
            string_enum(&["button", "list", "cta_url", "cta_call", "cta_copy", "pix"]),
        ),
        ("header?", or_null(header)),
        (
            "body?",
            or_null(with_description(frame(), "Required, except for `pix`.")),
        ),
        ("footer?", or_null(frame())),
        ("action", action),
    ]);
    vec![(
        "interactive?",
        with_keyword(
            with_description(interactive, DESCRIPTION),
            "examples",
            interactive_examples(),
        ),
    )]
}

fn interactive_examples() -> Value {
    let row = json!({"id": "1", "title": "Tea", "description": "Green or black"});
    let call = |parameters: Value| json!({"parameters": parameters});
    json!([
        {"type": "button", "body": {"text": "Tea?"}, "action": {"buttons": [
            {"type": "reply", "reply": {"id": "yes", "title": "Yes"}},
        ]}},
        {"type": "list", "body": {"text": "What?"}, "action": {"button": "Choose", "sections": [{"rows": [row]}]}},
        {"type": "cta_url", "body": {"text": "Our shop"},
         "action": call(json!({"display_text": "Open", "url": "https://example.com/"}))},
        {"type": "cta_call", "body": {"text": "Ask us"},
         "action": call(json!({"display_text": "Call", "phone_number": "+375447034810"}))},
        {"type": "cta_copy", "body": {"text": "Your code"},
         "action": call(json!({"display_text": "Copy", "code": "7F3A"}))},
        {"type": "pix", "action": call(json!({
            "merchant_name": "Our shop", "key": "shop@example.com", "key_type": "EMAIL", "reference_id": "ORDER1042",
        }))},
    ])
}
