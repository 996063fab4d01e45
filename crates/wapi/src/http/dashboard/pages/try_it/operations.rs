//! The routes that have a form, from the OpenAPI document.

use serde_json::Value;

use super::summaries::summary_text;
use crate::http::access::api_keys::Caller;
use crate::http::dashboard::documents::{optional_text, text_at};
use crate::http::dashboard::texts::PageText;
use crate::http::openapi::openapi_document;
use crate::http::routes::route_table;
use crate::model::access::Scope;

/// A route whose answer does not end.
const STREAM: &str = "/v1/events/stream";
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// A route with its description.
pub struct TrialOperation {
    pub id: &'static str,
    pub method: String,
    pub path: &'static str,
    pub tag: &'static str,
    summary: &'static str,
    pub description: &'static Value,
    /// A change for admins only: the key of the login is asked for again.
    pub is_guarded: bool,
}

impl TrialOperation {
    /// Returns the examples of bodies: name, title, and value.
    pub fn examples(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static Value)> {
        let examples = &self.description["requestBody"]["content"]["application/json"]["examples"];
        examples
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, example)| {
                (
                    name.as_str(),
                    text_at(example, "summary"),
                    &example["value"],
                )
            })
    }

    /// Returns the schema of the body, if the route takes JSON.
    pub fn body_schema(&self) -> Option<&'static Value> {
        self.description
            .pointer("/requestBody/content/application~1json/schema")
    }

    pub fn needs_body(&self) -> bool {
        self.description["requestBody"]["required"] == true
    }

    /// Returns the summary in every language.
    pub fn summary(&self) -> PageText {
        summary_text(&self.method, self.path, self.summary)
    }

    pub fn address(&self) -> String {
        format!("/dashboard/try/{}", self.id)
    }
}

/// Returns the routes that the caller may use, in the order of the document.
pub fn list_operations(caller: &Caller) -> Vec<TrialOperation> {
    let document = openapi_document();
    let tags = document["tags"].as_array().into_iter().flatten();
    let tags: Vec<_> = tags.map(|tag| text_at(tag, "name")).collect();
    let rows = route_table().rows;
    let allowed_scope = |method: &str, path: &str| {
        let row = rows
            .iter()
            .find(|row| row.method.eq_ignore_ascii_case(method) && row.path == path);
        let scope = row?.scope()?;
        // Keys of some sessions find the routes of those.
        let is_reached = caller.allowed_sessions().is_none() || path.contains("{session}");
        (is_reached && caller.has_scope(scope)).then_some(scope)
    };
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        if !path.starts_with("/v1/") || path == STREAM {
            continue;
        }
        for method in METHODS {
            let description = &methods[method];
            let Some(id) = optional_text(description, "operationId") else {
                continue;
            };
            if let Some(scope) = allowed_scope(method, path) {
                found.push(TrialOperation {
                    id,
                    method: method.to_uppercase(),
                    path,
                    tag: description["tags"][0].as_str().unwrap_or_default(),
                    summary: text_at(description, "summary"),
                    description,
                    is_guarded: scope == Scope::Admin && method != "get",
                });
            }
        }
    }
    found.sort_by_key(|it| tags.iter().position(|tag| *tag == it.tag));
    found
}
