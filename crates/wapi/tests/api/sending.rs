//! `POST /send-message/` and `POST /send-image/`.

use serde_json::json;

use crate::harness::{Setup, TestReceiver, gateway, shop};

const PATIENCE: std::time::Duration = crate::harness::PATIENCE;

/// A PNG of one pixel.
const PIXEL: &[u8] = &[
    0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0,
    0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 10, b'I', b'D', b'A', b'T',
    0x78, 0x9c, 0x63, 0x60, 0, 0, 0, 2, 0, 1, 0x48, 0xaf, 0xa4, 0x71, 0, 0, 0, 0, b'I', b'E', b'N',
    b'D', 0xae, 0x42, 0x60, 0x82,
];

#[tokio::test]
async fn a_text_arrives_decrypted_at_the_other_phone() {
    shop(async |app, alice, bob| {
        let sent = app
            .send("shop", &bob.jid(), "Hello, Bob. Привет! 🐙")
            .await
            .expect(200)
            .json();
        assert_eq!(sent["status"], "sent");
        assert_eq!(sent["chat"], bob.jid());
        assert_eq!(sent["session"], "shop");
        assert!(sent["timestamp"].as_str().unwrap().ends_with('Z'), "{sent}");

        let message = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(message.id, sent["id"].as_str().unwrap());
        assert_eq!(message.text.as_deref(), Some("Hello, Bob. Привет! 🐙"));
        assert_eq!(message.from, alice.jid());
    })
    .await;
}

#[tokio::test]
async fn chats_are_named_by_number_by_address_or_by_lid() {
    shop(async |app, _, bob| {
        for chat in [
            bob.jid(),
            bob.number().to_owned(),
            format!("+{}", bob.number()),
            bob.lid(),
        ] {
            app.send("shop", &chat, &chat).await.expect(200);
            assert_eq!(bob.next_message(PATIENCE).await.unwrap().text, Some(chat));
        }
    })
    .await;
}

#[tokio::test]
async fn many_messages_keep_their_order() {
    shop(async |app, _, bob| {
        for number in 0..20 {
            app.send("shop", bob.number(), &number.to_string())
                .await
                .expect(200);
        }
        for number in 0..20 {
            assert_eq!(
                bob.next_message(PATIENCE).await.unwrap().text,
                Some(number.to_string())
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_picture_is_fetched_and_arrives_with_its_caption() {
    shop(async |app, _, bob| {
        let files = files().await;

        let body = json!({
            "session_name": "shop", "chat_id": bob.jid(), "image_url": format!("{files}/pixel.png"), "caption": "a pixel",
        });
        let sent = app.post("/send-image/", body).await.expect(200).json();
        assert_eq!(sent["status"], "sent");
        let message = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(message.kind, "image");
        assert_eq!(message.caption.as_deref(), Some("a pixel"));
        let media = message.media.unwrap();
        assert_eq!(media.mime, "image/png");
        assert_eq!(media.bytes, PIXEL);

        let body = json!({"session_name": "shop", "chat_id": bob.jid(), "image_url": format!("{files}/moved.png")});
        app.post("/send-image/", body).await.expect(200);
        assert_eq!(bob.next_message(PATIENCE).await.unwrap().caption, None);
    }).await;
}

#[tokio::test]
async fn what_is_no_picture_is_not_sent() {
    shop(async |app, _, bob| {
        let files = files().await;
        let nobody = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        for (address, complaint) in [
            (format!("{files}/page.png"), "is not a picture"),
            (format!("{files}/missing.png"), "answered 404"),
            (format!("{files}/huge.png"), "is larger than 16 MiB"),
            (format!("http://{nobody}/pixel.png"), "cannot be fetched"),
            (
                "ftp://example.com/pixel.png".to_owned(),
                "is not an http:// or https:// address",
            ),
            (
                "pixel.png".to_owned(),
                "is not an http:// or https:// address",
            ),
        ] {
            let body = json!({"session_name": "shop", "chat_id": bob.jid(), "image_url": address});
            let refused = app.post("/send-image/", body).await.expect(400);
            assert_eq!(refused.fields(), ["image_url"]);
            let problem = refused.json();
            assert!(
                problem["detail"].as_str().unwrap().contains(complaint),
                "{problem}"
            );
        }
        assert_eq!(bob.received_messages(), []);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_sent_from_a_session_that_is_not_online() {
    gateway(async |app| {
        let picture = json!({"session_name": "shop", "chat_id": "375440000001", "image_url": "http://127.0.0.1:9/a.png"});
        assert_eq!(
            app.send("shop", "375440000001", "hi")
                .await
                .expect(404)
                .code(),
            "session_not_found"
        );
        assert_eq!(
            app.post("/send-image/", picture.clone())
                .await
                .expect(404)
                .code(),
            "session_not_found"
        );
        app.register("shop").await.expect(202);
        let refused = app.send("shop", "375440000001", "hi").await.expect(409);
        assert_eq!(refused.code(), "session_not_online");
        assert_eq!(refused.json()["detail"], "it is scan_qr");
        assert_eq!(
            app.post("/send-image/", picture).await.expect(409).code(),
            "session_not_online"
        );
    }).await;
}

#[tokio::test]
async fn whatsapps_refusal_is_told_with_its_code() {
    shop(async |app, _, bob| {
        app.simulator
            .faults()
            .set_ack_fault(wapi_simulator::AckFault::Refuse(463));
        let refused = app.send("shop", bob.number(), "hi").await.expect(502);
        assert_eq!(refused.code(), "whatsapp_refused");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.contains("463") && detail.contains("new contacts"),
            "{detail}"
        );
        app.simulator
            .faults()
            .set_ack_fault(wapi_simulator::AckFault::None);
        app.send("shop", bob.number(), "again").await.expect(200);
        assert_eq!(
            bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
            Some("again")
        );
    })
    .await;
}

#[tokio::test]
async fn without_whatsapps_word_a_message_is_not_called_sent() {
    Setup::new()
        .set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 2)
        .shop(async |app, _, bob| {
            app.simulator
                .faults()
                .set_ack_fault(wapi_simulator::AckFault::Drop);
            // The recipient's phone would be as good a witness.
            bob.sets_receipt_policy(wapi_simulator::ReceiptPolicy::Withheld);
            let unconfirmed = app.send("shop", bob.number(), "hi").await.expect(504);
            assert_eq!(unconfirmed.code(), "whatsapp_timeout");
            assert_eq!(
                bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
                Some("hi")
            );
        })
        .await;
}

/// A web server with a few files; its base address.
pub async fn files() -> String {
    use axum::http::StatusCode;
    use axum::response::Redirect;
    use axum::routing::get;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let router = axum::Router::new()
        .route("/pixel.png", get(|| async { PIXEL }))
        .route("/moved.png", get(|| async { Redirect::to("/pixel.png") }))
        .route("/page.png", get(|| async { "<html>" }))
        .route("/huge.png", get(|| async { vec![0x89; 17 * 1024 * 1024] }))
        .fallback(|| async { StatusCode::NOT_FOUND });
    TestReceiver::serve(listener, router)
}
