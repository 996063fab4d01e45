//! Profiles and block lists with a client that others wrote: beside the gateway on the same account, and at the other end.

use image::ImageFormat;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wapi_simulator::{Addressing, SimulatorOptions};

use crate::harness::{Baileys, Setup, TestApp, gateway};
use crate::profile::picture;

/// What a picture looks like to somebody who has downloaded it.
fn digest(jpeg: &[u8]) -> Value {
    let sha256: String = Sha256::digest(jpeg)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    json!({"sha256": sha256, "bytes": jpeg.len()})
}

async fn profiles(app: TestApp) {
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    let Some(mut baileys) = Baileys::start(&app.simulator, "Bob") else {
        return app.finish().await;
    };
    app.pair("shop", &alice).await;
    baileys.pair(&bob).await;
    bob.sends_text(alice.number(), "hi").await.unwrap();
    app.webhook.next().await;

    // The gateway's, seen by Baileys.
    app.put("/v1/sessions/shop/profile", json!({"about": "at the sea"}))
        .await
        .expect(204);
    let red = picture(400, 400, [250, 10, 10], ImageFormat::Jpeg);
    let call = app.request(reqwest::Method::PUT, "/v1/sessions/shop/profile/picture");
    app.answer(call.header("content-type", "image/jpeg").body(red))
        .await
        .expect(204);
    let shown = alice.picture().unwrap();
    assert_eq!(baileys.next("picture").await["change"], "changed");
    let seen = baileys
        .command(json!({"op": "profile", "of": alice.jid()}))
        .await;
    assert_eq!(seen["about"], "at the sea");
    assert_eq!(seen["picture"], digest(&shown.full));
    app.delete("/v1/sessions/shop/profile/picture")
        .await
        .expect(204);
    assert_eq!(baileys.next("picture").await["change"], "removed");
    let seen = baileys
        .command(json!({"op": "profile", "of": alice.jid()}))
        .await;
    assert_eq!(seen["picture"], Value::Null);

    // Baileys' own, seen by the gateway.
    let blue = picture(300, 300, [10, 10, 250], ImageFormat::Jpeg);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &blue).unwrap();
    let change = json!({"op": "set_profile", "about": "by Baileys", "picture": file.path()});
    baileys.command(change).await;
    assert_eq!(bob.about().as_str(), "by Baileys");
    assert_eq!(bob.picture().unwrap().full, blue);
    let told = app.events("contact.updated", 2).await;
    assert_eq!(told[0]["data"]["about"], "by Baileys");
    let shown = app
        .get(told[1]["data"]["picture"]["url"].as_str().unwrap())
        .await
        .expect(200);
    assert_eq!(shown.body, blue);
    baileys
        .command(json!({"op": "set_profile", "picture": null}))
        .await;
    assert_eq!(
        app.events("contact.updated", 3).await[2]["data"]["picture"],
        Value::Null
    );
    app.get(&format!(
        "/v1/sessions/shop/contacts/{}/picture",
        bob.number()
    ))
    .await
    .expect(404);
    app.finish().await;
}

#[tokio::test]
async fn profiles_are_seen_both_ways() {
    profiles(TestApp::start().await).await;
}

#[tokio::test]
async fn profiles_are_seen_both_ways_by_lid() {
    let options = SimulatorOptions {
        addressing: Addressing::Lid,
        ..SimulatorOptions::default()
    };
    profiles(Setup::new().simulator(options).start().await).await;
}

#[tokio::test]
async fn whom_one_device_blocks_the_others_do_not_hear() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        let Some(mut baileys) = Baileys::start(&app.simulator, "Alice") else {
            return;
        };
        app.pair("shop", &alice).await;
        baileys.pair(&alice).await;
        bob.sends_text(alice.number(), "hi").await.unwrap();
        app.webhook.next().await;
        baileys.next("message").await;
        let route = format!("/v1/sessions/shop/contacts/{}/block", bob.number());
        app.put(&route, json!({})).await.expect(204);
        let told = baileys.next("blocklist").await;
        assert_eq!(told["people"], json!([bob.lid()]));
        assert_eq!(told["type"], "add");
        assert_eq!(
            baileys.command(json!({"op": "blocked"})).await["people"],
            json!([bob.lid()])
        );
        baileys
            .command(json!({"op": "block", "whom": bob.jid(), "blocked": false}))
            .await;
        let list = app
            .get("/v1/sessions/shop/blocked")
            .await
            .expect(200)
            .json();
        assert_eq!(list, json!({"contacts": []}));
        baileys
            .command(json!({"op": "block", "whom": bob.jid(), "blocked": true}))
            .await;
        let list = app
            .get("/v1/sessions/shop/blocked")
            .await
            .expect(200)
            .json();
        assert_eq!(list["contacts"][0]["phone"], bob.number());
    })
    .await;
}
