//! Forms of the pages: where they may come from, and their fields.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde_json::{Map, Value};

use crate::http::error::Problem;
use crate::http::request::extract::JsonFields;

/// Name of the field with the token of the login.
pub const TOKEN_FIELD: &str = "form_token";
/// Name of the field of the form of preferences, which is on pages without a login, too, with the
/// address of its page.
pub const BACK_FIELD: &str = "back";

/// Returns whether a browser sends this for a page of this very origin. Programs that say nothing
/// of their origin are refused, too: they have `/v1`.
pub fn is_same_origin(headers: &HeaderMap, is_https: Option<bool>) -> bool {
    let mut sites = headers.get_all("sec-fetch-site").iter().peekable();
    if sites.peek().is_some() {
        return sites.all(|site| site == "same-origin");
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(origin), Some(host)) = (text(header::ORIGIN), text(header::HOST)) else {
        return false;
    };
    let Some((scheme, site)) = origin.split_once("://") else {
        return false;
    };
    let fits = is_https.is_none_or(|is_https| scheme == if is_https { "https" } else { "http" });
    fits && site == host
}

/// Returns whether a form has a file, which is read piece by piece.
pub fn has_file(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/form-data"))
}

/// The fields of a form, without its token.
#[derive(Debug, Clone, Default)]
pub struct FormFields(Vec<(String, String)>);

impl FormFields {
    /// Takes a body as browsers send it.
    pub fn parse(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    /// Takes a field out; an empty one counts as left out.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(given, _)| given == name)?;
        Some(self.0.remove(at).1).filter(|value| !value.is_empty())
    }

    /// Takes all fields of a name out.
    pub fn take_all(&mut self, name: &str) -> Vec<String> {
        let (taken, left) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(given, _)| given == name);
        self.0 = left;
        taken
            .into_iter()
            .map(|(_, value): (_, String)| value)
            .collect()
    }

    /// Returns the value of a field.
    pub fn find(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        let found = fields.find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns whether a field has this value.
    pub fn has(&self, name: &str, value: &str) -> bool {
        let mut fields = self.0.iter();
        fields.any(|(given, typed)| given == name && typed == value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Keeps the fields with values for which `is_kept` returns true.
    pub fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.0.retain(|(_, value)| is_kept(value));
    }

    /// Takes a field out that must not be empty.
    pub fn require(&mut self, name: &'static str) -> Result<String, Problem> {
        self.take(name)
            .ok_or_else(|| Problem::invalid_field(name, "is missing"))
    }
}

impl FromIterator<(String, String)> for FormFields {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(fields: T) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for FormFields {
    type Rejection = Problem;

    /// Present only on requests whose origin and token were checked.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.remove().ok_or(Problem::StaleForm)
    }
}

/// Returns the body that a program would send to the route behind a form.
pub fn json_fields(fields: Value) -> JsonFields {
    let fields = match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    JsonFields::from_map(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_origin_send_forms() {
        for (headers, is_ours) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (
                &[("sec-fetch-site", "same-origin"), ("origin", "null")],
                true,
            ),
            (&[("origin", "http://gateway:8080")], true),
            (&[], false),
            (&[("origin", "null")], false),
            (&[("origin", "https://gateway:8080")], false),
            (&[("origin", "http://gateway")], false),
            (&[("origin", "http://evil.example")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "http://gateway:8080"),
                ],
                false,
            ),
            (
                &[
                    ("sec-fetch-site", "same-origin"),
                    ("sec-fetch-site", "cross-site"),
                ],
                false,
            ),
        ] {
            let mut all = HeaderMap::new();
            all.append(header::HOST, "gateway:8080".parse().unwrap());
            for (name, value) in headers {
                all.append(*name, value.parse().unwrap());
            }
            assert_eq!(is_same_origin(&all, Some(false)), is_ours, "{headers:?}");
        }
    }
}
