//! Messages that are not sent: what is wrong with each is named, by the gateway or by WhatsApp.

use serde_json::json;
use wapi_simulator::AckFault;

use super::text;
use crate::harness::{gateway, shop};

#[tokio::test]
async fn whatsapps_refusal_is_told_and_kept() {
    shop(async |app, _, bob| {
        app.simulator.faults().set_ack_fault(AckFault::Refuse(463));
        let keyed = app.with_header("idempotency-key", "refused");
        for _ in 0..2 {
            let refused = keyed
                .post("/v1/sessions/shop/messages", text(bob.number(), "hi"))
                .await
                .expect(502);
            assert_eq!(refused.code(), "whatsapp_refused");
            let detail = refused.json()["detail"].as_str().unwrap().to_owned();
            assert!(
                detail.contains("463") && detail.contains("new contacts"),
                "{detail}"
            );
        }
        let events = app
            .get("/v1/events?types=message.failed")
            .await
            .expect(200)
            .json();
        let data = &events["events"][0]["event"]["data"];
        assert_eq!(data["session"], "shop");
        assert_eq!(data["error"]["code"], "whatsapp_refused");
        assert_eq!(events["events"].as_array().unwrap().len(), 1);
        let kept = app.message("shop", data["id"].as_str().unwrap()).await;
        assert_eq!(kept["status"], "failed");
        assert_eq!(kept["error"]["code"], "whatsapp_refused");
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_message_is_named() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let route = "/v1/sessions/shop/messages";
        app.register("shop").await.expect(202);
        let unpaired = app
            .post(route, text("375440000001", "hi"))
            .await
            .expect(409);
        assert_eq!(unpaired.code(), "session_not_paired");
        app.pair("shop", &alice).await;
        for (body, fields) in [
            (json!({}), vec!["to", "type"]),
            (json!({"to": "nobody", "text": {"body": "hi"}}), vec!["to"]),
            (
                json!({"to": "375440000001", "text": {"body": " "}}),
                vec!["text.body"],
            ),
            (
                json!({"to": "375440000001", "text": {"body": "hi", "colour": 1}, "size": 1}),
                vec!["text.colour", "size"],
            ),
            (json!({"to": "375440000001", "text": "hi"}), vec!["text"]),
            (
                json!({"to": "375440000001", "type": "poem", "text": {"body": "hi"}}),
                vec!["type"],
            ),
            (
                json!({"to": "375440000001", "type": "poll", "poll": {}}),
                vec!["poll.question", "poll.options"],
            ),
            (
                json!({"to": "375440000001", "location": {}}),
                vec!["location.latitude", "location.longitude"],
            ),
            (
                json!({"to": "375440000001", "text": {"body": "hi"}, "image": {"link": "http://a/"}}),
                vec!["type"],
            ),
            (
                json!({"to": "375440000001", "image": {"link": "ftp://a/"}}),
                vec!["image.link"],
            ),
            (
                json!({"to": "375440000001", "image": {"id": "1", "link": "http://a/"}}),
                vec!["image.id"],
            ),
            (
                json!({"to": "375440000001", "audio": {"link": "http://a/", "voice": "yes"}}),
                vec!["audio.voice"],
            ),
            // What is right is not told to be wrong.
            (
                json!({"to": "375440000001", "image": {"url": "http://a/", "caption": "hi", "view_once": true}}),
                vec!["image.link", "image.url"],
            ),
            (
                json!({"to": "375440000001", "document": {"id": "1", "link": "http://a/", "filename": "a", "caption": "hi"}}),
                vec!["document.id"],
            ),
            (
                json!({"to": "375440000001", "location": {"latitude": 100, "longitude": 1, "name": "a", "address": "b"}}),
                vec!["location.latitude"],
            ),
            (
                json!({"to": "375440000001", "poll": {"question": "?", "options": ["a"], "max_selections": 2}}),
                vec!["poll.options"],
            ),
            (
                json!({"to": "375440000001", "text": {"body": "hi"}, "expires_in": 0}),
                vec!["expires_in"],
            ),
            (
                json!({"to": "375440000001", "text": {"body": "hi"}, "send_at": "tomorrow"}),
                vec!["send_at"],
            ),
            (
                json!({"to": "375440000001", "text": {"body": "hi"}, "send_at": "2001-01-01T00:00:00Z"}),
                vec!["send_at"],
            ),
            (
                json!({"to": "375440000001", "text": {"body": "hi"}, "send_at": "9000-01-01T00:00:00Z"}),
                vec!["send_at"],
            ),
            (
                json!({"to": "375440000001", "text": {"body": "hi"}, "context": {}}),
                vec!["context.message_id"],
            ),
        ] {
            assert_eq!(
                app.post(route, body.clone()).await.expect(400).fields(),
                fields,
                "{body}"
            );
        }
        assert_eq!(
            app.post(&format!("{route}?wait=61"), text("375440000001", "hi"))
                .await
                .expect(400)
                .fields(),
            ["wait"]
        );
        let long_key = app.with_header("idempotency-key", &"k".repeat(256));
        assert_eq!(
            long_key
                .post(route, text("375440000001", "hi"))
                .await
                .expect(400)
                .fields(),
            ["Idempotency-Key"]
        );
        assert_eq!(
            app.post("/v1/sessions/other/messages", text("375440000001", "hi"))
                .await
                .expect(404)
                .code(),
            "session_not_found"
        );
        assert_eq!(
            app.get(&format!("{route}/3EB0/")).await.expect(404).code(),
            "message_not_found"
        );
    }).await;
}
