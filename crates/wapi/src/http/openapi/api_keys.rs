//! API keys.

use serde_json::Value;

use super::operation::{Operation, route, session_name};
use super::schema::{
    list, moment, object, or_null, reference, said, some_of, text, time, with, words,
};
use crate::keys::Scope;

pub fn operations() -> Vec<Operation> {
    let name = with(with(text(), "minLength", 1.into()), "maxLength", 100.into());
    let wish = object(&[
        ("name", name),
        ("scopes", some_of(scope())),
        (
            "sessions?",
            or_null(said(some_of(session_name()), "Left out or `null`: all.")),
        ),
        ("expires_at?", or_null(moment())),
    ]);
    let mut made = api_key();
    made["properties"]["key"] = said(text(), "The key itself, shown this once.");
    made["required"]
        .as_array_mut()
        .expect("an object has a list of them")
        .push("key".into());
    vec![
        route(
            "GET",
            "/v1/api-keys",
            "All API keys but that of the settings",
        )
        .answers(
            200,
            "The keys, the oldest first.",
            object(&[("api_keys", list(reference("ApiKey")))]),
        ),
        route("POST", "/v1/api-keys", "Make an API key")
            .body(wish)
            .answers(201, "The key.", made)
            .problems(&[(409, "admin_key_first")]),
        route("DELETE", "/v1/api-keys/{id}", "Remove an API key")
            .answers_nothing(204, "Nobody enters with it any more.")
            .problems(&[(404, "api_key_not_found"), (409, "last_admin_key")]),
    ]
}

fn scope() -> Value {
    words(&Scope::ALL.map(Scope::word))
}

pub fn api_key() -> Value {
    object(&[
        ("id", text()),
        ("name", text()),
        ("hint", said(text(), "The last letters of the key itself.")),
        ("scopes", list(scope())),
        ("sessions", or_null(list(session_name()))),
        ("created_at", time()),
        ("expires_at", or_null(time())),
        ("last_used_at", or_null(said(time(), "To the minute."))),
    ])
}
