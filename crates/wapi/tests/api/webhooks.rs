//! Incoming messages, posted to the operator's webhook.

use std::time::Duration;

use wapi_simulator::{Addressing, DeliveryFault, SimulatorOptions};

use crate::harness::{Setup, TestApp, TestReceiver};

#[tokio::test]
async fn a_text_arrives_as_the_public_contract_says() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let id = bob.sends_text(alice.number(), "Hello, shop").await.unwrap();

    let delivery = app.webhook.next().await;
    assert_eq!(delivery.path, "/hooks/shop");
    assert_eq!(delivery.headers["content-type"], "application/json");
    assert!(
        delivery.headers["webhook-id"]
            .to_str()
            .unwrap()
            .starts_with("evt_")
    );
    delivery.headers["webhook-timestamp"]
        .to_str()
        .unwrap()
        .parse::<i64>()
        .unwrap();
    let event = delivery.body;
    assert_eq!(event["type"], "message.received");
    assert!(
        event["timestamp"].as_str().unwrap().ends_with('Z'),
        "{event}"
    );
    let data = &event["data"];
    assert_eq!(data["session"], "shop");
    assert_eq!(data["id"], id);
    assert_eq!(data["chat"], bob.jid());
    assert_eq!(data["type"], "text");
    assert_eq!(data["text"]["body"], "Hello, shop");
    assert_eq!(data["offline"], false);
    assert_eq!(data["from"]["id"], bob.jid());
    assert_eq!(data["from"]["phone"], bob.number());
    assert_eq!(data["from"]["name"], "Bob");
    assert!(app.info("shop").await.json()["last_received_at"].is_string());
    app.finish().await;
}

#[tokio::test]
async fn a_picture_arrives_with_caption_and_metadata() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    bob.sends_image(
        alice.number(),
        b"\xff\xd8\xff\xe0jpeg".to_vec(),
        "image/jpeg",
        Some("look"),
    )
    .await
    .unwrap();
    let data = app.webhook.next().await.body["data"].clone();
    assert_eq!(data["type"], "image");
    assert_eq!(data["image"]["caption"], "look");
    assert_eq!(data["image"]["mime_type"], "image/jpeg");
    assert_eq!(data["image"]["size"], 8);
    assert_eq!(data["image"]["sha256"].as_str().unwrap().len(), 64);
    app.finish().await;
}

#[tokio::test]
async fn people_keep_their_number_when_whatsapp_addresses_them_by_lid() {
    let options = SimulatorOptions {
        addressing: Addressing::Lid,
        ..SimulatorOptions::default()
    };
    let app = Setup::new().simulator(options).start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    bob.sends_text(alice.number(), "hi").await.unwrap();
    let data = app.webhook.next().await.body["data"].clone();
    assert_eq!(data["chat"], bob.jid());
    assert_eq!(data["from"]["phone"], bob.number());
    assert_eq!(data["from"]["lid"], bob.lid());
    app.finish().await;
}

#[tokio::test]
async fn our_own_messages_are_not_forwarded() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
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
    app.finish().await;
}

#[tokio::test]
async fn what_whatsapp_repeats_is_forwarded_once() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
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
    app.finish().await;
}

#[tokio::test]
async fn messages_of_a_chat_keep_their_order() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
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
    app.finish().await;
}

#[tokio::test]
async fn a_webhook_that_is_down_gets_the_message_when_it_is_back() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    app.webhook.answer(500);
    bob.sends_text(alice.number(), "hi").await.unwrap();
    let first = app.webhook.refusals(1).await.remove(0);
    app.webhook.answer(302);
    app.push_clock(Duration::from_secs(60));
    app.webhook.refusals(2).await;
    app.webhook.answer(200);
    app.push_clock(Duration::from_secs(60));
    let taken = app.webhook.next().await;
    assert_eq!(taken.headers["webhook-id"], first.headers["webhook-id"]);
    assert_eq!(taken.body, first.body);
    app.finish().await;
}

#[tokio::test]
async fn one_slow_chat_holds_nobody_else() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = (app.phone("Alice"), app.phone("Bob"), app.phone("Carol"));
    app.pair("shop", &alice).await;
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
    app.finish().await;
}

#[tokio::test]
async fn what_waited_while_we_were_away_says_so() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let stopped = app.stop().await;
    bob.sends_text(alice.number(), "are you there?")
        .await
        .unwrap();
    let app = stopped.start().await;
    let data = app.webhook.next().await.body["data"].clone();
    assert_eq!(
        (data["text"]["body"].as_str(), data["offline"].as_bool()),
        (Some("are you there?"), Some(true))
    );
    app.finish().await;
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
    let app = Setup::new()
        .set("WAPI_ENV", "dev")
        .set(
            "WAPI_GETTING_MESSAGES_WEBHOOK",
            secure.base().replace("http://", "https://"),
        )
        .start()
        .await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    bob.sends_text(alice.number(), "hi").await.unwrap();
    assert_eq!(secure.next().await.body["data"]["text"]["body"], "hi");
    app.finish().await;
}

#[tokio::test]
async fn a_flood_from_many_chats_arrives_once_each_and_in_order() {
    const CHATS: usize = 20;
    const EACH: usize = 30;
    let app = TestApp::start().await;
    let alice = app.phone("Alice");
    app.pair("shop", &alice).await;
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
    app.finish().await;
}
