//! In which form phones get the files they do not show: what is made of each, and what is said where nothing can be made.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use wapi_simulator::Phone;

use super::{paired, serve};
use crate::harness::{PATIENCE, Setup, TestApp, skipped};
use crate::uploads::upload;

/// What a program writes to the last of its arguments, a file of this name; `None`, and a word about it, when it is not there.
fn written(program: &str, arguments: &str, folder: &Path, name: &str) -> Option<Vec<u8>> {
    let to = folder.join(name);
    let mut command = Command::new(program);
    command
        .args(arguments.split_whitespace())
        .arg(&to)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    match command.status() {
        Ok(status) => assert!(status.success(), "{program} {arguments}"),
        Err(_) => return skipped(&format!("{program} is not installed")),
    }
    Some(std::fs::read(to).unwrap())
}

fn ffmpeg(options: &str, folder: &Path, name: &str) -> Option<Vec<u8>> {
    written(
        "ffmpeg",
        &format!("-nostdin -loglevel error -f lavfi {options}"),
        folder,
        name,
    )
}

/// What Bob gets of a file that is sent as this kind, by its address, and by its id: the whole message.
async fn got(
    app: &TestApp,
    bob: &Phone,
    kind: &str,
    name: &'static str,
    bytes: &[u8],
) -> [Value; 2] {
    let link = format!(
        "{}/{name}",
        serve(vec![(
            Box::leak(format!("/{name}").into_boxed_str()),
            &[],
            bytes.to_vec()
        )])
    );
    let file = upload(app, "shop", &format!("; filename=\"{name}\""), bytes).await;
    let mut messages = Vec::new();
    for named in [json!({"link": link}), json!({"id": file["id"]})] {
        app.accepted("shop", json!({"to": bob.jid(), kind: named}))
            .await;
        messages.push(bob.next_message(10 * PATIENCE).await.unwrap().to_json());
    }
    messages.try_into().unwrap()
}

#[tokio::test]
async fn what_phones_do_not_show_becomes_what_they_show() {
    let folder = tempfile::tempdir().unwrap();
    let picture = "-i testsrc=size=1200x800:rate=1 -frames:v 1";
    if ffmpeg(picture, folder.path(), "a.png").is_none() {
        return;
    }
    let Some(heic) = written("heif-enc", "-q 50 a.png -o", folder.path(), "a.heic") else {
        return;
    };
    let Some(avif) = written("heif-enc", "-A -q 50 a.png -o", folder.path(), "a.avif") else {
        return;
    };
    let moving = "-i testsrc=size=320x180:rate=10:duration=1";
    let mov = ffmpeg(
        &format!("{moving} -c:v libx264 -pix_fmt yuv420p"),
        folder.path(),
        "a.mov",
    )
    .unwrap();
    let old = ffmpeg(&format!("{moving} -c:v mjpeg"), folder.path(), "b.mov").unwrap();
    let m4a = ffmpeg("-i sine=duration=1 -c:a aac", folder.path(), "a.m4a").unwrap();
    let mp4 = ffmpeg("-i sine=duration=1 -c:a aac", folder.path(), "b.mp4").unwrap();
    let sound = ffmpeg("-i sine=duration=1 -c:a aac -f 3gp", folder.path(), "b.3gp").unwrap();
    let quicktime = ffmpeg("-i sine=duration=1 -c:a aac", folder.path(), "c.mov").unwrap();
    let (app, bob) = paired(Setup::new()).await;
    // Sides that are no multiple of what pictures are coded in.
    for (size, width, height) in [
        ("801x603", 801, 603),
        ("640x427", 640, 427),
        ("33x65", 33, 65),
    ] {
        ffmpeg(
            &format!("-i testsrc=size={size}:rate=1 -frames:v 1 -y"),
            folder.path(),
            "odd.png",
        )
        .unwrap();
        for (options, name) in [("odd.png -o", "odd.heic"), ("-A odd.png -o", "odd.avif")] {
            let odd = written("heif-enc", options, folder.path(), name).unwrap();
            for message in got(&app, &bob, "image", name, &odd).await {
                let file = &message["image_message"];
                assert_eq!(
                    (&file["width"], &file["height"]),
                    (&json!(width), &json!(height)),
                    "{name}: {message}"
                );
            }
        }
    }
    for (kind, name, bytes, field, mime_type) in [
        ("image", "a.heic", &heic, "image_message", "image/jpeg"),
        ("image", "a.avif", &avif, "image_message", "image/jpeg"),
        ("sticker", "a.heic", &heic, "sticker_message", "image/webp"),
        (
            "document",
            "a.heic",
            &heic,
            "document_message",
            "image/heic",
        ),
        (
            "document",
            "a.avif",
            &avif,
            "document_message",
            "image/avif",
        ),
        (
            "document",
            "a.mov",
            &mov,
            "document_message",
            "video/quicktime",
        ),
        ("video", "a.mov", &mov, "video_message", "video/mp4"),
        ("video", "b.mov", &old, "video_message", "video/mp4"),
        ("audio", "a.m4a", &m4a, "audio_message", "audio/mp4"),
        ("audio", "b.mp4", &mp4, "audio_message", "audio/mp4"),
        ("audio", "b.3gp", &sound, "audio_message", "audio/mp4"),
        ("audio", "c.mov", &quicktime, "audio_message", "audio/mp4"),
    ] {
        for message in got(&app, &bob, kind, name, bytes).await {
            let file = &message[field];
            assert_eq!(file["mimetype"], mime_type, "{name} as {kind}: {message}");
            match field {
                "image_message" => {
                    assert_eq!(
                        (&file["width"], &file["height"]),
                        (&json!(1200), &json!(800))
                    );
                    assert!(file["jpeg_thumbnail"].is_array(), "{file}");
                }
                "video_message" => {
                    assert_eq!((&file["width"], &file["seconds"]), (&json!(320), &json!(1)))
                }
                "audio_message" => assert_eq!(file["seconds"], 1),
                _ => {}
            }
        }
    }
    let film = upload(&app, "shop", "; filename=\"a.heic\"", &heic).await;
    let refused = json!({"to": bob.jid(), "video": {"id": film["id"]}});
    let refused = app
        .post("/v1/sessions/shop/messages", refused)
        .await
        .expect(400)
        .json();
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("is not a video but image/heic"),
        "{refused}"
    );
    app.finish().await;
}

#[tokio::test]
async fn pictures_that_move_are_films_that_are_played_over_and_over() {
    let folder = tempfile::tempdir().unwrap();
    let moving = "-i testsrc=size=101x75:rate=10:duration=1";
    let Some(gif) = ffmpeg(moving, folder.path(), "a.gif") else {
        return;
    };
    let apng = ffmpeg(
        &format!("{moving} -plays 0 -f apng"),
        folder.path(),
        "b.png",
    )
    .unwrap();
    let webp = ffmpeg(&format!("{moving} -loop 0"), folder.path(), "a.webp").unwrap();
    let still = ffmpeg(&format!("{moving} -frames:v 1"), folder.path(), "c.gif").unwrap();
    let (app, bob) = paired(Setup::new()).await;
    for (name, bytes) in [("a.gif", &gif), ("b.png", &apng), ("a.webp", &webp)] {
        for kind in ["image", "video"] {
            for message in got(&app, &bob, kind, name, bytes).await {
                let film = &message["video_message"];
                assert_eq!(
                    (&film["mimetype"], &film["gif_playback"]),
                    (&json!("video/mp4"), &json!(true)),
                    "{name}: {message}"
                );
                assert_eq!(
                    (&film["width"], &film["height"], &film["seconds"]),
                    (&json!(100), &json!(74), &json!(1))
                );
            }
        }
        for message in got(&app, &bob, "sticker", name, bytes).await {
            assert_eq!(
                message["sticker_message"]["is_animated"], true,
                "{name}: {message}"
            );
        }
    }
    let one = ffmpeg(
        &format!("{moving} -frames:v 1 -f apng"),
        folder.path(),
        "d.png",
    )
    .unwrap();
    for message in got(&app, &bob, "image", "d.png", &one).await {
        assert_eq!(
            message["image_message"]["mimetype"], "image/png",
            "{message}"
        );
    }
    // In an album, pictures are pictures and films are films, as it was announced.
    let files = serve(vec![
        ("/a.gif", &[], gif.clone()),
        ("/b.png", &[], apng.clone()),
    ]);
    let [gif_link, apng_link] =
        ["a.gif", "b.png"].map(|name| json!({"link": format!("{files}/{name}")}));
    let album = json!([{"image": gif_link}, {"image": apng_link}, {"video": gif_link}]);
    app.post(
        "/v1/sessions/shop/messages?wait=60",
        json!({"to": bob.jid(), "album": album}),
    )
    .await
    .expect(200);
    let announced =
        bob.next_message(10 * PATIENCE).await.unwrap().to_json()["album_message"].clone();
    assert_eq!(
        announced,
        json!({"expected_image_count": 2, "expected_video_count": 1})
    );
    for _ in 0..2 {
        let picture = bob.next_message(10 * PATIENCE).await.unwrap().to_json();
        assert!(picture["image_message"].is_object(), "{picture}");
    }
    let film = bob.next_message(10 * PATIENCE).await.unwrap().to_json()["video_message"].clone();
    assert_eq!(
        (&film["mimetype"], film["gif_playback"] == json!(true)),
        (&json!("video/mp4"), false),
        "{film}"
    );
    for message in got(&app, &bob, "image", "c.gif", &still).await {
        assert_eq!(
            message["image_message"]["mimetype"], "image/gif",
            "{message}"
        );
    }
    let file = upload(&app, "shop", "; filename=\"c.gif\"", &still).await;
    let id = app
        .accepted(
            "shop",
            json!({"to": bob.jid(), "video": {"id": file["id"], "gif": true}}),
        )
        .await;
    let failed = app.until_message("shop", &id, "failed").await;
    assert!(
        failed["error"]["detail"]
            .as_str()
            .unwrap()
            .contains("does not move; send it as `image`"),
        "{failed}"
    );
    app.finish().await;
}

#[tokio::test]
async fn without_programs_that_convert_it_is_said_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    let moving = "-i testsrc=size=101x75:rate=10:duration=1";
    let Some(gif) = ffmpeg(moving, folder.path(), "a.gif") else {
        return;
    };
    let mov = ffmpeg(&format!("{moving} -c:v mjpeg"), folder.path(), "b.mov").unwrap();
    ffmpeg(
        "-i testsrc=size=1200x800:rate=1 -frames:v 1",
        folder.path(),
        "a.png",
    )
    .unwrap();
    let Some(heic) = written("heif-enc", "a.png -o", folder.path(), "a.heic") else {
        return;
    };
    let (app, bob) = paired(
        Setup::new()
            .set("WAPI_FFMPEG_PATH", "none")
            .set("WAPI_HEIF_CONVERT_PATH", "none"),
    )
    .await;
    for (kind, name, bytes, word) in [
        ("video", "a.gif", &gif, "Install ffmpeg"),
        ("video", "b.mov", &mov, "Install ffmpeg"),
        ("image", "a.heic", &heic, "libheif-examples"),
        ("sticker", "a.heic", &heic, "libheif-examples"),
    ] {
        let file = upload(&app, "shop", &format!("; filename=\"{name}\""), bytes).await;
        let refused = json!({"to": bob.jid(), kind: {"id": file["id"]}});
        let refused = app
            .post("/v1/sessions/shop/messages", refused)
            .await
            .expect(400)
            .json();
        assert!(
            refused["detail"].as_str().unwrap().contains(word),
            "{refused}"
        );
    }
    // Whether a GIF moves is seen when its turn comes.
    let file = upload(&app, "shop", "; filename=\"a.gif\"", &gif).await;
    let id = app
        .accepted(
            "shop",
            json!({"to": bob.jid(), "image": {"id": file["id"]}}),
        )
        .await;
    let failed = app.until_message("shop", &id, "failed").await;
    assert!(
        failed["error"]["detail"]
            .as_str()
            .unwrap()
            .contains("Install ffmpeg"),
        "{failed}"
    );
    app.finish().await;
}
