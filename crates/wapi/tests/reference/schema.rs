//! Fields of the OpenAPI document's schemas, as the reference writes them.

use serde_json::Value;
use wapi::openapi_document;

/// A member of an object.
pub struct SchemaField {
    pub name: String,
    pub schema: Value,
    pub is_required: bool,
}

impl SchemaField {
    /// Returns the schema of its values other than `null`, and whether it can be `null`.
    pub fn value(&self) -> (Value, bool) {
        without_null(&self.schema)
    }

    /// Returns the words that the field can be; none, if it can be anything.
    pub fn words(&self) -> Vec<String> {
        list_words(&self.value().0)
    }

    /// Returns the field with a question mark if it is optional, and with a note: the given one, or
    /// its type as far as that is worth a word.
    pub fn format(&self, note: Option<&str>) -> String {
        let mark = if self.is_required { "" } else { "?" };
        let name = format!("`{}`{mark}", self.name);
        let note = note.map_or_else(|| describe_type(&self.schema), str::to_owned);
        if note.is_empty() {
            name
        } else {
            format!("{name} ({note})")
        }
    }
}

/// Returns the members of an object: required ones as they are listed, then optional ones by name.
pub fn list_fields(schema: &Value) -> Vec<SchemaField> {
    let schema = resolve_reference(schema);
    let mut fields: Vec<SchemaField> = Vec::new();
    let mut add = |field: SchemaField| {
        if !fields.iter().any(|known| known.name == field.name) {
            fields.push(field);
        }
    };
    for part in schema["allOf"].as_array().into_iter().flatten() {
        list_fields(part).into_iter().for_each(&mut add);
    }
    let required: Vec<_> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema["properties"].as_object();
    let mut names: Vec<_> = properties
        .into_iter()
        .flat_map(|properties| properties.keys().map(String::as_str))
        .collect();
    let place = |name: &str| required.iter().position(|other| *other == name);
    names.sort_by_key(|name| (place(name).unwrap_or(usize::MAX), *name));
    for name in names {
        add(SchemaField {
            name: name.to_owned(),
            schema: schema["properties"][name].clone(),
            is_required: place(name).is_some(),
        });
    }
    for choices in ["oneOf", "anyOf"] {
        for choice in schema[choices].as_array().into_iter().flatten() {
            let optional = list_fields(choice).into_iter().map(|field| SchemaField {
                is_required: false,
                ..field
            });
            optional.for_each(&mut add);
        }
    }
    fields
}

fn resolve_reference(schema: &Value) -> Value {
    let Some(reference) = schema["$ref"].as_str() else {
        return schema.clone();
    };
    let pointer = reference.trim_start_matches('#');
    let target = openapi_document().pointer(pointer);
    target
        .unwrap_or_else(|| panic!("{reference} leads nowhere"))
        .clone()
}

/// Returns the schema of the values other than `null`, and whether there is `null`.
fn without_null(schema: &Value) -> (Value, bool) {
    if let Some(choices) = schema["anyOf"].as_array() {
        let others: Vec<_> = choices
            .iter()
            .filter(|choice| choice["type"] != "null")
            .collect();
        if let ([other], true) = (others.as_slice(), others.len() < choices.len()) {
            return ((*other).clone(), true);
        }
    }
    let is_nullable = schema["type"]
        .as_array()
        .is_some_and(|types| types.iter().any(|kind| kind == "null"));
    (schema.clone(), is_nullable)
}

fn list_words(schema: &Value) -> Vec<String> {
    let words = schema["enum"].as_array().into_iter().flatten();
    words.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn describe_type(schema: &Value) -> String {
    let (schema, is_nullable) = without_null(schema);
    let is_list = schema["items"].is_object();
    let item = if is_list { &schema["items"] } else { &schema };
    let words = list_words(item);
    let kind = match item["$ref"].as_str() {
        Some(reference) if reference.ends_with("/Person") => "person".to_owned(),
        Some(reference) if reference.ends_with("/Account") => "account".to_owned(),
        _ => {
            let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            let last = if is_nullable && words.len() > 1 {
                ","
            } else {
                ""
            };
            words.join(", ") + last
        }
    };
    match (kind.as_str(), is_list, is_nullable) {
        ("person", true, _) => "persons".to_owned(),
        ("", _, true) => "or `null`".to_owned(),
        (_, _, true) => format!("{kind} or `null`"),
        (_, _, false) => kind,
    }
}
