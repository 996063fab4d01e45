//! Sending of messages, and their status.

use serde_json::{Value, json};

use super::products;
use crate::http::openapi::operation::{Operation, describe_route, session_name_schema};
use crate::http::openapi::schema::{
    boolean, list_of, number, object, or_null, schema_reference, string_enum, text, time_input,
    time_output, with_description, with_keyword,
};
use crate::http::openapi::{examples, interactive, message_kinds};
use crate::http::v1::messages::KINDS;
use crate::http::v1::messages::batch::MAX_BATCH;
use crate::model::message::StatusFont;

pub fn describe_operations() -> Vec<Operation> {
    let answer = send_answer_schema();
    vec![
        with_send_answers(
            describe_route(
                "POST",
                "/v1/sessions/{session}/messages",
                "Send a message, once",
            ),
            &answer,
        )
        .with_header(
            "Idempotency-Key",
            text(),
            "The same key and body again: the same message, for 24 hours.",
        )
        .with_body(send_request_schema())
        .with_examples(examples::example_messages())
        .with_problems(&[(409, "idempotency_key_reused")]),
        describe_batch(&answer),
        describe_route(
            "GET",
            "/v1/sessions/{session}/messages/{id}",
            "A message that was sent, and what became of it",
        )
        .with_answer(200, "The message.", schema_reference("Message"))
        .with_problems(&[(404, "session_not_found"), (404, "message_not_found")]),
        with_send_answers(
            describe_route(
                "PATCH",
                "/v1/sessions/{session}/messages/{id}",
                "Give a text, or a file, other words, sent or not",
            ),
            &answer,
        )
        .with_header("Idempotency-Key", text(), "As for sending.")
        .with_body(edit_schema())
        .with_problems(&[(409, "idempotency_key_reused"), (409, "too_late")]),
        with_send_answers(
            describe_route(
                "DELETE",
                "/v1/sessions/{session}/messages/{id}",
                "Take a message back, sent or not",
            ),
            &answer,
        )
        .with_query(
            "for",
            string_enum(&["everyone", "me"]),
            "From everyone, or from the own devices alone.",
        )
        .with_query(
            "chat",
            text(),
            "Where a message is that was not sent through here.",
        )
        .with_empty_answer(204, "It is gone from the own devices.")
        .with_problems(&[(409, "session_not_online"), (504, "whatsapp_timeout")]),
        with_send_answers(
            describe_route(
                "POST",
                "/v1/sessions/{session}/messages/{id}/forward",
                "Send the same words to somebody",
            ),
            &answer,
        )
        .with_header("Idempotency-Key", text(), "As for sending.")
        .with_body(object(&[
            ("to", recipient_schema()),
            (
                "chat?",
                or_null(with_description(
                    text(),
                    "Where it is, if it was not sent through here.",
                )),
            ),
        ]))
        .with_problems(&[(409, "idempotency_key_reused")]),
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
    let some = |of, most: u8| {
        with_keyword(
            with_keyword(list_of(of), "minItems", 1.into()),
            "maxItems",
            most.into(),
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
            "Seconds to wait for WhatsApp; 10 when nothing is said.",
        )
        .with_answer(200, "WhatsApp has taken it.", answer.clone())
        .with_answer(202, "It is stored, and on its way.", answer.clone())
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
}

fn describe_batch(answer: &Value) -> Operation {
    let most = u64::try_from(MAX_BATCH).unwrap_or_default();
    let messages = with_keyword(
        with_keyword(list_of(send_request_schema()), "minItems", 1.into()),
        "maxItems",
        most.into(),
    );
    let refused = object(&[("error", schema_reference("Problem"))]);
    let result = with_description(
        json!({"anyOf": [answer, refused]}),
        "As the message alone would have been answered.",
    );
    let summary = "Send many messages, each accepted on its own";
    let first = json!({"to": "+375 44 703-48-10", "text": {"body": "We open at nine."}});
    let second = json!({"to": "+375 29 703-48-10", "text": {"body": "We open at nine."}});
    describe_route("POST", "/v1/sessions/{session}/messages/batch", summary)
        .with_header(
            "Idempotency-Key",
            text(),
            "As for sending; what was cut off is gone on with.",
        )
        .with_body(object(&[("messages", messages)]))
        .with_examples(vec![(
            "batch",
            "The same to two people",
            json!({"messages": [first, second]}),
        )])
        .with_answer(
            202,
            "In the order of the messages. A problem with all of them is answered as one.",
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
                "The pages of the first links are asked, for 5 seconds at most, what to show.",
            )),
        ),
        (
            "background_color?",
            or_null(with_description(text(), "Of a status: `#RRGGBB`.")),
        ),
        (
            "font?",
            or_null(with_description(
                string_enum(&StatusFont::ALL.map(|(name, _)| name)),
                "Of a status.",
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
                with_description(text(), "The message this one answers."),
            )])),
        ),
        (
            "mentions?",
            or_null(list_of(with_description(
                text(),
                "A person, as in `to`. The words say `@` and the number.",
            ))),
        ),
        (
            "recipients?",
            or_null(list_of(with_description(
                text(),
                "A person, as in `to`: who may see a status.",
            ))),
        ),
        ("send_at?", or_null(time_input())),
        (
            "expires_in?",
            or_null(with_description(
                number(1, 31 * 24 * 3600),
                "Seconds; not sent by then, it fails.",
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
    let mut members = vec![
        ("id", with_description(text(), "WhatsApp's own.")),
        ("session", session_name_schema()),
        ("chat", text()),
        (
            "type",
            with_description(text(), "The name of the object that says it."),
        ),
        ("status", status()),
        ("accepted_at", time_output()),
        ("send_at?", time_output()),
        ("expires_at?", time_output()),
        ("sent_at", or_null(time_output())),
        ("error?", object(&[("code", text()), ("detail", text())])),
        ("recipients", list_of(recipient)),
        (
            "edited_at?",
            with_description(time_output(), "When it was given other words."),
        ),
        (
            "deleted_at?",
            with_description(time_output(), "When it was taken back from everyone."),
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
    members.extend(message_kinds::shown_members());
    object(&members)
}
