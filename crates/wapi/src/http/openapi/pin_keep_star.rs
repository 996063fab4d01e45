//! Pins, stars and keep marks on messages. Pure.

use serde_json::{Value, json};

use super::operation::{Operation, describe_route};
use super::routes::groups::REQUEST_PROBLEMS;
use super::routes::messages::{send_answer_schema, with_send_answers};
use super::schema::{object, or_null, text, with_description};
use crate::model::message::PinContent;

const CHAT_DESCRIPTION: &str = "Where the message is, if it was not sent through here.";

pub fn describe_operations() -> Vec<Operation> {
    let seconds = with_description(
        json!({"enum": PinContent::DURATIONS}),
        "Seconds: a day, a week or 30 days; a week when nothing is said.",
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
            .with_empty_answer(204, "It is done, on all devices of the account.")
            .with_problems(&REQUEST_PROBLEMS)
            .with_problems(&[(404, "message_not_found"), (503, "not_ready")])
    };
    const PIN: &str = "/v1/sessions/{session}/messages/{id}/pin";
    const KEEP: &str = "/v1/sessions/{session}/messages/{id}/keep";
    vec![
        mark(
            "PUT",
            PIN,
            "Put a message at the top of its chat, for everyone there",
        )
        .with_optional_body(duration),
        mark(
            "DELETE",
            PIN,
            "Take a message down from the top of its chat",
        ),
        mark(
            "PUT",
            KEEP,
            "Keep a message in a chat whose messages disappear",
        ),
        mark(
            "DELETE",
            KEEP,
            "Let a message that was kept disappear with the others",
        ),
        star("PUT", "Put a star to a message, for the account alone"),
        star("DELETE", "Take a star away from a message"),
        describe_route(
            "POST",
            "/v1/sessions/{session}/messages/{id}/view",
            "Tell whoever posted a status that it was seen",
        )
        .with_empty_answer(204, "Its author is told.")
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(404, "message_not_found"), (503, "not_ready")]),
    ]
}

/// Returns the members in which sent messages show their marks.
pub fn shown_members() -> [(&'static str, Value); 3] {
    let duration = or_null(with_description(
        super::schema::count(),
        "Seconds; `null` takes it down.",
    ));
    [
        (
            "pin?",
            object(&[("message_id", text()), ("duration", duration)]),
        ),
        (
            "timer?",
            object(&[(
                "seconds",
                with_description(super::schema::count(), "0: messages stay."),
            )]),
        ),
        (
            "keep?",
            object(&[("message_id", text()), ("kept", super::schema::boolean())]),
        ),
    ]
}
