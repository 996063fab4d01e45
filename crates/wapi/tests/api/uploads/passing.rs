//! Files on their way are never whole in memory, outlast a line that breaks, and leave nothing behind.

use std::time::Duration;

use futures_util::stream;
use serde_json::json;
use wapi_simulator::{FileKind, MediaFile};

use super::{BOUNDARY, JPEG, upload};
use crate::harness::{PATIENCE, Surroundings, TestReceiver, eventually, gateway, shop};

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
        simulator.add_phone("Alice").unwrap(),
        simulator.add_phone("Bob").unwrap(),
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
    let received = bob.next_media(10 * PATIENCE).await.unwrap();
    assert_eq!(received.bytes.len(), mebibytes * 1024 * 1024);
    let sent = running.peak();
    client.until_message("shop", &id, "delivered").await;

    let bytes = vec![8; mebibytes * 1024 * 1024];
    bob.sends_file(
        alice.number(),
        MediaFile::new(FileKind::Document, bytes, "application/zip"),
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
async fn an_upload_that_breaks_off_leaves_nothing_behind() {
    gateway(async |app| {
        app.register("shop").await.expect(202);
        let broken = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhalf of it"
        );
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
    })
    .await;
}

#[tokio::test]
async fn an_upload_whose_connection_breaks_goes_on_where_it_was() {
    const MIB: usize = 1024 * 1024;
    shop(async |app, _, bob| {
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
        assert_eq!(bob.next_media(PATIENCE).await.unwrap().bytes, bytes);
        assert_eq!(
            fetched.load(std::sync::atomic::Ordering::Relaxed),
            1,
            "the link was fetched again"
        );
        let uploaded = app.simulator.uploaded_bytes();
        assert!(uploaded < 9 * MIB, "{uploaded} bytes went over the line");

        // One that is too small to ask about begins again.
        let small = upload(app, "shop", "", &bytes[..MIB]).await;
        app.simulator.faults().break_upload(MIB / 2);
        app.accepted(
            "shop",
            json!({"to": bob.jid(), "document": {"id": small["id"]}}),
        )
        .await;
        assert_eq!(bob.next_media(PATIENCE).await.unwrap().bytes, bytes[..MIB]);
    })
    .await;
}

#[tokio::test]
async fn what_could_not_be_removed_from_the_disk_is_removed_later_unless_it_came_again() {
    gateway(async |app| {
        app.register("shop").await.expect(202);
        let mut kept = Vec::new();
        for bytes in [&b"comes again"[..], b"goes"] {
            let file = upload(app, "shop", "", bytes).await;
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
        upload(app, "shop", "", kept[0].1).await;
        std::fs::write(&kept[1].0, kept[1].1).unwrap();
        app.push_clock(Duration::from_secs(601));
        let is_gone = async || (!kept[1].0.exists()).then_some(());
        eventually(is_gone, async || "it is still there".to_owned()).await;
        assert!(kept[0].0.exists(), "what came again is gone");
    })
    .await;
}
