//! The QR code: printed, written, served, replaced, removed.

use std::time::Duration;

use crate::harness::{TestApp, eventually, read_qr};

#[tokio::test]
async fn the_same_code_is_served_written_and_printed() {
    let app = TestApp::start().await;
    app.register("shop").await.expect(202);
    let text = app.qr("shop").await;
    assert_eq!(text.split(',').count(), 5, "{text}");
    let file = std::fs::read(app.root().join("qr-codes/shop.png")).unwrap();
    assert_eq!(read_qr(&file), text);
    let printed = app.console();
    assert_eq!(printed.len(), 1);
    assert!(
        printed[0].contains("session shop") && printed[0].contains('▀'),
        "{}",
        printed[0]
    );
    app.finish().await;
}

#[tokio::test]
async fn pairing_removes_the_code() {
    let app = TestApp::start().await;
    assert_eq!(
        app.get("/get-qr-code/shop/").await.expect(404).code(),
        "session_not_found"
    );
    let alice = app.phone("Alice");
    app.pair("shop", &alice).await;
    assert_eq!(
        app.get("/get-qr-code/shop/").await.expect(404).code(),
        "qr_code_not_found"
    );
    assert!(!app.root().join("qr-codes/shop.png").exists());
    assert_eq!(app.info("shop").await.json().get("qr_code"), None);
    app.finish().await;
}

#[tokio::test]
async fn a_new_code_replaces_the_old_one() {
    let app = TestApp::start().await;
    app.register("shop").await.expect(202);
    let first = app.qr("shop").await;
    app.push_clock(Duration::from_secs(60));
    let second = another(&app, &first).await;
    let file = std::fs::read(app.root().join("qr-codes/shop.png")).unwrap();
    assert_eq!(read_qr(&file), second);
    app.phone("Alice").scans_qr(&second).await.unwrap();
    app.until("shop", "online").await;
    app.finish().await;
}

/// Waits for a code that is not this one.
async fn another(app: &TestApp, old: &str) -> String {
    let changed = async || Some(app.qr("shop").await).filter(|text| text != old);
    eventually(changed, async || "the QR code was not replaced".to_owned()).await
}

#[tokio::test]
async fn expired_codes_are_removed_and_the_next_qr_request_brings_new_ones() {
    let app = TestApp::start().await;
    let last = expire(&app).await;
    let new = app.qr("shop").await;
    assert_ne!(new, last);
    app.phone("Alice").scans_qr(&new).await.unwrap();
    app.until("shop", "online").await;
    app.finish().await;
}

#[tokio::test]
async fn registering_an_expired_session_starts_a_new_round() {
    let app = TestApp::start().await;
    let last = expire(&app).await;
    assert_eq!(
        app.register("shop").await.expect(202).json()["status"],
        "scan_qr"
    );
    assert_ne!(app.qr("shop").await, last);
    app.finish().await;
}

/// Registers a session and lets all its codes expire; the last one.
async fn expire(app: &TestApp) -> String {
    app.register("shop").await.expect(202);
    let mut text = app.qr("shop").await;
    app.push_clock(Duration::from_secs(60));
    for _ in 0..5 {
        text = another(app, &text).await;
        app.push_clock(Duration::from_secs(20));
    }
    let info = async || app.info("shop").await.json();
    let expired = async || Some(info().await).filter(|info| info["reason"] == "expired");
    let info = eventually(expired, async || format!("not expired: {}", info().await)).await;
    assert_eq!(
        (info["status"].as_str(), info.get("qr_code")),
        (Some("scan_qr"), None)
    );
    assert!(!app.root().join("qr-codes/shop.png").exists());
    text
}
