//! Pins, stars and keep marks on messages. Pure.

use serde_json::{Value, json};

use super::groups::ASKED;
use super::messages::{accepted, answer};
use super::operation::{Operation, route};
use super::schema::{object, or_null, said, text};
use crate::message::Pin;

const CHAT: &str = "Where the message is, if it was not sent through here.";

pub fn operations() -> Vec<Operation> {
    let seconds = said(
        json!({"enum": Pin::DURATIONS}),
        "Seconds: a day, a week or 30 days; a week when nothing is said.",
    );
    let duration = object(&[("duration?", or_null(seconds))]);
    let mark = |method, path, summary| {
        accepted(route(method, path, summary), &answer()).query("chat", text(), CHAT)
    };
    let star = |method, summary| {
        route(method, "/v1/sessions/{session}/messages/{id}/star", summary)
            .query("chat", text(), CHAT)
            .answers_nothing(204, "It is done, on all devices of the account.")
            .problems(&ASKED)
            .problems(&[(404, "message_not_found"), (503, "not_ready")])
    };
    const PIN: &str = "/v1/sessions/{session}/messages/{id}/pin";
    const KEEP: &str = "/v1/sessions/{session}/messages/{id}/keep";
    vec![
        mark(
            "PUT",
            PIN,
            "Put a message at the top of its chat, for everyone there",
        )
        .optional_body(duration),
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
        route(
            "POST",
            "/v1/sessions/{session}/messages/{id}/view",
            "Tell whoever posted a status that it was seen",
        )
        .answers_nothing(204, "Its author is told.")
        .problems(&ASKED)
        .problems(&[(404, "message_not_found"), (503, "not_ready")]),
    ]
}

/// Returns the members in which sent messages show their marks.
pub fn shown() -> [(&'static str, Value); 3] {
    let duration = or_null(said(
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
            object(&[("seconds", said(super::schema::count(), "0: messages stay."))]),
        ),
        (
            "keep?",
            object(&[("message_id", text()), ("kept", super::schema::flag())]),
        ),
    ]
}
