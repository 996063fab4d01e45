//! The QR code: printed, written, served, replaced, removed.

use std::time::Duration;

use serde_json::json;

use crate::harness::{TestApp, eventually, gateway, read_qr};

#[tokio::test]
async fn the_same_code_is_served_written_and_printed() {
    gateway(async |app| {
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
    })
    .await;
}

#[tokio::test]
async fn pairing_removes_the_code() {
    gateway(async |app| {
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
    })
    .await;
}

#[tokio::test]
async fn a_new_code_replaces_the_old_one() {
    gateway(async |app| {
        app.register("shop").await.expect(202);
        let first = app.qr("shop").await;
        app.push_clock(Duration::from_secs(60));
        let second = another(app, &first).await;
        let file = std::fs::read(app.root().join("qr-codes/shop.png")).unwrap();
        assert_eq!(read_qr(&file), second);
        app.phone("Alice").scans_qr(&second).await.unwrap();
        app.until("shop", "online").await;
    })
    .await;
}

#[tokio::test]
async fn codes_are_counted() {
    gateway(async |app| {
        app.register("shop").await.expect(202);
        let first = app.qr("shop").await;
        let json = async || {
            let answer = app.get_as("/v1/sessions/shop/qr", "application/json").await;
            answer.expect(200).json()
        };
        let shown = json().await;
        assert_eq!(shown["number"], 1);
        assert_eq!(shown["total"], 6);
        app.push_clock(Duration::from_secs(60));
        another(app, &first).await;
        let shown = json().await;
        assert_eq!(shown["number"], 2);
        assert_eq!(shown["total"], 6);
        let told = app
            .told("the second code", |event| event["number"] == 2)
            .await;
        assert_eq!(told.last().unwrap()["total"], 6);
        assert_eq!(told.last().unwrap()["expires_at"], shown["expires_at"]);
    })
    .await;
}

/// Waits for a code that is not this one.
async fn another(app: &TestApp, old: &str) -> String {
    let changed = async || Some(app.qr("shop").await).filter(|text| text != old);
    eventually(changed, async || "the QR code was not replaced".to_owned()).await
}

#[tokio::test]
async fn expired_codes_are_removed_and_the_next_qr_request_brings_new_ones() {
    gateway(async |app| {
        let last = expire(app).await;
        let new = app.qr("shop").await;
        assert_ne!(new, last);
        app.phone("Alice").scans_qr(&new).await.unwrap();
        app.until("shop", "online").await;
    })
    .await;
}

#[tokio::test]
async fn registering_an_expired_session_starts_a_new_round() {
    gateway(async |app| {
        let last = expire(app).await;
        assert_eq!(
            app.register("shop").await.expect(202).json()["status"],
            "scan_qr"
        );
        assert_ne!(app.qr("shop").await, last);
    })
    .await;
}

#[tokio::test]
async fn a_pairing_code_outlives_the_qr_codes_of_its_connection() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        app.register("shop").await.expect(202);
        app.qr("shop").await;
        let asked = json!({"phone": alice.number()});
        let path = "/v1/sessions/shop/pairing-code";
        let answer = app.post(path, asked).await.expect(200).json();
        spend_codes(app).await;
        until_reason(app, "can still be typed").await;
        app.get("/v1/sessions/shop/qr").await.expect(404);
        let code = answer["code"].as_str().unwrap();
        alice.enters_code(code).await.unwrap();
        app.until("shop", "online").await;
    })
    .await;
}

#[tokio::test]
async fn a_pairing_code_that_nobody_types_ends_with_its_time() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        app.register("shop").await.expect(202);
        app.qr("shop").await;
        let asked = json!({"phone": alice.number()});
        let path = "/v1/sessions/shop/pairing-code";
        app.post(path, asked).await.expect(200);
        spend_codes(app).await;
        until_reason(app, "can still be typed").await;
        app.while_time_passes(async || {
            let info = app.info("shop").await.json();
            (info["reason"] == "expired").then_some(())
        })
        .await;
        app.qr("shop").await;
    })
    .await;
}

/// Waits until the session's reason has this text.
async fn until_reason(app: &TestApp, text: &str) {
    let info = async || app.info("shop").await.json();
    let told = async || {
        let reason = info().await["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        reason.contains(text).then_some(())
    };
    eventually(told, async || format!("not {text:?}: {}", info().await)).await;
}

/// Registers a session and lets all its codes expire; the last one.
pub async fn expire(app: &TestApp) -> String {
    app.register("shop").await.expect(202);
    let text = spend_codes(app).await;
    until_reason(app, "expired").await;
    let info = app.info("shop").await.json();
    assert_eq!(info["status"], "scan_qr");
    assert_eq!(info.get("qr_code"), None);
    assert!(!app.root().join("qr-codes/shop.png").exists());
    text
}

/// Lets the time of all QR codes pass; the last one.
async fn spend_codes(app: &TestApp) -> String {
    let mut text = app.qr("shop").await;
    app.push_clock(Duration::from_secs(60));
    for _ in 0..5 {
        text = another(app, &text).await;
        app.push_clock(Duration::from_secs(20));
    }
    text
}
