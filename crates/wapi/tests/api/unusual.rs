//! What comes in besides plain messages of others: echoes of our own, kinds without a shape, what cannot be read.

use serde_json::{Value, json};
use wapi_simulator::Phone;

use crate::harness::{PATIENCE, TestApp, eventually, shop};

async fn feed(app: &TestApp, types: &str) -> Vec<Value> {
    let feed = app
        .get(&format!("/v1/events?types={types}"))
        .await
        .expect(200)
        .json();
    feed["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["event"].clone())
        .collect()
}

#[tokio::test]
async fn what_the_owner_writes_on_the_phone_is_an_echo() {
    shop(async |app, alice, bob| {
        let id = alice
            .sends_text(bob.number(), "from my phone")
            .await
            .unwrap();
        alice
            .edits_message(bob.number(), &id, "from my own phone")
            .unwrap();
        bob.sends_text(alice.number(), "hi").await.unwrap();
        let next = app.webhook.next().await.body;
        assert_eq!(
            next["data"]["text"]["body"], "hi",
            "the original's webhook is told of what others write only"
        );
        // They come by another cipher than the message of the other, and may be a moment later.
        let all = async || feed(app, "message.echo,message.edited").await;
        let told = eventually(
            async || Some(all().await).filter(|told| told.len() == 2),
            async || format!("{:#?}", all().await),
        );
        let told = told.await;
        for (event, (kind, words)) in told.iter().zip([
            ("message.echo", "from my phone"),
            ("message.edited", "from my own phone"),
        ]) {
            let data = &event["data"];
            assert_eq!(event["type"], kind);
            assert_eq!(data["text"]["body"], words);
            assert_eq!(data["chat"], bob.jid());
            assert_eq!(data["from_me"], true);
            assert_eq!(data["from"]["phone"], alice.number());
            assert_eq!(data["from"]["lid"], alice.lid());
        }
        assert_eq!(told[0]["data"]["id"], id);
        assert_eq!(told[1]["data"]["message_id"], id);
        bob.received_messages()
            .iter()
            .for_each(|message| assert_eq!(message.from, alice.jid()));
        // What is known from an echo is the account's own.
        let taken = bob.received_messages().len();
        app.delete(&format!(
            "/v1/sessions/shop/messages/{id}?chat={}",
            bob.number()
        ))
        .await
        .expect(200);
        let deletion = bob
            .wait_until("the deletion", PATIENCE, |bob| {
                bob.received_since(taken).pop()
            })
            .await
            .unwrap()
            .to_json();
        assert_eq!(deletion["protocol_message"]["key"]["id"], json!(id));
        assert_eq!(deletion["protocol_message"]["key"]["from_me"], json!(true));
    })
    .await;
}

#[tokio::test]
async fn what_has_no_shape_is_told_as_whatsapp_wrote_it() {
    shop(async |app, alice, bob| {
        bob.sends_invoice(alice.number(), "Tea", vec![1, 2, 3])
            .unwrap();
        let data = app.webhook.next().await.body["data"].clone();
        let invoice =
            json!({"note": "Tea", "attachment_jpeg_thumbnail": "AQID", "attachment_type": "PDF"});
        let raw = json!({"invoice_message": invoice});
        assert_eq!(data["type"], "unsupported");
        assert_eq!(data["raw"], raw);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_read_is_told_and_then_read_when_it_comes_again() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hi").await.unwrap();
        app.webhook.next().await;
        let id = bob
            .sends_unreadable_text(alice.number(), "a secret")
            .unwrap();
        let read = app.webhook.next().await.body;
        assert_eq!(read["data"]["id"], id);
        assert_eq!(read["data"]["text"]["body"], "a secret");
        let told = feed(app, "message.undecryptable").await;
        let said = |event: &Value| {
            [
                &event["data"]["id"],
                &event["data"]["chat"],
                &event["data"]["reason"],
            ]
            .map(Value::clone)
        };
        let told: Vec<_> = told.iter().map(said).collect();
        assert_eq!(
            told,
            [[json!(id), json!(bob.jid()), json!("undecryptable")]]
        );
        assert_eq!(
            alice.failures().len(),
            1,
            "the account's phone could not read it either"
        );
    })
    .await;
}

#[tokio::test]
async fn what_nobody_has_sent_again_is_asked_for_once_more() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hi").await.unwrap();
        app.webhook.next().await;
        bob.ignores_retries(true);
        let id = bob
            .sends_unreadable_text(alice.number(), "a secret")
            .unwrap();
        let told = app.events("message.undecryptable", 1).await;
        let data = &told[0]["data"];
        assert_eq!((&data["id"], &data["device"]), (&json!(id), &json!(0)));
        // The answer may be long in coming.
        let stopped = app.stop().await;
        stopped.start().await;
        app.until("shop", "online").await;
        bob.ignores_retries(false);
        let chat = json!({"chat": data["chat"]});
        let route = format!("/v1/sessions/shop/messages/{id}/ask-again");
        app.post(&route, chat.clone()).await.expect(202);
        let read = app.webhook.next().await.body;
        assert_eq!(read["data"]["id"], id);
        assert_eq!(read["data"]["text"]["body"], "a secret");
        let again = app.post(&route, chat.clone()).await.expect(409);
        assert_eq!(again.code(), "message_readable");

        let other = "/v1/sessions/shop/messages/3EB0AAAA/ask-again";
        let unknown = app.post(other, chat).await.expect(404);
        assert_eq!(unknown.code(), "unreadable_not_found");
        let wrong = app.post(&route, json!({"chat": "?", "now": true})).await;
        assert_eq!(wrong.expect(400).fields(), ["chat", "now"]);
        assert_eq!(alice.failures().len(), 1, "the phone asked in vain, too");
    })
    .await;
}

#[tokio::test]
async fn a_sender_that_does_not_answer_is_asked_five_times_at_most() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hi").await.unwrap();
        app.webhook.next().await;
        bob.ignores_retries(true);
        let id = bob
            .sends_unreadable_text(alice.number(), "a secret")
            .unwrap();
        app.events("message.undecryptable", 1).await;
        // The gateway has asked once by itself.
        let asked = async |times: usize| {
            let asked = |bob: &Phone| (bob.ignored_retries() == times).then_some(());
            bob.wait_until("a request", PATIENCE, asked).await.unwrap();
        };
        asked(1).await;
        let chat = json!({"chat": bob.number()});
        let route = format!("/v1/sessions/shop/messages/{id}/ask-again");
        for more in 1..5 {
            app.post(&route, chat.clone()).await.expect(202);
            asked(more + 1).await;
        }
        let often = app.post(&route, chat).await.expect(429);
        assert_eq!(often.code(), "asked_too_often");
        assert_eq!(alice.failures().len(), 1);
    })
    .await;
}
