//! Sessions: their state, and commands to them.

mod linking;
mod proxy;

use serde_json::{Value, json};
use strum::VariantNames;

use super::groups::REQUEST_PROBLEMS;
use crate::http::openapi::operation::{JSON, Operation, describe_route, session_name_schema};
use crate::http::openapi::schema::{
    any_object, boolean, list_of, number, object, or_null, schema_reference, string_enum, text,
    time_output, with_description, with_keyword,
};
use crate::http::openapi::type_schemas::{answer_schema, type_schema};
use crate::http::v1::sessions::pacing::{LARGEST_COUNT, LONGEST_GAP};
use crate::http::v1::sessions::proxy::ProxyInfo;
use crate::model::event::{AccountLimits, ConnectionInfo, HistoryProgress};
use crate::model::send_hold::Pacing;
use crate::sessions::{AppStateSync, SessionPhase};

pub fn describe_operations() -> Vec<Operation> {
    let mut operations = describe_commands();
    operations.extend([
        describe_route("GET", "/v1/sessions", "List all sessions by name").with_answer(
            200,
            "The sessions that the key is valid for.",
            object(&[("sessions", list_of(schema_reference("Session")))]),
        ),
        describe_route("POST", "/v1/sessions", "Create a session")
            .with_body(new_session_schema())
            .with_answer(
                201,
                "The session, and the pairing code if one was requested.",
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
            "PATCH",
            "/v1/sessions/{session}",
            "Change the pace at which a session's messages leave, or its proxy",
        )
        .with_body(object(&[
            ("pacing?", or_null(new_pacing_schema())),
            ("proxy?", or_null(proxy::new_proxy_schema())),
        ]))
        .with_answer(200, "The session.", schema_reference("Session"))
        .with_problems(&[
            (404, "session_not_found"),
            (503, "not_ready"),
            (503, "session_busy"),
        ]),
        describe_route(
            "DELETE",
            "/v1/sessions/{session}",
            "Remove a session; its pending deliveries stay",
        )
        .with_query(
            "logout",
            string_enum(&["true", "false"]),
            "Whether the device is first logged out of its account.",
        )
        .with_query("purge", string_enum(&["true", "false"]), PURGE_DESCRIPTION)
        .with_empty_answer(204, "Removed.")
        .with_problems(&COMMAND_PROBLEMS),
        describe_route(
            "POST",
            "/v1/sessions/{session}/check",
            "Check the whole inbound path, from WhatsApp to the disk",
        )
        .with_answer(200, "The results of the check.", check_schema())
        .with_problems(&COMMAND_PROBLEMS),
        proxy::describe_check(),
        describe_route(
            "GET",
            "/v1/sessions/{session}/limits",
            "Ask WhatsApp for the limits of the account",
        )
        .with_answer(
            200,
            "The reach-out time-lock, and the quota of new chats.",
            answer_schema::<AccountLimits>(),
        )
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(502, "whatsapp_changed")]),
        describe_route(
            "GET",
            "/v1/sessions/{session}/qr",
            "Retrieve the current QR code",
        )
        .with_query("wait", number(0, 60), "Seconds to wait for a QR code.")
        .with_answer_types(
            200,
            "In the format that `Accept` prefers.",
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
            "Request a pairing code to type into the phone",
        )
        .with_body(object(&[("phone", phone_schema())]))
        .with_answer(200, "The code.", object(&[("code", text())]))
        .with_problems(&COMMAND_PROBLEMS)
        .with_problems(&[
            (409, "session_already_paired"),
            (502, "pairing_code_refused"),
        ]),
    ]);
    operations.extend(linking::describe_operations());
    operations
}

const PURGE_DESCRIPTION: &str = "Whether all data under this name is deleted, of all accounts that were linked to it, \
 pending deliveries included. Also possible after the session was removed. Otherwise the data stays, and is available \
 again when the same account is linked under this name.";

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
            "Start a session; it also starts with the program from now on",
        ),
        (
            "/v1/sessions/{session}/stop",
            "Stop a session; it stays stopped when the program restarts",
        ),
        ("/v1/sessions/{session}/restart", "Reconnect a session"),
        (
            "/v1/sessions/{session}/logout",
            "Log a session out of its account",
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
        "International number: 7 to 15 digits that start with the country code; other characters are ignored.",
    )
}

fn new_pacing_schema() -> Value {
    let count = |least| or_null(number(least, LARGEST_COUNT.into()));
    let described = |schema, text: &str| with_description(or_null(schema), text);
    object(&[
        (
            "min_gap?",
            described(
                number(0, LONGEST_GAP.into()),
                "Seconds between two messages.",
            ),
        ),
        (
            "jitter?",
            described(
                number(0, LONGEST_GAP.into()),
                "Up to so many seconds more, by chance.",
            ),
        ),
        (
            "typing?",
            described(
                boolean(),
                "Shows the recipient that the account types before a text.",
            ),
        ),
        (
            "per_day?",
            with_description(count(1), "Messages within 24 hours."),
        ),
        (
            "new_chats_per_day?",
            with_description(
                count(0),
                "People who have not written to the account, within 24 hours.",
            ),
        ),
    ])
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
        ("pacing?", or_null(new_pacing_schema())),
        ("proxy?", or_null(proxy::new_proxy_schema())),
        (
            "metadata?",
            or_null(with_description(
                any_object(),
                "Stored and returned with the session.",
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
        ("number", with_description(number(1, 20), "From 1.")),
        (
            "total",
            with_description(
                number(1, 20),
                "How many codes there are until WhatsApp must be asked for new ones.",
            ),
        ),
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
            with_description(boolean(), "Whether all checks passed."),
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

fn history_schema() -> Value {
    with_description(
        answer_schema::<HistoryProgress>(),
        "Progress of the history sync, in which the phone sends its earlier chats and messages; `null` if none was \
         requested.",
    )
}

pub fn session_schema() -> Value {
    object(&[
        ("id", session_name_schema()),
        ("status", type_schema::<SessionPhase>()),
        ("reason", or_null(text())),
        ("since", time_output()),
        ("paired", boolean()),
        ("connection", type_schema::<ConnectionInfo>()),
        (
            "app_state",
            with_description(
                or_null(string_enum(AppStateSync::VARIANTS)),
                "Whether the session has read the data that the account's devices share: names, contacts, archived and \
                 muted chats. `waiting`: its phone, which may be off, has not shared the keys yet; messages are sent \
                 and received all the same. `null` while the session is not online.",
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
        ("pacing?", answer_schema::<Pacing>()),
        ("proxy?", answer_schema::<ProxyInfo>()),
        ("metadata", any_object()),
    ])
}
