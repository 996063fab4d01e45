//! Pins, stars and keep marks on messages. Pure.

use serde_json::json;

use super::operation::{Operation, describe_route};
use super::routes::groups::REQUEST_PROBLEMS;
use super::routes::messages::{send_answer_schema, with_send_answers};
use super::schema::{object, or_null, text, with_description};
use crate::model::message::PinContent;

const CHAT_DESCRIPTION: &str =
    "Chat of the message; required if it was not sent through this gateway.";

pub fn describe_operations() -> Vec<Operation> {
    let seconds = with_description(
        json!({"enum": PinContent::DURATIONS}),
        "Duration in seconds: a day, a week, or 30 days. Default: a week.",
    );
    let duration = object(&[("duration?", or_null(seconds))]);
    let mark =
        |method, path, summary| {
            with_send_answers(describe_route(method, path, summary), &send_answer_schema())
                .with_query("chat", text(), CHAT_DESCRIPTION)
        };
    let star = |method, summary| {
        describe_route(method, "/v1/sessions/{session}/messages/{id}/star", summary)
            .with_query("chat", text(), CHAT_DESCRIPTION)
            .with_empty_answer(204, "Applied on all devices of the account.")
            .with_problems(&REQUEST_PROBLEMS)
            .with_problems(&[(404, "message_not_found"), (503, "not_ready")])
    };
    const PIN: &str = "/v1/sessions/{session}/messages/{id}/pin";
    const KEEP: &str = "/v1/sessions/{session}/messages/{id}/keep";
    vec![
        mark("PUT", PIN, "Pin a message for everyone in its chat").with_optional_body(duration),
        mark("DELETE", PIN, "Unpin a message"),
        mark(
            "PUT",
            KEEP,
            "Keep a message in a chat with disappearing messages",
        ),
        mark(
            "DELETE",
            KEEP,
            "Stop keeping a message; it disappears with the others",
        ),
        star("PUT", "Star a message for the account"),
        star("DELETE", "Unstar a message"),
        describe_route(
            "POST",
            "/v1/sessions/{session}/messages/{id}/view",
            "Mark a status as viewed",
        )
        .with_empty_answer(204, "Its author sees the view.")
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(404, "message_not_found"), (503, "not_ready")]),
    ]
}
