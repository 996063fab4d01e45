//! Event schemas: the `data` of each type of event. Pure.

use serde_json::{Value, json};

use super::schema::{
    open_object, schema_reference, string_enum, time_output, with_description, with_keyword,
};
use super::type_schemas::{payload_schemas, type_schema};
use crate::model::event::{Person, TYPES};

/// Returns the schemas of all events by name, and `Event`, which is one of them.
pub fn event_schemas() -> Vec<(String, Value)> {
    let mut schemas: Vec<_> = payload_schemas()
        .into_iter()
        .map(|(kind, data)| (schema_name(kind), envelope_schema(kind, data)))
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
        with_description(event, "An event, in the envelope of Standard Webhooks."),
    ));
    schemas.push(("Person".to_owned(), type_schema::<Person>()));
    schemas
}

/// Turns `message.received` into `MessageReceivedEvent`.
fn schema_name(kind: &str) -> String {
    let words = kind
        .split(['.', '_'])
        .map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect::<String>() + "Event"
}

fn envelope_schema(kind: &str, data: Value) -> Value {
    let envelope = open_object(&[
        ("type", string_enum(&[kind])),
        (
            "timestamp",
            with_description(time_output(), "The time at which the gateway received it."),
        ),
        ("data", data),
    ]);
    with_keyword(envelope, "title", kind.into())
}
