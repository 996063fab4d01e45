//! Sending of messages, and their status.

use serde_json::{Value, json};

use super::operation::{Operation, route, session_name};
use super::schema::{
    flag, list, moment, number, object, or_null, reference, said, text, time, with, words,
};
use super::{examples, interactive, kinds, products};
use crate::http::messages::KINDS;
use crate::http::messages::batch::MOST;
use crate::message::Font;

pub fn operations() -> Vec<Operation> {
    let answer = answer();
    vec![
        accepted(
            route(
                "POST",
                "/v1/sessions/{session}/messages",
                "Send a message, once",
            ),
            &answer,
        )
        .header(
            "Idempotency-Key",
            text(),
            "The same key and body again: the same message, for 24 hours.",
        )
        .body(wish())
        .examples(examples::messages())
        .problems(&[(409, "idempotency_key_reused")]),
        batch(&answer),
        route(
            "GET",
            "/v1/sessions/{session}/messages/{id}",
            "A message that was sent, and what became of it",
        )
        .answers(200, "The message.", reference("Message"))
        .problems(&[(404, "session_not_found"), (404, "message_not_found")]),
        accepted(
            route(
                "PATCH",
                "/v1/sessions/{session}/messages/{id}",
                "Give a text, or a file, other words, sent or not",
            ),
            &answer,
        )
        .header("Idempotency-Key", text(), "As for sending.")
        .body(other_words())
        .problems(&[(409, "idempotency_key_reused"), (409, "too_late")]),
        accepted(
            route(
                "DELETE",
                "/v1/sessions/{session}/messages/{id}",
                "Take a message back, sent or not",
            ),
            &answer,
        )
        .query(
            "for",
            words(&["everyone", "me"]),
            "From everyone, or from the own devices alone.",
        )
        .query(
            "chat",
            text(),
            "Where a message is that was not sent through here.",
        )
        .answers_nothing(204, "It is gone from the own devices.")
        .problems(&[(409, "session_not_online"), (504, "whatsapp_timeout")]),
        accepted(
            route(
                "POST",
                "/v1/sessions/{session}/messages/{id}/forward",
                "Send the same words to somebody",
            ),
            &answer,
        )
        .header("Idempotency-Key", text(), "As for sending.")
        .body(object(&[
            ("to", address()),
            (
                "chat?",
                or_null(said(
                    text(),
                    "Where it is, if it was not sent through here.",
                )),
            ),
        ]))
        .problems(&[(409, "idempotency_key_reused")]),
    ]
}

/// Schema of an edit: one of these members.
fn other_words() -> Value {
    let caption = || object(&[("caption", or_null(said(text(), "Empty: none.")))]);
    let text_object = object(&[("body", text()), ("preview_url?", or_null(flag()))]);
    object(&[
        (
            "type?",
            or_null(words(&["text", "image", "video", "document"])),
        ),
        ("text?", text_object),
        ("image?", caption()),
        ("video?", caption()),
        ("document?", caption()),
    ])
}

/// Returns the schema of an accepted message and its recipient.
pub fn answer() -> Value {
    let contact = object(&[
        ("input", text()),
        ("wa_id", or_null(text())),
        ("lid", or_null(text())),
    ]);
    let some = |of, most: u8| {
        with(
            with(list(of), "minItems", 1.into()),
            "maxItems",
            most.into(),
        )
    };
    object(&[
        ("messages", some(reference("Message"), 11)),
        ("contacts", some(contact, 1)),
    ])
}

/// Adds the responses shared by all routes that send.
pub fn accepted(operation: Operation, answer: &Value) -> Operation {
    operation
        .query(
            "wait",
            number(0, 60),
            "Seconds to wait for WhatsApp; 10 when nothing is said.",
        )
        .answers(200, "WhatsApp has taken it.", answer.clone())
        .answers(202, "It is stored, and on its way.", answer.clone())
        .problems(&[(404, "session_not_found"), (409, "session_not_paired")])
        .problems(&[
            (404, "message_not_found"),
            (429, "queue_full"),
            (503, "stopping"),
            (503, "not_ready"),
        ])
        .problems(&[
            (502, "whatsapp_refused"),
            (502, "media_unavailable"),
            (502, "expired"),
        ])
        .problems(&[
            (502, "session_logged_out"),
            (502, "not_sendable"),
            (404, "not_on_whatsapp"),
            (404, "group_not_found"),
            (404, "newsletter_not_found"),
            (403, "not_newsletter_admin"),
        ])
}

fn batch(answer: &Value) -> Operation {
    let most = u64::try_from(MOST).unwrap_or_default();
    let messages = with(
        with(list(wish()), "minItems", 1.into()),
        "maxItems",
        most.into(),
    );
    let refused = object(&[("error", reference("Problem"))]);
    let result = said(
        json!({"anyOf": [answer, refused]}),
        "As the message alone would have been answered.",
    );
    let summary = "Send many messages, each accepted on its own";
    let first = json!({"to": "+375 44 703-48-10", "text": {"body": "We open at nine."}});
    let second = json!({"to": "+375 29 703-48-10", "text": {"body": "We open at nine."}});
    route("POST", "/v1/sessions/{session}/messages/batch", summary)
        .header(
            "Idempotency-Key",
            text(),
            "As for sending; what was cut off is gone on with.",
        )
        .body(object(&[("messages", messages)]))
        .examples(vec![(
            "batch",
            "The same to two people",
            json!({"messages": [first, second]}),
        )])
        .answers(
            202,
            "In the order of the messages. A problem with all of them is answered as one.",
            object(&[("results", list(result))]),
        )
        .problems(&[
            (409, "idempotency_key_reused"),
            (404, "session_not_found"),
            (409, "session_not_paired"),
        ])
        .problems(&[
            (404, "message_not_found"),
            (429, "queue_full"),
            (503, "stopping"),
            (503, "not_ready"),
        ])
}

fn wish() -> Value {
    let text_object = object(&[
        ("body", text()),
        (
            "preview_url?",
            or_null(said(
                flag(),
                "The pages of the first links are asked, for 5 seconds at most, what to show.",
            )),
        ),
        (
            "background_color?",
            or_null(said(text(), "Of a status: `#RRGGBB`.")),
        ),
        (
            "font?",
            or_null(said(
                words(&Font::ALL.map(|(name, _)| name)),
                "Of a status.",
            )),
        ),
    ]);
    let mut members = vec![
        (
            "to",
            said(
                address(),
                "A number in any spelling, an address, or `status`.",
            ),
        ),
        ("type?", or_null(words(&KINDS))),
        ("text?", text_object),
        (
            "context?",
            or_null(object(&[(
                "message_id",
                said(text(), "The message this one answers."),
            )])),
        ),
        (
            "mentions?",
            or_null(list(said(
                text(),
                "A person, as in `to`. The words say `@` and the number.",
            ))),
        ),
        (
            "recipients?",
            or_null(list(said(
                text(),
                "A person, as in `to`: who may see a status.",
            ))),
        ),
        ("send_at?", or_null(moment())),
        (
            "expires_in?",
            or_null(said(
                number(1, 31 * 24 * 3600),
                "Seconds; not sent by then, it fails.",
            )),
        ),
    ];
    members.extend(kinds::files());
    members.extend(kinds::others());
    members.extend(interactive::sent());
    members.extend(products::sent());
    object(&members)
}

fn address() -> Value {
    said(
        with(text(), "examples", json!(["375447034810"])),
        "A number in any spelling, or an address.",
    )
}

pub fn message() -> Value {
    let status = || {
        words(&[
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
        ("delivered_at", or_null(time())),
        ("read_at", or_null(time())),
        ("played_at", or_null(time())),
    ]);
    let mut members = vec![
        ("id", said(text(), "WhatsApp's own.")),
        ("session", session_name()),
        ("chat", text()),
        ("type", said(text(), "The name of the object that says it.")),
        ("status", status()),
        ("accepted_at", time()),
        ("send_at?", time()),
        ("expires_at?", time()),
        ("sent_at", or_null(time())),
        ("error?", object(&[("code", text()), ("detail", text())])),
        ("recipients", list(recipient)),
        ("edited_at?", said(time(), "When it was given other words.")),
        (
            "deleted_at?",
            said(time(), "When it was taken back from everyone."),
        ),
        (
            "history",
            list(object(&[
                ("status", status()),
                ("at", time()),
                ("recipient?", text()),
            ])),
        ),
    ];
    members.extend(kinds::shown());
    object(&members)
}
