//! `GET /openapi.json`: every route of the table, described as OpenAPI 3.1.

mod api_keys;
mod events;
mod groups;
mod kinds;
mod media;
mod messages;
mod operation;
mod original;
mod schema;
mod sessions;
mod signals;
mod watching;
mod webhooks;

use std::sync::LazyLock;

use axum::Json;
use serde_json::{Map, Value, json};

use super::error::MEDIA_TYPE;
use super::table::Row;
use operation::{JSON, Operation, Presence, path_parameter};
use schema::{list, object, said, text, words};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| document(&super::table().rows));

/// The description of this very program. It says nothing of what is in it, so everybody may read it.
pub async fn read() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

fn described() -> Vec<Operation> {
    let families = [
        watching::operations(),
        original::operations(),
        events::operations(),
        sessions::operations(),
        messages::operations(),
        groups::operations(),
        signals::operations(),
        media::operations(),
        api_keys::operations(),
        webhooks::operations(),
    ];
    families.into_iter().flatten().collect()
}

/// The routes of the table, each as it is described.
fn document(rows: &[Row]) -> Value {
    let described = described();
    let mut paths: Map<String, Value> = Map::new();
    for row in rows {
        let operation = described.iter().find(|it| it.path == row.path && it.method == row.method);
        let path = paths.entry(row.path).or_insert_with(|| json!({}));
        path[row.method.to_lowercase()] = operation.map_or_else(|| json!({"responses": {}}), |it| written(it, row));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "wapi",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "WhatsApp accounts as an HTTP API",
            "description": "Every route works with and without a trailing slash.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {"Problem": problem(), "Account": sessions::account(), "Session": sessions::session(),
                        "Message": messages::message(), "Group": groups::group(), "Media": media::media(),
                        "ApiKey": api_keys::api_key(), "Webhook": webhooks::webhook()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            },
        },
    })
}

fn written(operation: &Operation, row: &Row) -> Value {
    let names = row.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let parameters: Vec<_> = names.map(path_parameter).chain(operation.parameters.iter().cloned()).collect();
    let mut written = json!({
        "summary": operation.summary,
        "operationId": operation_id(row),
        "parameters": parameters,
        "responses": responses(operation, row),
    });
    if let Some((schema, presence)) = &operation.body {
        let required = *presence == Presence::Required;
        written["requestBody"] = json!({"required": required, "content": {JSON: {"schema": schema}}});
        for (media_type, schema) in &operation.body_forms {
            written["requestBody"]["content"][media_type] = json!({"schema": schema});
        }
    }
    if let Some(scope) = row.scope {
        written["security"] = json!([{"bearer": []}, {"header": []}]);
        written["description"] = json!(format!("For keys with the scope `{}` or `admin`.", scope.word()));
    }
    written
}

/// `get_v1_events`.
fn operation_id(row: &Row) -> String {
    let path: String = row.path.chars().filter(|letter| !matches!(letter, '{' | '}')).collect();
    format!("{}{}", row.method.to_lowercase(), path.replace(['/', '-', '.'], "_"))
}

fn responses(operation: &Operation, row: &Row) -> Value {
    let mut responses = Map::new();
    for (status, meaning, media) in &operation.answers {
        let content: Map<_, _> =
            media.iter().map(|(kind, schema)| ((*kind).to_owned(), json!({"schema": schema}))).collect();
        let mut response = json!({"description": meaning});
        if !content.is_empty() {
            response["content"] = json!(content);
        }
        responses.insert(status.to_string(), response);
    }
    let mut problems = everywhere(operation, row);
    problems.extend_from_slice(&operation.problems);
    problems.sort_unstable();
    for same in problems.chunk_by(|one, other| one.0 == other.0) {
        let codes: Vec<_> = same.iter().map(|(_, code)| *code).collect();
        let schema = json!({"allOf": [schema::reference("Problem"), {"properties": {"code": words(&codes)}}]});
        let response = json!({"description": codes.join(", "), "content": {MEDIA_TYPE: {"schema": schema}}});
        responses.insert(same[0].0.to_string(), response);
    }
    Value::Object(responses)
}

/// What may go wrong at any route of this kind.
fn everywhere(operation: &Operation, row: &Row) -> Vec<(u16, &'static str)> {
    let mut problems = vec![(500, "internal")];
    if row.scope.is_some() {
        problems.extend([(503, "starting"), (401, "unauthorized"), (403, "scope_missing")]);
        problems.extend([(403, "session_not_allowed"), (403, "not_for_all_sessions"), (400, "invalid_fields")]);
    }
    if operation.body.is_some() {
        problems.extend([(400, "invalid_body"), (413, "body_too_large")]);
    }
    problems
}

fn problem() -> Value {
    let wrong = object(&[("field", text()), ("detail", text())]);
    let members = [
        ("type", said(text(), "`urn:wapi:problem:` and the code.")),
        ("title", text()),
        ("status", schema::number(400, 599)),
        ("detail", said(text(), "What to change.")),
        ("code", said(text(), "Stable; programs decide by it.")),
        ("request_id", said(text(), "Also in the header `X-Request-Id`, and in the log.")),
        ("errors?", said(list(wrong), "Each field that is wrong.")),
    ];
    said(object(&members), "What went wrong (RFC 9457).")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_of_the_table_is_described_with_its_answers() {
        for row in super::super::table().rows {
            let found = described().into_iter().filter(|it| it.path == row.path && it.method == row.method).count();
            assert_eq!(found, 1, "{} {} is not described (once) in http/openapi/", row.method, row.path);
            let responses = &DOCUMENT["paths"][row.path][row.method.to_lowercase()]["responses"];
            let good = responses.as_object().unwrap().keys().any(|status| status.starts_with('2'));
            assert!(good, "{} {} has no good answer", row.method, row.path);
        }
    }
}
