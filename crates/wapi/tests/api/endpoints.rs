//! `/v1/webhooks`: any number of webhooks, each told what it wants to hear.

use serde_json::{Value, json};

use crate::harness::{Setup, TestApp, TestReceiver, gateway, shop, steady};

/// Makes a webhook with a secret and a header of secrets.
async fn new_webhook(app: &TestApp) -> Value {
    let wish = json!({
        "url": "https://example.com/hook", "session": "shop", "types": ["message.received"],
        "headers": {"Authorization": "Bearer of-secrets"},
    });
    let made = app.post("/v1/webhooks", wish).await.expect(201);
    assert_eq!(made.headers["cache-control"], "no-store");
    made.json()
}

fn path_of(webhook: &Value) -> String {
    format!("/v1/webhooks/{}", webhook["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_webhook_is_shown_without_its_secrets() {
    gateway(async |app| {
        let made = new_webhook(app).await;
        assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
        let id = made["id"].as_str().unwrap();
        let shown = app.get(&path_of(&made)).await.expect(200).json();
        insta::assert_json_snapshot!(steady(&shown, &[(id, "[id]")]), @r#"
        {
          "created_at": "[moment]",
          "disabled": null,
          "enabled": true,
          "failing_since": null,
          "failures": 0,
          "headers": {
            "authorization": "********"
          },
          "id": "[id]",
          "session": "shop",
          "types": [
            "message.received"
          ],
          "url": "https://example.com/hook"
        }
        "#);
    })
    .await;
}

#[tokio::test]
async fn a_webhook_is_changed() {
    gateway(async |app| {
        let made = new_webhook(app).await;
        let id = made["id"].as_str().unwrap();
        let change = json!({
            "url": "https://example.com/other", "session": null, "types": null,
            "headers": {"x-a": "b", "authorization": null},
        });
        let path = path_of(&made);
        let changed = app.patch(&path, change).await.expect(200).json();
        insta::assert_json_snapshot!(steady(&changed, &[(id, "[id]")]), @r#"
        {
          "created_at": "[moment]",
          "disabled": null,
          "enabled": true,
          "failing_since": null,
          "failures": 0,
          "headers": {
            "x-a": "********"
          },
          "id": "[id]",
          "session": null,
          "types": null,
          "url": "https://example.com/other"
        }
        "#);
        assert_eq!(changed["created_at"], made["created_at"]);
        assert_eq!(app.get(&path).await.expect(200).json(), changed);
    })
    .await;
}

#[tokio::test]
async fn webhooks_are_listed_without_their_secrets() {
    gateway(async |app| {
        let made = new_webhook(app).await;
        let listed = app.get("/v1/webhooks/").await.expect(200);
        let text = String::from_utf8(listed.body.clone()).unwrap();
        assert!(!text.contains("whsec_"), "{text}");
        assert!(!text.contains("of-secrets"), "{text}");
        let listed = &listed.json()["webhooks"];
        assert_eq!(listed.as_array().unwrap().len(), 2);
        assert_eq!(listed[0]["id"], "original");
        assert_eq!(listed[1]["id"], made["id"]);
    })
    .await;
}

#[tokio::test]
async fn a_webhook_that_is_deleted_is_gone() {
    gateway(async |app| {
        let path = path_of(&new_webhook(app).await);
        app.delete(&path).await.expect(204);
        let again = app.delete(&path).await.expect(404);
        assert_eq!(again.code(), "webhook_not_found");
        let listed = app.get("/v1/webhooks").await.expect(200).json();
        assert_eq!(listed["webhooks"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_webhook_is_named() {
    gateway(async |app| {
        for (wish, field) in [
            (json!({}), "url"),
            (json!({"url": "example.com"}), "url"),
            (json!({"url": "https://me:secret@example.com/"}), "url"),
            (
                json!({"url": "https://a.example/", "types": ["message.recieved"]}),
                "types",
            ),
            (json!({"url": "https://a.example/", "types": []}), "types"),
            (
                json!({"url": "https://a.example/", "headers": {"Webhook-Id": "1"}}),
                "headers",
            ),
            (
                json!({"url": "https://a.example/", "headers": {"x-a": 1}}),
                "headers",
            ),
            (
                json!({"url": "https://a.example/", "session": ""}),
                "session",
            ),
            (
                json!({"url": "https://a.example/", "secret": "hush"}),
                "secret",
            ),
            (
                json!({"url": "https://a.example/", "event_types": []}),
                "event_types",
            ),
        ] {
            let refused = app.post("/v1/webhooks", wish.clone()).await.expect(400);
            assert_eq!(refused.fields(), [field], "{wish}");
            assert!(
                !String::from_utf8_lossy(&refused.body).contains("hush"),
                "a secret is not repeated"
            );
        }
        let both = app
            .post(
                "/v1/webhooks",
                json!({"url": "ftp://a", "types": "all", "colour": 1}),
            )
            .await
            .expect(400);
        assert_eq!(both.fields(), ["url", "types", "colour"]);
    })
    .await;
}

#[tokio::test]
async fn the_operators_own_webhook_is_left_alone() {
    gateway(async |app| {
        for refused in [
            app.delete("/v1/webhooks/original").await,
            app.patch(
                "/v1/webhooks/original",
                json!({"url": "https://example.com/"}),
            )
            .await,
            app.post("/v1/webhooks/original/rotate-secret", json!({}))
                .await,
        ] {
            assert_eq!(refused.expect(409).code(), "webhook_is_original");
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_webhook_does_not_have_is_not_found() {
    gateway(async |app| {
        for path in ["", "/deliveries"] {
            app.get(&format!("/v1/webhooks/whk_nobody{path}"))
                .await
                .expect(404);
        }
        assert_eq!(
            app.post("/v1/webhooks/original/deliveries/7/resend", json!({}))
                .await
                .expect(404)
                .code(),
            "delivery_not_found"
        );
        app.get("/v1/webhooks/original/deliveries?status=lost")
            .await
            .expect(400);
    })
    .await;
}

fn verifier(secret: &Value) -> standardwebhooks::Webhook {
    standardwebhooks::Webhook::new(secret.as_str().unwrap()).unwrap()
}

/// Makes a webhook of the messages to the shop.
async fn webhook_of_the_shop(app: &TestApp, receiver: &TestReceiver) -> Value {
    let url = format!("http://{}/a/path?b=c", receiver.address);
    let wish = json!({"url": url, "session": "shop", "types": ["message.received"], "headers": {"x-key": "k"}});
    app.post("/v1/webhooks", wish).await.expect(201).json()
}

#[tokio::test]
async fn each_webhook_is_told_what_it_wants() {
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        app.pair("bar", &carol).await;
        let (of_shop, of_reactions) = (TestReceiver::start().await, TestReceiver::start().await);
        webhook_of_the_shop(app, &of_shop).await;
        let wish = json!({"url": of_reactions.base(), "types": ["message.reaction"]});
        app.post("/v1/webhooks", wish).await.expect(201);

        bob.sends_text(carol.number(), "to the bar").await.unwrap();
        bob.sends_text(alice.number(), "to the shop").await.unwrap();
        let post = of_shop.next().await;
        assert_eq!(post.body["data"]["text"]["body"], "to the shop");
        assert_eq!(post.path, "/a/path");
        assert_eq!(post.headers["x-key"], "k");
        for _ in 0..2 {
            app.webhook.next().await;
        }
        assert!(of_reactions.leftovers().is_empty() && of_shop.leftovers().is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_event_has_one_id_for_every_webhook() {
    shop(async |app, alice, bob| {
        let of_shop = TestReceiver::start().await;
        webhook_of_the_shop(app, &of_shop).await;
        bob.sends_text(alice.number(), "to the shop").await.unwrap();
        let [one, other] = [of_shop.next().await, app.webhook.next().await];
        assert_eq!(one.headers["webhook-id"], other.headers["webhook-id"]);
    })
    .await;
}

#[tokio::test]
async fn each_webhook_is_signed_with_its_own_secret() {
    shop(async |app, alice, bob| {
        let of_shop = TestReceiver::start().await;
        let made = webhook_of_the_shop(app, &of_shop).await;
        bob.sends_text(alice.number(), "to the shop").await.unwrap();
        let post = of_shop.next().await;
        verifier(&made["secret"])
            .verify(&post.raw, &post.headers)
            .expect("it is signed");
        // The original's has its own secret, and here none.
        let original = app.webhook.next().await;
        assert!(!original.headers.contains_key("webhook-signature"));
    })
    .await;
}

#[tokio::test]
async fn a_secret_and_its_successor_both_sign_for_a_day() {
    shop(async |app, alice, bob| {
        let of_shop = TestReceiver::start().await;
        let made = webhook_of_the_shop(app, &of_shop).await;
        let path = format!("{}/rotate-secret", path_of(&made));
        let rotated = app.post_raw(&path, "").await.expect(200).json();
        assert_ne!(rotated["secret"], made["secret"]);
        bob.sends_text(alice.number(), "with two keys")
            .await
            .unwrap();
        let post = of_shop.next().await;
        for secret in [&made["secret"], &rotated["secret"]] {
            verifier(secret)
                .verify(&post.raw, &post.headers)
                .expect("both sign for a day");
        }
        app.webhook.next().await;
        app.push_clock(std::time::Duration::from_secs(25 * 3600));
        bob.sends_text(alice.number(), "a day later").await.unwrap();
        let post = of_shop.next().await;
        // The verifier also looks at the time, which the test has moved; so the signatures are counted.
        let signatures = post.headers["webhook-signature"].to_str().unwrap();
        assert_eq!(signatures.split(' ').count(), 1, "{signatures}");
        app.webhook.next().await;
    })
    .await;
}

#[tokio::test]
async fn a_test_says_how_the_webhook_answers_and_leaves_nothing_behind() {
    gateway(async |app| {
        let hook = TestReceiver::start().await;
        let made = app
            .post("/v1/webhooks", json!({"url": hook.base()}))
            .await
            .expect(201)
            .json();
        let path = format!("{}/test", path_of(&made));
        let tested = app.post_raw(&path, "").await.expect(200).json();
        assert_eq!(tested["taken"], true);
        assert_eq!(tested["status"], 200);
        assert_eq!(tested["error"], json!(null));
        let post = hook.next().await;
        assert_eq!(post.body["type"], "webhook.test");
        standardwebhooks::Webhook::new(made["secret"].as_str().unwrap())
            .unwrap()
            .verify(&post.raw, &post.headers)
            .unwrap();

        hook.answer(503);
        let tested = app
            .post(&path, json!({"session": "shop"}))
            .await
            .expect(200)
            .json();
        assert_eq!(tested["taken"], false);
        assert_eq!(tested["status"], 503);
        assert_eq!(tested["answer"], "no, thank you");
        assert_eq!(tested["error"], "it answered 503");
        app.post("/v1/webhooks/original/test", json!({"session": "a b"}))
            .await
            .expect(200);
        assert_eq!(app.webhook.next().await.path, "/hooks/a%20b");
        // Of the webhook itself, which was created.
        let events = app.get("/v1/events").await.json()["events"].clone();
        let kinds: Vec<_> = events
            .as_array()
            .unwrap()
            .iter()
            .map(|it| &it["event"]["type"])
            .collect();
        assert_eq!(kinds, ["webhook.changed"]);
    })
    .await;
}

#[tokio::test]
async fn webhooks_are_for_admins() {
    Setup::new()
        .set("WAPI_API_KEY", "wapi_a-long-random-text")
        .gateway(async |app| {
            app.get("/v1/webhooks").await.expect(401);
            let admin = app.with_key("wapi_a-long-random-text");
            let key = admin
                .post(
                    "/v1/api-keys",
                    json!({"name": "reader", "scopes": ["read", "send"]}),
                )
                .await
                .expect(201)
                .json();
            let reader = app.with_key(key["key"].as_str().unwrap());
            reader.get("/v1/webhooks").await.expect(403);
            reader
                .post("/v1/webhooks", json!({"url": "https://example.com/"}))
                .await
                .expect(403);
            admin.get("/v1/webhooks").await.expect(200);
        })
        .await;
}

#[tokio::test]
async fn any_number_of_webhooks_that_hang_hold_up_nobody_else() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    let hung = axum::Router::new().fallback(async || std::future::pending::<()>().await);
    let hung = TestReceiver::serve(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), hung);
    let types = json!(["message.received"]);
    for number in 0..300 {
        app.post(
            "/v1/webhooks",
            json!({"url": format!("{hung}/{number}"), "types": types}),
        )
        .await
        .expect(201);
    }
    app.pair("shop", &alice).await;
    for number in 0..3 {
        // Other chats of the same webhooks take more places.
        let other = app.phone(&format!("Other {number}"));
        other.sends_text(alice.number(), "hello").await.unwrap();
        app.webhook.next().await;
    }
    let last = TestReceiver::start().await;
    app.post("/v1/webhooks", json!({"url": last.base(), "types": types}))
        .await
        .expect(201);
    bob.sends_text(alice.number(), "hi").await.unwrap();
    assert_eq!(last.next().await.body["data"]["text"]["body"], "hi");
    app.webhook.next().await;
    // Those that hang are given up.
    app.push_clock(std::time::Duration::from_secs(16));
    app.finish_without_events().await;
}
