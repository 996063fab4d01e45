//! Whoever is in the house when their key ends is shown out, whatever they are in the middle of.

use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower_service::Service;
use wapi::system::clock::Clock;

use crate::harness::{PATIENCE, Setup, TestApp, TestClient, gateway};
use crate::uploads::upload;

/// A large file, which does not fit into what a connection holds on its way.
const LARGE: usize = 48 * 1024 * 1024;

/// How a key ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Removed,
    RunOut,
}

/// How long a key lives that runs out; a test does not take so long, but for the clock that is pushed.
const LIFE: Duration = Duration::from_secs(24 * 3600);
/// So long before its end, there is still time to come in.
const RATHER_LATE: Duration = Duration::from_secs(45);

/// A key that is about to end.
struct Guest {
    client: TestClient,
    id: String,
    key: String,
}

impl Guest {
    async fn new(app: &TestApp, admin: &TestClient, end: End) -> Self {
        let expires_at = match end {
            End::Removed => Value::Null,
            End::RunOut => json!((Clock::system().now() + LIFE).to_string()),
        };
        let wish = json!({"name": "guest", "scopes": ["read", "send"], "expires_at": expires_at});
        let made = admin.post("/v1/api-keys", wish).await.expect(201).json();
        let (key, id) = (
            made["key"].as_str().unwrap().to_owned(),
            made["id"].as_str().unwrap().to_owned(),
        );
        if matches!(end, End::RunOut) {
            app.push_clock(LIFE - RATHER_LATE);
        }
        Self {
            client: app.with_key(&key),
            id,
            key,
        }
    }

    async fn ends(&self, app: &TestApp, admin: &TestClient, end: End) {
        match end {
            End::Removed => drop(
                admin
                    .delete(&format!("/v1/api-keys/{}", self.id))
                    .await
                    .expect(204),
            ),
            End::RunOut => app.push_clock(RATHER_LATE),
        }
    }
}

/// What comes of a call, which must be soon.
async fn soon<T>(what: &str, end: End, coming: impl Future<Output = T>) -> T {
    let came = Clock::system().timeout(PATIENCE, coming).await;
    came.unwrap_or_else(|_| panic!("{what} goes on although its key has ended: {end:?}"))
}

async fn locked() -> (TestApp, TestClient) {
    let app = Setup::new()
        .set("WAPI_API_KEY", "wapi_first_of_the_test")
        .start()
        .await;
    let admin = app.with_key("wapi_first_of_the_test");
    (app, admin)
}

#[tokio::test]
async fn a_stream_ends_with_its_key_however_much_there_is_to_tell() {
    let (app, admin) = locked().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    admin.pair("shop", &alice).await;
    for end in [End::Removed, End::RunOut] {
        let guest = Guest::new(&app, &admin, end).await;
        let call = guest
            .client
            .request(reqwest::Method::GET, "/v1/events/stream");
        let mut stream = call.send().await.unwrap();
        assert_eq!(stream.status(), 200);
        stream.chunk().await.unwrap().expect("a first word");
        guest.ends(&app, &admin, end).await;
        let telling = async {
            // Something new each time the last was told, so that it never comes to rest.
            loop {
                bob.sends_text(alice.number(), "still here?").await.unwrap();
                app.webhook.next().await;
                if stream.chunk().await.expect("no broken stream").is_none() {
                    return;
                }
            }
        };
        soon("the stream", end, telling).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn whoever_waits_is_answered_when_their_key_ends() {
    let (app, admin) = locked().await;
    for end in [End::Removed, End::RunOut] {
        let guest = Guest::new(&app, &admin, end).await;
        let request =
            Request::get("/v1/events?wait=60&types=session.paired").header("x-api-key", &guest.key);
        let mut answer = pin!(
            app.router().call(
                request
                    .header("host", "127.0.0.1")
                    .body(Body::empty())
                    .unwrap()
            )
        );
        assert!(
            futures_util::poll!(answer.as_mut()).is_pending(),
            "it does not wait: {end:?}"
        );
        guest.ends(&app, &admin, end).await;
        let answer = soon("a long poll", end, answer).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{end:?}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_download_breaks_off_when_its_key_ends() {
    let (app, admin) = locked().await;
    admin
        .post("/v1/sessions", json!({"id": "shop"}))
        .await
        .expect(201);
    let file = upload(&admin, "shop", "; filename=\"a.bin\"", &vec![7; LARGE]).await;
    for end in [End::Removed, End::RunOut] {
        let guest = Guest::new(&app, &admin, end).await;
        let call = guest
            .client
            .request(reqwest::Method::GET, file["url"].as_str().unwrap());
        let mut download = call.send().await.unwrap();
        let mut read = download.chunk().await.unwrap().expect("a beginning").len();
        guest.ends(&app, &admin, end).await;
        guest.client.get("/v1/sessions").await.expect(401);
        // The last word, too, has been said.
        app.push_clock(Duration::from_secs(1));
        let rest = async {
            while let Ok(Some(piece)) = download.chunk().await {
                read += piece.len();
            }
        };
        soon("a download", end, rest).await;
        assert!(read < LARGE, "{end:?}: the whole file was handed out");
    }
    app.finish().await;
}

#[tokio::test]
async fn whoever_came_in_without_a_key_goes_when_the_first_is_made() {
    gateway(async |app| {
        let mut stream = app
            .request(reqwest::Method::GET, "/v1/events/stream")
            .send()
            .await
            .unwrap();
        stream.chunk().await.unwrap().expect("a first word");
        // Whoever makes it is told so, although nobody enters without one from now on.
        let made = app
            .post(
                "/v1/api-keys",
                json!({"name": "admin", "scopes": ["admin"]}),
            )
            .await
            .expect(201)
            .json();
        let rest = async { while stream.chunk().await.expect("no broken stream").is_some() {} };
        soon("a stream without a key", End::Removed, rest).await;
        let admin = app.with_key(made["key"].as_str().unwrap());
        // And whoever removes their own.
        admin
            .delete(&format!("/v1/api-keys/{}", made["id"].as_str().unwrap()))
            .await
            .expect(204);
    })
    .await;
}
