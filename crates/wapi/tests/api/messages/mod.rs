//! `/v1/sessions/{session}/messages`: sends that happen, and happen once.

mod refused;
mod waiting;

use serde_json::{Value, json};
use wapi_simulator::AckFault;

use crate::harness::{PATIENCE, Setup, TestApp};

fn text(to: &str, body: &str) -> Value {
    json!({"to": to, "type": "text", "text": {"body": body}})
}

#[tokio::test]
async fn a_text_is_sent_and_its_story_can_be_read() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;

    let number = format!("+{}", bob.number());
    let sent = app
        .post("/v1/sessions/shop/messages", text(&number, "Hello, Bob"))
        .await
        .expect(200)
        .json();
    let message = &sent["messages"][0];
    assert_eq!(
        (&message["status"], &message["type"], &message["session"]),
        (&json!("sent"), &json!("text"), &json!("shop"))
    );
    assert_eq!(message["chat"], bob.jid());
    assert_eq!(
        sent["contacts"],
        json!([{"input": number, "wa_id": bob.number(), "lid": null}])
    );
    let id = message["id"].as_str().unwrap();
    assert!(id.len() == 22 && id.starts_with("3EB0"), "{id}");

    let received = bob.next_message(PATIENCE).await.unwrap();
    assert_eq!(
        (received.id.as_str(), received.text.as_deref()),
        (id, Some("Hello, Bob"))
    );
    bob.reads_messages(&alice.jid(), &[id.to_owned()]).unwrap();
    let story = app.until_message("shop", id, "read").await;
    let steps: Vec<_> = story["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["status"].clone())
        .collect();
    assert_eq!(steps, ["queued", "sent", "delivered", "read"]);
    assert_eq!(story["recipients"][0]["id"], bob.jid());
    assert!(
        story["recipients"][0]["read_at"].is_string()
            && story["recipients"][0]["played_at"].is_null(),
        "{story}"
    );
    app.finish().await;
}

#[tokio::test]
async fn the_same_key_is_the_same_message() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let route = "/v1/sessions/shop/messages";
    let first = app.with_header("idempotency-key", "order-1");
    let sent = first
        .post(route, text(bob.number(), "once"))
        .await
        .expect(200);
    let id = sent.json()["messages"][0]["id"].clone();
    let reordered = format!(
        r#"{{"text": {{"body": "once"}}, "type": "text", "to": "{}"}}"#,
        bob.number()
    );
    let again = first.post_raw(route, reordered).await.expect(200);
    assert_eq!(again.json()["messages"][0]["id"], id);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let other = first
        .post(route, text(bob.number(), "something else"))
        .await
        .expect(409);
    assert_eq!(other.code(), "idempotency_key_reused");
    let app = app.restart().await;
    app.until("shop", "online").await;
    let first = app.with_header("idempotency-key", "order-1");
    assert_eq!(
        first
            .post(route, text(bob.number(), "once"))
            .await
            .expect(200)
            .json()["messages"][0]["id"],
        id
    );
    app.push_clock(std::time::Duration::from_secs(24 * 3600 + 1));
    app.until("shop", "online").await;
    let next_day = first
        .post(route, text(bob.number(), "something else"))
        .await
        .expect(200);
    assert_ne!(next_day.json()["messages"][0]["id"], id);
    let received: Vec<_> = [
        bob.next_message(PATIENCE).await,
        bob.next_message(PATIENCE).await,
    ]
    .map(|one| one.unwrap().text)
    .into();
    assert_eq!(
        received,
        [Some("once".to_owned()), Some("something else".to_owned())]
    );
    assert_eq!(bob.received_messages().len(), 2);
    app.finish().await;
}

#[tokio::test]
async fn without_an_answer_a_message_is_unknown_until_whatsapp_is_asked_again_under_its_id() {
    let app = Setup::new()
        .set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 2)
        .start()
        .await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
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
    app.finish().await;
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
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
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
    app.finish().await;
}

#[tokio::test]
async fn an_answer_quotes_what_it_answers() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    app.pair("clinic", &bob).await;
    let question = bob.sends_text(alice.number(), "open today?").await.unwrap();
    app.webhook.next().await;
    let mut reply = text(bob.number(), "until six");
    reply["context"] = json!({"message_id": question});
    app.post("/v1/sessions/shop/messages", reply)
        .await
        .expect(200);
    let answer = app.webhook.next().await.body;
    assert_eq!(
        (
            &answer["data"]["session"],
            &answer["data"]["context"]["message_id"]
        ),
        (&json!("clinic"), &json!(question))
    );
    assert_eq!(answer["data"]["text"]["body"], "until six");
    app.finish().await;
}
