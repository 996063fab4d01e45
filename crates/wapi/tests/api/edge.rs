//! Those who come to the listener and ask for nothing, or do it slowly: they cost nothing that lasts.
#![expect(
    clippy::disallowed_methods,
    reason = "the crowd has tasks and time of its own"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{
    PATIENCE, Setup, Surroundings, TestApp, TestClient, TestReceiver, eventually, within,
};

/// Until the other end is closed; what came.
async fn rest(socket: &mut TcpStream) -> String {
    let mut came = Vec::new();
    // A reset is an end, too.
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut came)).await;
    assert!(
        read.is_ok(),
        "the connection stays open: {:?}",
        String::from_utf8_lossy(&came)
    );
    String::from_utf8_lossy(&came).into_owned()
}

async fn knocks(app: &TestApp, words: &str) -> TcpStream {
    let address: SocketAddr = app.base().trim_start_matches("http://").parse().unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(words.as_bytes()).await.unwrap();
    socket
}

/// Once the gateway has read so much that it can only wait.
async fn connected(app: &TestApp, count: usize) {
    let wanted = format!("wapi_connections {count}\n");
    let look = async || {
        app.get("/metrics")
            .await
            .body
            .windows(wanted.len())
            .any(|it| it == wanted.as_bytes())
            .then_some(())
    };
    eventually(look, async || {
        String::from_utf8(app.get("/metrics").await.body).unwrap()
    })
    .await;
}

#[tokio::test]
async fn who_does_not_finish_asking_is_not_waited_for() {
    let app = TestApp::start().await;
    let mut silent = knocks(&app, "").await;
    let mut half = knocks(&app, "GET /health/live HTTP/1.1\r\nhost: localhost\r\nx-").await;
    connected(&app, 3).await;
    app.push_clock(Duration::from_secs(16));
    assert_eq!(
        (rest(&mut silent).await, rest(&mut half).await),
        (String::new(), String::new())
    );
    connected(&app, 1).await;
    app.finish().await;
}

#[tokio::test]
async fn a_body_that_trickles_is_not_waited_for_and_neither_is_a_reader_that_does_not_read() {
    let app = TestApp::start().await;
    for (path, kind) in [
        ("/register-session/", "application/json"),
        ("/v1/sessions/shop/media", "multipart/form-data; boundary=b"),
        ("/v1/sessions/shop/profile/picture", "image/png"),
    ] {
        app.register("shop").await;
        let method = if kind == "image/png" { "PUT" } else { "POST" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: 99\r\n\r\n"
        );
        let mut slow = knocks(&app, &(head + "--b\r\ncontent-disposition: form-data")).await;
        let answered = async || {
            app.push_clock(Duration::from_secs(10));
            let mut head = [0; 12];
            let read = tokio::time::timeout(Duration::from_millis(50), slow.peek(&mut head)).await;
            read.is_ok().then_some(())
        };
        eventually(answered, async || format!("{path} waits for ever")).await;
        let answer = rest(&mut slow).await;
        assert!(
            answer.starts_with("HTTP/1.1 408") && answer.contains("body_too_slow"),
            "{path}: {answer}"
        );
    }
    // More than the buffers of both ends hold.
    let many = "GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(100);
    let mut deaf = knocks(&app, &many).await;
    let cut = async || {
        app.push_clock(Duration::from_secs(10));
        let metrics = String::from_utf8(app.get("/metrics").await.body).unwrap();
        metrics.contains("wapi_connections 1\n").then_some(())
    };
    eventually(cut, async || {
        "who does not read is served for ever".to_owned()
    })
    .await;
    let ends = rest(&mut deaf).await.matches("HTTP/1.1 200").count();
    assert!(ends < 100, "all of it fitted into the buffers");
    app.finish().await;
}

#[tokio::test]
async fn a_head_without_end_is_refused_and_a_long_one_is_taken() {
    let app = TestApp::start().await;
    let mut endless = knocks(&app, "GET /health/live HTTP/1.1\r\nhost: localhost\r\n").await;
    let mut written = 0;
    while written < 8 * 1024 * 1024
        && endless
            .write_all(b"x-a: bbbbbbbbbbbbbbbbbbbbbbbbbb\r\n")
            .await
            .is_ok()
    {
        written += 32;
    }
    assert!(written < 8 * 1024 * 1024, "a head of any length is read");
    let long = format!("/health/live?{}", "a".repeat(8 * 1024));
    app.get(&long).await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn a_connection_that_was_answered_may_rest_for_a_while() {
    let app = TestApp::start().await;
    let ask = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut socket = knocks(&app, "").await;
    for _ in 0..2 {
        socket.write_all(ask).await.unwrap();
        let mut answer = [0; 15];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        let mut rest = [0; 4096];
        let _ = tokio::time::timeout(Duration::from_millis(100), socket.read(&mut rest)).await;
        app.push_clock(Duration::from_secs(90));
    }
    connected(&app, 2).await;
    let closed = async || {
        app.push_clock(Duration::from_secs(60));
        matches!(
            tokio::time::timeout(Duration::from_millis(50), socket.read(&mut [0; 4096])).await,
            Ok(Ok(0) | Err(_))
        )
        .then_some(())
    };
    eventually(closed, async || "it rests for ever".to_owned()).await;
    app.finish().await;
}

/// How many come with half a request, how many with a head without end, and for how many seconds; the long form is asked for by the
/// environment, as `5000,400,300`.
fn siege() -> (usize, usize, u64) {
    let Ok(asked) = std::env::var("WAPI_TESTS_SIEGE") else {
        return (2_000, 100, 10);
    };
    let numbers: Vec<u64> = asked
        .split(',')
        .map(|number| number.parse().expect("three numbers"))
        .collect();
    (numbers[0] as usize, numbers[1] as usize, numbers[2])
}

/// Comes, and comes again whenever it is turned out.
async fn besieges(
    address: SocketAddr,
    is_endless: bool,
    over: Arc<AtomicBool>,
    came: Arc<AtomicUsize>,
) {
    while !over.load(Ordering::Relaxed) {
        if let Ok(mut socket) = TcpStream::connect(address).await {
            came.fetch_add(1, Ordering::Relaxed);
            let _ = socket
                .write_all(b"GET /v1/sessions HTTP/1.1\r\nhost: localhost\r\n")
                .await;
            while is_endless
                && socket
                    .write_all(b"x-a: bbbbbbbbbbbbbbbbbbbbbbbb\r\n")
                    .await
                    .is_ok()
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let _ = tokio::time::timeout(Duration::from_secs(5), socket.read(&mut [0; 512])).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_strangers_keeps_nobody_out_and_costs_nothing_that_lasts() {
    let (half, endless, seconds) = siege();
    let Surroundings {
        simulator,
        webhook,
        wapi,
        address,
    } = Surroundings::new().await;
    let wapi = wapi
        .set("WAPI_API_KEY", "wapi_a-key-of-a-caller")
        .with_descriptors(1_024);
    let (alice, bob) = (
        simulator.phone("Alice").unwrap(),
        simulator.phone("Bob").unwrap(),
    );
    let (running, client) = wapi.serves(address).await;
    let client = client.with_key("wapi_a-key-of-a-caller");
    let device = client.pair("shop", &alice).await;
    client.send("shop", &bob.jid(), "before").await.expect(200);
    assert_eq!(
        bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
        Some("before")
    );
    let before = running.begin_peak();

    let (over, came) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let crowd: Vec<_> = (0..half + endless)
        .map(|number| {
            tokio::spawn(besieges(
                address,
                number < endless,
                Arc::clone(&over),
                Arc::clone(&came),
            ))
        })
        .collect();
    eventually(
        async || (came.load(Ordering::Relaxed) >= half).then_some(()),
        async || "they cannot come".to_owned(),
    )
    .await;

    let started = Instant::now();
    let (mut worst, mut round) = (Duration::ZERO, 0);
    while round < 10 || started.elapsed() < Duration::from_secs(seconds) {
        round += 1;
        // Each over a connection of its own: whoever is in already is not the question.
        let asked = Instant::now();
        TestClient::new(address)
            .with_key("wapi_a-key-of-a-caller")
            .get("/v1/sessions")
            .await
            .expect(200);
        worst = worst.max(asked.elapsed());
        if round % 5 == 0 {
            let text = format!("text {round}");
            // It waits for the line, where that was cut.
            client
                .accepted("shop", json!({"to": bob.jid(), "text": {"body": text}}))
                .await;
            assert_eq!(
                bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
                Some(text.as_str())
            );
            bob.sends_text(alice.number(), &text).await.unwrap();
            assert_eq!(webhook.next().await.body["data"]["text"]["body"], text);
        }
        // Rarely enough that it is not the pause after many broken lines that is waited for.
        if round % 100 == 10 {
            simulator.faults().cut(alice.number(), device).unwrap();
            client.until("shop", "offline").await;
            client.until("shop", "online").await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let grown = running.peak().saturating_sub(before) / 1024 / 1024;
    println!(
        "{came:?} connections of {half} + {endless} in {seconds} s: {grown} MiB, the longest wait {worst:?}"
    );
    assert!(grown <= 64, "{grown} MiB more");
    let metrics = String::from_utf8(client.get("/metrics").await.expect(200).body).unwrap();
    assert!(
        metrics.contains("wapi_connections_limit 256\n"),
        "{metrics}"
    );
    over.store(true, Ordering::Relaxed);
    crowd.iter().for_each(tokio::task::JoinHandle::abort);
    assert!(running.terminate().await.success);
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn callers_with_keys_are_served_together_and_let_go_politely_at_the_end() {
    let app = Setup::new().set("WAPI_API_KEY", "wapi_right").start().await;
    let admin = app.with_key("wapi_right");
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let admin = admin.clone();
            tokio::spawn(async move { admin.get("/v1/events?wait=60").await })
        })
        .collect();
    within(PATIENCE, async || {
        let metrics = String::from_utf8(admin.get("/metrics").await.expect(200).body).unwrap();
        metrics.contains("wapi_feed_readers 20\n").then_some(())
    })
    .await
    .expect("all of them wait");
    let stopped = app.stop().await;
    for answer in waiting {
        assert_eq!(answer.await.unwrap().expect(503).code(), "stopping");
    }
    stopped.simulator.finish().await.unwrap();
}

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
    let app = TestApp::start().await;
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
    let app = app.restart().await;
    let admin = app.with_key(made["key"].as_str().unwrap());
    admin.register("shop").await;
    refuses(&admin).await;
    admin
        .delete(&format!("/v1/api-keys/{}", made["id"].as_str().unwrap()))
        .await
        .expect(204);
    fetches(&app).await.expect(201);
    app.stop().await.simulator.finish().await.unwrap();
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
    let app = TestApp::start().await;
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
    let app = stopped.start().await.restart().await;
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
    app.stop().await.simulator.finish().await.unwrap();
}
