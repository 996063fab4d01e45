//! Incoming messages, posted to the operator's webhook.

use wapi_simulator::{Addressing, DeliveryFault, SimulatorOptions};

use crate::harness::{Setup, TestReceiver, shop, steady};

#[tokio::test]
async fn a_text_arrives_as_the_public_contract_says() {
    shop(async |app, alice, bob| {
        let id = bob.sends_text(alice.number(), "Hello, shop").await.unwrap();
        let event = app.webhook.next().await.event();
        let moment = event["timestamp"].as_str().unwrap();
        assert!(moment.parse::<jiff::Timestamp>().is_ok(), "{moment}");
        insta::assert_json_snapshot!(steady(&event, &[(&id, "[id]")]), @r#"
        {
          "data": {
            "chat": "375440000002@s.whatsapp.net",
            "from": {
              "id": "375440000002@s.whatsapp.net",
              "lid": "100000000000002@lid",
              "name": "Bob",
              "phone": "375440000002"
            },
            "id": "[id]",
            "offline": false,
            "session": "shop",
            "text": {
              "body": "Hello, shop"
            },
            "timestamp": "[moment]",
            "type": "text"
          },
          "timestamp": "[moment]",
          "type": "message.received"
        }
        "#);
    })
    .await;
}

#[tokio::test]
async fn a_post_has_the_headers_of_standard_webhooks() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hi").await.unwrap();
        let post = app.webhook.next().await;
        assert_eq!(post.path, "/hooks/shop");
        assert_eq!(post.headers["content-type"], "application/json");
        let header = |name: &str| post.headers[name].to_str().unwrap();
        assert!(header("webhook-id").starts_with("evt_"));
        header("webhook-timestamp").parse::<i64>().unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_session_says_when_a_message_came_last() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hi").await.unwrap();
        app.webhook.next().await;
        assert!(app.info("shop").await.json()["last_received_at"].is_string());
    })
    .await;
}

#[tokio::test]
async fn a_picture_arrives_with_caption_and_metadata() {
    shop(async |app, alice, bob| {
        bob.sends_image(
            alice.number(),
            b"\xff\xd8\xff\xe0jpeg".to_vec(),
            "image/jpeg",
            Some("look"),
        )
        .await
        .unwrap();
        let image = &app.webhook.next().await.body["data"]["image"];
        insta::assert_json_snapshot!(steady(image, &[]), @r#"
        {
          "caption": "look",
          "duration": null,
          "filename": null,
          "height": null,
          "id": "[media]",
          "mime_type": "image/jpeg",
          "sha256": "195dc2e36f7128a2a49831a8c8e93a098c3f0ba4d9318fb5fd578ac1302bcc7e",
          "size": 8,
          "url": "/v1/media/[media]/content",
          "width": null
        }
        "#);
    })
    .await;
}

#[tokio::test]
async fn people_keep_their_number_when_whatsapp_addresses_them_by_lid() {
    let options = SimulatorOptions {
        addressing: Addressing::Lid,
        ..SimulatorOptions::default()
    };
    Setup::new()
        .simulator(options)
        .shop(async |app, alice, bob| {
            bob.sends_text(alice.number(), "hi").await.unwrap();
            let data = app.webhook.next().await.body["data"].clone();
            assert_eq!(data["chat"], bob.jid());
            assert_eq!(data["from"]["phone"], bob.number());
            assert_eq!(data["from"]["lid"], bob.lid());
        })
        .await;
}

#[tokio::test]
async fn our_own_messages_are_not_forwarded() {
    shop(async |app, alice, bob| {
        app.send("shop", bob.number(), "from the gateway")
            .await
            .expect(200);
        alice
            .sends_text(bob.number(), "from the owner's phone")
            .await
            .unwrap();
        bob.sends_text(alice.number(), "from somebody else")
            .await
            .unwrap();
        // What comes first and alone is what was forwarded.
        assert_eq!(
            app.webhook.next().await.body["data"]["text"]["body"],
            "from somebody else"
        );
    })
    .await;
}

#[tokio::test]
async fn what_whatsapp_repeats_is_forwarded_once() {
    shop(async |app, alice, bob| {
        app.simulator
            .faults()
            .set_delivery_fault(DeliveryFault::Repeat);
        bob.sends_text(alice.number(), "one").await.unwrap();
        bob.sends_text(alice.number(), "two").await.unwrap();
        app.simulator
            .faults()
            .set_delivery_fault(DeliveryFault::None);
        bob.sends_text(alice.number(), "three").await.unwrap();
        for text in ["one", "two", "three"] {
            assert_eq!(app.webhook.next().await.body["data"]["text"]["body"], text);
        }
    })
    .await;
}

#[tokio::test]
async fn messages_of_a_chat_keep_their_order() {
    shop(async |app, alice, bob| {
        for number in 0..30 {
            bob.sends_text(alice.number(), &number.to_string())
                .await
                .unwrap();
        }
        for number in 0..30 {
            assert_eq!(
                app.webhook.next().await.body["data"]["text"]["body"],
                number.to_string()
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_webhook_that_is_down_gets_the_message_when_it_is_back() {
    shop(async |app, alice, bob| {
        app.webhook.answer(500);
        bob.sends_text(alice.number(), "hi").await.unwrap();
        let first = app.webhook.refusals(1).await.remove(0);
        app.webhook.answer(302);
        app.while_time_passes(async || app.webhook.refused().get(1).map(drop))
            .await;
        app.webhook.answer(200);
        app.while_time_passes(async || app.webhook.taken(1)).await;
        let taken = app.webhook.next().await;
        assert_eq!(taken.headers["webhook-id"], first.headers["webhook-id"]);
        assert_eq!(taken.body, first.body);
    })
    .await;
}

#[tokio::test]
async fn one_slow_chat_holds_nobody_else() {
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        app.webhook.hold(&bob.jid());
        bob.sends_text(alice.number(), "slow").await.unwrap();
        carol.sends_text(alice.number(), "quick").await.unwrap();
        assert_eq!(
            app.webhook.next().await.body["data"]["text"]["body"],
            "quick"
        );
        app.webhook.let_go();
        assert_eq!(
            app.webhook.next().await.body["data"]["text"]["body"],
            "slow"
        );
    })
    .await;
}

#[tokio::test]
async fn what_waited_while_we_were_away_says_so() {
    shop(async |app, alice, bob| {
        let stopped = app.stop().await;
        bob.sends_text(alice.number(), "are you there?")
            .await
            .unwrap();
        stopped.start().await;
        let data = app.webhook.next().await.body["data"].clone();
        assert_eq!(data["text"]["body"], "are you there?");
        assert_eq!(data["offline"], true);
    })
    .await;
}

#[tokio::test]
async fn in_dev_the_webhooks_certificate_is_not_verified() {
    let made = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    wapi::net::tls::install_crypto();
    let tls = axum_server::tls_rustls::RustlsConfig::from_pem(certificate.into(), key.into())
        .await
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let secure = TestReceiver::on(listener, Some(tls)).await;
    Setup::new()
        .set("WAPI_ENV", "dev")
        .set(
            "WAPI_GETTING_MESSAGES_WEBHOOK",
            secure.base().replace("http://", "https://"),
        )
        .shop(async |_, alice, bob| {
            bob.sends_text(alice.number(), "hi").await.unwrap();
            assert_eq!(secure.next().await.body["data"]["text"]["body"], "hi");
        })
        .await;
}

#[tokio::test]
async fn a_flood_from_many_chats_arrives_once_each_and_in_order() {
    const CHATS: usize = 20;
    const EACH: usize = 30;
    shop(async |app, alice, _| {
        let senders: Vec<_> = (0..CHATS)
            .map(|number| app.phone(&format!("Sender {number}")))
            .collect();
        for number in 0..EACH {
            for sender in &senders {
                sender
                    .sends_text(alice.number(), &number.to_string())
                    .await
                    .unwrap();
            }
        }
        let mut next = std::collections::BTreeMap::<String, usize>::new();
        for _ in 0..CHATS * EACH {
            let data = app.webhook.next().await.body["data"].take();
            let expected = next
                .entry(data["chat"].as_str().unwrap().to_owned())
                .or_default();
            assert_eq!(
                data["text"]["body"],
                expected.to_string(),
                "in {}",
                data["chat"]
            );
            *expected += 1;
        }
        // `run_program` fails on a post that nobody read, so nothing came twice.
    })
    .await;
}
