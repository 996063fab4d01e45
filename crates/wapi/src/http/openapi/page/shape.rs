//! A schema in readable notation, such as `{to: text, type?: "text" | "image"}`. Pure.

use serde_json::Value;

use super::{escaped, object, prose, word};

/// Renders a schema as HTML for a `<pre>`.
pub fn shape(schema: &Value) -> String {
    let mut shown = String::new();
    write(schema, 0, &mut shown);
    shown
}

fn write(schema: &Value, depth: usize, shown: &mut String) {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|address| address.rsplit('/').next())
    {
        shown.push_str(&format!("<a href=\"#schema-{name}\">{name}</a>"));
    } else if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words
            .iter()
            .map(|word| escaped(&word.to_string()))
            .collect();
        shown.push_str(&words.join(" | "));
    } else if let Some(one_of) = ["anyOf", "oneOf"]
        .iter()
        .find_map(|key| schema[*key].as_array())
    {
        for (index, schema) in one_of.iter().enumerate() {
            shown.push_str(if index > 0 { " | " } else { "" });
            write(schema, depth, shown);
        }
    } else if let Some(parts) = schema["allOf"].as_array().and_then(|parts| parts.first()) {
        write(parts, depth, shown);
    } else {
        match (word(&schema["type"]), word(&schema["format"])) {
            ("object", _) if schema["properties"].is_object() => members(schema, depth, shown),
            ("array", _) => {
                shown.push('[');
                write(&schema["items"], depth, shown);
                shown.push_str(", …]");
            }
            ("string", "") => shown.push_str("text"),
            ("", _) => shown.push_str("anything"),
            (kind, "") => shown.push_str(&escaped(kind)),
            (_, form) => shown.push_str(&escaped(form)),
        }
    }
}

fn members(schema: &Value, depth: usize, shown: &mut String) {
    let required = |name: &str| {
        schema["required"]
            .as_array()
            .is_some_and(|names| names.iter().any(|it| it == name))
    };
    shown.push_str("{\n");
    for (name, member) in object(&schema["properties"]) {
        let mark = if required(name) { "" } else { "?" };
        shown.push_str(&format!(
            "{}<b>{}</b>{mark}: ",
            "  ".repeat(depth + 1),
            escaped(name)
        ));
        write(member, depth + 1, shown);
        if let Some(said) = said(member) {
            shown.push_str(&format!("  <i>{}</i>", prose(said)));
        }
        shown.push('\n');
    }
    shown.push_str(&format!("{}}}", "  ".repeat(depth)));
}

/// Returns the description of a member, also of one that may be null.
fn said(member: &Value) -> Option<&str> {
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
        list, number, object, or_null, reference, said, text, time, words,
    };
    use super::shape;

    #[test]
    fn objects_show_what_they_hold() {
        let schema = object(&[
            ("to", said(text(), "A number.")),
            (
                "type?",
                or_null(said(words(&["text", "image"]), "Which one.")),
            ),
            ("at?", time()),
            ("of", list(object(&[("n", number(0, 9))]))),
            ("group", reference("Group")),
        ]);
        let expected = "{\n  <b>at</b>?: date-time\n  <b>group</b>: <a href=\"#schema-Group\">Group</a>\n  \
                        <b>of</b>: [{\n    <b>n</b>: integer\n  }, …]\n  <b>to</b>: text  <i>A number.</i>\n  \
                        <b>type</b>?: &quot;text&quot; | &quot;image&quot; | null  <i>Which one.</i>\n}";
        assert_eq!(shape(&schema), expected);
    }
}
