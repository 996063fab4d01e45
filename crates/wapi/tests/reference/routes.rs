//! The routes: the tables of `docs/reference/http-api.md`.

use serde_json::Value;

use super::check_generated_file;
use super::markdown::{fill_page, format_table};

#[test]
fn the_page_of_routes_is_up_to_date() {
    let document = wapi::openapi_document();
    check_generated_file("docs/reference/http-api.md", |page| {
        fill_page(page, &[("Routes", format_routes(document))])
    });
}

/// Writes a table for each tag of the document.
fn format_routes(document: &Value) -> String {
    let tags = document["tags"].as_array().expect("there are tags");
    let parts = tags.iter().map(|tag| {
        let name = tag["name"].as_str().unwrap_or_default();
        let description = tag["description"].as_str().unwrap_or_default();
        let routes = list_routes(document, name);
        let table = format_table(["Route", "Scope", "Purpose"], routes);
        format!("### {name}\n\n{description}\n\n{table}")
    });
    parts.collect::<Vec<_>>().join("\n")
}

/// Returns the rows of a tag: the method and path, the scope, the summary.
fn list_routes(document: &Value, tag: &str) -> Vec<[String; 3]> {
    let paths = document["paths"].as_object().expect("there are paths");
    let operations = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| (path, method, operation))
    });
    operations
        .filter(|(_, _, operation)| operation["tags"][0] == tag)
        .map(|(path, method, operation)| {
            let summary = operation["summary"].as_str().unwrap_or_default();
            [
                format!("`{} {path}`", method.to_uppercase()),
                needed_scope(operation).map_or_else(|| "–".to_owned(), |it| format!("`{it}`")),
                summary.to_owned(),
            ]
        })
        .collect()
}

/// Returns the scope that the description names.
fn needed_scope(operation: &Value) -> Option<&str> {
    let description = operation["description"].as_str()?;
    let (_, rest) = description.split_once("with the scope `")?;
    rest.split('`').next()
}
