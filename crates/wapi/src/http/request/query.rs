//! Query parameters, with an error for each invalid or unknown one.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::http::error::{FieldError, Problem};
use crate::model::suggestions::format_suggestion;

/// The parameters of a query, read one by one. Unknown ones are refused by name.
#[derive(Debug)]
pub struct QueryParameters {
    parameters: Vec<(String, String)>,
    /// Names that this route accepts.
    read_names: Vec<String>,
    errors: Vec<FieldError>,
}

impl QueryParameters {
    /// Takes a query apart.
    pub fn parse(query: &str) -> Self {
        let parameters = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        Self {
            parameters,
            read_names: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Returns the last value given for `name`.
    pub fn optional_text(&mut self, name: &str) -> Option<String> {
        self.read_names.push(name.to_owned());
        let mut found = None;
        self.parameters.retain(|(given, value)| {
            let is_it = given == name;
            if is_it {
                found = Some(value.clone());
            }
            !is_it
        });
        found
    }

    /// Returns a whole number up to `max`, or `default` when none is given.
    pub fn number_or<T: FromStr + PartialOrd + Default + std::fmt::Display>(
        &mut self,
        name: &'static str,
        default: T,
        max: T,
    ) -> T {
        self.optional_number(name, max).unwrap_or(default)
    }

    /// Returns the requested number of list entries, at least one. `bounds` are the default and the
    /// maximum.
    pub fn list_limit<T: FromStr + PartialOrd + Default + std::fmt::Display>(
        &mut self,
        bounds: (T, T),
    ) -> T {
        let (default, max) = bounds;
        match self.optional_text("limit").map(|text| {
            text.parse()
                .ok()
                .filter(|limit| *limit > T::default() && *limit <= max)
        }) {
            None => default,
            Some(Some(limit)) => limit,
            Some(None) => {
                let detail = format!("must be a whole number from 1 to {max}");
                self.errors.push(FieldError {
                    field: "limit".into(),
                    detail,
                });
                default
            }
        }
    }

    /// Returns a whole number up to `max`, if one is given.
    pub fn optional_number<T: FromStr + PartialOrd + Default + std::fmt::Display>(
        &mut self,
        name: &'static str,
        max: T,
    ) -> Option<T> {
        let number = self
            .optional_text(name)?
            .parse()
            .ok()
            .filter(|number| *number >= T::default() && *number <= max);
        if number.is_none() {
            let detail = format!("must be a whole number from 0 to {max}");
            self.errors.push(FieldError {
                field: name.into(),
                detail,
            });
        }
        number
    }

    /// Returns every error found, including unknown names.
    pub fn finish(mut self) -> Result<(), Problem> {
        let unknown = self.parameters.into_iter().map(|(name, _)| {
            let meant = format_suggestion(&name, self.read_names.iter().map(String::as_str));
            FieldError {
                field: name.into(),
                detail: format!("is not a parameter of this route{meant}"),
            }
        });
        self.errors.extend(unknown);
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Problem::InvalidFields(self.errors))
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for QueryParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use crate::http::request::query::*;

    #[test]
    fn numbers_have_bounds_and_unknown_names_are_told() {
        let mut query = QueryParameters::parse("after=7&wait=x&limit=9999&color=red");
        assert_eq!(
            (
                query.number_or("after", 0, i64::MAX),
                query.number_or("wait", 1, 60)
            ),
            (7, 1)
        );
        assert_eq!(
            (
                query.number_or("limit", 10, 100),
                query.optional_text("types")
            ),
            (10, None)
        );
        let Err(Problem::InvalidFields(errors)) = query.finish() else {
            panic!("nothing was wrong")
        };
        let fields: Vec<_> = errors.iter().map(|error| error.field.as_ref()).collect();
        assert_eq!(fields, ["wait", "limit", "color"]);
    }
}
