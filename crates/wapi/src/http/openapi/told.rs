//! Event schemas: the `data` of each type of event. Pure.

use serde_json::{Value, json};

use super::groups;
use super::kinds;
use super::schema::{
    anything, count, flag, list, number, object, open_object, or_null, reference, said, text, time,
    with, words,
};
use crate::event::TYPES;
use crate::message::CalendarEvent;

type Member = (&'static str, Value);

/// Returns the schemas of all events by name, and `Event`, which is one of them.
pub fn schemas() -> Vec<(String, Value)> {
    let mut schemas: Vec<_> = TYPES
        .iter()
        .map(|kind| (name(kind), envelope(kind)))
        .collect();
    let address = |kind: &str| format!("#/components/schemas/{}", name(kind));
    let one_of: Vec<_> = TYPES.iter().map(|kind| reference(&name(kind))).collect();
    let mapping: serde_json::Map<_, _> = TYPES
        .iter()
        .map(|kind| ((*kind).to_owned(), address(kind).into()))
        .collect();
    let event =
        json!({"oneOf": one_of, "discriminator": {"propertyName": "type", "mapping": mapping}});
    schemas.push((
        "Event".to_owned(),
        said(
            event,
            "Something that happened, in the envelope of Standard Webhooks.",
        ),
    ));
    schemas.push(("Person".to_owned(), open_object(&groups::person())));
    schemas
}

/// Turns `message.received` into `MessageReceivedEvent`.
fn name(kind: &str) -> String {
    let words = kind
        .split(['.', '_'])
        .map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect::<String>() + "Event"
}

fn envelope(kind: &str) -> Value {
    let envelope = open_object(&[
        ("type", words(&[kind])),
        ("timestamp", said(time(), "When the gateway learnt of it.")),
        ("data", data(kind).unwrap_or_else(anything)),
    ]);
    with(envelope, "title", kind.into())
}

fn data(kind: &str) -> Option<Value> {
    Some(match kind {
        "message.received" | "message.echo" => open_object(&[&came(), &content()[..]].concat()),
        "status.received" => {
            let until = ("expires_at", said(time(), "When nobody sees it any more."));
            open_object(&[&came(), &content()[..], &[until]].concat())
        }
        "message.undecryptable" => {
            let reason = words(&["undecryptable", "view_once", "unavailable"]);
            open_object(&[&came()[..], &[("reason", reason)]].concat())
        }
        "message.edited" => changed(&content()),
        "message.deleted" => {
            let by = said(
                words(&["author", "admin"]),
                "By which right: they wrote it, or they run the group. Others' deletions are not told.",
            );
            changed(&[("by", by)])
        }
        "message.reaction" => {
            changed(&[("emoji", or_null(said(text(), "`null`: it was taken back.")))])
        }
        "message.pinned" => {
            let duration = or_null(said(
                count(),
                "Seconds; `null` when it was taken down, or nobody said.",
            ));
            changed(&[("pinned", flag()), ("duration", duration)])
        }
        "message.kept" => changed(&[("kept", flag())]),
        "message.starred" => open_object(&[
            ("session", text()),
            ("chat", text()),
            ("message_id", text()),
            ("starred", flag()),
            ("timestamp", time()),
        ]),
        "message.sent" | "message.failed" | "message.cancelled" | "message.delivered"
        | "message.read" | "message.played" => update(),
        "poll.vote" => changed(&[
            ("question", or_null(text())),
            (
                "options",
                or_null(said(
                    list(text()),
                    "What they chose; nothing: they took their vote back.",
                )),
            ),
            ("tally", tally()),
        ]),
        "event.response" => changed(&[
            ("name", or_null(text())),
            ("response", or_null(words(&CalendarEvent::RESPONSES))),
            ("extra_guests", count()),
            ("tally", tally()),
        ]),
        "webhook.disabled" => open_object(&[
            ("session", or_null(text())),
            ("id", text()),
            ("reason", words(&["gone", "failing"])),
            ("disabled_at", time()),
        ]),
        _ => return session(kind).or_else(|| around(kind)),
    })
}

/// Returns the data of session events.
fn session(kind: &str) -> Option<Value> {
    let account = || ("account", or_null(reference("Account")));
    Some(match kind {
        "session.status" => open_object(&[
            ("session", text()),
            ("status", super::sessions::status()),
            ("reason", or_null(text())),
            ("since", time()),
            ("paired", flag()),
            ("connection", super::sessions::connection()),
            account(),
        ]),
        "session.qr" => open_object(&[
            ("session", text()),
            ("text", said(text(), "What the code says.")),
            (
                "path",
                said(text(), "Where it is as a picture, on this gateway."),
            ),
            ("expires_at", time()),
        ]),
        "session.history" => open_object(&[
            ("session", text()),
            (
                "status",
                words(&["waiting", "receiving", "complete", "incomplete"]),
            ),
            ("progress", number(0, 100)),
            ("started_at", or_null(time())),
            ("updated_at", or_null(time())),
        ]),
        "session.paired" => open_object(&[("session", text()), account()]),
        "session.logged_out" => open_object(&[("session", text()), ("reason", text()), account()]),
        _ => return None,
    })
}

/// Returns the data of events about groups, chats, people and calls.
fn around(kind: &str) -> Option<Value> {
    let person = || reference("Person");
    let group = || {
        [
            ("session", text()),
            ("chat", text()),
            ("by", or_null(person())),
            ("timestamp", time()),
        ]
    };
    Some(match kind {
        "group.created" => {
            let members = groups::group()["properties"]
                .as_object()
                .cloned()
                .unwrap_or_default();
            let mut created = open_object(&group());
            for (name, schema) in members.into_iter().filter(|(name, _)| name != "id") {
                created["properties"][&name] = schema;
                created["required"].as_array_mut()?.push(name.into());
            }
            created
        }
        "group.updated" => {
            let change = open_object(&[
                ("subject?", text()),
                ("description?", or_null(text())),
                ("announcement?", flag()),
                ("locked?", flag()),
                ("expires_in?", or_null(count())),
            ]);
            open_object(&[&group()[..], &[("change", said(change, "What is new."))]].concat())
        }
        "group.participants" => {
            let action = words(&["add", "remove", "leave", "promote", "demote"]);
            open_object(
                &[
                    &group()[..],
                    &[("action", action), ("participants", list(person()))],
                ]
                .concat(),
            )
        }
        "chat.disappearing" => {
            let seconds = ("disappearing", said(count(), "Seconds; 0: messages stay."));
            open_object(&[&came()[..], &[seconds]].concat())
        }
        "chat.typing" => open_object(&[
            ("session", text()),
            ("chat", text()),
            ("from", person()),
            ("state", words(&crate::event::Typing::WORDS)),
        ]),
        "presence.changed" => open_object(&[
            ("session", text()),
            ("from", person()),
            ("state", words(&crate::event::Presence::WORDS)),
            ("last_seen_at", or_null(time())),
        ]),
        "call.incoming" => open_object(&[
            ("session", text()),
            ("id", text()),
            ("from", person()),
            ("video", flag()),
            ("group", or_null(text())),
            ("timestamp", time()),
        ]),
        "call.ended" => {
            let reason = words(&["missed", "offline", "accepted_elsewhere", "rejected"]);
            let who = [("session", text()), ("id", text()), ("from", person())];
            open_object(&[&who[..], &[("reason", reason), ("timestamp", time())]].concat())
        }
        "chat.updated" => open_object(&[
            ("session", text()),
            ("chat", person()),
            ("archived?", flag()),
            ("pinned?", flag()),
            (
                "muted_until?",
                or_null(said(time(), "In the year 9998: for ever.")),
            ),
            ("unread?", flag()),
            (
                "read_up_to?",
                said(text(), "A message; what came after it is not read."),
            ),
            ("deleted?", flag()),
            ("cleared?", flag()),
            (
                "up_to?",
                said(
                    time(),
                    "Messages of after this second are not read, deleted or cleared.",
                ),
            ),
        ]),
        "contact.updated" => open_object(&[
            ("session", text()),
            ("contact", person()),
            ("phone?", text()),
            ("lid?", text()),
            ("name?", text()),
            ("about?", text()),
            (
                "picture?",
                or_null(object(&[("id", or_null(text())), ("url", text())])),
            ),
            (
                "push_name?",
                said(
                    text(),
                    "What they call themselves now, where another name is shown.",
                ),
            ),
            ("merged?", said(text(), "An id they had until now.")),
        ]),
        _ => return None,
    })
}

/// Returns the members shared by everything received.
fn came() -> [Member; 7] {
    [
        ("session", text()),
        ("id", said(text(), "WhatsApp's own.")),
        ("chat", said(text(), "Where to answer.")),
        ("from", reference("Person")),
        (
            "from_me?",
            said(flag(), "The account did it itself, on another device."),
        ),
        ("timestamp", said(time(), "When WhatsApp took it.")),
        (
            "offline",
            said(flag(), "It waited at WhatsApp while the session was away."),
        ),
    ]
}

fn changed(change: &[Member]) -> Value {
    let about = ("message_id", said(text(), "The message that was changed."));
    open_object(&[&came()[..], &[about], change].concat())
}

fn update() -> Value {
    open_object(&[
        ("session", text()),
        ("id", said(text(), "The message's, as the caller was told.")),
        ("chat", text()),
        ("timestamp", time()),
        ("recipient?", reference("Person")),
        ("error?", object(&[("code", text()), ("detail", text())])),
    ])
}

fn tally() -> Value {
    let option = object(&[
        ("option", text()),
        ("votes", count()),
        ("voters", list(text())),
    ]);
    or_null(list(option))
}

/// Returns the members of a received message: those of a sent one, where values its sender left out
/// are `null`.
fn content() -> Vec<Member> {
    const OTHERS: [&str; 7] = [
        "context?",
        "contacts?",
        "event?",
        "poll?",
        "location?",
        "live_location?",
        "group_invite?",
    ];
    let mut members = kinds::shown();
    members.retain(|(name, _)| !OTHERS.contains(name));
    let words = || or_null(text());
    let quoted = said(anything(), "What it said, as far as the answer shows it.");
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
            said(
                text(),
                "The name of the object that says it; `unsupported`: `raw` does.",
            ),
        ),
        (
            "context?",
            open_object(&[
                ("message_id", text()),
                ("from?", said(text(), "The id of who wrote it.")),
                ("phone?", text()),
                ("lid?", text()),
                ("quoted?", quoted),
            ]),
        ),
        (
            "contacts?",
            list(open_object(&[
                ("name", text()),
                ("vcard", text()),
                ("phones", list(phone)),
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
                ("options", list(text())),
                (
                    "max_selections",
                    said(count(), "0: as many as somebody likes."),
                ),
                ("quiz?", object(&[("answer", text())])),
            ]),
        ),
        (
            "event?",
            open_object(&[
                ("name", text()),
                ("description", words()),
                ("start", or_null(time())),
                ("end", or_null(time())),
                ("place", or_null(anything())),
                ("join_link?", text()),
                ("canceled?", flag()),
            ]),
        ),
        (
            "group_invite?",
            open_object(&[
                ("group", text()),
                ("code", text()),
                ("name", words()),
                ("caption", words()),
                ("expires_at", or_null(time())),
            ]),
        ),
        (
            "raw?",
            said(anything(), "WhatsApp's protobuf as JSON; bytes are base64."),
        ),
    ]);
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_event_has_a_shape() {
        for kind in TYPES {
            assert!(
                data(kind).is_some(),
                "{kind} has no shape in http/openapi/told.rs"
            );
        }
    }
}
