//! `/v1/sessions/{session}/messages`: sends that happen, and happen once.

mod refused;
mod waiting;

use std::time::Duration;

use serde_json::{Value, json};
use wapi_simulator::{AckFault, Phone};

use crate::harness::{Answer, PATIENCE, Setup, TestApp, TestClient, shop, steady};

const MESSAGES: &str = "/v1/sessions/shop/messages";

fn text(to: &str, body: &str) -> Value {
    json!({"to": to, "type": "text", "text": {"body": body}})
}

#[tokio::test]
async fn a_text_is_sent() {
    shop(async |app, _, bob| {
        let number = format!("+{}", bob.number());
        let sent = app
            .post("/v1/sessions/shop/messages", text(&number, "Hello, Bob"))
            .await
            .expect(200)
            .json();
        let id = sent["messages"][0]["id"].as_str().unwrap();
        insta::assert_json_snapshot!(steady(&sent, &[(id, "[id]")]), @r#"
        {
          "contacts": [
            {
              "input": "+375440000002",
              "lid": null,
              "wa_id": "375440000002"
            }
          ],
          "messages": [
            {
              "accepted_at": "[moment]",
              "chat": "375440000002@s.whatsapp.net",
              "history": [
                {
                  "at": "[moment]",
                  "status": "queued"
                },
                {
                  "at": "[moment]",
                  "status": "sent"
                }
              ],
              "id": "[id]",
              "recipients": [],
              "sent_at": "[moment]",
              "session": "shop",
              "status": "sent",
              "text": {
                "body": "Hello, Bob"
              },
              "type": "text"
            }
          ]
        }
        "#);
        assert!(id.len() == 22 && id.starts_with("3EB0"), "{id}");
        let received = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(received.id, id);
        assert_eq!(received.text.as_deref(), Some("Hello, Bob"));
    })
    .await;
}

#[tokio::test]
async fn the_story_of_a_message_can_be_read() {
    shop(async |app, alice, bob| {
        let id = app.accepted("shop", text(bob.number(), "Hello, Bob")).await;
        bob.next_message(PATIENCE).await.unwrap();
        bob.reads_messages(&alice.jid(), std::slice::from_ref(&id))
            .unwrap();
        let story = app.until_message("shop", &id, "read").await;
        let steps = story["history"].as_array().unwrap().iter();
        let steps: Vec<_> = steps.map(|step| step["status"].clone()).collect();
        assert_eq!(steps, ["queued", "sent", "delivered", "read"]);
        let recipient = &story["recipients"][0];
        assert_eq!(recipient["id"], bob.jid());
        assert!(recipient["read_at"].is_string(), "{story}");
        assert_eq!(recipient["played_at"], Value::Null);
    })
    .await;
}

/// The gateway as its caller sees it who sends every request under one key.
fn keyed(app: &TestApp) -> TestClient {
    app.with_header("idempotency-key", "order-1")
}

/// A text to Bob under the key; the answer and the message's id.
async fn sends_once(app: &TestApp, bob: &Phone) -> (Answer, Value) {
    let answer = keyed(app).post(MESSAGES, text(bob.number(), "once")).await;
    let answer = answer.expect(200);
    let id = answer.json()["messages"][0]["id"].clone();
    (answer, id)
}

/// Bob has heard these texts, each in a message of its own.
async fn heard(bob: &Phone, texts: &[&str]) {
    for text in texts {
        let message = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(message.text.as_deref(), Some(*text));
    }
    assert_eq!(bob.received_messages().len(), texts.len());
}

#[tokio::test]
async fn the_same_request_under_the_same_key_is_answered_again_and_sent_once() {
    shop(async |app, _, bob| {
        let (first, id) = sends_once(app, &bob).await;
        assert!(!first.headers.contains_key("idempotent-replayed"));
        let (again, same) = sends_once(app, &bob).await;
        assert_eq!(again.headers["idempotent-replayed"], "true");
        assert_eq!(same, id);
        heard(&bob, &["once"]).await;
    })
    .await;
}

#[tokio::test]
async fn the_same_request_may_have_its_members_in_another_order() {
    shop(async |app, _, bob| {
        let (_, id) = sends_once(app, &bob).await;
        let to = bob.number();
        let reordered = format!(r#"{{"text": {{"body": "once"}}, "type": "text", "to": "{to}"}}"#);
        let again = keyed(app).post_raw(MESSAGES, reordered).await.expect(200);
        assert_eq!(again.json()["messages"][0]["id"], id);
    })
    .await;
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    shop(async |app, _, bob| {
        sends_once(app, &bob).await;
        let other = text(bob.number(), "something else");
        let refused = keyed(app).post(MESSAGES, other).await.expect(409);
        assert_eq!(refused.code(), "idempotency_key_reused");
        heard(&bob, &["once"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_key_is_remembered_over_a_restart() {
    shop(async |app, _, bob| {
        let (_, id) = sends_once(app, &bob).await;
        app.restart().await;
        app.until("shop", "online").await;
        assert_eq!(sends_once(app, &bob).await.1, id);
        heard(&bob, &["once"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    shop(async |app, _, bob| {
        let (_, id) = sends_once(app, &bob).await;
        app.push_clock(Duration::from_secs(24 * 3600 + 1));
        // The session may have lost its connection while a day flew by; the message waits for the next.
        let other = app
            .while_seconds_pass(async || {
                let answer = keyed(app).post(MESSAGES, text(bob.number(), "once")).await;
                (answer.status == 200).then(|| answer.json()["messages"][0]["id"].clone())
            })
            .await;
        assert_ne!(other, id);
        heard(&bob, &["once", "once"]).await;
    })
    .await;
}

#[tokio::test]
async fn without_an_answer_a_message_is_unknown_until_whatsapp_is_asked_again_under_its_id() {
    Setup::new()
        .set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 2)
        .shop(async |app, _, bob| {
            app.simulator.faults().set_ack_fault(AckFault::Drop);
            bob.sets_receipt_policy(wapi_simulator::ReceiptPolicy::Withheld);
            let id = app
                .accepted("shop", text(bob.number(), "are you there?"))
                .await;
            let next = app
                .accepted("shop", text(bob.number(), "still there?"))
                .await;
            assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, id);
            app.until_message("shop", &id, "unknown").await;
            assert_eq!(
                app.message("shop", &next).await["status"],
                "queued",
                "nothing overtakes what is not answered"
            );
            app.simulator.faults().set_ack_fault(AckFault::None);
            app.until_message("shop", &id, "sent").await;
            app.until_message("shop", &next, "sent").await;
            assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, next);
            assert_eq!(
                bob.received_messages().len(),
                2,
                "a second copy under the same id is no second message"
            );
        })
        .await;
}

#[tokio::test]
async fn a_message_that_may_have_arrived_has_not_failed_when_it_is_refused_the_second_time() {
    Setup::new()
        .set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 2)
        .shop(async |app, _, bob| {
            app.simulator.faults().set_ack_fault(AckFault::Drop);
            bob.sets_receipt_policy(wapi_simulator::ReceiptPolicy::Withheld);
            let id = app.accepted("shop", text(bob.number(), "first")).await;
            let next = app.accepted("shop", text(bob.number(), "second")).await;
            assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, id);
            app.until_message("shop", &id, "unknown").await;
            app.simulator.faults().set_ack_fault(AckFault::Refuse(479));
            // It waits for the end of the first, and its only attempt is refused.
            app.until_message("shop", &next, "failed").await;
            assert_eq!(app.message("shop", &id).await["status"], "unknown");
            let failed = app.events("message.failed", 1).await;
            assert_eq!(failed[0]["data"]["id"], next, "{failed:?}");
        })
        .await;
}

#[tokio::test]
async fn a_crash_between_leaving_and_whatsapps_answer_makes_no_second_message() {
    use crate::harness::{TestReceiver, Wapi, free_address, options};
    let simulator = wapi_simulator::Simulator::start(options()).await.unwrap();
    let (webhook, address) = (TestReceiver::start().await, free_address());
    let wapi = Wapi::new()
        .set("WAPI_INTERNAL_HOST", address)
        .set("WAPI_WHATSAPP_URL", simulator.ws_url())
        .set("WAPI_GETTING_MESSAGES_WEBHOOK", webhook.base());
    let (alice, bob) = (
        simulator.add_phone("Alice").unwrap(),
        simulator.add_phone("Bob").unwrap(),
    );
    let (running, client) = wapi.serves(address).await;
    client.pair("shop", &alice).await;
    client
        .accepted("shop", text(bob.number(), "a warm-up"))
        .await;
    bob.next_message(PATIENCE).await.unwrap();

    simulator.faults().set_ack_fault(AckFault::Drop);
    bob.sets_receipt_policy(wapi_simulator::ReceiptPolicy::Withheld);
    let id = client.accepted("shop", text(bob.number(), "once")).await;
    let behind = client
        .accepted("shop", text(bob.number(), "afterwards"))
        .await;
    assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, id);
    running.kill().await;

    simulator.faults().refuse_connections(true);
    let (running, client) = wapi.serves(address).await;
    client.until_message("shop", &id, "unknown").await;
    simulator.faults().set_ack_fault(AckFault::None);
    simulator.faults().refuse_connections(false);
    client.register("shop").await;
    client.until_message("shop", &id, "sent").await;
    assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, behind);
    let ids: Vec<_> = bob
        .received_messages()
        .into_iter()
        .map(|message| message.id)
        .skip(1)
        .collect();
    assert_eq!(ids, [id, behind]);
    assert!(running.terminate().await.success);
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn each_step_is_an_event_told_once() {
    shop(async |app, alice, bob| {
        let id = app.accepted("shop", text(bob.number(), "hi")).await;
        bob.next_message(PATIENCE).await.unwrap();
        app.until_message("shop", &id, "delivered").await;
        for _ in 0..2 {
            bob.reads_messages(&alice.jid(), std::slice::from_ref(&id))
                .unwrap();
            bob.confirms_delivery(&alice.jid(), std::slice::from_ref(&id))
                .unwrap();
        }
        app.until_message("shop", &id, "read").await;
        // Whatever came before this is in the feed.
        let last = app.accepted("shop", text(bob.number(), "bye")).await;
        app.until_message("shop", &last, "delivered").await;
        let feed = app.get("/v1/events").await.expect(200).json();
        let about = feed["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| &entry["event"]);
        let types: Vec<_> = about
            .filter(|event| event["data"]["id"] == id.as_str())
            .map(|event| event["type"].clone())
            .collect();
        assert_eq!(types, ["message.sent", "message.delivered", "message.read"]);
    })
    .await;
}

#[tokio::test]
async fn an_answer_quotes_what_it_answers() {
    shop(async |app, alice, bob| {
        app.pair("clinic", &bob).await;
        let question = bob.sends_text(alice.number(), "open today?").await.unwrap();
        app.webhook.next().await;
        let mut reply = text(bob.number(), "until six");
        reply["context"] = json!({"message_id": question});
        app.post("/v1/sessions/shop/messages", reply)
            .await
            .expect(200);
        let answer = app.webhook.next().await.body;
        assert_eq!(answer["data"]["session"], "clinic");
        assert_eq!(answer["data"]["context"]["message_id"], question);
        assert_eq!(answer["data"]["text"]["body"], "until six");
    })
    .await;
}
