use std::collections::HashSet;

use axum::http::HeaderMap;
use serde_json::{Value, json};

use crate::http::dashboard::context::{PageContext, PageLanguage};
use crate::http::dashboard::pages::chat::message::{ThreadView, draw_message, element_id};
use crate::model::message::{Message, MessageContent};
use crate::model::session_name::SessionName;

/// Kinds of messages.
const KINDS: usize = 27;

/// Returns the number of a kind. A new one needs a sample below.
fn number_of(content: &MessageContent) -> usize {
    match content {
        MessageContent::Text { .. } => 0,
        MessageContent::Image { .. } => 1,
        MessageContent::Video { .. } => 2,
        MessageContent::Audio { .. } => 3,
        MessageContent::Document { .. } => 4,
        MessageContent::Sticker { .. } => 5,
        MessageContent::Location { .. } => 6,
        MessageContent::LiveLocation { .. } => 7,
        MessageContent::Contacts { .. } => 8,
        MessageContent::Poll { .. } => 9,
        MessageContent::Event { .. } => 10,
        MessageContent::GroupInvite { .. } => 11,
        MessageContent::Album { .. } => 12,
        MessageContent::PhoneNumberRequest { .. } => 13,
        MessageContent::Interactive { .. } => 14,
        MessageContent::Product { .. } => 15,
        MessageContent::Order { .. } => 16,
        MessageContent::PollVote { .. } => 17,
        MessageContent::EventResponse { .. } => 18,
        MessageContent::Reaction { .. } => 19,
        MessageContent::Edit { .. } => 20,
        MessageContent::Deletion { .. } => 21,
        MessageContent::Pin { .. } => 22,
        MessageContent::Keep { .. } => 23,
        MessageContent::Timer { .. } => 24,
        MessageContent::Unsupported { .. } => 25,
        MessageContent::NewsletterInvite { .. } => 26,
    }
}

/// A message of each kind as the history shows it, and a part of its drawing.
fn samples() -> Vec<(&'static str, Value, &'static str)> {
    let choice = json!({"id": "1", "title": "<One>", "description": "first"});
    vec![
        ("text", json!({"body": "a < b"}), "a &lt; b"),
        (
            "image",
            json!({"id": "med_1", "mime_type": "image/jpeg", "caption": "<sea>"}),
            "<img src=\"/dashboard/media/med_1\" alt=\"Picture\" loading=\"lazy\">",
        ),
        (
            "image",
            json!({"id": "med_1", "mime_type": "image/svg+xml"}),
            "<a href=\"/dashboard/media/med_1\" download>",
        ),
        (
            "video",
            json!({"id": "med_2", "mime_type": "video/mp4", "round": true}),
            "<video controls preload=\"none\" src=\"/dashboard/media/med_2\"",
        ),
        (
            "audio",
            json!({"id": "med_3", "mime_type": "audio/ogg; codecs=opus", "voice": true, "duration": 7}),
            "<audio controls preload=\"none\" src=\"/dashboard/media/med_3\" aria-label=\"Voice note\"",
        ),
        (
            "document",
            json!({"filename": "<list>.html", "mime_type": "text/html", "size": 1500, "pages": 3}),
            "&lt;list&gt;.html",
        ),
        (
            "sticker",
            json!({"id": "med_4", "mime_type": "image/webp"}),
            "alt=\"Sticker\"",
        ),
        (
            "location",
            json!({"latitude": 53.9, "longitude": -27.5, "name": "<quay>", "address": null}),
            "<a href=\"geo:53.9,-27.5\">",
        ),
        (
            "live_location",
            json!({"latitude": 1.5, "longitude": 2.0, "accuracy": 9, "caption": "on my way"}),
            "±9 m",
        ),
        (
            "contacts",
            json!([{"name": "<Ann>", "vcard": "", "phones": [{"phone": "+375 44", "wa_id": "37544"}]}]),
            "<bdi>&lt;Ann&gt;</bdi> <a href=\"/dashboard/sessions/shop/chats/37544\">+375 44</a>",
        ),
        (
            "poll",
            json!({"question": "Tea?", "options": ["<Yes>", "No"], "max_selections": 1, "quiz": {"answer": "No"}}),
            "&lt;Yes&gt; <meter min=\"0\" max=\"3\" value=\"3\"",
        ),
        (
            "event",
            json!({"name": "Party", "start": "2030-05-01T10:00:00Z", "canceled": true,
                "place": {"name": "Quay", "latitude": 1.0, "longitude": 2.0}, "join_link": "https://call.example"}),
            "<em>canceled</em>",
        ),
        (
            "group_invite",
            json!({"group": "1@g.us", "code": "AbC", "name": "<Club>", "expires_at": "2030-05-01T10:00:00Z"}),
            "&lt;Club&gt;",
        ),
        (
            "newsletter_invite",
            json!({"newsletter": "1@newsletter", "name": "<News>", "expires_at": "2030-05-01T10:00:00Z"}),
            "&lt;News&gt;",
        ),
        ("album", json!({"images": 2, "videos": 1}), "Album: 2 + 1"),
        (
            "phone_number_request",
            json!({}),
            "Asks for the phone number.",
        ),
        (
            "interactive",
            json!({"type": "button", "header": {"type": "text", "text": "Head"}, "body": {"text": "Tea?"},
                "footer": {"text": "foot"}, "action": {"buttons": [{"type": "reply", "reply": choice}]}}),
            "<li>&lt;One&gt;</li>",
        ),
        (
            "interactive",
            json!({"type": "list", "action": {"button": "Menu", "sections": [{"title": "Hot", "rows": [choice]}]}}),
            "<li>&lt;One&gt; <span class=\"quiet\">first</span></li>",
        ),
        (
            "interactive",
            json!({"type": "cta_url", "action": {"parameters": {"display_text": "Open", "url": "https://a.example"}}}),
            "Open <span class=\"quiet\">https://a.example</span>",
        ),
        (
            "interactive",
            json!({"type": "cta_call", "action": {"parameters": {"display_text": "Dial", "phone_number": "+1"}}}),
            "Dial <span class=\"quiet\">+1</span>",
        ),
        (
            "interactive",
            json!({"type": "cta_copy", "action": {"parameters": {"display_text": "Copy", "code": "4711"}}}),
            "Copy <span class=\"quiet\">4711</span>",
        ),
        (
            "interactive",
            json!({"type": "pix", "action": {"parameters":
                {"merchant_name": "Shop", "key": "k", "key_type": "EVP", "reference_id": "r"}}}),
            "Payment request: Shop · EVP k",
        ),
        (
            "interactive",
            json!({"type": "button_reply", "button_reply": choice}),
            "Chosen: <strong>&lt;One&gt;</strong>",
        ),
        (
            "interactive",
            json!({"type": "list_reply", "list_reply": choice}),
            "first",
        ),
        (
            "interactive",
            json!({"type": "nfm_reply", "nfm_reply": {"name": "form", "body": "done", "response_json": "{}"}}),
            "Form, filled in: form done",
        ),
        (
            "product",
            json!({"title": "Tea", "price": {"amount": 9.9, "currency": "EUR"}, "description": "<green>"}),
            "<strong>Tea</strong> 9.9 EUR",
        ),
        (
            "order",
            json!({"id": "7", "item_count": 2, "message": "<soon>", "status": "inquiry"}),
            "<strong>7</strong> 2 items",
        ),
        (
            "poll_vote",
            json!({"message_id": "A", "options": ["Tea"]}),
            "<a href=\"#m-A\">Voted</a></em> <bdi>Tea</bdi>",
        ),
        (
            "event_response",
            json!({"message_id": "B", "response": "not_going"}),
            "?up_to=B#m-B\">Responded</a></em> <bdi>Not going</bdi>",
        ),
        (
            "reaction",
            json!({"message_id": "A", "emoji": "👍"}),
            "<bdi>👍</bdi>",
        ),
        (
            "edit",
            json!({"message_id": "A", "text": {"body": "new"}}),
            "<bdi>new</bdi>",
        ),
        (
            "deletion",
            json!({"message_id": "A"}),
            "This message was deleted.",
        ),
        (
            "pin",
            json!({"message_id": "A", "duration": 86400}),
            "Pinned a message",
        ),
        (
            "keep",
            json!({"message_id": "A", "kept": false}),
            "No longer keeps a message",
        ),
        (
            "timer",
            json!({"seconds": 0}),
            "New messages no longer disappear",
        ),
    ]
}

fn document_of(kind: &str, content: Value) -> Value {
    let mut document = json!({
        "session": "shop", "id": "X <1>", "chat": "37544@s.whatsapp.net", "from_me": false, "reactions": [],
        "from": {"id": "37544@s.whatsapp.net", "phone": "37544", "lid": null, "name": null},
        "timestamp": "2026-05-01T10:00:00.000Z", "type": kind,
    });
    document[kind] = content;
    document
}

fn draw(language: PageLanguage, message: &Value) -> String {
    let context = PageContext {
        language,
        ..PageContext::before_login(&HeaderMap::new(), "/dashboard".to_owned())
    };
    let view = ThreadView {
        context: &context,
        session: SessionName::parse("shop").unwrap(),
        address: "/dashboard/sessions/shop/chats/37544@s.whatsapp.net".to_owned(),
        present: HashSet::from(["A"]),
    };
    draw_message(&view, message).into_string()
}

#[test]
fn every_kind_has_a_shape_of_its_own() {
    let mut is_seen = [false; KINDS];
    let mut documents: Vec<_> = samples()
        .into_iter()
        .map(|(kind, content, shown)| (document_of(kind, content), shown))
        .collect();
    documents.push((
        json!({"type": "unsupported", "raw": {"call_log": {}}, "id": "C", "reactions": []}),
        "<code>call_log</code>",
    ));
    for (mut document, shown) in documents {
        document["tally"] = json!([{"option": "<Yes>", "votes": 3, "voters": []}]);
        let message: Message = serde_json::from_value(document.clone()).unwrap();
        is_seen[number_of(&message.content)] = true;
        let drawn = draw(PageLanguage::English, &document);
        assert!(drawn.contains(shown), "{shown} is not in {drawn}");
        let inside = drawn.split_once("class=\"body\"").unwrap().1;
        let russian = draw(PageLanguage::Russian, &document);
        assert!(
            message.content.kind() == "text" || !russian.contains(inside),
            "{inside} is the same in Russian"
        );
    }
    assert_eq!(is_seen, [true; KINDS]);
}

#[test]
fn kinds_to_come_and_deleted_messages_are_drawn_too() {
    let drawn = draw(
        PageLanguage::English,
        &document_of("hologram", json!({"size": 1})),
    );
    assert!(drawn.contains("[hologram]"), "{drawn}");
    let mut deleted = document_of("text", json!({"body": "gone"}));
    deleted["deleted_at"] = json!("2026-05-01T10:00:00.000Z");
    let drawn = draw(PageLanguage::English, &deleted);
    assert!(
        drawn.contains("was deleted") && !drawn.contains("gone"),
        "{drawn}"
    );
}

#[test]
fn a_quote_leads_to_its_message_wherever_that_is() {
    for (quoted, address) in [
        ("A", "href=\"#m-A\""),
        (
            "B&<",
            "href=\"/dashboard/sessions/shop/chats/37544@s.whatsapp.net?up_to=B%26%3C#m-B%26%3C\"",
        ),
    ] {
        let mut answer = document_of("text", json!({"body": "yes"}));
        answer["context"] = json!({"message_id": quoted});
        let drawn = draw(PageLanguage::English, &answer);
        assert!(drawn.contains(address), "{drawn}");
    }
    assert_eq!(element_id("B&<"), "m-B%26%3C");
}
