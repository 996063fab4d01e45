//! Many messages in one request.

use serde_json::{Value, json};

use crate::harness::{PATIENCE, gateway};

const ROUTE: &str = "/v1/sessions/shop/messages/batch";

fn text(to: &str, body: &str) -> Value {
    json!({"to": to, "text": {"body": body}})
}

#[tokio::test]
async fn each_is_accepted_on_its_own_and_sent_once() {
    gateway(async |app| {
        let [alice, bob, carol] = ["Alice", "Bob", "Carol"].map(|name| app.phone(name));
        app.pair("shop", &alice).await;
        let vote = json!({"to": bob.number(), "poll_vote": {"message_id": "3EB0", "options": []}});
        let asked = json!({"messages": [text(bob.number(), "one"), vote, text(carol.number(), "two"), text(bob.number(), "three")]});
        let keyed = app.with_header("idempotency-key", "spring");
        let first = keyed.post(ROUTE, asked.clone()).await.expect(202);
        let again = keyed.post(ROUTE, asked).await.expect(202);
        assert_eq!(first.headers.get("idempotent-replayed"), None);
        assert_eq!(again.headers["idempotent-replayed"].as_bytes(), &b"true"[..]);
        let (first, again) = (first.json(), again.json());
        let id = |answer: &Value, index: usize| answer["results"][index]["messages"][0]["id"].clone();
        for index in [0, 2, 3] {
            assert!(id(&first, index).is_string(), "{first:#}");
            assert_eq!(id(&first, index), id(&again, index));
        }
        assert_eq!(first["results"][2]["contacts"][0]["input"], carol.number());
        let refused = &first["results"][1]["error"];
        assert_eq!(refused["status"], 400);
        assert_eq!(refused["errors"][0]["field"], "poll_vote.message_id");

        for (phone, texts) in [(&bob, &["one", "three"][..]), (&carol, &["two"])] {
            for text in texts {
                assert_eq!(
                    phone.next_message(PATIENCE).await.unwrap().text.as_deref(),
                    Some(*text)
                );
            }
        }
        assert_eq!(bob.received_messages().len(), 2, "each was sent once");
        assert_eq!(carol.received_messages().len(), 1, "each was sent once");
    }).await;
}

#[tokio::test]
async fn what_has_not_the_form_of_a_message_refuses_all() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        let good = text(bob.number(), "hi");
        for (asked, field, says) in [
            (json!({}), "messages", "1 to 100 objects"),
            (json!({"messages": []}), "messages", "1 to 100 objects"),
            (
                json!({"messages": vec![good.clone(); 101]}),
                "messages",
                "1 to 100 objects",
            ),
            (
                json!({"messages": [good], "to": "1"}),
                "to",
                "is not a field",
            ),
            (
                json!({"messages": [good, {"to": bob.number(), "text": {}}]}),
                "messages[1].text.body",
                "is missing",
            ),
            (
                json!({"messages": [{"to": "nobody", "text": {"body": "hi"}}]}),
                "messages[0].to",
                "is not a chat",
            ),
        ] {
            let problem = app.post(ROUTE, asked.clone()).await.expect(400).json();
            assert_eq!(problem["errors"][0]["field"], field, "{asked}");
            assert!(
                problem["errors"][0]["detail"]
                    .as_str()
                    .unwrap()
                    .contains(says),
                "{problem}"
            );
        }
        // With nobody to send them, none is accepted, and the answer is the reason.
        let problem = app
            .post(ROUTE, json!({"messages": [good]}))
            .await
            .expect(404)
            .json();
        assert_eq!(problem["code"], "session_not_found");

        app.pair("shop", &alice).await;
        let keyed = app.with_header("idempotency-key", "spring");
        keyed
            .post(ROUTE, json!({"messages": [good]}))
            .await
            .expect(202);
        let problem = keyed
            .post(ROUTE, json!({"messages": [good, good]}))
            .await
            .expect(409)
            .json();
        assert_eq!(problem["code"], "idempotency_key_reused");
        // The same when only a later message was accepted, and the other request has none in its place.
        let reaction = json!({"to": "status", "reaction": {"message_id": "3EB0", "emoji": "👍"}});
        let keyed = app.with_header("idempotency-key", "summer");
        let answer = keyed
            .post(ROUTE, json!({"messages": [reaction, good]}))
            .await
            .expect(202)
            .json();
        assert_eq!(
            answer["results"][0]["error"]["code"], "message_not_found",
            "as alone"
        );
        assert_eq!(
            keyed
                .post(ROUTE, json!({"messages": [good]}))
                .await
                .expect(409)
                .code(),
            "idempotency_key_reused"
        );
        assert_eq!(
            bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
            Some("hi")
        );
        // All are refused: the first reason, and whose it is.
        let vote = json!({"to": bob.number(), "poll_vote": {"message_id": "3EB0", "options": []}});
        let refused = app
            .post(ROUTE, json!({"messages": [vote]}))
            .await
            .expect(400);
        assert_eq!(refused.fields(), ["messages[0].poll_vote.message_id"]);
        assert_eq!(
            bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
            Some("hi")
        );
    })
    .await;
}
