//! Bodies that are not what they should be.

use serde_json::json;

use crate::harness::gateway;

const ROUTES: [&str; 3] = ["/register-session/", "/send-message/", "/send-image/"];

#[tokio::test]
async fn what_is_no_json_object_is_refused() {
    gateway(async |app| {
        for route in ROUTES {
            for body in [
                "",
                "{",
                "[]",
                "null",
                "\"shop\"",
                "session_id=shop",
                "\u{0}",
            ] {
                assert_eq!(
                    app.post_raw(route, body).await.expect(400).code(),
                    "invalid_body",
                    "{route} {body:?}"
                );
            }
            assert_eq!(
                app.post_raw(route, vec![0xff, 0xfe])
                    .await
                    .expect(400)
                    .code(),
                "invalid_body"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn missing_fields_are_all_named() {
    gateway(async |app| {
        for (route, fields) in [
            (ROUTES[0], vec!["session_id"]),
            (ROUTES[1], vec!["session_name", "chat_id", "text"]),
            (ROUTES[2], vec!["session_name", "chat_id", "image_url"]),
        ] {
            assert_eq!(
                app.post(route, json!({})).await.expect(400).fields(),
                fields
            );
            let nulls: serde_json::Map<_, _> = fields
                .iter()
                .map(|field| ((*field).to_owned(), json!(null)))
                .collect();
            assert_eq!(
                app.post(route, nulls.into()).await.expect(400).fields(),
                fields
            );
        }
    })
    .await;
}

#[tokio::test]
async fn wrong_types_are_named() {
    gateway(async |app| {
        for wrong in [json!(1), json!(true), json!([]), json!({})] {
            let refused = app
                .post(ROUTES[0], json!({"session_id": wrong}))
                .await
                .expect(400);
            assert_eq!(refused.code().as_str(), "invalid_fields");
            assert_eq!(refused.fields(), vec!["session_id".to_owned()]);
            let body = json!({"session_name": wrong, "chat_id": wrong, "text": wrong});
            assert_eq!(
                app.post(ROUTES[1], body).await.expect(400).fields(),
                ["session_name", "chat_id", "text"]
            );
            let body = json!({"session_name": "a", "chat_id": "375440000001", "image_url": "http://a/", "caption": wrong});
            assert_eq!(
                app.post(ROUTES[2], body).await.expect(400).fields(),
                ["caption"]
            );
        }
    }).await;
}

#[tokio::test]
async fn wrong_values_are_named() {
    gateway(async |app| {
        for (session, chat, text, field) in [
            ("", "375440000001", "hi", "session_name"),
            ("..", "375440000001", "hi", "session_name"),
            ("shop", "nobody", "hi", "chat_id"),
            ("shop", "", "hi", "chat_id"),
            ("shop", "375440000001@example.com", "hi", "chat_id"),
            ("shop", "375440000001", "", "text"),
            ("shop", "375440000001", " \n", "text"),
        ] {
            let refused = app.send(session, chat, text).await.expect(400);
            assert_eq!(refused.fields(), [field], "{session:?} {chat:?} {text:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn unknown_fields_are_ignored_as_the_original_did() {
    gateway(async |app| {
        let body = json!({"session_id": "shop", "colour": "red", "nested": {"deep": [1, 2]}});
        app.post(ROUTES[0], body).await.expect(202);
    })
    .await;
}

#[tokio::test]
async fn a_body_of_more_than_a_mebibyte_is_too_large() {
    gateway(async |app| {
        let of = |length: usize| json!({"session_id": "shop", "padding": "x".repeat(length)});
        for route in ROUTES {
            assert_eq!(
                app.post(route, of(1024 * 1024)).await.expect(413).code(),
                "body_too_large"
            );
        }
        app.post(ROUTES[0], of(1000 * 1000)).await.expect(202);
    })
    .await;
}

#[tokio::test]
async fn what_is_no_json_is_named_and_what_is_packed_is_unpacked_within_bounds() {
    use std::io::Write;
    let packed = |bytes: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    };
    gateway(async |app| {
        for (body, words) in [
            (b"\xef\xbb\xbf{}".to_vec(), "byte order mark"),
            (
                "{}".encode_utf16().flat_map(u16::to_le_bytes).collect(),
                "UTF-16",
            ),
            (
                br#"{"session_id": "\ud83d"}"#.to_vec(),
                "half of a character",
            ),
            (packed(b"{}"), "Content-Encoding: gzip"),
            (b"session_id=shop".to_vec(), "form"),
        ] {
            let refused = app.post_raw(ROUTES[0], body).await.expect(400);
            assert_eq!(refused.code(), "invalid_body");
            let detail = refused.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(words), "{detail}");
        }
        let gzip = app.with_header("content-encoding", "gzip");
        gzip.post_raw(ROUTES[0], packed(br#"{"session_id": "shop"}"#))
            .await
            .expect(202);
        let bomb = packed(&vec![b' '; 64 * 1024 * 1024]);
        assert_eq!(
            gzip.post_raw(ROUTES[0], bomb).await.expect(413).code(),
            "body_too_large"
        );
        assert_eq!(
            gzip.post_raw(ROUTES[0], "{}").await.expect(400).code(),
            "invalid_body"
        );
        app.with_header("content-encoding", "br")
            .post_raw(ROUTES[0], "{}")
            .await
            .expect(400);
    })
    .await;
}
