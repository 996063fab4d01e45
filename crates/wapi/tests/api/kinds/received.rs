//! Every kind of message that a phone sends is told to the webhook, with all that is in it.

use serde_json::{Value, json};
use wapi_simulator::waproto::buffa::MessageField;
use wapi_simulator::waproto::whatsapp as wa;
use wapi_simulator::waproto::whatsapp::message as kinds;

use super::VCARD;
use crate::harness::TestApp;

fn some<T: Default>(message: T) -> MessageField<T> {
    MessageField::some(message)
}

fn words(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// What a phone sends, with its stanza's type, and what the webhook is told of it.
fn received() -> Vec<(&'static str, wa::Message, Value)> {
    let one = |contact: &str| kinds::ContactMessage {
        display_name: words(contact),
        vcard: words(VCARD),
        ..Default::default()
    };
    let told = |name: &str| json!({"name": name, "vcard": VCARD, "phones": [{"phone": "+375 44 703-48-10", "wa_id": "375447034810"}]});
    let option = |name: &str| kinds::poll_creation_message::Option {
        option_name: words(name),
        ..Default::default()
    };
    let quoted = kinds::ImageMessage {
        caption: words("look"),
        mimetype: words("image/png"),
        ..Default::default()
    };
    let context = wa::ContextInfo {
        stanza_id: words("3EB0"),
        participant: words("375440000009:2@s.whatsapp.net"),
        quoted_message: some(wa::Message {
            image_message: some(quoted),
            ..Default::default()
        }),
        mentioned_jid: vec!["375440000009@s.whatsapp.net".to_owned()],
        is_forwarded: Some(true),
        ..Default::default()
    };
    let text = kinds::ExtendedTextMessage {
        text: words("nice"),
        context_info: some(context),
        ..Default::default()
    };
    let location = kinds::LocationMessage {
        degrees_latitude: Some(53.9),
        degrees_longitude: Some(-27.5),
        name: words("Here"),
        ..Default::default()
    };
    let live = kinds::LiveLocationMessage {
        degrees_latitude: Some(53.9),
        degrees_longitude: Some(-27.5),
        accuracy_in_meters: Some(5),
        speed_in_mps: Some(1.5),
        degrees_clockwise_from_magnetic_north: Some(90),
        caption: words("on my way"),
        sequence_number: Some(7),
        ..Default::default()
    };
    let array = kinds::ContactsArrayMessage {
        contacts: vec![one("Ann"), one("Bob")],
        ..Default::default()
    };
    let poll = kinds::PollCreationMessage {
        name: words("What?"),
        options: vec![option("Tea"), option("Coffee")],
        selectable_options_count: Some(0),
        ..Default::default()
    };
    let event = kinds::EventMessage {
        name: words("Party"),
        start_time: Some(1_796_115_600),
        location: some(kinds::LocationMessage {
            name: words("Here"),
            ..Default::default()
        }),
        ..Default::default()
    };
    let invite = kinds::GroupInviteMessage {
        group_jid: words("120363025246125486@g.us"),
        invite_code: words("c0de"),
        group_name: words("Friends"),
        invite_expiration: Some(1_796_115_600),
        ..Default::default()
    };
    let picture = kinds::ImageMessage {
        mimetype: words("image/png"),
        view_once: Some(true),
        ..Default::default()
    };
    let once = kinds::FutureProofMessage {
        message: some(wa::Message {
            image_message: some(picture),
            ..Default::default()
        }),
    };
    vec![
        (
            "text",
            wa::Message {
                extended_text_message: some(text),
                ..Default::default()
            },
            json!({
                "type": "text", "text": {"body": "nice"}, "mentions": ["375440000009@s.whatsapp.net"], "forwarded": true,
                "mentioned": [{"id": "375440000009@s.whatsapp.net", "phone": "375440000009", "lid": null, "name": null}],
                "context": {
                    "message_id": "3EB0", "from": "375440000009@s.whatsapp.net", "phone": "375440000009",
                    "quoted": {"type": "image", "image": {"caption": "look", "mime_type": "image/png"}},
                },
            }),
        ),
        (
            "media",
            wa::Message {
                location_message: some(location),
                ..Default::default()
            },
            json!({"type": "location", "location": {
                "latitude": 53.9, "longitude": -27.5, "name": "Here", "address": null,
            }}),
        ),
        (
            "media",
            wa::Message {
                live_location_message: some(live),
                ..Default::default()
            },
            json!({"type": "live_location", "live_location": {
                "latitude": 53.9, "longitude": -27.5, "accuracy": 5, "speed": 1.5, "bearing": 90,
                "caption": "on my way", "sequence": 7,
            }}),
        ),
        (
            "media",
            wa::Message {
                contact_message: some(one("Ann")),
                ..Default::default()
            },
            json!({"type": "contacts", "contacts": [told("Ann")]}),
        ),
        (
            "media",
            wa::Message {
                contacts_array_message: some(array),
                ..Default::default()
            },
            json!({"type": "contacts", "contacts": [told("Ann"), told("Bob")]}),
        ),
        (
            "poll",
            wa::Message {
                poll_creation_message: some(poll),
                ..Default::default()
            },
            json!({"type": "poll", "poll": {"question": "What?", "options": ["Tea", "Coffee"], "max_selections": 2}}),
        ),
        (
            "event",
            wa::Message {
                event_message: some(event),
                ..Default::default()
            },
            json!({"type": "event", "event": {
                "name": "Party", "start": "2026-12-01T09:00:00.000Z", "end": null, "place": {"name": "Here"},
            }}),
        ),
        (
            "text",
            wa::Message {
                group_invite_message: some(invite),
                ..Default::default()
            },
            json!({"type": "group_invite", "group_invite": {
                "group": "120363025246125486@g.us", "code": "c0de", "name": "Friends", "caption": null,
                "expires_at": "2026-12-01T09:00:00.000Z",
            }}),
        ),
        (
            "media",
            wa::Message {
                view_once_message: some(once),
                ..Default::default()
            },
            json!({"type": "image", "image": {"view_once": true, "mime_type": "image/png"}}),
        ),
    ]
}

/// Fails unless everything expected is there; more may be.
fn assert_has(told: &Value, expected: &Value, whole: &Value) {
    match expected {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, value)| assert_has(&told[name], value, whole)),
        Value::Array(list) => {
            assert_eq!(told.as_array().map(Vec::len), Some(list.len()), "{whole}");
            list.iter()
                .enumerate()
                .for_each(|(index, value)| assert_has(&told[index], value, whole));
        }
        _ => assert_eq!(told, expected, "{whole}"),
    }
}

#[tokio::test]
async fn every_kind_reaches_the_webhook() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    for (stanza, message, expected) in received() {
        let id = bob.sends_message(alice.number(), stanza, message).unwrap();
        let event = app.webhook.next().await.body;
        assert_eq!(
            (&event["type"], &event["data"]["id"]),
            (&json!("message.received"), &json!(id))
        );
        assert_has(&event["data"], &expected, &event);
    }
    assert_eq!(
        alice.failures().len(),
        1,
        "there is no file behind the picture"
    );
    app.finish().await;
}
