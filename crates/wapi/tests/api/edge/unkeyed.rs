//! Where nobody needs a key, strangers are refused; where somebody does, the operator's network is closed.

use serde_json::json;

use super::{knocks, rest};
use crate::harness::{Setup, TestApp, TestClient, TestReceiver};

#[tokio::test]
async fn what_is_passed_on_or_asked_for_another_site_is_refused_where_nobody_needs_a_key() {
    let app = TestApp::start().await;
    for (name, value) in [
        ("forwarded", "for=203.0.113.9"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-host", "gateway.example"),
        ("x-real-ip", "203.0.113.9"),
        ("via", "1.1 proxy"),
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
        ("host", "evil.example"),
    ] {
        let stranger = app.with_header(name, value);
        assert_eq!(
            stranger.get("/v1/sessions").await.expect(403).code(),
            "stranger",
            "{name}"
        );
        stranger.get("/health/live").await.expect(200);
    }
    let mut old = knocks(&app, "GET /v1/sessions HTTP/1.0\r\nhost: localhost\r\n\r\n").await;
    assert!(rest(&mut old).await.starts_with("HTTP/1.0 403"));
    app.finish().await;

    let app = Setup::new()
        .set("WAPI_AUTH", "none")
        .set("WAPI_HOSTS", "wapi")
        .start()
        .await;
    app.with_header("host", "wapi:80")
        .get("/v1/sessions")
        .await
        .expect(200);
    app.with_header("host", "evil.example")
        .get("/v1/sessions")
        .await
        .expect(403);
    app.with_header("x-forwarded-for", "203.0.113.9")
        .get("/v1/sessions")
        .await
        .expect(403);
    app.finish().await;

    let app = Setup::new()
        .set("WAPI_AUTH", "none")
        .set("WAPI_TRUSTED_PROXIES", "127.0.0.0/8")
        .start()
        .await;
    app.with_header("x-forwarded-for", "203.0.113.9")
        .get("/v1/sessions")
        .await
        .expect(200);
    app.finish().await;

    let app = Setup::new().set("WAPI_API_KEY", "wapi_right").start().await;
    let admin = app
        .with_key("wapi_right")
        .with_header("host", "gateway.example");
    admin
        .with_header("x-forwarded-for", "203.0.113.9")
        .get("/v1/sessions")
        .await
        .expect(200);
    app.finish().await;
}

#[tokio::test]
async fn the_operators_network_is_open_only_while_nobody_needs_a_key() {
    let files = axum::Router::new().fallback(async || "a file");
    let link =
        TestReceiver::serve(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), files) + "/a.txt";
    let fetches = async |client: &TestClient| {
        client
            .post("/v1/sessions/shop/media", json!({"link": link}))
            .await
    };
    let refuses = async |client: &TestClient| {
        let refused = fetches(client).await.expect(400).json();
        assert!(
            refused["detail"]
                .as_str()
                .unwrap()
                .contains("private network"),
            "{refused}"
        );
        let refused = client
            .post("/v1/webhooks", json!({"url": link}))
            .await
            .expect(400)
            .json();
        assert!(
            refused["detail"]
                .as_str()
                .unwrap()
                .contains("private network"),
            "{refused}"
        );
    };
    let mut app = TestApp::start().await;
    app.register("shop").await;
    fetches(&app).await.expect(201);
    let made = app
        .post(
            "/v1/api-keys",
            json!({"name": "first", "scopes": ["admin"]}),
        )
        .await
        .expect(201)
        .json();
    let admin = app.with_key(made["key"].as_str().unwrap());
    refuses(&admin).await;
    app.restart().await;
    let admin = app.with_key(made["key"].as_str().unwrap());
    admin.register("shop").await;
    refuses(&admin).await;
    admin
        .delete(&format!("/v1/api-keys/{}", made["id"].as_str().unwrap()))
        .await
        .expect(204);
    fetches(&app).await.expect(201);
    app.finish_without_events().await;
    for (name, value) in [
        ("WAPI_API_KEY", "wapi_right"),
        ("WAPI_TRUSTED_PROXIES", "10.0.0.0/8"),
    ] {
        let app = Setup::new()
            .set(name, value)
            .set("WAPI_ENV", "dev")
            .start()
            .await;
        let admin = app.with_key("wapi_right");
        admin.register("shop").await;
        refuses(&admin).await;
        app.finish().await;
    }
}

#[tokio::test]
async fn webhooks_of_before_keep_their_addresses_until_they_are_given_others() {
    let mut app = TestApp::start().await;
    let hook = TestReceiver::start().await;
    let made = app
        .post("/v1/webhooks", json!({"url": hook.base()}))
        .await
        .expect(201)
        .json();
    let key = app
        .post(
            "/v1/api-keys",
            json!({"name": "first", "scopes": ["admin"]}),
        )
        .await
        .expect(201)
        .json();
    let (path, key) = (
        format!("/v1/webhooks/{}", made["id"].as_str().unwrap()),
        key["key"].as_str().unwrap().to_owned(),
    );
    let tests = async |admin: &TestClient| {
        admin
            .post(&format!("{path}/test"), json!({}))
            .await
            .expect(200)
            .json()
    };
    assert_eq!(
        tests(&app.with_key(&key)).await["taken"],
        false,
        "it was made when this was a question already"
    );

    let stopped = app.stop().await;
    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(stopped.root().join("wapi.db"));
    let mut database = sqlx::ConnectOptions::connect(&file).await.unwrap();
    // As the program of before left them.
    sqlx::query("UPDATE endpoints SET keeps_address = NULL")
        .execute(&mut database)
        .await
        .unwrap();
    sqlx::Connection::close(database).await.unwrap();
    stopped.start().await;
    app.restart().await;
    let admin = app.with_key(&key);
    let tested = tests(&admin).await;
    assert_eq!(tested["taken"], true, "{tested}");
    admin
        .patch(&path, json!({"url": "https://192.0.2.1/"}))
        .await
        .expect(400);
    admin
        .patch(&path, json!({"types": ["message.received"]}))
        .await
        .expect(200);
    assert_eq!(tests(&admin).await["taken"], true);
    admin
        .patch(&path, json!({"url": hook.base()}))
        .await
        .expect(400);
    admin
        .patch(&path, json!({"url": "https://example.com/"}))
        .await
        .expect(200);
    app.finish_without_events().await;
}
