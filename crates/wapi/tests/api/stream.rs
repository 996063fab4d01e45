//! `GET /v1/events/stream`: the feed as server-sent events.

use std::time::Duration;

use serde_json::Value;
use wapi::system::clock::Clock;

use crate::harness::{PATIENCE, Setup, TestApp, TestClient, gateway, shop};

/// A reader of the stream, as a browser's `EventSource` is one.
struct Listener {
    answer: reqwest::Response,
    text: String,
    /// What a browser would send as `Last-Event-ID`.
    last_id: String,
}

impl Listener {
    async fn open(client: &TestClient, path: &str, last_id: Option<&str>) -> Self {
        let mut call = client.request(reqwest::Method::GET, path);
        if let Some(id) = last_id {
            call = call.header("last-event-id", id);
        }
        let answer = call.send().await.expect("the gateway answers");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut listener = Self {
            answer,
            text: String::new(),
            last_id: String::new(),
        };
        listener.block().await.expect("a first word");
        listener
    }

    /// The lines up to the next empty one; `None` at the end of the stream.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(id) = block.lines().find_map(|line| line.strip_prefix("id: ")) {
                    self.last_id = id.to_owned();
                }
                return Some(block);
            }
            let chunk = Clock::system()
                .timeout(PATIENCE, self.answer.chunk())
                .await
                .expect("something comes");
            self.text
                .push_str(std::str::from_utf8(&chunk.expect("no broken stream")?).unwrap());
        }
    }

    /// The next event's entry, past heartbeats.
    async fn next(&mut self) -> Value {
        loop {
            let block = self.block().await.expect("the stream goes on");
            if let Some(data) = block.lines().find_map(|line| line.strip_prefix("data: ")) {
                return serde_json::from_str(data).unwrap();
            }
        }
    }

    async fn next_text(&mut self) -> String {
        self.next().await["event"]["data"]["text"]["body"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

const MESSAGES: &str = "/v1/events/stream?types=message.received";

#[tokio::test]
async fn a_stream_tells_what_comes_and_goes_on_where_it_was_cut() {
    let mut app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    bob.sends_text(alice.number(), "before").await.unwrap();
    app.webhook.next().await;

    let mut listener = Listener::open(&app, MESSAGES, None).await;
    bob.sends_text(alice.number(), "one").await.unwrap();
    let entry = listener.next().await;
    let post = app.webhook.next().await;
    assert_eq!(entry["event"], post.event());
    assert_eq!(entry["id"], post.headers["webhook-id"].to_str().unwrap());
    assert_eq!(entry["seq"].to_string(), listener.last_id);
    let last_id = listener.last_id.clone();
    drop(listener);

    for text in ["two", "three"] {
        bob.sends_text(alice.number(), text).await.unwrap();
        app.webhook.next().await;
    }
    let mut again = Listener::open(&app, MESSAGES, Some(&last_id)).await;
    assert_eq!(again.next_text().await, "two");
    assert_eq!(again.next_text().await, "three");
    bob.sends_text(alice.number(), "four").await.unwrap();
    assert_eq!(again.next_text().await, "four");
    app.webhook.next().await;

    let mut all = Listener::open(&app, &format!("{MESSAGES}&after=0"), None).await;
    assert_eq!(all.next_text().await, "before");
    app.stop().await;
    while let Some(block) = again.block().await {
        assert!(block.starts_with(':'), "{block}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_heartbeat_says_where_the_reader_is_and_ends_with_its_key() {
    Setup::new()
        .set("WAPI_API_KEY", "wapi_first")
        .gateway(async |app| {
            let admin = app.with_key("wapi_first");
            let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
            admin.pair("shop", &alice).await;
            let made = admin
                .post(
                    "/v1/api-keys",
                    serde_json::json!({"name": "r", "scopes": ["read"]}),
                )
                .await
                .expect(201)
                .json();
            let reader = app.with_key(made["key"].as_str().unwrap());

            let mut listener =
                Listener::open(&reader, "/v1/events/stream/?types=call.ended&after=0", None).await;
            assert_eq!(listener.last_id, "0");
            bob.sends_text(alice.number(), "passed over").await.unwrap();
            app.webhook.next().await;
            app.push_clock(Duration::from_secs(16));
            while listener.last_id == "0" {
                let block = listener.block().await.expect("the stream goes on");
                assert!(!block.contains("data"), "{block}");
                app.push_clock(Duration::from_secs(16));
            }
            let id = made["id"].as_str().unwrap();
            admin
                .delete(&format!("/v1/api-keys/{id}"))
                .await
                .expect(204);
            app.push_clock(Duration::from_secs(16));
            while listener.block().await.is_some() {}
        })
        .await;
}

#[tokio::test]
async fn a_stream_asked_for_wrongly_says_what_is_wrong() {
    gateway(async |app| {
        let wrong = app
            .get("/v1/events/stream?after=-2&limit=5")
            .await
            .expect(400);
        assert_eq!(wrong.fields(), ["after", "limit"]);
        let call = app
            .request(reqwest::Method::GET, "/v1/events/stream")
            .header("last-event-id", "yesterday");
        assert_eq!(call.send().await.unwrap().status(), 400);
    })
    .await;
}

#[tokio::test]
async fn many_readers_wait_and_each_sees_everything_in_order() {
    shop(async |app, alice, bob| {
        let mut listeners = Vec::new();
        for _ in 0..50 {
            listeners.push(Listener::open(app, MESSAGES, None).await);
        }
        for number in 0..20 {
            bob.sends_text(alice.number(), &number.to_string())
                .await
                .unwrap();
        }
        for _ in 0..20 {
            app.webhook.next().await;
        }
        for listener in &mut listeners {
            let mut seen = Vec::new();
            for _ in 0..20 {
                seen.push(listener.next_text().await);
            }
            assert_eq!(
                seen,
                (0..20).map(|number| number.to_string()).collect::<Vec<_>>()
            );
        }
    })
    .await;
}
