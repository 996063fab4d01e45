//! Read marks, typing, presence, calls, chat settings and number checks. Pure.

use serde_json::json;

use super::groups::REQUEST_PROBLEMS;
use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{
    boolean, count, list_of, non_empty_list, object, or_null, string_enum, text, time_input,
    with_description, with_keyword,
};
use crate::http::v1::chats::MUTED_FOREVER;
use crate::model::event::{Presence, TypingState};
use crate::model::message::ChatTimer;

pub fn describe_operations() -> Vec<Operation> {
    let watched = |method, summary| {
        describe_route(
            method,
            "/v1/sessions/{session}/contacts/{contact}/presence",
            summary,
        )
        .with_empty_answer(204, "It is done.")
        .with_problems(&REQUEST_PROBLEMS)
    };
    vec![
        describe_route(
            "PATCH",
            "/v1/sessions/{session}/chats/{chat}",
            "Set how a chat is kept: at least one of these",
        )
        .with_body(with_keyword(
            chat_change_schema(),
            "minProperties",
            json!(1),
        ))
        .with_empty_answer(
            204,
            "WhatsApp has taken it; the account's other devices follow.",
        )
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[
            (404, "not_on_whatsapp"),
            (429, "queue_full"),
            (502, "expired"),
            (502, "not_sendable"),
        ])
        .with_problems(&[
            (502, "session_logged_out"),
            (503, "stopping"),
            (503, "not_ready"),
        ]),
        describe_route(
            "POST",
            "/v1/sessions/{session}/chats/{chat}/read",
            "Mark messages as read; their senders see it",
        )
        .with_optional_body(object(&[(
            "up_to?",
            or_null(with_description(
                text(),
                "A message; nothing: all that were received.",
            )),
        )]))
        .with_answer(200, "How many were marked.", object(&[("read", count())]))
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(404, "message_not_found"), (503, "not_ready")]),
        describe_route(
            "POST",
            "/v1/sessions/{session}/chats/{chat}/typing",
            "Show that somebody types",
        )
        .with_body(object(&[("state", string_enum(&TypingState::WORDS))]))
        .with_empty_answer(
            204,
            "It is shown, for a few seconds or until something else is.",
        )
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "PUT",
            "/v1/sessions/{session}/presence",
            "Show the account as there, or not",
        )
        .with_body(object(&[("state", string_enum(&Presence::WORDS))]))
        .with_empty_answer(
            204,
            "It is shown until another is set, or the program restarts.",
        )
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "POST",
            "/v1/sessions/{session}/contacts/check",
            "Which numbers are on WhatsApp",
        )
        .with_body(object(&[("phones", non_empty_list(text()))]))
        .with_answer(
            200,
            "Each number, in the order asked.",
            object(&[("contacts", list_of(number_check_schema()))]),
        )
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "POST",
            "/v1/sessions/{session}/calls/{call}/reject",
            "Turn a call away that rings",
        )
        .with_empty_answer(204, "It rings no more.")
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(404, "call_not_found")]),
        watched("PUT", "Be told when somebody comes and goes"),
        watched("DELETE", "Be told no more when somebody comes and goes"),
    ]
}

fn chat_change_schema() -> serde_json::Value {
    let until = json!({"anyOf": [time_input(), string_enum(&[MUTED_FOREVER]), {"type": "null"}]});
    let until = with_description(
        until,
        "A time to come, `forever`, or `null`: it sounds again.",
    );
    let timer = json!({"enum": ChatTimer::CHOICES});
    let timer = with_description(
        timer,
        "Seconds after which messages disappear, for everybody in the chat; 0: they stay.",
    );
    object(&[
        ("archived?", boolean()),
        ("pinned?", boolean()),
        ("muted_until?", until),
        ("unread?", boolean()),
        ("disappearing?", timer),
    ])
}

fn number_check_schema() -> serde_json::Value {
    object(&[
        ("input", with_description(text(), "As it was asked.")),
        ("exists", boolean()),
        (
            "id",
            or_null(with_description(
                text(),
                "Where to send; `null` when nobody is there.",
            )),
        ),
        ("phone", text()),
        ("lid", or_null(text())),
    ])
}
