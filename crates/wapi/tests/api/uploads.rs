//! Files that callers send: uploaded once, named by their id, and never whole in memory.

use std::time::Duration;

use axum::http::StatusCode;
use futures_util::stream;
use serde_json::{Value, json};
use wapi_simulator::{File, FileKind};

use crate::harness::{
    Answer, PATIENCE, Setup, Surroundings, TestApp, TestClient, TestReceiver, eventually,
};

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
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let file = upload(
        &app,
        "shop",
        "; filename=\"a.png\"\r\nContent-Type: image/png",
        JPEG,
    )
    .await;
    assert_eq!(
        (&file["mime_type"], &file["filename"]),
        (&json!("image/jpeg"), &json!("a.png")),
        "{file}"
    );
    assert_eq!(
        (&file["size"], &file["status"]),
        (&json!(JPEG.len()), &json!("stored"))
    );
    assert_eq!(file["message_id"], Value::Null);
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
        assert_eq!(
            (message.kind.as_str(), message.caption.as_deref()),
            ("image", Some(caption))
        );
        let media = message.media.unwrap();
        assert_eq!(
            (media.mime.as_str(), media.bytes.as_slice()),
            ("image/jpeg", JPEG)
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn a_file_that_has_another_hash_than_was_said_is_not_taken() {
    const HASH: &str = "ac4b13fd14bf70aee4b0a9b6e3c0d5ad4dba15fba3d8e4bda55ca2ba5db40a48";
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let (link, route) = (format!("{}/a.jpg", files()), "/v1/sessions/shop/media");
    let hash = upload(&app, "shop", "", JPEG).await["sha256"]
        .as_str()
        .unwrap()
        .to_owned();
    let other = HASH.to_owned();
    // In any letters, before the file or behind it.
    let form = |sha256: &str, is_first: bool| {
        let hash = format!("Content-Disposition: form-data; name=\"sha256\"\r\n\r\n{sha256}");
        let file = format!(
            "Content-Disposition: form-data; name=\"file\"\r\n\r\n{}",
            "text"
        );
        let parts = if is_first { [hash, file] } else { [file, hash] };
        let body = parts
            .map(|part| format!("--{BOUNDARY}\r\n{part}\r\n"))
            .concat()
            + &format!("--{BOUNDARY}--\r\n");
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        app.answer(
            app.request(reqwest::Method::POST, route)
                .header("content-type", kind)
                .body(body),
        )
    };
    let of_text = "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1";
    for is_first in [true, false] {
        assert_eq!(
            form(&of_text.to_uppercase(), is_first)
                .await
                .expect(201)
                .json()["sha256"],
            of_text
        );
        let refused = form(&other, is_first).await.expect(400);
        assert_eq!(refused.fields(), ["sha256"]);
        assert!(
            refused.json()["detail"].as_str().unwrap().contains(of_text),
            "{}",
            refused.json()
        );
        assert_eq!(form("00", is_first).await.expect(400).fields(), ["sha256"]);
    }
    assert_eq!(
        app.post(route, json!({"link": link, "sha256": other}))
            .await
            .expect(400)
            .fields(),
        ["sha256"]
    );
    let file = app
        .post(route, json!({"link": link, "sha256": hash}))
        .await
        .expect(201)
        .json();

    // In messages: of an upload at once, of a link when it is fetched.
    let message = |named: Value, sha256: &str| {
        let mut image = json!({"sha256": sha256});
        image
            .as_object_mut()
            .unwrap()
            .extend(named.as_object().unwrap().clone());
        json!({"to": bob.jid(), "image": image})
    };
    let (by_id, by_link) = (json!({"id": file["id"]}), json!({"link": link}));
    let refused = app
        .post("/v1/sessions/shop/messages", message(by_id.clone(), &other))
        .await
        .expect(400);
    assert_eq!(refused.fields(), ["image.sha256"]);
    let id = app.accepted("shop", message(by_link.clone(), &other)).await;
    let failed = app.until_message("shop", &id, "failed").await;
    assert!(
        failed["error"]["detail"].as_str().unwrap().contains(&hash),
        "{failed}"
    );
    for named in [by_id, by_link] {
        app.accepted("shop", message(named, &hash)).await;
        assert_eq!(
            bob.next_message(PATIENCE)
                .await
                .unwrap()
                .media
                .unwrap()
                .bytes,
            JPEG
        );
    }
    assert_eq!(
        std::fs::read_dir(app.root().join("media/incoming"))
            .unwrap()
            .count(),
        0,
        "nothing is left behind"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_link_is_fetched_at_once_and_what_came_in_can_be_sent_on() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
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
        File::new(FileKind::Image, JPEG.to_vec(), "image/jpeg"),
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
    assert_eq!(
        bob.next_message(PATIENCE)
            .await
            .unwrap()
            .media
            .unwrap()
            .bytes,
        b"<html>"
    );
    assert_eq!(
        bob.next_message(PATIENCE)
            .await
            .unwrap()
            .media
            .unwrap()
            .bytes,
        JPEG
    );
    app.finish().await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_it_is_accepted() {
    let app = Setup::new().set("WAPI_MEDIA_MAX_MIB", 1).start().await;
    let (alice, carol) = (app.phone("Alice"), app.phone("Carol"));
    app.pair("shop", &alice).await;
    app.pair("other", &carol).await;
    let text = upload(
        &app,
        "shop",
        "; filename=\"a.txt\"\r\nContent-Type: text/plain",
        b"text",
    )
    .await;
    let foreign = upload(&app, "other", "", JPEG).await;
    let send = async |message: Value| {
        app.post("/v1/sessions/shop/messages", message)
            .await
            .expect(400)
    };
    for (message, field, complaint) in [
        (
            json!({"image": {"id": text["id"]}}),
            "image.id",
            "is not a picture",
        ),
        (
            json!({"video": {"id": text["id"]}}),
            "video.id",
            "is not a video",
        ),
        (
            json!({"audio": {"id": text["id"]}}),
            "audio.id",
            "is not a sound",
        ),
        (
            json!({"audio": {"id": text["id"], "voice": true}}),
            "audio.id",
            "is no sound that a voice note",
        ),
        (
            json!({"sticker": {"id": text["id"]}}),
            "sticker.id",
            "is no sticker",
        ),
        (
            json!({"document": {"id": text["id"], "sha256": "00"}}),
            "document.sha256",
            "is no SHA-256",
        ),
        (
            json!({"document": {"id": text["id"], "size": 5}}),
            "document.size",
            "is not a field",
        ),
        (
            json!({"document": {"link": "ftp://a/b"}}),
            "document.link",
            "is not an http",
        ),
        (
            json!({"image": {"id": "med_nothing"}}),
            "image.id",
            "names no file of this session",
        ),
        (
            json!({"image": {"id": foreign["id"]}}),
            "image.id",
            "names no file of this session",
        ),
        (
            json!({"image": {"id": text["id"], "link": "http://a/b"}}),
            "image.id",
            "beside `link`",
        ),
        (json!({"image": {}}), "image.link", "is missing"),
    ] {
        let mut asked = json!({"to": "375440000001"});
        asked
            .as_object_mut()
            .unwrap()
            .extend(message.as_object().unwrap().clone());
        let refused = send(asked).await;
        assert_eq!(refused.fields(), [field], "{message}");
        assert!(
            refused.json()["detail"]
                .as_str()
                .unwrap()
                .contains(complaint),
            "{}",
            refused.json()
        );
    }
    app.delete(&format!("/v1/media/{}", text["id"].as_str().unwrap()))
        .await
        .expect(204);
    let removed = send(json!({"to": "375440000001", "document": {"id": text["id"]}})).await;
    assert!(
        removed.json()["detail"]
            .as_str()
            .unwrap()
            .contains("it is removed"),
        "{}",
        removed.json()
    );

    let large = vec![b'x'; 1024 * 1024 + 1];
    assert_eq!(
        post(&app, "shop", "file", "", &large)
            .await
            .expect(413)
            .code(),
        "body_too_large"
    );
    assert_eq!(
        post(&app, "shop", "picture", "", JPEG)
            .await
            .expect(400)
            .fields(),
        ["picture"]
    );
    assert_eq!(
        post(&app, "nobody", "file", "", JPEG)
            .await
            .expect(404)
            .code(),
        "session_not_found"
    );
    assert_eq!(
        app.post("/v1/sessions/shop/media", json!({}))
            .await
            .expect(400)
            .fields(),
        ["link"]
    );
    let call = app.request(reqwest::Method::POST, "/v1/sessions/shop/media");
    let broken = call
        .header("content-type", "multipart/form-data; boundary=x")
        .body("--x\r\nbroken");
    assert_eq!(app.answer(broken).await.expect(400).code(), "invalid_body");
    assert_eq!(
        std::fs::read_dir(app.root().join("media/incoming"))
            .unwrap()
            .count(),
        0,
        "nothing is left behind"
    );
    app.finish().await;
}

/// A document goes out and comes in, larger than what the program may grow by. With `WAPI_TEST_LARGE_MIB=500` it takes a minute.
#[tokio::test]
async fn large_files_pass_through_without_being_in_memory() {
    const ROOM: u64 = 64 * 1024 * 1024;
    let mebibytes =
        std::env::var("WAPI_TEST_LARGE_MIB").map_or(96, |text| text.parse::<usize>().unwrap());
    let Surroundings {
        simulator,
        webhook,
        wapi,
        address,
    } = Surroundings::new().await;
    let wapi = wapi.set("WAPI_WHATSAPP_CA_FILE", simulator.ca_pem_file().display());
    let (alice, bob) = (
        simulator.phone("Alice").unwrap(),
        simulator.phone("Bob").unwrap(),
    );
    let (running, client) = wapi.serves(address).await;
    client.pair("shop", &alice).await;
    // Whatever the first file costs once is no growth.
    upload(&client, "shop", "", JPEG).await;
    let before = running.begin_peak();

    let piece: &'static [u8] = vec![7; 1024 * 1024].leak();
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"large.bin\"\r\n\r\n"
    );
    let pieces = std::iter::once(head.into_bytes())
        .chain(std::iter::repeat_n(piece.to_vec(), mebibytes))
        .chain([format!("\r\n--{BOUNDARY}--\r\n").into_bytes()]);
    let body = reqwest::Body::wrap_stream(stream::iter(pieces.map(Ok::<_, std::io::Error>)));
    let call = client.request(reqwest::Method::POST, "/v1/sessions/shop/media");
    let call = call
        .header(
            "content-type",
            format!("multipart/form-data; boundary={BOUNDARY}"),
        )
        .body(body);
    let file = client.answer(call).await.expect(201).json();
    assert_eq!(file["size"], mebibytes * 1024 * 1024);
    let uploaded = running.peak();

    let id = client
        .accepted(
            "shop",
            json!({"to": bob.jid(), "document": {"id": file["id"]}}),
        )
        .await;
    let message = bob.next_message(10 * PATIENCE).await.unwrap();
    assert_eq!(message.media.unwrap().bytes.len(), mebibytes * 1024 * 1024);
    let sent = running.peak();
    client.until_message("shop", &id, "delivered").await;

    let bytes = vec![8; mebibytes * 1024 * 1024];
    bob.sends_file(
        alice.number(),
        File::new(FileKind::Document, bytes, "application/zip"),
    )
    .await
    .unwrap();
    let received = webhook.next().await.body["data"]["document"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let info = async || {
        client
            .get(&format!("/v1/media/{received}"))
            .await
            .expect(200)
            .json()
    };
    let is_there = async || Some(info().await).filter(|info| info["status"] == "stored");
    let mut look = 0;
    while is_there().await.is_none() {
        look += 1;
        assert!(look < 10, "{}", info().await);
        let _ = crate::harness::within(Duration::from_secs(60), is_there).await;
    }
    let received = running.peak();
    let grown = |peak: u64| (peak - before) / 1024;
    let (uploaded, sent, all) = (grown(uploaded), grown(sent), grown(received));
    eprintln!(
        "{mebibytes} MiB: grown by {uploaded} KiB after the upload, {sent} after sending, {all} after receiving"
    );
    assert!(received - before < ROOM, "it grew by {all} KiB");
    running.terminate().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn what_is_too_large_for_its_kind_can_go_as_a_document() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let large = [JPEG, &vec![0; 16 * 1024 * 1024]].concat();
    let file = upload(&app, "shop", "", &large).await;
    for kind in ["image", "sticker"] {
        let refused = app.post(
            "/v1/sessions/shop/messages",
            json!({"to": bob.jid(), kind: {"id": file["id"]}}),
        );
        let refused = refused.await.expect(400);
        assert_eq!(refused.fields(), [format!("{kind}.id")]);
        assert!(
            refused.json()["detail"]
                .as_str()
                .unwrap()
                .contains("is larger than 16 MiB"),
            "{}",
            refused.json()
        );
    }
    app.accepted(
        "shop",
        json!({"to": bob.jid(), "document": {"id": file["id"]}}),
    )
    .await;
    assert_eq!(
        bob.next_message(PATIENCE)
            .await
            .unwrap()
            .media
            .unwrap()
            .bytes
            .len(),
        large.len()
    );
    app.finish().await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing_behind() {
    let app = TestApp::start().await;
    app.register("shop").await.expect(202);
    let broken =
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhalf of it");
    let call = app.request(reqwest::Method::POST, "/v1/sessions/shop/media");
    let call = call
        .header(
            "content-type",
            format!("multipart/form-data; boundary={BOUNDARY}"),
        )
        .body(broken);
    assert_eq!(app.answer(call).await.expect(400).code(), "invalid_body");
    let incoming = app.root().join("media/incoming");
    let is_empty = async || (std::fs::read_dir(&incoming).unwrap().count() == 0).then_some(());
    eventually(is_empty, async || "half a file stayed".to_owned()).await;
    app.finish().await;
}

#[tokio::test]
async fn an_upload_whose_connection_breaks_goes_on_where_it_was() {
    const MIB: usize = 1024 * 1024;
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let fetched = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&fetched);
    let bytes: Vec<u8> = (0..8 * MIB).map(|at| (at / 7) as u8).collect();
    let file = bytes.clone();
    let handler = axum::routing::get(async move || {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        file.clone()
    });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let link = format!(
        "{}/a",
        TestReceiver::serve(listener, axum::Router::new().route("/a", handler))
    );
    app.simulator.faults().break_upload(6 * MIB);
    app.accepted("shop", json!({"to": bob.jid(), "document": {"link": link}}))
        .await;
    assert_eq!(
        bob.next_message(PATIENCE)
            .await
            .unwrap()
            .media
            .unwrap()
            .bytes,
        bytes
    );
    assert_eq!(
        fetched.load(std::sync::atomic::Ordering::Relaxed),
        1,
        "the link was fetched again"
    );
    let uploaded = app.simulator.uploaded_bytes();
    assert!(uploaded < 9 * MIB, "{uploaded} bytes went over the line");

    // One that is too small to ask about begins again.
    let small = upload(&app, "shop", "", &bytes[..MIB]).await;
    app.simulator.faults().break_upload(MIB / 2);
    app.accepted(
        "shop",
        json!({"to": bob.jid(), "document": {"id": small["id"]}}),
    )
    .await;
    assert_eq!(
        bob.next_message(PATIENCE)
            .await
            .unwrap()
            .media
            .unwrap()
            .bytes,
        bytes[..MIB]
    );
    app.finish().await;
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
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let picture = upload(&app, "shop", "", &png(300, 200)).await;
    assert_eq!(
        (&picture["width"], &picture["height"]),
        (&json!(300), &json!(200))
    );

    app.accepted(
        "shop",
        json!({"to": bob.jid(), "image": {"id": picture["id"]}}),
    )
    .await;
    let image = bob.next_message(PATIENCE).await.unwrap();
    let shown = image.protobuf.image_message.as_option().unwrap();
    assert_eq!((shown.width, shown.height), (Some(300), Some(200)));
    let small = image::load_from_memory(shown.jpeg_thumbnail.as_deref().unwrap()).unwrap();
    assert_eq!((small.width(), small.height()), (100, 67));

    app.accepted(
        "shop",
        json!({"to": bob.jid(), "sticker": {"id": picture["id"]}}),
    )
    .await;
    let sticker = bob.next_message(PATIENCE).await.unwrap();
    let file = sticker.media.unwrap();
    assert_eq!(
        (sticker.kind.as_str(), file.mime.as_str()),
        ("sticker", "image/webp")
    );
    let made = image::load_from_memory(&file.bytes).unwrap();
    assert_eq!((made.width(), made.height()), (512, 512));

    let refused = json!({"to": bob.jid(), "sticker": {"id": picture["id"], "caption": "none"}});
    let refused = app
        .post("/v1/sessions/shop/messages", refused)
        .await
        .expect(400);
    assert_eq!(refused.fields(), ["sticker.caption"]);
    app.finish().await;
}

#[tokio::test]
async fn what_could_not_be_removed_from_the_disk_is_removed_later_unless_it_came_again() {
    let app = TestApp::start().await;
    app.register("shop").await.expect(202);
    let mut kept = Vec::new();
    for bytes in [&b"comes again"[..], b"goes"] {
        let file = upload(&app, "shop", "", bytes).await;
        let sha256 = file["sha256"].as_str().unwrap().to_owned();
        let path = app.root().join("media").join(&sha256[..2]).join(&sha256);
        // A folder of this name cannot be removed as a file.
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        app.delete(&format!("/v1/media/{}", file["id"].as_str().unwrap()))
            .await
            .expect(204);
        std::fs::remove_dir(&path).unwrap();
        kept.push((path, bytes));
    }
    upload(&app, "shop", "", kept[0].1).await;
    std::fs::write(&kept[1].0, kept[1].1).unwrap();
    app.push_clock(Duration::from_secs(601));
    let is_gone = async || (!kept[1].0.exists()).then_some(());
    eventually(is_gone, async || "it is still there".to_owned()).await;
    assert!(kept[0].0.exists(), "what came again is gone");
    app.finish().await;
}

#[tokio::test]
async fn a_film_can_be_a_note() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let film = upload(&app, "shop", "", b"\0\0\0\x20ftypisom and so on").await;
    app.accepted(
        "shop",
        json!({"to": bob.jid(), "video": {"id": film["id"], "round": true}}),
    )
    .await;
    let note = bob.next_message(PATIENCE).await.unwrap();
    assert!(note.protobuf.ptv_message.is_set() && !note.protobuf.video_message.is_set());
    assert_eq!(note.media.unwrap().bytes, b"\0\0\0\x20ftypisom and so on");

    bob.sends_file(
        alice.number(),
        File::new(FileKind::Round, b"film".to_vec(), "video/mp4"),
    )
    .await
    .unwrap();
    assert_eq!(
        app.webhook.next().await.body["data"]["video"]["round"],
        true
    );
    let message = json!({"to": bob.jid(), "video": {"id": film["id"], "round": true, "gif": true}});
    assert_eq!(
        app.post("/v1/sessions/shop/messages", message)
            .await
            .expect(400)
            .fields(),
        ["video.round"]
    );
    app.finish().await;
}
