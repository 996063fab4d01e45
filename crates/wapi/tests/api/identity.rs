//! One person is one chat, whatever address WhatsApp has them under.

use serde_json::{Value, json};
use wapi_simulator::Addressing::{Lid, PhoneNumber};

use crate::harness::TestApp;

const CHATS: &str = "/v1/sessions/shop/chats";

async fn said(app: &TestApp, chat: &str) -> Vec<Value> {
    let page = app.get(&format!("{CHATS}/{chat}/messages")).await.expect(200).json();
    let messages = page["messages"].as_array().unwrap().iter().rev();
    messages.map(|message| message["text"]["body"].clone()).collect()
}

#[tokio::test]
async fn a_chat_goes_on_when_whatsapp_moves_it_to_lids_and_back() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    for (number, addressing) in [PhoneNumber, Lid, PhoneNumber, Lid].into_iter().enumerate() {
        bob.is_addressed_by(addressing);
        bob.sends_text(alice.number(), &format!("theirs {number}")).await.unwrap();
        let told = app.webhook.next().await.body;
        assert_eq!((&told["data"]["chat"], &told["data"]["from"]["id"]), (&json!(bob.jid()), &json!(bob.jid())));
        for to in [bob.number().to_owned(), bob.lid()] {
            let id = app.accepted("shop", json!({"to": to, "text": {"body": format!("ours {number} {to}")}})).await;
            let sent = app.until_message("shop", &id, "delivered").await;
            assert_eq!(sent["chat"], bob.jid(), "to {to}");
        }
    }
    let chats = app.get(CHATS).await.expect(200).json();
    assert_eq!(chats["chats"].as_array().unwrap().len(), 1, "{chats}");
    assert_eq!((&chats["chats"][0]["phone"], &chats["chats"][0]["lid"]), (&json!(bob.number()), &json!(bob.lid())));
    assert_eq!(said(&app, bob.number()).await.len(), 12);
    assert_eq!(said(&app, &bob.lid()).await.len(), 12);
    app.finish().await;
}

#[tokio::test]
async fn a_chat_that_began_without_a_number_keeps_its_id_when_the_number_becomes_known() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    bob.is_addressed_by(Lid);
    bob.hides_number(true);
    bob.sends_text(alice.number(), "one").await.unwrap();
    let told = app.webhook.next().await.body["data"].clone();
    assert_eq!((&told["chat"], &told["from"]["phone"]), (&json!(bob.lid()), &Value::Null));
    bob.hides_number(false);
    bob.sends_text(alice.number(), "two").await.unwrap();
    let told = app.webhook.next().await.body["data"].clone();
    assert_eq!((&told["chat"], &told["from"]["phone"]), (&json!(bob.lid()), &json!(bob.number())));
    bob.is_addressed_by(PhoneNumber);
    bob.sends_text(alice.number(), "three").await.unwrap();
    assert_eq!(app.webhook.next().await.body["data"]["chat"], bob.lid());
    let id = app.accepted("shop", json!({"to": bob.number(), "text": {"body": "four"}})).await;
    assert_eq!(app.until_message("shop", &id, "delivered").await["chat"], bob.lid());

    let updated = app.events("contact.updated", 1).await;
    let data = &updated[0]["data"];
    assert_eq!((&data["contact"]["id"], &data["phone"]), (&json!(bob.lid()), &json!(bob.number())));
    assert_eq!(app.get(CHATS).await.expect(200).json()["chats"].as_array().unwrap().len(), 1);
    for name in [bob.number().to_owned(), bob.jid(), bob.lid(), format!("%2B{}", bob.number())] {
        assert_eq!(said(&app, &name).await, ["one", "two", "three", "four"], "{name}");
        let contact = app.get(&format!("/v1/sessions/shop/contacts/{name}")).await.expect(200).json();
        assert_eq!((&contact["id"], &contact["phone"]), (&json!(bob.lid()), &json!(bob.number())));
    }
    let app = app.restart().await;
    app.until("shop", "online").await;
    bob.sends_text(alice.number(), "five").await.unwrap();
    assert_eq!(app.webhook.next().await.body["data"]["chat"], bob.lid());
    app.finish().await;
}
