//! Files of messages.

use serde_json::{Value, json};

use super::operation::{Operation, route, session_name};
use super::schema::{count, form, number, object, or_null, reference, said, text, time, words};

pub fn operations() -> Vec<Operation> {
    let range = said(text(), "As in `bytes=0-1023`.");
    let hash = super::schema::sha256("Of the file; another one is not taken.");
    vec![
        route("GET", "/v1/media/{id}", "What is known of a file")
            .answers(
                200,
                "The file, be it here or still at WhatsApp.",
                reference("Media"),
            )
            .problems(&[(404, "media_not_found")]),
        route("GET", "/v1/media/{id}/content", "A file")
            .query(
                "wait",
                number(0, 60),
                "Seconds to wait for a file that is still at WhatsApp; 30 when nothing is said.",
            )
            .header("Range", range, "The part that is wanted.")
            .answers_as(
                200,
                "The file. Its type is what its sender said it is.",
                &[("*/*", form("binary"))],
            )
            .answers_as(206, "The part.", &[("*/*", form("binary"))])
            .answers_nothing(304, "The caller has it already.")
            .problems(&[
                (404, "media_not_found"),
                (409, "media_not_ready"),
                (410, "media_gone"),
            ])
            .problems(&[(416, "range_not_satisfiable"), (503, "not_ready")]),
        route(
            "POST",
            "/v1/sessions/{session}/media",
            "Upload a file, to be sent later",
        )
        .body(object(&[
            ("link", said(form("uri"), "Where it is fetched from.")),
            ("sha256?", or_null(hash.clone())),
        ]))
        .body_as(
            "multipart/form-data",
            object(&[("file", form("binary")), ("sha256?", hash)]),
        )
        .answers(
            201,
            "The file; its `id` stands in messages.",
            reference("Media"),
        )
        .problems(&[(404, "session_not_found"), (503, "not_ready")]),
        route("DELETE", "/v1/media/{id}", "Remove a file")
            .answers_nothing(204, "It is here no more, and is not fetched again.")
            .problems(&[(404, "media_not_found")]),
    ]
}

pub fn media() -> Value {
    let pixels = || or_null(count());
    let status = words(&["remote", "waiting", "stored", "failed", "removed"]);
    let kind = json!({"anyOf": [words(&["image", "video", "audio", "document", "sticker"]), {"type": "null"}]});
    object(&[
        ("id", text()),
        ("session", session_name()),
        (
            "message_id",
            or_null(said(
                text(),
                "The message it came with; `null` for uploads.",
            )),
        ),
        ("chat", or_null(text())),
        (
            "status",
            said(
                status,
                "Only what is `stored` is here; what is `remote` is fetched when it is asked for.",
            ),
        ),
        ("type", kind),
        ("mime_type", or_null(text())),
        ("filename", or_null(text())),
        ("size", or_null(said(count(), "Bytes."))),
        (
            "sha256",
            or_null(said(text(), "Of the file, in hexadecimal.")),
        ),
        ("width", pixels()),
        ("height", pixels()),
        ("duration", or_null(said(count(), "Seconds."))),
        ("pages", or_null(said(count(), "Of documents."))),
        (
            "url",
            said(
                text(),
                "Where the file is, below the gateway's own address.",
            ),
        ),
        (
            "error",
            or_null(said(text(), "Why the last download failed.")),
        ),
        ("created_at", time()),
        ("stored_at", or_null(time())),
    ])
}
