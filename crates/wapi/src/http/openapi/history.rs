//! Chats, contacts and messages of the history. Pure.

use serde_json::Value;

use super::groups::person;
use super::kinds;
use super::operation::{Operation, route, session_name};
use super::schema::{
    count, flag, list, number, object, or_null, reference, said, text, time, words,
};

pub fn operations() -> Vec<Operation> {
    let page = |name: &'static str, of: &str| {
        object(&[
            (name, list(reference(of))),
            ("next", cursor("the next call")),
        ])
    };
    let look = |path, summary| {
        route("GET", path, summary).problems(&[(404, "session_not_found"), (409, "history_off")])
    };
    let listed = |path, summary| {
        look(path, summary).query("limit", number(1, 500), "50 when nothing is said.")
    };
    vec![
        listed(
            "/v1/sessions/{session}/chats",
            "Chats, the one with the newest message first",
        )
        .query("before", text(), "`next` of an answer before.")
        .answers(200, "Some chats.", page("chats", "Chat")),
        look("/v1/sessions/{session}/chats/{chat}", "A chat")
            .answers(200, "The chat.", reference("Chat"))
            .problems(&[(404, "chat_not_found")]),
        listed(
            "/v1/sessions/{session}/chats/{chat}/messages",
            "The messages of a chat, the newest first",
        )
        .query(
            "before",
            text(),
            "`before` of an answer before: older ones.",
        )
        .query("after", text(), "`after` of an answer before: newer ones.")
        .answers(200, "Some messages.", messages())
        .problems(&[(404, "chat_not_found")]),
        listed(
            "/v1/sessions/{session}/messages",
            "Messages by what they say, the one that came last first",
        )
        .query(
            "q",
            text(),
            "Words or their beginnings, or any part of what is written without blanks.",
        )
        .query("chat", text(), "In this chat only.")
        .query("before", text(), "`next` of an answer before.")
        .answers(200, "Some messages.", page("messages", "KeptMessage")),
        listed("/v1/sessions/{session}/contacts", "People, by id")
            .query("after", text(), "`next` of an answer before.")
            .answers(200, "Some people.", page("contacts", "Contact")),
        look(
            "/v1/sessions/{session}/contacts/{contact}",
            "What is known of somebody",
        )
        .answers(200, "The person.", reference("Contact"))
        .problems(&[(404, "contact_not_found")]),
    ]
}

fn cursor(what: &str) -> Value {
    or_null(said(
        text(),
        &format!("For {what}; `null` when there are no more."),
    ))
}

fn messages() -> Value {
    object(&[
        ("messages", list(reference("KeptMessage"))),
        ("before", cursor("older ones")),
        (
            "after",
            or_null(said(
                text(),
                "For newer ones, now or later; `null` when there is no message.",
            )),
        ),
    ])
}

pub fn contact() -> Value {
    object(&person())
}

pub fn chat() -> Value {
    let mut members = person().to_vec();
    members.extend([
        ("last_message", or_null(reference("KeptMessage"))),
        (
            "unread_count",
            said(count(), "Messages of others that were not read."),
        ),
        ("unread", said(flag(), "Marked as unread by hand.")),
        ("archived", flag()),
        ("pinned", flag()),
        (
            "muted_until",
            or_null(said(time(), "In the year 9998: for ever.")),
        ),
    ]);
    object(&members)
}

pub fn message() -> Value {
    let reaction = object(&[
        ("from", reference("Contact")),
        ("from_me", flag()),
        ("emoji", text()),
    ]);
    let mut members = vec![
        ("session", session_name()),
        ("id", said(text(), "WhatsApp's own.")),
        ("chat", text()),
        ("from", reference("Contact")),
        ("from_me", said(flag(), "The account wrote it itself.")),
        ("timestamp", time()),
        (
            "type",
            said(
                text(),
                "The name of the object that says it; `deleted`: nothing any more.",
            ),
        ),
        ("status?", words(&["sent", "delivered", "read", "played"])),
        ("edited_at?", time()),
        ("deleted_at?", time()),
        ("reactions", list(reaction)),
    ];
    members.extend(kinds::shown());
    object(&members)
}
