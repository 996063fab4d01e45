//! Files that callers send: uploaded once, named by their id, and sent as often as they like.

mod passing;
mod refused;

use axum::http::StatusCode;
use serde_json::{Value, json};
use wapi_simulator::{FileKind, MediaFile};

use crate::harness::{Answer, PATIENCE, TestClient, TestReceiver, eventually, shop, steady};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 not much of a picture, but it begins like one";
const BOUNDARY: &str = "a-line-that-is-in-no-file";

/// Posts a form with one part.
async fn post(client: &TestClient, session: &str, name: &str, head: &str, bytes: &[u8]) -> Answer {
    let mut body =
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{head}\r\n\r\n")
            .into_bytes();
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let call = client.request(
        reqwest::Method::POST,
        &format!("/v1/sessions/{session}/media"),
    );
    client
        .answer(call.header("content-type", kind).body(body))
        .await
}

pub async fn upload(client: &TestClient, session: &str, head: &str, bytes: &[u8]) -> Value {
    post(client, session, "file", head, bytes)
        .await
        .expect(201)
        .json()
}

/// Uploads a file to a gateway whose bucket may be slow: it then answers that nothing can be kept at the moment, and a caller
/// uploads again.
pub async fn upload_to_bucket(
    client: &TestClient,
    session: &str,
    head: &str,
    bytes: &[u8],
) -> Value {
    let stored = async || {
        let answer = post(client, session, "file", head, bytes).await;
        (answer.status != 503).then(|| answer.expect(201).json())
    };
    eventually(stored, async || "nothing can be kept".to_owned()).await
}

/// A web server with a picture and a page; its base address.
fn files() -> String {
    use axum::routing::get;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let page = || async { ([("content-type", "text/html")], "<html>") };
    let router = axum::Router::new()
        .route("/a.jpg", get(|| async { JPEG }))
        .route("/page", get(page))
        .fallback(|| async { StatusCode::NOT_FOUND });
    TestReceiver::serve(listener, router)
}

#[tokio::test]
async fn what_was_uploaded_once_is_sent_often() {
    shop(async |app, _, bob| {
        let file = upload(
            app,
            "shop",
            "; filename=\"a.png\"\r\nContent-Type: image/png",
            JPEG,
        )
        .await;
        insta::assert_json_snapshot!(steady(&file, &[]), @r#"
        {
          "chat": null,
          "created_at": "[moment]",
          "duration": null,
          "error": null,
          "filename": "a.png",
          "height": null,
          "id": "[media]",
          "message_id": null,
          "mime_type": "image/jpeg",
          "pages": null,
          "session": "shop",
          "sha256": "bc6d051f03eebb61c528dfc6340d6c06ea5b72e6ea20801dc54d5ab19bb83de2",
          "size": 50,
          "status": "stored",
          "stored_at": "[moment]",
          "type": null,
          "url": "/v1/media/[media]/content",
          "width": null
        }
        "#);
        assert_eq!(
            app.get(file["url"].as_str().unwrap())
                .await
                .expect(200)
                .body,
            JPEG
        );
        for caption in ["one", "two"] {
            let message = json!({"to": bob.jid(), "image": {"id": file["id"], "caption": caption}});
            let id = app.accepted("shop", message).await;
            app.until_message("shop", &id, "delivered").await;
            let message = bob.next_message(PATIENCE).await.unwrap();
            assert_eq!(message.kind, "image");
            assert_eq!(message.caption.as_deref(), Some(caption));
            let media = message.media.unwrap();
            assert_eq!(media.mime, "image/jpeg");
            assert_eq!(media.bytes, JPEG);
        }
    })
    .await;
}

#[tokio::test]
async fn a_link_is_fetched_at_once_and_what_came_in_can_be_sent_on() {
    shop(async |app, alice, bob| {
        let (files, route) = (files(), "/v1/sessions/shop/media");
        let page = app
            .post(route, json!({"link": format!("{files}/page")}))
            .await
            .expect(201)
            .json();
        assert_eq!(page["mime_type"], "text/html");
        let missing = app
            .post(route, json!({"link": format!("{files}/missing")}))
            .await
            .expect(400);
        assert_eq!(missing.fields(), ["link"]);

        bob.sends_file(
            alice.number(),
            MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg"),
        )
        .await
        .unwrap();
        let received = app.webhook.next().await.body["data"]["image"]["id"].clone();
        app.get(&format!("/v1/media/{}/content", received.as_str().unwrap()))
            .await
            .expect(200);
        for message in [
            json!({"to": bob.jid(), "document": {"id": page["id"], "filename": "page.html"}}),
            json!({"to": bob.jid(), "image": {"id": received}}),
        ] {
            app.accepted("shop", message).await;
        }
        assert_eq!(bob.next_media(PATIENCE).await.unwrap().bytes, b"<html>");
        assert_eq!(bob.next_media(PATIENCE).await.unwrap().bytes, JPEG);
    })
    .await;
}

/// A picture of so many pixels, as PNG.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(width, height)
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

#[tokio::test]
async fn a_picture_is_sent_with_its_size_and_as_a_sticker_becomes_one() {
    shop(async |app, _, bob| {
        let picture = upload(app, "shop", "", &png(300, 200)).await;
        assert_eq!(picture["width"], 300);
        assert_eq!(picture["height"], 200);

        app.accepted(
            "shop",
            json!({"to": bob.jid(), "image": {"id": picture["id"]}}),
        )
        .await;
        let image = bob.next_message(PATIENCE).await.unwrap();
        let shown = image.to_json()["image_message"].take();
        assert_eq!(shown["width"], 300);
        assert_eq!(shown["height"], 200);
        let small: Vec<u8> = serde_json::from_value(shown["jpeg_thumbnail"].clone()).unwrap();
        let small = image::load_from_memory(&small).unwrap();
        assert_eq!(small.width(), 100);
        assert_eq!(small.height(), 67);

        app.accepted(
            "shop",
            json!({"to": bob.jid(), "sticker": {"id": picture["id"]}}),
        )
        .await;
        let sticker = bob.next_message(PATIENCE).await.unwrap();
        let file = sticker.media.unwrap();
        assert_eq!(sticker.kind, "sticker");
        assert_eq!(file.mime, "image/webp");
        let made = image::load_from_memory(&file.bytes).unwrap();
        assert_eq!(made.width(), 512);
        assert_eq!(made.height(), 512);

        let refused = json!({"to": bob.jid(), "sticker": {"id": picture["id"], "caption": "none"}});
        let refused = app
            .post("/v1/sessions/shop/messages", refused)
            .await
            .expect(400);
        assert_eq!(refused.fields(), ["sticker.caption"]);
    })
    .await;
}

#[tokio::test]
async fn a_film_can_be_a_note() {
    shop(async |app, alice, bob| {
        let film = upload(app, "shop", "", b"\0\0\0\x20ftypisom and so on").await;
        app.accepted(
            "shop",
            json!({"to": bob.jid(), "video": {"id": film["id"], "round": true}}),
        )
        .await;
        let note = bob.next_message(PATIENCE).await.unwrap();
        let shown = note.to_json();
        assert!(shown["ptv_message"].is_object() && shown["video_message"].is_null());
        assert_eq!(note.media.unwrap().bytes, b"\0\0\0\x20ftypisom and so on");

        bob.sends_file(
            alice.number(),
            MediaFile::new(FileKind::Round, b"film".to_vec(), "video/mp4"),
        )
        .await
        .unwrap();
        assert_eq!(
            app.webhook.next().await.body["data"]["video"]["round"],
            true
        );
        let message =
            json!({"to": bob.jid(), "video": {"id": film["id"], "round": true, "gif": true}});
        assert_eq!(
            app.post("/v1/sessions/shop/messages", message)
                .await
                .expect(400)
                .fields(),
            ["video.round"]
        );
    })
    .await;
}
