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

const PICTURE: &str = "-i testsrc=size=1200x800:rate=1 -frames:v 1";
const MOVING: &str = "-i testsrc=size=320x180:rate=10:duration=1";
const SOUND: &str = "-i sine=duration=1 -c:a aac";
const LOOP: &str = "-i testsrc=size=101x75:rate=10:duration=1";

/// A picture as HEIC and as AVIF.
fn phone_pictures(folder: &Path, picture: &str) -> Option<[(&'static str, Vec<u8>); 2]> {
    ffmpeg(&format!("{picture} -y"), folder, "a.png")?;
    let heic = written("heif-enc", "-q 50 a.png -o", folder, "a.heic")?;
    let avif = written("heif-enc", "-A -q 50 a.png -o", folder, "a.avif")?;
    Some([("a.heic", heic), ("a.avif", avif)])
}

/// The same bytes are sent as a document, and stay as they are.
async fn assert_stays(app: &TestApp, bob: &Phone, name: &'static str, bytes: &[u8], mime: &str) {
    for message in got(app, bob, "document", name, bytes).await {
        let file = &message["document_message"];
        assert_eq!(file["mimetype"], mime, "{name}: {message}");
    }
}

#[tokio::test]
async fn pictures_of_any_size_keep_it() {
    let folder = tempfile::tempdir().unwrap();
    let (app, bob) = paired(Setup::new()).await;
    // Sides that are no multiple of the blocks of these forms.
    for (width, height) in [(801, 603), (640, 427), (33, 65)] {
        let picture = format!("-i testsrc=size={width}x{height}:rate=1 -frames:v 1");
        let Some(pictures) = phone_pictures(folder.path(), &picture) else {
            break;
        };
        for (name, bytes) in pictures {
            for message in got(&app, &bob, "image", name, &bytes).await {
                let file = &message["image_message"];
                assert_eq!(file["width"], width, "{name}: {message}");
                assert_eq!(file["height"], height, "{name}: {message}");
            }
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn pictures_that_phones_do_not_show_become_jpeg() {
    let folder = tempfile::tempdir().unwrap();
    let Some(pictures) = phone_pictures(folder.path(), PICTURE) else {
        return;
    };
    let (app, bob) = paired(Setup::new()).await;
    for (name, bytes) in pictures {
        for message in got(&app, &bob, "image", name, &bytes).await {
            let file = &message["image_message"];
            assert_eq!(file["mimetype"], "image/jpeg", "{name}: {message}");
            assert_eq!(file["width"], 1200);
            assert_eq!(file["height"], 800);
            assert!(file["jpeg_thumbnail"].is_array(), "{file}");
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn a_sticker_becomes_webp() {
    let folder = tempfile::tempdir().unwrap();
    let Some([(name, heic), _]) = phone_pictures(folder.path(), PICTURE) else {
        return;
    };
    let (app, bob) = paired(Setup::new()).await;
    for message in got(&app, &bob, "sticker", name, &heic).await {
        let file = &message["sticker_message"];
        assert_eq!(file["mimetype"], "image/webp", "{message}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_document_stays_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let Some([(_, heic), (_, avif)]) = phone_pictures(folder.path(), PICTURE) else {
        return;
    };
    let mov = format!("{MOVING} -c:v libx264 -pix_fmt yuv420p");
    let mov = ffmpeg(&mov, folder.path(), "a.mov").unwrap();
    let (app, bob) = paired(Setup::new()).await;
    assert_stays(&app, &bob, "a.heic", &heic, "image/heic").await;
    assert_stays(&app, &bob, "a.avif", &avif, "image/avif").await;
    assert_stays(&app, &bob, "a.mov", &mov, "video/quicktime").await;
    app.finish().await;
}

#[tokio::test]
async fn films_that_phones_do_not_show_become_mp4() {
    let folder = tempfile::tempdir().unwrap();
    let (app, bob) = paired(Setup::new()).await;
    for (name, codec) in [
        ("a.mov", "-c:v libx264 -pix_fmt yuv420p"),
        ("b.mov", "-c:v mjpeg"),
    ] {
        let Some(film) = ffmpeg(&format!("{MOVING} {codec}"), folder.path(), name) else {
            break;
        };
        for message in got(&app, &bob, "video", name, &film).await {
            let file = &message["video_message"];
            assert_eq!(file["mimetype"], "video/mp4", "{name}: {message}");
            assert_eq!(file["width"], 320);
            assert_eq!(file["seconds"], 1);
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn sounds_in_boxes_of_films_become_mp4_sounds() {
    let folder = tempfile::tempdir().unwrap();
    let (app, bob) = paired(Setup::new()).await;
    for (name, options) in [
        ("a.m4a", ""),
        ("b.mp4", ""),
        ("b.3gp", "-f 3gp"),
        ("c.mov", ""),
    ] {
        let Some(sound) = ffmpeg(&format!("{SOUND} {options}"), folder.path(), name) else {
            break;
        };
        for message in got(&app, &bob, "audio", name, &sound).await {
            let file = &message["audio_message"];
            assert_eq!(file["mimetype"], "audio/mp4", "{name}: {message}");
            assert_eq!(file["seconds"], 1);
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn a_still_picture_is_refused_as_a_video() {
    let folder = tempfile::tempdir().unwrap();
    let Some([(_, heic), _]) = phone_pictures(folder.path(), PICTURE) else {
        return;
    };
    let (app, bob) = paired(Setup::new()).await;
    let film = upload(&app, "shop", "; filename=\"a.heic\"", &heic).await;
    let refused = app
        .post(
            "/v1/sessions/shop/messages",
            json!({"to": bob.jid(), "video": {"id": film["id"]}}),
        )
        .await
        .expect(400)
        .json();
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("is not a video but image/heic"), "{detail}");
    app.finish().await;
}

/// The same picture that moves, as GIF, APNG, and WebP.
fn moving_pictures(folder: &Path) -> Option<[(&'static str, Vec<u8>); 3]> {
    let gif = ffmpeg(LOOP, folder, "a.gif")?;
    let apng = ffmpeg(&format!("{LOOP} -plays 0 -f apng"), folder, "b.png")?;
    let webp = ffmpeg(&format!("{LOOP} -loop 0"), folder, "a.webp")?;
    Some([("a.gif", gif), ("b.png", apng), ("a.webp", webp)])
}

/// Pictures that move arrive as films that are played over and over.
async fn assert_moving_pictures_become_films(kind: &str) {
    let folder = tempfile::tempdir().unwrap();
    let Some(pictures) = moving_pictures(folder.path()) else {
        return;
    };
    let (app, bob) = paired(Setup::new()).await;
    for (name, bytes) in pictures {
        for message in got(&app, &bob, kind, name, &bytes).await {
            let film = &message["video_message"];
            assert_eq!(film["mimetype"], "video/mp4", "{name}: {message}");
            assert_eq!(film["gif_playback"], true, "{name}: {message}");
            assert_eq!(film["width"], 100);
            assert_eq!(film["height"], 74);
            assert_eq!(film["seconds"], 1);
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn images_that_move_are_films_that_are_played_over_and_over() {
    assert_moving_pictures_become_films("image").await;
}

#[tokio::test]
async fn pictures_that_move_are_taken_as_videos() {
    assert_moving_pictures_become_films("video").await;
}

#[tokio::test]
async fn stickers_of_pictures_that_move_are_animated() {
    let folder = tempfile::tempdir().unwrap();
    let Some(pictures) = moving_pictures(folder.path()) else {
        return;
    };
    let (app, bob) = paired(Setup::new()).await;
    for (name, bytes) in pictures {
        for message in got(&app, &bob, "sticker", name, &bytes).await {
            let sticker = &message["sticker_message"];
            assert_eq!(sticker["is_animated"], true, "{name}: {message}");
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn what_could_move_and_does_not_is_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let (app, bob) = paired(Setup::new()).await;
    for (name, options, mime_type) in [
        ("c.gif", "", "image/gif"),
        ("d.png", "-f apng", "image/png"),
    ] {
        let options = format!("{LOOP} -frames:v 1 {options}");
        let Some(still) = ffmpeg(&options, folder.path(), name) else {
            break;
        };
        for message in got(&app, &bob, "image", name, &still).await {
            let image = &message["image_message"];
            assert_eq!(image["mimetype"], mime_type, "{message}");
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn what_does_not_move_fails_as_a_gif() {
    let folder = tempfile::tempdir().unwrap();
    let Some(still) = ffmpeg(&format!("{LOOP} -frames:v 1"), folder.path(), "c.gif") else {
        return;
    };
    let (app, bob) = paired(Setup::new()).await;
    let file = upload(&app, "shop", "; filename=\"c.gif\"", &still).await;
    let id = app
        .accepted(
            "shop",
            json!({"to": bob.jid(), "video": {"id": file["id"], "gif": true}}),
        )
        .await;
    let failed = app.until_message("shop", &id, "failed").await;
    let detail = failed["error"]["detail"].as_str().unwrap();
    let expected = "is not an animated picture; send it as `image`";
    assert!(detail.contains(expected), "{detail}");
    app.finish().await;
}

#[tokio::test]
async fn an_album_has_pictures_and_films_as_it_was_announced() {
    let folder = tempfile::tempdir().unwrap();
    let Some([(_, gif), (_, apng), _]) = moving_pictures(folder.path()) else {
        return;
    };
    let (app, bob) = paired(Setup::new()).await;
    let files = serve(vec![("/a.gif", &[], gif), ("/b.png", &[], apng)]);
    let [gif, apng] = ["a.gif", "b.png"].map(|name| json!({"link": format!("{files}/{name}")}));
    let album = json!([{"image": gif}, {"image": apng}, {"video": gif}]);
    app.post(
        "/v1/sessions/shop/messages?wait=60",
        json!({"to": bob.jid(), "album": album}),
    )
    .await
    .expect(200);
    let next = async || bob.next_message(10 * PATIENCE).await.unwrap().to_json();
    assert_eq!(
        next().await["album_message"],
        json!({"expected_image_count": 2, "expected_video_count": 1})
    );
    for _ in 0..2 {
        let picture = next().await;
        assert!(picture["image_message"].is_object(), "{picture}");
    }
    let film = next().await["video_message"].take();
    assert_eq!(film["mimetype"], "video/mp4", "{film}");
    assert_ne!(film["gif_playback"], true, "{film}");
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
