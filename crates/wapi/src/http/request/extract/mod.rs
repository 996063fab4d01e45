//! Extraction of parameters from requests, with an error for each wrong field.

mod field_readers;

use std::io::Read;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};

use super::unreadable;
use crate::http::error::{FieldError, Problem};
use crate::model::session_name::SessionName;
use crate::model::suggestions::format_suggestion;

/// Maximum size of a JSON body, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;

/// Up to this many known fields are listed in the error about an unknown one.
const MAX_SUGGESTED: usize = 12;

/// The fields of a JSON object, read one by one. Every mistake is collected, and reported by
/// [`JsonFields::finish`].
///
/// The content type is ignored: callers of the original API did not always set it.
#[derive(Debug)]
pub struct JsonFields {
    fields: Map<String, Value>,
    /// Names of the fields read so far.
    read_names: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl JsonFields {
    fn parse(body: &[u8]) -> Result<Self, Problem> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self::from_map(fields)),
            Ok(other) => Err(Problem::InvalidBody(format!(
                "it is {}, but must be an object: {{…}}",
                json_type_name(&other)
            ))),
            Err(error) => Err(Problem::InvalidBody(unreadable::explain_body(body, &error))),
        }
    }

    /// Reads from these fields.
    pub fn from_map(fields: Map<String, Value>) -> Self {
        Self {
            fields,
            read_names: Vec::new(),
            errors: Vec::new(),
        }
    }

    fn take_field(&mut self, field: &'static str) -> Option<Value> {
        self.read_names.push(field);
        self.fields.remove(field)
    }

    /// Reads a required text that must not be empty.
    pub fn required_text(&mut self, field: &'static str) -> Option<String> {
        match self.optional_text(field) {
            Some(text) if text.trim().is_empty() => self.record_error(field, "is empty"),
            Some(text) => Some(text),
            None if self.errors.iter().any(|error| error.field == field) => None,
            None => self.record_error(field, "is missing"),
        }
    }

    /// Reads a text that may be left out or `null`.
    pub fn optional_text(&mut self, field: &'static str) -> Option<String> {
        match self.take_field(field) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(other) => self.record_error(
                field,
                format!("is {}, but must be a text", json_type_name(&other)),
            ),
        }
    }

    /// Reads and parses a required text.
    pub fn parse_required<T, E: std::fmt::Display>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        // A name of blanks is a name, so the parser decides whether an empty text is valid.
        let text = match self.optional_text(field) {
            Some(text) => text,
            None if self.errors.iter().any(|error| error.field == field) => return None,
            None => return self.record_error(field, "is missing"),
        };
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => self.record_error(field, error.to_string()),
        }
    }

    /// Reads a required list of texts.
    pub fn required_texts(&mut self, field: &'static str) -> Option<Vec<String>> {
        match self.optional_texts(field) {
            Some(texts) => Some(texts),
            None if self.errors.iter().any(|error| error.field == field) => None,
            None => self.record_error(field, "is missing"),
        }
    }

    /// Reads a list of texts that may be left out or `null`.
    pub fn optional_texts(&mut self, field: &'static str) -> Option<Vec<String>> {
        match self.take_field(field) {
            None | Some(Value::Null) => None,
            Some(Value::Array(list)) => {
                let texts: Option<Vec<_>> = list
                    .iter()
                    .map(|value| value.as_str().map(str::to_owned))
                    .collect();
                texts.or_else(|| self.record_error(field, "has an element that is not a text"))
            }
            Some(other) => self.record_error(
                field,
                format!("is {}, but must be a list of texts", json_type_name(&other)),
            ),
        }
    }

    /// Reads an optional boolean.
    pub fn optional_flag(&mut self, field: &'static str) -> Option<bool> {
        match self.take_field(field) {
            None | Some(Value::Null) => None,
            Some(Value::Bool(flag)) => Some(flag),
            Some(other) => self.record_error(
                field,
                format!("is {}, but must be true or false", json_type_name(&other)),
            ),
        }
    }

    /// Whether a field of this name exists, even if it is `null`.
    pub fn has_field(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// Returns the value of a checked field, or records its error.
    pub fn ok_or_record<T>(
        &mut self,
        field: &'static str,
        judgement: Result<T, String>,
    ) -> Option<T> {
        match judgement {
            Ok(value) => Some(value),
            Err(detail) => self.record_error(field, detail),
        }
    }

    /// Whether a field passed its check; records the error if not.
    pub fn check_or_record(&mut self, field: &'static str, judgement: Result<(), String>) -> bool {
        self.ok_or_record(field, judgement).is_some()
    }

    /// Reads an object that may be left out or `null`.
    pub fn optional_object(&mut self, field: &'static str) -> Option<Map<String, Value>> {
        match self.take_field(field) {
            None | Some(Value::Null) => None,
            Some(Value::Object(object)) => Some(object),
            Some(other) => self.record_error(
                field,
                format!("is {}, but must be an object", json_type_name(&other)),
            ),
        }
    }

    /// Reads the fields of a nested object; its errors are reported as `OBJECT.FIELD` once it is
    /// [taken back](Self::absorb_errors).
    pub fn nested_fields(&mut self, field: &'static str) -> Option<Self> {
        self.optional_object(field).map(Self::from_map)
    }

    /// Takes over the errors of a nested object, including unknown fields.
    pub fn absorb_errors(&mut self, field: &str, mut inner: Self) {
        inner.refuse_unknown();
        let errors = inner.errors.into_iter();
        self.errors.extend(errors.map(|error| FieldError {
            field: format!("{field}.{}", error.field).into(),
            ..error
        }));
    }

    /// Reports all fields that were not read. For routes of our own: a misspelt field would
    /// otherwise pass as one that was left out.
    pub fn refuse_unknown(&mut self) {
        for (field, _) in std::mem::take(&mut self.fields) {
            let detail = format!("is not a field here{}", self.suggest_field(&field));
            self.errors.push(FieldError {
                field: field.into(),
                detail,
            });
        }
    }

    /// A suggestion for an unknown field: the nearest known field, or all known ones if they are
    /// few.
    fn suggest_field(&self, field: &str) -> String {
        let mut known = self.read_names.clone();
        known.sort_unstable();
        known.dedup();
        match format_suggestion(field, known.iter().copied()) {
            none if none.is_empty() && (1..=MAX_SUGGESTED).contains(&known.len()) => {
                format!("; there are: {}", known.join(", "))
            }
            suggestion => suggestion,
        }
    }

    fn record_error<T>(&mut self, field: &'static str, detail: impl Into<String>) -> Option<T> {
        self.errors.push(FieldError {
            field: field.into(),
            detail: detail.into(),
        });
        None
    }

    /// Returns the value if there were no errors.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, Problem> {
        match read {
            Some(read) if self.errors.is_empty() => Ok(read),
            _ => Err(Problem::InvalidFields(self.errors)),
        }
    }
}

fn json_type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonFields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Self::parse(&read_body(request, state).await?)
    }
}

/// The fields of a body that may be left out.
#[derive(Debug)]
pub struct OptionalJson(pub JsonFields);

impl<S: Send + Sync> FromRequest<S> for OptionalJson {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match read_body(request, state).await? {
            body if body.is_empty() => Ok(Self(JsonFields::from_map(Map::new()))),
            body => JsonFields::parse(&body).map(Self),
        }
    }
}

async fn read_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let is_gzip = unreadable::is_gzip(request.headers()).map_err(Problem::InvalidBody)?;
    let body = Bytes::from_request(request, state)
        .await
        .map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(error) if is_too_large(&error) => {
                Problem::BodyTooLarge(MAX_BODY)
            }
            rejection => Problem::from_body_error(&rejection),
        })?;
    if !is_gzip {
        return Ok(body);
    }
    let mut unpacked = Vec::new();
    let limit = MAX_BODY as u64 + 1;
    match MultiGzDecoder::new(&body[..])
        .take(limit)
        .read_to_end(&mut unpacked)
    {
        Ok(read) if read > MAX_BODY => Err(Problem::BodyTooLarge(MAX_BODY)),
        Ok(_) => Ok(unpacked.into()),
        Err(_) => Err(Problem::InvalidBody(
            "its Content-Encoding says gzip, but it is not gzip, or incomplete".to_owned(),
        )),
    }
}

fn is_too_large(error: &axum::extract::rejection::FailedToBufferBody) -> bool {
    matches!(
        error,
        axum::extract::rejection::FailedToBufferBody::LengthLimitError(_)
    )
}

/// The detail of a path that is not valid text.
pub const NOT_TEXT: &str = "is not UTF-8 after percent-decoding";

/// The session in a path.
#[derive(Debug)]
pub struct SessionPath(pub SessionName);

impl<S: Send + Sync> FromRequestParts<S> for SessionPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::invalid_field("session", NOT_TEXT);
        let Path(name) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(not_text)?;
        SessionName::parse(&name)
            .map(Self)
            .map_err(|error| Problem::invalid_field("session", error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use crate::http::request::extract::*;

    #[test]
    fn all_wrong_fields_are_named_at_once() {
        let mut fields =
            JsonFields::parse(br#"{"a": 1, "b": " ", "d": null, "unknown": {}}"#).unwrap();
        let read = (
            fields.required_text("a"),
            fields.required_text("b"),
            fields.required_text("c"),
            fields.optional_text("d"),
        );
        assert_eq!(read, (None, None, None, None));
        let Err(Problem::InvalidFields(errors)) = fields.finish(None::<()>) else {
            panic!("nothing was wrong")
        };
        let details: Vec<_> = errors
            .iter()
            .map(|error| format!("{} {}", error.field, error.detail))
            .collect();
        assert_eq!(
            details,
            [
                "a is a number, but must be a text",
                "b is empty",
                "c is missing"
            ]
        );
    }

    #[test]
    fn a_field_that_nobody_knows_comes_with_what_there_is() {
        let details = |body: &str, known: &[&'static str]| {
            let mut fields = JsonFields::parse(body.as_bytes()).unwrap();
            for field in known {
                fields.optional_text(field);
            }
            fields.refuse_unknown();
            let Err(Problem::InvalidFields(errors)) = fields.finish(Some(())) else {
                panic!("nothing was wrong")
            };
            errors[0].detail.clone()
        };
        assert_eq!(
            details(r#"{"Caption": "a"}"#, &["caption", "link"]),
            "is not a field here; did you mean `caption`?"
        );
        assert_eq!(
            details(r#"{"url": "a"}"#, &["link", "id", "id"]),
            "is not a field here; there are: id, link"
        );
        assert_eq!(details(r#"{"url": "a"}"#, &[]), "is not a field here");
    }

    #[test]
    fn a_body_must_be_an_object() {
        for body in ["", "{", "[]", "\"text\"", "null", "\u{feff}{}"] {
            assert!(
                matches!(
                    JsonFields::parse(body.as_bytes()),
                    Err(Problem::InvalidBody(_))
                ),
                "{body:?}"
            );
        }
    }
}
