//! Fields of a form from the description of a route, and the request from its values. Pure.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::operations::TrialOperation;
use crate::http::MESSAGE_KINDS;
use crate::http::dashboard::documents::{list_at, text_at};
use crate::http::error::FieldError;
use crate::http::openapi::openapi_document;

/// Objects inside of objects that have fields of their own; deeper ones are JSON.
const DEEPEST: usize = 3;

/// The place of a value in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldPlace {
    Path,
    Query,
    Header,
    Body,
}

/// The way in which people write a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldKind {
    Text,
    Number,
    Flag,
    /// One of these words.
    Choice(Vec<String>),
    /// Texts, one a line.
    Lines,
    Json,
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialField {
    pub place: FieldPlace,
    /// Names from the outside in; more than one in bodies only.
    pub path: Vec<String>,
    pub kind: FieldKind,
    pub required: bool,
    pub description: String,
    /// As it is in the form.
    pub value: String,
}

impl TrialField {
    /// Returns the name of the field in its form.
    pub fn name(&self) -> String {
        let place = match self.place {
            FieldPlace::Path => "path",
            FieldPlace::Query => "query",
            FieldPlace::Header => "header",
            FieldPlace::Body => "body",
        };
        format!("{place}:{}", self.path.join("/"))
    }

    /// Returns the name as people read it.
    pub fn label(&self) -> String {
        self.path.join(".")
    }
}

/// A request as it leaves the form.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialRequest {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Value>,
}

/// Returns the fields for a route. Of the kinds of a message, only one has fields; its example fills
/// them.
pub fn make_fields(operation: &TrialOperation, kind: Option<&str>) -> Vec<TrialField> {
    let mut fields: Vec<_> = list_at(operation.description, "parameters")
        .iter()
        .filter_map(parameter_field)
        .collect();
    let Some(schema) = operation.body_schema() else {
        return fields;
    };
    let example = operation
        .examples()
        .find(|(name, ..)| Some(*name) == kind)
        .map(|(.., value)| value);
    let is_message = operation.examples().next().is_some();
    let is_wanted = |name: &str| {
        !is_message
            || (name != "type" && !MESSAGE_KINDS.contains(&name))
            || example.is_some_and(|example| example.get(name).is_some())
    };
    let empty = Value::Null;
    let example = example.unwrap_or(&empty);
    for (name, member) in resolve(schema)["properties"]
        .as_object()
        .into_iter()
        .flatten()
    {
        if is_wanted(name) {
            let required = requires(schema, name);
            let path = vec![name.clone()];
            add_body_fields(&mut fields, path, member, required, &example[name]);
        }
    }
    fields
}

fn parameter_field(parameter: &Value) -> Option<TrialField> {
    let place = match text_at(parameter, "in") {
        "path" => FieldPlace::Path,
        "query" => FieldPlace::Query,
        "header" => FieldPlace::Header,
        _ => return None,
    };
    Some(TrialField {
        place,
        path: vec![text_at(parameter, "name").to_owned()],
        // Parts of a path are texts, however they are described.
        kind: match place {
            FieldPlace::Path => FieldKind::Text,
            _ => kind_of(resolve(&parameter["schema"])),
        },
        required: parameter["required"] == true,
        description: text_at(parameter, "description").to_owned(),
        value: String::new(),
    })
}

fn add_body_fields(
    fields: &mut Vec<TrialField>,
    path: Vec<String>,
    schema: &Value,
    required: bool,
    example: &Value,
) {
    let description = text_at(schema, "description");
    let schema = resolve(schema);
    if let Some(properties) = schema["properties"].as_object()
        && path.len() < DEEPEST
    {
        for (name, member) in properties {
            let mut inner = path.clone();
            inner.push(name.clone());
            let is_required = required && requires(schema, name);
            add_body_fields(fields, inner, member, is_required, &example[name]);
        }
        return;
    }
    let kind = kind_of(schema);
    let description = if description.is_empty() {
        text_at(schema, "description")
    } else {
        description
    };
    fields.push(TrialField {
        place: FieldPlace::Body,
        path,
        required,
        description: description.to_owned(),
        value: write_value(&kind, example),
        kind,
    });
}

fn requires(schema: &Value, name: &str) -> bool {
    list_at(resolve(schema), "required")
        .iter()
        .any(|required| required == name)
}

/// Follows references, and looks through `null`.
fn resolve(schema: &Value) -> &Value {
    let named = schema["$ref"].as_str();
    if let Some(name) = named.and_then(|name| name.strip_prefix('#')) {
        return openapi_document().pointer(name).map_or(schema, resolve);
    }
    let mut others = list_at(schema, "anyOf")
        .iter()
        .filter(|one| one["type"] != "null");
    match (others.next(), others.next()) {
        (Some(one), None) => resolve(one),
        _ => schema,
    }
}

fn kind_of(schema: &Value) -> FieldKind {
    let words = list_at(schema, "enum");
    let words: Vec<_> = words
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let type_name = schema["type"].as_str().or_else(|| {
        let names = schema["type"].as_array()?;
        names
            .iter()
            .filter_map(Value::as_str)
            .find(|name| *name != "null")
    });
    match type_name {
        Some("string") if !words.is_empty() => FieldKind::Choice(words),
        Some("string") => FieldKind::Text,
        Some("integer" | "number") => FieldKind::Number,
        Some("boolean") => FieldKind::Flag,
        Some("array") if resolve(&schema["items"])["type"] == "string" => FieldKind::Lines,
        _ => FieldKind::Json,
    }
}

/// Writes the value of an example as its field has it.
fn write_value(kind: &FieldKind, value: &Value) -> String {
    match (kind, value) {
        (_, Value::Null) => String::new(),
        (FieldKind::Lines, Value::Array(lines)) => {
            let lines = lines.iter().filter_map(Value::as_str);
            lines.collect::<Vec<_>>().join("\n")
        }
        (FieldKind::Json, value) => serde_json::to_string_pretty(value).unwrap_or_default(),
        (_, Value::String(text)) => text.clone(),
        (_, value) => value.to_string(),
    }
}

fn refuse(field: &TrialField, detail: &str) -> FieldError {
    FieldError {
        field: field.label().into(),
        detail: detail.to_owned(),
    }
}

/// Returns the value of a field as the request has it; `None` where it was left out.
fn read_value(field: &TrialField) -> Result<Option<Value>, FieldError> {
    let text = field.value.as_str();
    if text.trim().is_empty() {
        return Ok(None);
    }
    let wrong = |detail| refuse(field, detail);
    Ok(Some(match field.kind {
        FieldKind::Text | FieldKind::Choice(_) => json!(text),
        FieldKind::Number => serde_json::from_str::<serde_json::Number>(text.trim())
            .map(Value::Number)
            .map_err(|_| wrong("is not a number"))?,
        FieldKind::Flag => json!(text == "true"),
        FieldKind::Lines => {
            let lines = text.lines().map(str::trim_end);
            json!(lines.filter(|line| !line.is_empty()).collect::<Vec<_>>())
        }
        FieldKind::Json => serde_json::from_str(text).map_err(|_| wrong("is not JSON"))?,
    }))
}

/// Returns the request of a form that was filled in.
pub fn build_request(
    operation: &TrialOperation,
    fields: &[TrialField],
) -> Result<TrialRequest, FieldError> {
    let mut target = operation.path.to_owned();
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let (mut headers, mut body) = (Vec::new(), Map::new());
    let mut is_empty = true;
    for field in fields {
        let value = read_value(field)?;
        let text = field.value.trim();
        match (field.place, value) {
            (FieldPlace::Path, None) => {
                return Err(refuse(field, "is missing"));
            }
            (FieldPlace::Path, Some(_)) => {
                let encoded = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
                target = target.replace(&format!("{{{}}}", field.label()), &encoded);
            }
            (FieldPlace::Query, Some(_)) => {
                query.append_pair(&field.label(), text);
                is_empty = false;
            }
            (FieldPlace::Header, Some(_)) => headers.push((field.label(), text.to_owned())),
            (FieldPlace::Body, Some(value)) => insert(&mut body, &field.path, value),
            (FieldPlace::Query | FieldPlace::Header | FieldPlace::Body, None) => {}
        }
    }
    if !is_empty {
        target = format!("{target}?{}", query.finish());
    }
    let has_body = operation.needs_body() || !body.is_empty();
    Ok(TrialRequest {
        method: operation.method.clone(),
        target,
        headers,
        body: has_body.then_some(Value::Object(body)),
    })
}

fn insert(object: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [name] => {
            object.insert(name.clone(), value);
        }
        [name, rest @ ..] => {
            let inner = object.entry(name.clone()).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// Writes a request as a command of the shell; address and key stay names.
pub fn write_curl(request: &TrialRequest) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let mut lines = vec![
        format!("curl -X {} \"$WAPI{}\"", request.method, request.target),
        "-H \"Authorization: Bearer $WAPI_API_KEY\"".to_owned(),
    ];
    for (name, value) in &request.headers {
        lines.push(format!("-H {}", quote(&format!("{name}: {value}"))));
    }
    if let Some(body) = &request.body {
        lines.push("-H 'Content-Type: application/json'".to_owned());
        lines.push(format!("-d {}", quote(&body.to_string())));
    }
    lines.join(" \\\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::access::api_keys::Caller;
    use crate::http::dashboard::pages::try_it::operations::list_operations;

    fn operation(id: &str) -> TrialOperation {
        let all = list_operations(&Caller::without_key());
        all.into_iter().find(|it| it.id == id).expect("a route")
    }

    #[test]
    fn the_example_of_every_kind_comes_through_its_form_unchanged() {
        let operation = operation("sendMessage");
        assert!(operation.examples().count() > 15);
        for (kind, _, example) in operation.examples() {
            let mut fields = make_fields(&operation, Some(kind));
            let session = fields.iter_mut().find(|it| it.name() == "path:session");
            session.unwrap().value = "a/b".to_owned();
            let request = build_request(&operation, &fields).unwrap();
            assert_eq!(request.target, "/v1/sessions/a%2Fb/messages");
            let mut expected = example.clone();
            let mut body = request.body.unwrap();
            // An object without members has no field.
            if kind == "phone_number_request" {
                let fields = body.as_object_mut().unwrap();
                fields.entry(kind).or_insert(json!({}));
            }
            // Whole numbers are the same with and without a decimal point.
            for value in [&mut expected, &mut body] {
                *value = serde_json::from_str(&value.to_string().replace(".0,", ",")).unwrap();
            }
            assert_eq!(body, expected, "{kind}");
        }
    }

    #[test]
    fn a_command_of_the_shell_has_no_key_and_no_open_quote() {
        let request = TrialRequest {
            method: "POST".to_owned(),
            target: "/v1/sessions/shop/messages".to_owned(),
            headers: vec![("Idempotency-Key".to_owned(), "k'1".to_owned())],
            body: Some(json!({"text": {"body": "it's"}})),
        };
        let expected = [
            r#"curl -X POST "$WAPI/v1/sessions/shop/messages""#,
            r#"-H "Authorization: Bearer $WAPI_API_KEY""#,
            r"-H 'Idempotency-Key: k'\''1'",
            "-H 'Content-Type: application/json'",
            r#"-d '{"text":{"body":"it'\''s"}}'"#,
        ];
        assert_eq!(write_curl(&request), expected.join(" \\\n  "));
    }

    #[test]
    fn a_field_that_is_not_as_described_is_named() {
        let operation = operation("listChats");
        let mut fields = make_fields(&operation, None);
        let refused = build_request(&operation, &fields).unwrap_err();
        assert_eq!(refused.field, "session");
        for field in &mut fields {
            field.value = "x".to_owned();
        }
        let refused = build_request(&operation, &fields).unwrap_err();
        assert_eq!(refused.field, "limit");
    }
}
