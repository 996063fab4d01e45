//! The kinds of messages: `docs/reference/message-kinds.md`. Its list of kinds is generated, its
//! tables of fields and its examples are written by hand and held against the OpenAPI document.

use std::collections::BTreeSet;

use serde_json::Value;
use wapi::model::event::TYPES;
use wapi::{MESSAGE_KINDS, openapi_document};

use super::check_generated_file;
use super::markdown::{PageSection, fill_page, format_table, list_page_sections, make_anchor};
use super::schema::{SchemaField, list_fields};

/// A kind, its heading on the page, and the event that reports one from another person.
struct KindRow(&'static str, &'static str, &'static str);

const FILES: &str = "Image, video, audio, document, sticker";
const RECEIVED_ONLY: &str = "Received only";

const KINDS: [KindRow; 22] = [
    KindRow("text", "Text", "message.received"),
    KindRow("image", FILES, "message.received"),
    KindRow("video", FILES, "message.received"),
    KindRow("audio", FILES, "message.received"),
    KindRow("document", FILES, "message.received"),
    KindRow("sticker", FILES, "message.received"),
    KindRow("album", "Album", "message.received"),
    KindRow("location", "Location", "message.received"),
    KindRow("live_location", "Live location", "message.received"),
    KindRow("contacts", "Contacts", "message.received"),
    KindRow("poll", "Poll", "message.received"),
    KindRow("event", "Event", "message.received"),
    KindRow("group_invite", "Group invite", "message.received"),
    KindRow("newsletter_invite", "Newsletter invite", "message.received"),
    KindRow(
        "phone_number_request",
        "Phone number request",
        "message.received",
    ),
    KindRow("interactive", "Interactive", "message.received"),
    KindRow("product", "Product", "message.received"),
    KindRow("reaction", "Reaction", "message.reaction"),
    KindRow("poll_vote", "Poll vote", "poll.vote"),
    KindRow("event_response", "Event response", "event.response"),
    KindRow("order", RECEIVED_ONLY, "message.received"),
    KindRow("unsupported", RECEIVED_ONLY, "message.received"),
];

/// Fields of which one must be there; the document calls each optional.
const ALTERNATIVES: [&str; 4] = ["link", "id", "phones", "vcard"];

#[test]
fn the_list_of_kinds_is_up_to_date() {
    check_generated_file("docs/reference/message-kinds.md", |page| {
        let row = |KindRow(kind, heading, event): &KindRow| {
            assert!(TYPES.contains(event), "{event} is no event");
            let is_sent = MESSAGE_KINDS.contains(kind);
            [
                format!("[`{kind}`](#{})", make_anchor(heading)),
                if is_sent { "yes" } else { "no" }.to_owned(),
                format!("`{event}`"),
            ]
        };
        let table = format_table(
            ["`type`", "Can be sent", "Arrives as"],
            KINDS.iter().map(row),
        );
        fill_page(page, &[("Kinds", table)])
    });
    let listed: BTreeSet<_> = KINDS.iter().map(|KindRow(kind, ..)| *kind).collect();
    for kind in MESSAGE_KINDS {
        assert!(listed.contains(kind), "{kind} is not listed");
    }
}

#[test]
fn the_tables_name_the_fields_of_the_document() {
    let page = read_page();
    let sections = list_page_sections(&page);
    let request = list_fields(&request_content()["schema"]);
    let (kinds, options): (Vec<_>, Vec<_>) = request
        .into_iter()
        .partition(|field| MESSAGE_KINDS.contains(&field.name.as_str()));
    check_fields(&sections[0], options);
    for section in &sections[1..] {
        let mut fields: Vec<SchemaField> = Vec::new();
        for KindRow(kind, heading, _) in &KINDS {
            let Some(field) = kinds.iter().find(|field| field.name == *kind) else {
                continue;
            };
            if *heading == section.heading {
                let (schema, _) = field.value();
                let item = &schema["items"];
                let schema = if item.is_object() { item } else { &schema };
                fields.extend(list_fields(schema));
            }
        }
        if section.text.contains("| Field |") {
            check_fields(section, fields);
        }
    }
    let interactive = sections.iter().find(|it| it.heading == "Interactive");
    let object = kinds.iter().find(|it| it.name == "interactive");
    let (schema, _) = object.expect("the kind is there").value();
    let kind = list_fields(&schema)
        .into_iter()
        .find(|it| it.name == "type");
    let words = kind.expect("it has a type").words();
    let rows = interactive
        .expect("the section is there")
        .first_cells("`type`");
    assert_eq!(
        rows,
        words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
    );
}

/// The table names each field, and marks as optional those that may be left out.
fn check_fields(section: &PageSection, fields: Vec<SchemaField>) {
    let heading = section.heading;
    let mut named = BTreeSet::new();
    for cell in section.first_cells("Field") {
        for word in cell.split(", ").flat_map(|part| part.split(" or ")) {
            let name = word.trim_end_matches('?').trim_matches('`');
            let name = name.rsplit('.').next().unwrap_or(name);
            let field = fields.iter().find(|field| field.name == name);
            let field = field.unwrap_or_else(|| panic!("{heading}: the document has no {name}"));
            let may_be_unmarked = section.is_first || ALTERNATIVES.contains(&name);
            assert!(
                word.ends_with('?') != field.is_required || may_be_unmarked,
                "{heading}: {word}"
            );
            named.insert(name.to_owned());
        }
    }
    let known: BTreeSet<_> = fields.into_iter().map(|field| field.name).collect();
    assert_eq!(named, known, "{heading}");
}

#[test]
fn the_examples_are_those_of_the_document() {
    let examples: Vec<_> = request_content()["examples"]
        .as_object()
        .expect("there are examples")
        .values()
        .map(|example| example["value"].clone())
        .collect();
    let page = read_page();
    let blocks = page.split("```json\n").skip(1);
    let shown: Vec<Value> = blocks
        .filter_map(|rest| rest.split("```").next())
        .map(|block| serde_json::from_str(block).unwrap_or_else(|error| panic!("{error}: {block}")))
        .collect();
    for example in &shown {
        assert!(examples.contains(example), "only on the page: {example}");
    }
    for example in &examples {
        assert!(shown.contains(example), "not on the page: {example}");
    }
}

fn request_content() -> &'static Value {
    let route = &openapi_document()["paths"]["/v1/sessions/{session}/messages"]["post"];
    &route["requestBody"]["content"]["application/json"]
}

fn read_page() -> String {
    let page = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/message-kinds.md"
    );
    std::fs::read_to_string(page).unwrap_or_else(|error| panic!("{page}: {error}"))
}
