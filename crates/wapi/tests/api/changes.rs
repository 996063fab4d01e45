//! What somebody does to a message that was there before.

use serde_json::json;
use wapi_simulator::{Addressing, Author, SimulatorOptions};

use crate::harness::{PATIENCE, Setup, TestApp, TestReceiver};

#[tokio::test]
async fn edits_reactions_and_deletions_are_events_of_their_own() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let id = bob.sends_text(alice.number(), "helo").await.unwrap();
    let said = [
        bob.edits_message(alice.number(), &id, "hello").unwrap(),
        bob.reacts_to_message(alice.number(), &id, Author::Me, "👍")
            .unwrap(),
        bob.reacts_to_message(alice.number(), &id, Author::Me, "")
            .unwrap(),
        bob.deletes_message(alice.number(), &id).unwrap(),
    ];
    bob.sends_text(alice.number(), "bye").await.unwrap();
    assert_eq!(
        app.webhook.next().await.body["data"]["text"]["body"],
        "helo"
    );
    let next = app.webhook.next().await.body;
    assert_eq!(
        next["data"]["text"]["body"], "bye",
        "the original's webhook is told of messages only"
    );

    let types = "message.edited,message.deleted,message.reaction";
    let feed = app
        .get(&format!("/v1/events?types={types}"))
        .await
        .expect(200)
        .json();
    let told = feed["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["event"].clone())
        .collect::<Vec<_>>();
    let expected = [
        (
            "message.edited",
            json!({"type": "text", "text": {"body": "hello"}}),
        ),
        ("message.reaction", json!({"emoji": "👍"})),
        ("message.reaction", json!({"emoji": null})),
        ("message.deleted", json!({})),
    ];
    assert_eq!(told.len(), expected.len());
    for ((told, id_of_change), (kind, change)) in told.iter().zip(&said).zip(expected) {
        assert_eq!(told["type"], kind);
        let data = &told["data"];
        assert_eq!(
            (&data["id"], &data["message_id"]),
            (&json!(id_of_change), &json!(id))
        );
        assert_eq!(
            (&data["session"], &data["chat"]),
            (&json!("shop"), &json!(bob.jid()))
        );
        assert_eq!(data["from"]["name"], "Bob");
        for (field, value) in change.as_object().unwrap() {
            assert_eq!(&data[field], value, "{kind}");
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn what_stands_below_a_file_is_changed() {
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
    let id = app
        .accepted(
            "shop",
            json!({"to": bob.number(), "image": {"link": link, "caption": "helo"}}),
        )
        .await;
    let sent = bob.next_message(PATIENCE).await.unwrap().to_json()["image_message"].clone();
    let route = format!("/v1/sessions/shop/messages/{id}");
    for caption in ["hello", ""] {
        app.patch(&route, json!({"image": {"caption": caption}}))
            .await
            .expect(200);
        let received = bob.next_message(PATIENCE).await.unwrap().to_json();
        let change = &received["protocol_message"];
        assert_eq!(
            (&change["type"], &change["key"]["id"]),
            (&json!("MESSAGE_EDIT"), &json!(id))
        );
        // Phones want the whole of it again, file and all.
        let mut expected = sent.clone();
        match caption {
            "" => drop(expected.as_object_mut().unwrap().remove("caption")),
            caption => expected["caption"] = json!(caption),
        }
        assert_eq!(change["edited_message"]["image_message"], expected);
    }
    for (wrong, field) in [
        (json!({"text": {"body": "no"}}), "id"),
        (json!({"image": {}}), "image.caption"),
        (json!({"sticker": {}}), "text"),
        (json!({"type": "video", "image": {"caption": "a"}}), "type"),
    ] {
        assert!(
            app.patch(&route, wrong)
                .await
                .expect(400)
                .fields()
                .contains(&field.to_owned()),
            "{field}"
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn each_member_of_a_group_who_opens_what_is_there_once_is_told() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = (app.phone("Alice"), app.phone("Bob"), app.phone("Carol"));
    app.pair("shop", &alice).await;
    let group = alice.creates_group("club", &[&bob, &carol]).unwrap();
    app.events("group.created", 1).await;
    let files = axum::Router::new().route(
        "/a.png",
        axum::routing::get(async || b"\x89PNG\r\n\x1a\n....".to_vec()),
    );
    let link = format!(
        "{}/a.png",
        TestReceiver::serve(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), files)
    );
    let id = app
        .accepted(
            "shop",
            json!({"to": group, "image": {"link": link, "view_once": true}}),
        )
        .await;
    for phone in [&bob, &carol] {
        phone.next_message(PATIENCE).await.unwrap();
        phone
            .plays_messages(&group, std::slice::from_ref(&id))
            .unwrap();
    }
    let told = app.events("message.played", 2).await;
    let mut who: Vec<_> = told
        .iter()
        .map(|event| event["data"]["recipient"]["phone"].clone())
        .collect();
    who.sort_by_key(ToString::to_string);
    assert_eq!(who, [json!(bob.number()), json!(carol.number())]);
    assert_eq!(told[0]["data"]["id"], json!(id));
    app.finish().await;
}

#[tokio::test]
async fn an_edit_that_is_sealed_is_told_like_any_other() {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let app = Setup::new()
            .simulator(SimulatorOptions {
                addressing,
                ..SimulatorOptions::default()
            })
            .start()
            .await;
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        app.pair("shop", &alice).await;
        let group = bob
            .creates_group_addressed("club", &[&alice], addressing)
            .unwrap();
        for (number, chat) in [alice.jid(), group].into_iter().enumerate() {
            let id = bob.sends_text(&chat, "first").await.unwrap();
            app.webhook.next().await;
            bob.edits_sealed(&chat, &id, "second").unwrap();
            let told = app
                .events("message.edited", number + 1)
                .await
                .pop()
                .unwrap();
            let data = &told["data"];
            assert_eq!(
                (&data["message_id"], &data["text"]["body"]),
                (&json!(id), &json!("second")),
                "{addressing:?}"
            );
            assert_eq!(data["from"]["phone"], bob.number());
        }
        app.finish().await;
    }
}

/// The switch by which WhatsApp has an account's clients seal their edits.
const SEALS_EDITS: u32 = 16_057;

#[tokio::test]
async fn own_edits_are_sealed_where_whatsapp_says_so_and_phones_read_both() {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let app = Setup::new()
            .simulator(SimulatorOptions {
                addressing,
                ..SimulatorOptions::default()
            })
            .start()
            .await;
        let (alice, bob, carol) = (app.phone("Alice"), app.phone("Bob"), app.phone("Carol"));
        alice.sets_property(SEALS_EDITS, Some("1"));
        app.pair("shop", &alice).await;
        app.pair("other", &carol).await;
        for (session, phone, is_sealed) in [("shop", &alice, true), ("other", &carol, false)] {
            let group = bob
                .creates_group_addressed("club", &[phone], addressing)
                .unwrap();
            for chat in [bob.number(), group.as_str()] {
                let id = app
                    .accepted(session, json!({"to": chat, "text": {"body": "helo"}}))
                    .await;
                bob.wait_until("it is there", PATIENCE, |bob| {
                    bob.received_messages()
                        .iter()
                        .any(|it| it.id == id)
                        .then_some(())
                })
                .await
                .unwrap();
                let path = format!("/v1/sessions/{session}/messages/{id}");
                app.patch(&path, json!({"text": {"body": "hello"}}))
                    .await
                    .expect(200);
                let newest = |bob: &wapi_simulator::Phone| {
                    let all = bob.received_messages().into_iter().rev();
                    all.filter_map(|edit| Some((bob.opens_edit(&edit).ok()?, edit)))
                        .find(|((about, _), _)| *about == id)
                };
                let ((_, said), edit) = bob
                    .wait_until("the edit can be read", PATIENCE, newest)
                    .await
                    .unwrap();
                assert_eq!(
                    said.conversation.as_deref(),
                    Some("hello"),
                    "{addressing:?} {session} {chat}"
                );
                assert_eq!(
                    edit.protobuf.secret_encrypted_message.is_set(),
                    is_sealed,
                    "{addressing:?} {session} {chat}"
                );
            }
        }
        app.finish().await;
    }
}
