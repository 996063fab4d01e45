//! Connections that break, devices that are logged out, WhatsApp that is away.

use std::time::Duration;

use crate::harness::{PATIENCE, Setup, gateway};

#[tokio::test]
async fn a_cut_connection_comes_back_by_itself() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        let device = app.pair("shop", &alice).await;
        app.simulator.faults().refuse_connections(true);
        app.simulator
            .faults()
            .cut_connection(alice.number(), device)
            .unwrap();
        let info = app.until("shop", "offline").await;
        assert!(
            info["reason"].is_string() && info["paired"] == true,
            "{info}"
        );
        let refused = app.send("shop", bob.number(), "hi").await.expect(409);
        assert_eq!(refused.code(), "session_not_online");
        app.simulator.faults().refuse_connections(false);
        app.register("shop").await.expect(200);
        app.send("shop", bob.number(), "hi").await.expect(200);
        assert_eq!(
            bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
            Some("hi")
        );
    })
    .await;
}

#[tokio::test]
async fn a_device_that_is_logged_out_is_said_to_be_and_can_be_paired_again() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let device = app.pair("shop", &alice).await;
        alice.logs_out(device).await.unwrap();
        let info = app.until("shop", "logged_out").await;
        assert_eq!(info["paired"], false);
        let aside = async || kept_aside(app.root());
        crate::harness::eventually(aside, async || "its file was not kept aside".to_owned()).await;
        assert!(!app.root().join("sessions/shop.session").exists());
        assert_eq!(
            app.send("shop", "375440000001", "hi")
                .await
                .expect(409)
                .code(),
            "session_not_online"
        );
        app.pair("shop", &alice).await;
    })
    .await;
}

/// The path of a logged-out device's file, once it was moved.
fn kept_aside(root: &std::path::Path) -> Option<std::path::PathBuf> {
    let moments = std::fs::read_dir(root.join("sessions/logged-out")).ok()?;
    moments
        .map(|moment| moment.unwrap().path().join("shop.session"))
        .find(|file| file.exists())
}

#[tokio::test]
async fn a_device_that_was_removed_while_we_were_away_is_logged_out_at_login() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let device = app.pair("shop", &alice).await;
        let stopped = app.stop().await;
        alice.logs_out(device).await.unwrap();
        stopped.start().await;
        app.until("shop", "logged_out").await;
    })
    .await;
}

#[tokio::test]
async fn registering_while_whatsapp_is_away_says_so_in_time() {
    Setup::new()
        .set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 1)
        .gateway(async |app| {
            app.simulator.faults().refuse_connections(true);
            let problem = app.register("shop").await.expect(504);
            assert_eq!(problem.code(), "whatsapp_timeout");
            app.simulator.faults().refuse_connections(false);
            app.push_clock(Duration::from_secs(10));
            crate::harness::eventually(
                async || (app.register("shop").await.status == 202).then_some(()),
                async || format!("no QR code came: {}", app.info("shop").await.json()),
            )
            .await;
        })
        .await;
}

#[tokio::test]
async fn a_stream_error_that_passes_does_not_end_a_session() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let device = app.pair("shop", &alice).await;
        app.simulator
            .faults()
            .fail_stream(alice.number(), device, 503)
            .unwrap();
        app.until("shop", "offline").await;
        app.until("shop", "online").await;
    })
    .await;
}

#[tokio::test]
async fn a_session_that_was_replaced_says_so_and_waits() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let device = app.pair("shop", &alice).await;
        app.simulator
            .faults()
            .fail_stream(alice.number(), device, 409)
            .unwrap();
        let info = app.until("shop", "offline").await;
        assert_eq!(
            info["reason"],
            "another program logged in with the same device"
        );
        // Whoever asks does not wait.
        app.register("shop").await.expect(200);
    })
    .await;
}
