//! Files of messages.

use serde_json::{Value, json};

use crate::http::openapi::operation::{Operation, describe_route, session_name_schema};
use crate::http::openapi::schema::{
    count, list_of, number, object, or_null, schema_reference, string_enum, text, text_format,
    time_output, with_description,
};

/// States of a file.
const STATES: [&str; 5] = ["remote", "waiting", "stored", "failed", "removed"];

pub fn describe_operations() -> Vec<Operation> {
    let range = with_description(text(), "A range such as `bytes=0-1023`.");
    let hash = crate::http::openapi::schema::sha256(
        "Hash of the file; a file with another hash is refused.",
    );
    vec![
        describe_route("GET", "/v1/media/{id}", "Retrieve the record of a file")
            .with_answer(
                200,
                "The file, whether stored here or still at WhatsApp.",
                schema_reference("Media"),
            )
            .with_problems(&[(404, "media_not_found")]),
        describe_route("GET", "/v1/media/{id}/content", "A file")
            .with_query(
                "wait",
                number(0, 60),
                "Seconds to wait for a file that is still at WhatsApp. Default: 30.",
            )
            .with_header("Range", range, "The requested part.")
            .with_answer_types(
                200,
                "The file, with the type that its sender declared.",
                &[("*/*", text_format("binary"))],
            )
            .with_answer_types(206, "The part.", &[("*/*", text_format("binary"))])
            .with_empty_answer(304, "The caller's copy is current.")
            .with_problems(&[
                (404, "media_not_found"),
                (409, "media_not_ready"),
                (410, "media_gone"),
            ])
            .with_problems(&[(416, "range_not_satisfiable"), (503, "not_ready")]),
        describe_route(
            "POST",
            "/v1/sessions/{session}/media",
            "Upload a file for sending",
        )
        .with_body(object(&[
            (
                "link",
                with_description(text_format("uri"), "Address to download the file from."),
            ),
            ("sha256?", or_null(hash.clone())),
        ]))
        .with_body_type(
            "multipart/form-data",
            object(&[("file", text_format("binary")), ("sha256?", hash)]),
        )
        .with_answer(
            201,
            "The file; messages refer to it by its `id`.",
            schema_reference("Media"),
        )
        .with_problems(&[(404, "session_not_found"), (503, "not_ready")]),
        describe_route(
            "GET",
            "/v1/sessions/{session}/media",
            "List the files of a session, newest first",
        )
        .with_query("status", string_enum(&STATES), "Only files in this state.")
        .with_query("before", text(), "`next` of the previous answer.")
        .with_query(
            "limit",
            number(1, 500),
            "Maximum number of entries. Default: 50.",
        )
        .with_answer(
            200,
            "Some files, those of messages and those uploaded.",
            object(&[
                ("media", list_of(schema_reference("Media"))),
                (
                    "next",
                    or_null(with_description(
                        text(),
                        "For the next call; `null` when there are no more.",
                    )),
                ),
            ]),
        )
        .with_problems(&[(404, "session_not_found")]),
        describe_route("DELETE", "/v1/media/{id}", "Remove a file")
            .with_empty_answer(204, "The file is removed and is not downloaded again.")
            .with_problems(&[(404, "media_not_found")]),
    ]
}

pub fn media_schema() -> Value {
    let pixels = || or_null(count());
    let status = string_enum(&STATES);
    let kind = json!({"anyOf": [string_enum(&["image", "video", "audio", "document", "sticker"]), {"type": "null"}]});
    object(&[
        ("id", text()),
        ("session", session_name_schema()),
        (
            "message_id",
            or_null(with_description(
                text(),
                "The message that contains it; `null` for uploads.",
            )),
        ),
        ("chat", or_null(text())),
        (
            "status",
            with_description(
                status,
                "Only files in the state `stored` are here; a `remote` file is downloaded when its content is \
                 requested.",
            ),
        ),
        ("type", kind),
        ("mime_type", or_null(text())),
        ("filename", or_null(text())),
        ("size", or_null(with_description(count(), "Bytes."))),
        (
            "sha256",
            or_null(with_description(
                text(),
                "Hash of the file, in hexadecimal.",
            )),
        ),
        ("width", pixels()),
        ("height", pixels()),
        ("duration", or_null(with_description(count(), "Seconds."))),
        ("pages", or_null(with_description(count(), "Of documents."))),
        (
            "url",
            with_description(text(), "Path of the content on this gateway."),
        ),
        (
            "error",
            or_null(with_description(
                text(),
                "Reason for which the last download failed.",
            )),
        ),
        ("created_at", time_output()),
        ("stored_at", or_null(time_output())),
    ])
}
