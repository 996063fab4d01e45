//! Health, metrics, activity, and the API document.

use serde_json::Value;

use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{
    any_object, count, list_of, number, object, or_null, string_enum, text, time_output,
    with_description,
};

pub fn describe_operations() -> Vec<Operation> {
    vec![
        describe_route("GET", "/", "Show a start page for people")
            .with_answer_types(
                200,
                "A page, or with `Accept: application/json` the version and the addresses; `dashboard` is `null` \
                 where this address has none.",
                &[
                    ("text/html", text()),
                    (
                        "application/json",
                        object(&[
                            ("name", string_enum(&["wapi"])),
                            ("version", text()),
                            ("docs", text()),
                            ("openapi", text()),
                            ("dashboard", or_null(text())),
                        ]),
                    ),
                ],
            )
            .with_empty_answer(303, "To the dashboard: `Accept` names `text/html` first."),
        describe_route("GET", "/health/live", "Check whether the program runs").with_answer(
            200,
            "It does.",
            object(&[("status", string_enum(&["live"]))]),
        ),
        describe_route(
            "GET",
            "/health/ready",
            "Check whether requests and incoming messages can be handled",
        )
        .with_answer(
            200,
            "It can.",
            object(&[("status", string_enum(&["ready"]))]),
        )
        .with_problems(&[(503, "starting"), (503, "stopping"), (503, "not_ready")]),
        describe_route("GET", "/openapi.json", "This document").with_answer(
            200,
            "OpenAPI 3.1.",
            any_object(),
        ),
        describe_route("GET", "/docs", "Show this document as a page").with_answer_types(
            200,
            "A page.",
            &[("text/html", text())],
        ),
        describe_route("GET", "/metrics", "Retrieve metrics for Prometheus").with_answer_types(
            200,
            "Prometheus text format, version 0.0.4.",
            &[("text/plain", text())],
        ),
        describe_route(
            "GET",
            "/v1/settings",
            "List the settings in effect, without secrets",
        )
        .with_answer(
            200,
            "The settings, in the order of the reference.",
            object(&[("settings", list_of(setting_schema()))]),
        ),
        describe_activity(),
    ]
}

fn setting_schema() -> Value {
    object(&[
        ("name", text()),
        (
            "value",
            or_null(with_description(
                text(),
                "Secrets are hidden; `null` if it is not set.",
            )),
        ),
        (
            "source",
            with_description(
                text(),
                "`default`, `environment`, `.env`, or the path of the settings file.",
            ),
        ),
    ])
}

fn describe_activity() -> Operation {
    let page = object(&[
        ("activity", list_of(activity_schema())),
        (
            "next",
            or_null(with_description(count(), "The `before` of the next page.")),
        ),
    ]);
    describe_route(
        "GET",
        "/v1/activity",
        "List what callers did: changes one by one, sends and reads counted by the hour",
    )
    .with_query("kind", kind_schema(), "Only activity of this kind.")
    .with_query("session", text(), "Only activity about this session.")
    .with_query("key", text(), "Only activity of the key with this id; `first` is the one of the settings.")
    .with_query(
        "before",
        number(0, i64::MAX),
        "The `next` of the previous page.",
    )
    .with_query(
        "limit",
        number(1, 1_000),
        "Maximum number of rows on a page. Default: 100.",
    )
    .with_query(
        "after",
        number(0, i64::MAX),
        "Only with `Accept: application/x-ndjson`, instead of `before` and `limit`: begins after this row.",
    )
    .with_answer_types(
        200,
        "A page, newest first; with `Accept: application/x-ndjson` all rows, oldest first, one a line.",
        &[("application/json", page), ("application/x-ndjson", text())],
    )
    .with_problems(&[(503, "not_ready")])
}

fn kind_schema() -> Value {
    with_description(
        string_enum(&["change", "send", "read", "login"]),
        "`send`: what keys with the scope `send` or `ask` do; `change`: what those with `manage` or `admin` do.",
    )
}

fn activity_schema() -> Value {
    let who = object(&[
        (
            "type",
            with_description(
                string_enum(&["api_key", "setting", "anyone", "connect_link", "stranger"]),
                "`setting`: the key of `WAPI_API_KEY`; `anyone`: no key was required; `stranger`: a wrong key was shown \
                 at the login.",
            ),
        ),
        ("key_id", or_null(text())),
        (
            "key_name",
            or_null(with_description(
                text(),
                "The name of the key at that time.",
            )),
        ),
        (
            "login",
            or_null(with_description(
                text(),
                "Distinguishes the logins of a key to the dashboard.",
            )),
        ),
    ]);
    object(&[
        ("seq", count()),
        ("kind", kind_schema()),
        ("who", who),
        ("door", string_enum(&["api", "dashboard", "connect_page"])),
        ("method", text()),
        (
            "route",
            with_description(text(), "The pattern of the route, without values."),
        ),
        ("session", or_null(text())),
        ("address", text()),
        ("at", time_output()),
        (
            "last_at",
            with_description(
                time_output(),
                "The last request of a counted row, or the answer of a single one.",
            ),
        ),
        ("requests", count()),
        ("failures", count()),
        (
            "status",
            or_null(with_description(
                number(100, 599),
                "Of the last answer; `null` while it is not known.",
            )),
        ),
        ("problem", or_null(text())),
        ("request_id", or_null(text())),
    ])
}
