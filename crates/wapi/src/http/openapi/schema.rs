//! Schema builders: JSON Schema 2020-12, as in OpenAPI 3.1. Pure.

use serde_json::{Map, Value, json};

pub fn text() -> Value {
    json!({"type": "string"})
}

pub fn with_description(schema: Value, description: &str) -> Value {
    with_keyword(schema, "description", json!(description))
}

/// A text of a known format, such as `date-time`.
pub fn text_format(name: &str) -> Value {
    json!({"type": "string", "format": name})
}

/// A time as callers may write it.
pub fn time_input() -> Value {
    text_format("date-time")
}

/// A time as [`crate::model::timestamp`] writes it.
pub fn time_output() -> Value {
    with_keyword(
        text_format("date-time"),
        "pattern",
        json!(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"),
    )
}

pub fn string_enum(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

/// The SHA-256 hash of a file, in hexadecimal.
pub fn sha256(what: &str) -> Value {
    with_description(
        json!({"type": "string", "pattern": "^[0-9A-Fa-f]{64}$"}),
        what,
    )
}

pub fn boolean() -> Value {
    json!({"type": "boolean"})
}

pub fn number(min: i64, max: i64) -> Value {
    json!({"type": "integer", "minimum": min, "maximum": max})
}

/// A number that need not be whole.
pub fn decimal(min: i64, max: i64) -> Value {
    json!({"type": "number", "minimum": min, "maximum": max})
}

/// A whole number that is not negative.
pub fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

pub fn list_of(of: Value) -> Value {
    json!({"type": "array", "items": of})
}

/// A list with at least one item.
pub fn non_empty_list(of: Value) -> Value {
    json!({"type": "array", "items": of, "minItems": 1})
}

/// Any object.
pub fn any_object() -> Value {
    json!({"type": "object"})
}

pub fn or_null(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

pub fn schema_reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// An object with exactly these members. A question mark after a name marks it as optional.
pub fn object(members: &[(&str, Value)]) -> Value {
    with_keyword(open_object(members), "additionalProperties", json!(false))
}

/// The same, but other members are allowed.
pub fn open_object(members: &[(&str, Value)]) -> Value {
    let name = |name: &str| name.trim_end_matches('?').to_owned();
    let properties: Map<_, _> = members
        .iter()
        .map(|(member, schema)| (name(member), schema.clone()))
        .collect();
    let required: Vec<_> = members
        .iter()
        .filter(|(member, _)| !member.ends_with('?'))
        .map(|(member, _)| *member)
        .collect();
    json!({"type": "object", "properties": properties, "required": required})
}

pub fn with_keyword(mut schema: Value, key: &str, value: Value) -> Value {
    schema[key] = value;
    schema
}
