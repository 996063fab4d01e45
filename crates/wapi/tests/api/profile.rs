//! What an account shows of itself, and what it sees of others.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use reqwest::Method;
use serde_json::{Value, json};
use wapi_simulator::{Phone, PhoneActivity};

use crate::harness::{TestApp, TestReceiver, eventually};
use crate::uploads::upload;

const PROFILE: &str = "/v1/sessions/shop/profile";

/// A session of Alice's, and Bob.
async fn alice_and_bob() -> (TestApp, Phone, Phone) {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    (app, alice, bob)
}

/// A picture of one colour.
pub fn picture(width: u32, height: u32, colour: [u8; 3], format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(width, height, Rgb(colour))
        .write_to(&mut bytes, format)
        .unwrap();
    bytes.into_inner()
}

fn picture_of(whom: &str) -> String {
    format!("/v1/sessions/shop/contacts/{whom}/picture")
}

#[tokio::test]
async fn a_name_and_an_about_text_are_changed_for_everybody() {
    let (app, alice, bob) = alice_and_bob().await;
    let own = json!({"id": alice.jid(), "phone": alice.number(), "lid": alice.lid(), "name": "Alice", "about": null, "picture": null});
    assert_eq!(app.get(PROFILE).await.expect(200).json(), own);
    bob.watches_presence(alice.number()).unwrap();

    app.put(PROFILE, json!({"name": "Алиса 🌷", "about": "at the sea"}))
        .await
        .expect(204);
    assert_eq!(
        (alice.name().as_str(), alice.about().as_str()),
        ("Алиса 🌷", "at the sea")
    );
    assert_eq!(
        alice.push_name().as_deref(),
        Some("Алиса 🌷"),
        "her other devices learn it, too"
    );
    let shown = app.get(PROFILE).await.expect(200).json();
    assert_eq!(
        (&shown["name"], &shown["about"]),
        (&json!("Алиса 🌷"), &json!("at the sea"))
    );
    assert_eq!(app.info("shop").await.json()["account"]["name"], "Алиса 🌷");
    // A name is told as part of being there, which the phone's owner need not be.
    let away = PhoneActivity::Presence {
        from: alice.jid(),
        available: false,
    };
    let is_away = async || (bob.shown_activity().last() == Some(&away)).then_some(());
    eventually(is_away, async || format!("{:?}", bob.shown_activity())).await;

    app.put(PROFILE, json!({"about": "back"})).await.expect(204);
    assert_eq!(
        (alice.name().as_str(), alice.about().as_str()),
        ("Алиса 🌷", "back")
    );
    alice.sets_about("set on the phone");
    assert_eq!(
        app.get(PROFILE).await.expect(200).json()["about"],
        "set on the phone"
    );
    for (body, fields) in [
        (json!({}), vec!["name"]),
        (json!({"name": ""}), vec!["name"]),
        (
            json!({"name": "x".repeat(26), "about": "x".repeat(140)}),
            vec!["name", "about"],
        ),
        (json!({"name": 7, "abuot": "x"}), vec!["name", "abuot"]),
    ] {
        assert_eq!(
            app.put(PROFILE, body.clone()).await.expect(400).fields(),
            fields,
            "{body}"
        );
    }
    app.put(
        PROFILE,
        json!({"name": "é".repeat(25), "about": "é".repeat(139)}),
    )
    .await
    .expect(204);
    app.finish().await;
}

#[tokio::test]
async fn a_picture_is_shown_as_a_square_jpeg_whatever_form_it_comes_in() {
    let (app, alice, _) = alice_and_bob().await;
    let route = format!("{PROFILE}/picture");
    let png = picture(900, 700, [250, 10, 10], ImageFormat::Png);
    let uploaded = upload(&app, "shop", "; filename=\"a.png\"", &png).await;
    let set = async |body: Vec<u8>, kind: &str| {
        let call = app
            .request(Method::PUT, &route)
            .header("content-type", kind)
            .body(body);
        app.answer(call).await
    };
    let mut ids = Vec::new();
    for (body, kind, side) in [
        (png.clone(), "image/png", 640),
        (
            picture(300, 400, [0, 0, 0], ImageFormat::Jpeg),
            "image/jpeg",
            300,
        ),
        (
            json!({"id": uploaded["id"]}).to_string().into_bytes(),
            "application/json",
            640,
        ),
    ] {
        set(body, kind).await.expect(204);
        let shown = alice.picture().expect("a picture");
        let jpeg = image::load_from_memory_with_format(&shown.full, ImageFormat::Jpeg).unwrap();
        assert_eq!((jpeg.width(), jpeg.height()), (side, side), "{kind}");
        let profile = app.get(PROFILE).await.expect(200).json();
        assert_eq!(profile["picture"]["id"], shown.id);
        let same = app
            .get(profile["picture"]["url"].as_str().unwrap())
            .await
            .expect(200);
        assert_eq!(same.body, shown.full);
        ids.push(shown.id);
    }
    let files = TestReceiver::serve(
        std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
        axum::Router::new().route(
            "/a.png",
            axum::routing::get(async || picture(200, 300, [1, 2, 3], ImageFormat::Png)),
        ),
    );
    app.put(&route, json!({"link": format!("{files}/a.png")}))
        .await
        .expect(204);
    let shown = image::load_from_memory(&alice.picture().unwrap().full).unwrap();
    assert_eq!((shown.width(), shown.height()), (200, 200));
    let form = "--line\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n".as_bytes();
    let form = [
        form,
        &picture(250, 260, [1, 2, 3], ImageFormat::WebP),
        b"\r\n--line--\r\n",
    ]
    .concat();
    set(form, "multipart/form-data; boundary=line")
        .await
        .expect(204);
    assert_eq!(
        image::load_from_memory(&alice.picture().unwrap().full)
            .unwrap()
            .width(),
        250
    );
    ids.dedup();
    assert_eq!(ids.len(), 3, "each has an id of its own");
    assert_eq!(
        set(b"no picture".to_vec(), "image/png")
            .await
            .expect(400)
            .fields(),
        ["body"]
    );
    assert_eq!(
        app.put(&route, json!({"id": "med_0"}))
            .await
            .expect(404)
            .code(),
        "media_not_found"
    );
    assert_eq!(
        app.put(&route, json!({})).await.expect(400).fields(),
        ["id"]
    );
    let both = json!({"id": uploaded["id"], "link": "https://example.com/a.png"});
    assert_eq!(app.put(&route, both).await.expect(400).fields(), ["id"]);
    assert_eq!(
        app.put(&route, json!({"link": "ftp://example.com"}))
            .await
            .expect(400)
            .fields(),
        ["link"]
    );
    set(vec![0; 17 << 20], "image/png").await.expect(413);
    app.delete(&route).await.expect(204);
    assert_eq!(alice.picture(), None);
    assert_eq!(
        app.get(PROFILE).await.expect(200).json()["picture"],
        Value::Null
    );
    app.delete(&route).await.expect(204);
    app.finish().await;
}

#[tokio::test]
async fn what_others_change_of_their_profile_is_told() {
    let (app, alice, bob) = alice_and_bob().await;
    bob.sends_text(alice.number(), "hi").await.unwrap();
    app.webhook.next().await;
    let id = bob
        .shows_picture(picture(300, 300, [10, 10, 250], ImageFormat::Jpeg))
        .unwrap();
    bob.sets_about("at the sea");
    bob.removes_picture();
    let told = app.events("contact.updated", 3).await;
    let shown = &told[0]["data"];
    let person = json!({"id": bob.jid(), "phone": bob.number(), "lid": bob.lid(), "name": null});
    assert_eq!(
        (&shown["contact"], &shown["picture"]["id"]),
        (&person, &json!(id)),
        "{shown}"
    );
    assert_eq!(shown["picture"]["url"], picture_of(&bob.jid()));
    assert_eq!(
        told[1]["data"],
        json!({"session": "shop", "contact": person, "about": "at the sea"})
    );
    assert_eq!(
        told[2]["data"],
        json!({"session": "shop", "contact": person, "picture": null})
    );
    app.finish().await;
}

#[tokio::test]
async fn a_name_that_comes_with_a_message_is_told_once_when_it_is_another() {
    let (app, alice, bob) = alice_and_bob().await;
    let group = bob.creates_group("club", &[&alice]).unwrap();
    let says = async |app: &TestApp, chat: &str| {
        bob.sends_text(chat, "hi").await.unwrap();
        app.webhook.next().await.body["data"]["from"]["name"].clone()
    };
    assert_eq!(
        says(&app, alice.number()).await,
        "Bob",
        "nobody has another name who had none"
    );
    bob.sets_push_name("Bobby").unwrap();
    assert_eq!(says(&app, &group).await, "Bobby");
    assert_eq!(says(&app, alice.number()).await, "Bobby");
    bob.sets_push_name("Robert").unwrap();
    // What was told last is known after a restart, too.
    app.get("/v1/sessions/shop/contacts").await.expect(200);
    let app = app.restart().await;
    app.until("shop", "online").await;
    assert_eq!(says(&app, alice.number()).await, "Robert");
    assert_eq!(says(&app, &group).await, "Robert");
    bob.sets_push_name("Bob").unwrap();
    says(&app, alice.number()).await;
    let told = app.events("contact.updated", 3).await;
    let names: Vec<_> = told
        .iter()
        .map(|event| event["data"]["name"].clone())
        .collect();
    assert_eq!(names, ["Bobby", "Robert", "Bob"]);
    assert_eq!(told[0]["data"]["contact"]["name"], "Bobby");
    let contact = app
        .get(&format!("/v1/sessions/shop/contacts/{}", bob.number()))
        .await
        .expect(200)
        .json();
    assert_eq!(contact["name"], "Bob");
    app.finish().await;
}

#[tokio::test]
async fn a_session_that_begins_anew_knows_nobodys_name() {
    let (app, alice, bob) = alice_and_bob().await;
    bob.sends_text(alice.number(), "hi").await.unwrap();
    app.webhook.next().await;
    app.delete("/v1/sessions/shop?logout=true")
        .await
        .expect(204);
    app.pair("shop", &alice).await;
    for name in ["Bobby", "Robert"] {
        bob.sets_push_name(name).unwrap();
        bob.sends_text(alice.number(), "hi").await.unwrap();
        assert_eq!(app.webhook.next().await.body["data"]["from"]["name"], name);
    }
    let told = app.events("contact.updated", 1).await;
    let names: Vec<_> = told
        .iter()
        .map(|event| event["data"]["name"].clone())
        .collect();
    assert_eq!(names, ["Robert"], "only the second is another one");
    app.finish().await;
}

#[tokio::test]
async fn pictures_of_others_are_had_unless_they_hide_them() {
    let (app, alice, bob) = alice_and_bob().await;
    let none = app.get(&picture_of(bob.number())).await.expect(404);
    assert_eq!(none.code(), "picture_not_found");
    let jpeg = picture(500, 500, [10, 10, 250], ImageFormat::Jpeg);
    let id = bob.shows_picture(jpeg.clone()).unwrap();
    for whom in [bob.number().to_owned(), bob.jid(), bob.lid()] {
        let shown = app.get(&picture_of(&whom)).await.expect(200);
        assert_eq!(
            (&shown.headers["content-type"], &shown.body),
            (&"image/jpeg".parse().unwrap(), &jpeg)
        );
        assert_eq!(shown.headers["etag"], format!("\"{id}\""));
    }
    let preview = app
        .get(&format!("{}?size=preview", picture_of(bob.number())))
        .await
        .expect(200);
    assert_eq!(image::load_from_memory(&preview.body).unwrap().width(), 96);
    assert!(preview.body.len() < jpeg.len());
    let known = app
        .request(Method::GET, &picture_of(bob.number()))
        .header("if-none-match", format!("\"{id}\""));
    app.answer(known).await.expect(304);

    bob.hides_picture(true);
    assert_eq!(
        app.get(&picture_of(bob.number())).await.expect(404).code(),
        "picture_not_found"
    );
    bob.hides_picture(false);
    bob.blocks_contact(alice.number(), true).unwrap();
    assert_eq!(
        app.get(&picture_of(bob.number())).await.expect(404).code(),
        "picture_not_found"
    );
    bob.blocks_contact(alice.number(), false).unwrap();
    app.get(&picture_of(bob.number())).await.expect(200);
    assert_eq!(
        app.get(&picture_of("nobody")).await.expect(400).fields(),
        ["contact"]
    );
    assert_eq!(
        app.get(&format!("{}?size=huge", picture_of(bob.number())))
            .await
            .expect(400)
            .fields(),
        ["size"]
    );
    let unpaired = app
        .get("/v1/sessions/nowhere/contacts/375447034810/picture")
        .await
        .expect(404);
    assert_eq!(unpaired.code(), "session_not_found");
    app.finish().await;
}
