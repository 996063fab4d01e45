//! Files of messages.

use serde_json::{Value, json};

use crate::http::openapi::operation::{Operation, describe_route, session_name_schema};
use crate::http::openapi::schema::{
    count, number, object, or_null, schema_reference, string_enum, text, text_format, time_output,
    with_description,
};

pub fn describe_operations() -> Vec<Operation> {
    let range = with_description(text(), "As in `bytes=0-1023`.");
    let hash = crate::http::openapi::schema::sha256("Of the file; another one is not taken.");
    vec![
        describe_route("GET", "/v1/media/{id}", "What is known of a file")
            .with_answer(
                200,
                "The file, be it here or still at WhatsApp.",
                schema_reference("Media"),
            )
            .with_problems(&[(404, "media_not_found")]),
        describe_route("GET", "/v1/media/{id}/content", "A file")
            .with_query(
                "wait",
                number(0, 60),
                "Seconds to wait for a file that is still at WhatsApp; 30 when nothing is said.",
            )
            .with_header("Range", range, "The part that is wanted.")
            .with_answer_types(
                200,
                "The file. Its type is what its sender said it is.",
                &[("*/*", text_format("binary"))],
            )
            .with_answer_types(206, "The part.", &[("*/*", text_format("binary"))])
            .with_empty_answer(304, "The caller has it already.")
            .with_problems(&[
                (404, "media_not_found"),
                (409, "media_not_ready"),
                (410, "media_gone"),
            ])
            .with_problems(&[(416, "range_not_satisfiable"), (503, "not_ready")]),
        describe_route(
            "POST",
            "/v1/sessions/{session}/media",
            "Upload a file, to be sent later",
        )
        .with_body(object(&[
            (
                "link",
                with_description(text_format("uri"), "Where it is fetched from."),
            ),
            ("sha256?", or_null(hash.clone())),
        ]))
        .with_body_type(
            "multipart/form-data",
            object(&[("file", text_format("binary")), ("sha256?", hash)]),
        )
        .with_answer(
            201,
            "The file; its `id` stands in messages.",
            schema_reference("Media"),
        )
        .with_problems(&[(404, "session_not_found"), (503, "not_ready")]),
        describe_route("DELETE", "/v1/media/{id}", "Remove a file")
            .with_empty_answer(204, "It is here no more, and is not fetched again.")
            .with_problems(&[(404, "media_not_found")]),
    ]
}

pub fn media_schema() -> Value {
    let pixels = || or_null(count());
    let status = string_enum(&["remote", "waiting", "stored", "failed", "removed"]);
    let kind = json!({"anyOf": [string_enum(&["image", "video", "audio", "document", "sticker"]), {"type": "null"}]});
    object(&[
        ("id", text()),
        ("session", session_name_schema()),
        (
            "message_id",
            or_null(with_description(
                text(),
                "The message it came with; `null` for uploads.",
            )),
        ),
        ("chat", or_null(text())),
        (
            "status",
            with_description(
                status,
                "Only what is `stored` is here; what is `remote` is fetched when it is asked for.",
            ),
        ),
        ("type", kind),
        ("mime_type", or_null(text())),
        ("filename", or_null(text())),
        ("size", or_null(with_description(count(), "Bytes."))),
        (
            "sha256",
            or_null(with_description(text(), "Of the file, in hexadecimal.")),
        ),
        ("width", pixels()),
        ("height", pixels()),
        ("duration", or_null(with_description(count(), "Seconds."))),
        ("pages", or_null(with_description(count(), "Of documents."))),
        (
            "url",
            with_description(
                text(),
                "Where the file is, below the gateway's own address.",
            ),
        ),
        (
            "error",
            or_null(with_description(text(), "Why the last download failed.")),
        ),
        ("created_at", time_output()),
        ("stored_at", or_null(time_output())),
    ])
}
