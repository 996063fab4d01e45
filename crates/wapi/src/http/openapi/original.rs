//! The six routes of the original wapi.

use serde_json::{Value, json};

use super::operation::{Operation, route, session_name};
use super::schema::{
    flag, form, object, open_object, or_null, reference, said, text, time, with, words,
};

pub fn operations() -> Vec<Operation> {
    vec![
        route("POST", "/register-session", "Start a session, or wake it")
            .body(open_object(&[("session_id", session_name())]))
            .answers(200, "It is online.", session_info())
            .answers(202, "Its QR code waits to be scanned.", session_info())
            .problems(&[
                (409, "session_failed"),
                (409, "session_not_online"),
                (503, "stopping"),
                (503, "session_busy"),
                (503, "not_ready"),
                (504, "whatsapp_timeout"),
            ]),
        sending("/send-message", "Send a text", &[("text", text())]),
        sending(
            "/send-image",
            "Send a picture",
            &[("image_url", form("uri")), ("caption?", or_null(text()))],
        ),
        route(
            "GET",
            "/get-qr-code/{session}",
            "The QR code that waits to be scanned",
        )
        .answers_as(200, "The picture.", &[("image/png", said(text(), "PNG."))])
        .problems(&[(404, "session_not_found"), (404, "qr_code_not_found")]),
        route(
            "GET",
            "/get-session-info/{session}",
            "A session and its connection",
        )
        .answers(200, "The session.", session_info())
        .problems(&[(404, "session_not_found")]),
        route(
            "GET",
            "/get-active-connection-info/{session}",
            "The live connection of a session",
        )
        .answers(200, "The connection.", connection_info())
        .problems(&[(404, "session_not_found"), (404, "connection_not_found")]),
    ]
}

fn sending(
    path: &'static str,
    summary: &'static str,
    content: &[(&'static str, Value)],
) -> Operation {
    let mut members = vec![
        ("session_name", session_name()),
        (
            "chat_id",
            said(
                with(text(), "examples", json!(["375447034810"])),
                "A number, or an address such as `375447034810@s.whatsapp.net` or `…@g.us`.",
            ),
        ),
    ];
    members.extend_from_slice(content);
    let sent = [
        ("id", text()),
        ("chat", text()),
        ("session", text()),
        ("timestamp", time()),
        ("status", words(&["sent"])),
    ];
    route("POST", path, summary)
        .body(open_object(&members))
        .answers(200, "WhatsApp has taken it.", object(&sent))
        .problems(&[
            (404, "session_not_found"),
            (409, "session_not_online"),
            (409, "session_not_paired"),
        ])
        .problems(&[
            (429, "queue_full"),
            (429, "too_many_links"),
            (502, "whatsapp_refused"),
            (502, "media_unavailable"),
        ])
        .problems(&[
            (502, "session_logged_out"),
            (502, "not_sendable"),
            (404, "not_on_whatsapp"),
            (404, "group_not_found"),
            (404, "newsletter_not_found"),
            (403, "not_newsletter_admin"),
        ])
        .problems(&[
            (503, "stopping"),
            (503, "not_ready"),
            (504, "whatsapp_timeout"),
        ])
}

fn session_info() -> Value {
    object(&[
        ("session_id", session_name()),
        ("status", super::sessions::status()),
        ("reason", or_null(text())),
        ("paired", flag()),
        ("connection", super::sessions::connection()),
        ("account", or_null(reference("Account"))),
        ("last_received_at", or_null(time())),
        ("qr_code?", text()),
        ("qr_code_expires_at?", time()),
    ])
}

fn connection_info() -> Value {
    object(&[
        ("session_id", session_name()),
        ("state", words(&["online"])),
        ("since", time()),
        ("account", or_null(reference("Account"))),
        ("last_received_at", or_null(time())),
    ])
}
