//! Files, albums and events, with a client that others wrote: every byte comes through, and what is said of it.

use serde_json::{Value, json};
use wapi_simulator::Phone;

use super::{heard, said};
use crate::harness::{Baileys, TestApp};
use crate::uploads::{png, upload};
use crate::voice::written;

/// A picture, a voice note and a document: every byte comes through two ciphers, and with it what is said of it.
pub(super) async fn files_both_ways(
    app: &TestApp,
    baileys: &mut Baileys,
    alice: &Phone,
    ann: &Phone,
) {
    let folder = tempfile::tempdir().unwrap();
    let opus = written(folder.path(), "-c:a libopus -ac 1", "a.ogg")
        .unwrap_or(b"OggS, without an ffmpeg".to_vec());
    let files = [
        (
            "image",
            png(300, 200),
            "image/png",
            json!({"caption": "look"}),
        ),
        (
            "audio",
            opus,
            "audio/ogg; codecs=opus",
            json!({"voice": true}),
        ),
        (
            "document",
            b"a,b\n1,2\n".repeat(20_000),
            "text/csv",
            json!({"filename": "prices.csv", "caption": "ours"}),
        ),
    ];
    for (kind, bytes, mime, mut said) in files {
        let file = upload(app, "shop", &format!("\r\nContent-Type: {mime}"), &bytes).await;
        said["id"] = file["id"].clone();
        let got = self::said(app, baileys, json!({kind: said}), ann).await;
        assert_eq!(got["type"], kind, "{got}");
        assert_eq!(got["media"]["mime"], mime, "{got}");
        assert_eq!(got["media"]["sha256"], file["sha256"], "{got}");
        assert_eq!(got["media"]["error"], Value::Null, "{got}");
        let body = &got["body"];
        match kind {
            "image" => {
                assert_eq!(body["width"], 300);
                assert_eq!(got["caption"], "look");
            }
            "audio" => {
                assert_eq!(body["ptt"], true, "{body}");
                assert_eq!(body["seconds"], file["duration"], "{body}");
            }
            _ => {
                assert_eq!(body["fileName"], "prices.csv");
                assert_eq!(got["caption"], "ours");
            }
        }

        let path = folder.path().join(format!("theirs.{kind}"));
        std::fs::write(&path, &bytes).unwrap();
        let mut content = json!({kind: {"url": path}, "mimetype": mime});
        match kind {
            "image" => (content["caption"], content["jpegThumbnail"]) = (json!("yours"), json!("")),
            "audio" => (content["ptt"], content["seconds"]) = (json!(true), json!(2)),
            _ => (content["fileName"], content["caption"]) = (json!("theirs.csv"), json!("yours")),
        }
        let got = heard(
            app,
            baileys,
            json!({"op": "send", "to": alice.jid(), "content": content}),
        )
        .await;
        let told = &got[kind];
        assert_eq!(got["type"], kind);
        assert_eq!(told["mime_type"], mime);
        assert_eq!(told["sha256"], file["sha256"]);
        match kind {
            "image" => assert_eq!(told["caption"], "yours"),
            "audio" => {
                assert_eq!(told["voice"], true);
                assert_eq!(told["duration"], 2);
            }
            _ => {
                assert_eq!(told["filename"], "theirs.csv");
                assert_eq!(told["caption"], "yours");
            }
        }
        assert_eq!(
            app.get(told["url"].as_str().unwrap())
                .await
                .expect(200)
                .body,
            bytes,
            "{kind}"
        );
    }
}

pub(super) async fn albums_and_events(
    app: &TestApp,
    baileys: &mut Baileys,
    alice: &Phone,
    ann: &Phone,
) {
    let event = json!({"event": {"name": "Opening", "start": "2030-05-01T10:00:00Z", "place": {"name": "Here"}}});
    let event = said(app, baileys, event, ann).await;
    assert_eq!(event["type"], "event");
    assert_eq!(event["body"]["name"], "Opening");
    assert_eq!(event["body"]["location"]["name"], "Here");

    let picture = upload(app, "shop", "; filename=\"a.png\"", &png(30, 20)).await["id"].clone();
    let item = json!({"image": {"id": picture}});
    let album = said(app, baileys, json!({"album": [item, item]}), ann).await;
    assert_eq!(album["type"], "album");
    assert_eq!(album["body"]["expectedImageCount"], 2);
    for _ in 0..2 {
        baileys
            .until("a picture", |event| {
                event["event"] == "message" && event["type"] == "image"
            })
            .await;
    }

    let (to, folder) = (alice.jid(), tempfile::tempdir().unwrap());
    let path = folder.path().join("a.png");
    std::fs::write(&path, png(30, 20)).unwrap();
    let album = json!({"album": {"expectedImageCount": 2, "expectedVideoCount": 0}});
    let album = heard(
        app,
        baileys,
        json!({"op": "send", "to": to, "content": album}),
    )
    .await;
    assert_eq!(album["type"], "album", "{album}");
    assert_eq!(album["album"]["images"], 2, "{album}");
    let parent = json!({"remoteJid": to, "fromMe": true, "id": album["id"]});
    let picture = json!({"image": {"url": path}, "jpegThumbnail": "", "albumParentKey": parent});
    for _ in 0..2 {
        let picture = heard(
            app,
            baileys,
            json!({"op": "send", "to": to, "content": picture}),
        )
        .await;
        assert_eq!(picture["type"], "image");
        assert_eq!(picture["album_id"], album["id"]);
    }
}
