//! Sending of messages, and their status.

use serde_json::{Value, json};
use strum::VariantNames;

use super::groups::REQUEST_PROBLEMS;
use super::products;
use crate::http::openapi::operation::{Operation, describe_route, session_name_schema};
use crate::http::openapi::schema::{
    boolean, list_of, number, object, or_null, schema_reference, string_enum, text, time_input,
    time_output, with_description, with_keyword,
};
use crate::http::openapi::type_schemas::{type_schema, with_members};
use crate::http::openapi::{examples, interactive, message_kinds};
use crate::http::v1::messages::batch::MAX_BATCH;
use crate::http::v1::messages::{EVERYONE, KINDS};
use crate::model::message::StatusFont;
use crate::model::send_failure::SendFailure;
use crate::model::send_hold::HoldReason;

pub fn describe_operations() -> Vec<Operation> {
    let answer = send_answer_schema();
    vec![
        with_send_answers(
            describe_route(
                "POST",
                "/v1/sessions/{session}/messages",
                "Send a message exactly once",
            ),
            &answer,
        )
        .with_header(
            "Idempotency-Key",
            text(),
            "Repeating a request with the same key and body within 24 hours returns the same message.",
        )
        .with_body(send_request_schema())
        .with_examples(examples::example_messages())
        .with_problems(&[(409, "idempotency_key_reused")]),
        describe_batch(&answer),
        describe_route(
            "GET",
            "/v1/sessions/{session}/messages/{id}",
            "Retrieve a sent message and its status",
        )
        .with_answer(200, "The message.", schema_reference("Message"))
        .with_problems(&[(404, "session_not_found"), (404, "message_not_found")]),
        with_send_answers(
            describe_route(
                "PATCH",
                "/v1/sessions/{session}/messages/{id}",
                "Edit a text or caption, before or after sending",
            ),
            &answer,
        )
        .with_header("Idempotency-Key", text(), "As for sending a message.")
        .with_body(edit_schema())
        .with_problems(&[(409, "idempotency_key_reused"), (409, "too_late")]),
        with_send_answers(
            describe_route(
                "DELETE",
                "/v1/sessions/{session}/messages/{id}",
                "Delete a message, before or after sending",
            ),
            &answer,
        )
        .with_query(
            "for",
            string_enum(&["everyone", "me"]),
            "Delete it for everyone, or only on the account's devices.",
        )
        .with_query(
            "chat",
            text(),
            "Chat of a message that was not sent through this gateway.",
        )
        .with_empty_answer(204, "Deleted on the account's devices.")
        .with_problems(&[(409, "session_not_online"), (504, "whatsapp_timeout")]),
        with_send_answers(
            describe_route(
                "POST",
                "/v1/sessions/{session}/messages/{id}/forward",
                "Forward a message",
            ),
            &answer,
        )
        .with_header("Idempotency-Key", text(), "As for sending a message.")
        .with_body(object(&[
            ("to", recipient_schema()),
            (
                "chat?",
                or_null(with_description(
                    text(),
                    "Chat of the message; required if it was not sent through this gateway.",
                )),
            ),
        ]))
        .with_problems(&[(409, "idempotency_key_reused")]),
        describe_route(
            "POST",
            "/v1/sessions/{session}/messages/{id}/ask-again",
            "Ask for an unreadable message once more",
        )
        .with_body(object(&[(
            "chat",
            with_description(text(), "`chat` of the event `message.undecryptable`."),
        )]))
        .with_empty_answer(
            202,
            "Its sender is asked. If the message comes, it is emitted as an event under the same id.",
        )
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[
            (404, "unreadable_not_found"),
            (409, "message_readable"),
            (409, "on_phone_only"),
            (429, "asked_too_often"),
        ]),
    ]
}

/// Schema of an edit: one of these members.
fn edit_schema() -> Value {
    let caption = || object(&[("caption", or_null(with_description(text(), "Empty: none.")))]);
    let text_object = object(&[("body", text()), ("preview_url?", or_null(boolean()))]);
    object(&[
        (
            "type?",
            or_null(string_enum(&["text", "image", "video", "document"])),
        ),
        ("text?", text_object),
        ("image?", caption()),
        ("video?", caption()),
        ("document?", caption()),
    ])
}

/// Returns the schema of an accepted message and its recipient.
pub fn send_answer_schema() -> Value {
    let contact = object(&[
        ("input", text()),
        ("wa_id", or_null(text())),
        ("lid", or_null(text())),
    ]);
    let some = |of, max: u8| {
        with_keyword(
            with_keyword(list_of(of), "minItems", 1.into()),
            "maxItems",
            max.into(),
        )
    };
    object(&[
        ("messages", some(schema_reference("Message"), 11)),
        ("contacts", some(contact, 1)),
    ])
}

/// Adds the responses shared by all routes that send.
pub fn with_send_answers(operation: Operation, answer: &Value) -> Operation {
    operation
        .with_query(
            "wait",
            number(0, 60),
            "Seconds to wait for WhatsApp. Default: 10.",
        )
        .with_answer(200, "WhatsApp accepted it.", answer.clone())
        .with_answer(202, "It is stored and will be sent.", answer.clone())
        .with_problems(&[(404, "session_not_found"), (409, "session_not_paired")])
        .with_problems(&[
            (404, "message_not_found"),
            (429, "queue_full"),
            (503, "stopping"),
            (503, "not_ready"),
        ])
        .with_problems(&[
            (502, "whatsapp_refused"),
            (502, "media_unavailable"),
            (502, "expired"),
        ])
        .with_problems(&[
            (502, "session_logged_out"),
            (502, "not_sendable"),
            (404, "not_on_whatsapp"),
            (404, "group_not_found"),
            (404, "newsletter_not_found"),
            (403, "not_newsletter_admin"),
        ])
        .with_problems(&[(409, "new_chats_held"), (409, "pace_held")])
}

fn describe_batch(answer: &Value) -> Operation {
    let max = u64::try_from(MAX_BATCH).unwrap_or_default();
    let messages = with_keyword(
        with_keyword(list_of(send_request_schema()), "minItems", 1.into()),
        "maxItems",
        max.into(),
    );
    let refused = object(&[("error", schema_reference("Problem"))]);
    let result = with_description(
        json!({"anyOf": [answer, refused]}),
        "Like the answer to a single message.",
    );
    let summary = "Send many messages, each accepted separately";
    let first = json!({"to": "+375 44 703-48-10", "text": {"body": "We open at nine."}});
    let second = json!({"to": "+375 29 703-48-10", "text": {"body": "We open at nine."}});
    describe_route("POST", "/v1/sessions/{session}/messages/batch", summary)
        .with_header(
            "Idempotency-Key",
            text(),
            "As for sending a message; a repeated request continues an interrupted one.",
        )
        .with_body(object(&[("messages", messages)]))
        .with_examples(vec![(
            "batch",
            "The same text to two people",
            json!({"messages": [first, second]}),
        )])
        .with_answer(
            202,
            "Results in the order of the messages. A problem of the whole request is answered as a single one.",
            object(&[("results", list_of(result))]),
        )
        .with_problems(&[
            (409, "idempotency_key_reused"),
            (404, "session_not_found"),
            (409, "session_not_paired"),
        ])
        .with_problems(&[
            (404, "message_not_found"),
            (429, "queue_full"),
            (503, "stopping"),
            (503, "not_ready"),
        ])
}

fn send_request_schema() -> Value {
    let text_object = object(&[
        ("body", text()),
        (
            "preview_url?",
            or_null(with_description(
                boolean(),
                "Fetches a preview from the pages of the first links, for at most 5 seconds.",
            )),
        ),
        (
            "background_color?",
            or_null(with_description(
                text(),
                "Background of a status, `#RRGGBB`.",
            )),
        ),
        (
            "font?",
            or_null(with_description(
                string_enum(&StatusFont::ALL.map(|(name, _)| name)),
                "Font of a status.",
            )),
        ),
    ]);
    let mut members = vec![
        (
            "to",
            with_description(
                recipient_schema(),
                "A number in any spelling, an address, or `status`.",
            ),
        ),
        ("type?", or_null(string_enum(&KINDS))),
        ("text?", text_object),
        (
            "context?",
            or_null(object(&[(
                "message_id",
                with_description(text(), "The message that this one replies to."),
            )])),
        ),
        (
            "mentions?",
            json!({"anyOf": [
                list_of(with_description(
                    text(),
                    "A person, as in `to`. The text contains `@` and the number.",
                )),
                with_description(string_enum(&[EVERYONE]), "Everybody in the group."),
                {"type": "null"},
            ]}),
        ),
        (
            "recipients?",
            or_null(list_of(with_description(
                text(),
                "A person, as in `to`, who may see the status.",
            ))),
        ),
        ("send_at?", or_null(time_input())),
        (
            "expires_in?",
            or_null(with_description(
                number(1, 31 * 24 * 3600),
                "Seconds after which an unsent message fails.",
            )),
        ),
    ];
    members.extend(message_kinds::file_members());
    members.extend(message_kinds::other_members());
    members.extend(interactive::sent_members());
    members.extend(products::sent_members());
    object(&members)
}

fn recipient_schema() -> Value {
    with_description(
        with_keyword(text(), "examples", json!(["375447034810"])),
        "A number in any spelling, or an address.",
    )
}

pub fn message_schema() -> Value {
    let status = || {
        string_enum(&[
            "queued",
            "unknown",
            "failed",
            "cancelled",
            "sent",
            "delivered",
            "read",
            "played",
        ])
    };
    let recipient = object(&[
        ("id", text()),
        ("delivered_at", or_null(time_output())),
        ("read_at", or_null(time_output())),
        ("played_at", or_null(time_output())),
    ]);
    let members = [
        ("id", with_description(text(), "WhatsApp's own.")),
        ("session", session_name_schema()),
        ("chat", text()),
        (
            "type",
            with_description(text(), "The name of the object with the content."),
        ),
        ("status", status()),
        (
            "queued_reason?",
            with_description(
                string_enum(HoldReason::VARIANTS),
                "Why it waits although its turn has come. `timelock`, `new_chat_cap`: the recipient has not written to \
                 the account, and WhatsApp would refuse it. `min_gap`, `per_day`, `new_chats_per_day`: the pacing of the \
                 session.",
            ),
        ),
        (
            "not_before?",
            with_description(
                time_output(),
                "The earliest time at which it may leave, where that is known.",
            ),
        ),
        ("accepted_at", time_output()),
        ("send_at?", time_output()),
        ("expires_at?", time_output()),
        ("sent_at", or_null(time_output())),
        ("error?", type_schema::<SendFailure>()),
        ("recipients", list_of(recipient)),
        (
            "edited_at?",
            with_description(time_output(), "Time of the last edit."),
        ),
        (
            "deleted_at?",
            with_description(time_output(), "Time of the deletion for everyone."),
        ),
        (
            "history",
            list_of(object(&[
                ("status", status()),
                ("at", time_output()),
                ("recipient?", text()),
            ])),
        ),
    ];
    with_description(
        with_members(message_kinds::shown_message_schema(), &members),
        "A sent message and its status.",
    )
}
