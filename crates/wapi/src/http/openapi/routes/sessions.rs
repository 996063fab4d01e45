//! Sessions: their state, and commands to them.

use serde_json::{Value, json};

use crate::http::openapi::operation::{JSON, Operation, describe_route, session_name_schema};
use crate::http::openapi::schema::{
    any_object, boolean, list_of, number, object, or_null, schema_reference, string_enum, text,
    time_output, with_description, with_keyword,
};
use crate::sessions::{AppStateSync, SessionPhase};

pub fn describe_operations() -> Vec<Operation> {
    let mut operations = describe_commands();
    operations.extend([
        describe_route("GET", "/v1/sessions", "All sessions, by name").with_answer(
            200,
            "The sessions the key is for.",
            object(&[("sessions", list_of(schema_reference("Session")))]),
        ),
        describe_route("POST", "/v1/sessions", "Make a session")
            .with_body(new_session_schema())
            .with_answer(
                201,
                "The session, and the code to type where one was asked for.",
                created_session_schema(),
            )
            .with_problems(&[
                (409, "session_exists"),
                (409, "session_already_paired"),
                (409, "session_not_online"),
            ])
            .with_problems(&[(409, "history_off"), (503, "session_busy")])
            .with_problems(&[
                (502, "pairing_code_refused"),
                (503, "not_ready"),
                (504, "whatsapp_timeout"),
            ]),
        describe_route("GET", "/v1/sessions/{session}", "A session")
            .with_answer(200, "The session.", schema_reference("Session"))
            .with_problems(&[(404, "session_not_found")]),
        describe_route(
            "DELETE",
            "/v1/sessions/{session}",
            "Remove a session; what it has received is still delivered",
        )
        .with_query(
            "logout",
            string_enum(&["true", "false"]),
            "Whether it is taken off its account's list of devices first.",
        )
        .with_query("purge", string_enum(&["true", "false"]), PURGE_DESCRIPTION)
        .with_empty_answer(204, "It is gone.")
        .with_problems(&COMMAND_PROBLEMS),
        describe_route(
            "POST",
            "/v1/sessions/{session}/check",
            "Prove the whole way in, from WhatsApp to the disk",
        )
        .with_answer(200, "What was found.", check_schema())
        .with_problems(&COMMAND_PROBLEMS),
        describe_route(
            "GET",
            "/v1/sessions/{session}/qr",
            "The QR code that waits to be scanned",
        )
        .with_query("wait", number(0, 60), "Seconds to wait for one.")
        .with_answer_types(
            200,
            "In the form that `Accept` likes best.",
            &qr_code_types(),
        )
        .with_problems(&[
            (404, "session_not_found"),
            (404, "qr_code_not_found"),
            (406, "not_acceptable"),
        ]),
        describe_route(
            "POST",
            "/v1/sessions/{session}/pairing-code",
            "A code to type into the phone instead of scanning",
        )
        .with_body(object(&[("phone", phone_schema())]))
        .with_answer(200, "The code.", object(&[("code", text())]))
        .with_problems(&COMMAND_PROBLEMS)
        .with_problems(&[
            (409, "session_already_paired"),
            (502, "pairing_code_refused"),
        ]),
    ]);
    operations
}

const PURGE_DESCRIPTION: &str = "Whether everything goes that was kept under its name, whatever accounts it was linked to; what still was to be \
    delivered, too. It may be asked for after the session was removed. Otherwise it stays for whoever links the same account under this name.";

/// Problems of a command to a session.
const COMMAND_PROBLEMS: [(u16, &str); 6] = [
    (404, "session_not_found"),
    (409, "session_not_online"),
    (409, "session_not_paired"),
    (503, "not_ready"),
    (503, "session_busy"),
    (504, "whatsapp_timeout"),
];

fn describe_commands() -> Vec<Operation> {
    let orders = [
        (
            "/v1/sessions/{session}/start",
            "Start a session; it starts with the program from now on",
        ),
        (
            "/v1/sessions/{session}/stop",
            "Stop a session; it stays so over a restart of the program",
        ),
        (
            "/v1/sessions/{session}/restart",
            "Give a session a new connection",
        ),
        (
            "/v1/sessions/{session}/logout",
            "Take a session off its account's list of devices",
        ),
    ];
    let order = |(path, summary)| {
        describe_route("POST", path, summary)
            .with_answer(200, "The session.", schema_reference("Session"))
            .with_problems(&COMMAND_PROBLEMS)
    };
    orders.into_iter().map(order).collect()
}

fn phone_schema() -> Value {
    let number = with_keyword(text(), "examples", json!(["+375 44 703-48-10"]));
    with_description(
        number,
        "International: 7 to 15 digits that start with the country's code; signs between them are ignored.",
    )
}

fn new_session_schema() -> Value {
    let by_qr = object(&[("method", string_enum(&["qr"]))]);
    let by_code = object(&[
        ("method", string_enum(&["code"])),
        ("phone", phone_schema()),
    ]);
    object(&[
        ("id", session_name_schema()),
        (
            "pairing?",
            json!({"anyOf": [by_qr, by_code, {"type": "null"}]}),
        ),
        (
            "history?",
            or_null(with_description(
                boolean(),
                "Whether the phone is asked for its chats and messages when it is linked.",
            )),
        ),
        (
            "metadata?",
            or_null(with_description(
                any_object(),
                "Kept with it, and shown with it.",
            )),
        ),
    ])
}

fn created_session_schema() -> Value {
    let mut created = session_schema();
    created["properties"]["pairing_code"] = text();
    created
}

fn qr_code_types() -> [(&'static str, Value); 4] {
    let document = object(&[
        ("text", text()),
        ("png", with_description(text(), "In base64.")),
        ("expires_at", time_output()),
    ]);
    [
        ("image/png", text()),
        ("image/svg+xml", text()),
        ("text/plain", text()),
        (JSON, document),
    ]
}

fn check_schema() -> Value {
    let part = |more: &[(&'static str, Value)]| {
        let members = [
            &[
                ("ok", boolean()),
                ("ms?", json!({"type": "number"})),
                ("detail?", text()),
            ],
            more,
        ]
        .concat();
        object(&members)
    };
    object(&[
        (
            "ok",
            with_description(boolean(), "Whether everything is proven."),
        ),
        ("checked_at", time_output()),
        ("socket", part(&[])),
        ("store", part(&[])),
        (
            "inbound",
            part(&[("proof?", string_enum(&["phone", "traffic"]))]),
        ),
    ])
}

pub fn status_schema() -> Value {
    string_enum(&SessionPhase::ALL.map(SessionPhase::as_str))
}

pub fn account_schema() -> Value {
    object(&[
        ("phone", text()),
        ("lid", or_null(text())),
        ("name", or_null(text())),
    ])
}

pub fn connection_schema() -> Value {
    object(&[
        ("state", string_enum(&["offline", "connecting", "online"])),
        ("since", time_output()),
    ])
}

fn history_schema() -> Value {
    let said_of =
        "What its phone tells of the time before it was linked; `null` when it was not asked for.";
    let members = [
        (
            "status",
            string_enum(&["waiting", "receiving", "complete", "incomplete"]),
        ),
        ("progress", number(0, 100)),
        ("started_at", or_null(time_output())),
        ("updated_at", or_null(time_output())),
    ];
    with_description(object(&members), said_of)
}

pub fn session_schema() -> Value {
    object(&[
        ("id", session_name_schema()),
        ("status", status_schema()),
        ("reason", or_null(text())),
        ("since", time_output()),
        ("paired", boolean()),
        ("connection", connection_schema()),
        (
            "app_state",
            with_description(
                or_null(string_enum(&AppStateSync::WORDS)),
                "Whether it has read what the account's devices share: names, contacts, archived and muted chats. `waiting`: its phone has \
                 not shared the keys to that, as one that is off; messages come and go all the same. `null` while it is not online.",
            ),
        ),
        ("account", or_null(schema_reference("Account"))),
        ("last_received_at", or_null(time_output())),
        (
            "qr?",
            object(&[("path", text()), ("expires_at", time_output())]),
        ),
        ("history", or_null(history_schema())),
        (
            "disabled_webhooks",
            list_of(object(&[
                ("id", text()),
                ("reason", string_enum(&["asked", "gone", "failing"])),
                ("disabled_at", time_output()),
            ])),
        ),
        ("metadata", any_object()),
    ])
}
