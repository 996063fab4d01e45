//! The event feed, also as a stream.

use serde_json::{Value, json};

use super::operation::{JSON, Operation, route};
use super::schema::{count, flag, list, number, object, reference, said, text};

pub fn operations() -> Vec<Operation> {
    let feed = filtered(route(
        "GET",
        "/v1/events",
        "What happened, from any point on",
    ))
    .query(
        "after",
        number(0, i64::MAX),
        "A place: the `next` of the last answer. 0, or nothing: the beginning.",
    )
    .query(
        "limit",
        number(1, 1_000),
        "Events in one answer; 100 when nothing is said.",
    )
    .query("wait", number(0, 60), "Seconds to wait for something new.")
    .answers(200, "A page.", page())
    .problems(&[(503, "stopping")]);
    let stream = filtered(route(
        "GET",
        "/v1/events/stream",
        "What happens, as server-sent events",
    ))
    .query(
        "after",
        number(0, i64::MAX),
        "A place to go on from; nothing: what comes from now on.",
    )
    .header(
        "Last-Event-ID",
        text(),
        "The last id that was read; goes before `after`.",
    )
    .answers_as(
        200,
        "Each event's id is its place, its data an entry of the feed.",
        &[("text/event-stream", text())],
    );
    vec![feed, stream]
}

fn page() -> Value {
    object(&[
        ("events", list(entry())),
        ("next", said(count(), "The `after` of the next call.")),
        (
            "more",
            said(
                flag(),
                "Whether there may be more at once: a page holds up to 4 MiB and has looked at some thousands of events, wanted or not. `wait` looks on.",
            ),
        ),
    ])
}

fn filtered(operation: Operation) -> Operation {
    operation
        .query(
            "types",
            text(),
            "Types of events, separated by commas; nothing: all.",
        )
        .query("session", text(), "Only of this session.")
}

/// Returns the document's `webhooks`: the requests that the gateway itself makes.
pub fn posts() -> Value {
    let header = |name: &str, description: &str| json!({"name": name, "in": "header", "required": true, "schema": text(), "description": description});
    let parameters = [
        header(
            "webhook-id",
            "The event's id, the same over all tries: by it an event that comes twice is known.",
        ),
        header(
            "webhook-timestamp",
            "When this try was made, in seconds since 1970.",
        ),
        header(
            "webhook-signature",
            "`v1,` and HMAC-SHA256 in base64 of id, timestamp and body, for each live secret.",
        ),
    ];
    json!({"event": {"post": {
        "operationId": "event",
        "summary": "An event, posted to each webhook that wants its type",
        "parameters": parameters,
        "requestBody": {"required": true, "content": {JSON: {"schema": reference("Event")}}},
        "responses": {"2XX": {"description": "Taken. Anything else, or silence for 15 seconds, is tried again for about three days."}},
    }}})
}

fn entry() -> Value {
    object(&[
        (
            "seq",
            said(count(), "Its place among all events; never goes backwards."),
        ),
        ("id", said(text(), "Travels as `webhook-id` with webhooks.")),
        ("event", reference("Event")),
    ])
}
