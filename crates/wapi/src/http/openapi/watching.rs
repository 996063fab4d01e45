//! Health, metrics, and the API document.

use super::operation::{Operation, route};
use super::schema::{anything, object, text, words};

pub fn operations() -> Vec<Operation> {
    vec![
        route("GET", "/", "What this is and where to go, for people").answers_as(
            200,
            "A page.",
            &[("text/html", text())],
        ),
        route("GET", "/health/live", "Whether the program runs").answers(
            200,
            "It does.",
            object(&[("status", words(&["live"]))]),
        ),
        route(
            "GET",
            "/health/ready",
            "Whether it can take requests and save what comes in",
        )
        .answers(200, "It can.", object(&[("status", words(&["ready"]))]))
        .problems(&[(503, "starting"), (503, "stopping"), (503, "not_ready")]),
        route("GET", "/openapi.json", "This document").answers(200, "OpenAPI 3.1.", anything()),
        route("GET", "/docs", "This document, for people").answers_as(
            200,
            "A page.",
            &[("text/html", text())],
        ),
        route("GET", "/metrics", "How it goes, for Prometheus").answers_as(
            200,
            "The text format, version 0.0.4.",
            &[("text/plain", text())],
        ),
    ]
}
