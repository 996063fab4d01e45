//! Webhooks and their deliveries.

use serde_json::{Value, json};

use super::operation::{Operation, route, session_name};
use super::schema::{
    anything, count, flag, list, moment, number, object, or_null, reference, said, some_of, text,
    time, words,
};

/// Problems of every route that names a webhook in its path.
const NAMED: [(u16, &str); 2] = [(404, "webhook_not_found"), (503, "not_ready")];
const ORIGINAL: (u16, &str) = (409, "webhook_is_original");

pub fn operations() -> Vec<Operation> {
    let one = |method, summary| route(method, "/v1/webhooks/{id}", summary).problems(&NAMED);
    let mut operations = vec![
        route("GET", "/v1/webhooks", "All webhooks, the oldest first")
            .answers(
                200,
                "The webhooks.",
                object(&[("webhooks", list(reference("Webhook")))]),
            )
            .problems(&[(503, "not_ready")]),
        route("POST", "/v1/webhooks", "Make a webhook")
            .body(object(
                &[
                    &[("url", text()), ("secret?", or_null(secret()))],
                    &wishes()[..],
                ]
                .concat(),
            ))
            .answers(201, "The webhook, with its secret.", with_secret())
            .problems(&[(503, "not_ready")]),
        one("GET", "A webhook").answers(200, "The webhook.", reference("Webhook")),
        one("PATCH", "Change a webhook: what is left out stays")
            .body(object(
                &[
                    &[("url?", or_null(text())), ("enabled?", or_null(flag()))],
                    &wishes()[..],
                ]
                .concat(),
            ))
            .answers(200, "The webhook.", reference("Webhook"))
            .problems(&[ORIGINAL]),
        one("DELETE", "Remove a webhook, and what waits for it")
            .answers_nothing(204, "It is gone.")
            .problems(&[ORIGINAL]),
    ];
    operations.extend(orders());
    operations.extend(deliveries());
    operations
}

fn orders() -> [Operation; 3] {
    let order = |path, summary, body| {
        route("POST", path, summary)
            .optional_body(body)
            .problems(&NAMED)
    };
    let tested = object(&[
        (
            "taken",
            said(flag(), "Whether this would have counted as taken: a 2xx."),
        ),
        ("error", or_null(text())),
        ("status", or_null(number(100, 999))),
        (
            "answer",
            or_null(said(text(), "The first KiB of what it answered.")),
        ),
        ("took_ms", count()),
    ]);
    let renewed = object(&[
        ("secret", secret()),
        ("former_until", said(time(), "Until then both sign.")),
    ]);
    [
        order(
            "/v1/webhooks/{id}/test",
            "Post a test",
            object(&[("session?", or_null(session_name()))]),
        )
        .answers(200, "How it went.", tested)
        .problems(&[(409, "webhook_is_original")]),
        order(
            "/v1/webhooks/{id}/rotate-secret",
            "Sign with another secret",
            object(&[("secret?", or_null(secret()))]),
        )
        .answers(200, "The new secret.", renewed)
        .problems(&[ORIGINAL]),
        order(
            "/v1/webhooks/{id}/enable",
            "Go on where it was",
            object(&[]),
        )
        .answers(200, "The webhook.", reference("Webhook")),
    ]
}

fn deliveries() -> [Operation; 3] {
    let page = object(&[("deliveries", list(delivery())), ("next", or_null(count()))]);
    let states = words(&["waiting", "delivered", "dead"]);
    [
        route(
            "GET",
            "/v1/webhooks/{id}/deliveries",
            "What a webhook was told, the newest first",
        )
        .query("status", states, "Only these; `dead`: given up.")
        .query(
            "before",
            number(0, i64::MAX),
            "The `next` of the last answer.",
        )
        .query(
            "limit",
            number(1, 500),
            "Deliveries in one answer; 50 when nothing is said.",
        )
        .answers(200, "A page; `next` is `null` at the end.", page)
        .problems(&NAMED),
        route(
            "POST",
            "/v1/webhooks/{id}/deliveries/{delivery}/resend",
            "Try a delivery again",
        )
        .optional_body(object(&[]))
        .answers(
            202,
            "It is on its way.",
            object(&[("id", count()), ("status", words(&["waiting"]))]),
        )
        .problems(&NAMED)
        .problems(&[(404, "delivery_not_found")]),
        route(
            "POST",
            "/v1/webhooks/{id}/replay",
            "Tell again what happened in some time",
        )
        .body(object(&[("from", moment()), ("to?", or_null(moment()))]))
        .answers(
            202,
            "They are on their way.",
            object(&[("events", count())]),
        )
        .problems(&NAMED)
        .problems(&[(503, "stopping")]),
    ]
}

/// Returns the members that can be set on creation and later.
fn wishes() -> [(&'static str, Value); 3] {
    let headers = json!({"type": "object", "additionalProperties": or_null(text())});
    [
        (
            "session?",
            or_null(said(session_name(), "`null`: of all sessions.")),
        ),
        (
            "types?",
            or_null(said(some_of(text()), "Types of events; `null`: all.")),
        ),
        (
            "headers?",
            or_null(said(
                headers,
                "Sent along with every post; `null` takes one away.",
            )),
        ),
    ]
}

fn secret() -> Value {
    said(
        text(),
        "`whsec_` and 24 to 64 bytes of base64. Shown when it is made, and never again.",
    )
}

fn with_secret() -> Value {
    let mut made = webhook();
    made["properties"]["secret"] = secret();
    made["required"]
        .as_array_mut()
        .expect("an object has a list of them")
        .push("secret".into());
    made
}

fn delivery() -> Value {
    let attempt = object(&[
        ("number", count()),
        ("at", time()),
        ("error", text()),
        ("status", or_null(count())),
        ("answer", or_null(text())),
    ]);
    object(&[
        ("id", count()),
        ("status", words(&["waiting", "delivered", "dead"])),
        (
            "event",
            object(&[
                ("id", text()),
                ("type", text()),
                ("session", or_null(text())),
            ]),
        ),
        ("attempts", count()),
        ("created_at", time()),
        ("settled_at", or_null(time())),
        ("next_attempt_at", or_null(time())),
        ("failed_attempts", list(attempt)),
    ])
}

pub fn webhook() -> Value {
    object(&[
        (
            "id",
            said(text(), "`original` for the one that the settings name."),
        ),
        ("url", text()),
        ("session", or_null(text())),
        ("types", or_null(list(text()))),
        ("headers", said(anything(), "The values are hidden.")),
        ("enabled", flag()),
        (
            "disabled",
            or_null(object(&[
                ("reason", words(&["asked", "gone", "failing"])),
                ("since", time()),
            ])),
        ),
        ("failing_since", or_null(time())),
        ("failures", count()),
        ("created_at", time()),
    ])
}
