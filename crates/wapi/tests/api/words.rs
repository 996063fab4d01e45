//! What callers are told says what to do, and limits are the same wherever they are met.

use std::net::TcpListener;

use axum::Router;
use axum::response::Redirect;
use axum::routing::any;
use serde_json::json;

use crate::harness::{TestReceiver, gateway, shop};

#[tokio::test]
async fn a_list_of_nothing_is_refused_everywhere() {
    shop(async |app, _, _| {
        let hook = app
            .post("/v1/webhooks", json!({"url": app.webhook.base()}))
            .await
            .expect(201)
            .json();
        let deliveries = format!("/v1/webhooks/{}/deliveries", hook["id"].as_str().unwrap());
        for path in [
            "/v1/events",
            &deliveries,
            "/v1/sessions/shop/chats",
            "/v1/sessions/shop/contacts",
            "/v1/sessions/shop/messages",
            "/v1/sessions/shop/catalog",
        ] {
            for limit in ["0", "-1", "1000000", "ten", ""] {
                let refused = app.get(&format!("{path}?limit={limit}")).await.expect(400);
                assert!(
                    refused.fields().contains(&"limit".to_owned()),
                    "{path}?limit={limit}"
                );
                assert!(
                    refused.json()["detail"]
                        .as_str()
                        .unwrap()
                        .contains("from 1 to"),
                    "{path}?limit={limit}"
                );
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_text_is_as_long_on_the_routes_of_the_original_as_on_all_others() {
    shop(async |app, _, bob| {
        let long = "x".repeat(65_537);
        let message = json!({"to": bob.jid(), "text": {"body": long}});
        assert_eq!(
            app.post("/v1/sessions/shop/messages", message)
                .await
                .expect(400)
                .fields(),
            ["text.body"]
        );
        assert_eq!(
            app.send("shop", bob.number(), &long)
                .await
                .expect(400)
                .fields(),
            ["text"]
        );
        app.send("shop", bob.number(), &long[1..]).await.expect(200);
        let picture = json!({"session_name": "shop", "chat_id": bob.number(), "image_url": "http://127.0.0.1:9/", "caption": long});
        assert_eq!(
            app.post("/send-image/", picture).await.expect(400).fields(),
            ["caption"]
        );
    }).await;
}

#[tokio::test]
async fn whoever_is_sent_elsewhere_is_told_where_to() {
    gateway(async |app| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let moved = any(async || Redirect::permanent("/new/place?token=secret"));
        let round = any(async || Redirect::temporary("/round"));
        let base = TestReceiver::serve(
            listener,
            Router::new().route("/old", moved).route("/round", round),
        );
        let made = app
            .post("/v1/webhooks", json!({"url": format!("{base}/old")}))
            .await
            .expect(201)
            .json();
        let tested = app
            .post_raw(
                &format!("/v1/webhooks/{}/test", made["id"].as_str().unwrap()),
                "",
            )
            .await
            .expect(200)
            .json();
        let error = tested["error"].as_str().unwrap();
        assert!(
            error.contains("/new/place") && !error.contains("secret"),
            "{error}"
        );
        let alice = app.phone("Alice");
        app.pair("shop", &alice).await;
        let refused = app
            .post(
                "/v1/sessions/shop/media",
                json!({"link": format!("{base}/round")}),
            )
            .await
            .expect(400);
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.contains("more than 5 times") && detail.contains("/round"),
            "{detail}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_message_that_is_not_known_is_asked_for_by_its_chat() {
    shop(async |app, _, _| {
        let missing = app
            .delete("/v1/sessions/shop/messages/3EB0000000000000000000")
            .await
            .expect(404);
        assert!(
            missing.json()["detail"]
                .as_str()
                .unwrap()
                .contains("`chat`")
        );
    })
    .await;
}
