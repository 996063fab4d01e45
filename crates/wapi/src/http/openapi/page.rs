//! `GET /docs`: the document as an HTML page without scripts or external resources. Pure.

mod shape;

use std::fmt::Write;

use serde_json::{Map, Value};

use super::METHODS;
use shape::shape;

const STYLE: &str = include_str!("page/style.css");

/// Renders the whole page.
pub fn page(document: &Value) -> String {
    let (mut index, mut body) = (String::new(), String::new());
    for tag in document["tags"].as_array().into_iter().flatten() {
        let (name, id) = (word(&tag["name"]), anchor(word(&tag["name"])));
        write(
            &mut index,
            format_args!("<li><a href=\"#{id}\">{}</a>", escaped(name)),
        );
        write(
            &mut body,
            format_args!("<h2 id=\"{id}\">{}</h2>", escaped(name)),
        );
        write(
            &mut body,
            format_args!("<p>{}</p>", prose(word(&tag["description"]))),
        );
        for (path, method, operation) in operations(document) {
            if operation["tags"][0] == tag["name"] {
                body.push_str(&described(path, method, operation));
            }
        }
    }
    index.push_str("<li><a href=\"#schemas\">Objects</a>");
    body.push_str("<h2 id=\"schemas\">Objects</h2>");
    for (name, schema) in object(&document["components"]["schemas"]) {
        write(
            &mut body,
            format_args!("<section id=\"schema-{name}\"><h3>{name}</h3>"),
        );
        write(
            &mut body,
            format_args!("<p>{}</p>", prose(word(&schema["description"]))),
        );
        write(
            &mut body,
            format_args!("<pre>{}</pre></section>", shape(schema)),
        );
    }
    let info = &document["info"];
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} {version}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body><nav><ul>{index}</ul></nav>\
         <main><h1>{title} <small>{version}</small></h1><p>{summary}. {description} For programs: \
         <a href=\"openapi.json\">openapi.json</a>.</p>{body}</main></body></html>",
        title = escaped(word(&info["title"])),
        version = escaped(word(&info["version"])),
        summary = escaped(word(&info["summary"])),
        description = prose(word(&info["description"])),
    )
}

/// Lists path, method and description of every operation.
fn operations(document: &Value) -> impl Iterator<Item = (&String, &'static str, &Value)> {
    object(&document["paths"]).flat_map(|(path, methods)| {
        METHODS
            .iter()
            .filter_map(move |method| Some((path, *method, methods.get(method.to_lowercase())?)))
    })
}

fn described(path: &str, method: &str, operation: &Value) -> String {
    let mut text = format!(
        "<details id=\"{id}\"><summary><b class=\"{method}\">{method}</b> <code>{path}</code> <span>{summary}</span></summary>\
         <p>{description}</p>",
        id = word(&operation["operationId"]),
        path = escaped(path),
        summary = escaped(word(&operation["summary"])),
        description = prose(word(&operation["description"])),
    );
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let rows: String = parameters.map(parameter).collect();
    if !rows.is_empty() {
        write(&mut text, format_args!("<table>{rows}</table>"));
    }
    for (media_type, content) in object(&operation["requestBody"]["content"]) {
        write(
            &mut text,
            format_args!("<h4>Body <small>{media_type}</small></h4>"),
        );
        write(
            &mut text,
            format_args!("<pre>{}</pre>", shape(&content["schema"])),
        );
        for (name, example) in object(&content["examples"]) {
            let shown =
                serde_json::to_string_pretty(&example["value"]).expect("JSON is always text");
            let title = example["summary"].as_str().unwrap_or(name);
            write(
                &mut text,
                format_args!("<h5>{}</h5><pre>{}</pre>", escaped(title), escaped(&shown)),
            );
        }
    }
    for (status, answer) in object(&operation["responses"]) {
        text.push_str(&answered(status, answer));
    }
    text + "</details>"
}

fn parameter(parameter: &Value) -> String {
    format!(
        "<tr><th><code>{name}</code><td>{place}<td><code>{shape}</code><td>{said}</tr>",
        name = escaped(word(&parameter["name"])),
        place = escaped(word(&parameter["in"])),
        shape = shape(&parameter["schema"]),
        said = prose(word(&parameter["description"])),
    )
}

fn answered(status: &str, answer: &Value) -> String {
    let mut text = format!(
        "<h4>{} <small>{}</small></h4>",
        escaped(status),
        prose(word(&answer["description"]))
    );
    // The description of a problem lists its codes; its schema is always the same.
    let is_good = status.starts_with('2');
    for (media_type, content) in object(&answer["content"]).filter(|_| is_good) {
        write(
            &mut text,
            format_args!(
                "<p><small>{media_type}</small></p><pre>{}</pre>",
                shape(&content["schema"])
            ),
        );
    }
    text
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn anchor(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Renders text between backticks as code.
fn prose(text: &str) -> String {
    let mut shown = String::new();
    for (index, part) in escaped(text).split('`').enumerate() {
        let (open, close) = if index % 2 == 1 {
            ("<code>", "</code>")
        } else {
            ("", "")
        };
        write(&mut shown, format_args!("{open}{part}{close}"));
    }
    shown
}

fn write(text: &mut String, what: std::fmt::Arguments<'_>) {
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
        let page = page(&document);
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
