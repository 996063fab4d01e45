//! `/v1/api-keys`: keys for some sessions and some purposes.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, Setup, TestApp, TestClient, gateway, steady};

async fn make(admin: &TestClient, wish: Value) -> (TestClient, Value) {
    let made = admin.post("/v1/api-keys", wish).await.expect(201);
    assert_eq!(made.headers["cache-control"], "no-store");
    let made = made.json();
    (admin.with_key(made["key"].as_str().unwrap()), made)
}

async fn locked() -> (TestApp, TestClient) {
    let app = Setup::new().set("WAPI_API_KEY", "wapi_first").start().await;
    let admin = app.with_key("wapi_first");
    (app, admin)
}

fn refused(answer: Answer, code: &str) {
    assert_eq!(answer.expect(403).code(), code);
}

#[tokio::test]
async fn a_new_key_is_shown() {
    let (app, admin) = locked().await;
    let (_, made) = make(&admin, json!({"name": "board", "scopes": ["read"]})).await;
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(key.starts_with("wapi_") && key.len() == 31, "{key}");
    let hint = made["hint"].as_str().unwrap();
    insta::assert_json_snapshot!(steady(&made, &[(id, "[id]"), (key, "[key]"), (hint, "[hint]")]), @r#"
    {
      "created_at": "[moment]",
      "expires_at": null,
      "hint": "[hint]",
      "id": "[id]",
      "key": "[key]",
      "last_used_at": null,
      "name": "board",
      "scopes": [
        "read"
      ],
      "sessions": null
    }
    "#);
    assert!(key.ends_with(hint), "{hint}");
    app.finish().await;
}

#[tokio::test]
async fn a_key_is_never_shown_again() {
    let (app, admin) = locked().await;
    let (_, made) = make(&admin, json!({"name": "board", "scopes": ["read"]})).await;
    let listed = admin.get("/v1/api-keys/").await.expect(200);
    let text = String::from_utf8(listed.body.clone()).unwrap();
    assert!(!text.contains(made["key"].as_str().unwrap()), "{text}");
    let listed = &listed.json()["api_keys"][0];
    for member in ["id", "name", "hint"] {
        assert_eq!(listed[member], made[member]);
    }
    app.finish().await;
}

#[tokio::test]
async fn the_database_does_not_hold_a_key() {
    let (mut app, admin) = locked().await;
    let (_, made) = make(&admin, json!({"name": "board", "scopes": ["read"]})).await;
    let key = made["key"].as_str().unwrap().as_bytes();
    app.restart().await;
    for file in ["wapi.db", "wapi.db-wal"] {
        let bytes = std::fs::read(app.root().join(file)).unwrap_or_default();
        let is_there = bytes.windows(key.len()).any(|window| window == key);
        assert!(!is_there, "{file} holds the key itself");
    }
    app.finish().await;
}

#[tokio::test]
async fn the_last_use_of_a_key_is_known_after_a_restart() {
    let (mut app, admin) = locked().await;
    let (reader, _) = make(&admin, json!({"name": "board", "scopes": ["read"]})).await;
    reader.get("/v1/events").await.expect(200);
    let used = admin.get("/v1/api-keys").await.expect(200).json();
    assert!(used["api_keys"][0]["last_used_at"].is_string(), "{used}");
    app.restart().await;
    let admin = app.with_key("wapi_first");
    let listed = admin.get("/v1/api-keys").await.expect(200).json();
    let last_used = &listed["api_keys"][0]["last_used_at"];
    assert!(last_used.is_string(), "its use was forgotten: {listed}");
    app.finish().await;
}

#[tokio::test]
async fn a_key_that_is_deleted_is_gone() {
    let (app, admin) = locked().await;
    let (reader, made) = make(&admin, json!({"name": "board", "scopes": ["read"]})).await;
    reader.get("/v1/events").await.expect(200);
    let path = format!("/v1/api-keys/{}", made["id"].as_str().unwrap());
    admin.delete(&path).await.expect(204);
    reader.get("/v1/events").await.expect(401);
    let again = admin.delete(&format!("{path}/")).await.expect(404);
    assert_eq!(again.code(), "api_key_not_found");
    app.finish().await;
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_nothing_else() {
    let (app, admin) = locked().await;
    admin.register("shop").await.expect(202);
    let (reader, _) = make(&admin, json!({"name": "r", "scopes": ["read"]})).await;
    let (sender, _) = make(&admin, json!({"name": "s", "scopes": ["send"]})).await;
    let (manager, _) = make(&admin, json!({"name": "m", "scopes": ["manage"]})).await;
    let (second, _) = make(&admin, json!({"name": "a", "scopes": ["admin"]})).await;

    reader.info("shop").await.expect(200);
    // A QR code is a way to link an account of one's own.
    for (client, seen) in [(&admin, true), (&reader, false)] {
        let feed = client
            .get("/v1/events?types=session.qr&wait=1")
            .await
            .expect(200)
            .json();
        assert_eq!(
            !feed["events"].as_array().unwrap().is_empty(),
            seen,
            "{feed}"
        );
    }
    refused(
        reader.send("shop", "375447034810", "hi").await,
        "scope_missing",
    );
    refused(reader.register("other").await, "scope_missing");
    refused(reader.get("/get-qr-code/shop/").await, "scope_missing");
    refused(reader.get("/v1/api-keys").await, "scope_missing");
    refused(
        reader
            .post("/v1/api-keys", json!({"name": "mine", "scopes": ["admin"]}))
            .await,
        "scope_missing",
    );

    refused(manager.info("shop").await, "scope_missing");
    refused(
        manager.send("shop", "375447034810", "hi").await,
        "scope_missing",
    );
    // It includes `ask`.
    let check = json!({"phones": ["+375447034810"]});
    let asked = manager
        .post("/v1/sessions/shop/contacts/check", check)
        .await;
    assert_eq!(asked.expect(409).code(), "session_not_paired");

    assert_eq!(
        sender
            .send("shop", "375447034810", "hi")
            .await
            .expect(409)
            .code(),
        "session_not_online"
    );
    refused(sender.info("shop").await, "scope_missing");
    refused(sender.get("/v1/events").await, "scope_missing");

    second.info("shop").await.expect(200);
    second.get("/v1/api-keys").await.expect(200);
    assert_eq!(
        second
            .send("shop", "375447034810", "hi")
            .await
            .expect(409)
            .code(),
        "session_not_online"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_key_of_some_sessions_sees_no_others() {
    let (app, admin) = locked().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    admin.pair("shop", &alice).await;
    admin.pair("office", &bob).await;
    for (to, text) in [(&alice, "to the shop"), (&bob, "to the office")] {
        let from = if to.number() == alice.number() {
            &bob
        } else {
            &alice
        };
        from.sends_text(to.number(), text).await.unwrap();
        app.webhook.next().await;
    }
    let wish =
        json!({"name": "shop's", "scopes": ["read", "send"], "sessions": ["shop", "to come"]});
    let (shop, _) = make(&admin, wish).await;

    shop.info("shop").await.expect(200);
    assert_eq!(
        shop.info("to come").await.expect(404).code(),
        "session_not_found"
    );
    // The same whether it exists or not.
    for session in ["office", "nobody"] {
        refused(shop.info(session).await, "session_not_allowed");
        refused(
            shop.send(session, "375447034810", "hi").await,
            "session_not_allowed",
        );
        refused(
            shop.get(&format!("/v1/events?session={session}")).await,
            "session_not_allowed",
        );
    }
    let seen = shop
        .get("/v1/events?types=message.received")
        .await
        .expect(200)
        .json();
    let seen: Vec<_> = seen["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["event"]["data"]["session"])
        .collect();
    assert_eq!(seen, ["shop"]);

    let (chief, _) = make(
        &admin,
        json!({"name": "chief", "scopes": ["admin"], "sessions": ["shop"]}),
    )
    .await;
    refused(chief.get("/v1/api-keys").await, "not_for_all_sessions");
    refused(chief.register("office").await, "session_not_allowed");
    chief.register("shop").await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn a_key_ends_when_it_was_said_to() {
    let (app, admin) = locked().await;
    let end = wapi::system::clock::Clock::system().now() + Duration::from_secs(3600);
    let wish = json!({"name": "guest", "scopes": ["read"], "expires_at": end.to_string()});
    let (guest, _) = make(&admin, wish).await;
    guest.get("/v1/events").await.expect(200);
    app.push_clock(Duration::from_secs(3601));
    guest.get("/v1/events").await.expect(401);
    app.finish().await;
}

#[tokio::test]
async fn a_wish_that_cannot_be_granted_says_why() {
    let (app, admin) = locked().await;
    let wish = json!({"name": " ", "scopes": ["write"], "sessions": [], "expires_at": "tomorrow", "role": "admin"});
    let answer = admin.post("/v1/api-keys", wish).await.expect(400);
    assert_eq!(
        answer.fields(),
        ["name", "scopes", "sessions", "expires_at", "role"]
    );
    let wish = json!({"name": "x".repeat(101), "scopes": [], "sessions": [".."], "expires_at": "2020-01-01T00:00:00Z"});
    let answer = admin.post("/v1/api-keys", wish).await.expect(400);
    assert_eq!(
        answer.fields(),
        ["name", "scopes", "sessions", "expires_at"]
    );
    for wish in [
        json!({"name": "x"}),
        json!({"name": "x", "scopes": "read"}),
        json!({"name": "x", "scopes": [1]}),
    ] {
        assert_eq!(
            admin.post("/v1/api-keys", wish).await.expect(400).fields(),
            ["scopes"]
        );
    }
    assert_eq!(
        admin.get("/v1/api-keys").await.expect(200).json(),
        json!({"api_keys": []})
    );
    app.finish().await;
}

#[tokio::test]
async fn an_open_gateway_asks_for_keys_once_there_are_some_and_nobody_locks_everybody_out() {
    gateway(async |app| {
        let early = app
            .post("/v1/api-keys", json!({"name": "r", "scopes": ["read"]}))
            .await
            .expect(409);
        assert_eq!(early.code(), "admin_key_first");
        let (admin, made) = make(app, json!({"name": "admin", "scopes": ["admin"]})).await;
        app.get("/v1/events").await.expect(401);
        let (_, other) = make(&admin, json!({"name": "r", "scopes": ["read"]})).await;

        let id = |made: &Value| format!("/v1/api-keys/{}", made["id"].as_str().unwrap());
        assert_eq!(
            admin.delete(&id(&made)).await.expect(409).code(),
            "last_admin_key"
        );
        admin.delete(&id(&other)).await.expect(204);
        admin.delete(&id(&made)).await.expect(204);
        app.get("/v1/events").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn who_may_only_read_makes_nothing_happen() {
    let (app, admin) = locked().await;
    admin.register("shop").await;
    let (reader, _) = make(&admin, json!({"name": "r", "scopes": ["read"]})).await;
    let (asker, _) = make(&admin, json!({"name": "a", "scopes": ["ask"]})).await;
    let (sender, _) = make(&admin, json!({"name": "s", "scopes": ["send"]})).await;
    for (path, body) in [
        ("/v1/sessions/shop/check", json!({})),
        (
            "/v1/sessions/shop/contacts/check",
            json!({"phones": ["375440000001"]}),
        ),
    ] {
        refused(reader.post(path, body.clone()).await, "scope_missing");
        for caller in [&asker, &sender, &admin] {
            assert_ne!(caller.post(path, body.clone()).await.status, 403, "{path}");
        }
    }
    refused(
        reader
            .put(
                "/v1/sessions/shop/contacts/375440000001/presence",
                json!({}),
            )
            .await,
        "scope_missing",
    );
    refused(asker.get("/v1/sessions/shop").await, "scope_missing");
    app.finish().await;
}

#[tokio::test]
async fn wrong_keys_are_answered_later_and_later_and_right_ones_are_not() {
    let (app, admin) = locked().await;
    let wrong = app.with_key("wapi_wrong");
    for _ in 0..12 {
        wrong.get("/v1/sessions").await.expect(401);
    }
    let others = async {
        for _ in 0..20 {
            admin.get("/v1/sessions").await.expect(200);
        }
        app.push_clock(Duration::from_secs(5));
    };
    let (waited, ()) = tokio::join!(wrong.get("/v1/sessions"), others);
    assert_eq!(waited.status, 401);
    app.finish().await;
}
