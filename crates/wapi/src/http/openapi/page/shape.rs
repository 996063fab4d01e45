//! A schema in readable notation, such as `{to: text, type?: "text" | "image"}`. Pure.

use serde_json::Value;

use super::{escape_html, object_entries, render_prose, text_or_empty};

/// Renders a schema as HTML for a `<pre>`.
pub fn render_schema(schema: &Value) -> String {
    let mut shown = String::new();
    write_schema(schema, 0, &mut shown);
    shown
}

fn write_schema(schema: &Value, depth: usize, shown: &mut String) {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|address| address.rsplit('/').next())
    {
        shown.push_str(&format!("<a href=\"#schema-{name}\">{name}</a>"));
    } else if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values
            .iter()
            .map(|value| escape_html(&value.to_string()))
            .collect();
        shown.push_str(&values.join(" | "));
    } else if let Some(one_of) = ["anyOf", "oneOf"]
        .iter()
        .find_map(|key| schema[*key].as_array())
    {
        for (index, schema) in one_of.iter().enumerate() {
            shown.push_str(if index > 0 { " | " } else { "" });
            write_schema(schema, depth, shown);
        }
    } else if let Some(parts) = schema["allOf"].as_array().and_then(|parts| parts.first()) {
        write_schema(parts, depth, shown);
    } else {
        match (
            text_or_empty(&schema["type"]),
            text_or_empty(&schema["format"]),
        ) {
            ("object", _) if schema["properties"].is_object() => {
                write_members(schema, depth, shown)
            }
            ("array", _) => {
                shown.push('[');
                write_schema(&schema["items"], depth, shown);
                shown.push_str(", …]");
            }
            ("string", "") => shown.push_str("text"),
            ("", _) => shown.push_str("anything"),
            (kind, "") => shown.push_str(&escape_html(kind)),
            (_, form) => shown.push_str(&escape_html(form)),
        }
    }
}

fn write_members(schema: &Value, depth: usize, shown: &mut String) {
    let required = |name: &str| {
        schema["required"]
            .as_array()
            .is_some_and(|names| names.iter().any(|it| it == name))
    };
    shown.push_str("{\n");
    for (name, member) in object_entries(&schema["properties"]) {
        let mark = if required(name) { "" } else { "?" };
        shown.push_str(&format!(
            "{}<b>{}</b>{mark}: ",
            "  ".repeat(depth + 1),
            escape_html(name)
        ));
        write_schema(member, depth + 1, shown);
        if let Some(description) = find_description(member) {
            shown.push_str(&format!("  <i>{}</i>", render_prose(description)));
        }
        shown.push('\n');
    }
    shown.push_str(&format!("{}}}", "  ".repeat(depth)));
}

/// Returns the description of a member, also of one that may be null.
fn find_description(member: &Value) -> Option<&str> {
    let inner = || {
        member["anyOf"]
            .as_array()?
            .iter()
            .find_map(|schema| schema["description"].as_str())
    };
    member["description"].as_str().or_else(inner)
}

#[cfg(test)]
mod tests {
    use super::super::super::schema::{
        list_of, number, object, or_null, schema_reference, string_enum, text, time_output,
        with_description,
    };
    use super::render_schema;

    #[test]
    fn objects_show_what_they_hold() {
        let schema = object(&[
            ("to", with_description(text(), "A number.")),
            (
                "type?",
                or_null(with_description(
                    string_enum(&["text", "image"]),
                    "Which one.",
                )),
            ),
            ("at?", time_output()),
            ("of", list_of(object(&[("n", number(0, 9))]))),
            ("group", schema_reference("Group")),
        ]);
        let expected = "{\n  <b>at</b>?: date-time\n  <b>group</b>: <a href=\"#schema-Group\">Group</a>\n  \
                        <b>of</b>: [{\n    <b>n</b>: integer\n  }, …]\n  <b>to</b>: text  <i>A number.</i>\n  \
                        <b>type</b>?: &quot;text&quot; | &quot;image&quot; | null  <i>Which one.</i>\n}";
        assert_eq!(render_schema(&schema), expected);
    }
}
