//! What people choose from and put to messages: reactions, options of polls, contacts of an address book.

use serde_json::{Value, json};
use wapi_simulator::AckFault;

use crate::harness::{PATIENCE, TestApp};

const MESSAGES: &str = "/v1/sessions/shop/messages";

#[tokio::test]
async fn a_reaction_is_one_emoji_to_a_message_that_is_known() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = (app.phone("Alice"), app.phone("Bob"), app.phone("Carol"));
    app.pair("shop", &alice).await;
    let theirs = bob.sends_text(alice.number(), "hi").await.unwrap();
    app.webhook.next().await;
    let ours = app
        .accepted("shop", json!({"to": bob.jid(), "text": {"body": "hello"}}))
        .await;
    bob.next_message(PATIENCE).await.unwrap();
    let react = |to: String, id: &str, emoji: Value| json!({"to": to, "reaction": {"message_id": id, "emoji": emoji}});
    for (id, emoji) in [
        (&theirs, "👍🏽"),
        (&ours, "❤"),
        (&theirs, "👨‍👩‍👧‍👦"),
        (&ours, "🇧🇾"),
        (&theirs, "1️⃣"),
        (&ours, "©"),
    ] {
        app.accepted("shop", react(bob.jid(), id, json!(emoji)))
            .await;
        assert_eq!(
            bob.next_message(PATIENCE).await.unwrap().to_json()["reaction_message"]["text"],
            emoji
        );
    }
    for none in [
        "é",
        "да",
        "👍👍",
        "ok 👍",
        "\u{200b}",
        "👍 ",
        "1",
        "🏻",
        ":-)",
        "👍\u{200d}👍",
    ] {
        let refused = app
            .post(MESSAGES, react(bob.jid(), &theirs, json!(none)))
            .await
            .expect(400);
        assert_eq!(refused.fields(), ["reaction.emoji"], "{none:?}");
    }
    for (to, id) in [
        (bob.jid(), "3EB0NOBODYKNOWS"),
        (carol.jid(), theirs.as_str()),
    ] {
        for emoji in [json!("👍"), Value::Null] {
            let unknown = app
                .post(MESSAGES, react(to.clone(), id, emoji))
                .await
                .expect(404);
            assert_eq!(unknown.code(), "message_not_found", "{to} {id}");
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn what_nobody_in_the_chat_has_is_neither_reacted_to_nor_voted_on_nor_quoted() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = (app.phone("Alice"), app.phone("Bob"), app.phone("Carol"));
    app.pair("shop", &alice).await;
    let later = (wapi::system::clock::Clock::system().now() + jiff::SignedDuration::from_hours(1))
        .to_string();
    let send = async |message: Value| app.accepted("shop", message).await;
    let poll = json!({"question": "Which?", "options": ["a", "b"]});

    let to_carol = send(json!({"to": carol.jid(), "text": {"body": "between us"}})).await;
    let cancelled =
        send(json!({"to": bob.jid(), "text": {"body": "unsaid"}, "send_at": later})).await;
    app.delete(&format!("{MESSAGES}/{cancelled}"))
        .await
        .expect(200);
    app.simulator.faults().set_ack_fault(AckFault::Refuse(463));
    let failed = send(json!({"to": bob.jid(), "text": {"body": "refused"}})).await;
    let failed_poll = send(json!({"to": bob.jid(), "poll": poll})).await;
    for id in [&failed, &failed_poll] {
        app.until_message("shop", id, "failed").await;
    }
    app.simulator.faults().set_ack_fault(AckFault::None);
    let shown = send(json!({"to": bob.jid(), "text": {"body": "shown"}})).await;
    let asked = send(json!({"to": bob.jid(), "poll": poll})).await;
    let gone = send(json!({"to": bob.jid(), "text": {"body": "gone"}})).await;
    app.until_message("shop", &gone, "delivered").await;
    let vote =
        send(json!({"to": bob.jid(), "poll_vote": {"message_id": asked, "options": ["a"]}})).await;
    let react =
        |id: &str| json!({"to": bob.number(), "reaction": {"message_id": id, "emoji": "👍"}});
    let reaction = send(react(&shown)).await;
    let changed = app
        .delete(&format!("{MESSAGES}/{gone}?wait=30"))
        .await
        .expect(200)
        .json();
    let deletion = changed["messages"][0]["id"].as_str().unwrap();
    for (what, id) in [
        ("another chat's", to_carol.as_str()),
        ("cancelled", &cancelled),
        ("failed", &failed),
        ("deleted", &gone),
        ("a vote", &vote),
        ("a reaction", &reaction),
        ("a deletion", deletion),
    ] {
        assert_eq!(
            app.post(MESSAGES, react(id)).await.expect(404).code(),
            "message_not_found",
            "{what}"
        );
    }
    for id in [&vote, &reaction] {
        for mark in ["pin", "star"] {
            assert_eq!(
                app.put(&format!("{MESSAGES}/{id}/{mark}"), json!({}))
                    .await
                    .expect(400)
                    .fields(),
                ["id"]
            );
        }
    }
    let vote = json!({"to": bob.jid(), "poll_vote": {"message_id": failed_poll, "options": ["a"]}});
    assert_eq!(
        app.post(MESSAGES, vote).await.expect(400).fields(),
        ["poll_vote.message_id"]
    );
    for (id, words) in [
        (&to_carol, "between us"),
        (&cancelled, "unsaid"),
        (&failed, "refused"),
    ] {
        let id = send(
            json!({"to": bob.jid(), "text": {"body": "about"}, "context": {"message_id": id}}),
        )
        .await;
        app.until_message("shop", &id, "delivered").await;
        let received = bob
            .received_messages()
            .into_iter()
            .find(|message| message.id == id)
            .unwrap()
            .to_json();
        assert!(!received.to_string().contains(words), "{received}");
    }
    // However the chat is named, and without a connection, what is there is known.
    app.order("shop", "stop").await.expect(200);
    for to in [bob.jid(), bob.number().to_owned()] {
        send(json!({"to": to, "reaction": {"message_id": shown, "emoji": null}})).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn options_that_look_alike_are_refused() {
    let app = TestApp::start().await;
    app.register("shop").await.expect(202);
    for twins in [
        ["é", "e\u{301}"],
        ["tea", " tea"],
        ["tea", "tea\u{200b}"],
        ["tea", "tea\u{a0}"],
        ["한", "\u{1112}\u{1161}\u{11ab}"],
    ] {
        let poll = json!({"to": "375447034810", "poll": {"question": "Which?", "options": twins}});
        assert_eq!(
            app.post(MESSAGES, poll).await.expect(400).fields(),
            ["poll.options"],
            "{twins:?}"
        );
    }
    let empty =
        json!({"to": "375447034810", "poll": {"question": "Which?", "options": ["a", "\u{200b}"]}});
    assert_eq!(
        app.post(MESSAGES, empty).await.expect(400).fields(),
        ["poll.options"]
    );
    app.finish().await;
}

#[tokio::test]
async fn an_address_book_is_as_many_contacts_as_it_has_cards() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let book = "\u{feff}BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:;=D0=98=D0=B2=D0=B0=\r\n=D0=BD;;;\r\n\
                TEL;CELL:+375447034811\r\nEND:VCARD\r\nBEGIN:VCARD\r\nVERSION:4.0\r\nFN:Ann\r\n\
                TEL;VALUE=uri;TYPE=\"cell,voice\":tel:+375-44-703-48-12\r\nEND:VCARD\r\n";
    let id = app
        .accepted(
            "shop",
            json!({"to": bob.jid(), "contacts": [{"vcard": book}]}),
        )
        .await;
    let sent = app.message("shop", &id).await;
    let told: Vec<_> = sent["contacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["name"], &it["phones"][0]["phone"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("Иван"), &json!("+375447034811")),
            (&json!("Ann"), &json!("+375-44-703-48-12"))
        ],
        "{sent}"
    );
    let message = bob.next_message(PATIENCE).await.unwrap().to_json();
    let cards = message["contacts_array_message"]["contacts"]
        .as_array()
        .unwrap();
    let cards: Vec<_> = cards
        .iter()
        .map(|card| (&card["display_name"], card["vcard"].as_str().unwrap()))
        .collect();
    assert_eq!(
        (cards[0].0, cards[1].0),
        (&json!("Иван"), &json!("Ann")),
        "{message}"
    );
    assert!(
        cards
            .iter()
            .all(|(_, card)| card.starts_with("BEGIN:VCARD") && card.ends_with("END:VCARD")),
        "{message}"
    );
    for (contact, field) in [
        (json!({"vcard": book, "name": "Both"}), "contacts[0].name"),
        (
            json!({"vcard": "BEGIN:VCARD\nVERSION:3.0\nEND:VCARD"}),
            "contacts[0].name",
        ),
        (json!({"vcard": "FN:Ann"}), "contacts[0].vcard"),
    ] {
        let refused = app
            .post(MESSAGES, json!({"to": bob.jid(), "contacts": [contact]}))
            .await
            .expect(400);
        assert_eq!(refused.fields(), [field]);
    }
    app.finish().await;
}
