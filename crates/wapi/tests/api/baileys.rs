//! The gateway and a client that others wrote: each decrypts what the other encrypted.

use serde_json::json;

use crate::harness::{Baileys, PATIENCE, Setup, TestApp};
use wapi_simulator::{Addressing, SimulatorOptions};

/// Not a picture, but neither side looks: what counts is that every byte comes through two ciphers.
fn picture() -> Vec<u8> {
    let png = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
    png.into_iter()
        .chain((0..70_000u32).map(|byte| (byte % 251) as u8))
        .collect()
}

async fn talk(app: TestApp) {
    let (alice, ann) = (app.phone("Alice"), app.phone("Ann"));
    let Some(mut baileys) = Baileys::start(&app.simulator, "Ann") else {
        return app.finish().await;
    };
    app.pair("shop", &alice).await;
    baileys.pair(&ann).await;

    for round in 0..2 {
        let text = format!("from wapi, {round} 🐙");
        let sent = app
            .send("shop", ann.number(), &text)
            .await
            .expect(200)
            .json();
        let message = baileys.next("message").await;
        assert_eq!(message["text"], text);
        assert_eq!(message["id"], sent["id"]);

        let text = format!("from Baileys, {round}");
        let sent = baileys
            .command(json!({"op": "send_text", "to": alice.jid(), "text": text}))
            .await;
        let event = app.webhook.next().await.body;
        assert_eq!(event["data"]["text"]["body"], text.as_str());
        assert_eq!(event["data"]["id"], sent["id"]);
        assert_eq!(event["data"]["from"]["phone"], ann.number());
        assert_eq!(event["data"]["from"]["lid"], ann.lid());
    }

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("picture.png");
    std::fs::write(&file, picture()).unwrap();
    let path = file.to_str().unwrap();
    let command = json!({"op": "send_image", "to": alice.jid(), "path": path, "caption": "look"});
    let sent = baileys.command(command).await;
    let event = app.webhook.next().await.body;
    assert_eq!(event["data"]["id"], sent["id"]);
    assert_eq!(event["data"]["type"], "image");
    assert_eq!(event["data"]["image"]["caption"], "look");
    // The account's own phone opened it, with every hash and the MAC checked.
    let opened = alice
        .received_messages()
        .into_iter()
        .find(|message| message.id == sent["id"].as_str().unwrap())
        .unwrap();
    assert_eq!(opened.media.unwrap().bytes, picture());

    let files = axum::Router::new().route(
        "/picture.png",
        axum::routing::get(async || ([(axum::http::header::CONTENT_TYPE, "image/png")], picture())),
    );
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = crate::harness::TestReceiver::serve(listener, files);
    let body = json!({
        "session_name": "shop", "chat_id": ann.jid(), "image_url": format!("{base}/picture.png"), "caption": "yours",
    });
    app.post("/send-image/", body).await.expect(200);
    let message = baileys.next("message").await;
    assert_eq!(message["type"], "image");
    assert_eq!(message["caption"], "yours");
    assert_eq!(message["media"]["bytes"], picture().len());
    assert_eq!(message["media"]["error"], json!(null));
    // Ann's phone has all of it as well.
    for _ in 0..6 {
        ann.next_message(PATIENCE).await.unwrap();
    }
    assert_eq!(ann.failures(), Vec::<String>::new());
    assert_eq!(alice.failures(), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test]
async fn wapi_and_baileys_exchange_texts_and_pictures_both_ways() {
    talk(TestApp::start().await).await;
}

#[tokio::test]
async fn wapi_and_baileys_talk_by_lid_as_well() {
    let options = SimulatorOptions {
        addressing: Addressing::Lid,
        ..SimulatorOptions::default()
    };
    talk(Setup::new().simulator(options).start().await).await;
}

/// A group of three: the gateway, Baileys, and a phone of the simulator's own.
async fn talk_in_a_group(addressing: Addressing) {
    let options = SimulatorOptions {
        addressing,
        ..SimulatorOptions::default()
    };
    let app = Setup::new().simulator(options).start().await;
    let [alice, ann, bob] = ["Alice", "Ann", "Bob"].map(|name| app.phone(name));
    let Some(mut baileys) = Baileys::start(&app.simulator, "Ann") else {
        return app.finish().await;
    };
    app.pair("shop", &alice).await;
    baileys.pair(&ann).await;
    let group = bob.creates_group("three worlds", &[&alice, &ann]).unwrap();
    for round in 0..2 {
        let text = format!("from wapi, {round} 🐙");
        let sent = app.send("shop", &group, &text).await.expect(200).json();
        let message = baileys.next("message").await;
        assert_eq!(message["text"], text);
        assert_eq!(message["id"], sent["id"]);
        assert_eq!(message["chat"], group);
        assert_eq!(message["from_me"], false);

        let text = format!("from Baileys, {round}");
        let sent = baileys
            .command(json!({"op": "send_text", "to": group, "text": text}))
            .await;
        let event = app.webhook.next().await.body;
        assert_eq!(event["data"]["text"]["body"], text.as_str());
        assert_eq!(event["data"]["id"], sent["id"]);
        assert_eq!(event["data"]["chat"], group);
        assert_eq!(event["data"]["from"]["phone"], ann.number());
        assert_eq!(event["data"]["from"]["lid"], ann.lid());

        let text = format!("from a phone, {round}");
        bob.sends_text(&group, &text).await.unwrap();
        assert_eq!(baileys.next("message").await["text"], text.as_str());
        assert_eq!(
            app.webhook.next().await.body["data"]["text"]["body"],
            text.as_str()
        );
    }
    // Each of the two hears from the other that it has read.
    let id = app
        .accepted("shop", json!({"to": group, "text": {"body": "read me"}}))
        .await;
    let message = baileys.next("message").await;
    let key = json!({"id": id, "chat": group, "sender": message["sender"]});
    baileys.command(json!({"op": "read", "keys": [key]})).await;
    let story = app.until_message("shop", &id, "read").await;
    let read = story["recipients"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["read_at"].is_string())
        .cloned()
        .unwrap();
    assert_eq!(read["id"], ann.jid());
    for phone in [&alice, &ann, &bob] {
        assert_eq!(phone.failures(), Vec::<String>::new());
    }
    app.finish().await;
}

#[tokio::test]
async fn wapi_baileys_and_a_phone_share_a_group() {
    talk_in_a_group(Addressing::PhoneNumber).await;
}

#[tokio::test]
async fn wapi_baileys_and_a_phone_share_a_group_by_lid() {
    talk_in_a_group(Addressing::Lid).await;
}
