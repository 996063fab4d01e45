//! What an account shows of itself, and what it sees of others.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use reqwest::Method;
use serde_json::{Value, json};
use wapi_simulator::{BusinessHours, BusinessProfile, Phone, PhoneActivity};

use crate::harness::{Answer, TestApp, TestReceiver, eventually};
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
    assert_eq!(alice.name().as_str(), "Алиса 🌷");
    assert_eq!(alice.about().as_str(), "at the sea");
    assert_eq!(
        alice.push_name().as_deref(),
        Some("Алиса 🌷"),
        "her other devices learn it, too"
    );
    let shown = app.get(PROFILE).await.expect(200).json();
    assert_eq!(shown["name"], "Алиса 🌷");
    assert_eq!(shown["about"], "at the sea");
    assert_eq!(app.info("shop").await.json()["account"]["name"], "Алиса 🌷");
    // A name is told as part of being there, which the phone's owner need not be.
    let away = PhoneActivity::Presence {
        from: alice.jid(),
        available: false,
    };
    let is_away = async || (bob.shown_activity().last() == Some(&away)).then_some(());
    eventually(is_away, async || format!("{:?}", bob.shown_activity())).await;

    app.put(PROFILE, json!({"about": "back"})).await.expect(204);
    assert_eq!(alice.name().as_str(), "Алиса 🌷");
    assert_eq!(alice.about().as_str(), "back");
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

async fn set_picture(app: &TestApp, body: Vec<u8>, kind: &str) -> Answer {
    let call = app
        .request(Method::PUT, &format!("{PROFILE}/picture"))
        .header("content-type", kind)
        .body(body);
    app.answer(call).await
}

/// The account shows a square JPEG of this side, which the gateway hands out; its id.
async fn assert_shown(app: &TestApp, alice: &Phone, side: u32) -> String {
    let shown = alice.picture().expect("a picture");
    let jpeg = image::load_from_memory_with_format(&shown.full, ImageFormat::Jpeg).unwrap();
    assert_eq!(jpeg.width(), side);
    assert_eq!(jpeg.height(), side);
    let profile = app.get(PROFILE).await.expect(200).json();
    assert_eq!(profile["picture"]["id"], shown.id);
    let same = app
        .get(profile["picture"]["url"].as_str().unwrap())
        .await
        .expect(200);
    assert_eq!(same.body, shown.full);
    shown.id
}

#[tokio::test]
async fn a_large_picture_is_shown_as_a_square_jpeg_of_640_pixels() {
    let (app, alice, _) = alice_and_bob().await;
    let png = picture(900, 700, [250, 10, 10], ImageFormat::Png);
    set_picture(&app, png, "image/png").await.expect(204);
    assert_shown(&app, &alice, 640).await;
    app.finish().await;
}

#[tokio::test]
async fn a_small_picture_is_cut_to_a_square() {
    let (app, alice, _) = alice_and_bob().await;
    let jpeg = picture(300, 400, [0, 0, 0], ImageFormat::Jpeg);
    set_picture(&app, jpeg, "image/jpeg").await.expect(204);
    assert_shown(&app, &alice, 300).await;
    app.finish().await;
}

#[tokio::test]
async fn a_file_that_was_uploaded_becomes_the_picture() {
    let (app, alice, _) = alice_and_bob().await;
    let png = picture(900, 700, [250, 10, 10], ImageFormat::Png);
    let uploaded = upload(&app, "shop", "; filename=\"a.png\"", &png).await;
    let body = json!({"id": uploaded["id"]});
    app.put(&format!("{PROFILE}/picture"), body)
        .await
        .expect(204);
    assert_shown(&app, &alice, 640).await;
    app.finish().await;
}

#[tokio::test]
async fn a_file_behind_a_link_becomes_the_picture() {
    let (app, alice, _) = alice_and_bob().await;
    let file = async || picture(200, 300, [1, 2, 3], ImageFormat::Png);
    let files = TestReceiver::serve(
        std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
        axum::Router::new().route("/a.png", axum::routing::get(file)),
    );
    let body = json!({"link": format!("{files}/a.png")});
    app.put(&format!("{PROFILE}/picture"), body)
        .await
        .expect(204);
    assert_shown(&app, &alice, 200).await;
    app.finish().await;
}

#[tokio::test]
async fn a_file_of_a_form_becomes_the_picture() {
    let (app, alice, _) = alice_and_bob().await;
    let form = [
        b"--line\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n",
        &picture(250, 260, [1, 2, 3], ImageFormat::WebP)[..],
        b"\r\n--line--\r\n",
    ]
    .concat();
    set_picture(&app, form, "multipart/form-data; boundary=line")
        .await
        .expect(204);
    assert_shown(&app, &alice, 250).await;
    app.finish().await;
}

#[tokio::test]
async fn each_picture_has_an_id_of_its_own() {
    let (app, alice, _) = alice_and_bob().await;
    let mut ids = std::collections::BTreeSet::new();
    for side in [100, 200, 300] {
        let jpeg = picture(side, side, [0, 0, 0], ImageFormat::Jpeg);
        set_picture(&app, jpeg, "image/jpeg").await.expect(204);
        ids.insert(alice.picture().expect("a picture").id);
    }
    assert_eq!(ids.len(), 3);
    app.finish().await;
}

#[tokio::test]
async fn what_cannot_be_a_picture_is_refused_by_name() {
    let (app, ..) = alice_and_bob().await;
    let refused = set_picture(&app, b"no picture".to_vec(), "image/png").await;
    assert_eq!(refused.expect(400).fields(), ["body"]);
    let large = set_picture(&app, vec![0; 17 << 20], "image/png").await;
    large.expect(413);
    let put = async |body: Value| app.put(&format!("{PROFILE}/picture"), body).await;
    let unknown = put(json!({"id": "med_0"})).await.expect(404);
    assert_eq!(unknown.code(), "media_not_found");
    assert_eq!(put(json!({})).await.expect(400).fields(), ["id"]);
    let both = json!({"id": "med_0", "link": "https://example.com/a.png"});
    assert_eq!(put(both).await.expect(400).fields(), ["id"]);
    let link = json!({"link": "ftp://example.com"});
    assert_eq!(put(link).await.expect(400).fields(), ["link"]);
    app.finish().await;
}

#[tokio::test]
async fn a_picture_is_taken_down() {
    let (app, alice, _) = alice_and_bob().await;
    let route = format!("{PROFILE}/picture");
    let jpeg = picture(300, 300, [0, 0, 0], ImageFormat::Jpeg);
    set_picture(&app, jpeg, "image/jpeg").await.expect(204);
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
    assert_eq!(shown["contact"], person, "{shown}");
    assert_eq!(shown["picture"]["id"], id, "{shown}");
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
    let (mut app, alice, bob) = alice_and_bob().await;
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
    app.restart().await;
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
        assert_eq!(shown.headers["content-type"], "image/jpeg");
        assert_eq!(shown.body, jpeg);
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

#[tokio::test]
async fn the_profile_of_a_business_is_shown() {
    let (app, _, bob) = alice_and_bob().await;
    let route = format!("/v1/sessions/shop/contacts/{}/business", bob.number());
    assert_eq!(
        app.get(&route).await.expect(404).code(),
        "business_not_found"
    );
    bob.becomes_business(&BusinessProfile {
        description: "Bread".to_owned(),
        address: "Baker Street".to_owned(),
        websites: vec!["https://example.org/".to_owned()],
        categories: vec![("133436743388217".to_owned(), "Bakery".to_owned())],
        timezone: "Europe/Minsk".to_owned(),
        hours: vec![
            BusinessHours {
                day: "mon".to_owned(),
                mode: "specific_hours".to_owned(),
                open: Some((480, 1080)),
            },
            BusinessHours {
                day: "sun".to_owned(),
                mode: "open_24h".to_owned(),
                open: None,
            },
        ],
        ..BusinessProfile::default()
    });
    let expected = json!({
        "description": "Bread", "address": "Baker Street", "email": null,
        "websites": ["https://example.org/"],
        "categories": [{"id": "133436743388217", "name": "Bakery"}],
        "timezone": "Europe/Minsk",
        "hours": [
            {"day": "mon", "mode": "specific_hours", "open": 480, "close": 1080},
            {"day": "sun", "mode": "open_24h", "open": null, "close": null},
        ],
    });
    assert_eq!(app.get(&route).await.expect(200).json(), expected);
    app.finish().await;
}

#[tokio::test]
async fn the_devices_of_the_account_are_listed() {
    let (app, alice, _) = alice_and_bob().await;
    app.pair("bar", &alice).await;
    let listed = async |session: &str| {
        let list = app.get(&format!("/v1/sessions/{session}/devices")).await;
        list.expect(200).json()["devices"].clone()
    };
    let devices: Vec<u16> = alice.linked_devices().iter().map(|it| it.device).collect();
    let expected = |own: u16| {
        let device =
            |number: u16| json!({"device": number, "phone": number == 0, "this": number == own});
        json!([device(0), device(devices[0]), device(devices[1])])
    };
    assert_eq!(listed("shop").await, expected(devices[0]));
    assert_eq!(listed("bar").await, expected(devices[1]));
    app.finish().await;
}
