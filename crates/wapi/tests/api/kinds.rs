//! Every kind of message, both ways: from HTTP to the phone's decrypted protobuf, and from the phone to the webhook.

use serde_json::{Value, json};
use wapi_simulator::waproto::buffa::MessageField;
use wapi_simulator::waproto::whatsapp as wa;
use wapi_simulator::waproto::whatsapp::message as kinds;

use crate::harness::{PATIENCE, TestApp, TestReceiver};

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
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
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
        let mut protobuf = received.json();
        let around = protobuf
            .as_object_mut()
            .unwrap()
            .remove("message_context_info")
            .unwrap_or_default();
        assert_eq!((received.id.as_str(), &protobuf), (id.as_str(), &expected));
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
        let mut protobuf = bob.next_message(PATIENCE).await.unwrap().json();
        protobuf
            .as_object_mut()
            .unwrap()
            .remove("message_context_info");
        assert_eq!(protobuf, expected);
    }
    app.finish().await;
}

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
        let id = bob.sends(alice.number(), stanza, message).unwrap();
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

#[tokio::test]
async fn what_may_be_looked_at_once_says_so_on_the_phone() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
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
    let image = &received.json()["view_once_message"]["message"]["image_message"];
    assert_eq!(
        (&image["view_once"], &image["caption"]),
        (&json!(true), &json!("quick"))
    );
    app.finish().await;
}

/// What an answer says about the message it answers.
async fn answered(app: &TestApp, bob: &wapi_simulator::Phone, id: &str, body: &str) -> Value {
    let answer = json!({"to": bob.number(), "text": {"body": body}, "context": {"message_id": id}});
    app.accepted("shop", answer).await;
    bob.next_message(PATIENCE).await.unwrap().json()["extended_text_message"]["context_info"]
        .clone()
}

#[tokio::test]
async fn answers_quote_what_they_answer_and_reactions_name_it() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let theirs = bob
        .sends_image(alice.number(), vec![1, 2, 3], "image/png", Some("look"))
        .await
        .unwrap();
    app.webhook.next().await;
    let context = answered(&app, &bob, &theirs, "nice").await;
    // As the chat names people, which phones look it up by.
    let named = |phone: &wapi_simulator::Phone| json!(app.address(phone));
    assert_eq!(
        (&context["stanza_id"], &context["participant"]),
        (&json!(theirs), &named(&bob))
    );
    assert_eq!(
        context["quoted_message"]["image_message"],
        json!({"caption": "look", "mimetype": "image/png"})
    );

    let place = json!({"to": bob.number(), "location": {"latitude": 1.5, "longitude": 2.5}});
    let ours = app.accepted("shop", place).await;
    bob.next_message(PATIENCE).await.unwrap();
    let context = answered(&app, &bob, &ours, "here").await;
    assert_eq!(
        (&context["stanza_id"], &context["participant"]),
        (&json!(ours), &named(&alice))
    );
    assert_eq!(
        context["quoted_message"]["location_message"]["degrees_latitude"],
        1.5
    );

    for (id, from_me, emoji) in [
        (&theirs, false, json!("👍")),
        (&ours, true, json!("❤️")),
        (&theirs, false, Value::Null),
    ] {
        let reaction = json!({"to": bob.number(), "reaction": {"message_id": id, "emoji": emoji}});
        app.accepted("shop", reaction).await;
        let received = bob.next_message(PATIENCE).await.unwrap().json();
        let reaction = &received["reaction_message"];
        assert_eq!(
            reaction["key"],
            json!({"remote_jid": bob.jid(), "from_me": from_me, "id": id})
        );
        assert_eq!(reaction["text"], json!(emoji.as_str().unwrap_or_default()));
    }
    app.finish().await;
}

#[tokio::test]
async fn texts_are_changed_taken_back_and_forwarded() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let id = app
        .accepted(
            "shop",
            json!({"to": bob.number(), "text": {"body": "helo"}}),
        )
        .await;
    bob.next_message(PATIENCE).await.unwrap();
    let route = format!("/v1/sessions/shop/messages/{id}");
    let key = json!({"remote_jid": bob.jid(), "from_me": true, "id": id});

    let edited = app
        .patch(&route, json!({"text": {"body": "hello"}}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &edited["messages"][0]["type"],
            &edited["messages"][0]["status"]
        ),
        (&json!("edit"), &json!("sent"))
    );
    let received = bob.next_message(PATIENCE).await.unwrap().json();
    let change = &received["protocol_message"];
    assert_eq!(
        (&change["key"], &change["type"]),
        (&key, &json!("MESSAGE_EDIT")),
        "{received}"
    );
    assert_eq!(change["edited_message"]["conversation"], "hello");

    let carol = app.phone("Carol");
    app.post(&format!("{route}/forward"), json!({"to": carol.number()}))
        .await
        .expect(200);
    let received = carol.next_message(PATIENCE).await.unwrap().json();
    let forwarded = &received["extended_text_message"];
    assert_eq!(
        (
            &forwarded["text"],
            &forwarded["context_info"]["is_forwarded"]
        ),
        (&json!("helo"), &json!(true))
    );
    let theirs = bob.sends_text(alice.number(), "spread this").await.unwrap();
    app.webhook.next().await;
    let forward = format!("/v1/sessions/shop/messages/{theirs}/forward");
    app.post(&forward, json!({"to": carol.number(), "chat": bob.jid()}))
        .await
        .expect(200);
    assert_eq!(
        carol.next_message(PATIENCE).await.unwrap().text.as_deref(),
        Some("spread this")
    );

    app.delete(&route).await.expect(200);
    let received = bob.next_message(PATIENCE).await.unwrap().json();
    assert_eq!(
        received["protocol_message"],
        json!({"key": key, "type": "REVOKE"})
    );
    app.finish().await;
}

#[tokio::test]
async fn a_message_is_deleted_from_the_own_devices_alone() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let ours = app
        .accepted("shop", json!({"to": bob.number(), "text": {"body": "hi"}}))
        .await;
    bob.next_message(PATIENCE).await.unwrap();
    let theirs = bob.sends_text(alice.number(), "hi").await.unwrap();
    app.webhook.next().await;
    for (id, from_me) in [(&ours, "1"), (&theirs, "0")] {
        let route = format!(
            "/v1/sessions/shop/messages/{id}?for=me&chat={}",
            bob.number()
        );
        app.delete(&route).await.expect(204);
        let written = alice.app_state("regular_high").unwrap();
        let expected = ["deleteMessageForMe", &bob.jid(), id, from_me, "0"].map(str::to_owned);
        assert_eq!(written.last().map(Vec::as_slice), Some(&expected[..]));
    }
    app.finish().await;
}

#[tokio::test]
async fn what_cannot_be_changed_is_named() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let route = |id: &str| format!("/v1/sessions/shop/messages/{id}");
    let words = || json!({"text": {"body": "new"}});
    assert_eq!(
        app.patch(&route("3EB0"), words()).await.expect(404).code(),
        "message_not_found"
    );
    let place = json!({"to": bob.number(), "location": {"latitude": 1, "longitude": 2}});
    let id = app.accepted("shop", place).await;
    assert_eq!(
        app.patch(&route(&id), words()).await.expect(400).fields(),
        ["id"]
    );
    assert_eq!(
        app.patch(&route(&id), json!({"location": {}}))
            .await
            .expect(400)
            .fields(),
        ["text", "location"]
    );
    assert_eq!(
        app.delete(&format!("{}?for=them", route(&id)))
            .await
            .expect(400)
            .fields(),
        ["for"]
    );
    let theirs = bob.sends_text(alice.number(), "mine").await.unwrap();
    app.webhook.next().await;
    assert_eq!(
        app.delete(&route(&theirs)).await.expect(404).code(),
        "message_not_found"
    );
    let in_chat = format!("{}?chat={}", route(&theirs), bob.number());
    assert_eq!(app.delete(&in_chat).await.expect(400).fields(), ["id"]);
    let gone = app
        .accepted(
            "shop",
            json!({"to": "375449999999", "text": {"body": "to nobody"}}),
        )
        .await;
    app.until_message("shop", &gone, "failed").await;
    assert_eq!(
        app.patch(&route(&gone), words()).await.expect(400).fields(),
        ["id"]
    );
    assert_eq!(app.delete(&route(&gone)).await.expect(400).fields(), ["id"]);
    let text = app
        .accepted("shop", json!({"to": bob.number(), "text": {"body": "old"}}))
        .await;
    app.until_message("shop", &text, "delivered").await;
    app.push_clock(std::time::Duration::from_secs(16 * 60));
    app.until("shop", "online").await;
    assert_eq!(
        app.patch(&route(&text), words()).await.expect(409).code(),
        "too_late"
    );
    app.finish().await;
}
