//! Sessions: their state, and commands to them.

use serde_json::{Value, json};

use super::operation::{JSON, Operation, route, session_name};
use super::schema::{
    anything, flag, list, number, object, or_null, reference, said, text, time, with, words,
};
use crate::sessions::{AppState, Status};

pub fn operations() -> Vec<Operation> {
    let mut operations = orders();
    operations.extend([
        route("GET", "/v1/sessions", "All sessions, by name").answers(
            200,
            "The sessions the key is for.",
            object(&[("sessions", list(reference("Session")))]),
        ),
        route("POST", "/v1/sessions", "Make a session")
            .body(new_session())
            .answers(
                201,
                "The session, and the code to type where one was asked for.",
                created(),
            )
            .problems(&[
                (409, "session_exists"),
                (409, "session_already_paired"),
                (409, "session_not_online"),
            ])
            .problems(&[(409, "history_off"), (503, "session_busy")])
            .problems(&[
                (502, "pairing_code_refused"),
                (503, "not_ready"),
                (504, "whatsapp_timeout"),
            ]),
        route("GET", "/v1/sessions/{session}", "A session")
            .answers(200, "The session.", reference("Session"))
            .problems(&[(404, "session_not_found")]),
        route(
            "DELETE",
            "/v1/sessions/{session}",
            "Remove a session; what it has received is still delivered",
        )
        .query(
            "logout",
            words(&["true", "false"]),
            "Whether it is taken off its account's list of devices first.",
        )
        .query("purge", words(&["true", "false"]), PURGE)
        .answers_nothing(204, "It is gone.")
        .problems(&COMMON),
        route(
            "POST",
            "/v1/sessions/{session}/check",
            "Prove the whole way in, from WhatsApp to the disk",
        )
        .answers(200, "What was found.", check())
        .problems(&COMMON),
        route(
            "GET",
            "/v1/sessions/{session}/qr",
            "The QR code that waits to be scanned",
        )
        .query("wait", number(0, 60), "Seconds to wait for one.")
        .answers_as(200, "In the form that `Accept` likes best.", &qr_forms())
        .problems(&[
            (404, "session_not_found"),
            (404, "qr_code_not_found"),
            (406, "not_acceptable"),
        ]),
        route(
            "POST",
            "/v1/sessions/{session}/pairing-code",
            "A code to type into the phone instead of scanning",
        )
        .body(object(&[("phone", phone())]))
        .answers(200, "The code.", object(&[("code", text())]))
        .problems(&COMMON)
        .problems(&[
            (409, "session_already_paired"),
            (502, "pairing_code_refused"),
        ]),
    ]);
    operations
}

const PURGE: &str = "Whether everything goes that was kept under its name, whatever accounts it was linked to; what still was to be \
    delivered, too. It may be asked for after the session was removed. Otherwise it stays for whoever links the same account under this name.";

/// Problems of a command to a session.
const COMMON: [(u16, &str); 6] = [
    (404, "session_not_found"),
    (409, "session_not_online"),
    (409, "session_not_paired"),
    (503, "not_ready"),
    (503, "session_busy"),
    (504, "whatsapp_timeout"),
];

fn orders() -> Vec<Operation> {
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
        route("POST", path, summary)
            .answers(200, "The session.", reference("Session"))
            .problems(&COMMON)
    };
    orders.into_iter().map(order).collect()
}

fn phone() -> Value {
    let number = with(text(), "examples", json!(["+375 44 703-48-10"]));
    said(
        number,
        "International: 7 to 15 digits that start with the country's code; signs between them are ignored.",
    )
}

fn new_session() -> Value {
    let by_qr = object(&[("method", words(&["qr"]))]);
    let by_code = object(&[("method", words(&["code"])), ("phone", phone())]);
    object(&[
        ("id", session_name()),
        (
            "pairing?",
            json!({"anyOf": [by_qr, by_code, {"type": "null"}]}),
        ),
        (
            "history?",
            or_null(said(
                flag(),
                "Whether the phone is asked for its chats and messages when it is linked.",
            )),
        ),
        (
            "metadata?",
            or_null(said(anything(), "Kept with it, and shown with it.")),
        ),
    ])
}

fn created() -> Value {
    let mut created = session();
    created["properties"]["pairing_code"] = text();
    created
}

fn qr_forms() -> [(&'static str, Value); 4] {
    let document = object(&[
        ("text", text()),
        ("png", said(text(), "In base64.")),
        ("expires_at", time()),
    ]);
    [
        ("image/png", text()),
        ("image/svg+xml", text()),
        ("text/plain", text()),
        (JSON, document),
    ]
}

fn check() -> Value {
    let part = |more: &[(&'static str, Value)]| {
        let members = [
            &[
                ("ok", flag()),
                ("ms?", json!({"type": "number"})),
                ("detail?", text()),
            ],
            more,
        ]
        .concat();
        object(&members)
    };
    object(&[
        ("ok", said(flag(), "Whether everything is proven.")),
        ("checked_at", time()),
        ("socket", part(&[])),
        ("store", part(&[])),
        ("inbound", part(&[("proof?", words(&["phone", "traffic"]))])),
    ])
}

pub fn status() -> Value {
    words(&Status::ALL.map(Status::word))
}

pub fn account() -> Value {
    object(&[
        ("phone", text()),
        ("lid", or_null(text())),
        ("name", or_null(text())),
    ])
}

pub fn connection() -> Value {
    object(&[
        ("state", words(&["offline", "connecting", "online"])),
        ("since", time()),
    ])
}

fn history() -> Value {
    let said_of =
        "What its phone tells of the time before it was linked; `null` when it was not asked for.";
    let members = [
        (
            "status",
            words(&["waiting", "receiving", "complete", "incomplete"]),
        ),
        ("progress", number(0, 100)),
        ("started_at", or_null(time())),
        ("updated_at", or_null(time())),
    ];
    said(object(&members), said_of)
}

pub fn session() -> Value {
    object(&[
        ("id", session_name()),
        ("status", status()),
        ("reason", or_null(text())),
        ("since", time()),
        ("paired", flag()),
        ("connection", connection()),
        (
            "app_state",
            said(
                or_null(words(&AppState::WORDS)),
                "Whether it has read what the account's devices share: names, contacts, archived and muted chats. `waiting`: its phone has \
                 not shared the keys to that, as one that is off; messages come and go all the same. `null` while it is not online.",
            ),
        ),
        ("account", or_null(reference("Account"))),
        ("last_received_at", or_null(time())),
        ("qr?", object(&[("path", text()), ("expires_at", time())])),
        ("history", or_null(history())),
        (
            "disabled_webhooks",
            list(object(&[
                ("id", text()),
                ("reason", words(&["asked", "gone", "failing"])),
                ("disabled_at", time()),
            ])),
        ),
        ("metadata", anything()),
    ])
}
