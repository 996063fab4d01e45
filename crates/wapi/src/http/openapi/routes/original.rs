//! The six routes of the original wapi.

use schemars::JsonSchema;
use serde_json::{Value, json};

use crate::http::openapi::operation::{Operation, describe_route, session_name_schema};
use crate::http::openapi::schema::{
    boolean, object, open_object, or_null, schema_reference, string_enum, text, text_format,
    time_output, with_description, with_keyword,
};
use crate::http::openapi::type_schemas::{type_schema, with_members};
use crate::model::event::{ConnectionInfo, SessionPhase};
use crate::model::original::{OriginalConnection, OriginalImage, OriginalSession, OriginalText};

pub fn describe_operations() -> Vec<Operation> {
    vec![
        describe_route(
            "POST",
            "/register-session",
            "Start a session, or reconnect it",
        )
        .with_body(open_object(&[("session_id", session_name_schema())]))
        .with_answer(200, "It is online.", session_info_schema())
        .with_answer(
            202,
            "Its QR code is ready to be scanned.",
            session_info_schema(),
        )
        .with_problems(&[
            (409, "session_failed"),
            (409, "session_not_online"),
            (503, "stopping"),
            (503, "session_busy"),
            (503, "not_ready"),
            (504, "whatsapp_timeout"),
        ]),
        describe_send::<OriginalText>("/send-message", "Send a text", &[("text", text())]),
        describe_send::<OriginalImage>(
            "/send-image",
            "Send an image",
            &[
                ("image_url", text_format("uri")),
                ("caption?", or_null(text())),
            ],
        ),
        describe_route(
            "GET",
            "/get-qr-code/{session}",
            "Retrieve the current QR code",
        )
        .with_answer_types(
            200,
            "The picture.",
            &[("image/png", with_description(text(), "PNG."))],
        )
        .with_problems(&[(404, "session_not_found"), (404, "qr_code_not_found")]),
        describe_route(
            "GET",
            "/get-session-info/{session}",
            "Retrieve a session and its connection",
        )
        .with_answer(200, "The session.", session_info_schema())
        .with_problems(&[(404, "session_not_found")]),
        describe_route(
            "GET",
            "/get-active-connection-info/{session}",
            "Retrieve the live connection of a session",
        )
        .with_answer(200, "The connection.", connection_info_schema())
        .with_problems(&[(404, "session_not_found"), (404, "connection_not_found")]),
    ]
}

fn describe_send<T: JsonSchema>(
    path: &'static str,
    summary: &'static str,
    content: &[(&'static str, Value)],
) -> Operation {
    let mut members = vec![
        ("session_name", session_name_schema()),
        (
            "chat_id",
            with_description(
                with_keyword(text(), "examples", json!(["375447034810"])),
                "A number, or an address such as `375447034810@s.whatsapp.net` or `…@g.us`.",
            ),
        ),
    ];
    members.extend_from_slice(content);
    let sent = [
        ("id", text()),
        ("chat", text()),
        ("session", text()),
        ("timestamp", time_output()),
        ("status", string_enum(&["sent"])),
    ];
    describe_route("POST", path, summary)
        .with_body(open_object(&members))
        .with_answer(
            200,
            "WhatsApp accepted it.",
            with_original::<T>(object(&sent)),
        )
        .with_problems(&[
            (404, "session_not_found"),
            (409, "session_not_online"),
            (409, "session_not_paired"),
        ])
        .with_problems(&[
            (429, "queue_full"),
            (429, "too_many_links"),
            (502, "whatsapp_refused"),
            (502, "media_unavailable"),
        ])
        .with_problems(&[
            (502, "session_logged_out"),
            (502, "not_sendable"),
            (404, "not_on_whatsapp"),
            (404, "group_not_found"),
            (404, "newsletter_not_found"),
            (403, "not_newsletter_admin"),
        ])
        .with_problems(&[(409, "new_chats_held"), (409, "pace_held")])
        .with_problems(&[
            (503, "stopping"),
            (503, "not_ready"),
            (504, "whatsapp_timeout"),
        ])
}

/// Adds the members of one of the original's documents.
fn with_original<T: JsonSchema>(schema: Value) -> Value {
    let original = type_schema::<T>();
    let members = original["properties"].as_object().into_iter().flatten();
    let members: Vec<_> = members
        .map(|(name, schema)| (name.as_str(), schema.clone()))
        .collect();
    with_members(schema, &members)
}

fn session_info_schema() -> Value {
    with_original::<OriginalSession>(object(&[
        ("session_id", session_name_schema()),
        ("status", type_schema::<SessionPhase>()),
        ("reason", or_null(text())),
        ("paired", boolean()),
        ("connection", type_schema::<ConnectionInfo>()),
        ("account", or_null(schema_reference("Account"))),
        ("last_received_at", or_null(time_output())),
        ("qr_code?", text()),
        ("qr_code_expires_at?", time_output()),
    ]))
}

fn connection_info_schema() -> Value {
    with_original::<OriginalConnection>(object(&[
        ("session_id", session_name_schema()),
        ("state", string_enum(&["online"])),
        ("since", time_output()),
        ("account", or_null(schema_reference("Account"))),
        ("last_received_at", or_null(time_output())),
    ]))
}
