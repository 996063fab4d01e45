//! Schemas of the types that answers and events are made of, in the style of the document. Pure.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::schema::{schema_reference, text, time_output, with_description, with_keyword};
use crate::model::event;

/// Types that are objects of the document themselves; all others stand where they are used.
const COMPONENTS: [&str; 2] = ["Account", "Person"];

const TAG_DESCRIPTION: &str =
    "The name of the object that has the content; for `unsupported` it is `raw`.";

/// Returns the schema of a type as it is written. Later versions may add members to it.
pub fn type_schema<T: JsonSchema>() -> Value {
    let mut generator = new_generator();
    let schema = T::json_schema(&mut generator);
    in_our_style(schema.to_value(), &generator.take_definitions(false))
}

/// Returns the schema of an answer, which has exactly the members of this type.
pub fn answer_schema<T: JsonSchema>() -> Value {
    let mut schema = type_schema::<T>();
    close_people(&mut schema);
    with_keyword(schema, "additionalProperties", json!(false))
}

/// Returns the schema of each event's `data`, by the event's type.
pub fn payload_schemas() -> Vec<(&'static str, Value)> {
    let mut generator = new_generator();
    let payloads = event::payload_schemas(&mut generator);
    let definitions = generator.take_definitions(false);
    payloads
        .into_iter()
        .map(|(kind, schema)| (kind, in_our_style(schema.to_value(), &definitions)))
        .collect()
}

/// Adds members, as in [`super::schema::object`], to the schema of a type.
pub fn with_members(mut schema: Value, members: &[(&str, Value)]) -> Value {
    for (name, member) in members {
        let required = schema["required"]
            .as_array_mut()
            .expect("an object has a list of them");
        let plain = name.trim_end_matches('?');
        required.retain(|it| it != plain);
        if plain == *name {
            required.push(plain.into());
        }
        schema["properties"][plain] = member.clone();
    }
    schema
}

fn new_generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
}

/// Replaces people, to whom events may add members, by those of answers.
fn close_people(schema: &mut Value) {
    if schema["$ref"] == schema_reference("Person")["$ref"] {
        schema["$ref"] = schema_reference("Contact")["$ref"].take();
    }
    match schema {
        Value::Object(members) => members.values_mut().for_each(close_people),
        Value::Array(items) => items.iter_mut().for_each(close_people),
        _ => {}
    }
}

/// Rewrites a derived schema: definitions stand where they are used, `null` is a choice of its own,
/// and the variants of a message are optional members of one object.
fn in_our_style(schema: Value, definitions: &Map<String, Value>) -> Value {
    let Value::Object(mut schema) = schema else {
        return json!({});
    };
    for noise in ["$schema", "title", "default"] {
        schema.remove(noise);
    }
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if let Some(name) = referenced_name(&schema) {
        return if COMPONENTS.contains(&name.as_str()) {
            schema.insert("$ref".into(), schema_reference(&name)["$ref"].take());
            Value::Object(schema)
        } else {
            let definition = definitions.get(&name).cloned().unwrap_or_default();
            let mut written = in_our_style(definition, definitions);
            // The words at the place of use are about it, too.
            if let Some(description) = schema.remove("description") {
                written["description"] = description;
            }
            written
        };
    }
    let schema = rewrite_parts(schema, definitions);
    let schema = if schema.contains_key("oneOf") {
        merge_variants(schema)
    } else {
        schema
    };
    separate_null(rewrite_keywords(schema))
}

fn referenced_name(schema: &Map<String, Value>) -> Option<String> {
    let address = schema.get("$ref")?.as_str()?;
    address.rsplit('/').next().map(str::to_owned)
}

fn rewrite_parts(
    mut schema: Map<String, Value>,
    definitions: &Map<String, Value>,
) -> Map<String, Value> {
    let required = schema.get("required").cloned().unwrap_or_default();
    if let Some(Value::Object(members)) = schema.get_mut("properties") {
        for (name, member) in members {
            let written = in_our_style(member.take(), definitions);
            let is_required = required
                .as_array()
                .is_some_and(|names| names.iter().any(|it| it == name));
            // What is left out is never `null` besides, unless the type says so.
            *member = if is_required {
                written
            } else {
                without_null(written)
            };
        }
        schema.entry("required").or_insert_with(|| json!([]));
    }
    if let Some(items) = schema.get_mut("items") {
        *items = in_our_style(items.take(), definitions);
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(choices)) = schema.get_mut(key) {
            for choice in choices {
                *choice = in_our_style(choice.take(), definitions);
            }
        }
    }
    schema
}

fn rewrite_keywords(mut schema: Map<String, Value>) -> Map<String, Value> {
    if let Some(word) = schema.remove("const") {
        schema.insert("enum".into(), json!([word]));
    }
    if schema.get("additionalProperties") == Some(&Value::Bool(true)) {
        schema.remove("additionalProperties");
    }
    let form = schema.get("format").and_then(Value::as_str);
    if form == Some("date-time") {
        // All times are written by one function.
        schema.insert("pattern".into(), time_output()["pattern"].take());
    } else if form.is_some() {
        // The width of numbers is ours to know.
        schema.remove("format");
    }
    schema
}

/// Turns `["string", "null"]` into a choice of two.
fn separate_null(mut schema: Map<String, Value>) -> Value {
    let Some(Value::Array(kinds)) = schema.get("type") else {
        return Value::Object(schema);
    };
    let kind = kinds.iter().find(|kind| **kind != "null").cloned();
    let description = schema.remove("description");
    let nullable = schema.remove("nullable");
    schema.insert("type".into(), kind.unwrap_or_default());
    let mut choice = json!({"anyOf": [schema, {"type": "null"}]});
    for (key, value) in [("description", description), ("nullable", nullable)] {
        if let Some(value) = value {
            choice[key] = value;
        }
    }
    choice
}

/// Takes `null` from the choices of a member that is left out instead.
fn without_null(mut schema: Value) -> Value {
    let Some(members) = schema.as_object_mut() else {
        return schema;
    };
    if members.remove("nullable").is_some() {
        return schema;
    }
    let is_null = |choice: &Value| choice["type"] == "null";
    let Some(Value::Array(choices)) = members.get_mut("anyOf") else {
        return schema;
    };
    choices.retain(|choice| !is_null(choice));
    let [choice] = &mut choices[..] else {
        return schema;
    };
    let mut choice = choice.take();
    if let Some(description) = members.remove("description") {
        choice["description"] = description;
    }
    choice
}

/// Merges variants: words into one list, objects into one whose members may be left out. Programs
/// that are generated from the document make little of dozens of alternatives.
fn merge_variants(mut schema: Map<String, Value>) -> Map<String, Value> {
    let variants = match schema.remove("oneOf") {
        Some(Value::Array(variants)) => variants,
        _ => return schema,
    };
    if variants.iter().all(|variant| variant["enum"].is_array()) {
        return merge_words(schema, &variants);
    }
    let mut members = match schema.remove("properties") {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let mut required = match schema.remove("required") {
        Some(Value::Array(names)) => names,
        _ => Vec::new(),
    };
    for variant in variants {
        let of_variant = variant["properties"].as_object().cloned();
        for (name, mut member) in of_variant.unwrap_or_default() {
            let words = member["enum"].as_array();
            if words.is_some_and(|words| words.len() == 1) {
                // The tag: it names the member that the variant has.
                member = with_description(text(), TAG_DESCRIPTION);
                required.push(name.clone().into());
            } else {
                let described = [&variant, &member].map(|it| it["description"].as_str());
                let described: Vec<_> = described.into_iter().flatten().collect();
                if !described.is_empty() {
                    member["description"] = described.join(" ").into();
                }
            }
            members.insert(name, member);
        }
    }
    required.dedup();
    schema.insert("type".into(), json!("object"));
    schema.insert("properties".into(), members.into());
    schema.insert("required".into(), required.into());
    schema
}

/// Merges the words of an enum, and what is said of each.
fn merge_words(mut schema: Map<String, Value>, variants: &[Value]) -> Map<String, Value> {
    let mut words = Vec::new();
    let mut said: Vec<String> = Vec::new();
    for variant in variants {
        let of_variant = variant["enum"].as_array().cloned().unwrap_or_default();
        if let (Some(description), [Value::String(word)]) =
            (variant["description"].as_str(), &of_variant[..])
        {
            said.push(format!("`{word}`: {description}"));
        }
        words.extend(of_variant);
    }
    let own = schema.get("description").and_then(Value::as_str);
    let described: Vec<_> = own.map(str::to_owned).into_iter().chain(said).collect();
    if !described.is_empty() {
        schema.insert("description".into(), described.join(" ").into());
    }
    schema.insert("type".into(), json!("string"));
    schema.insert("enum".into(), words.into());
    schema
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde::Serialize;

    use crate::http::openapi::schema::{boolean, object, open_object, or_null, string_enum};
    use crate::http::openapi::type_schemas::*;
    use crate::model::event::Person;

    #[derive(Serialize, JsonSchema)]
    struct Parcel {
        from: Option<Person>,
        at: Option<Timestamp>,
        #[serde(skip_serializing_if = "Option::is_none")]
        weight: Option<u32>,
        state: ParcelState,
        #[serde(flatten)]
        content: ParcelContent,
    }

    #[derive(Serialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    #[expect(dead_code, reason = "it is only described")]
    enum ParcelState {
        /// On its way.
        Sent,
        Lost,
    }

    #[derive(Serialize, JsonSchema)]
    #[serde(tag = "type", rename_all = "snake_case")]
    #[expect(dead_code, reason = "it is only described")]
    enum ParcelContent {
        Book {
            book: ParcelBook,
        },
        /// Nothing that is read.
        Tea {
            tea: bool,
        },
    }

    #[derive(Serialize, JsonSchema)]
    #[schemars(deny_unknown_fields)]
    struct ParcelBook {
        title: String,
    }

    #[test]
    fn a_type_is_described_in_the_style_of_the_document() {
        let mut described = type_schema::<Parcel>();
        let required = described["required"].as_array_mut().unwrap();
        required.sort_by_key(Value::to_string);
        let expected = open_object(&[
            ("at", or_null(time_output())),
            ("book?", object(&[("title", text())])),
            ("from", or_null(schema_reference("Person"))),
            (
                "state",
                with_description(string_enum(&["lost", "sent"]), "`sent`: On its way."),
            ),
            ("tea?", with_description(boolean(), "Nothing that is read.")),
            ("type", with_description(text(), TAG_DESCRIPTION)),
            ("weight?", super::super::schema::count()),
        ]);
        assert_eq!(described, expected);
    }

    #[test]
    fn people_in_answers_are_those_of_answers() {
        let described = answer_schema::<Parcel>();
        assert_eq!(
            described["properties"]["from"],
            or_null(schema_reference("Contact"))
        );
        assert_eq!(described["additionalProperties"], false);
    }
}
