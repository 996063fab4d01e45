//! Description of one route. Pure.

use serde_json::{Value, json};

use super::schema::{number, text, with_description};
use crate::http::access::table::RouteRow;

/// Schema per media type.
type MediaSchemas = Vec<(&'static str, Value)>;

/// One method of one path, as documented for callers.
pub struct Operation {
    pub method: &'static str,
    pub path: &'static str,
    pub summary: &'static str,
    pub parameters: Vec<Value>,
    pub body: Option<(Value, BodyPresence)>,
    /// Example bodies: name, title, value.
    pub examples: Vec<(&'static str, &'static str, Value)>,
    /// Other media types of the body, with their schemas.
    pub body_forms: MediaSchemas,
    /// Status, meaning, and schema per media type.
    pub answers: Vec<(u16, &'static str, MediaSchemas)>,
    /// Status and code of problems beyond those of every route.
    pub problems: Vec<(u16, &'static str)>,
}

/// Whether a body must be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyPresence {
    Required,
    Optional,
}

pub const JSON: &str = "application/json";

/// Starts the description of a route; [`Operation`]'s methods add the rest.
pub const fn describe_route(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
) -> Operation {
    Operation {
        method,
        path,
        summary,
        parameters: Vec::new(),
        body: None,
        examples: Vec::new(),
        body_forms: Vec::new(),
        answers: Vec::new(),
        problems: Vec::new(),
    }
}

impl Operation {
    /// Returns whether it describes this row of the route table.
    pub fn is_for(&self, row: &RouteRow) -> bool {
        (self.method, self.path) == (row.method, row.path)
    }

    /// Returns whether the route has query parameters.
    pub fn has_query(&self) -> bool {
        self.parameters.iter().any(|it| it["in"] == "query")
    }

    pub fn with_query(mut self, name: &str, schema: Value, description: &str) -> Self {
        self.parameters.push(
            json!({"name": name, "in": "query", "schema": schema, "description": description}),
        );
        self
    }

    pub fn with_required_query(mut self, name: &str, schema: Value, description: &str) -> Self {
        let parameter = json!({"name": name, "in": "query", "required": true, "schema": schema});
        self.parameters
            .push(with_description(parameter, description));
        self
    }

    pub fn with_header(mut self, name: &str, schema: Value, description: &str) -> Self {
        self.parameters.push(
            json!({"name": name, "in": "header", "schema": schema, "description": description}),
        );
        self
    }

    pub fn with_body(mut self, schema: Value) -> Self {
        self.body = Some((schema, BodyPresence::Required));
        self
    }

    pub fn with_examples(mut self, examples: Vec<(&'static str, &'static str, Value)>) -> Self {
        self.examples = examples;
        self
    }

    pub fn with_optional_body(mut self, schema: Value) -> Self {
        self.body = Some((schema, BodyPresence::Optional));
        self
    }

    /// Adds another media type of the body.
    pub fn with_body_type(mut self, media_type: &'static str, schema: Value) -> Self {
        self.body_forms.push((media_type, schema));
        self
    }

    pub fn with_answer(self, status: u16, meaning: &'static str, schema: Value) -> Self {
        self.with_answer_types(status, meaning, &[(JSON, schema)])
    }

    pub fn with_answer_types(
        mut self,
        status: u16,
        meaning: &'static str,
        media: &[(&'static str, Value)],
    ) -> Self {
        self.answers.push((status, meaning, media.to_vec()));
        self
    }

    /// Adds a status without a body.
    pub fn with_empty_answer(mut self, status: u16, meaning: &'static str) -> Self {
        self.answers.push((status, meaning, Vec::new()));
        self
    }

    pub fn with_problems(mut self, problems: &[(u16, &'static str)]) -> Self {
        self.problems.extend_from_slice(problems);
        self
    }
}

/// Describes a parameter between braces in a path.
pub fn path_parameter(name: &str) -> Value {
    let (schema, description) = match name {
        "session" => (
            session_name_schema(),
            "The session's name, percent-encoded.",
        ),
        "group" => (text(), "The group's address, `…@g.us`."),
        "community" => (text(), "The community's address, `…@g.us`."),
        "participant" => (text(), "A number in any spelling, or a person's address."),
        "code" => (text(), "The code of the invite link."),
        "chat" => (text(), "A number in any spelling, or an address."),
        "contact" => (text(), "A number in any spelling, or a person's address."),
        "order" => (
            text(),
            "The id of the order, from the message of type `order`.",
        ),
        "newsletter" => (text(), "The newsletter's address, `…@newsletter`."),
        "post" => (
            text(),
            "The number of the post, or its id if it is one of the newest 100.",
        ),
        "label" => (text(), "The id of the label."),
        "call" => (text(), "The id of the call, from `call.incoming`."),
        "delivery" => (number(1, i64::MAX), "The number of the delivery."),
        _ => (text(), "The id from its creation."),
    };
    json!({"name": name, "in": "path", "required": true, "schema": schema, "description": description})
}

pub fn session_name_schema() -> Value {
    let name = json!({"type": "string", "minLength": 1, "maxLength": 200, "examples": ["shop"]});
    with_description(
        name,
        "Any text but `.` and `..`; as a file name, percent-encoded, it must fit into 240 bytes.",
    )
}
