//! The feed, and the same as a stream.

use serde_json::Value;

use super::operation::{Operation, route};
use super::schema::{anything, count, list, number, object, open_object, said, text, time};

pub fn operations() -> Vec<Operation> {
    let feed = filtered(route("GET", "/v1/events", "What happened, from any point on"))
        .query("after", number(0, i64::MAX), "A place: the `next` of the last answer. 0, or nothing: the beginning.")
        .query("limit", number(0, 1_000), "Events in one answer; 100 when nothing is said, and at least one.")
        .query("wait", number(0, 60), "Seconds to wait for something new.")
        .answers(200, "A page.", object(&[("events", list(entry())), ("next", count())]))
        .problems(&[(503, "stopping")]);
    let stream = filtered(route("GET", "/v1/events/stream", "What happens, as server-sent events"))
        .query("after", number(0, i64::MAX), "A place to go on from; nothing: what comes from now on.")
        .header("Last-Event-ID", text(), "The last id that was read; goes before `after`.")
        .answers_as(
            200,
            "Each event's id is its place, its data an entry of the feed.",
            &[("text/event-stream", text())],
        );
    vec![feed, stream]
}

fn filtered(operation: Operation) -> Operation {
    operation.query("types", text(), "Types of events, separated by commas; nothing: all.").query(
        "session",
        text(),
        "Only of this session.",
    )
}

fn entry() -> Value {
    let envelope = open_object(&[("type", text()), ("timestamp", time()), ("data", anything())]);
    object(&[
        ("seq", said(count(), "Its place among all events; never goes backwards.")),
        ("id", said(text(), "Travels as `webhook-id` with webhooks.")),
        ("event", envelope),
    ])
}
