//! Voice notes: whatever sound is given, phones get Opus in Ogg, and see how loud it is.

use std::f64::consts::TAU;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use wapi_simulator::Phone;

use crate::harness::{PATIENCE, Setup, TestApp, TestReceiver, eventually, shop, skipped};
use crate::uploads::upload;

const OPUS: &str = "audio/ogg; codecs=opus";

/// Two seconds of a sound that grows louder, as WAV.
fn wav() -> Vec<u8> {
    const RATE: u32 = 16_000;
    let loudness = |at: u32| f64::from(at) / f64::from(2 * RATE) * 30_000.0;
    let sample =
        |at: u32| (loudness(at) * (f64::from(at) * 440.0 * TAU / f64::from(RATE)).sin()) as i16;
    let samples: Vec<u8> = (0..2 * RATE)
        .flat_map(|at| sample(at).to_le_bytes())
        .collect();
    let length = u32::try_from(samples.len()).unwrap();
    let head = [
        &b"fmt \x10\0\0\0\x01\0\x01\0"[..],
        &RATE.to_le_bytes(),
        &(2 * RATE).to_le_bytes(),
        b"\x02\0\x10\0data",
    ];
    [
        b"RIFF",
        &(length + 36).to_le_bytes()[..],
        b"WAVE",
        &head.concat(),
        &length.to_le_bytes(),
        &samples,
    ]
    .concat()
}

/// The same, as ffmpeg writes it with these options; `None`, and a word about it, when there is no ffmpeg.
pub fn written(folder: &Path, options: &str, name: &str) -> Option<Vec<u8>> {
    let (from, to) = (folder.join("sound.wav"), folder.join(name));
    std::fs::write(&from, wav()).unwrap();
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-nostdin", "-loglevel", "error", "-y", "-i"])
        .arg(from)
        .args(options.split_whitespace())
        .arg(&to);
    match ffmpeg.stdout(Stdio::null()).status() {
        Ok(status) => assert!(status.success(), "{options}"),
        Err(_) => return skipped("ffmpeg is not installed"),
    }
    Some(std::fs::read(to).unwrap())
}

/// Sends a file as a voice note; its bytes and its message as the phone opened them.
async fn note(app: &TestApp, file: &Value, to: &Phone) -> (Vec<u8>, Value) {
    app.accepted(
        "shop",
        json!({"to": to.jid(), "audio": {"id": file["id"], "voice": true}}),
    )
    .await;
    let message = to.next_message(PATIENCE).await.unwrap();
    let audio = message.to_json()["audio_message"].take();
    (message.media.unwrap().bytes, audio)
}

/// Why a voice note of this file was not sent.
async fn failure(app: &TestApp, file: &Value, to: &Phone) -> String {
    let id = app
        .accepted(
            "shop",
            json!({"to": to.jid(), "audio": {"id": file["id"], "voice": true}}),
        )
        .await;
    let failed = app.until_message("shop", &id, "failed").await;
    assert_eq!(failed["error"]["code"], "media_unavailable", "{failed}");
    failed["error"]["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn any_sound_becomes_a_voice_note() {
    shop(async |app, _, bob| {
        let folder = tempfile::tempdir().unwrap();
        let kinds = [
            ("-c:a pcm_s16le", "a.wav", "audio/wav"),
            (
                "-c:a libmp3lame -metadata title=secret",
                "a.mp3",
                "audio/mpeg",
            ),
            ("-c:a aac", "a.m4a", "audio/mp4"),
            ("-c:a aac", "a.aac", "audio/aac"),
            ("-c:a flac", "a.flac", "audio/flac"),
            ("-c:a libvorbis", "a.ogg", "audio/ogg"),
            ("-c:a libopus", "a.webm", "audio/webm"),
        ];
        for (options, name, mime_type) in kinds {
            let Some(sound) = written(folder.path(), options, name) else {
                return;
            };
            let file = upload(
                app,
                "shop",
                &format!("; filename=\"{name}\"\r\nContent-Type: {mime_type}"),
                &sound,
            )
            .await;
            assert_eq!(file["mime_type"], mime_type, "{name}");
            let knows_length = !["a.ogg", "a.webm"].contains(&name);
            assert!(
                file["duration"]
                    .as_u64()
                    .is_some_and(|seconds| seconds == 2 || seconds == 3)
                    == knows_length,
                "{file}"
            );
            let (bytes, audio) = note(app, &file, &bob).await;
            assert_eq!(audio["ptt"], true, "{name}");
            assert_eq!(audio["mimetype"], OPUS, "{name}");
            assert_eq!(&bytes[28..36], b"OpusHead", "{name}");
            assert!(
                [json!(2), json!(3)].contains(&audio["seconds"]),
                "{name}: {}",
                audio["seconds"]
            );
            let waveform: Vec<u8> = serde_json::from_value(audio["waveform"].clone()).unwrap();
            let louder = waveform[4] < waveform[24]
                && waveform[24] < waveform[44]
                && waveform[44] < waveform[58];
            assert!(
                waveform.len() == 64 && louder && waveform.contains(&100),
                "{name}: {waveform:?}"
            );
            assert!(
                !bytes.windows(6).any(|word| word == b"secret"),
                "tags stay behind"
            );
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
async fn what_is_opus_already_stays_as_it_is_and_needs_no_ffmpeg() {
    let folder = tempfile::tempdir().unwrap();
    let Some(opus) = written(folder.path(), "-c:a libopus -ac 1", "a.ogg") else {
        return;
    };
    for (ffmpeg, levels) in [(None, Some(64)), (Some("none"), None)] {
        let setup = ffmpeg.map_or_else(Setup::new, |ffmpeg| {
            Setup::new().set("WAPI_FFMPEG_PATH", ffmpeg)
        });
        let app = setup.start().await;
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        app.pair("shop", &alice).await;
        let file = upload(&app, "shop", "", &opus).await;
        let (bytes, audio) = note(&app, &file, &bob).await;
        assert_eq!(bytes, opus);
        assert_eq!(audio["mimetype"], OPUS);
        assert_eq!(audio["seconds"], 2);
        assert_eq!(audio["waveform"].as_array().map(Vec::len), levels);
        app.finish().await;
    }
}

#[tokio::test]
async fn without_ffmpeg_it_is_said_what_to_do() {
    Setup::new()
        .set("WAPI_FFMPEG_PATH", "none")
        .shop(async |app, _, bob| {
            let file = upload(app, "shop", "", &wav()).await;
            let message = |audio: Value| json!({"to": bob.jid(), "audio": audio});
            let route = "/v1/sessions/shop/messages";
            let refused = app
                .post(route, message(json!({"id": file["id"], "voice": true})))
                .await
                .expect(400);
            assert_eq!(refused.fields(), ["audio.id"]);
            let detail = refused.json()["detail"].to_string();
            assert!(
                detail.contains("Install ffmpeg") && detail.contains("or give Ogg with Opus"),
                "{detail}"
            );

            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let files = axum::Router::new().route("/a.wav", axum::routing::get(async || wav()));
            let link = format!("{}/a.wav", TestReceiver::serve(listener, files));
            let failed = app
                .post(route, message(json!({"link": link, "voice": true})))
                .await;
            assert!(
                failed.json()["detail"]
                    .as_str()
                    .unwrap()
                    .contains("Install ffmpeg"),
                "{}",
                failed.json()
            );
            assert_eq!(failed.status, 502);
            assert_eq!(failed.code().as_str(), "media_unavailable");
            let no_note = app
                .post(route, message(json!({"id": file["id"]})))
                .await
                .expect(400);
            assert!(
                no_note.json()["detail"]
                    .as_str()
                    .unwrap()
                    .contains("is not audio"),
                "{}",
                no_note.json()
            );
        })
        .await;
}

/// A playlist behind the head of an MP3 is a playlist to an ffmpeg that guesses.
#[tokio::test]
async fn a_file_that_pretends_to_be_a_sound_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    if written(folder.path(), "-c:a libmp3lame", "other.mp3").is_none() {
        return;
    }
    shop(async |app, _, bob| {
        let secret = folder.path().join("other.mp3").display().to_string();
        let inside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        inside.set_nonblocking(true).unwrap();
        let address = format!("http://{}/a.wav", inside.local_addr().unwrap());
        let playlist = |target: &str| {
            format!("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n")
        };
        let concat = format!("ffconcat version 1.0\nfile '{secret}'\n");
        for head in [
            &b"ID3\x04\0\0\0\0\0\0"[..],
            b"OggS\0\x02",
            b"\0\0\0\x08ftypM4A ",
        ] {
            for hidden in [
                playlist(&address),
                playlist(&secret),
                playlist(&format!("file:{secret}")),
                concat.clone(),
            ] {
                let file = upload(
                    app,
                    "shop",
                    "\r\nContent-Type: audio/mp4",
                    &[head, hidden.as_bytes()].concat(),
                )
                .await;
                if head.starts_with(b"OggS") {
                    // Nobody can tell, so it is sent as it is.
                    assert_eq!(
                        note(app, &file, &bob).await.1["waveform"],
                        Value::Null,
                        "{hidden}"
                    );
                    continue;
                }
                let why = failure(app, &file, &bob).await;
                assert!(
                    why.contains("ffmpeg finds no readable sound in it"),
                    "{why}: {hidden}"
                );
            }
        }
        let nobody = inside.accept().map(|(_, address)| address);
        assert_eq!(nobody.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    })
    .await;
}

/// A program that says who it is, in the place of ffmpeg, and never ends.
fn endless(folder: &Path) -> (String, impl AsyncFn() -> String) {
    let (program, note) = (folder.join("endless"), folder.join("note"));
    std::fs::write(
        &program,
        format!(
            "#!/bin/sh\necho $$ > {0}.new\nmv {0}.new {0}\nexec sleep 1000\n",
            note.display()
        ),
    )
    .unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let begun = async move || {
        let read = async || std::fs::read_to_string(&note).ok();
        let process = eventually(read, async || "it was not begun".to_owned()).await;
        std::fs::remove_file(&note).unwrap();
        format!("/proc/{}", process.trim())
    };
    (program.display().to_string(), begun)
}

#[tokio::test]
async fn an_ffmpeg_that_never_ends_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (program, begun) = endless(folder.path());
    let app = Setup::new().set("WAPI_FFMPEG_PATH", program).start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let file = upload(&app, "shop", "", &wav()).await;
    let gone = async |process: String| {
        let is_gone = async || (!Path::new(&process).exists()).then_some(());
        eventually(is_gone, async || format!("{process} is still there")).await;
    };
    let voice = json!({"to": bob.jid(), "audio": {"id": file["id"], "voice": true}});
    let late = app.accepted("shop", voice.clone()).await;
    let process = begun().await;
    app.push_clock(Duration::from_secs(121));
    let failed = app.until_message("shop", &late, "failed").await;
    assert!(
        failed["error"]["detail"]
            .as_str()
            .unwrap()
            .contains("is too long"),
        "{failed}"
    );
    gone(process).await;

    app.accepted("shop", voice).await;
    let process = begun().await;
    app.finish().await;
    gone(process).await;
}
