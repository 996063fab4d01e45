//! What people choose from and put to messages: reactions, options of polls, contacts of an address book.

use serde_json::{Value, json};
use wapi_simulator::{AckFault, Phone};

use crate::harness::{PATIENCE, TestApp, gateway, shop};

const MESSAGES: &str = "/v1/sessions/shop/messages";

fn react(to: &str, id: &str, emoji: impl Into<Value>) -> Value {
    json!({"to": to, "reaction": {"message_id": id, "emoji": emoji.into()}})
}

#[tokio::test]
async fn a_reaction_is_any_emoji() {
    shop(async |app, alice, bob| {
        let theirs = bob.sends_text(alice.number(), "hi").await.unwrap();
        app.webhook.next().await;
        let ours = json!({"to": bob.jid(), "text": {"body": "hello"}});
        let ours = app.accepted("shop", ours).await;
        bob.next_message(PATIENCE).await.unwrap();
        for (id, emoji) in [
            (&theirs, "👍🏽"),
            (&ours, "❤"),
            (&theirs, "👨‍👩‍👧‍👦"),
            (&ours, "🇧🇾"),
            (&theirs, "1️⃣"),
            (&ours, "©"),
        ] {
            app.accepted("shop", react(&bob.jid(), id, emoji)).await;
            let received = bob.next_message(PATIENCE).await.unwrap().to_json();
            assert_eq!(received["reaction_message"]["text"], emoji);
        }
    })
    .await;
}

#[tokio::test]
async fn a_reaction_is_nothing_but_one_emoji() {
    shop(async |app, alice, bob| {
        let theirs = bob.sends_text(alice.number(), "hi").await.unwrap();
        app.webhook.next().await;
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
            let reaction = react(&bob.jid(), &theirs, none);
            let refused = app.post(MESSAGES, reaction).await.expect(400);
            assert_eq!(refused.fields(), ["reaction.emoji"], "{none:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_reaction_to_a_message_that_nobody_knows_is_refused() {
    shop(async |app, _, bob| {
        assert_not_found(app, &bob, "unknown", "3EB0NOBODYKNOWS").await;
        let removal = react(&bob.jid(), "3EB0NOBODYKNOWS", Value::Null);
        let refused = app.post(MESSAGES, removal).await.expect(404);
        assert_eq!(refused.code(), "message_not_found");
    })
    .await;
}

#[tokio::test]
async fn a_reaction_to_a_message_of_another_chat_is_refused() {
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        let theirs = bob.sends_text(alice.number(), "hi").await.unwrap();
        app.webhook.next().await;
        assert_not_found(app, &carol, "another chat's", &theirs).await;
        let removal = react(&carol.jid(), &theirs, Value::Null);
        let refused = app.post(MESSAGES, removal).await.expect(404);
        assert_eq!(refused.code(), "message_not_found");
    })
    .await;
}

/// Messages of the shop that nobody in the chat with Bob has.
struct Unseen {
    to_carol: String,
    cancelled: String,
    failed: String,
}

/// Sends one message to Carol, and two to Bob that do not reach him.
async fn send_unseen(app: &TestApp, bob: &Phone) -> Unseen {
    let carol = app.phone("Carol");
    let send = async |message: Value| app.accepted("shop", message).await;
    let to_carol = send(json!({"to": carol.jid(), "text": {"body": "between us"}})).await;
    let later = wapi::system::clock::Clock::system().now() + jiff::SignedDuration::from_hours(1);
    let later = json!({"to": bob.jid(), "text": {"body": "unsaid"}, "send_at": later.to_string()});
    let cancelled = send(later).await;
    app.delete(&format!("{MESSAGES}/{cancelled}"))
        .await
        .expect(200);
    let failed = json!({"to": bob.jid(), "text": {"body": "refused"}});
    let failed = send_refused(app, failed).await;
    Unseen {
        to_carol,
        cancelled,
        failed,
    }
}

/// Sends a message that WhatsApp refuses.
async fn send_refused(app: &TestApp, message: Value) -> String {
    app.simulator.faults().set_ack_fault(AckFault::Refuse(463));
    let id = app.accepted("shop", message).await;
    app.until_message("shop", &id, "failed").await;
    app.simulator.faults().set_ack_fault(AckFault::None);
    id
}

/// Changes of messages of the shop: a vote, a reaction, a deletion, and the deleted message.
struct Changes {
    vote: String,
    reaction: String,
    deletion: String,
    deleted: String,
}

async fn send_changes(app: &TestApp, bob: &Phone) -> Changes {
    let send = async |message: Value| app.accepted("shop", message).await;
    let shown = send(json!({"to": bob.jid(), "text": {"body": "shown"}})).await;
    let poll = json!({"question": "Which?", "options": ["a", "b"]});
    let asked = send(json!({"to": bob.jid(), "poll": poll})).await;
    app.until_message("shop", &asked, "delivered").await;
    let vote = json!({"message_id": asked, "options": ["a"]});
    let vote = send(json!({"to": bob.jid(), "poll_vote": vote})).await;
    let reaction = send(react(bob.number(), &shown, "👍")).await;
    let deleted = send(json!({"to": bob.jid(), "text": {"body": "gone"}})).await;
    app.until_message("shop", &deleted, "delivered").await;
    let answer = app
        .delete(&format!("{MESSAGES}/{deleted}?wait=30"))
        .await
        .expect(200)
        .json();
    let deletion = answer["messages"][0]["id"].as_str().unwrap().to_owned();
    Changes {
        vote,
        reaction,
        deletion,
        deleted,
    }
}

/// A reaction to this message in this person's chat is refused.
async fn assert_not_found(app: &TestApp, to: &Phone, what: &str, id: &str) {
    let reaction = react(to.number(), id, "👍");
    let refused = app.post(MESSAGES, reaction).await.expect(404);
    assert_eq!(refused.code(), "message_not_found", "{what}");
}

#[tokio::test]
async fn what_nobody_in_the_chat_has_is_not_reacted_to() {
    shop(async |app, _, bob| {
        let unseen = send_unseen(app, &bob).await;
        assert_not_found(app, &bob, "another chat's", &unseen.to_carol).await;
        assert_not_found(app, &bob, "cancelled", &unseen.cancelled).await;
        assert_not_found(app, &bob, "failed", &unseen.failed).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_no_message_of_its_own_is_not_reacted_to() {
    shop(async |app, _, bob| {
        let changes = send_changes(app, &bob).await;
        assert_not_found(app, &bob, "a vote", &changes.vote).await;
        assert_not_found(app, &bob, "a reaction", &changes.reaction).await;
        assert_not_found(app, &bob, "a deletion", &changes.deletion).await;
        assert_not_found(app, &bob, "deleted", &changes.deleted).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_no_message_of_its_own_is_neither_pinned_nor_starred() {
    shop(async |app, _, bob| {
        let changes = send_changes(app, &bob).await;
        for id in [changes.vote, changes.reaction] {
            let pin = app.put(&format!("{MESSAGES}/{id}/pin"), json!({})).await;
            assert_eq!(pin.expect(400).fields(), ["id"]);
            let star = app.put(&format!("{MESSAGES}/{id}/star"), json!({})).await;
            assert_eq!(star.expect(400).fields(), ["id"]);
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_votes_in_a_poll_that_did_not_leave() {
    shop(async |app, _, bob| {
        let poll = json!({"question": "Which?", "options": ["a", "b"]});
        let poll = send_refused(app, json!({"to": bob.jid(), "poll": poll})).await;
        let vote = json!({"to": bob.jid(), "poll_vote": {"message_id": poll, "options": ["a"]}});
        let refused = app.post(MESSAGES, vote).await.expect(400);
        assert_eq!(refused.fields(), ["poll_vote.message_id"]);
    })
    .await;
}

#[tokio::test]
async fn what_nobody_in_the_chat_has_is_not_quoted() {
    shop(async |app, _, bob| {
        let unseen = send_unseen(app, &bob).await;
        for (about, words) in [
            (unseen.to_carol, "between us"),
            (unseen.cancelled, "unsaid"),
            (unseen.failed, "refused"),
        ] {
            let message = json!({"to": bob.jid(), "text": {"body": "about"}, "context": {"message_id": about}});
            let id = app.accepted("shop", message).await;
            let received = bob.next_message(PATIENCE).await.unwrap();
            assert_eq!(received.id, id);
            let received = received.to_json().to_string();
            assert!(!received.contains(words), "{received}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_the_chat_has_is_reacted_to_without_a_connection_however_the_chat_is_named() {
    shop(async |app, _, bob| {
        let text = json!({"to": bob.jid(), "text": {"body": "shown"}});
        let shown = app.accepted("shop", text).await;
        app.order("shop", "stop").await.expect(200);
        for to in [bob.jid(), bob.number().to_owned()] {
            app.accepted("shop", react(&to, &shown, Value::Null)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn options_that_look_alike_are_refused() {
    gateway(async |app| {
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
    }).await;
}

#[tokio::test]
async fn an_address_book_is_as_many_contacts_as_it_has_cards() {
    shop(async |app, _, bob| {
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
        assert_eq!(cards[0].0, &json!("Иван"), "{message}");
        assert_eq!(cards[1].0, &json!("Ann"), "{message}");
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
    }).await;
}
