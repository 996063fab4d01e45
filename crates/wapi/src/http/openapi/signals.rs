//! Read marks, typing, presence, calls, chat settings and number checks. Pure.

use serde_json::json;

use super::groups::ASKED;
use super::operation::{Operation, route};
use super::schema::{count, flag, list, moment, object, or_null, said, some_of, text, with, words};
use crate::event::{Presence, Typing};
use crate::http::chats::MUTED_FOREVER;
use crate::message::ChatTimer;

pub fn operations() -> Vec<Operation> {
    let watched = |method, summary| {
        route(
            method,
            "/v1/sessions/{session}/contacts/{contact}/presence",
            summary,
        )
        .answers_nothing(204, "It is done.")
        .problems(&ASKED)
    };
    vec![
        route(
            "PATCH",
            "/v1/sessions/{session}/chats/{chat}",
            "Set how a chat is kept: at least one of these",
        )
        .body(with(chat_change(), "minProperties", json!(1)))
        .answers_nothing(
            204,
            "WhatsApp has taken it; the account's other devices follow.",
        )
        .problems(&ASKED)
        .problems(&[
            (404, "not_on_whatsapp"),
            (429, "queue_full"),
            (502, "expired"),
            (502, "not_sendable"),
        ])
        .problems(&[
            (502, "session_logged_out"),
            (503, "stopping"),
            (503, "not_ready"),
        ]),
        route(
            "POST",
            "/v1/sessions/{session}/chats/{chat}/read",
            "Mark messages as read; their senders see it",
        )
        .optional_body(object(&[(
            "up_to?",
            or_null(said(text(), "A message; nothing: all that were received.")),
        )]))
        .answers(200, "How many were marked.", object(&[("read", count())]))
        .problems(&ASKED)
        .problems(&[(404, "message_not_found"), (503, "not_ready")]),
        route(
            "POST",
            "/v1/sessions/{session}/chats/{chat}/typing",
            "Show that somebody types",
        )
        .body(object(&[("state", words(&Typing::WORDS))]))
        .answers_nothing(
            204,
            "It is shown, for a few seconds or until something else is.",
        )
        .problems(&ASKED),
        route(
            "PUT",
            "/v1/sessions/{session}/presence",
            "Show the account as there, or not",
        )
        .body(object(&[("state", words(&Presence::WORDS))]))
        .answers_nothing(
            204,
            "It is shown until another is set, or the program restarts.",
        )
        .problems(&ASKED),
        route(
            "POST",
            "/v1/sessions/{session}/contacts/check",
            "Which numbers are on WhatsApp",
        )
        .body(object(&[("phones", some_of(text()))]))
        .answers(
            200,
            "Each number, in the order asked.",
            object(&[("contacts", list(checked()))]),
        )
        .problems(&ASKED),
        route(
            "POST",
            "/v1/sessions/{session}/calls/{call}/reject",
            "Turn a call away that rings",
        )
        .answers_nothing(204, "It rings no more.")
        .problems(&ASKED)
        .problems(&[(404, "call_not_found")]),
        watched("PUT", "Be told when somebody comes and goes"),
        watched("DELETE", "Be told no more when somebody comes and goes"),
    ]
}

fn chat_change() -> serde_json::Value {
    let until = json!({"anyOf": [moment(), words(&[MUTED_FOREVER]), {"type": "null"}]});
    let until = said(
        until,
        "A time to come, `forever`, or `null`: it sounds again.",
    );
    let timer = json!({"enum": ChatTimer::CHOICES});
    let timer = said(
        timer,
        "Seconds after which messages disappear, for everybody in the chat; 0: they stay.",
    );
    object(&[
        ("archived?", flag()),
        ("pinned?", flag()),
        ("muted_until?", until),
        ("unread?", flag()),
        ("disappearing?", timer),
    ])
}

fn checked() -> serde_json::Value {
    object(&[
        ("input", said(text(), "As it was asked.")),
        ("exists", flag()),
        (
            "id",
            or_null(said(text(), "Where to send; `null` when nobody is there.")),
        ),
        ("phone", text()),
        ("lid", or_null(text())),
    ])
}
