//! Those who come to the listener and ask for nothing, or do it slowly: they cost nothing that lasts.
#![expect(
    clippy::disallowed_methods,
    reason = "the crowd has tasks and time of its own"
)]

mod crowd;
mod unkeyed;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{PATIENCE, TestApp, eventually, gateway};

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
    gateway(async |app| {
        let mut silent = knocks(app, "").await;
        let mut half = knocks(app, "GET /health/live HTTP/1.1\r\nhost: localhost\r\nx-").await;
        connected(app, 3).await;
        app.push_clock(Duration::from_secs(16));
        assert_eq!(rest(&mut silent).await, String::new());
        assert_eq!(rest(&mut half).await, String::new());
        connected(app, 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_trickles_is_not_waited_for_and_neither_is_a_reader_that_does_not_read() {
    gateway(async |app| {
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
            let mut slow = knocks(app, &(head + "--b\r\ncontent-disposition: form-data")).await;
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
        let mut deaf = knocks(app, &many).await;
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
    }).await;
}

#[tokio::test]
async fn a_head_without_end_is_refused_and_a_long_one_is_taken() {
    gateway(async |app| {
        let mut endless = knocks(app, "GET /health/live HTTP/1.1\r\nhost: localhost\r\n").await;
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
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_was_answered_may_rest_for_a_while() {
    gateway(async |app| {
        let ask = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let mut socket = knocks(app, "").await;
        for _ in 0..2 {
            socket.write_all(ask).await.unwrap();
            let mut answer = [0; 15];
            socket.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200 OK");
            let mut rest = [0; 4096];
            let _ = tokio::time::timeout(Duration::from_millis(100), socket.read(&mut rest)).await;
            app.push_clock(Duration::from_secs(90));
        }
        connected(app, 2).await;
        let closed = async || {
            app.push_clock(Duration::from_secs(60));
            matches!(
                tokio::time::timeout(Duration::from_millis(50), socket.read(&mut [0; 4096])).await,
                Ok(Ok(0) | Err(_))
            )
            .then_some(())
        };
        eventually(closed, async || "it rests for ever".to_owned()).await;
    })
    .await;
}
