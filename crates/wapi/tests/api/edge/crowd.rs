//! Many at once: strangers keep no caller out, and callers are served together to the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{PATIENCE, Setup, Surroundings, TestClient, eventually, within};

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

/// Strangers around one address, in a thread of their own, so that a caller does not wait for its own crowd. Over when dropped.
struct Crowd {
    over: Arc<AtomicBool>,
    came: Arc<AtomicUsize>,
}

impl Crowd {
    fn gather(address: SocketAddr, half: usize, endless: usize) -> Self {
        let (over, came) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let crowd = Self {
            over: Arc::clone(&over),
            came: Arc::clone(&came),
        };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                join_all((0..half + endless).map(|number| {
                    tokio::spawn(besieges(
                        address,
                        number < endless,
                        Arc::clone(&over),
                        Arc::clone(&came),
                    ))
                }))
                .await;
            })
        });
        crowd
    }

    /// How many connections they made.
    fn came(&self) -> usize {
        self.came.load(Ordering::Relaxed)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
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
        simulator.add_phone("Alice").unwrap(),
        simulator.add_phone("Bob").unwrap(),
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

    let crowd = Crowd::gather(address, half, endless);
    eventually(
        async || (crowd.came() >= half).then_some(()),
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
            simulator
                .faults()
                .cut_connection(alice.number(), device)
                .unwrap();
            client.until("shop", "offline").await;
            client.until("shop", "online").await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let grown = running.peak().saturating_sub(before) / 1024 / 1024;
    println!(
        "{} connections of {half} + {endless} in {seconds} s: {grown} MiB, the longest wait {worst:?}",
        crowd.came()
    );
    assert!(grown <= 64, "{grown} MiB more");
    let metrics = String::from_utf8(client.get("/metrics").await.expect(200).body).unwrap();
    assert!(
        metrics.contains("wapi_connections_limit 256\n"),
        "{metrics}"
    );
    drop(crowd);
    assert!(running.terminate().await.success);
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn callers_with_keys_are_served_together_and_let_go_politely_at_the_end() {
    let mut app = Setup::new().set("WAPI_API_KEY", "wapi_right").start().await;
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
    app.stop().await;
    for answer in waiting {
        assert_eq!(answer.await.unwrap().expect(503).code(), "stopping");
    }
    app.finish_without_events().await;
}
