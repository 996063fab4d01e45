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
        "List events from any position",
    ))
    .with_query(
        "after",
        number(0, i64::MAX),
        "The `next` of the previous answer. Starts at the oldest event if omitted or 0.",
    )
    .with_query(
        "limit",
        number(1, 1_000),
        "Maximum number of events in an answer. Default: 100.",
    )
    .with_query("wait", number(0, 60), "Seconds to wait for new events.")
    .with_answer(200, "A page.", feed_page_schema())
    .with_problems(&[(503, "stopping")]);
    let stream = with_event_filter(describe_route(
        "GET",
        "/v1/events/stream",
        "Stream events as server-sent events",
    ))
    .with_query(
        "after",
        number(0, i64::MAX),
        "Position to start after. Starts with new events if omitted.",
    )
    .with_header(
        "Last-Event-ID",
        text(),
        "Id of the last event that the client read; takes precedence over `after`.",
    )
    .with_answer_types(
        200,
        "Each event's id is its position; its data is an entry of the feed.",
        &[("text/event-stream", text())],
    );
    vec![feed, stream]
}

fn feed_page_schema() -> Value {
    object(&[
        ("events", list_of(feed_entry_schema())),
        (
            "next",
            with_description(count(), "The `after` for the next call."),
        ),
        (
            "more",
            with_description(
                boolean(),
                "Whether more events may be available at once: a page has at most 4 MiB and covers some thousands of \
                 events, including those that the filter skips. `wait` continues after them.",
            ),
        ),
    ])
}

fn with_event_filter(operation: Operation) -> Operation {
    operation
        .with_query(
            "types",
            text(),
            "Event types, separated by commas. All types if omitted.",
        )
        .with_query("session", text(), "Only events of this session.")
}

/// Returns the document's `webhooks`: the requests that the gateway itself makes.
pub fn describe_posts() -> Value {
    let header = |name: &str, description: &str| json!({"name": name, "in": "header", "required": true, "schema": text(), "description": description});
    let parameters = [
        header(
            "webhook-id",
            "The event's id, the same in all attempts; use it to detect duplicates.",
        ),
        header(
            "webhook-timestamp",
            "Time of this attempt, in seconds since 1970.",
        ),
        header(
            "webhook-signature",
            "`v1,` and the HMAC-SHA256 of id, timestamp, and body in base64; one for each active secret.",
        ),
    ];
    json!({"event": {"post": {
        "operationId": "event",
        "summary": "An event, posted to each webhook that subscribes to its type",
        "description": "Posts to the webhook of `WAPI_GETTING_MESSAGES_WEBHOOK` also have the members of the original wapi: \
         `Info`, `Text`, and `ContextInfo`.",
        "parameters": parameters,
        "requestBody": {"required": true, "content": {JSON: {"schema": schema_reference("Event")}}},
        "responses": {"2XX": {"description": "Accepted. After any other status, or no answer within 15 seconds, the \
         event is sent again for about three days."}},
    }}})
}

fn feed_entry_schema() -> Value {
    object(&[
        (
            "seq",
            with_description(
                count(),
                "Its position among all events; positions only grow.",
            ),
        ),
        (
            "id",
            with_description(text(), "Webhooks carry it as `webhook-id`."),
        ),
        ("event", schema_reference("Event")),
    ])
}
