//! Health, metrics, and the API document.

use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{any_object, object, string_enum, text};

pub fn describe_operations() -> Vec<Operation> {
    vec![
        describe_route("GET", "/", "What this is and where to go, for people").with_answer_types(
            200,
            "A page.",
            &[("text/html", text())],
        ),
        describe_route("GET", "/health/live", "Whether the program runs").with_answer(
            200,
            "It does.",
            object(&[("status", string_enum(&["live"]))]),
        ),
        describe_route(
            "GET",
            "/health/ready",
            "Whether it can take requests and save what comes in",
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
        describe_route("GET", "/docs", "This document, for people").with_answer_types(
            200,
            "A page.",
            &[("text/html", text())],
        ),
        describe_route("GET", "/metrics", "How it goes, for Prometheus").with_answer_types(
            200,
            "The text format, version 0.0.4.",
            &[("text/plain", text())],
        ),
    ]
}
