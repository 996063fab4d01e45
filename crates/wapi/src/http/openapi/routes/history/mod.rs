//! Chats, contacts and messages of the history. Pure.

mod labels;

use serde_json::Value;

use super::groups::REQUEST_PROBLEMS;
use crate::http::openapi::message_kinds;
use crate::http::openapi::operation::{Operation, describe_route, session_name_schema};
use crate::http::openapi::schema::{
    boolean, count, list_of, number, object, or_null, schema_reference, string_enum, text,
    time_output, with_description,
};
use crate::http::openapi::type_schemas::{answer_schema, with_members};
use crate::http::v1::chats::older_messages::MESSAGE_COUNT;
use crate::model::event::{OptionTally, Person};

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
        look(path, summary).with_query(
            "limit",
            number(1, 500),
            "Maximum number of entries. Default: 50.",
        )
    };
    let mut operations = vec![
        listed(
            "/v1/sessions/{session}/chats",
            "List chats, those with the newest messages first",
        )
        .with_query("before", text(), "`next` of the previous answer.")
        .with_answer(200, "Some chats.", page("chats", "Chat")),
        look("/v1/sessions/{session}/chats/{chat}", "A chat")
            .with_answer(200, "The chat.", schema_reference("Chat"))
            .with_problems(&[(404, "chat_not_found")]),
        listed(
            "/v1/sessions/{session}/chats/{chat}/messages",
            "List the messages of a chat, newest first",
        )
        .with_query(
            "before",
            text(),
            "`before` of a previous answer; returns older messages.",
        )
        .with_query(
            "after",
            text(),
            "`after` of a previous answer; returns newer messages.",
        )
        .with_query(
            "up_to",
            text(),
            "Id of a message; returns it and older messages.",
        )
        .with_answer(200, "Some messages.", message_page_schema())
        .with_problems(&[(404, "chat_not_found"), (404, "message_not_found")]),
        describe_route(
            "POST",
            "/v1/sessions/{session}/chats/{chat}/history",
            "Ask the phone for messages before the oldest stored one",
        )
        .with_optional_body(object(&[(
            "count?",
            with_description(
                number(1, i64::try_from(MESSAGE_COUNT.1).unwrap_or(i64::MAX)),
                "Default: 50.",
            ),
        )]))
        .with_empty_answer(
            202,
            "The phone is asked. The messages are listed when they have come, without events; \
             `session.history` shows that they have.",
        )
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[
            (404, "chat_not_found"),
            (409, "history_off"),
            (409, "history_not_requested"),
        ]),
        listed(
            "/v1/sessions/{session}/messages",
            "Search messages by their text, latest first",
        )
        .with_query(
            "q",
            text(),
            "Words or their beginnings; in scripts without spaces, any part of the text.",
        )
        .with_query("chat", text(), "Only messages of this chat.")
        .with_query("before", text(), "`next` of the previous answer.")
        .with_answer(200, "Some messages.", page("messages", "KeptMessage")),
        listed("/v1/sessions/{session}/contacts", "List contacts by id")
            .with_query("after", text(), "`next` of the previous answer.")
            .with_answer(200, "Some people.", page("contacts", "Contact")),
        look(
            "/v1/sessions/{session}/contacts/{contact}",
            "Retrieve a contact",
        )
        .with_answer(200, "The person.", schema_reference("Contact"))
        .with_problems(&[(404, "contact_not_found")]),
    ];
    operations.extend(labels::describe_operations());
    operations
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
                "Cursor for newer messages, now or later; `null` if there is no message.",
            )),
        ),
    ])
}

pub fn chat_schema() -> Value {
    let members = [
        ("last_message", or_null(schema_reference("KeptMessage"))),
        (
            "unread_count",
            with_description(count(), "Number of unread messages of others."),
        ),
        (
            "unread",
            with_description(boolean(), "Marked as unread by the user."),
        ),
        ("archived", boolean()),
        ("pinned", boolean()),
        (
            "muted_until",
            or_null(with_description(
                time_output(),
                "A time in the year 9998 means forever.",
            )),
        ),
        (
            "labels",
            list_of(with_description(text(), "Id of a label that the chat has.")),
        ),
    ];
    with_description(
        with_members(answer_schema::<Person>(), &members),
        "A chat with a person or group, and its state.",
    )
}

pub fn stored_message_schema() -> Value {
    let reaction = object(&[
        ("from", schema_reference("Contact")),
        ("from_me", boolean()),
        ("emoji", text()),
    ]);
    let members = [
        ("session", session_name_schema()),
        ("id", with_description(text(), "WhatsApp's own.")),
        ("chat", text()),
        ("from", schema_reference("Contact")),
        (
            "from_me",
            with_description(boolean(), "The account sent it."),
        ),
        ("timestamp", time_output()),
        (
            "type",
            with_description(
                text(),
                "The name of the object with the content; `deleted` has none.",
            ),
        ),
        (
            "status?",
            string_enum(&["sent", "delivered", "read", "played"]),
        ),
        ("edited_at?", time_output()),
        ("deleted_at?", time_output()),
        ("reactions", list_of(reaction)),
        (
            "tally?",
            with_description(
                list_of(answer_schema::<OptionTally>()),
                "For polls and events in the list of a chat: the votes or responses so far, where the \
                 gateway counts them.",
            ),
        ),
    ];
    with_description(
        with_members(message_kinds::shown_message_schema(), &members),
        "A message of the history.",
    )
}
