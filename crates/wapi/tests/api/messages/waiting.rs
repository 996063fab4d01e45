//! Messages that wait, for a connection, a file or their time: each leaves in its turn, or never.

use serde_json::json;
use wapi_simulator::AckFault;

use super::text;
use crate::harness::{PATIENCE, Setup, gateway, shop};

#[tokio::test]
async fn what_waits_for_the_connection_leaves_in_order_when_it_is_back() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        let device = app.pair("shop", &alice).await;
        app.simulator.faults().refuse_connections(true);
        app.simulator
            .faults()
            .cut_connection(alice.number(), device)
            .unwrap();
        app.until("shop", "offline").await;
        let mut ids = Vec::new();
        for number in 0..5 {
            let queued = app
                .post(
                    "/v1/sessions/shop/messages?wait=0",
                    text(bob.number(), &number.to_string()),
                )
                .await;
            let queued = queued.expect(202).json();
            assert_eq!(queued["messages"][0]["status"], "queued");
            ids.push(queued["messages"][0]["id"].as_str().unwrap().to_owned());
        }
        app.restart().await;
        assert_eq!(app.message("shop", &ids[0]).await["status"], "queued");
        app.simulator.faults().refuse_connections(false);
        app.register("shop").await;
        for (number, id) in ids.iter().enumerate() {
            let received = bob.next_message(PATIENCE).await.unwrap();
            assert_eq!(received.text, Some(number.to_string()));
            assert_eq!(&received.id, id);
            app.until_message("shop", id, "delivered").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_that_expired_is_never_sent() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        let device = app.pair("shop", &alice).await;
        app.simulator.faults().refuse_connections(true);
        app.simulator
            .faults()
            .cut_connection(alice.number(), device)
            .unwrap();
        app.until("shop", "offline").await;
        let mut brief = text(bob.number(), "now or never");
        brief["expires_in"] = json!(60);
        let id = app.accepted("shop", brief).await;
        let patient = app.accepted("shop", text(bob.number(), "whenever")).await;
        app.push_clock(std::time::Duration::from_secs(61));
        let failed = app.until_message("shop", &id, "failed").await;
        assert_eq!(failed["error"]["code"], "expired");
        app.simulator.faults().refuse_connections(false);
        app.register("shop").await;
        assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, patient);
        app.until_message("shop", &patient, "delivered").await;
        assert_eq!(bob.received_messages().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_message_leaves_when_its_time_has_come_and_holds_up_nobody_until_then() {
    shop(async |app, _, bob| {
        let mut later = text(bob.number(), "later");
        let time = wapi::system::clock::Clock::system().now() + jiff::SignedDuration::from_hours(2);
        later["send_at"] = json!(time.to_string());
        let later = app.accepted("shop", later).await;
        let now = app.accepted("shop", text(bob.number(), "now")).await;
        assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, now);
        app.restart().await;
        app.until("shop", "online").await;
        assert_eq!(app.message("shop", &later).await["status"], "queued");
        app.push_clock(std::time::Duration::from_secs(2 * 3600));
        assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, later);
        app.until_message("shop", &later, "delivered").await;
    })
    .await;
}

#[tokio::test]
async fn files_are_fetched_when_their_turn_comes_and_a_slow_one_holds_up_its_own_chat_only() {
    use axum::routing::get;
    shop(async |app, _, bob| {
        let carol = app.phone("Carol");
        let (release, released) = tokio::sync::watch::channel(false);
        let document = get(move || async move {
            let mut released = released;
            released
                .wait_for(|released| *released)
                .await
                .expect("the test lets it go");
            ([("content-type", "application/pdf")], "%PDF-1.7")
        });
        let router = axum::Router::new()
            .route("/slow.pdf", document)
            .route("/voice.ogg", get(|| async { "OggS" }))
            .route("/page.mp4", get(|| async { "<html>" }));
        let files = crate::harness::TestReceiver::serve(
            std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
            router,
        );

        let slow = json!({"to": bob.number(), "document": {"link": format!("{files}/slow.pdf"), "filename": "bill.pdf", "caption": "yours"}});
        let slow = app.accepted("shop", slow).await;
        let behind = app.accepted("shop", text(bob.number(), "behind it")).await;
        let elsewhere = json!({"to": carol.number(), "audio": {"link": format!("{files}/voice.ogg"), "voice": true}});
        app.post("/v1/sessions/shop/messages", elsewhere)
            .await
            .expect(200);
        let heard = carol.next_message(PATIENCE).await.unwrap();
        assert_eq!(heard.kind, "audio");
        assert_eq!(heard.media.unwrap().mime.as_str(), "audio/ogg; codecs=opus");
        assert_eq!(app.message("shop", &behind).await["status"], "queued");
        release.send_replace(true);
        let received = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(received.id, slow);
        assert_eq!(received.caption.as_deref(), Some("yours"));
        let media = received.media.unwrap();
        assert_eq!(media.mime, "application/pdf");
        assert_eq!(media.bytes, b"%PDF-1.7");
        assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, behind);

        let no_video = json!({"to": bob.number(), "video": {"link": format!("{files}/page.mp4")}});
        let refused = app
            .post("/v1/sessions/shop/messages", no_video)
            .await
            .expect(502);
        assert_eq!(refused.code(), "media_unavailable");
        assert!(
            refused.json()["detail"]
                .as_str()
                .unwrap()
                .contains("is not a video")
        );
    }).await;
}

#[tokio::test]
async fn what_waits_for_a_device_that_is_logged_out_is_not_sent_by_the_next_one() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        let device = app.pair("shop", &alice).await;
        let mut later = text(bob.number(), "later");
        later["send_at"] = json!(
            (wapi::system::clock::Clock::system().now() + jiff::SignedDuration::from_hours(2))
                .to_string()
        );
        let later = app.accepted("shop", later).await;
        alice.logs_out(device).await.unwrap();
        let failed = app.until_message("shop", &later, "failed").await;
        assert_eq!(failed["error"]["code"], "session_logged_out");
        app.until("shop", "logged_out").await;
        app.post("/v1/sessions/shop/messages", text(bob.number(), "hi"))
            .await
            .expect(409);
    })
    .await;
}

#[tokio::test]
async fn what_could_not_be_sent_at_once_by_the_original_route_is_never_sent() {
    Setup::new()
        .set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 2)
        .shop(async |app, _, bob| {
            app.simulator.faults().set_ack_fault(AckFault::Drop);
            bob.sets_receipt_policy(wapi_simulator::ReceiptPolicy::Withheld);
            // It holds up its chat, so the next one cannot leave in time.
            let first = app.accepted("shop", text(bob.number(), "first")).await;
            assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, first);
            let late = app.send("shop", bob.number(), "in vain").await.expect(504);
            assert!(
                late.json()["detail"]
                    .as_str()
                    .unwrap()
                    .contains("was not sent"),
                "{}",
                late.json()
            );
            app.simulator.faults().set_ack_fault(AckFault::None);
            app.until_message("shop", &first, "sent").await;
            app.post("/v1/sessions/shop/messages", text(bob.number(), "last"))
                .await
                .expect(200);
            assert_eq!(
                bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
                Some("last")
            );
        })
        .await;
}
