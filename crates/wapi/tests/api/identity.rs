//! One person is one chat, whatever address WhatsApp has them under.

use serde_json::{Value, json};
use wapi_simulator::Addressing::{Lid, PhoneNumber};
use wapi_simulator::{Author, Phone, QuotedMessage, RichText};

use crate::harness::{PATIENCE, TestApp, shop};

const CHATS: &str = "/v1/sessions/shop/chats";

async fn said(app: &TestApp, chat: &str) -> Vec<Value> {
    let page = app
        .get(&format!("{CHATS}/{chat}/messages"))
        .await
        .expect(200)
        .json();
    let messages = page["messages"].as_array().unwrap().iter().rev();
    messages
        .map(|message| message["text"]["body"].clone())
        .collect()
}

/// Whatever address those have on the wire whom a message mentions, answers and is changed by.
#[tokio::test]
async fn everybody_whom_a_message_names_has_their_one_id_with_number_and_lid() {
    for addressing in [PhoneNumber, Lid] {
        let app = TestApp::start().await;
        let (alice, bob, carol) = (app.phone("Alice"), app.phone("Bob"), app.phone("Carol"));
        app.pair("shop", &alice).await;
        let group = bob
            .creates_group_addressed("club", &[&alice, &carol], addressing)
            .unwrap();
        // They were told of by number.
        for person in [&bob, &carol] {
            person.sends_text(&group, "hello").await.unwrap();
            app.webhook.next().await;
        }
        let named = |person: &Phone| {
            if addressing == Lid {
                person.lid()
            } else {
                person.jid()
            }
        };
        let text = RichText {
            body: "look".to_owned(),
            mentions: vec![named(&carol), named(&alice), "all@g.us".to_owned()],
            quotes: Some(QuotedMessage {
                id: "3EB0".to_owned(),
                author: named(&carol),
                picture_caption: None,
            }),
            ..RichText::default()
        };
        bob.sends_rich_text(&group, text).unwrap();
        let told = app.webhook.next().await.body["data"].clone();
        let person = |phone: &Phone| json!({"id": phone.jid(), "phone": phone.number(), "lid": phone.lid(), "name": null});
        assert_eq!(
            told["mentions"],
            json!([carol.jid(), alice.jid(), "all@g.us"]),
            "{addressing:?}"
        );
        assert_eq!(
            told["mentioned"],
            json!([person(&carol), person(&alice)]),
            "{addressing:?}"
        );
        let author = |field: &str| told["context"][field].clone();
        assert_eq!(
            [author("from"), author("phone"), author("lid")],
            [
                json!(carol.jid()),
                json!(carol.number()),
                json!(carol.lid())
            ]
        );
        app.finish().await;
    }
}

#[tokio::test]
async fn a_chat_goes_on_when_whatsapp_moves_it_to_lids_and_back() {
    shop(async |app, alice, bob| {
        for (number, addressing) in [PhoneNumber, Lid, PhoneNumber, Lid].into_iter().enumerate() {
            bob.uses_addressing(addressing);
            bob.sends_text(alice.number(), &format!("theirs {number}"))
                .await
                .unwrap();
            let told = app.webhook.next().await.body;
            assert_eq!(told["data"]["chat"], bob.jid());
            assert_eq!(told["data"]["from"]["id"], bob.jid());
            for to in [bob.number().to_owned(), bob.lid()] {
                let id = app
                    .accepted(
                        "shop",
                        json!({"to": to, "text": {"body": format!("ours {number} {to}")}}),
                    )
                    .await;
                let sent = app.until_message("shop", &id, "delivered").await;
                assert_eq!(sent["chat"], bob.jid(), "to {to}");
            }
        }
        let chats = app.get(CHATS).await.expect(200).json();
        assert_eq!(chats["chats"].as_array().unwrap().len(), 1, "{chats}");
        assert_eq!(chats["chats"][0]["phone"], bob.number());
        assert_eq!(chats["chats"][0]["lid"], bob.lid());
        assert_eq!(said(app, bob.number()).await.len(), 12);
        assert_eq!(said(app, &bob.lid()).await.len(), 12);
    })
    .await;
}

#[tokio::test]
async fn two_chats_become_one_when_they_turn_out_to_be_with_one_person() {
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        for (phone, addressing) in [(&bob, Lid), (&bob, PhoneNumber), (&carol, Lid)] {
            phone.uses_addressing(addressing);
            phone.hides_number(true);
            let id = phone.sends_text(alice.number(), "who am I?").await.unwrap();
            let told = app.webhook.next().await.body["data"].clone();
            let address = if addressing == Lid {
                phone.lid()
            } else {
                phone.jid()
            };
            assert_eq!(told["id"], id);
            assert_eq!(told["chat"], address);
            assert_eq!(told["from"]["id"], address);
        }
        assert_eq!(
            app.get(CHATS).await.expect(200).json()["chats"]
                .as_array()
                .unwrap()
                .len(),
            3
        );

        alice.moves_to_lids().unwrap();
        let mut updated = app.events("contact.updated", 2).await;
        updated.sort_by_key(|event| event["data"]["contact"]["phone"].to_string());
        let person = |phone: &wapi_simulator::Phone| json!({"id": phone.lid(), "phone": phone.number(), "lid": phone.lid(), "name": null});
        let expected = json!({"session": "shop", "contact": person(&bob), "phone": bob.number(), "merged": bob.jid()});
        assert_eq!(updated[0]["data"], expected, "who was told of first stays");
        assert_eq!(
            updated[1]["data"],
            json!({"session": "shop", "contact": person(&carol), "phone": carol.number()})
        );
        for name in [bob.number().to_owned(), bob.lid()] {
            assert_eq!(
                said(app, &name).await,
                ["who am I?", "who am I?"],
                "{name}"
            );
        }
        let chats = app.get(CHATS).await.expect(200).json();
        assert_eq!(chats["chats"].as_array().unwrap().len(), 2, "{chats}");
        let id = app
            .accepted("shop", json!({"to": bob.number(), "text": {"body": "Bob"}}))
            .await;
        assert_eq!(
            app.until_message("shop", &id, "delivered").await["chat"],
            bob.lid()
        );
    }).await;
}

#[tokio::test]
async fn members_and_recipients_and_voters_are_known_by_their_one_id() {
    shop(async |app, alice, bob| {
        bob.uses_addressing(Lid);
        bob.hides_number(true);
        bob.sends_text(alice.number(), "who am I?").await.unwrap();
        assert_eq!(
            app.webhook.next().await.body["data"]["from"]["id"],
            bob.lid()
        );
        bob.hides_number(false);
        let person = |person: &Value| {
            assert_eq!(person["id"], bob.lid(), "{person}");
            assert_eq!(person["phone"], bob.number(), "{person}");
            assert_eq!(person["lid"], bob.lid(), "{person}");
        };
        let group = bob.creates_group("club", &[&alice]).unwrap();
        let created = app.events("group.created", 1).await[0]["data"].clone();
        let is_bob = |member: &&Value| member["phone"] == bob.number();
        person(&created["by"]);
        person(
            created["participants"]
                .as_array()
                .unwrap()
                .iter()
                .find(is_bob)
                .unwrap(),
        );
        let listed = app
            .get(&format!("/v1/sessions/shop/groups/{group}"))
            .await
            .expect(200)
            .json();
        person(
            listed["participants"]
                .as_array()
                .unwrap()
                .iter()
                .find(is_bob)
                .unwrap(),
        );
        let listed = app.get("/v1/sessions/shop/groups").await.expect(200).json();
        person(
            listed["groups"][0]["participants"]
                .as_array()
                .unwrap()
                .iter()
                .find(is_bob)
                .unwrap(),
        );

        let poll = json!({"to": group, "poll": {"question": "Tea?", "options": ["yes", "no"]}});
        let id = app.accepted("shop", poll).await;
        let sent = app.until_message("shop", &id, "delivered").await;
        person(&app.events("message.delivered", 1).await[0]["data"]["recipient"]);
        assert_eq!(sent["recipients"][0]["id"], bob.lid(), "{sent}");
        assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, id);
        bob.votes_on_poll(&group, &id, Author::Them, &["yes"])
            .unwrap();
        let vote = app.events("poll.vote", 1).await[0]["data"].clone();
        person(&vote["from"]);
        assert_eq!(vote["tally"][0]["voters"], json!([bob.lid()]));
    })
    .await;
}

#[tokio::test]
async fn a_chat_that_began_without_a_number_keeps_its_id_when_the_number_becomes_known() {
    shop(async |app, alice, bob| {
        bob.uses_addressing(Lid);
        bob.hides_number(true);
        bob.sends_text(alice.number(), "one").await.unwrap();
        let told = app.webhook.next().await.body["data"].clone();
        assert_eq!(told["chat"], bob.lid());
        assert_eq!(told["from"]["phone"], Value::Null);
        bob.hides_number(false);
        bob.sends_text(alice.number(), "two").await.unwrap();
        let told = app.webhook.next().await.body["data"].clone();
        assert_eq!(told["chat"], bob.lid());
        assert_eq!(told["from"]["phone"], bob.number());
        bob.uses_addressing(PhoneNumber);
        bob.sends_text(alice.number(), "three").await.unwrap();
        assert_eq!(app.webhook.next().await.body["data"]["chat"], bob.lid());
        let id = app
            .accepted(
                "shop",
                json!({"to": bob.number(), "text": {"body": "four"}}),
            )
            .await;
        assert_eq!(
            app.until_message("shop", &id, "delivered").await["chat"],
            bob.lid()
        );

        let updated = app.events("contact.updated", 1).await;
        let data = &updated[0]["data"];
        assert_eq!(data["contact"]["id"], bob.lid());
        assert_eq!(data["phone"], bob.number());
        assert_eq!(
            app.get(CHATS).await.expect(200).json()["chats"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        for name in [
            bob.number().to_owned(),
            bob.jid(),
            bob.lid(),
            format!("%2B{}", bob.number()),
        ] {
            assert_eq!(
                said(app, &name).await,
                ["one", "two", "three", "four"],
                "{name}"
            );
            let contact = app
                .get(&format!("/v1/sessions/shop/contacts/{name}"))
                .await
                .expect(200)
                .json();
            assert_eq!(contact["id"], bob.lid());
            assert_eq!(contact["phone"], bob.number());
        }
        app.restart().await;
        app.until("shop", "online").await;
        bob.sends_text(alice.number(), "five").await.unwrap();
        assert_eq!(app.webhook.next().await.body["data"]["chat"], bob.lid());
    })
    .await;
}
