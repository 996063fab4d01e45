//! Groups. Pure.

use serde_json::Value;

use super::operation::{Operation, route};
use super::schema::{count, flag, list, object, or_null, reference, said, text, time, words};

/// Problems of every route that sends a request to WhatsApp.
pub const ASKED: [(u16, &str); 5] = [
    (404, "session_not_found"),
    (409, "session_not_online"),
    (409, "session_not_paired"),
    (502, "whatsapp_refused"),
    (504, "whatsapp_timeout"),
];

pub fn operations() -> Vec<Operation> {
    vec![
        route(
            "GET",
            "/v1/sessions/{session}/groups",
            "The groups an account is in",
        )
        .answers(
            200,
            "The groups, by address.",
            object(&[("groups", list(reference("Group")))]),
        )
        .problems(&ASKED),
        route(
            "GET",
            "/v1/sessions/{session}/groups/{group}",
            "A group and its members",
        )
        .answers(200, "The group.", reference("Group"))
        .problems(&ASKED)
        .problems(&[(404, "group_not_found")]),
    ]
}

pub fn person() -> [(&'static str, Value); 7] {
    [
        (
            "id",
            said(
                text(),
                "The number's address where the number is known, else the LID.",
            ),
        ),
        (
            "phone",
            or_null(said(text(), "International number, digits only.")),
        ),
        ("lid", or_null(text())),
        (
            "name",
            or_null(said(
                text(),
                "What to call them: `saved_name`, else `verified_name`, else what they call themselves.",
            )),
        ),
        (
            "saved_name?",
            said(
                text(),
                "As the account has saved them; left out where it has not.",
            ),
        ),
        (
            "verified_name?",
            said(
                text(),
                "The name of a business, checked by WhatsApp; left out where there is none.",
            ),
        ),
        (
            "push_name?",
            said(
                text(),
                "What they call themselves; left out where it is `name`, or not known.",
            ),
        ),
    ]
}

pub fn group() -> Value {
    let role = said(
        words(&["member", "admin", "superadmin"]),
        "`superadmin` is the admin who founded the group.",
    );
    let member = object(&[&person()[..], &[("role", role)]].concat());
    object(&[
        ("id", said(text(), "`…@g.us`; messages are sent to it.")),
        ("subject", text()),
        ("description", or_null(text())),
        ("created_at", or_null(time())),
        ("created_by", or_null(object(&person()))),
        ("announcement", said(flag(), "Only admins may write.")),
        (
            "locked",
            said(flag(), "Only admins may change subject and description."),
        ),
        (
            "expires_in",
            or_null(said(count(), "Seconds until messages disappear.")),
        ),
        ("participants", list(member)),
    ])
}
