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
        describe_route("GET", "/v1/webhooks", "List all webhooks, oldest first")
            .with_answer(
                200,
                "The webhooks.",
                object(&[("webhooks", list_of(schema_reference("Webhook")))]),
            )
            .with_problems(&[(503, "not_ready")]),
        describe_route("POST", "/v1/webhooks", "Create a webhook")
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
        one("PATCH", "Update a webhook; omitted fields stay the same")
            .with_body(object(
                &[
                    &[("url?", or_null(text())), ("enabled?", or_null(boolean()))],
                    &endpoint_members()[..],
                ]
                .concat(),
            ))
            .with_answer(200, "The webhook.", schema_reference("Webhook"))
            .with_problems(&[ORIGINAL_PROBLEM]),
        one("DELETE", "Remove a webhook and its pending deliveries")
            .with_empty_answer(204, "Removed.")
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
                "Whether the answer counts as accepted, with a 2xx status.",
            ),
        ),
        ("error", or_null(text())),
        ("status", or_null(number(100, 999))),
        (
            "answer",
            or_null(with_description(text(), "The first KiB of its answer.")),
        ),
        ("took_ms", count()),
    ]);
    let renewed = object(&[
        ("secret", secret_schema()),
        (
            "former_until",
            with_description(time_output(), "Until then, both secrets sign."),
        ),
    ]);
    [
        order(
            "/v1/webhooks/{id}/test",
            "Send a test event",
            object(&[("session?", or_null(session_name_schema()))]),
        )
        .with_answer(200, "The result of the test.", tested)
        .with_problems(&[(409, "webhook_is_original")]),
        order(
            "/v1/webhooks/{id}/rotate-secret",
            "Rotate the secret",
            object(&[("secret?", or_null(secret_schema()))]),
        )
        .with_answer(200, "The new secret.", renewed)
        .with_problems(&[ORIGINAL_PROBLEM]),
        order(
            "/v1/webhooks/{id}/enable",
            "Enable a webhook; deliveries continue where they stopped",
            object(&[]),
        )
        .with_answer(200, "The webhook.", schema_reference("Webhook")),
    ]
}

fn describe_deliveries() -> [Operation; 5] {
    let page = object(&[
        ("deliveries", list_of(delivery_schema())),
        ("next", or_null(count())),
    ]);
    let states = string_enum(&["waiting", "delivered", "dead"]);
    [
        describe_route(
            "GET",
            "/v1/webhooks/{id}/deliveries",
            "List the deliveries of a webhook, newest first",
        )
        .with_query(
            "status",
            states,
            "Only deliveries with this status; `dead` means given up.",
        )
        .with_query(
            "before",
            number(0, i64::MAX),
            "The `next` of the previous answer.",
        )
        .with_query(
            "limit",
            number(1, 500),
            "Maximum number of deliveries in an answer. Default: 50.",
        )
        .with_answer(
            200,
            "A page of deliveries; `next` is `null` at the end.",
            page,
        )
        .with_problems(&WEBHOOK_PROBLEMS),
        describe_route(
            "POST",
            "/v1/webhooks/{id}/deliveries",
            "Send one event to a webhook, whatever it subscribes to",
        )
        .with_body(object(&[(
            "event",
            with_description(
                text(),
                "The event's id, as in `webhook-id` and in the feed.",
            ),
        )]))
        .with_answer(
            202,
            "The delivery that is attempted at once.",
            object(&[("id", count()), ("status", string_enum(&["waiting"]))]),
        )
        .with_problems(&WEBHOOK_PROBLEMS)
        .with_problems(&[(404, "event_not_found")]),
        describe_route(
            "POST",
            "/v1/webhooks/{id}/deliveries/resend",
            "Resend all deliveries that were given up",
        )
        .with_body(object(&[("status", string_enum(&["dead"]))]))
        .with_answer(
            202,
            "The deliveries are attempted again.",
            object(&[("deliveries", count())]),
        )
        .with_problems(&WEBHOOK_PROBLEMS)
        .with_problems(&[(503, "stopping")]),
        describe_route(
            "POST",
            "/v1/webhooks/{id}/deliveries/{delivery}/resend",
            "Resend a delivery",
        )
        .with_optional_body(object(&[]))
        .with_answer(
            202,
            "The delivery will be attempted again.",
            object(&[("id", count()), ("status", string_enum(&["waiting"]))]),
        )
        .with_problems(&WEBHOOK_PROBLEMS)
        .with_problems(&[(404, "delivery_not_found")]),
        describe_route(
            "POST",
            "/v1/webhooks/{id}/replay",
            "Replay the events of a period",
        )
        .with_body(object(&[
            (
                "from?",
                with_description(time_input(), "Required without `from_seq`."),
            ),
            (
                "from_seq?",
                with_description(
                    number(0, i64::MAX),
                    "The first event's position in the feed, instead of `from`.",
                ),
            ),
            ("to?", or_null(time_input())),
            (
                "dry_run?",
                or_null(with_description(boolean(), "Counts the events only.")),
            ),
        ]))
        .with_answer(
            200,
            "With `dry_run`: so many events would be delivered again.",
            object(&[("events", count())]),
        )
        .with_answer(
            202,
            "The events will be delivered again.",
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
                "The session; `null` for all sessions.",
            )),
        ),
        (
            "types?",
            or_null(with_description(
                non_empty_list(text()),
                "Event types; `null` for all types.",
            )),
        ),
        (
            "headers?",
            or_null(with_description(
                headers,
                "Headers of every post; `null` removes one.",
            )),
        ),
    ]
}

fn secret_schema() -> Value {
    with_description(
        text(),
        "`whsec_` and 24 to 64 bytes of base64. Shown only when it is created.",
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
            with_description(text(), "`original` for the webhook in the settings."),
        ),
        ("url", text()),
        ("session", or_null(text())),
        ("types", or_null(list_of(text()))),
        (
            "headers",
            with_description(any_object(), "The header names; values are hidden."),
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
