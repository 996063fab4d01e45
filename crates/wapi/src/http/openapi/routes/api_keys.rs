//! API keys.

use serde_json::Value;
use strum::VariantNames;

use crate::http::openapi::operation::{Operation, describe_route, session_name_schema};
use crate::http::openapi::schema::{
    list_of, non_empty_list, object, or_null, schema_reference, string_enum, text, time_input,
    time_output, with_description, with_keyword,
};
use crate::model::access::Scope;

pub fn describe_operations() -> Vec<Operation> {
    let name = with_keyword(
        with_keyword(text(), "minLength", 1.into()),
        "maxLength",
        100.into(),
    );
    let request = object(&[
        ("name", name),
        ("scopes", non_empty_list(scope_schema())),
        (
            "sessions?",
            or_null(with_description(
                non_empty_list(session_name_schema()),
                "All sessions if omitted or `null`.",
            )),
        ),
        ("expires_at?", or_null(time_input())),
    ]);
    let mut made = api_key_schema();
    made["properties"]["key"] = with_description(text(), "The key, shown only in this answer.");
    made["required"]
        .as_array_mut()
        .expect("an object has a list of them")
        .push("key".into());
    vec![
        describe_route(
            "GET",
            "/v1/api-keys",
            "List all API keys except the one in the settings",
        )
        .with_answer(
            200,
            "The keys, oldest first.",
            object(&[("api_keys", list_of(schema_reference("ApiKey")))]),
        ),
        describe_route("POST", "/v1/api-keys", "Create an API key")
            .with_body(request)
            .with_answer(201, "The key.", made)
            .with_problems(&[(409, "admin_key_first")]),
        describe_route("DELETE", "/v1/api-keys/{id}", "Remove an API key")
            .with_empty_answer(204, "The key is no longer accepted.")
            .with_problems(&[(404, "api_key_not_found"), (409, "last_admin_key")]),
    ]
}

fn scope_schema() -> Value {
    string_enum(Scope::VARIANTS)
}

pub fn api_key_schema() -> Value {
    object(&[
        ("id", text()),
        ("name", text()),
        (
            "hint",
            with_description(text(), "The last characters of the key."),
        ),
        ("scopes", list_of(scope_schema())),
        ("sessions", or_null(list_of(session_name_schema()))),
        ("created_at", time_output()),
        ("expires_at", or_null(time_output())),
        (
            "last_used_at",
            or_null(with_description(time_output(), "Precise to the minute.")),
        ),
    ])
}
