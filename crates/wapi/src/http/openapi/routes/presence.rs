//! Read marks, typing, presence, calls, chat settings and number checks. Pure.

use serde_json::json;

use super::groups::REQUEST_PROBLEMS;
use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{
    boolean, count, list_of, non_empty_list, object, or_null, string_enum, text, text_format,
    time_input, with_description, with_keyword,
};
use crate::http::openapi::type_schemas::type_schema;
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
        .with_empty_answer(204, "Done.")
        .with_problems(&REQUEST_PROBLEMS)
    };
    vec![
        describe_route(
            "PATCH",
            "/v1/sessions/{session}/chats/{chat}",
            "Update the settings of a chat; give at least one",
        )
        .with_body(with_keyword(
            chat_change_schema(),
            "minProperties",
            json!(1),
        ))
        .with_empty_answer(
            204,
            "WhatsApp accepted the change; the account's other devices follow.",
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
            "Mark messages as read, visible to their senders",
        )
        .with_optional_body(object(&[(
            "up_to?",
            or_null(with_description(
                text(),
                "Id of the last message to mark. All received messages if omitted.",
            )),
        )]))
        .with_answer(
            200,
            "Number of marked messages.",
            object(&[("read", count())]),
        )
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(404, "message_not_found"), (503, "not_ready")]),
        describe_route(
            "POST",
            "/v1/sessions/{session}/chats/{chat}/typing",
            "Show that the account is typing or recording",
        )
        .with_body(object(&[("state", type_schema::<TypingState>())]))
        .with_empty_answer(204, "Shown for a few seconds, or until the next state.")
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "PUT",
            "/v1/sessions/{session}/presence",
            "Show the account as online or offline",
        )
        .with_body(object(&[("state", type_schema::<Presence>())]))
        .with_empty_answer(
            204,
            "Shown until another state is set or the program restarts.",
        )
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "POST",
            "/v1/sessions/{session}/contacts/check",
            "Check which numbers are on WhatsApp",
        )
        .with_body(object(&[
            ("phones", non_empty_list(text())),
            (
                "usernames?",
                with_description(
                    boolean(),
                    "Asks for usernames, too, by one more request. Default: `false`.",
                ),
            ),
        ]))
        .with_answer(
            200,
            "Each number, in the order of the request.",
            object(&[("contacts", list_of(number_check_schema()))]),
        )
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "POST",
            "/v1/sessions/{session}/calls/links",
            "Create a link by which anybody can call in",
        )
        .with_optional_body(object(&[(
            "video?",
            with_description(boolean(), "A video call. Default: `false`."),
        )]))
        .with_answer(
            201,
            "The link.",
            object(&[("link", text_format("uri")), ("video", boolean())]),
        )
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(502, "whatsapp_changed")]),
        describe_route(
            "POST",
            "/v1/sessions/{session}/calls/{call}/reject",
            "Reject a ringing call",
        )
        .with_empty_answer(204, "The call is rejected.")
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(404, "call_not_found")]),
        watched("PUT", "Subscribe to the presence of a person"),
        watched("DELETE", "Unsubscribe from the presence of a person"),
    ]
}

fn chat_change_schema() -> serde_json::Value {
    let until = json!({"anyOf": [time_input(), string_enum(&[MUTED_FOREVER]), {"type": "null"}]});
    let until = with_description(until, "A future time, `forever`, or `null` to unmute.");
    let timer = json!({"enum": ChatTimer::CHOICES});
    let timer = with_description(
        timer,
        "Seconds after which messages disappear, for everyone in the chat; 0 turns this off.",
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
        (
            "input",
            with_description(text(), "The number as requested."),
        ),
        ("exists", boolean()),
        (
            "id",
            or_null(with_description(
                text(),
                "Address for messages; `null` if the number is not on WhatsApp.",
            )),
        ),
        ("phone", text()),
        ("lid", or_null(text())),
        (
            "username?",
            with_description(
                text(),
                "Left out where it was not asked for, or WhatsApp does not tell it.",
            ),
        ),
    ])
}
