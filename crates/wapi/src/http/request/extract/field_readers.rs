//! Field readers for the message routes.

use serde_json::Value;

use super::{FieldError, JsonFields, json_type_name};

impl JsonFields {
    /// Returns the remaining fields as JSON text: the same for the same fields.
    pub fn canonical_json(&self) -> String {
        serde_json::to_string(&self.fields).expect("JSON that was read can be written")
    }

    /// Whether a field of this name exists and is not `null`.
    pub fn has_value(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|value| !value.is_null())
    }

    /// Takes a field if it is exactly this text.
    pub fn is_text(&mut self, field: &'static str, text: &str) -> bool {
        let is_text = self.fields.get(field).and_then(Value::as_str) == Some(text);
        is_text && self.take_field(field).is_some()
    }

    /// Reads a boolean; false if it is left out.
    pub fn flag_or_false(&mut self, field: &'static str) -> bool {
        match self.take_field(field) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => flag,
            Some(other) => {
                self.refuse_field(
                    field,
                    format!("is {}, but must be true or false", json_type_name(&other)),
                );
                false
            }
        }
    }

    /// Reads an optional whole number.
    pub fn optional_number(
        &mut self,
        field: &'static str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        let value = self.take_field(field).filter(|value| !value.is_null())?;
        let number = value.as_u64().filter(|number| range.contains(number));
        if number.is_none() {
            self.refuse_field(
                field,
                format!(
                    "must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                ),
            );
        }
        number
    }

    /// Reads and parses an optional text.
    pub fn parse_optional<T, E: std::fmt::Display>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.optional_text(field)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => self.record_error(field, error.to_string()),
        }
    }

    /// Reads a required text of at most `longest` characters.
    pub fn text_up_to(&mut self, field: &'static str, longest: usize) -> Option<String> {
        let text = self.required_text(field)?;
        self.ok_or_record(field, limit_length(text, longest))
    }

    /// Reads a text of at most `longest` characters, which may be left out or empty.
    pub fn optional_text_up_to(&mut self, field: &'static str, longest: usize) -> Option<String> {
        let text = self.optional_text(field).filter(|text| !text.is_empty())?;
        self.ok_or_record(field, limit_length(text, longest))
    }

    /// Reads a required number.
    pub fn required_decimal(
        &mut self,
        field: &'static str,
        range: std::ops::RangeInclusive<f64>,
    ) -> Option<f64> {
        let number = match self.take_field(field) {
            None | Some(Value::Null) => return self.record_error(field, "is missing"),
            Some(value) => value.as_f64().filter(|number| range.contains(number)),
        };
        let problem = || format!("must be a number from {} to {}", range.start(), range.end());
        self.ok_or_record(field, number.ok_or_else(problem))
    }

    /// Whether a field is an object.
    pub fn is_object(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(Value::is_object)
    }

    /// Reads a list of objects, `count` of them; each must be [taken back](Self::absorb_errors).
    pub fn required_objects(
        &mut self,
        field: &'static str,
        count: std::ops::RangeInclusive<usize>,
    ) -> Option<Vec<Self>> {
        let objects: Option<Vec<_>> = match self.take_field(field) {
            Some(Value::Array(list)) => list.into_iter().map(Self::from_value).collect(),
            _ => None,
        };
        let objects = objects.filter(|list| count.contains(&list.len()));
        let problem = || {
            format!(
                "must be a list of {} to {} objects",
                count.start(),
                count.end()
            )
        };
        self.ok_or_record(field, objects.ok_or_else(problem))
    }

    /// Returns `None` if the value is not an object.
    pub(in crate::http) fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Object(fields) => Some(Self::from_map(fields)),
            _ => None,
        }
    }

    /// Records that a required field is missing, unless it has an error already.
    pub fn require_field<T>(&mut self, field: &'static str) -> Option<T> {
        if self.errors.iter().any(|error| error.field == field) {
            return None;
        }
        self.record_error(field, "is missing")
    }

    /// Drops a field unread.
    pub fn ignore_field(&mut self, field: &str) {
        self.fields.remove(field);
    }

    /// Records an error of a field, and drops the field.
    pub fn refuse_field(&mut self, field: &'static str, detail: impl Into<String>) {
        self.fields.remove(field);
        self.errors.push(FieldError {
            field: field.into(),
            detail: detail.into(),
        });
    }
}

fn limit_length(text: String, longest: usize) -> Result<String, String> {
    if text.chars().count() > longest {
        Err(format!("is longer than {longest} characters"))
    } else {
        Ok(text)
    }
}
