//! Callers who leave in the middle: what they began is finished, and memory and disk tell the same.

use std::pin::pin;
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use futures_util::stream;
use serde_json::{Value, json};
use tower_service::Service;

use crate::harness::{Setup, TestApp, TestClient, eventually};

const KEY: &str = "wapi_first_of_the_test";
/// After so many steps every one of these requests has been answered.
const STEPS: usize = 10;

/// Makes a request and leaves after it was polled so many times.
async fn abandoned(
    router: &Router,
    polls: usize,
    method: Method,
    path: &str,
    body: impl Into<Body>,
) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("x-api-key", KEY)
        .header("host", "127.0.0.1");
    let request = request.body(body.into()).expect("a request");
    let mut answer = pin!(router.clone().call(request));
    let mut polled = 0;
    std::future::poll_fn(|context| {
        if polled == polls || answer.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        polled += 1;
        Poll::Pending
    })
    .await;
}

async fn locked() -> (TestApp, TestClient) {
    let app = Setup::new()
        .set("WAPI_API_KEY", KEY)
        .set("WAPI_ALLOW_PRIVATE_TARGETS", "all")
        .start()
        .await;
    let admin = app.with_key(KEY);
    // Until the saved sessions are listed, whoever asks waits at the door, and has begun nothing.
    admin.get("/v1/sessions").await.expect(200);
    (app, admin)
}

/// What a list of the gateway has.
async fn listed(client: &TestClient, path: &str, member: &str) -> Vec<Value> {
    client.get(path).await.expect(200).json()[member]
        .as_array()
        .expect("a list")
        .clone()
}

/// What must not change by a restart: who may call, which sessions there are and which are stopped, who is told.
async fn story(admin: &TestClient) -> Value {
    let without_uses = |mut key: Value| {
        key["last_used_at"] = Value::Null;
        key
    };
    let keys = listed(admin, "/v1/api-keys", "api_keys")
        .await
        .into_iter()
        .map(without_uses)
        .collect::<Vec<_>>();
    let sessions = listed(admin, "/v1/sessions", "sessions").await;
    let sessions = sessions
        .iter()
        .map(|session| json!([session["id"], session["status"] == "stopped"]));
    let sessions = sessions.collect::<Vec<_>>();
    json!({"keys": keys, "sessions": sessions, "webhooks": listed(admin, "/v1/webhooks", "webhooks").await})
}

/// Waits until something of the gateway is as it should be.
async fn becomes(what: &str, polls: usize, mut is_so: impl AsyncFnMut() -> bool) {
    let look = async || is_so().await.then_some(());
    eventually(look, async || {
        format!("after {polls} polls: {what} is not finished")
    })
    .await;
}

#[tokio::test]
async fn keys_are_let_in_exactly_if_they_are_listed_whenever_their_caller_leaves() {
    let (app, admin) = locked().await;
    let router = app.router();
    for polls in 0..STEPS {
        let made = admin
            .post("/v1/api-keys", json!({"name": "guest", "scopes": ["read"]}))
            .await
            .expect(201)
            .json();
        let (path, guest) = (
            format!("/v1/api-keys/{}", made["id"].as_str().unwrap()),
            made["key"].as_str().unwrap(),
        );
        let guest = app.with_key(guest);
        abandoned(&router, polls, Method::DELETE, &path, "").await;
        let is_listed = async || {
            listed(&admin, "/v1/api-keys", "api_keys")
                .await
                .iter()
                .any(|key| key["id"] == made["id"])
        };
        if polls == 0 {
            // Nobody has even heard of it.
            guest.get("/v1/sessions").await.expect(200);
            assert!(is_listed().await);
            continue;
        }
        becomes("the removal of a key", polls, async || !is_listed().await).await;
        becomes("shutting a key out", polls, async || {
            guest.get("/v1/sessions").await.status == 401
        })
        .await;
    }
    let before = listed(&admin, "/v1/api-keys", "api_keys").await.len();
    for polls in 1..STEPS {
        let wish = json!({"name": "guest", "scopes": ["read"]}).to_string();
        abandoned(&router, polls, Method::POST, "/v1/api-keys", wish).await;
        let made =
            async || listed(&admin, "/v1/api-keys", "api_keys").await.len() == before + polls;
        becomes("a new key", polls, made).await;
    }
    drop(router);
    tells_the_same_after_a_restart(app).await;
}

async fn tells_the_same_after_a_restart(mut app: TestApp) {
    let before = story(&app.with_key(KEY)).await;
    app.restart().await;
    let admin = app.with_key(KEY);
    // One that is stopped says so once its task has begun.
    let same = async || (story(&admin).await == before).then_some(());
    eventually(same, async || {
        format!(
            "{:#} is not what it was before: {before:#}",
            story(&admin).await
        )
    })
    .await;
    app.finish().await;
}

#[tokio::test]
async fn sessions_are_made_stopped_and_removed_whenever_their_caller_leaves() {
    let (app, admin) = locked().await;
    let router = app.router();
    for polls in 1..STEPS {
        let name = format!("shop {polls}");
        let path = format!("/v1/sessions/shop%20{polls}");
        let status = async || admin.session(&name).await;
        match polls % 2 {
            0 => {
                abandoned(
                    &router,
                    polls,
                    Method::POST,
                    "/v1/sessions",
                    json!({"id": name}).to_string(),
                )
                .await
            }
            _ => {
                let body = json!({"session_id": name}).to_string();
                abandoned(&router, polls, Method::POST, "/register-session", body).await;
            }
        }
        becomes("making a session", polls, async || {
            status().await.status == 200
        })
        .await;
        admin.until(&name, "scan_qr").await;
        abandoned(&router, polls, Method::POST, &format!("{path}/stop"), "").await;
        admin.until(&name, "stopped").await;
        abandoned(&router, polls, Method::POST, &format!("{path}/start"), "").await;
        admin.until(&name, "scan_qr").await;
        match polls % 3 {
            // These stay, for the restart.
            0 => abandoned(&router, polls, Method::POST, &format!("{path}/stop"), "").await,
            _ => {
                abandoned(&router, polls, Method::DELETE, &path, "").await;
                becomes("removing a session", polls, async || {
                    status().await.status == 404
                })
                .await;
            }
        }
        if polls % 3 == 0 {
            admin.until(&name, "stopped").await;
        }
    }
    drop(router);
    tells_the_same_after_a_restart(app).await;
}

#[tokio::test]
async fn webhooks_are_made_changed_and_removed_whenever_their_caller_leaves() {
    let (app, admin) = locked().await;
    let router = app.router();
    let hooks = async || listed(&admin, "/v1/webhooks", "webhooks").await;
    for polls in 1..STEPS {
        let before = hooks().await;
        let wish = json!({"url": format!("{}{polls}", app.webhook.base())}).to_string();
        abandoned(&router, polls, Method::POST, "/v1/webhooks", wish).await;
        becomes("a new webhook", polls, async || {
            hooks().await.len() == before.len() + 1
        })
        .await;
        let made = hooks()
            .await
            .into_iter()
            .find(|hook| !before.contains(hook))
            .expect("a new one");
        let path = format!("/v1/webhooks/{}", made["id"].as_str().unwrap());
        let change = json!({"types": ["message.received"]}).to_string();
        abandoned(&router, polls, Method::PATCH, &path, change).await;
        let changed =
            async || admin.get(&path).await.json()["types"] == json!(["message.received"]);
        becomes("changing a webhook", polls, changed).await;
        if polls % 2 == 0 {
            abandoned(&router, polls, Method::DELETE, &path, "").await;
            becomes("removing a webhook", polls, async || {
                admin.get(&path).await.status == 404
            })
            .await;
        }
    }
    drop(router);
    tells_the_same_after_a_restart(app).await;
}

#[tokio::test]
async fn a_message_that_was_asked_for_is_sent_whenever_its_caller_leaves() {
    let (app, admin) = locked().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    admin.pair("shop", &alice).await;
    let router = app.router();
    for polls in 1..STEPS {
        let text = format!("after {polls}");
        let message = json!({"to": bob.jid(), "text": {"body": text}}).to_string();
        abandoned(
            &router,
            polls,
            Method::POST,
            "/v1/sessions/shop/messages?wait=20",
            message,
        )
        .await;
        let arrived = bob
            .next_message(crate::harness::PATIENCE)
            .await
            .expect("it is sent");
        assert_eq!(arrived.text.as_deref(), Some(text.as_str()));
    }
    drop(router);
    app.finish().await;
}

#[tokio::test]
async fn a_body_that_ends_with_its_caller_leaves_nothing_behind() {
    let (app, admin) = locked().await;
    admin
        .post("/v1/sessions", json!({"id": "shop"}))
        .await
        .expect(201);
    let router = app.router();
    for polls in 1..STEPS {
        let head =
            "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nthe beginning of a file";
        let cut = Err(std::io::Error::other("the caller has left"));
        let body = Body::from_stream(stream::iter([
            Ok(head.into()),
            cut as Result<axum::body::Bytes, _>,
        ]));
        let request = Request::post("/v1/sessions/shop/media")
            .header("content-type", "multipart/form-data; boundary=x");
        let request = request
            .header("x-api-key", KEY)
            .header("host", "127.0.0.1")
            .body(body)
            .expect("a request");
        let mut answer = pin!(router.clone().call(request));
        for _ in 0..polls {
            let _ = futures_util::poll!(answer.as_mut());
        }
    }
    let incoming = app.root().join("media/incoming");
    let empty = async || {
        std::fs::read_dir(&incoming)
            .expect("a folder")
            .next()
            .is_none()
    };
    becomes("tidying an upload up", STEPS, empty).await;
    drop(router);
    app.finish().await;
}
