//! `GET /docs`: the document as an HTML page without scripts or external resources. Pure.

mod shape;

use std::fmt::Write;

use serde_json::{Map, Value};
use shape::render_schema;

use super::METHODS;

const STYLE: &str = include_str!("style.css");

/// Renders the whole page.
pub fn render_page(document: &Value) -> String {
    let (mut index, mut body) = (String::new(), String::new());
    for tag in document["tags"].as_array().into_iter().flatten() {
        let (name, id) = (
            text_or_empty(&tag["name"]),
            to_anchor(text_or_empty(&tag["name"])),
        );
        write_html(
            &mut index,
            format_args!("<li><a href=\"#{id}\">{}</a>", escape_html(name)),
        );
        write_html(
            &mut body,
            format_args!("<h2 id=\"{id}\">{}</h2>", escape_html(name)),
        );
        write_html(
            &mut body,
            format_args!(
                "<p>{}</p>",
                render_prose(text_or_empty(&tag["description"]))
            ),
        );
        for (path, method, operation) in list_operations(document) {
            if operation["tags"][0] == tag["name"] {
                body.push_str(&render_operation(path, method, operation));
            }
        }
    }
    index.push_str("<li><a href=\"#schemas\">Objects</a>");
    body.push_str("<h2 id=\"schemas\">Objects</h2>");
    for (name, schema) in object_entries(&document["components"]["schemas"]) {
        write_html(
            &mut body,
            format_args!("<section id=\"schema-{name}\"><h3>{name}</h3>"),
        );
        write_html(
            &mut body,
            format_args!(
                "<p>{}</p>",
                render_prose(text_or_empty(&schema["description"]))
            ),
        );
        write_html(
            &mut body,
            format_args!("<pre>{}</pre></section>", render_schema(schema)),
        );
    }
    let info = &document["info"];
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} {version}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body><nav><ul>{index}</ul></nav>\
         <main><h1>{title} <small>{version}</small></h1><p>{summary}. {description} For programs: \
         <a href=\"openapi.json\">openapi.json</a>.</p>{body}</main></body></html>",
        title = escape_html(text_or_empty(&info["title"])),
        version = escape_html(text_or_empty(&info["version"])),
        summary = escape_html(text_or_empty(&info["summary"])),
        description = render_prose(text_or_empty(&info["description"])),
    )
}

/// Lists path, method and description of every operation.
fn list_operations(document: &Value) -> impl Iterator<Item = (&String, &'static str, &Value)> {
    object_entries(&document["paths"]).flat_map(|(path, methods)| {
        METHODS
            .iter()
            .filter_map(move |method| Some((path, *method, methods.get(method.to_lowercase())?)))
    })
}

fn render_operation(path: &str, method: &str, operation: &Value) -> String {
    let mut text = format!(
        "<details id=\"{id}\"><summary><b class=\"{method}\">{method}</b> <code>{path}</code> <span>{summary}</span></summary>\
         <p>{description}</p>",
        id = text_or_empty(&operation["operationId"]),
        path = escape_html(path),
        summary = escape_html(text_or_empty(&operation["summary"])),
        description = render_prose(text_or_empty(&operation["description"])),
    );
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let rows: String = parameters.map(render_parameter).collect();
    if !rows.is_empty() {
        write_html(&mut text, format_args!("<table>{rows}</table>"));
    }
    for (media_type, content) in object_entries(&operation["requestBody"]["content"]) {
        write_html(
            &mut text,
            format_args!("<h4>Body <small>{media_type}</small></h4>"),
        );
        write_html(
            &mut text,
            format_args!("<pre>{}</pre>", render_schema(&content["schema"])),
        );
        for (name, example) in object_entries(&content["examples"]) {
            let shown =
                serde_json::to_string_pretty(&example["value"]).expect("JSON is always text");
            let title = example["summary"].as_str().unwrap_or(name);
            write_html(
                &mut text,
                format_args!(
                    "<h5>{}</h5><pre>{}</pre>",
                    escape_html(title),
                    escape_html(&shown)
                ),
            );
        }
    }
    for (status, answer) in object_entries(&operation["responses"]) {
        text.push_str(&render_answer(status, answer));
    }
    text + "</details>"
}

fn render_parameter(parameter: &Value) -> String {
    format!(
        "<tr><th><code>{name}</code><td>{place}<td><code>{shape}</code><td>{said}</tr>",
        name = escape_html(text_or_empty(&parameter["name"])),
        place = escape_html(text_or_empty(&parameter["in"])),
        shape = render_schema(&parameter["schema"]),
        said = render_prose(text_or_empty(&parameter["description"])),
    )
}

fn render_answer(status: &str, answer: &Value) -> String {
    let mut text = format!(
        "<h4>{} <small>{}</small></h4>",
        escape_html(status),
        render_prose(text_or_empty(&answer["description"]))
    );
    // The description of a problem lists its codes; its schema is always the same.
    let is_good = status.starts_with('2');
    for (media_type, content) in object_entries(&answer["content"]).filter(|_| is_good) {
        write_html(
            &mut text,
            format_args!(
                "<p><small>{media_type}</small></p><pre>{}</pre>",
                render_schema(&content["schema"])
            ),
        );
    }
    text
}

fn object_entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn text_or_empty(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn to_anchor(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

pub fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Renders text between backticks as code.
fn render_prose(text: &str) -> String {
    let mut shown = String::new();
    for (index, part) in escape_html(text).split('`').enumerate() {
        let (open, close) = if index % 2 == 1 {
            ("<code>", "</code>")
        } else {
            ("", "")
        };
        write_html(&mut shown, format_args!("{open}{part}{close}"));
    }
    shown
}

fn write_html(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("memory takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_document_says_is_text_and_never_markup() {
        let document = json!({
            "info": {"title": "<b>", "version": "1", "summary": "a & b", "description": "`code` and <script>"},
            "tags": [{"name": "All of it", "description": "\"quoted\""}],
            "paths": {"/a/{b}": {"get": {
                "operationId": "getA", "tags": ["All of it"], "summary": "<i>", "responses": {"200": {"description": "Good."}},
            }}},
        });
        let page = render_page(&document);
        assert!(
            page.contains("&lt;b&gt;")
                && page.contains("a &amp; b")
                && page.contains("<code>code</code>"),
            "{page}"
        );
        assert!(
            page.contains("href=\"#all-of-it\"") && page.contains("<details id=\"getA\">"),
            "{page}"
        );
        assert!(!page.contains("<script") && !page.contains("<i>"), "{page}");
    }
}
