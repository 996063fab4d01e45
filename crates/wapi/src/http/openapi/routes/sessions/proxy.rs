//! The proxy of a session.

use serde_json::{Value, json};

use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{
    object, or_null, string_enum, text, with_description, with_keyword,
};
use crate::http::openapi::type_schemas::{answer_schema, with_members};
use crate::http::v1::sessions::proxy::{ProxyCheckDocument, UNANSWERED};
use crate::net::proxy::ProxyFault;

/// Returns the schema of a proxy in a request.
pub fn new_proxy_schema() -> Value {
    let url = with_keyword(
        text(),
        "examples",
        json!(["socks5h://user:password@proxy.example.com:1080"]),
    );
    let url = with_description(
        url,
        "`socks5h://`, `socks5://`, `http://` or `https://`, then `user:password@` if necessary, a host, and a port. \
         The password is never shown again.",
    );
    with_description(
        object(&[("url", url)]),
        "The session's own proxy, in place of that of the settings.",
    )
}

/// Describes the route that tries a proxy.
pub fn describe_check() -> Operation {
    let mut faults = ProxyFault::CODES.to_vec();
    faults.push(UNANSWERED);
    let check = with_members(
        answer_schema::<ProxyCheckDocument>(),
        &[(
            "fault",
            with_description(
                or_null(string_enum(&faults)),
                "The kind of the fault; `null` without one.",
            ),
        )],
    );
    describe_route(
        "POST",
        "/v1/sessions/{session}/proxy/check",
        "Try a session's proxy: connect to WhatsApp through it",
    )
    .with_answer(200, "The result, whether the proxy works or not.", check)
    .with_problems(&[
        (404, "session_not_found"),
        (409, "proxy_not_set"),
        (503, "not_ready"),
    ])
}
