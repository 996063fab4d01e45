//! Callers cannot send the gateway into the operator's own network.

use std::net::TcpListener;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use serde_json::json;

use crate::harness::{Setup, TestReceiver};

#[tokio::test]
async fn a_webhook_in_a_private_network_is_refused_by_number_and_never_reached_by_name() {
    Setup::new()
        .set("WAPI_ALLOW_PRIVATE_TARGETS", "none")
        .gateway(async |app| {
            for url in [
                "http://127.0.0.1:1/",
                "http://10.0.0.1/",
                "http://169.254.169.254/latest/",
                "http://[::ffff:127.0.0.1]/",
            ] {
                let refused = app
                    .post("/v1/webhooks", json!({"url": url}))
                    .await
                    .expect(400);
                assert_eq!(refused.fields(), ["url"], "{url}");
            }
            let inside = TestReceiver::start().await;
            let named = format!("http://localhost:{}/", inside.address.port());
            let made = app
                .post("/v1/webhooks", json!({"url": named}))
                .await
                .expect(201)
                .json();
            let path = format!("/v1/webhooks/{}/test", made["id"].as_str().unwrap());
            let tested = app.post_raw(&path, "").await.expect(200).json();
            assert_eq!(tested["taken"], false);
            assert!(
                tested["error"]
                    .as_str()
                    .unwrap()
                    .contains("private network"),
                "{tested}"
            );
            assert!(inside.leftovers().is_empty());

            // The operator's own may be anywhere.
            let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
            app.pair("shop", &alice).await;
            bob.sends_text(alice.number(), "hi").await.unwrap();
            app.webhook.next().await;
        })
        .await;
}

#[tokio::test]
async fn a_picture_is_not_fetched_from_a_private_network_nor_by_way_of_a_redirect() {
    Setup::new()
        .set("WAPI_ALLOW_PRIVATE_TARGETS", "127.0.0.1/32").shop(async |app, _, _| {
        let files = TcpListener::bind("127.0.0.1:0").unwrap();
        let away = Router::new().route(
            "/away",
            get(async || Redirect::temporary("http://127.0.0.2:9/secret")),
        );
        let base = TestReceiver::serve(files, away);
        for (address, words) in [
            (format!("{base}/away"), "private network"),
            ("http://127.0.0.2:9/".to_owned(), "private network"),
            // This one may be asked.
            (format!("{base}/nothing"), "404"),
        ] {
            let body = json!({"session_name": "shop", "chat_id": "375447034810", "image_url": address});
            let refused = app.post("/send-image/", body).await.expect(400);
            assert_eq!(refused.fields(), ["image_url"]);
            let told = refused.json()["detail"].as_str().unwrap().to_owned();
            assert!(told.contains(words), "{address}: {told}");
        }
    }).await;
}
