//! Content of a received message: one member for each kind. Pure.

use serde_json::json;

use super::event_schemas::EventMember;
use super::message_kinds;
use super::schema::{
    any_object, boolean, count, list_of, number, object, open_object, or_null, text, time_output,
    with_description,
};

/// Returns the members of a received message: those of a sent one, where values its sender left out
/// are `null`.
pub fn content_members() -> Vec<EventMember> {
    const OTHERS: [&str; 7] = [
        "context?",
        "contacts?",
        "event?",
        "poll?",
        "location?",
        "live_location?",
        "group_invite?",
    ];
    let mut members = message_kinds::shown_members();
    members.retain(|(name, _)| !OTHERS.contains(name));
    let words = || or_null(text());
    let quoted = with_description(any_object(), "What it said, as far as the answer shows it.");
    let phone = open_object(&[("phone", text()), ("wa_id", words())]);
    let place = || {
        [
            ("latitude", json!({"type": "number"})),
            ("longitude", json!({"type": "number"})),
        ]
    };
    let whole = || or_null(number(i64::MIN, i64::MAX));
    let (named, at) = ([("name", words()), ("address", words())], place());
    members.extend([
        (
            "type",
            with_description(
                text(),
                "The name of the object that says it; `unsupported`: `raw` does.",
            ),
        ),
        (
            "context?",
            open_object(&[
                ("message_id", text()),
                ("from?", with_description(text(), "The id of who wrote it.")),
                ("phone?", text()),
                ("lid?", text()),
                ("quoted?", quoted),
            ]),
        ),
        (
            "contacts?",
            list_of(open_object(&[
                ("name", text()),
                ("vcard", text()),
                ("phones", list_of(phone)),
            ])),
        ),
        ("location?", open_object(&[&at[..], &named].concat())),
        (
            "live_location?",
            open_object(
                &[
                    &place()[..],
                    &[
                        ("accuracy", whole()),
                        ("speed", or_null(json!({"type": "number"}))),
                        ("bearing", whole()),
                        ("caption", words()),
                        ("sequence", whole()),
                    ],
                ]
                .concat(),
            ),
        ),
        (
            "poll?",
            open_object(&[
                ("question", text()),
                ("options", list_of(text())),
                (
                    "max_selections",
                    with_description(count(), "0: as many as somebody likes."),
                ),
                ("quiz?", object(&[("answer", text())])),
            ]),
        ),
        (
            "event?",
            open_object(&[
                ("name", text()),
                ("description", words()),
                ("start", or_null(time_output())),
                ("end", or_null(time_output())),
                ("place", or_null(any_object())),
                ("join_link?", text()),
                ("canceled?", boolean()),
            ]),
        ),
        (
            "group_invite?",
            open_object(&[
                ("group", text()),
                ("code", text()),
                ("name", words()),
                ("caption", words()),
                ("expires_at", or_null(time_output())),
            ]),
        ),
        (
            "raw?",
            with_description(
                any_object(),
                "WhatsApp's protobuf as JSON; bytes are base64.",
            ),
        ),
    ]);
    members
}
