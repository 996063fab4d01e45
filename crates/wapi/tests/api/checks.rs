//! Connections are checked in both directions, and sessions that do not answer, or hear nothing, are connected anew.

use std::time::Duration;

use serde_json::{Value, json};
use wapi_simulator::{FallbackPolicy, PeerRequests};

use crate::harness::{PATIENCE, Setup, TestApp, Wapi, eventually, free_address, gateway, options};

/// The time between two checks, when nothing is set.
const CHECK: Duration = Duration::from_secs(600);

async fn impatient() -> TestApp {
    Setup::new()
        .set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 1)
        .start()
        .await
}

/// Waits until everything that a login sets off is done, so that only what comes next is moved by the clock.
async fn settled(app: &TestApp) {
    for _ in 0..2 {
        assert_eq!(
            app.order("shop", "check").await.expect(200).json()["ok"],
            true
        );
    }
}

/// Waits until so many times a session was told to be offline for this reason; fails when it was more often.
async fn offline_because(app: &TestApp, reason: &str, times: usize) {
    let count = async || {
        let events = app.session_events().await;
        events
            .iter()
            .filter(|event| event["status"] == "offline" && event["reason"] == reason)
            .count()
    };
    let reached = async || Some(count().await).filter(|count| *count >= times);
    let found = eventually(reached, async || {
        format!("{:#?}", app.session_events().await)
    })
    .await;
    assert_eq!(found, times);
}

const DEAF: &str = "nothing arrives, not even requested data";

#[tokio::test]
async fn a_check_proves_every_part_of_the_way_in() {
    gateway(async |app| {
        assert_eq!(
            app.order("shop", "check").await.expect(404).code(),
            "session_not_found"
        );
        let alice = app.phone("Alice");
        app.pair("shop", &alice).await;
        let check = app.order("shop", "check").await.expect(200).json();
        assert_eq!(check["ok"], true, "{check}");
        assert_eq!(check["inbound"]["proof"], "phone", "{check}");
        for part in ["socket", "store", "inbound"] {
            assert!(
                check[part]["ok"] == true && check[part]["ms"].is_number(),
                "{check}"
            );
        }
        assert_eq!(alice.received_messages(), [], "nobody sees it");
        app.order("shop", "stop").await.expect(200);
        let check = app.order("shop", "check").await.expect(200).json();
        assert_eq!(check["ok"], false);
        assert_eq!(check["socket"]["ok"], false);
        assert_eq!(check["store"]["ok"], true);
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_is_deaf_is_noticed_by_the_next_check_and_replaced() {
    let app = impatient().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    let device = app.pair("shop", &alice).await;
    settled(&app).await;
    app.simulator
        .faults()
        .deafen_device(alice.number(), device)
        .unwrap();
    bob.sends_text(alice.number(), "can you hear me")
        .await
        .unwrap();
    assert_eq!(
        app.info("shop").await.json()["status"],
        "online",
        "nothing seems to be wrong"
    );
    app.push_clock(CHECK);
    assert_eq!(
        app.webhook.next().await.body["data"]["text"]["body"],
        "can you hear me"
    );
    app.until("shop", "online").await;
    offline_because(&app, DEAF, 1).await;
    app.finish().await;
}

#[tokio::test]
async fn a_phone_that_is_off_makes_its_sessions_connect_anew_ever_more_rarely() {
    let app = impatient().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    alice.sets_peer_requests(PeerRequests::Ignored);
    for reconnects in [1, 2, 2, 3, 3] {
        let found = app.order("shop", "check").await.expect(200).json();
        assert_eq!(found["ok"], false, "{found}");
        assert_eq!(found["socket"]["ok"], true, "{found}");
        assert!(
            found["inbound"]["detail"]
                .as_str()
                .unwrap()
                .contains("it is off"),
            "{found}"
        );
        app.until("shop", "online").await;
        offline_because(&app, DEAF, reconnects).await;
    }
    bob.sends_text(alice.number(), "hi").await.unwrap();
    app.webhook.next().await;
    alice.sets_peer_requests(PeerRequests::Answered);
    assert_eq!(app.order("shop", "check").await.json()["ok"], true);
    app.finish().await;
}

#[tokio::test]
async fn a_frozen_connection_is_noticed_by_the_next_check_and_told() {
    let app = impatient().await;
    let alice = app.phone("Alice");
    let device = app.pair("shop", &alice).await;
    settled(&app).await;
    app.simulator
        .faults()
        .freeze_device(alice.number(), device)
        .unwrap();
    app.push_clock(CHECK);
    let is_noticed = |event: &Value| event["status"] == "offline";
    let events = app.told("the outage", is_noticed).await;
    assert_eq!(
        events.last().unwrap()["reason"],
        "WhatsApp does not answer on this connection"
    );
    app.simulator
        .faults()
        .thaw_device(alice.number(), device)
        .unwrap();
    app.until("shop", "online").await;
    app.finish().await;
}

#[tokio::test]
async fn a_login_that_is_never_answered_is_tried_again_by_itself() {
    let mut app = impatient().await;
    let alice = app.phone("Alice");
    let device = app.pair("shop", &alice).await;
    app.simulator
        .faults()
        .freeze_device(alice.number(), device)
        .unwrap();
    app.restart().await;
    app.until("shop", "connecting").await;
    eventually(
        async || alice.linked_devices()[0].connected.then_some(()),
        async || "it does not dial".to_owned(),
    )
    .await;
    app.push_clock(Duration::from_secs(61));
    let given_up =
        |event: &Value| event["reason"] == "WhatsApp accepted the connection but not the login";
    app.told("the silence", given_up).await;
    app.simulator
        .faults()
        .thaw_device(alice.number(), device)
        .unwrap();
    app.reaches("shop", "online").await;
    app.finish().await;
}

#[tokio::test]
async fn a_registration_that_is_never_answered_is_tried_again_by_itself() {
    let app = impatient().await;
    app.simulator.faults().ignore_registrations(true);
    app.post("/v1/sessions", json!({"id": "shop"}))
        .await
        .expect(201);
    assert_eq!(
        app.get("/v1/sessions/shop/qr?wait=1")
            .await
            .expect(404)
            .code(),
        "qr_code_not_found"
    );
    app.simulator.faults().ignore_registrations(false);
    app.push_clock(Duration::from_secs(61));
    let given_up =
        |event: &Value| event["reason"] == "WhatsApp accepted the connection but not the login";
    app.told("the silence", given_up).await;
    app.reaches("shop", "scan_qr").await;
    app.phone("Alice")
        .scans_qr(&app.qr("shop").await)
        .await
        .unwrap();
    app.until("shop", "online").await;
    app.finish().await;
}

#[tokio::test]
async fn a_whatsapp_that_comes_back_with_another_key_strands_nobody() {
    for fallback in [FallbackPolicy::Offered, FallbackPolicy::Refused] {
        let mut app = TestApp::start().await;
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        app.pair("shop", &alice).await;
        // The key is learnt at the first login and used from the second on.
        app.restart().await;
        app.until("shop", "online").await;
        app.simulator.faults().change_key(fallback).unwrap();
        app.until("shop", "offline").await;
        let is_back = async || {
            app.push_clock(Duration::from_secs(5));
            let status = app.info("shop").await.json()["status"].clone();
            (status == "online").then_some(())
        };
        eventually(is_back, async || {
            format!("{fallback:?}: {}", app.info("shop").await.json())
        })
        .await;
        app.send("shop", bob.number(), "hi").await.expect(200);
        assert_eq!(
            bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
            Some("hi")
        );
        assert_eq!(alice.linked_devices().len(), 1, "no phone had to scan");
        app.finish().await;
    }
}

#[tokio::test]
async fn a_session_that_stopped_answering_is_dialled_again_and_recovers() {
    Setup::new()
        .set("WAPI_CONNECTIONS_CHECKOUT_DURATION_MILLISECONDS", 200)
        .set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 1)
        .gateway(async |app| {
            let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
            let device = app.pair("shop", &alice).await;
            app.simulator
                .faults()
                .freeze_device(alice.number(), device)
                .unwrap();
            let unconfirmed = app.send("shop", bob.number(), "into the void").await;
            assert!([409, 504].contains(&unconfirmed.status), "{unconfirmed:?}");
            app.simulator
                .faults()
                .thaw_device(alice.number(), device)
                .unwrap();
            crate::harness::eventually(
                async || {
                    (app.send("shop", bob.number(), "hello again").await.status == 200)
                        .then_some(())
                },
                async || format!("it did not recover: {}", app.info("shop").await.json()),
            )
            .await;
            loop {
                let message = bob.next_message(PATIENCE).await.unwrap();
                if message.text.as_deref() == Some("hello again") {
                    break;
                }
            }
        })
        .await;
}

#[tokio::test]
async fn an_outage_is_reported_three_times_and_its_end_once() {
    let simulator = wapi_simulator::Simulator::start(options()).await.unwrap();
    let alice = simulator.add_phone("Alice").unwrap();
    let address = free_address();
    let wapi = Wapi::new()
        .set("WAPI_INTERNAL_HOST", address)
        .set("WAPI_WHATSAPP_URL", simulator.ws_url())
        .set("WAPI_CONNECTIONS_CHECKOUT_DURATION_MILLISECONDS", 50)
        .set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 1)
        .set("WAPI_LOG", "debug");
    let (mut running, client) = wapi.serves(address).await;
    let device = client.pair("shop", &alice).await;
    running.logs("the session answers").await;
    simulator
        .faults()
        .freeze_device(alice.number(), device)
        .unwrap();
    for report in 1..=3 {
        let line = running.logs("the session does not answer").await;
        assert!(
            line.contains(&format!("report={report}")) && line.contains("ERROR"),
            "{line}"
        );
    }
    // Two more checks that fail are not worth a word above debug.
    for _ in 0..2 {
        running.logs("the session still does not answer").await;
    }
    simulator
        .faults()
        .thaw_device(alice.number(), device)
        .unwrap();
    running.logs("the session is responding again").await;
    running.logs("the session answers").await;
    running.kill().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_check_does_not_wake_a_session_that_rests() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        let device = app.pair("shop", &alice).await;
        alice.logs_out(device).await.unwrap();
        app.until("shop", "logged_out").await;
        let file = app.root().join("sessions/shop.session");
        eventually(
            async || (!file.exists()).then_some(()),
            async || "its file was not moved aside".to_owned(),
        )
        .await;
        for _ in 0..3 {
            assert_eq!(
                app.order("shop", "check").await.expect(200).json()["ok"],
                false
            );
        }
        // Long enough for a session that was woken to ask for a QR code.
        app.pair("bar", &bob).await;
        assert_eq!(app.info("shop").await.json()["status"], "logged_out");
    })
    .await;
}
