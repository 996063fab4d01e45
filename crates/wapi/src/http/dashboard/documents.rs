//! The documents of the routes, read to be drawn.

use axum::Json;
use axum::body;
use axum::response::Response;
use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;
use serde::Serialize;
use serde_json::Value;

use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;

/// Bytes of an answer that is read back.
const LARGEST_DOCUMENT: usize = 4 * 1024 * 1024;

/// Returns the document that a route answers with, as its callers see it.
pub fn read_document<T: Serialize>(answer: Result<Json<T>, Problem>) -> Result<Value, Problem> {
    let Json(document) = answer?;
    serde_json::to_value(document).map_err(|error| {
        tracing::error!(%error, "a document of a route is not JSON");
        Problem::Internal
    })
}

/// Returns the document of an answer that is made already; `null` for an answer without one.
pub async fn read_response(answer: Result<Response, Problem>) -> Result<Value, Problem> {
    let body = body::to_bytes(answer?.into_body(), LARGEST_DOCUMENT).await;
    let body = body.map_err(|error| {
        tracing::error!(%error, "the answer of a route cannot be read");
        Problem::Internal
    })?;
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}

/// Returns a query without parameters.
pub fn no_query() -> QueryParameters {
    QueryParameters::parse("")
}

/// Returns the text at a path such as `account/phone`; empty where there is none.
pub fn text_at<'a>(document: &'a Value, path: &str) -> &'a str {
    optional_text(document, path).unwrap_or_default()
}

/// Returns the text at a path, if there is one.
pub fn optional_text<'a>(document: &'a Value, path: &str) -> Option<&'a str> {
    value_at(document, path)?.as_str()
}

/// Returns the list at a path; empty where there is none.
pub fn list_at<'a>(document: &'a Value, path: &str) -> &'a [Value] {
    let list = value_at(document, path).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

/// Returns the first entries of a list behind this one, in the order of the field that names them, and
/// the name of the last if others follow. The place stays the same while entries come and go.
pub fn page_after<'a>(
    list: &'a [Value],
    field: &str,
    after: &str,
    size: usize,
) -> (Vec<&'a Value>, Option<&'a str>) {
    let mut page: Vec<_> = list
        .iter()
        .filter(|entry| *text_at(entry, field) > *after)
        .collect();
    page.sort_unstable_by_key(|entry| text_at(entry, field));
    let has_more = page.len() > size;
    page.truncate(size);
    let last = page.last().filter(|_| has_more);
    let next = last.map(|last| text_at(last, field));
    (page, next)
}

/// Returns whether there is `true` at a path.
pub fn flag_at(document: &Value, path: &str) -> bool {
    value_at(document, path).and_then(Value::as_bool) == Some(true)
}

/// Returns the number at a path, as text.
pub fn number_at(document: &Value, path: &str) -> Option<String> {
    let number = value_at(document, path)?;
    number.is_number().then(|| number.to_string())
}

fn value_at<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('/')
        .try_fold(document, |value, part| value.get(part))
        .filter(|value| !value.is_null())
}

/// Characters of a name that pages show.
const NAME_LENGTH: usize = 100;

/// Returns the best name of a person or chat: its name, else the number, else the id. A name of
/// signs that nobody sees is none: nobody could click on it.
pub fn name_of(person: &Value) -> String {
    if let Some(name) = optional_text(person, "name").filter(|name| is_visible(name)) {
        return shorten(name, NAME_LENGTH);
    }
    match optional_text(person, "phone") {
        Some(phone) => format!("+{phone}"),
        None => text_at(person, "id").to_owned(),
    }
}

fn is_visible(text: &str) -> bool {
    let invisible = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let is_seen =
        |sign: char| !sign.is_whitespace() && !sign.is_control() && !invisible.contains(sign);
    text.chars().any(is_seen)
}

/// Returns the first characters of a text, and a sign that there are more.
pub fn shorten(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pages_of_a_list_have_each_entry_once_while_others_go() {
        let list = ["d", "b", "a", "c", "e"].map(|id| json!({ "id": id }));
        let ids = |page: &[&Value]| page.iter().map(|it| text_at(it, "id")).collect::<String>();
        let (page, next) = page_after(&list, "id", "", 2);
        assert_eq!((ids(&page).as_str(), next), ("ab", Some("b")));
        let (page, next) = page_after(&list[2..], "id", "b", 2);
        assert_eq!((ids(&page).as_str(), next), ("ce", None));
        assert_eq!(page_after(&list, "id", "e", 2).0.len(), 0);
    }

    #[test]
    fn a_name_that_nobody_sees_is_none() {
        let named = |name: &str| name_of(&json!({"name": name, "phone": "375"}));
        for (name, shown) in [
            ("Ann", "Ann"),
            ("\u{202e}Ann", "\u{202e}Ann"),
            ("\u{200b}\u{2060}\u{202e}\u{feff}", "+375"),
            ("\u{3164} \t", "+375"),
            ("", "+375"),
        ] {
            assert_eq!(named(name), shown, "{name:?}");
        }
        assert_eq!(named(&"Ж".repeat(101)).chars().count(), NAME_LENGTH + 1);
    }
}
