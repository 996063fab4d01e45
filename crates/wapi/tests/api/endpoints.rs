//! `/v1/webhooks`: any number of webhooks, each told what it wants to hear.

use serde_json::json;

use crate::harness::{Setup, TestApp, TestReceiver};

#[tokio::test]
async fn a_webhook_is_made_shown_changed_and_deleted() {
    let app = TestApp::start().await;
    let wish = json!({
        "url": "https://example.com/hook", "session": "shop", "types": ["message.received"],
        "headers": {"Authorization": "Bearer of-secrets"},
    });
    let made = app.post("/v1/webhooks", wish).await.expect(201);
    assert_eq!(made.headers["cache-control"], "no-store");
    let made = made.json();
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    let path = format!("/v1/webhooks/{}", made["id"].as_str().unwrap());
    let shown = app.get(&path).await.expect(200).json();
    assert_eq!(
        (shown["url"].as_str(), shown["session"].as_str()),
        (Some("https://example.com/hook"), Some("shop"))
    );
    assert_eq!(
        (&shown["types"], &shown["enabled"]),
        (&json!(["message.received"]), &json!(true))
    );
    assert_eq!(shown["headers"], json!({"authorization": "********"}));

    let change = json!({"url": "https://example.com/other", "session": null, "types": null, "headers": {"x-a": "b", "authorization": null}});
    let changed = app.patch(&path, change).await.expect(200).json();
    assert_eq!(
        (changed["url"].as_str(), &changed["session"]),
        (Some("https://example.com/other"), &json!(null))
    );
    assert_eq!(
        (&changed["types"], &changed["headers"]),
        (&json!(null), &json!({"x-a": "********"}))
    );
    assert_eq!(changed["created_at"], shown["created_at"]);

    let listed = app.get("/v1/webhooks/").await.expect(200);
    let text = String::from_utf8(listed.body.clone()).unwrap();
    assert!(
        !text.contains("whsec_") && !text.contains("of-secrets"),
        "{text}"
    );
    let ids: Vec<_> = listed.json()["webhooks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["id"].clone())
        .collect();
    assert_eq!(ids, [json!("original"), made["id"].clone()]);

    app.delete(&path).await.expect(204);
    assert_eq!(
        app.delete(&path).await.expect(404).code(),
        "webhook_not_found"
    );
    assert_eq!(
        app.get("/v1/webhooks").await.json()["webhooks"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    app.finish().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_webhook_is_named_and_the_operators_own_is_left_alone() {
    let app = TestApp::start().await;
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
    app.finish().await;
}

#[tokio::test]
async fn each_webhook_is_told_what_it_wants_signed_with_its_own_secret() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = (app.phone("Alice"), app.phone("Bob"), app.phone("Carol"));
    app.pair("shop", &alice).await;
    app.pair("bar", &carol).await;
    let (of_shop, of_reactions) = (TestReceiver::start().await, TestReceiver::start().await);
    let url = format!("http://{}/a/path?b=c", of_shop.address);
    let made = app
        .post(
            "/v1/webhooks",
            json!({"url": url, "session": "shop", "types": ["message.received"], "headers": {"x-key": "k"}}),
        )
        .await
        .expect(201)
        .json();
    app.post(
        "/v1/webhooks",
        json!({"url": of_reactions.base(), "types": ["message.reaction"]}),
    )
    .await
    .expect(201);

    bob.sends_text(carol.number(), "to the bar").await.unwrap();
    bob.sends_text(alice.number(), "to the shop").await.unwrap();
    let post = of_shop.next().await;
    assert_eq!(
        (
            post.body["data"]["text"]["body"].as_str(),
            post.path.as_str()
        ),
        (Some("to the shop"), "/a/path")
    );
    assert_eq!(post.headers["x-key"], "k");
    let verifier = |secret: &serde_json::Value| {
        standardwebhooks::Webhook::new(secret.as_str().unwrap()).unwrap()
    };
    verifier(&made["secret"])
        .verify(&post.raw, &post.headers)
        .expect("it is signed");
    let (one, two) = (app.webhook.next().await, app.webhook.next().await);
    assert!(
        !one.headers.contains_key("webhook-signature"),
        "the original's has its own secret, and here none"
    );
    let both = [&one, &two].map(|post| post.headers["webhook-id"].clone());
    assert!(
        both.contains(&post.headers["webhook-id"]),
        "an event has one id for everybody"
    );

    let path = format!(
        "/v1/webhooks/{}/rotate-secret",
        made["id"].as_str().unwrap()
    );
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
    assert_eq!(
        post.headers["webhook-signature"]
            .to_str()
            .unwrap()
            .split(' ')
            .count(),
        1,
        "the former one is no more"
    );
    app.webhook.next().await;
    assert!(of_reactions.leftovers().is_empty() && of_shop.leftovers().is_empty());
    app.finish().await;
}

#[tokio::test]
async fn a_test_says_how_the_webhook_answers_and_leaves_nothing_behind() {
    let app = TestApp::start().await;
    let hook = TestReceiver::start().await;
    let made = app
        .post("/v1/webhooks", json!({"url": hook.base()}))
        .await
        .expect(201)
        .json();
    let path = format!("/v1/webhooks/{}/test", made["id"].as_str().unwrap());
    let tested = app.post_raw(&path, "").await.expect(200).json();
    assert_eq!(
        (&tested["taken"], &tested["status"], &tested["error"]),
        (&json!(true), &json!(200), &json!(null))
    );
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
    assert_eq!(
        (&tested["taken"], &tested["status"]),
        (&json!(false), &json!(503))
    );
    assert_eq!(
        (&tested["answer"], &tested["error"]),
        (&json!("no, thank you"), &json!("it answered 503"))
    );
    app.post("/v1/webhooks/original/test", json!({"session": "a b"}))
        .await
        .expect(200);
    assert_eq!(app.webhook.next().await.path, "/hooks/a%20b");
    assert_eq!(app.get("/v1/events").await.json()["events"], json!([]));
    app.finish().await;
}

#[tokio::test]
async fn webhooks_are_for_admins() {
    let app = Setup::new()
        .set("WAPI_API_KEY", "wapi_a-long-random-text")
        .start()
        .await;
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
    app.finish().await;
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
    app.stop().await.simulator.finish().await.unwrap();
}
