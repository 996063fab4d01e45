//! Deliveries that an operator asks for: one event to one webhook, and all that were given up.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{TestApp, TestReceiver, eventually, shop};

const HOUR: Duration = Duration::from_secs(3600);

async fn make(app: &TestApp, hook: &TestReceiver, types: &[&str]) -> String {
    let wish = json!({"url": hook.base(), "types": types});
    let made = app.post("/v1/webhooks", wish).await.expect(201).json();
    made["id"].as_str().unwrap().to_owned()
}

/// The id of the newest event of a type.
async fn newest(app: &TestApp, kind: &str) -> String {
    let feed = app.get(&format!("/v1/events?types={kind}")).await.json();
    let last = feed["events"].as_array().unwrap().last().unwrap();
    last["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn one_event_goes_to_one_webhook_whatever_it_subscribes_to() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hello").await.unwrap();
        app.webhook.next().await;
        let hook = TestReceiver::start().await;
        let id = make(app, &hook, &["message.read"]).await;
        let path = format!("/v1/webhooks/{id}/deliveries");
        let event = newest(app, "message.received").await;
        for _ in 0..2 {
            let sent = app.post(&path, json!({"event": event})).await.expect(202);
            assert_eq!(sent.json()["status"], "waiting");
            let post = hook.next().await;
            assert_eq!(post.headers["webhook-id"], event.as_str());
            assert_eq!(post.body["data"]["text"]["body"], "hello");
            let delivered = async || {
                let page = app.get(&format!("{path}?status=delivered")).await.json();
                let listed = page["deliveries"].as_array().unwrap().clone();
                listed
                    .iter()
                    .any(|it| it["id"] == sent.json()["id"])
                    .then_some(())
            };
            eventually(delivered, async || "it is not delivered".to_owned()).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_event_that_cannot_be_sent_is_refused_with_the_reason() {
    shop(async |app, _, _| {
        let hook = TestReceiver::start().await;
        let id = make(app, &hook, &["message.read"]).await;
        let path = format!("/v1/webhooks/{id}/deliveries");
        let unknown = app.post(&path, json!({"event": "evt_none"})).await;
        assert_eq!(unknown.expect(404).code(), "event_not_found");
        let nobody = "/v1/webhooks/whk_none/deliveries";
        let event = newest(app, "session.status").await;
        let nowhere = app.post(nobody, json!({"event": event})).await;
        assert_eq!(nowhere.expect(404).code(), "webhook_not_found");
        for (body, field) in [
            (json!({}), "event"),
            (json!({"event": ""}), "event"),
            (json!({"event": event, "evnt": 1}), "evnt"),
        ] {
            assert_eq!(app.post(&path, body).await.expect(400).fields(), [field]);
        }
        // An event of the whole gateway has no address at the webhook of the settings.
        let wish = json!({"name": "first", "scopes": ["admin"]});
        let key = app.post("/v1/api-keys", wish).await.expect(201).json();
        let admin = app.with_key(key["key"].as_str().unwrap());
        let feed = admin.get("/v1/events?types=api_key.created").await.json();
        let event = &feed["events"][0]["id"];
        let path = "/v1/webhooks/original/deliveries";
        let refused = admin.post(path, json!({"event": event})).await.expect(400);
        assert_eq!(refused.fields(), ["event"]);
    })
    .await;
}

#[tokio::test]
async fn everything_that_was_given_up_is_resent_at_once_and_counted() {
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        app.webhook.answer(422);
        bob.sends_text(alice.number(), "one").await.unwrap();
        carol.sends_text(alice.number(), "two").await.unwrap();
        app.events("message.received", 2).await;
        let dead = async || {
            let path = "/v1/webhooks/original/deliveries?status=dead";
            let listed: Value = app.get(path).await.expect(200).json();
            let count = listed["deliveries"].as_array().unwrap().len();
            if count < 2 {
                app.push_clock(HOUR);
                // A webhook that accepts nothing is disabled; its events wait for that to end.
                app.post_raw("/v1/webhooks/original/enable", "").await;
            }
            (count == 2).then_some(())
        };
        eventually(dead, async || "they are not given up".to_owned()).await;
        app.webhook.answer(200);
        let path = "/v1/webhooks/original/deliveries/resend";
        for status in ["waiting", "delivered", "daed"] {
            let refused = app.post(path, json!({"status": status})).await;
            assert_eq!(refused.expect(400).fields(), ["status"]);
        }
        let resent = app.post(path, json!({"status": "dead"})).await.expect(202);
        assert_eq!(resent.json(), json!({"deliveries": 2}));
        let mut texts = Vec::new();
        for _ in 0..2 {
            let post = app.webhook.next().await;
            texts.push(post.body["data"]["text"]["body"].clone());
        }
        texts.sort_by_key(Value::to_string);
        assert_eq!(texts, ["one", "two"]);
        let again = app.post(path, json!({"status": "dead"})).await.expect(202);
        assert_eq!(again.json(), json!({"deliveries": 0}));
    })
    .await;
}
