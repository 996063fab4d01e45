//! The events: the tables of `docs/reference/events.md`. Their fields are those of the OpenAPI
//! document.

use std::collections::BTreeSet;

use wapi::model::event::TYPES;
use wapi::openapi_document;

use super::check_generated_file;
use super::event_table::{AT_LEAST_ONCE, AT_MOST_ONCE, EVENTS, EventRow};
use super::markdown::{fill_page, format_table, list_sections};
use super::schema::{SchemaField, list_fields};

/// Fields that many events share, under the name that stands for them. The first match counts.
const SHARED: [(&str, &[&str]); 4] = [
    (
        "change",
        &[
            "session",
            "id",
            "chat",
            "from",
            "from_me",
            "timestamp",
            "offline",
            "message_id",
        ],
    ),
    (
        "inbound",
        &[
            "session",
            "id",
            "chat",
            "from",
            "from_me",
            "timestamp",
            "offline",
        ],
    ),
    (
        "update",
        &["session", "id", "chat", "timestamp", "recipient", "error"],
    ),
    ("group", &["session", "chat", "by", "timestamp"]),
];

/// Fields of a message's content beside the object of its kind.
const CONTENT_OPTIONS: [&str; 7] = [
    "context",
    "mentions",
    "mentions_everyone",
    "mentioned",
    "forwarded",
    "expires_after",
    "album_id",
];

#[test]
fn the_page_of_events_is_up_to_date() {
    check_generated_file("docs/reference/events.md", |page| {
        let mut parts = vec![("Shared fields", format_shared_fields())];
        for section in list_sections(EVENTS.iter().map(|event| event.section)) {
            let events = EVENTS.iter().filter(|event| event.section == section);
            let table = format_table(
                ["Type", "Sent when", "Recorded", "`data`"],
                events.map(format_event),
            );
            parts.push((section, table));
        }
        fill_page(page, &parts)
    });
}

#[test]
fn every_event_has_one_row() {
    let described: Vec<_> = EVENTS.iter().map(|event| event.kind).collect();
    let distinct: BTreeSet<_> = described.iter().copied().collect();
    assert_eq!(distinct, TYPES.iter().copied().collect());
    assert_eq!(described.len(), distinct.len(), "{described:?}");
    for event in EVENTS {
        let is_known = [AT_LEAST_ONCE, AT_MOST_ONCE]
            .iter()
            .any(|word| event.recorded.starts_with(word));
        assert!(is_known, "{}: {}", event.kind, event.recorded);
    }
}

fn format_event(event: &EventRow) -> [String; 4] {
    [
        format!("`{}`", event.kind),
        event.when.to_owned(),
        event.recorded.to_owned(),
        format_data(event),
    ]
}

fn data_fields(kind: &str) -> Vec<SchemaField> {
    let document = openapi_document();
    let reference = &document["components"]["schemas"]["Event"]["discriminator"]["mapping"][kind];
    let envelope = list_fields(&serde_json::json!({"$ref": reference}));
    let data = envelope
        .into_iter()
        .find(|field| field.name == "data")
        .unwrap_or_else(|| panic!("{kind} has no data in the OpenAPI document"));
    list_fields(&data.schema)
}

fn content_fields() -> BTreeSet<String> {
    let inbound = SHARED[1].1;
    let fields = data_fields("message.received").into_iter();
    fields
        .map(|field| field.name)
        .filter(|name| !inbound.contains(&name.as_str()))
        .collect()
}

/// Returns the fields of an event's `data`, with shared ones by their name.
fn format_data(event: &EventRow) -> String {
    let mut fields = data_fields(event.kind);
    let mut cells = Vec::new();
    for (shared, names) in SHARED {
        if contains_all(&fields, names.iter().copied()) {
            fields.retain(|field| !names.contains(&field.name.as_str()));
            cells.push(format!("*{shared}*"));
        }
    }
    let content = content_fields();
    if contains_all(&fields, content.iter().map(String::as_str)) {
        fields.retain(|field| !content.contains(&field.name));
        cells.push("*content*".to_owned());
    }
    for (name, note) in event.notes {
        let field = fields.iter().find(|field| field.name == *name);
        let field = field.unwrap_or_else(|| panic!("{} has no field {name}", event.kind));
        for word in field.words() {
            assert!(
                note.contains(&format!("`{word}`")),
                "{}.{name} can be {word}, too",
                event.kind
            );
        }
    }
    cells.extend(fields.iter().map(|field| {
        let note = event.notes.iter().find(|(name, _)| *name == field.name);
        field.format(note.map(|(_, note)| *note))
    }));
    cells.join(", ") + event.remark
}

fn contains_all<'a>(fields: &[SchemaField], mut names: impl Iterator<Item = &'a str>) -> bool {
    names.all(|name| fields.iter().any(|field| field.name == name))
}

fn format_shared_fields() -> String {
    let row = |name: &str, fields: String| [name.to_owned(), fields];
    let pick = |kind: &str, names: &[&str], notes: &[(&str, &str)]| {
        let fields = data_fields(kind);
        let cells = names.iter().map(|name| {
            let field = fields.iter().find(|field| field.name == *name);
            let field = field.unwrap_or_else(|| panic!("{kind} has no field {name}"));
            let note = notes.iter().find(|(noted, _)| noted == name);
            field.format(note.map(|(_, note)| *note))
        });
        cells.collect::<Vec<_>>().join(", ")
    };
    let component = |name: &str| {
        let fields = list_fields(&openapi_document()["components"]["schemas"][name]);
        let cells: Vec<_> = fields.iter().map(|field| field.format(None)).collect();
        cells.join(", ")
    };
    let inbound = [
        ("timestamp", "WhatsApp's"),
        (
            "offline",
            "it waited at WhatsApp while the session was away",
        ),
    ];
    let rows = [
        row("*inbound*", pick("message.received", SHARED[1].1, &inbound)),
        row(
            "*content*",
            format!(
                "`type` and the object of that name, {}; see [message kinds](message-kinds.md)",
                pick("message.received", &CONTENT_OPTIONS, &[])
            ),
        ),
        row(
            "*change*",
            "*inbound* of the change itself, and `message_id`, the changed message".to_owned(),
        ),
        row(
            "*update*",
            pick(
                "message.sent",
                SHARED[2].1,
                &[("error", "`code`, `detail`")],
            ),
        ),
        row("*group*", pick("group.updated", SHARED[3].1, &[])),
        row("person", component("Person")),
        row("account", component("Account")),
    ];
    format_table(["Name below", "Fields"], rows)
}
