//! Files go when nothing names them, when they are old, and when all are too large together; not before they were told of.

use std::time::Duration;

use serde_json::json;
use wapi_simulator::{FileKind, MediaFile};

use super::{JPEG, id, kept, told, until};
use crate::harness::{Setup, eventually, shop};

#[tokio::test]
async fn a_file_is_removed_when_nothing_names_it_any_more() {
    shop(async |app, alice, bob| {
        let one = told(
            app,
            &bob,
            &alice,
            MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg"),
        )
        .await;
        let two = told(
            app,
            &bob,
            &alice,
            MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg"),
        )
        .await;
        for image in [&one, &two] {
            until(app, id(image), "stored").await;
        }
        assert_eq!(kept(app.root()), 1, "the same file is kept once");
        app.delete(&format!("/v1/media/{}", id(&one)))
            .await
            .expect(204);
        assert_eq!(
            app.get(one["url"].as_str().unwrap())
                .await
                .expect(410)
                .code(),
            "media_gone"
        );
        assert_eq!(
            app.get(two["url"].as_str().unwrap()).await.expect(200).body,
            JPEG
        );
        app.delete(&format!("/v1/media/{}", id(&two)))
            .await
            .expect(204);
        assert_eq!(kept(app.root()), 0);
        assert_eq!(
            app.get("/v1/media/med_nothing").await.expect(404).code(),
            "media_not_found"
        );
        assert_eq!(
            app.delete("/v1/media/med_nothing").await.expect(404).code(),
            "media_not_found"
        );
    })
    .await;
}

#[tokio::test]
async fn the_oldest_files_go_when_all_are_too_large_together() {
    Setup::new()
        .set("WAPI_MEDIA_RETENTION_SIZE_MIB", 1)
        .shop(async |app, alice, bob| {
            let mut files = Vec::new();
            for number in 0..8 {
                let video = told(
                    app,
                    &bob,
                    &alice,
                    MediaFile::new(FileKind::Video, vec![number; 200 * 1024], "video/mp4"),
                )
                .await;
                until(app, id(&video), "stored").await;
                files.push(video);
            }
            app.push_clock(Duration::from_secs(601));
            // 1 MiB has room for five of them, and the oldest go five at a time.
            for gone in &files[..5] {
                until(app, id(gone), "removed").await;
            }
            for kept in &files[5..] {
                until(app, id(kept), "stored").await;
            }
            assert_eq!(kept(app.root()), 3);
        })
        .await;
}

#[tokio::test]
async fn old_files_go_but_not_those_that_are_still_to_be_told_of() {
    Setup::new()
        .set("WAPI_MEDIA_RETENTION_DAYS", 1)
        .shop(async |app, alice, bob| {
            let old = told(
                app,
                &bob,
                &alice,
                MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg"),
            )
            .await;
            until(app, id(&old), "stored").await;
            app.webhook.answer(500);
            bob.sends_file(
                alice.number(),
                MediaFile::new(FileKind::Image, b"untold".to_vec(), "image/jpeg"),
            )
            .await
            .unwrap();
            let untold = app.webhook.refusals(1).await.remove(0).body["data"]["image"].clone();
            until(app, id(&untold), "stored").await;
            app.push_clock(Duration::from_secs(26 * 3600));
            until(app, id(&old), "removed").await;
            until(app, id(&untold), "stored").await;
            assert_eq!(kept(app.root()), 1);
            app.webhook.answer(200);
            app.push_clock(Duration::from_secs(26 * 3600));
            app.webhook.next().await;
            let waiting = async || {
                app.get("/v1/webhooks/original/deliveries?status=waiting")
                    .await
                    .expect(200)
                    .json()
            };
            let are_none = async || (waiting().await["deliveries"] == json!([])).then_some(());
            eventually(are_none, async || {
                format!("still waiting: {}", waiting().await)
            })
            .await;
            app.push_clock(Duration::from_secs(3600));
            until(app, id(&untold), "removed").await;
        })
        .await;
}
