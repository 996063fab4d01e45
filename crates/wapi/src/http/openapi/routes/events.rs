//! The event feed, also as a stream.

use serde_json::{Value, json};

use crate::http::openapi::operation::{JSON, Operation, describe_route};
use crate::http::openapi::schema::{
    boolean, count, list_of, number, object, schema_reference, text, with_description,
};

pub fn describe_operations() -> Vec<Operation> {
    let feed = with_event_filter(describe_route(
        "GET",
        "/v1/events",
        "What happened, from any point on",
    ))
    .with_query(
        "after",
        number(0, i64::MAX),
        "A place: the `next` of the last answer. 0, or nothing: the beginning.",
    )
    .with_query(
        "limit",
        number(1, 1_000),
        "Events in one answer; 100 when nothing is said.",
    )
    .with_query("wait", number(0, 60), "Seconds to wait for something new.")
    .with_answer(200, "A page.", feed_page_schema())
    .with_problems(&[(503, "stopping")]);
    let stream = with_event_filter(describe_route(
        "GET",
        "/v1/events/stream",
        "What happens, as server-sent events",
    ))
    .with_query(
        "after",
        number(0, i64::MAX),
        "A place to go on from; nothing: what comes from now on.",
    )
    .with_header(
        "Last-Event-ID",
        text(),
        "The last id that was read; goes before `after`.",
    )
    .with_answer_types(
        200,
        "Each event's id is its place, its data an entry of the feed.",
        &[("text/event-stream", text())],
    );
    vec![feed, stream]
}

fn feed_page_schema() -> Value {
    object(&[
        ("events", list_of(feed_entry_schema())),
        (
            "next",
            with_description(count(), "The `after` of the next call."),
        ),
        (
            "more",
            with_description(
                boolean(),
                "Whether there may be more at once: a page holds up to 4 MiB and has looked at some thousands of events, wanted or not. `wait` looks on.",
            ),
        ),
    ])
}

fn with_event_filter(operation: Operation) -> Operation {
    operation
        .with_query(
            "types",
            text(),
            "Types of events, separated by commas; nothing: all.",
        )
        .with_query("session", text(), "Only of this session.")
}

/// Returns the document's `webhooks`: the requests that the gateway itself makes.
pub fn describe_posts() -> Value {
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
        "requestBody": {"required": true, "content": {JSON: {"schema": schema_reference("Event")}}},
        "responses": {"2XX": {"description": "Taken. Anything else, or silence for 15 seconds, is tried again for about three days."}},
    }}})
}

fn feed_entry_schema() -> Value {
    object(&[
        (
            "seq",
            with_description(count(), "Its place among all events; never goes backwards."),
        ),
        (
            "id",
            with_description(text(), "Travels as `webhook-id` with webhooks."),
        ),
        ("event", schema_reference("Event")),
    ])
}
