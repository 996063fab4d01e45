//! Webhooks and their deliveries.

use serde_json::{Value, json};

use crate::http::openapi::operation::{Operation, describe_route, session_name_schema};
use crate::http::openapi::schema::{
    any_object, boolean, count, list_of, non_empty_list, number, object, or_null, schema_reference,
    string_enum, text, time_input, time_output, with_description,
};

/// Problems of every route that names a webhook in its path.
const WEBHOOK_PROBLEMS: [(u16, &str); 2] = [(404, "webhook_not_found"), (503, "not_ready")];
const ORIGINAL_PROBLEM: (u16, &str) = (409, "webhook_is_original");

pub fn describe_operations() -> Vec<Operation> {
    let one = |method, summary| {
        describe_route(method, "/v1/webhooks/{id}", summary).with_problems(&WEBHOOK_PROBLEMS)
    };
    let mut operations = vec![
        describe_route("GET", "/v1/webhooks", "All webhooks, the oldest first")
            .with_answer(
                200,
                "The webhooks.",
                object(&[("webhooks", list_of(schema_reference("Webhook")))]),
            )
            .with_problems(&[(503, "not_ready")]),
        describe_route("POST", "/v1/webhooks", "Make a webhook")
            .with_body(object(
                &[
                    &[("url", text()), ("secret?", or_null(secret_schema()))],
                    &endpoint_members()[..],
                ]
                .concat(),
            ))
            .with_answer(
                201,
                "The webhook, with its secret.",
                created_webhook_schema(),
            )
            .with_problems(&[(503, "not_ready")]),
        one("GET", "A webhook").with_answer(200, "The webhook.", schema_reference("Webhook")),
        one("PATCH", "Change a webhook: what is left out stays")
            .with_body(object(
                &[
                    &[("url?", or_null(text())), ("enabled?", or_null(boolean()))],
                    &endpoint_members()[..],
                ]
                .concat(),
            ))
            .with_answer(200, "The webhook.", schema_reference("Webhook"))
            .with_problems(&[ORIGINAL_PROBLEM]),
        one("DELETE", "Remove a webhook, and what waits for it")
            .with_empty_answer(204, "It is gone.")
            .with_problems(&[ORIGINAL_PROBLEM]),
    ];
    operations.extend(describe_commands());
    operations.extend(describe_deliveries());
    operations
}

fn describe_commands() -> [Operation; 3] {
    let order = |path, summary, body| {
        describe_route("POST", path, summary)
            .with_optional_body(body)
            .with_problems(&WEBHOOK_PROBLEMS)
    };
    let tested = object(&[
        (
            "taken",
            with_description(
                boolean(),
                "Whether this would have counted as taken: a 2xx.",
            ),
        ),
        ("error", or_null(text())),
        ("status", or_null(number(100, 999))),
        (
            "answer",
            or_null(with_description(
                text(),
                "The first KiB of what it answered.",
            )),
        ),
        ("took_ms", count()),
    ]);
    let renewed = object(&[
        ("secret", secret_schema()),
        (
            "former_until",
            with_description(time_output(), "Until then both sign."),
        ),
    ]);
    [
        order(
            "/v1/webhooks/{id}/test",
            "Post a test",
            object(&[("session?", or_null(session_name_schema()))]),
        )
        .with_answer(200, "How it went.", tested)
        .with_problems(&[(409, "webhook_is_original")]),
        order(
            "/v1/webhooks/{id}/rotate-secret",
            "Sign with another secret",
            object(&[("secret?", or_null(secret_schema()))]),
        )
        .with_answer(200, "The new secret.", renewed)
        .with_problems(&[ORIGINAL_PROBLEM]),
        order(
            "/v1/webhooks/{id}/enable",
            "Go on where it was",
            object(&[]),
        )
        .with_answer(200, "The webhook.", schema_reference("Webhook")),
    ]
}

fn describe_deliveries() -> [Operation; 3] {
    let page = object(&[
        ("deliveries", list_of(delivery_schema())),
        ("next", or_null(count())),
    ]);
    let states = string_enum(&["waiting", "delivered", "dead"]);
    [
        describe_route(
            "GET",
            "/v1/webhooks/{id}/deliveries",
            "What a webhook was told, the newest first",
        )
        .with_query("status", states, "Only these; `dead`: given up.")
        .with_query(
            "before",
            number(0, i64::MAX),
            "The `next` of the last answer.",
        )
        .with_query(
            "limit",
            number(1, 500),
            "Deliveries in one answer; 50 when nothing is said.",
        )
        .with_answer(200, "A page; `next` is `null` at the end.", page)
        .with_problems(&WEBHOOK_PROBLEMS),
        describe_route(
            "POST",
            "/v1/webhooks/{id}/deliveries/{delivery}/resend",
            "Try a delivery again",
        )
        .with_optional_body(object(&[]))
        .with_answer(
            202,
            "It is on its way.",
            object(&[("id", count()), ("status", string_enum(&["waiting"]))]),
        )
        .with_problems(&WEBHOOK_PROBLEMS)
        .with_problems(&[(404, "delivery_not_found")]),
        describe_route(
            "POST",
            "/v1/webhooks/{id}/replay",
            "Tell again what happened in some time",
        )
        .with_body(object(&[
            ("from", time_input()),
            ("to?", or_null(time_input())),
        ]))
        .with_answer(
            202,
            "They are on their way.",
            object(&[("events", count())]),
        )
        .with_problems(&WEBHOOK_PROBLEMS)
        .with_problems(&[(503, "stopping")]),
    ]
}

/// Returns the members that can be set on creation and later.
fn endpoint_members() -> [(&'static str, Value); 3] {
    let headers = json!({"type": "object", "additionalProperties": or_null(text())});
    [
        (
            "session?",
            or_null(with_description(
                session_name_schema(),
                "`null`: of all sessions.",
            )),
        ),
        (
            "types?",
            or_null(with_description(
                non_empty_list(text()),
                "Types of events; `null`: all.",
            )),
        ),
        (
            "headers?",
            or_null(with_description(
                headers,
                "Sent along with every post; `null` takes one away.",
            )),
        ),
    ]
}

fn secret_schema() -> Value {
    with_description(
        text(),
        "`whsec_` and 24 to 64 bytes of base64. Shown when it is made, and never again.",
    )
}

fn created_webhook_schema() -> Value {
    let mut made = webhook_schema();
    made["properties"]["secret"] = secret_schema();
    made["required"]
        .as_array_mut()
        .expect("an object has a list of them")
        .push("secret".into());
    made
}

fn delivery_schema() -> Value {
    let attempt = object(&[
        ("number", count()),
        ("at", time_output()),
        ("error", text()),
        ("status", or_null(count())),
        ("answer", or_null(text())),
    ]);
    object(&[
        ("id", count()),
        ("status", string_enum(&["waiting", "delivered", "dead"])),
        (
            "event",
            object(&[
                ("id", text()),
                ("type", text()),
                ("session", or_null(text())),
            ]),
        ),
        ("attempts", count()),
        ("created_at", time_output()),
        ("settled_at", or_null(time_output())),
        ("next_attempt_at", or_null(time_output())),
        ("failed_attempts", list_of(attempt)),
    ])
}

pub fn webhook_schema() -> Value {
    object(&[
        (
            "id",
            with_description(text(), "`original` for the one that the settings name."),
        ),
        ("url", text()),
        ("session", or_null(text())),
        ("types", or_null(list_of(text()))),
        (
            "headers",
            with_description(any_object(), "The values are hidden."),
        ),
        ("enabled", boolean()),
        (
            "disabled",
            or_null(object(&[
                ("reason", string_enum(&["asked", "gone", "failing"])),
                ("since", time_output()),
            ])),
        ),
        ("failing_since", or_null(time_output())),
        ("failures", count()),
        ("created_at", time_output()),
    ])
}
