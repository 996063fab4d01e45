//! The files of messages: they come in, are kept and handed out, and go.

mod leaving;

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use wapi_simulator::{FileKind, MediaFile, PeerRequests, Phone};

use crate::harness::{Setup, TestApp, eventually, shop, steady};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 not much of a picture, but it begins like one";

/// Sends a file of `kind` to the session and reads what the webhook is told of it.
async fn told(app: &TestApp, from: &Phone, to: &Phone, file: MediaFile) -> Value {
    from.sends_file(to.number(), file).await.unwrap();
    let data = app.webhook.next().await.body["data"].clone();
    let kind = data["type"]
        .as_str()
        .expect("a message has a type")
        .to_owned();
    data[kind].clone()
}

/// Waits until a file has this status; what is known of it then.
async fn until(app: &TestApp, id: &str, status: &str) -> Value {
    let info = async || app.get(&format!("/v1/media/{id}")).await.expect(200).json();
    let reached = async || Some(info().await).filter(|info| info["status"] == status);
    eventually(reached, async || format!("not {status}: {}", info().await)).await
}

fn id(told: &Value) -> &str {
    told["id"].as_str().expect("a file has an id")
}

/// Files that are kept; those on their way are not counted.
fn kept(root: &Path) -> usize {
    let folders = std::fs::read_dir(root.join("media"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let folders = folders.filter(|folder| !folder.ends_with("incoming"));
    folders
        .map(|folder| std::fs::read_dir(folder).unwrap().count())
        .sum()
}

#[tokio::test]
async fn a_picture_is_downloaded_as_it_comes_in_and_handed_out() {
    shop(async |app, alice, bob| {
        let image = told(
            app,
            &bob,
            &alice,
            MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg"),
        )
        .await;
        assert_eq!(image["url"], format!("/v1/media/{}/content", id(&image)));

        let info = until(app, id(&image), "stored").await;
        let message = info["message_id"].as_str().unwrap();
        insta::assert_json_snapshot!(steady(&info, &[(message, "[message]")]), @r#"
        {
          "chat": "375440000002@s.whatsapp.net",
          "created_at": "[moment]",
          "duration": null,
          "error": null,
          "filename": null,
          "height": null,
          "id": "[media]",
          "message_id": "[message]",
          "mime_type": "image/jpeg",
          "pages": null,
          "session": "shop",
          "sha256": "bc6d051f03eebb61c528dfc6340d6c06ea5b72e6ea20801dc54d5ab19bb83de2",
          "size": 50,
          "status": "stored",
          "stored_at": "[moment]",
          "type": "image",
          "url": "/v1/media/[media]/content",
          "width": null
        }
        "#);
        let content = app.get(image["url"].as_str().unwrap()).await.expect(200);
        assert_eq!(content.body, JPEG);
        assert_eq!(content.headers["content-type"], "image/jpeg");
        assert_eq!(content.headers["content-disposition"], "inline");
        assert_eq!(content.headers["x-content-type-options"], "nosniff");
        assert_eq!(kept(app.root()), 1);
    })
    .await;
}

#[tokio::test]
async fn every_kind_of_file_arrives_with_what_its_sender_said() {
    shop(async |app, alice, bob| {
        let kinds = [
            (FileKind::Image, "image/jpeg"),
            (FileKind::Video, "video/mp4"),
            (FileKind::Gif, "video/mp4"),
            (FileKind::Round, "video/mp4"),
            (FileKind::Audio, "audio/mpeg"),
            (FileKind::Voice, "audio/ogg; codecs=opus"),
            (FileKind::Document, "text/html"),
            (FileKind::Sticker, "image/webp"),
        ];
        for (kind, mime) in kinds {
            let bytes = format!("the bytes of {kind:?}").into_bytes();
            let name = (kind == FileKind::Document).then(|| "prices & more.html".to_owned());
            let seconds = matches!(kind, FileKind::Video | FileKind::Voice).then_some(7);
            let file = MediaFile {
                name,
                seconds,
                ..MediaFile::new(kind, bytes.clone(), mime)
            };
            let file = told(app, &bob, &alice, file).await;
            let info = until(app, id(&file), "stored").await;
            assert_eq!(
                info["duration"].as_u64(),
                seconds.map(u64::from),
                "{kind:?}"
            );
            let content = app.get(file["url"].as_str().unwrap()).await.expect(200);
            assert_eq!(content.body, bytes, "{kind:?}");
            assert_eq!(content.headers["content-type"], mime);
            let disposition = content.headers["content-disposition"].to_str().unwrap();
            match kind {
                FileKind::Document => assert_eq!(
                    disposition,
                    "attachment; filename=\"prices & more.html\"; filename*=UTF-8''prices%20%26%20more.html"
                ),
                _ => assert_eq!(disposition, "inline"),
            }
        }
    }).await;
}

#[tokio::test]
async fn parts_are_handed_out_and_what_is_known_already_is_not() {
    shop(async |app, alice, bob| {
        let bytes: Vec<u8> = (0..300_000u32).map(|number| number as u8).collect();
        let video = told(
            app,
            &bob,
            &alice,
            MediaFile::new(FileKind::Video, bytes.clone(), "video/mp4"),
        )
        .await;
        until(app, id(&video), "stored").await;
        let url = video["url"].as_str().unwrap();
        let asked =
            async |name: &'static str, value: &str| app.with_header(name, value).get(url).await;

        let part = asked("range", "bytes=100000-299998").await.expect(206);
        assert_eq!(part.body, bytes[100_000..299_999]);
        assert_eq!(part.headers["content-range"], "bytes 100000-299998/300000");
        assert_eq!(part.headers["content-length"], "199999");
        assert_eq!(
            asked("range", "bytes=-1").await.expect(206).body,
            bytes[299_999..]
        );
        let beyond = asked("range", "bytes=300000-").await.expect(416);
        assert_eq!(beyond.code(), "range_not_satisfiable");
        assert_eq!(beyond.headers["content-range"], "bytes */300000");
        let whole = asked("range", "bytes=0-1,5-6").await.expect(200);
        assert_eq!(whole.body, bytes);
        assert_eq!(
            asked("if-none-match", whole.headers["etag"].to_str().unwrap())
                .await
                .expect(304)
                .body,
            b""
        );
        let head = app.request(Method::HEAD, url).send().await.unwrap();
        assert_eq!(head.status(), StatusCode::OK);
        assert_eq!(head.headers()["content-length"].to_str().unwrap(), "300000");
    })
    .await;
}

#[tokio::test]
async fn a_file_that_was_not_downloaded_when_the_program_ended_is_taken_up_again() {
    shop(async |app, alice, bob| {
        alice.sets_peer_requests(PeerRequests::Ignored);
        app.simulator.faults().withhold_media(true);
        let image = told(
            app,
            &bob,
            &alice,
            MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg"),
        )
        .await;
        assert_eq!(
            app.get(&format!("{}?wait=0", image["url"].as_str().unwrap()))
                .await
                .expect(409)
                .code(),
            "media_not_ready"
        );
        let stopped = app.stop().await;
        // As a program leaves it that ends in the middle.
        let half = stopped.root().join("media/incoming/half");
        std::fs::write(&half, "half of it").unwrap();
        stopped.simulator.faults().withhold_media(false);
        stopped.start().await;
        app.push_clock(Duration::from_secs(60));
        until(app, id(&image), "stored").await;
        assert!(!half.exists(), "what was left behind is thrown away");
        assert_eq!(
            app.get(image["url"].as_str().unwrap())
                .await
                .expect(200)
                .body,
            JPEG
        );
    })
    .await;
}

/// Its location is damaged in the database, or was sealed with a key that is gone.
#[tokio::test]
async fn a_file_whose_location_cannot_be_read_fails_and_holds_up_no_other() {
    shop(async |app, alice, bob| {
        alice.sets_peer_requests(PeerRequests::Ignored);
        app.simulator.faults().withhold_media(true);
        let image = || MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg");
        let damaged = told(app, &bob, &alice, image()).await;
        let other = told(app, &bob, &alice, image()).await;
        let stopped = app.stop().await;
        let options = SqliteConnectOptions::new().filename(stopped.root().join("wapi.db"));
        let mut database = options.connect().await.unwrap();
        let damage = "UPDATE media SET source = 'sealed:BBBB' WHERE id = ?";
        let damage = sqlx::query(damage).bind(id(&damaged));
        damage.execute(&mut database).await.unwrap();
        database.close().await.unwrap();
        stopped.simulator.faults().withhold_media(false);
        stopped.start().await;
        app.push_clock(Duration::from_secs(60));
        until(app, id(&other), "stored").await;
        until(app, id(&damaged), "failed").await;
        let listed = app.get("/v1/sessions/shop/media").await.expect(200).json();
        assert_eq!(listed["media"].as_array().unwrap().len(), 2, "{listed}");
    })
    .await;
}

#[tokio::test]
async fn a_file_waits_at_whatsapp_until_somebody_asks_for_it() {
    Setup::new()
        .set("WAPI_MEDIA_DOWNLOAD", "on_demand")
        .shop(async |app, alice, bob| {
            let image = told(
                app,
                &bob,
                &alice,
                MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg"),
            )
            .await;
            until(app, id(&image), "remote").await;
            assert_eq!(kept(app.root()), 0);
            assert_eq!(
                app.get(image["url"].as_str().unwrap())
                    .await
                    .expect(200)
                    .body,
                JPEG
            );
            until(app, id(&image), "stored").await;
        })
        .await;
}

#[tokio::test]
async fn files_that_nobody_wants_are_only_described() {
    Setup::new()
        .set("WAPI_MEDIA_DOWNLOAD", "never")
        .shop(async |app, alice, bob| {
            let image = told(
                app,
                &bob,
                &alice,
                MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg"),
            )
            .await;
            assert_eq!(image.get("id"), None);
            assert_eq!(image.get("url"), None);
            assert_eq!(image["size"], JPEG.len());
        })
        .await;
}

#[tokio::test]
async fn a_file_that_has_expired_is_asked_for_from_the_accounts_phone() {
    Setup::new()
        .set("WAPI_MEDIA_DOWNLOAD", "on_demand")
        .shop(async |app, alice, bob| {
            let image = told(
                app,
                &bob,
                &alice,
                MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg"),
            )
            .await;
            app.simulator.faults().expire_media();
            assert_eq!(
                app.get(image["url"].as_str().unwrap())
                    .await
                    .expect(200)
                    .body,
                JPEG
            );

            let lost = told(
                app,
                &bob,
                &alice,
                MediaFile::new(FileKind::Image, b"another".to_vec(), "image/jpeg"),
            )
            .await;
            app.simulator.faults().expire_media();
            alice.forgets_files();
            let gone = app.get(lost["url"].as_str().unwrap()).await.expect(410);
            assert_eq!(gone.code(), "media_gone");
            assert!(
                gone.json()["detail"]
                    .as_str()
                    .unwrap()
                    .contains("the account's phone does not have it"),
                "{}",
                gone.json()
            );
            until(app, id(&lost), "failed").await;
        })
        .await;
}

#[tokio::test]
async fn a_file_that_is_too_large_or_another_one_is_not_kept() {
    Setup::new()
        .set("WAPI_MEDIA_MAX_MIB", 1)
        .shop(async |app, alice, bob| {
            let large = told(
                app,
                &bob,
                &alice,
                MediaFile::new(FileKind::Video, vec![7; 1024 * 1024 + 1], "video/mp4"),
            )
            .await;
            let info = until(app, id(&large), "failed").await;
            assert_eq!(info["error"], "it is larger than 1 MiB");
            app.simulator.faults().spoil_media(true);
            let spoilt = told(
                app,
                &bob,
                &alice,
                MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg"),
            )
            .await;
            let complained = async || {
                let info = app
                    .get(&format!("/v1/media/{}", id(&spoilt)))
                    .await
                    .expect(200)
                    .json();
                Some(info).filter(|info| info["error"].is_string())
            };
            let info = eventually(complained, async || "nobody complains".to_owned()).await;
            assert_eq!(
                info["status"], "waiting",
                "another time it may come whole: {info}"
            );
            app.simulator.faults().spoil_media(false);
            assert_eq!(
                app.get(spoilt["url"].as_str().unwrap())
                    .await
                    .expect(200)
                    .body,
                JPEG
            );
            assert_eq!(kept(app.root()), 1);
        })
        .await;
}

#[tokio::test]
async fn keys_of_other_sessions_do_not_even_learn_that_a_file_exists() {
    Setup::new()
        .set("WAPI_API_KEY", "wapi_first")
        .gateway(async |app| {
            let admin = app.with_key("wapi_first");
            let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
            admin.pair("shop", &alice).await;
            let image = told(
                app,
                &bob,
                &alice,
                MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg"),
            )
            .await;
            let url = image["url"].as_str().unwrap();
            let key = async |scope: &str, session: &str| {
                let wish = json!({"name": "test", "scopes": [scope], "sessions": [session]});
                let made = admin.post("/v1/api-keys", wish).await.expect(201).json();
                app.with_key(made["key"].as_str().unwrap())
            };
            let (reader, stranger) = (key("read", "shop").await, key("read", "other").await);
            assert_eq!(reader.get(url).await.expect(200).body, JPEG);
            assert_eq!(
                stranger.get(url).await.expect(404).code(),
                "media_not_found"
            );
            let info = format!("/v1/media/{}", id(&image));
            assert_eq!(
                stranger.get(&info).await.expect(404).code(),
                "media_not_found"
            );
            assert_eq!(
                reader.delete(&info).await.expect(403).code(),
                "scope_missing"
            );
            assert_eq!(app.get(url).await.expect(401).code(), "unauthorized");
            key("send", "shop").await.delete(&info).await.expect(204);
        })
        .await;
}
