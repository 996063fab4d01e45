//! Files that people send: what they are called and what they are, whichever way they came in.

mod converted;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use wapi_simulator::Phone;

use crate::harness::{PATIENCE, Setup, TestApp, TestReceiver, shop};
use crate::uploads::upload;

const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

/// A file of a web server: its path, its headers, its bytes.
type Served = (
    &'static str,
    &'static [(&'static str, &'static str)],
    Vec<u8>,
);

/// A web server with these files; its base address.
fn serve(files: Vec<Served>) -> String {
    let answer = async |State(files): State<std::sync::Arc<Vec<Served>>>, uri: Uri| {
        let Some((_, headers, bytes)) = files.iter().find(|(path, ..)| uri.path() == *path) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let header = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        };
        (
            headers.iter().map(header).collect::<HeaderMap>(),
            bytes.clone(),
        )
            .into_response()
    };
    let router = Router::new()
        .fallback(answer)
        .with_state(std::sync::Arc::new(files));
    TestReceiver::serve(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), router)
}

async fn paired(setup: Setup) -> (TestApp, Phone) {
    let app = setup.start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    (app, bob)
}

/// A ZIP that is a document of Word as far as its list of files goes.
fn docx() -> Vec<u8> {
    let mut list = Vec::new();
    for name in ["[Content_Types].xml", "word/document.xml"] {
        let mut entry = [0; 46];
        entry[..4].copy_from_slice(b"PK\x01\x02");
        entry[28] = name.len() as u8;
        list.extend_from_slice(&[&entry[..], name.as_bytes()].concat());
    }
    let mut end = [0; 22];
    end[..4].copy_from_slice(b"PK\x05\x06");
    end[12] = list.len() as u8;
    end[16] = 8;
    [b"PK\x03\x04...." as &[u8], &list, &end].concat()
}

/// A document on a web server, and what it must be called and be.
struct NamedDocument {
    link: &'static str,
    headers: &'static [(&'static str, &'static str)],
    bytes: Vec<u8>,
    name: &'static str,
    mime_type: &'static str,
}

fn pdf(
    link: &'static str,
    headers: &'static [(&'static str, &'static str)],
    name: &'static str,
) -> NamedDocument {
    NamedDocument {
        link,
        headers,
        bytes: b"%PDF-1.4\n%%EOF".to_vec(),
        name,
        mime_type: "application/pdf",
    }
}

/// The name and the type of a document that is kept, and of what Bob gets of it, by its link and by its id.
async fn assert_named(document: NamedDocument) {
    let NamedDocument {
        name, mime_type, ..
    } = document;
    let path = document.link.split('?').next().unwrap();
    let base = serve(vec![(path, document.headers, document.bytes)]);
    let link = format!("{base}{}", document.link);
    let (app, bob) = paired(Setup::new()).await;
    let kept = app
        .post("/v1/sessions/shop/media", json!({"link": link}))
        .await
        .expect(201)
        .json();
    assert_eq!(kept["mime_type"], mime_type, "{kept}");
    for document in [json!({"link": link}), json!({"id": kept["id"]})] {
        app.accepted("shop", json!({"to": bob.jid(), "document": document}))
            .await;
        let message = bob.next_message(PATIENCE).await.unwrap().to_json();
        let got = &message["document_message"];
        assert_eq!(got["file_name"], name, "{document}");
        assert_eq!(got["title"], name, "{document}");
        assert_eq!(got["mimetype"], mime_type, "{document}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_document_has_the_name_of_its_link() {
    let headers = &[("content-type", "binary/octet-stream")];
    assert_named(pdf("/a/inv.pdf?x=/b.txt", headers, "inv.pdf")).await;
}

#[tokio::test]
async fn a_document_without_a_name_has_one_of_its_type() {
    assert_named(pdf("/", &[], "document.pdf")).await;
}

#[tokio::test]
async fn the_end_of_a_documents_name_follows_its_type() {
    let headers = &[("content-type", "application/pdf; x=y")];
    assert_named(pdf("/download.php?id=1", headers, "download.pdf")).await;
}

#[tokio::test]
async fn a_document_has_the_name_that_its_server_gives_it() {
    let headers = &[
        ("content-type", "text/html"),
        (
            "content-disposition",
            "attachment; filename*=UTF-8''%D0%B8.pdf",
        ),
    ];
    assert_named(pdf("/get", headers, "и.pdf")).await;
}

#[tokio::test]
async fn a_servers_name_of_a_document_loses_its_folders() {
    let headers = &[(
        "content-disposition",
        "inline; filename=\"..\\\\..\\\\a b.pdf\"",
    )];
    assert_named(pdf("/1", headers, "a b.pdf")).await;
}

#[tokio::test]
async fn a_servers_name_of_a_document_may_be_written_as_in_mail() {
    let headers = &[(
        "content-disposition",
        "attachment; filename=\"=?utf-8?B?w6QucGRm?=\"",
    )];
    assert_named(pdf("/2", headers, "ä.pdf")).await;
}

#[tokio::test]
async fn a_text_has_its_type_from_its_name() {
    assert_named(NamedDocument {
        bytes: b"a;b".to_vec(),
        mime_type: "text/csv",
        ..pdf(
            "/list.csv",
            &[("content-type", "application/octet-stream")],
            "list.csv",
        )
    })
    .await;
}

#[tokio::test]
async fn a_text_has_its_type_from_its_server() {
    assert_named(NamedDocument {
        bytes: b"a;b".to_vec(),
        mime_type: "text/csv",
        ..pdf(
            "/list",
            &[("content-type", "Text/CSV; charset=windows-1251")],
            "list.csv",
        )
    })
    .await;
}

#[tokio::test]
async fn an_office_document_is_known_by_its_content() {
    assert_named(NamedDocument {
        bytes: docx(),
        mime_type: DOCX,
        ..pdf(
            "/letter",
            &[("content-type", "application/zip")],
            "letter.docx",
        )
    })
    .await;
}

#[tokio::test]
async fn an_office_document_is_known_by_its_name() {
    assert_named(NamedDocument {
        bytes: b"PK\x03\x04".to_vec(),
        mime_type: DOCX,
        ..pdf(
            "/letter.docx",
            &[("content-type", "binary/octet-stream")],
            "letter.docx",
        )
    })
    .await;
}

#[tokio::test]
async fn a_senders_name_of_a_document_counts_first_without_its_folders() {
    let base = serve(vec![("/a/inv.pdf", &[], b"%PDF-1.4\n%%EOF".to_vec())]);
    let (app, bob) = paired(Setup::new()).await;
    for (asked, name) in [
        ("C:\\Users\\me\\inv.pdf", "inv.pdf"),
        ("../../etc/passwd", "passwd"),
        ("plain", "plain"),
    ] {
        let document = json!({"link": format!("{base}/a/inv.pdf"), "filename": asked});
        app.accepted("shop", json!({"to": bob.jid(), "document": document}))
            .await;
        let message = bob.next_message(PATIENCE).await.unwrap().to_json();
        assert_eq!(message["document_message"]["file_name"], name);
    }
    app.finish().await;
}

#[tokio::test]
async fn a_name_that_is_only_a_folder_is_refused() {
    shop(async |app, _, bob| {
        let document = json!({"link": "http://127.0.0.1/", "filename": "a/.."});
        let refused = app
            .post(
                "/v1/sessions/shop/messages",
                json!({"to": bob.jid(), "document": document}),
            )
            .await
            .expect(400);
        assert_eq!(refused.fields(), ["document.filename"]);
    })
    .await;
}

#[tokio::test]
async fn forms_name_their_files_in_every_way_that_forms_do() {
    let (app, _) = paired(Setup::new()).await;
    for (kind, head, name, mime_type) in [
        (
            "Multipart/Form-Data; Boundary=\"b\"",
            "form-data; NAME=\"file\"; FileName=\"a.csv\"",
            json!("a.csv"),
            "text/csv",
        ),
        (
            "multipart/form-data;boundary=b",
            "form-data; name=file; filename*=UTF-8''%D0%B8.csv",
            json!("и.csv"),
            "text/csv",
        ),
        (
            "multipart/form-data; boundary=b",
            "form-data; name=\"file\"; filename=\"C:\\Users\\me\\inv.docx\"",
            json!("inv.docx"),
            DOCX,
        ),
        (
            "multipart/form-data; charset=utf-8; boundary=b",
            "form-data; name=\"file\"; filename=\"../../a.txt\"",
            json!("a.txt"),
            DOCX,
        ),
        (
            "multipart/form-data; boundary=b",
            "form-data; name=\"file\"; filename=\"=?utf-8?Q?=C3=A4.txt?=\"",
            json!("ä.txt"),
            DOCX,
        ),
        (
            "multipart/form-data; boundary=b",
            "form-data; name=\"file\"; filename=\"\"",
            Value::Null,
            DOCX,
        ),
    ] {
        let bytes = if mime_type == DOCX {
            docx()
        } else {
            b"a,b".to_vec()
        };
        let head = format!(
            "--b\r\nCONTENT-DISPOSITION: {head}\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        let body = [head.as_bytes(), &bytes, b"\r\n--b--\r\n"].concat();
        let call = app
            .request(reqwest::Method::POST, "/v1/sessions/shop/media")
            .header("content-type", kind);
        let kept = app.answer(call.body(body)).await.expect(201).json();
        assert_eq!(kept["filename"], name, "{head}");
        assert_eq!(kept["mime_type"], mime_type, "{head}");
    }
    let call = app
        .request(reqwest::Method::POST, "/v1/sessions/shop/media")
        .header("content-type", "multipart/form-data");
    let refused = app.answer(call.body("--b--")).await.expect(400).json();
    assert!(
        refused["detail"].as_str().unwrap().contains("boundary"),
        "{refused}"
    );
    app.finish().await;
}

#[tokio::test]
async fn what_only_says_that_it_is_a_picture_a_film_or_a_sound_is_none() {
    const JSON: &[u8] = b"{\"error\": \"gone\"}";
    const KINDS: [(&str, &str, &str); 6] = [
        ("image", "/a.jpg", "image/jpeg"),
        ("image", "/a.heic", "image/heic"),
        ("video", "/a.mp4", "video/mp4"),
        ("audio", "/a.mp3", "audio/mpeg"),
        ("audio", "/a.m4a", "audio/mp4"),
        ("sticker", "/a.webp", "image/webp"),
    ];
    let (app, bob) = paired(Setup::new()).await;
    for (kind, path, mime_type) in KINDS {
        for bytes in [JSON, b"", b"Not found"] {
            let said: &[(&str, &str)] = Box::leak(Box::new([("content-type", mime_type)]));
            let files = serve(vec![
                (path, &[], bytes.to_vec()),
                ("/file", said, bytes.to_vec()),
            ]);
            for path in [path, "/file"] {
                let message = json!({"to": bob.jid(), kind: {"link": format!("{files}{path}")}});
                let refused = app
                    .post("/v1/sessions/shop/messages", message)
                    .await
                    .expect(502);
                assert_eq!(refused.code(), "media_unavailable", "{kind} {path}");
            }
        }
        let name = &path[1..];
        let file = upload(
            &app,
            "shop",
            &format!("; filename=\"{name}\"\r\nContent-Type: {mime_type}"),
            JSON,
        )
        .await;
        app.post(
            "/v1/sessions/shop/messages",
            json!({"to": bob.jid(), kind: {"id": file["id"]}}),
        )
        .await
        .expect(400);
    }
    assert!(bob.received_messages().is_empty());
    app.finish().await;
}
