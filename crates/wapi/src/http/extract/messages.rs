//! What the routes about messages read out of a body besides.

use serde_json::Value;

use super::{FieldError, Fields, kind};

impl Fields {
    /// The whole object as text: the same for the same fields.
    pub fn canonical(&self) -> String {
        serde_json::to_string(&self.fields).expect("JSON that was read can be written")
    }

    /// Whether there is a field of this name.
    pub fn has(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|value| !value.is_null())
    }

    /// True or false; false when it is left out.
    pub fn flag(&mut self, field: &'static str) -> bool {
        match self.take(field) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => flag,
            Some(other) => {
                self.refuse(
                    field,
                    format!("is {}, but must be true or false", kind(&other)),
                );
                false
            }
        }
    }

    /// A whole number that may be left out.
    pub fn optional_number(
        &mut self,
        field: &'static str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        let value = self.take(field).filter(|value| !value.is_null())?;
        let number = value.as_u64().filter(|number| range.contains(number));
        if number.is_none() {
            self.refuse(
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

    /// A text that may be left out, and means something if it is not.
    pub fn optional_parsed<T, E: std::fmt::Display>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.optional_text(field)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => self.wrong(field, error.to_string()),
        }
    }

    /// A text that must be there, of so many characters at most.
    pub fn text_up_to(&mut self, field: &'static str, longest: usize) -> Option<String> {
        let text = self.text(field)?;
        self.judged(field, fits(text, longest))
    }

    /// A text that may be left out or empty, of so many characters at most.
    pub fn optional_text_up_to(&mut self, field: &'static str, longest: usize) -> Option<String> {
        let text = self.optional_text(field).filter(|text| !text.is_empty())?;
        self.judged(field, fits(text, longest))
    }

    /// A number that must be there.
    pub fn decimal(
        &mut self,
        field: &'static str,
        range: std::ops::RangeInclusive<f64>,
    ) -> Option<f64> {
        let number = match self.take(field) {
            None | Some(Value::Null) => return self.wrong(field, "is missing"),
            Some(value) => value.as_f64().filter(|number| range.contains(number)),
        };
        let problem = || format!("must be a number from {} to {}", range.start(), range.end());
        self.judged(field, number.ok_or_else(problem))
    }

    /// Whether a field is an object.
    pub fn is_object(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(Value::is_object)
    }

    /// A list of objects, so many of them; to be [taken back](Self::absorb) one by one.
    pub fn objects(
        &mut self,
        field: &'static str,
        count: std::ops::RangeInclusive<usize>,
    ) -> Option<Vec<Self>> {
        let objects: Option<Vec<_>> = match self.take(field) {
            Some(Value::Array(list)) => list.into_iter().map(Self::of).collect(),
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
        self.judged(field, objects.ok_or_else(problem))
    }

    /// `None` for what is no object.
    pub(in crate::http) fn of(value: Value) -> Option<Self> {
        match value {
            Value::Object(fields) => Some(Self::with(fields)),
            _ => None,
        }
    }

    /// Looks at a field no more.
    pub fn ignore(&mut self, field: &str) {
        self.fields.remove(field);
    }

    /// Notes what is wrong with a field, and looks at it no more.
    pub fn refuse(&mut self, field: &'static str, detail: impl Into<String>) {
        self.fields.remove(field);
        self.errors.push(FieldError {
            field: field.into(),
            detail: detail.into(),
        });
    }
}

fn fits(text: String, longest: usize) -> Result<String, String> {
    if text.chars().count() > longest {
        Err(format!("is longer than {longest} characters"))
    } else {
        Ok(text)
    }
}
