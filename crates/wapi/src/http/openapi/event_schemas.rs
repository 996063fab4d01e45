//! Event schemas: the `data` of each type of event. Pure.

use serde_json::{Value, json};

use super::event_content::content_members;
use super::routes::{groups, sessions};
use super::schema::{
    any_object, boolean, count, list_of, number, object, open_object, or_null, schema_reference,
    string_enum, text, time_output, with_description, with_keyword,
};
use crate::model::event::TYPES;
use crate::model::message::CalendarEvent;

pub type EventMember = (&'static str, Value);

/// Returns the schemas of all events by name, and `Event`, which is one of them.
pub fn event_schemas() -> Vec<(String, Value)> {
    let mut schemas: Vec<_> = TYPES
        .iter()
        .map(|kind| (schema_name(kind), envelope_schema(kind)))
        .collect();
    let address = |kind: &str| format!("#/components/schemas/{}", schema_name(kind));
    let one_of: Vec<_> = TYPES
        .iter()
        .map(|kind| schema_reference(&schema_name(kind)))
        .collect();
    let mapping: serde_json::Map<_, _> = TYPES
        .iter()
        .map(|kind| ((*kind).to_owned(), address(kind).into()))
        .collect();
    let event =
        json!({"oneOf": one_of, "discriminator": {"propertyName": "type", "mapping": mapping}});
    schemas.push((
        "Event".to_owned(),
        with_description(
            event,
            "Something that happened, in the envelope of Standard Webhooks.",
        ),
    ));
    schemas.push(("Person".to_owned(), open_object(&groups::person_members())));
    schemas
}

/// Turns `message.received` into `MessageReceivedEvent`.
fn schema_name(kind: &str) -> String {
    let words = kind
        .split(['.', '_'])
        .map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect::<String>() + "Event"
}

fn envelope_schema(kind: &str) -> Value {
    let envelope = open_object(&[
        ("type", string_enum(&[kind])),
        (
            "timestamp",
            with_description(time_output(), "When the gateway learnt of it."),
        ),
        ("data", data_schema(kind).unwrap_or_else(any_object)),
    ]);
    with_keyword(envelope, "title", kind.into())
}

fn data_schema(kind: &str) -> Option<Value> {
    Some(match kind {
        "message.received" | "message.echo" => {
            open_object(&[&received_members(), &content_members()[..]].concat())
        }
        "status.received" => {
            let until = (
                "expires_at",
                with_description(time_output(), "When nobody sees it any more."),
            );
            open_object(&[&received_members(), &content_members()[..], &[until]].concat())
        }
        "message.undecryptable" => {
            let reason = string_enum(&["undecryptable", "view_once", "unavailable"]);
            open_object(&[&received_members()[..], &[("reason", reason)]].concat())
        }
        "message.edited" => message_change_schema(&content_members()),
        "message.deleted" => {
            let by = with_description(
                string_enum(&["author", "admin"]),
                "By which right: they wrote it, or they run the group. Others' deletions are not told.",
            );
            message_change_schema(&[("by", by)])
        }
        "message.reaction" => message_change_schema(&[(
            "emoji",
            or_null(with_description(text(), "`null`: it was taken back.")),
        )]),
        "message.pinned" => {
            let duration = or_null(with_description(
                count(),
                "Seconds; `null` when it was taken down, or nobody said.",
            ));
            message_change_schema(&[("pinned", boolean()), ("duration", duration)])
        }
        "message.kept" => message_change_schema(&[("kept", boolean())]),
        "message.starred" => open_object(&[
            ("session", text()),
            ("chat", text()),
            ("message_id", text()),
            ("starred", boolean()),
            ("timestamp", time_output()),
        ]),
        "message.sent" | "message.failed" | "message.cancelled" | "message.delivered"
        | "message.read" | "message.played" => status_update_schema(),
        "poll.vote" => message_change_schema(&[
            ("question", or_null(text())),
            (
                "options",
                or_null(with_description(
                    list_of(text()),
                    "What they chose; nothing: they took their vote back.",
                )),
            ),
            ("tally", tally_schema()),
        ]),
        "event.response" => message_change_schema(&[
            ("name", or_null(text())),
            ("response", or_null(string_enum(&CalendarEvent::RESPONSES))),
            ("extra_guests", count()),
            ("tally", tally_schema()),
        ]),
        "webhook.disabled" => open_object(&[
            ("session", or_null(text())),
            ("id", text()),
            ("reason", string_enum(&["gone", "failing"])),
            ("disabled_at", time_output()),
        ]),
        _ => return session_data_schema(kind).or_else(|| chat_data_schema(kind)),
    })
}

/// Returns the data of session events.
fn session_data_schema(kind: &str) -> Option<Value> {
    let account = || ("account", or_null(schema_reference("Account")));
    Some(match kind {
        "session.status" => open_object(&[
            ("session", text()),
            ("status", sessions::status_schema()),
            ("reason", or_null(text())),
            ("since", time_output()),
            ("paired", boolean()),
            ("connection", sessions::connection_schema()),
            account(),
        ]),
        "session.qr" => open_object(&[
            ("session", text()),
            ("text", with_description(text(), "What the code says.")),
            (
                "path",
                with_description(text(), "Where it is as a picture, on this gateway."),
            ),
            ("expires_at", time_output()),
        ]),
        "session.history" => open_object(&[
            ("session", text()),
            (
                "status",
                string_enum(&["waiting", "receiving", "complete", "incomplete"]),
            ),
            ("progress", number(0, 100)),
            ("started_at", or_null(time_output())),
            ("updated_at", or_null(time_output())),
        ]),
        "session.paired" => open_object(&[("session", text()), account()]),
        "session.logged_out" => open_object(&[("session", text()), ("reason", text()), account()]),
        _ => return None,
    })
}

/// Returns the data of events about groups, chats, people and calls.
fn chat_data_schema(kind: &str) -> Option<Value> {
    let person = || schema_reference("Person");
    let group = || {
        [
            ("session", text()),
            ("chat", text()),
            ("by", or_null(person())),
            ("timestamp", time_output()),
        ]
    };
    Some(match kind {
        "group.created" => {
            let members = groups::group_schema()["properties"]
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
                ("announcement?", boolean()),
                ("locked?", boolean()),
                ("expires_in?", or_null(count())),
            ]);
            open_object(
                &[
                    &group()[..],
                    &[("change", with_description(change, "What is new."))],
                ]
                .concat(),
            )
        }
        "group.participants" => {
            let action = string_enum(&["add", "remove", "leave", "promote", "demote"]);
            open_object(
                &[
                    &group()[..],
                    &[("action", action), ("participants", list_of(person()))],
                ]
                .concat(),
            )
        }
        "chat.disappearing" => {
            let seconds = (
                "disappearing",
                with_description(count(), "Seconds; 0: messages stay."),
            );
            open_object(&[&received_members()[..], &[seconds]].concat())
        }
        "chat.typing" => open_object(&[
            ("session", text()),
            ("chat", text()),
            ("from", person()),
            (
                "state",
                string_enum(&crate::model::event::TypingState::WORDS),
            ),
        ]),
        "presence.changed" => open_object(&[
            ("session", text()),
            ("from", person()),
            ("state", string_enum(&crate::model::event::Presence::WORDS)),
            ("last_seen_at", or_null(time_output())),
        ]),
        "call.incoming" => open_object(&[
            ("session", text()),
            ("id", text()),
            ("from", person()),
            ("video", boolean()),
            ("group", or_null(text())),
            ("timestamp", time_output()),
        ]),
        "call.ended" => {
            let reason = string_enum(&["missed", "offline", "accepted_elsewhere", "rejected"]);
            let who = [("session", text()), ("id", text()), ("from", person())];
            open_object(
                &[
                    &who[..],
                    &[("reason", reason), ("timestamp", time_output())],
                ]
                .concat(),
            )
        }
        "chat.updated" => open_object(&[
            ("session", text()),
            ("chat", person()),
            ("archived?", boolean()),
            ("pinned?", boolean()),
            (
                "muted_until?",
                or_null(with_description(
                    time_output(),
                    "In the year 9998: for ever.",
                )),
            ),
            ("unread?", boolean()),
            (
                "read_up_to?",
                with_description(text(), "A message; what came after it is not read."),
            ),
            ("deleted?", boolean()),
            ("cleared?", boolean()),
            (
                "up_to?",
                with_description(
                    time_output(),
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
                with_description(
                    text(),
                    "What they call themselves now, where another name is shown.",
                ),
            ),
            (
                "merged?",
                with_description(text(), "An id they had until now."),
            ),
        ]),
        _ => return None,
    })
}

/// Returns the members shared by everything received.
fn received_members() -> [EventMember; 7] {
    [
        ("session", text()),
        ("id", with_description(text(), "WhatsApp's own.")),
        ("chat", with_description(text(), "Where to answer.")),
        ("from", schema_reference("Person")),
        (
            "from_me?",
            with_description(boolean(), "The account did it itself, on another device."),
        ),
        (
            "timestamp",
            with_description(time_output(), "When WhatsApp took it."),
        ),
        (
            "offline",
            with_description(
                boolean(),
                "It waited at WhatsApp while the session was away.",
            ),
        ),
    ]
}

fn message_change_schema(change: &[EventMember]) -> Value {
    let about = (
        "message_id",
        with_description(text(), "The message that was changed."),
    );
    open_object(&[&received_members()[..], &[about], change].concat())
}

fn status_update_schema() -> Value {
    open_object(&[
        ("session", text()),
        (
            "id",
            with_description(text(), "The message's, as the caller was told."),
        ),
        ("chat", text()),
        ("timestamp", time_output()),
        ("recipient?", schema_reference("Person")),
        ("error?", object(&[("code", text()), ("detail", text())])),
    ])
}

pub fn tally_schema() -> Value {
    let option = object(&[
        ("option", text()),
        ("votes", count()),
        ("voters", list_of(text())),
    ]);
    or_null(list_of(option))
}

#[cfg(test)]
mod tests {
    use crate::http::openapi::event_schemas::*;

    #[test]
    fn every_type_of_event_has_a_shape() {
        for kind in TYPES {
            assert!(
                data_schema(kind).is_some(),
                "{kind} has no shape in http/openapi/event_schemas.rs"
            );
        }
    }
}
