//! `POST /register-session/`, `GET /get-session-info/…/`, `GET /get-active-connection-info/…/`.

use crate::harness::{Setup, gateway};

#[tokio::test]
async fn a_new_session_shows_a_qr_code_and_is_online_once_it_is_scanned() {
    gateway(async |app| {
        let alice = app.phone("Alice");

        let waiting = app.register("shop").await.expect(202).json();
        assert_eq!(waiting["session_id"], "shop");
        assert_eq!(waiting["status"], "scan_qr");
        assert_eq!(waiting["paired"], false);
        assert_eq!(waiting["qr_code"], "/get-qr-code/shop/");

        let device = alice.scans_qr(&app.qr("shop").await).await.unwrap();
        app.until("shop", "online").await;
        let online = app.register("shop").await.expect(200).json();
        assert_eq!(online["status"], "online");
        assert_eq!(online["paired"], true);
        assert_eq!(online["connection"]["state"], "online");
        assert_eq!(online["account"]["phone"], alice.number());
        assert_eq!(online["account"]["lid"], alice.lid());
        assert!(
            alice
                .linked_devices()
                .iter()
                .any(|linked| linked.device == device.device && linked.connected)
        );
    })
    .await;
}

#[tokio::test]
async fn asking_again_for_a_running_session_answers_its_status() {
    gateway(async |app| {
        assert_eq!(
            app.register("shop").await.expect(202).json()["status"],
            "scan_qr"
        );
        assert_eq!(
            app.register("shop").await.expect(202).json()["status"],
            "scan_qr"
        );
    })
    .await;
}

#[tokio::test]
async fn the_info_of_a_session_follows_it() {
    gateway(async |app| {
        assert_eq!(
            app.info("shop").await.expect(404).code(),
            "session_not_found"
        );
        let connection = async || app.get("/get-active-connection-info/shop/").await;
        assert_eq!(connection().await.expect(404).code(), "session_not_found");

        app.register("shop").await.expect(202);
        let info = app.info("shop").await.expect(200).json();
        assert_eq!(info["status"], "scan_qr");
        assert_eq!(info["connection"]["state"], "offline");
        assert_eq!(
            connection().await.expect(404).code(),
            "connection_not_found"
        );

        let alice = app.phone("Alice");
        app.pair("shop", &alice).await;
        let live = connection().await.expect(200).json();
        assert_eq!(live["session_id"], "shop");
        assert_eq!(live["state"], "online");
        assert_eq!(live["account"]["phone"], alice.number());
    })
    .await;
}

#[tokio::test]
async fn every_route_works_with_and_without_its_trailing_slash() {
    gateway(async |app| {
        app.register("shop").await.expect(202);
        for slash in ["", "/"] {
            let body = serde_json::json!({"session_id": "shop"});
            app.post(&format!("/register-session{slash}"), body)
                .await
                .expect(202);
            app.get(&format!("/get-session-info/shop{slash}"))
                .await
                .expect(200);
            app.get(&format!("/get-qr-code/shop{slash}"))
                .await
                .expect(200);
            app.get(&format!("/health/live{slash}")).await.expect(200);
            app.get(&format!("/health/ready{slash}")).await.expect(200);
            let active = app
                .get(&format!("/get-active-connection-info/shop{slash}"))
                .await;
            assert_eq!(active.expect(404).code(), "connection_not_found");
            for route in ["send-message", "send-image"] {
                let refused = app
                    .post(&format!("/{route}{slash}"), serde_json::json!({}))
                    .await;
                assert_eq!(refused.expect(400).code(), "invalid_fields");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems_too() {
    gateway(async |app| {
        assert_eq!(
            app.get("/v0/nothing").await.expect(404).code(),
            "route_not_found"
        );
        assert_eq!(
            app.get("/send-message/").await.expect(405).code(),
            "method_not_allowed"
        );
    })
    .await;
}

#[tokio::test]
async fn two_sessions_of_one_account_live_side_by_side() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        app.pair("one", &alice).await;
        app.pair("two", &alice).await;
        bob.sends_text(alice.number(), "to both").await.unwrap();
        let mut paths = [app.webhook.next().await.path, app.webhook.next().await.path];
        paths.sort();
        assert_eq!(paths, ["/hooks/one", "/hooks/two"]);
    })
    .await;
}

#[tokio::test]
async fn whatsapp_is_dialled_over_tls_too() {
    Setup::new()
        .over_tls()
        .shop(async |app, _, bob| {
            app.send("shop", bob.number(), "hi").await.expect(200);
            bob.next_message(crate::harness::PATIENCE).await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn an_error_of_our_own_does_not_end_a_session() {
    let app = Setup::new()
        .set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 1)
        .start()
        .await;
    app.break_console();
    assert_eq!(
        app.register("shop").await.expect(504).code(),
        "whatsapp_timeout"
    );
    let info = app.until("shop", "offline").await;
    assert!(
        info["reason"]
            .as_str()
            .unwrap()
            .contains("an internal error of the gateway"),
        "{info}"
    );
    app.mend_console();
    app.reaches("shop", "scan_qr").await;
    app.phone("Alice")
        .scans_qr(&app.qr("shop").await)
        .await
        .unwrap();
    app.until("shop", "online").await;
    app.finish_after_panics(1).await;
}
