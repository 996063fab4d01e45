//! Every kind of message reaches the phone as what it is: from HTTP to the phone's decrypted protobuf.

mod amended;
mod received;

use serde_json::{Value, json};

use crate::harness::{PATIENCE, TestReceiver, shop};

const VCARD: &str = "BEGIN:VCARD\nVERSION:3.0\nN:;Ann;;;\nFN:Ann\nTEL;type=CELL;type=VOICE;waid=375447034810:+375 44 703-48-10\nEND:VCARD";

/// What is asked for, and what a phone decrypts.
fn sent() -> Vec<(Value, Value)> {
    let ann =
        json!({"name": {"formatted_name": "Ann"}, "phones": [{"phone": "+375 44 703-48-10"}]});
    let bob = json!({"vcard": "BEGIN:VCARD\nFN:Bob\nEND:VCARD"});
    let options = json!([{"option_name": "Tea"}, {"option_name": "Coffee"}]);
    let poll = |more: Value| {
        let mut poll = json!({"question": "What?", "options": ["Tea", "Coffee"]});
        poll.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"poll": poll})
    };
    vec![
        (
            json!({"text": {"body": "*bold*"}}),
            json!({"conversation": "*bold*"}),
        ),
        (
            json!({"text": {"body": "@375440000009 look"}, "mentions": ["+375 44 000-00-09"]}),
            json!({"extended_text_message": {
                "text": "@375440000009 look", "context_info": {"mentioned_jid": ["375440000009@s.whatsapp.net"]},
            }}),
        ),
        (
            json!({"phone_number_request": {}, "mentions": ["+375 44 000-00-09"]}),
            // An object without fields is not shown.
            json!({"request_phone_number_message": {
                "context_info": {"mentioned_jid": ["375440000009@s.whatsapp.net"]},
            }}),
        ),
        (
            json!({"location": {"latitude": 53.9, "longitude": -27.5, "name": "Here", "address": "A street"}}),
            json!({"location_message": {
                "degrees_latitude": 53.9, "degrees_longitude": -27.5, "name": "Here", "address": "A street",
            }}),
        ),
        (
            json!({"contacts": [ann]}),
            json!({"contact_message": {"display_name": "Ann", "vcard": VCARD}}),
        ),
        (
            json!({"contacts": [ann, bob]}),
            json!({"contacts_array_message": {"display_name": "2 contacts", "contacts": [
                {"display_name": "Ann", "vcard": VCARD},
                {"display_name": "Bob", "vcard": "BEGIN:VCARD\nFN:Bob\nEND:VCARD"},
            ]}}),
        ),
        (
            poll(json!({})),
            json!({"poll_creation_message_v3": {"name": "What?", "options": options, "selectable_options_count": 1}}),
        ),
        (
            poll(json!({"max_selections": 2})),
            json!({"poll_creation_message": {"name": "What?", "options": options, "selectable_options_count": 0}}),
        ),
        (
            poll(json!({"quiz": {"answer": "Tea"}})),
            json!({"poll_creation_message_v3": {
                "name": "What?", "options": options, "selectable_options_count": 1, "poll_type": "QUIZ",
                "correct_answer": {
                    "option_name": "Tea",
                    "option_hash": "017979e8299034d8c481af1f282eb32af0ca7e39553664ba27289257b01d49c1",
                },
            }}),
        ),
        (
            json!({"event": {
                "name": "Party", "start": "2026-12-01T09:00:00Z", "end": "2026-12-01T10:00:00Z",
                "description": "Come!", "place": {"name": "Here"},
            }}),
            json!({"event_message": {
                "name": "Party", "description": "Come!", "start_time": 1_796_115_600, "end_time": 1_796_119_200,
                "location": {"name": "Here"},
            }}),
        ),
    ]
}

#[tokio::test]
async fn every_kind_reaches_the_phone() {
    shop(async |app, _, bob| {
        for (mut message, expected) in sent() {
            message["to"] = json!(bob.number());
            let kind = message
                .as_object()
                .unwrap()
                .keys()
                .find(|key| !["to", "mentions"].contains(&key.as_str()))
                .cloned();
            let id = app.accepted("shop", message).await;
            let received = bob.next_message(PATIENCE).await.unwrap();
            let mut protobuf = received.to_json();
            let around = protobuf
                .as_object_mut()
                .unwrap()
                .remove("message_context_info")
                .unwrap_or_default();
            assert_eq!(received.id, id);
            assert_eq!(protobuf, expected);
            if kind.as_deref() == Some("poll") || kind.as_deref() == Some("event") {
                assert_eq!(
                    around["message_secret"].as_array().map(Vec::len),
                    Some(32),
                    "nobody could vote"
                );
            }
            let shown = app.message("shop", &id).await;
            let kind = kind.unwrap();
            assert_eq!(shown["type"], json!(kind));
            // One object for all: what is shown of a message can be sent again.
            let again = json!({"to": bob.number(), (kind.clone()): shown[&kind], "mentions": shown["mentions"]});
            app.accepted("shop", again).await;
            let mut protobuf = bob.next_message(PATIENCE).await.unwrap().to_json();
            protobuf
                .as_object_mut()
                .unwrap()
                .remove("message_context_info");
            assert_eq!(protobuf, expected);
        }
    }).await;
}

#[tokio::test]
async fn what_may_be_looked_at_once_says_so_on_the_phone() {
    shop(async |app, _, bob| {
        let files = axum::Router::new().route(
            "/a.png",
            axum::routing::get(async || b"\x89PNG\r\n\x1a\n....".to_vec()),
        );
        let link = format!(
            "{}/a.png",
            TestReceiver::serve(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), files)
        );
        app.accepted(
            "shop",
            json!({"to": bob.number(), "image": {"link": link, "view_once": true, "caption": "quick"}}),
        )
        .await;
        let received = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(
            received.media.as_ref().unwrap().bytes,
            b"\x89PNG\r\n\x1a\n...."
        );
        let image = &received.to_json()["view_once_message"]["message"]["image_message"];
        assert_eq!(image["view_once"], true);
        assert_eq!(image["caption"], "quick");
    }).await;
}
