//! Groups. Pure.

use serde_json::Value;

use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{
    boolean, count, list_of, object, or_null, schema_reference, string_enum, text, time_output,
    with_description,
};

/// Problems of every route that sends a request to WhatsApp.
pub const REQUEST_PROBLEMS: [(u16, &str); 5] = [
    (404, "session_not_found"),
    (409, "session_not_online"),
    (409, "session_not_paired"),
    (502, "whatsapp_refused"),
    (504, "whatsapp_timeout"),
];

pub fn describe_operations() -> Vec<Operation> {
    vec![
        describe_route(
            "GET",
            "/v1/sessions/{session}/groups",
            "The groups an account is in",
        )
        .with_answer(
            200,
            "The groups, by address.",
            object(&[("groups", list_of(schema_reference("Group")))]),
        )
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "GET",
            "/v1/sessions/{session}/groups/{group}",
            "A group and its members",
        )
        .with_answer(200, "The group.", schema_reference("Group"))
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(404, "group_not_found")]),
    ]
}

pub fn person_members() -> [(&'static str, Value); 7] {
    [
        (
            "id",
            with_description(
                text(),
                "The number's address where the number is known, else the LID.",
            ),
        ),
        (
            "phone",
            or_null(with_description(
                text(),
                "International number, digits only.",
            )),
        ),
        ("lid", or_null(text())),
        (
            "name",
            or_null(with_description(
                text(),
                "What to call them: `saved_name`, else `verified_name`, else what they call themselves.",
            )),
        ),
        (
            "saved_name?",
            with_description(
                text(),
                "As the account has saved them; left out where it has not.",
            ),
        ),
        (
            "verified_name?",
            with_description(
                text(),
                "The name of a business, checked by WhatsApp; left out where there is none.",
            ),
        ),
        (
            "push_name?",
            with_description(
                text(),
                "What they call themselves; left out where it is `name`, or not known.",
            ),
        ),
    ]
}

pub fn group_schema() -> Value {
    let role = with_description(
        string_enum(&["member", "admin", "superadmin"]),
        "`superadmin` is the admin who founded the group.",
    );
    let member = object(&[&person_members()[..], &[("role", role)]].concat());
    object(&[
        (
            "id",
            with_description(text(), "`…@g.us`; messages are sent to it."),
        ),
        ("subject", text()),
        ("description", or_null(text())),
        ("created_at", or_null(time_output())),
        ("created_by", or_null(object(&person_members()))),
        (
            "announcement",
            with_description(boolean(), "Only admins may write."),
        ),
        (
            "locked",
            with_description(boolean(), "Only admins may change subject and description."),
        ),
        (
            "expires_in",
            or_null(with_description(
                count(),
                "Seconds until messages disappear.",
            )),
        ),
        ("participants", list_of(member)),
    ])
}
