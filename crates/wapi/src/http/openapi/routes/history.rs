//! Chats, contacts and messages of the history. Pure.

use serde_json::Value;

use super::groups::person_members;
use crate::http::openapi::message_kinds;
use crate::http::openapi::operation::{Operation, describe_route, session_name_schema};
use crate::http::openapi::schema::{
    boolean, count, list_of, number, object, or_null, schema_reference, string_enum, text,
    time_output, with_description,
};

pub fn describe_operations() -> Vec<Operation> {
    let page = |name: &'static str, of: &str| {
        object(&[
            (name, list_of(schema_reference(of))),
            ("next", cursor_schema("the next call")),
        ])
    };
    let look = |path, summary| {
        describe_route("GET", path, summary)
            .with_problems(&[(404, "session_not_found"), (409, "history_off")])
    };
    let listed = |path, summary| {
        look(path, summary).with_query("limit", number(1, 500), "50 when nothing is said.")
    };
    vec![
        listed(
            "/v1/sessions/{session}/chats",
            "Chats, the one with the newest message first",
        )
        .with_query("before", text(), "`next` of an answer before.")
        .with_answer(200, "Some chats.", page("chats", "Chat")),
        look("/v1/sessions/{session}/chats/{chat}", "A chat")
            .with_answer(200, "The chat.", schema_reference("Chat"))
            .with_problems(&[(404, "chat_not_found")]),
        listed(
            "/v1/sessions/{session}/chats/{chat}/messages",
            "The messages of a chat, the newest first",
        )
        .with_query(
            "before",
            text(),
            "`before` of an answer before: older ones.",
        )
        .with_query("after", text(), "`after` of an answer before: newer ones.")
        .with_answer(200, "Some messages.", message_page_schema())
        .with_problems(&[(404, "chat_not_found")]),
        listed(
            "/v1/sessions/{session}/messages",
            "Messages by what they say, the one that came last first",
        )
        .with_query(
            "q",
            text(),
            "Words or their beginnings, or any part of what is written without blanks.",
        )
        .with_query("chat", text(), "In this chat only.")
        .with_query("before", text(), "`next` of an answer before.")
        .with_answer(200, "Some messages.", page("messages", "KeptMessage")),
        listed("/v1/sessions/{session}/contacts", "People, by id")
            .with_query("after", text(), "`next` of an answer before.")
            .with_answer(200, "Some people.", page("contacts", "Contact")),
        look(
            "/v1/sessions/{session}/contacts/{contact}",
            "What is known of somebody",
        )
        .with_answer(200, "The person.", schema_reference("Contact"))
        .with_problems(&[(404, "contact_not_found")]),
    ]
}

fn cursor_schema(what: &str) -> Value {
    or_null(with_description(
        text(),
        &format!("For {what}; `null` when there are no more."),
    ))
}

fn message_page_schema() -> Value {
    object(&[
        ("messages", list_of(schema_reference("KeptMessage"))),
        ("before", cursor_schema("older ones")),
        (
            "after",
            or_null(with_description(
                text(),
                "For newer ones, now or later; `null` when there is no message.",
            )),
        ),
    ])
}

pub fn contact_schema() -> Value {
    object(&person_members())
}

pub fn chat_schema() -> Value {
    let mut members = person_members().to_vec();
    members.extend([
        ("last_message", or_null(schema_reference("KeptMessage"))),
        (
            "unread_count",
            with_description(count(), "Messages of others that were not read."),
        ),
        (
            "unread",
            with_description(boolean(), "Marked as unread by hand."),
        ),
        ("archived", boolean()),
        ("pinned", boolean()),
        (
            "muted_until",
            or_null(with_description(
                time_output(),
                "In the year 9998: for ever.",
            )),
        ),
    ]);
    object(&members)
}

pub fn stored_message_schema() -> Value {
    let reaction = object(&[
        ("from", schema_reference("Contact")),
        ("from_me", boolean()),
        ("emoji", text()),
    ]);
    let mut members = vec![
        ("session", session_name_schema()),
        ("id", with_description(text(), "WhatsApp's own.")),
        ("chat", text()),
        ("from", schema_reference("Contact")),
        (
            "from_me",
            with_description(boolean(), "The account wrote it itself."),
        ),
        ("timestamp", time_output()),
        (
            "type",
            with_description(
                text(),
                "The name of the object that says it; `deleted`: nothing any more.",
            ),
        ),
        (
            "status?",
            string_enum(&["sent", "delivered", "read", "played"]),
        ),
        ("edited_at?", time_output()),
        ("deleted_at?", time_output()),
        ("reactions", list_of(reaction)),
    ];
    members.extend(message_kinds::shown_members());
    object(&members)
}
