//! `GET /openapi.json`: every route of the table, described as OpenAPI 3.1.

mod declared_queries;
mod event_schemas;
mod examples;
mod interactive;
mod message_kinds;
mod operation;
mod operation_ids;
mod page;
mod pin_keep_star;
mod routes;
mod schema;
mod type_schemas;

use std::sync::LazyLock;

use axum::Json;
use axum::http::{HeaderName, header};
use axum::response::Html;
use operation::{BodyPresence, JSON, Operation, path_parameter};
use schema::{list_of, object, string_enum, text, with_description};
use serde_json::{Map, Value, json};
use type_schemas::{answer_schema, type_schema};

use super::access::table::RouteRow;
use super::error::MEDIA_TYPE;
use crate::model::event::{Account, Newsletter, Person};

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| build_document(&super::routes::route_table().rows));

/// Returns the OpenAPI document.
pub fn openapi_document() -> &'static Value {
    &DOCUMENT
}

/// Serves the OpenAPI document. It holds no data of the gateway, so it needs no key.
pub async fn serve_document() -> Json<&'static Value> {
    Json(openapi_document())
}

/// Forbids loading and scripts; the page carries its own style.
pub(super) const PAGE_POLICY: (HeaderName, &str) = (
    header::CONTENT_SECURITY_POLICY,
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
);

pub(super) use declared_queries::find_undeclared;

static PAGE: LazyLock<String> = LazyLock::new(|| page::render_page(&DOCUMENT));

/// Serves the document as an HTML page.
pub async fn serve_page() -> ([(HeaderName, &'static str); 1], Html<&'static str>) {
    ([PAGE_POLICY], Html(&PAGE))
}

/// In display order.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// A group of related routes.
struct RouteFamily {
    tag: &'static str,
    description: &'static str,
    operations: Vec<Operation>,
}

fn route_families() -> Vec<RouteFamily> {
    let family = |tag, description, operations| RouteFamily {
        tag,
        description,
        operations,
    };
    vec![
        family(
            "Sessions",
            "Link WhatsApp accounts, start and stop their sessions, and read their state.",
            routes::sessions::describe_operations(),
        ),
        family(
            "Messages",
            "Send, edit, delete, and forward messages, and read their status.",
            message_operations(),
        ),
        family(
            "Files",
            "Files of messages: upload, download, remove.",
            routes::media::describe_operations(),
        ),
        family(
            "Profiles",
            "Names, pictures, and about texts of accounts, and their blocklists.",
            routes::profile::describe_operations(),
        ),
        family(
            "Groups",
            "The groups an account is in, their members, and ways to join them.",
            routes::groups::describe_operations(),
        ),
        family(
            "Communities",
            "Groups of groups.",
            routes::groups::communities::describe_operations(),
        ),
        family(
            "Newsletters",
            "The newsletters (channels) an account follows, and its own.",
            routes::newsletters::describe_operations(),
        ),
        family(
            "Shops",
            "Catalogues of businesses, and orders of their customers.",
            routes::products::describe_operations(),
        ),
        family(
            "History",
            "Stored chats, contacts, and messages, and labels.",
            routes::history::describe_operations(),
        ),
        family(
            "Signals",
            "Reading, typing, presence, calls, and who is on WhatsApp.",
            routes::presence::describe_operations(),
        ),
        family(
            "Events",
            "The log of all events, from any position.",
            routes::events::describe_operations(),
        ),
        family(
            "Webhooks",
            "Webhook endpoints and their deliveries.",
            routes::webhooks::describe_operations(),
        ),
        family(
            "API keys",
            "Keys of callers, and their scopes.",
            routes::api_keys::describe_operations(),
        ),
        family(
            "Watching",
            "Health, metrics, and this document.",
            routes::monitoring::describe_operations(),
        ),
        family(
            "The original routes",
            "The routes of the first wapi, unchanged.",
            routes::original::describe_operations(),
        ),
    ]
}

fn message_operations() -> Vec<Operation> {
    [
        routes::messages::describe_operations(),
        pin_keep_star::describe_operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Describes every route of the table.
fn build_document(rows: &[RouteRow]) -> Value {
    let families = route_families();
    let mut paths: Map<String, Value> = Map::new();
    for row in rows {
        let operation = families
            .iter()
            .find_map(|family| Some((family, family.find_operation(row)?)));
        let path = paths.entry(row.path).or_insert_with(|| json!({}));
        path[row.method.to_lowercase()] = operation.map_or_else(
            || json!({"responses": {}}),
            |(family, operation)| {
                let mut written = operation_object(operation, row);
                written["tags"] = json!([family.tag]);
                written
            },
        );
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "wapi",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "WhatsApp accounts as an HTTP API",
            "description": "Every route works with and without a trailing slash.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "tags": families.iter().map(|it| json!({"name": it.tag, "description": it.description})).collect::<Vec<_>>(),
        "paths": paths,
        "webhooks": routes::events::describe_posts(),
        "components": {
            "schemas": {"Problem": problem_schema(), "Account": type_schema::<Account>(), "Session": routes::sessions::session_schema(),
                        "Message": routes::messages::message_schema(), "Group": routes::groups::group_schema(),
                        "Chat": routes::history::chat_schema(), "Contact": answer_schema::<Person>(), "KeptMessage": routes::history::stored_message_schema(),
                        "Media": routes::media::media_schema(), "Newsletter": answer_schema::<Newsletter>(),
                        "ApiKey": routes::api_keys::api_key_schema(), "Webhook": routes::webhooks::webhook_schema()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            },
        },
    });
    for (name, schema) in event_schemas::event_schemas() {
        document["components"]["schemas"][name] = schema;
    }
    document
}

impl RouteFamily {
    fn find_operation(&self, row: &RouteRow) -> Option<&Operation> {
        self.operations.iter().find(|it| it.is_for(row))
    }
}

fn operation_object(operation: &Operation, row: &RouteRow) -> Value {
    let names = row
        .path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let parameters: Vec<_> = names
        .map(path_parameter)
        .chain(operation.parameters.iter().cloned())
        .collect();
    let mut written = json!({
        "summary": operation.summary,
        "operationId": operation_ids::operation_id(row.method, row.path),
        "parameters": parameters,
        "responses": response_objects(operation, row),
    });
    if let Some((schema, presence)) = &operation.body {
        let required = *presence == BodyPresence::Required;
        written["requestBody"] =
            json!({"required": required, "content": {JSON: {"schema": schema}}});
        for (name, title, value) in &operation.examples {
            written["requestBody"]["content"][JSON]["examples"][name] =
                json!({"summary": title, "value": value});
        }
    }
    for (media_type, schema) in &operation.body_forms {
        written["requestBody"]["content"][media_type] = json!({"schema": schema});
    }
    if let Some(scope) = row.scope() {
        written["security"] = json!([{"bearer": []}, {"header": []}]);
        let or_admin = if scope == crate::model::access::Scope::Admin {
            ""
        } else {
            " or `admin`"
        };
        written["description"] = json!(format!(
            "For keys with the scope `{}`{or_admin}.",
            scope.into_str()
        ));
    }
    written
}

fn response_objects(operation: &Operation, row: &RouteRow) -> Value {
    let mut responses = Map::new();
    for (status, meaning, media) in &operation.answers {
        let content: Map<_, _> = media
            .iter()
            .map(|(kind, schema)| ((*kind).to_owned(), json!({"schema": schema})))
            .collect();
        let mut response = json!({"description": meaning});
        if !content.is_empty() {
            response["content"] = json!(content);
        }
        responses.insert(status.to_string(), response);
    }
    let mut problems = common_problems(operation, row);
    problems.extend_from_slice(&operation.problems);
    problems.sort_unstable();
    for same in problems.chunk_by(|one, other| one.0 == other.0) {
        let codes: Vec<_> = same.iter().map(|(_, code)| *code).collect();
        let schema = json!({"allOf": [schema::schema_reference("Problem"), {"properties": {"code": string_enum(&codes)}}]});
        let response =
            json!({"description": codes.join(", "), "content": {MEDIA_TYPE: {"schema": schema}}});
        responses.insert(same[0].0.to_string(), response);
    }
    Value::Object(responses)
}

/// Returns the problems that every route of this kind may answer.
fn common_problems(operation: &Operation, row: &RouteRow) -> Vec<(u16, &'static str)> {
    let mut problems = vec![(500, "internal")];
    if row.access.is_some() {
        problems.extend([
            (503, "starting"),
            (401, "unauthorized"),
            (403, "scope_missing"),
            (403, "stranger"),
            (429, "too_many_requests"),
        ]);
        problems.extend([
            (403, "session_not_allowed"),
            (403, "not_for_all_sessions"),
            (400, "invalid_fields"),
        ]);
    }
    if operation.body.is_some() {
        problems.extend([
            (400, "invalid_body"),
            (413, "body_too_large"),
            (408, "body_too_slow"),
        ]);
    }
    problems
}

fn problem_schema() -> Value {
    let wrong = object(&[("field", text()), ("detail", text())]);
    let members = [
        (
            "type",
            with_description(text(), "`urn:wapi:problem:` and the code."),
        ),
        ("title", text()),
        ("status", schema::number(400, 599)),
        (
            "detail",
            with_description(text(), "How to correct the request."),
        ),
        (
            "code",
            with_description(
                text(),
                "Stable code for programs. Each route lists its codes; any request may also get `route_not_found` (404) \
                 or `method_not_allowed` (405).",
            ),
        ),
        (
            "request_id",
            with_description(
                text(),
                "The same id as in the header `X-Request-Id` and in the log.",
            ),
        ),
        (
            "errors?",
            with_description(list_of(wrong), "One entry per invalid field."),
        ),
    ];
    with_description(object(&members), "The error (RFC 9457).")
}

#[cfg(test)]
mod tests {
    use super::super::error::{FAILED_SEND_TYPES, PROBLEM_TYPES};
    use super::*;

    #[test]
    fn every_route_of_the_table_is_described_with_its_answers() {
        for row in crate::http::routes::route_table().rows {
            let found = route_families()
                .iter()
                .flat_map(|family| &family.operations)
                .filter(|it| it.is_for(&row))
                .count();
            assert_eq!(
                found, 1,
                "{} {} is not described (once) in http/openapi/",
                row.method, row.path
            );
            let responses = &DOCUMENT["paths"][row.path][row.method.to_lowercase()]["responses"];
            let good = responses
                .as_object()
                .unwrap()
                .keys()
                .any(|status| status.starts_with('2'));
            assert!(good, "{} {} has no good answer", row.method, row.path);
        }
    }

    /// Problems that only pages answer, which are no part of the document.
    const PAGE_PROBLEMS: [&str; 3] = ["foreign_form", "stale_form", "key_not_shown"];

    #[test]
    fn the_document_and_the_table_of_problems_name_the_same() {
        let known: Vec<_> = PROBLEM_TYPES
            .iter()
            .chain(&FAILED_SEND_TYPES)
            .map(|problem| (problem.status, problem.code))
            .collect();
        let document = DOCUMENT.to_string();
        for (_, code) in known
            .iter()
            .filter(|(_, code)| !PAGE_PROBLEMS.contains(code))
        {
            let is_named = document.contains(&format!("\"{code}\""))
                || document.contains(&format!("`{code}`"));
            assert!(is_named, "`{code}` is in no answer of http/openapi/");
        }
        for row in crate::http::routes::route_table().rows {
            let families = route_families();
            let operation = families.iter().find_map(|it| it.find_operation(&row));
            let operation = operation.expect("every route is described");
            for problem in common_problems(operation, &row)
                .iter()
                .chain(&operation.problems)
            {
                assert!(
                    known.contains(problem),
                    "{} {}: {problem:?} is not in http/error/table.rs",
                    row.method,
                    row.path
                );
            }
        }
    }

    #[test]
    fn no_two_operations_have_one_name() {
        let mut names: Vec<_> = crate::http::routes::route_table()
            .rows
            .iter()
            .map(|row| operation_ids::operation_id(row.method, row.path))
            .collect();
        names.sort();
        let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(
            twice.is_empty(),
            "{twice:?}; name them in http/openapi/operation_ids.rs"
        );
    }
}
