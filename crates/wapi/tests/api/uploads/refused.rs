//! What is wrong with a file is said before it is taken, and before a message with it is accepted.

use serde_json::{Value, json};

use super::{BOUNDARY, JPEG, files, post, upload};
use crate::harness::{PATIENCE, Setup, shop};

#[tokio::test]
async fn a_file_that_has_another_hash_than_was_said_is_not_taken() {
    const HASH: &str = "ac4b13fd14bf70aee4b0a9b6e3c0d5ad4dba15fba3d8e4bda55ca2ba5db40a48";
    shop(async |app, _, bob| {
        let (link, route) = (format!("{}/a.jpg", files()), "/v1/sessions/shop/media");
        let hash = upload(app, "shop", "", JPEG).await["sha256"]
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
            assert_eq!(bob.next_media(PATIENCE).await.unwrap().bytes, JPEG);
        }
        assert_eq!(
            std::fs::read_dir(app.root().join("media/incoming"))
                .unwrap()
                .count(),
            0,
            "nothing is left behind"
        );
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_it_is_accepted() {
    Setup::new()
        .set("WAPI_MEDIA_MAX_MIB", 1)
        .gateway(async |app| {
            let (alice, carol) = (app.phone("Alice"), app.phone("Carol"));
            app.pair("shop", &alice).await;
            app.pair("other", &carol).await;
            let text = upload(
                app,
                "shop",
                "; filename=\"a.txt\"\r\nContent-Type: text/plain",
                b"text",
            )
            .await;
            let foreign = upload(app, "other", "", JPEG).await;
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
                    "is not audio",
                ),
                (
                    json!({"audio": {"id": text["id"], "voice": true}}),
                    "audio.id",
                    "which cannot become a voice note",
                ),
                (
                    json!({"sticker": {"id": text["id"]}}),
                    "sticker.id",
                    "is not a sticker",
                ),
                (
                    json!({"document": {"id": text["id"], "sha256": "00"}}),
                    "document.sha256",
                    "is not a SHA-256",
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
                    "does not name a file of this session",
                ),
                (
                    json!({"image": {"id": foreign["id"]}}),
                    "image.id",
                    "does not name a file of this session",
                ),
                (
                    json!({"image": {"id": text["id"], "link": "http://a/b"}}),
                    "image.id",
                    "combined with `link`",
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
                post(app, "shop", "file", "", &large)
                    .await
                    .expect(413)
                    .code(),
                "body_too_large"
            );
            assert_eq!(
                post(app, "shop", "picture", "", JPEG)
                    .await
                    .expect(400)
                    .fields(),
                ["picture"]
            );
            assert_eq!(
                post(app, "nobody", "file", "", JPEG)
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
        })
        .await;
}

#[tokio::test]
async fn what_is_too_large_for_its_kind_can_go_as_a_document() {
    shop(async |app, _, bob| {
        let large = [JPEG, &vec![0; 16 * 1024 * 1024]].concat();
        let file = upload(app, "shop", "", &large).await;
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
            bob.next_media(PATIENCE).await.unwrap().bytes.len(),
            large.len()
        );
    })
    .await;
}
