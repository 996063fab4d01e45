//! What is said of a file because the gateway has looked into it.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use wapi_simulator::{FileKind, MediaFile};

use crate::harness::{PATIENCE, Setup, eventually, shop, skipped};
use crate::uploads::upload;

/// A PDF of so many pages, all of them empty.
fn pdf(pages: u32) -> Vec<u8> {
    let kids: String = (0..pages)
        .map(|page| format!("{} 0 R ", page + 3))
        .collect();
    let tree = format!("<</Type/Pages/Kids[{kids}]/Count {pages}>>");
    let objects = ["<</Type/Catalog/Pages 2 0 R>>".to_owned(), tree];
    let leaves = (0..pages).map(|_| "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>".to_owned());
    let (mut file, mut table) = ("%PDF-1.4\n".to_owned(), String::new());
    for (number, object) in (1..).zip(objects.into_iter().chain(leaves)) {
        table += &format!("{:010} 00000 n \n", file.len());
        file += &format!("{number} 0 obj\n{object}\nendobj\n");
    }
    let (at, size) = (file.len(), pages + 3);
    file += &format!(
        "xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<</Size {size}/Root 1 0 R>>\n"
    );
    file += &format!("startxref\n{at}\n%%EOF\n");
    file.into_bytes()
}

#[tokio::test]
async fn the_pages_of_a_document_are_counted_in_both_directions() {
    shop(async |app, alice, bob| {
        let file = upload(app, "shop", "; filename=\"a.pdf\"", &pdf(3)).await;
        assert_eq!(file["mime_type"], "application/pdf", "{file}");
        assert_eq!(file["pages"], 3, "{file}");
        app.accepted(
            "shop",
            json!({"to": bob.jid(), "document": {"id": file["id"]}}),
        )
        .await;
        let sent = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(sent.to_json()["document_message"]["page_count"], 3);

        // What the sender says is told; what they do not say is seen when the file is here.
        for (said, told, known) in [
            (Some(12), json!(12), 12),
            (Some(0), json!(null), 5),
            (None, json!(null), 5),
        ] {
            let document = MediaFile::new(FileKind::Document, pdf(5), "application/pdf");
            bob.sends_file(
                alice.number(),
                MediaFile {
                    pages: said,
                    ..document
                },
            )
            .await
            .unwrap();
            let received = app.webhook.next().await.body["data"]["document"].clone();
            assert_eq!(received["pages"], told, "{received}");
            let info = async || {
                app.get(&format!("/v1/media/{}", received["id"].as_str().unwrap()))
                    .await
                    .expect(200)
                    .json()
            };
            let stored = async || Some(info().await).filter(|info| info["status"] == "stored");
            let info = eventually(stored, async || format!("{}", info().await)).await;
            assert_eq!(info["pages"], json!(known), "{info}");
        }

        let hostile = upload(app, "shop", "", b"%PDF-1.7\nstartxref\n9\n%%EOF").await;
        assert_eq!(hostile["pages"], json!(null), "{hostile}");
    })
    .await;
}

/// Two seconds of a moving picture of 320 by 180 pixels, as ffmpeg writes them to a file of this name with these options; `None`, and a
/// word about it, when there is no ffmpeg.
fn film(options: &str, name: &str) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join(name);
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args([
        "-nostdin",
        "-loglevel",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=320x180:rate=25:duration=2",
    ]);
    match ffmpeg
        .args(options.split_whitespace())
        .arg(&to)
        .stdout(Stdio::null())
        .status()
    {
        Ok(status) => assert!(status.success(), "{options}"),
        Err(_) => return skipped("ffmpeg is not installed"),
    }
    Some(std::fs::read(to).unwrap())
}

#[tokio::test]
async fn a_film_is_sent_with_its_size_its_length_and_a_thumbnail() {
    let Some(bytes) = film("-c:v mpeg4", "a.mp4") else {
        return;
    };
    for (ffmpeg, is_small) in [(None, true), (Some("none"), false)] {
        let setup = ffmpeg.map_or_else(Setup::new, |ffmpeg| {
            Setup::new().set("WAPI_FFMPEG_PATH", ffmpeg)
        });
        let app = setup.start().await;
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        app.pair("shop", &alice).await;
        let file = upload(&app, "shop", "", &bytes).await;
        assert_eq!(file["width"], 320);
        assert_eq!(file["height"], 180);
        assert_eq!(file["duration"], 2);
        app.accepted(
            "shop",
            json!({"to": bob.jid(), "video": {"id": file["id"]}}),
        )
        .await;
        let sent = bob.next_message(PATIENCE).await.unwrap();
        let shown = sent.to_json()["video_message"].take();
        assert_eq!(shown["width"], 320);
        assert_eq!(shown["height"], 180);
        assert_eq!(shown["seconds"], 2);
        assert_eq!(
            sent.media.unwrap().bytes,
            bytes,
            "the film itself stays as it is"
        );
        let small = shown["jpeg_thumbnail"].as_array().map(|small| {
            let small: Vec<u8> = serde_json::from_value(json!(small)).unwrap();
            image::load_from_memory(&small).unwrap()
        });
        assert_eq!(
            small.map(|small| (small.width(), small.height())),
            is_small.then_some((100, 56))
        );
        app.finish().await;
    }
}

#[tokio::test]
async fn what_moves_becomes_a_sticker_that_moves() {
    shop(async |app, _, bob| {
        let noise = "-vf noise=alls=100:allf=t,fps=25 -t 2";
        for (options, name, mime_type) in [
            ("-vf fps=10", "a.gif", "image/gif"),
            ("-c:v mpeg4", "a.mp4", "video/mp4"),
            ("-c:v libvpx", "a.webm", "video/webm"),
            (noise, "noise.gif", "image/gif"),
        ] {
            let Some(bytes) = film(options, name) else {
                return;
            };
            let file = upload(
                app,
                "shop",
                &format!("; filename=\"{name}\"\r\nContent-Type: {mime_type}"),
                &bytes,
            )
            .await;
            assert_eq!(file["mime_type"], mime_type, "{file}");
            app.accepted(
                "shop",
                json!({"to": bob.jid(), "sticker": {"id": file["id"]}}),
            )
            .await;
            let sent = bob.next_message(PATIENCE).await.unwrap();
            let shown = sent.to_json()["sticker_message"].take();
            assert_eq!(shown["width"], 512, "{name}");
            assert_eq!(shown["height"], 512, "{name}");
            assert_eq!(shown["is_animated"], true, "{name}");
            let media = sent.media.unwrap();
            assert_eq!(media.mime, "image/webp");
            assert!(
                media.bytes.len() <= 500 * 1024,
                "{name}: {} bytes",
                media.bytes.len()
            );
        }
        let broken = upload(app, "shop", "", b"GIF89a and so on").await;
        let id = app
            .accepted(
                "shop",
                json!({"to": bob.jid(), "sticker": {"id": broken["id"]}}),
            )
            .await;
        let failed = app.until_message("shop", &id, "failed").await;
        assert_eq!(
            failed["error"]["detail"],
            "the file cannot be converted: ffmpeg finds no readable picture in it"
        );
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
async fn without_ffmpeg_what_moves_is_no_sticker_and_it_is_said_what_to_do() {
    Setup::new()
        .set("WAPI_FFMPEG_PATH", "none")
        .shop(async |app, _, _| {
            let file = upload(app, "shop", "", b"GIF89a and so on").await;
            let message: Value = json!({"to": "375440000001", "sticker": {"id": file["id"]}});
            let refused = app
                .post("/v1/sessions/shop/messages", message)
                .await
                .expect(400);
            assert_eq!(refused.fields(), ["sticker.id"]);
            let detail = refused.json()["detail"].as_str().unwrap().to_owned();
            assert!(
                detail.contains("is not an animated WebP") && detail.contains("WAPI_FFMPEG_PATH"),
                "{detail}"
            );
        })
        .await;
}
