//! Labels of chats and messages. Pure.

use serde_json::{Value, json};

use super::super::groups::REQUEST_PROBLEMS;
use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{
    list_of, number, object, schema_reference, text, with_description, with_keyword,
};
use crate::http::openapi::type_schemas::answer_schema;
use crate::http::v1::chats::labels::LONGEST_LABEL;
use crate::model::event::{LABEL_COLORS, Label};

const NOT_FOUND: [(u16, &str); 1] = [(404, "label_not_found")];

pub fn describe_operations() -> Vec<Operation> {
    let change = |method, path, summary| {
        describe_route(method, path, summary)
            .with_problems(&REQUEST_PROBLEMS)
            .with_problems(&NOT_FOUND)
    };
    let of_message = |method, summary| {
        change(
            method,
            "/v1/sessions/{session}/messages/{id}/labels/{label}",
            summary,
        )
        .with_query(
            "chat",
            text(),
            "The chat of a message that was not sent through the gateway.",
        )
        .with_problems(&[(404, "message_not_found")])
    };
    vec![
        describe_route(
            "GET",
            "/v1/sessions/{session}/labels",
            "List the labels of the account",
        )
        .with_answer(
            200,
            "The labels, by id.",
            object(&[("labels", list_of(answer_schema::<Label>()))]),
        )
        .with_problems(&[(404, "session_not_found")]),
        describe_route("POST", "/v1/sessions/{session}/labels", "Create a label")
            .with_body(label_schema(
                "name",
                "A colour that no label has, if there is one.",
            ))
            .with_answer(201, "The label.", answer_schema::<Label>())
            .with_problems(&REQUEST_PROBLEMS)
            .with_problems(&[(409, "labels_unread")]),
        change(
            "PUT",
            "/v1/sessions/{session}/labels/{label}",
            "Rename or recolour a label",
        )
        .with_body(with_keyword(
            label_schema("name?", "Index in WhatsApp's palette."),
            "minProperties",
            json!(1),
        ))
        .with_answer(200, "The label.", answer_schema::<Label>()),
        change(
            "DELETE",
            "/v1/sessions/{session}/labels/{label}",
            "Delete a label, and take it from all chats",
        )
        .with_empty_answer(204, "The label is deleted; its id is not used again."),
        describe_route(
            "GET",
            "/v1/sessions/{session}/labels/{label}/chats",
            "List the chats that have a label",
        )
        .with_answer(
            200,
            "The chats, by id.",
            object(&[("chats", list_of(schema_reference("Contact")))]),
        )
        .with_problems(&[(404, "session_not_found"), NOT_FOUND[0]]),
        change(
            "PUT",
            "/v1/sessions/{session}/chats/{chat}/labels/{label}",
            "Give a label to a chat",
        )
        .with_empty_answer(204, "The chat has the label."),
        change(
            "DELETE",
            "/v1/sessions/{session}/chats/{chat}/labels/{label}",
            "Take a label from a chat",
        )
        .with_empty_answer(204, "The chat does not have the label."),
        of_message("PUT", "Give a label to a message").with_empty_answer(
            204,
            "The message has the label, in apps that show labels of messages.",
        ),
        of_message("DELETE", "Take a label from a message")
            .with_empty_answer(204, "The message does not have the label."),
    ]
}

fn label_schema(name: &str, color: &str) -> Value {
    let text = json!({"type": "string", "minLength": 1, "maxLength": LONGEST_LABEL});
    let last = i64::from(LABEL_COLORS) - 1;
    object(&[
        (name, text),
        ("color?", with_description(number(0, last), color)),
    ])
}
