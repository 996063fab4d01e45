//! Files that are passed on: what WhatsApp has already goes over the line no second time.

use reqwest::Method;
use serde_json::{Value, json};
use wapi_simulator::{FileKind, MediaFile, Phone};

use crate::harness::{Answer, PATIENCE, Setup, TestApp, eventually, shop};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 not much of a picture, but it begins like one";

/// A message that Bob wrote to the session, and the id of its file.
struct Told {
    message: String,
    file: Option<String>,
}

async fn told(app: &TestApp, from: &Phone, to: &Phone, file: MediaFile) -> Told {
    let message = from.sends_file(to.number(), file).await.unwrap();
    let data = app.webhook.next().await.body["data"].clone();
    let file = data[data["type"].as_str().unwrap()]["id"]
        .as_str()
        .map(str::to_owned);
    Told { message, file }
}

async fn forward(app: &TestApp, told: &Told, from: &Phone, to: &Phone) -> Answer {
    let call = app.request(
        Method::POST,
        &format!("/v1/sessions/shop/messages/{}/forward", told.message),
    );
    app.answer(call.json(&json!({"to": to.jid(), "chat": from.jid()})))
        .await
}

/// What the file is encrypted with, as a phone learnt it.
fn key(phone: &Phone, id: &str) -> Value {
    let message = phone
        .received_messages()
        .into_iter()
        .find(|message| message.id == id)
        .expect("it was received");
    let message = message.to_json();
    let kinds = [
        "image_message",
        "video_message",
        "audio_message",
        "document_message",
        "sticker_message",
    ];
    let key = kinds
        .into_iter()
        .map(|kind| message[kind]["media_key"].clone())
        .find(|key| !key.is_null());
    key.unwrap_or_else(|| panic!("no key in {message}"))
}

async fn status(app: &TestApp, id: &str) -> String {
    let info = app.get(&format!("/v1/media/{id}")).await.expect(200).json();
    info["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn files_of_every_kind_are_passed_on_without_being_downloaded() {
    Setup::new()
        .set("WAPI_MEDIA_DOWNLOAD", "on_demand")
        .gateway(async |app| {
            let [alice, bob, carol] = ["Alice", "Bob", "Carol"].map(|name| app.phone(name));
            app.pair("shop", &alice).await;
            for (kind, mime) in [
                (FileKind::Image, "image/jpeg"),
                (FileKind::Video, "video/quicktime"),
                (FileKind::Audio, "audio/x-something"),
                (FileKind::Voice, "audio/ogg; codecs=opus"),
                (FileKind::Document, "text/html"),
                (FileKind::Sticker, "image/webp"),
            ] {
                let bytes = format!("the bytes of {kind:?}").into_bytes();
                let caption = (kind == FileKind::Image).then(|| "look".to_owned());
                let file = MediaFile {
                    caption: caption.clone(),
                    width: Some(3),
                    ..MediaFile::new(kind, bytes.clone(), mime)
                };
                let told = told(app, &bob, &alice, file).await;
                let sent = forward(app, &told, &bob, &carol).await.expect(200).json();
                let message = carol.next_message(PATIENCE).await.unwrap();
                assert_eq!(message.caption, caption, "{kind:?}");
                assert_eq!(message.media.unwrap().bytes, bytes, "{kind:?}");
                let id = sent["messages"][0]["id"].as_str().unwrap();
                assert_eq!(
                    key(&carol, id),
                    key(&alice, &told.message),
                    "{kind:?} was uploaded again"
                );
                assert_eq!(
                    status(app, told.file.as_ref().unwrap()).await,
                    "remote",
                    "{kind:?} was downloaded"
                );
            }
        })
        .await;
}

#[tokio::test]
async fn what_whatsapp_has_deleted_is_uploaded_again_from_here_or_fetched_from_the_phone() {
    for download in ["eager", "on_demand"] {
        let app = Setup::new()
            .set("WAPI_MEDIA_DOWNLOAD", download)
            .start()
            .await;
        let [alice, bob, carol] = ["Alice", "Bob", "Carol"].map(|name| app.phone(name));
        app.pair("shop", &alice).await;
        let image = told(
            &app,
            &bob,
            &alice,
            MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg"),
        )
        .await;
        let file = image.file.as_ref().unwrap();
        if download == "eager" {
            let is_here = async || (status(&app, file).await == "stored").then_some(());
            eventually(is_here, async || "it was not downloaded".to_owned()).await;
            alice.forgets_files();
        }
        app.simulator.faults().expire_media();
        forward(&app, &image, &bob, &carol).await.expect(200);
        assert_eq!(
            carol.next_media(PATIENCE).await.unwrap().bytes,
            JPEG,
            "{download}"
        );
        assert_eq!(status(&app, file).await, "stored");
        app.finish().await;
    }
}

#[tokio::test]
async fn what_nobody_has_any_more_is_not_passed_on() {
    let app = Setup::new()
        .set("WAPI_MEDIA_DOWNLOAD", "on_demand")
        .start()
        .await;
    let [alice, bob, carol] = ["Alice", "Bob", "Carol"].map(|name| app.phone(name));
    app.pair("shop", &alice).await;
    let lost = told(
        &app,
        &bob,
        &alice,
        MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg"),
    )
    .await;
    app.simulator.faults().expire_media();
    alice.forgets_files();
    let failed = forward(&app, &lost, &bob, &carol).await.expect(502);
    assert_eq!(failed.code(), "media_unavailable");
    assert!(
        failed.json()["detail"]
            .as_str()
            .unwrap()
            .contains("phone does not have it"),
        "{}",
        failed.json()
    );
    // The next time it is known.
    assert_eq!(
        forward(&app, &lost, &bob, &carol)
            .await
            .expect(400)
            .fields(),
        ["image.id"]
    );

    let once = MediaFile {
        view_once: true,
        ..MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg")
    };
    let once = told(&app, &bob, &alice, once).await;
    assert_eq!(
        forward(&app, &once, &bob, &carol)
            .await
            .expect(400)
            .fields(),
        ["id"]
    );
    app.finish().await;

    let app = Setup::new()
        .set("WAPI_MEDIA_DOWNLOAD", "never")
        .start()
        .await;
    let [alice, bob, carol] = ["Alice", "Bob", "Carol"].map(|name| app.phone(name));
    app.pair("shop", &alice).await;
    let image = told(
        &app,
        &bob,
        &alice,
        MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg"),
    )
    .await;
    assert_eq!(
        forward(&app, &image, &bob, &carol)
            .await
            .expect(400)
            .fields(),
        ["id"]
    );
    app.finish().await;
}

#[tokio::test]
async fn a_message_is_passed_on_and_quoted_as_it_reads_now() {
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        let received = bob.sends_text(alice.number(), "helo").await.unwrap();
        app.webhook.next().await;
        let image = MediaFile {
            caption: Some("lok".to_owned()),
            ..MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg")
        };
        let image = told(app, &bob, &alice, image).await.message;
        let echo = alice.sends_text(bob.number(), "ech").await.unwrap();
        app.events("message.echo", 1).await;
        let own = json!({"to": bob.number(), "text": {"body": "ow"}});
        let own = app.accepted("shop", own).await;

        let edits = [
            bob.edits_message(alice.number(), &received, "hullo"),
            bob.edits_message(alice.number(), &received, "hello"),
            bob.edits_message(alice.number(), &image, "look"),
            alice.edits_message(bob.number(), &echo, "echo"),
        ];
        edits.into_iter().for_each(|edit| drop(edit.unwrap()));
        app.events("message.edited", 4).await;
        app.until_message("shop", &own, "delivered").await;
        let edit = json!({"text": {"body": "own"}});
        app.patch(&format!("/v1/sessions/shop/messages/{own}"), edit)
            .await
            .expect(200);
        for (id, reads) in [
            (&received, "hello"),
            (&image, "look"),
            (&echo, "echo"),
            (&own, "own"),
        ] {
            let (message, file) = (id.clone(), None);
            let about = Told { message, file };
            forward(app, &about, &bob, &carol).await.expect(200);
            let message = carol.next_message(PATIENCE).await.unwrap();
            assert_eq!(message.text.or(message.caption).as_deref(), Some(reads));
        }
        let reply = json!({
            "to": bob.number(), "text": {"body": "?"}, "context": {"message_id": received},
        });
        let reply = app.accepted("shop", reply).await;
        let quoted = eventually(
            async || {
                let all = bob.received_messages();
                let reply = all
                    .into_iter()
                    .find(|message| message.id == reply)?
                    .to_json();
                Some(reply["extended_text_message"]["context_info"]["quoted_message"].clone())
            },
            async || "no reply".to_owned(),
        );
        assert_eq!(quoted.await["conversation"], "hello");

        bob.deletes_message(alice.number(), &received).unwrap();
        alice.deletes_message(bob.number(), &echo).unwrap();
        app.events("message.deleted", 2).await;
        let route = format!("/v1/sessions/shop/messages/{own}");
        app.delete(&route).await.expect(200);
        for message in [received, echo, own] {
            let file = None;
            let refused = forward(app, &Told { message, file }, &bob, &carol).await;
            let refused = refused.expect(400);
            assert_eq!(refused.fields(), ["id"]);
            assert!(refused.json().to_string().contains("was deleted"));
        }
    })
    .await;
}
