//! Statuses: posted for those who are named, seen by them, taken back; and those that others post.

use serde_json::{Value, json};
use wapi_simulator::waproto::buffa::MessageField;
use wapi_simulator::waproto::whatsapp as wa;
use wapi_simulator::waproto::whatsapp::message::ExtendedTextMessage;
use wapi_simulator::waproto::whatsapp::message::extended_text_message::FontType;
use wapi_simulator::{Addressing, Phone, SimulatorOptions};

use crate::harness::{PATIENCE, Setup, TestApp, eventually};
use crate::uploads::{png, upload};

const STATUS: &str = "status@broadcast";
const FILM: &[u8] = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom";

async fn with_alice(addressing: Addressing) -> (TestApp, [Phone; 4]) {
    let setup = Setup::new().simulator(SimulatorOptions {
        addressing,
        ..SimulatorOptions::default()
    });
    let app = setup.start().await;
    let phones = ["Alice", "Bob", "Carol", "Dave"].map(|name| app.phone(name));
    app.pair("shop", &phones[0]).await;
    (app, phones)
}

#[tokio::test]
async fn a_status_reaches_those_who_are_named_and_tells_who_saw_it() {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let (app, [alice, bob, carol, dave]) = with_alice(addressing).await;
        let recipients = json!([format!("+{}", bob.number()), carol.lid()]);
        let picture = upload(&app, "shop", "; filename=\"a.png\"", &png(8, 8)).await["id"].clone();
        let film = upload(&app, "shop", "; filename=\"a.mp4\"", FILM).await["id"].clone();
        let text =
            json!({"body": "open *now*", "background_color": "#ff8800", "font": "system_bold"});
        let mut first = String::new();
        for (kind, object) in [
            ("text", text),
            ("image", json!({"id": picture, "caption": "new"})),
            ("video", json!({"id": film})),
        ] {
            let id = app
                .accepted(
                    "shop",
                    json!({"to": "status", "recipients": recipients, (kind): object}),
                )
                .await;
            for phone in [&bob, &carol, &alice] {
                let shown = phone.next_message(PATIENCE).await.unwrap();
                assert_eq!(
                    (&shown.id, shown.chat.as_str(), shown.kind.as_str()),
                    (&id, STATUS, kind)
                );
                assert_eq!(shown.from, alice.jid());
                assert_eq!(shown.media.is_some(), kind != "text");
                let style = &shown.to_json()["extended_text_message"];
                let expected = json!({"text": "open *now*", "background_argb": 0xFFFF_8800_u32, "font": "SYSTEM_BOLD"});
                assert!(kind != "text" || *style == expected, "{style}");
            }
            first = if first.is_empty() { id } else { first };
        }
        assert_eq!(
            (dave.received_messages(), dave.failures()),
            (Vec::new(), Vec::new())
        );
        bob.reads_messages(STATUS, std::slice::from_ref(&first))
            .unwrap();
        let seen = &app.events("message.read", 1).await[0]["data"];
        assert_eq!(
            (&seen["id"], &seen["chat"]),
            (&json!(first), &json!(STATUS))
        );
        assert_eq!(seen["recipient"]["phone"], json!(bob.number()));
        carol
            .reads_messages(STATUS, std::slice::from_ref(&first))
            .unwrap();
        let seen = app.events("message.read", 2).await;
        let who: Vec<_> = seen
            .iter()
            .map(|event| event["data"]["recipient"]["id"].clone())
            .collect();
        assert_eq!(who, [bob.jid(), carol.jid()]);
        let story = app.until_message("shop", &first, "read").await;
        assert_eq!(story["audience"], json!([bob.jid(), carol.lid()]));
        let chats = app.get("/v1/sessions/shop/chats").await.expect(200).json();
        assert_eq!(
            chats["chats"],
            json!([]),
            "statuses are in no list of chats"
        );

        app.delete(&format!("/v1/sessions/shop/messages/{first}"))
            .await
            .expect(200);
        for phone in [&bob, &carol] {
            let told = phone.next_message(PATIENCE).await.unwrap();
            let protocol = told.to_json()["protocol_message"].clone();
            let key = json!({"remote_jid": STATUS, "from_me": true, "id": first});
            assert_eq!(
                (told.chat.as_str(), &protocol["type"], &protocol["key"]),
                (STATUS, &json!("REVOKE"), &key)
            );
        }
        app.finish().await;
    }
}

fn painted(words: &str) -> wa::Message {
    let text = ExtendedTextMessage {
        text: Some(words.to_owned()),
        background_argb: Some(0xFF1E_6E4F),
        font: Some(FontType::FB_SCRIPT),
        ..Default::default()
    };
    wa::Message {
        extended_text_message: MessageField::some(text),
        ..Default::default()
    }
}

#[tokio::test]
async fn what_others_post_is_an_event_of_its_own_and_no_message_to_the_original() {
    let (app, [alice, bob, ..]) = with_alice(Addressing::PhoneNumber).await;
    let id = bob
        .posts_status(&[&alice], "text", &painted("hello all"))
        .unwrap();
    let told = app.events("status.received", 1).await[0]["data"].clone();
    let mut expected = json!({
        "session": "shop", "id": id, "chat": STATUS, "offline": false, "type": "text",
        "from": {"id": bob.jid(), "phone": bob.number(), "lid": bob.lid(), "name": "Bob"},
        "text": {"body": "hello all", "background_color": "#1E6E4F", "font": "fb_script"},
    });
    for time in ["timestamp", "expires_at"] {
        expected[time] = told[time].clone();
    }
    assert_eq!(told, expected);
    let time = |name: &str| {
        told[name]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    assert_eq!(
        time("expires_at").as_second() - time("timestamp").as_second(),
        24 * 3600
    );

    let gone = bob.deletes_status(&[&alice], &id).unwrap();
    let deleted = app.events("message.deleted", 1).await[0]["data"].clone();
    assert_eq!(
        (
            &deleted["id"],
            &deleted["message_id"],
            &deleted["chat"],
            &deleted["from"]["phone"]
        ),
        (
            &json!(gone),
            &json!(id),
            &json!(STATUS),
            &json!(bob.number())
        )
    );
    // What the account posts on its phone.
    let own = alice
        .posts_status(&[&bob], "text", &painted("from my phone"))
        .unwrap();
    let echo = app.events("message.echo", 1).await[0]["data"].clone();
    assert_eq!(
        (&echo["id"], &echo["chat"], &echo["from_me"]),
        (&json!(own), &json!(STATUS), &json!(true))
    );

    bob.sends_text(&alice.jid(), "a message").await.unwrap();
    assert_eq!(
        app.webhook.next().await.body["data"]["text"]["body"],
        "a message"
    );
    // Bob's message is in a chat, so what came before it would be, too.
    let chats = async || {
        let listed = app.get("/v1/sessions/shop/chats").await.expect(200).json();
        Some(listed.to_string()).filter(|listed| listed.contains(&bob.jid()))
    };
    let chats = eventually(chats, async || "no chat with Bob".to_owned()).await;
    assert!(!chats.contains(STATUS), "{chats}");
    app.finish().await;
}

#[tokio::test]
async fn what_cannot_be_a_status_is_refused_by_name() {
    let (app, [_, bob, ..]) = with_alice(Addressing::PhoneNumber).await;
    let text = json!({"body": "hi"});
    let to_bob = json!([bob.number()]);
    let cases: [(Value, &[&str]); 11] = [
        (json!({"to": "status", "text": text}), &["recipients"]),
        (
            json!({"to": "status", "recipients": [], "text": text}),
            &["recipients"],
        ),
        (
            json!({"to": "status", "recipients": ["120363025246125486@g.us", "x"], "text": text}),
            &["recipients"; 2],
        ),
        (
            json!({"to": bob.number(), "recipients": to_bob, "text": text}),
            &["recipients"],
        ),
        (
            json!({"to": bob.number(), "text": {"body": "hi", "font": "system"}}),
            &["text"],
        ),
        (
            json!({"to": "status", "recipients": to_bob, "text": {"body": "hi", "font": "comic", "background_color": "red"}}),
            &["text.background_color", "text.font"],
        ),
        (
            json!({"to": "status", "recipients": to_bob, "text": text, "context": {"message_id": "3EB0"}, "mentions": to_bob}),
            &["context", "mentions"],
        ),
        (
            json!({"to": "status", "recipients": to_bob, "location": {"latitude": 1, "longitude": 1}}),
            &["to"],
        ),
        (
            json!({"to": "status", "recipients": to_bob, "audio": {"link": "http://127.0.0.1/a.mp3"}}),
            &["audio"],
        ),
        (
            json!({"to": "status", "recipients": to_bob, "reaction": {"message_id": "3EB0", "emoji": "👍"}}),
            &["recipients"],
        ),
        (
            json!({"to": "status", "recipients": to_bob, "image": {"link": "http://127.0.0.1/a.png", "view_once": true}}),
            &["image"],
        ),
    ];
    for (message, fields) in cases {
        let refused = app
            .post("/v1/sessions/shop/messages", message.clone())
            .await
            .expect(400);
        assert_eq!(refused.fields(), fields, "{message}");
    }
    let nobody =
        json!({"to": "status", "recipients": [bob.number(), "375449999999"], "text": text});
    let refused = app
        .post("/v1/sessions/shop/messages", nobody)
        .await
        .expect(404);
    assert_eq!(
        (refused.code(), bob.received_messages()),
        ("not_on_whatsapp".to_owned(), Vec::new())
    );

    let id = app
        .accepted(
            "shop",
            json!({"to": "status", "recipients": to_bob, "text": text}),
        )
        .await;
    let path = format!("/v1/sessions/shop/messages/{id}");
    assert_eq!(
        app.patch(&path, json!({"text": {"body": "ho"}}))
            .await
            .expect(400)
            .fields(),
        ["id"]
    );
    assert_eq!(
        app.put(&format!("{path}/pin"), json!({}))
            .await
            .expect(400)
            .fields(),
        ["id"]
    );
    assert_eq!(
        app.put(&format!("{path}/star"), json!({}))
            .await
            .expect(400)
            .fields(),
        ["id"]
    );
    assert_eq!(
        app.delete(&format!("{path}?for=me"))
            .await
            .expect(400)
            .fields(),
        ["id"]
    );
    app.finish().await;
}

#[tokio::test]
async fn statuses_of_others_are_seen_answered_reacted_to_and_passed_on() {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let (app, [alice, bob, carol, _]) = with_alice(addressing).await;
        let id = bob
            .posts_status(&[&alice], "text", &painted("hello all"))
            .unwrap();
        app.events("status.received", 1).await;
        let path = format!("/v1/sessions/shop/messages/{id}");
        app.post_raw(&format!("{path}/view"), "").await.expect(204);
        assert_eq!(
            bob.wait_for_receipt(&id, "read", PATIENCE)
                .await
                .unwrap()
                .from,
            alice.jid()
        );

        let answer = json!({"to": bob.number(), "text": {"body": "hello you"}, "context": {"message_id": id}});
        app.accepted("shop", answer).await;
        let shown = bob.next_message(PATIENCE).await.unwrap();
        let context = shown.to_json()["extended_text_message"]["context_info"].clone();
        assert_eq!(
            (&context["stanza_id"], &context["remote_jid"]),
            (&json!(id), &json!(STATUS))
        );
        let own = [bob.jid(), bob.lid()];
        assert!(
            own.iter().any(|own| context["participant"] == json!(own)),
            "{context}"
        );
        assert_eq!(
            context["quoted_message"]
                .to_string()
                .matches("hello all")
                .count(),
            1,
            "{context}"
        );

        for (emoji, text) in [(json!("👍"), "👍"), (json!(null), "")] {
            let reaction = json!({"to": "status", "reaction": {"message_id": id, "emoji": emoji}});
            let sent = app.accepted("shop", reaction).await;
            let shown = bob.next_message(PATIENCE).await.unwrap();
            let reaction = shown.to_json()["reaction_message"].clone();
            assert_eq!(
                (&shown.id, shown.chat.as_str(), &reaction["text"]),
                (&sent, STATUS, &json!(text))
            );
            let key = &reaction["key"];
            assert_eq!(
                (&key["remote_jid"], &key["id"], &key["from_me"]),
                (&json!(STATUS), &json!(id), &json!(false))
            );
            assert!(
                own.iter().any(|own| key["participant"] == json!(own)),
                "{key}"
            );
            app.until_message("shop", &sent, "delivered").await;
        }

        app.post(
            &format!("{path}/forward"),
            json!({"to": carol.number(), "chat": "status"}),
        )
        .await
        .expect(200);
        let shown = carol.next_message(PATIENCE).await.unwrap();
        assert_eq!(
            (shown.text.as_deref(), shown.chat.as_str()),
            (Some("hello all"), alice.jid().as_str())
        );

        let unknown = json!({"to": "status", "reaction": {"message_id": "3EB0", "emoji": "👍"}});
        assert_eq!(
            app.post("/v1/sessions/shop/messages", unknown)
                .await
                .expect(404)
                .code(),
            "message_not_found"
        );
        let nothing = app
            .post_raw("/v1/sessions/shop/messages/3EB0/view", "")
            .await
            .expect(404);
        assert_eq!(nothing.code(), "message_not_found");
        app.finish().await;
    }
}

#[tokio::test]
async fn what_others_say_to_the_accounts_own_statuses_is_told() {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let (app, [alice, bob, ..]) = with_alice(addressing).await;
        let alice = &alice;
        let status =
            json!({"to": "status", "recipients": [bob.number()], "text": {"body": "open"}});
        let id = app.accepted("shop", status).await;
        assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, id);
        for (emoji, told) in [("🎉", json!("🎉")), ("", json!(null))] {
            bob.reacts_to_status(alice, &id, emoji).unwrap();
            let events = app
                .events("message.reaction", if emoji.is_empty() { 2 } else { 1 })
                .await;
            let reaction = &events.last().unwrap()["data"];
            assert_eq!(
                (&reaction["message_id"], &reaction["chat"]),
                (&json!(id), &json!(STATUS))
            );
            assert_eq!(
                (&reaction["from"]["phone"], &reaction["emoji"]),
                (&json!(bob.number()), &told)
            );
        }
        bob.answers_status(alice, &id, "open", "since when?")
            .unwrap();
        let told = app.webhook.next().await.body["data"].clone();
        assert_eq!(
            (&told["chat"], &told["text"]["body"]),
            (&json!(bob.jid()), &json!("since when?"))
        );
        assert_eq!(
            (&told["context"]["message_id"], &told["context"]["chat"]),
            (&json!(id), &json!(STATUS))
        );
        app.finish().await;
    }
}
