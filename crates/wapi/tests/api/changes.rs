//! What somebody does to a message that was there before.

use serde_json::{Value, json};
use wapi_simulator::{Addressing, Author, Phone, SimulatorOptions};

use crate::harness::{PATIENCE, Setup, TestApp, TestReceiver, shop};

/// A text of Bob's, which the webhook was told of; its id.
async fn told_text(app: &TestApp, alice: &Phone, bob: &Phone) -> String {
    let id = bob.sends_text(alice.number(), "helo").await.unwrap();
    assert_eq!(app.webhook.next().await.body["data"]["id"], id);
    id
}

/// The data of the last event of this type, after so many: a change of this message by Bob.
async fn change(app: &TestApp, bob: &Phone, id: &str, kind: &str, number: usize) -> Value {
    let mut told = app.events(kind, number).await;
    let data = told.pop().unwrap()["data"].take();
    assert_eq!(data["message_id"], id);
    assert_eq!(data["session"], "shop");
    assert_eq!(data["chat"], bob.jid());
    assert_eq!(data["from"]["name"], "Bob");
    data
}

#[tokio::test]
async fn an_edit_is_an_event_of_its_own() {
    shop(async |app, alice, bob| {
        let id = told_text(app, &alice, &bob).await;
        let edit = bob.edits_message(alice.number(), &id, "hello").unwrap();
        let told = change(app, &bob, &id, "message.edited", 1).await;
        assert_eq!(told["id"], edit);
        assert_eq!(told["type"], "text");
        assert_eq!(told["text"]["body"], "hello");
    })
    .await;
}

#[tokio::test]
async fn a_reaction_and_its_removal_are_events_of_their_own() {
    shop(async |app, alice, bob| {
        let id = told_text(app, &alice, &bob).await;
        let react = |emoji| bob.reacts_to_message(alice.number(), &id, Author::Me, emoji);
        let reaction = react("👍").unwrap();
        let told = change(app, &bob, &id, "message.reaction", 1).await;
        assert_eq!(told["id"], reaction);
        assert_eq!(told["emoji"], "👍");
        let removal = react("").unwrap();
        let told = change(app, &bob, &id, "message.reaction", 2).await;
        assert_eq!(told["id"], removal);
        assert_eq!(told["emoji"], json!(null));
    })
    .await;
}

#[tokio::test]
async fn a_deletion_is_an_event_of_its_own() {
    shop(async |app, alice, bob| {
        let id = told_text(app, &alice, &bob).await;
        let deletion = bob.deletes_message(alice.number(), &id).unwrap();
        let told = change(app, &bob, &id, "message.deleted", 1).await;
        assert_eq!(told["id"], deletion);
    })
    .await;
}

#[tokio::test]
async fn the_originals_webhook_is_told_of_messages_only() {
    shop(async |app, alice, bob| {
        let id = told_text(app, &alice, &bob).await;
        bob.edits_message(alice.number(), &id, "hello").unwrap();
        bob.reacts_to_message(alice.number(), &id, Author::Me, "👍")
            .unwrap();
        bob.deletes_message(alice.number(), &id).unwrap();
        bob.sends_text(alice.number(), "bye").await.unwrap();
        let next = app.webhook.next().await.body;
        assert_eq!(next["data"]["text"]["body"], "bye");
    })
    .await;
}

#[tokio::test]
async fn what_stands_below_a_file_is_changed() {
    shop(async |app, _, bob| {
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
            assert_eq!(change["type"], "MESSAGE_EDIT");
            assert_eq!(change["key"]["id"], id);
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
    })
    .await;
}

#[tokio::test]
async fn each_member_of_a_group_who_opens_what_is_there_once_is_told() {
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
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
    })
    .await;
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
            assert_eq!(data["message_id"], id, "{addressing:?}");
            assert_eq!(data["text"]["body"], "second", "{addressing:?}");
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
                    edit.to_json()["secret_encrypted_message"].is_object(),
                    is_sealed,
                    "{addressing:?} {session} {chat}"
                );
            }
        }
        app.finish().await;
    }
}
