//! Linking: the passkey that WhatsApp asks some accounts for, and links for the owners of phones.

use serde_json::{Value, json};
use strum::VariantNames;

use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{
    any_object, list_of, number, object, or_null, string_enum, text, time_output, with_description,
};
use crate::sessions::PasskeyStep;

pub fn describe_operations() -> Vec<Operation> {
    vec![
        describe_route(
            "GET",
            "/v1/sessions/{session}/passkey",
            "The passkey that WhatsApp asks for before it links the session",
        )
        .with_answer(200, "The step that is due.", passkey_schema())
        .with_problems(&[(404, "session_not_found"), (404, "passkey_not_found")]),
        describe_route(
            "POST",
            "/v1/sessions/{session}/passkey",
            "Answer with an assertion of the passkey",
        )
        .with_body(object(&[("assertion", assertion_schema())]))
        .with_answer(202, "WhatsApp accepted it.", passkey_schema())
        .with_problems(&STEP_PROBLEMS),
        describe_route(
            "POST",
            "/v1/sessions/{session}/passkey/confirm",
            "Confirm that the phone shows the same code",
        )
        .with_answer(202, "WhatsApp accepted it.", passkey_schema())
        .with_problems(&STEP_PROBLEMS),
        describe_route(
            "GET",
            "/v1/sessions/{session}/connect-links",
            "List the connect links of a session, oldest first",
        )
        .with_answer(
            200,
            "Without their tokens.",
            object(&[("connect_links", list_of(object(&link_members())))]),
        )
        .with_problems(&[(404, "session_not_found"), (503, "not_ready")]),
        describe_route(
            "POST",
            "/v1/sessions/{session}/connect-links",
            "Create a link for the owner of a phone, who links the session with it",
        )
        .with_optional_body(object(&[(
            "expires_in?",
            or_null(with_description(
                number(60, 604_800),
                "Seconds until the link is no longer valid; 3600 if left out.",
            )),
        )]))
        .with_answer(201, "Created.", created_link_schema())
        .with_problems(&[
            (404, "session_not_found"),
            (409, "session_already_paired"),
            (503, "not_ready"),
        ]),
        describe_route(
            "DELETE",
            "/v1/sessions/{session}/connect-links/{id}",
            "Revoke a connect link",
        )
        .with_empty_answer(204, "Revoked.")
        .with_problems(&[
            (404, "session_not_found"),
            (404, "connect_link_not_found"),
            (503, "not_ready"),
        ]),
        describe_page("GET", "Show the page of a connect link")
            .with_query("by", text(), "`code`: the form for a phone number.")
            .with_query(
                "rounds",
                text(),
                "Rounds of QR codes that the open page has asked WhatsApp for; the page counts them.",
            )
            .with_answer_types(200, "The step that is due.", &[("text/html", text())]),
        describe_page("POST", "Take a step on the page of a connect link")
            .with_body_type("application/x-www-form-urlencoded", form_schema())
            .with_answer_types(200, "The next step.", &[("text/html", text())])
            .with_answer_types(
                400,
                "The same page, with the fault.",
                &[("text/html", text())],
            )
            .with_answer_types(
                409,
                "The same page: another step is due.",
                &[("text/html", text())],
            )
            .with_answer_types(
                502,
                "The same page: WhatsApp refused the step.",
                &[("text/html", text())],
            )
            .with_answer_types(
                504,
                "The same page: WhatsApp did not answer.",
                &[("text/html", text())],
            ),
    ]
}

fn describe_page(method: &'static str, summary: &'static str) -> Operation {
    let page = || [("text/html", text())];
    describe_route(method, "/connect/{token}", summary)
        .with_answer_types(404, "The link is not valid.", &page())
        .with_answer_types(410, "The link is no longer valid.", &page())
        .with_problems(&[(503, "starting"), (503, "stopping")])
}

fn form_schema() -> Value {
    object(&[
        ("step", string_enum(&["qr", "code", "passkey", "confirm"])),
        ("phone?", text()),
        ("assertion?", text()),
    ])
}

fn link_members() -> [(&'static str, Value); 4] {
    [
        ("id", text()),
        ("created_at", time_output()),
        ("expires_at", time_output()),
        (
            "used_at",
            with_description(
                or_null(time_output()),
                "When a phone linked the session, which ended the link.",
            ),
        ),
    ]
}

fn created_link_schema() -> Value {
    let path = with_description(
        text(),
        "Path of the link's page on this gateway. Only this answer has it.",
    );
    object(&[&link_members()[..], &[("path", path)]].concat())
}

/// Problems of a step of the passkey.
const STEP_PROBLEMS: [(u16, &str); 6] = [
    (404, "session_not_found"),
    (409, "session_already_paired"),
    (409, "session_not_online"),
    (409, "passkey_step"),
    (502, "passkey_refused"),
    (504, "whatsapp_timeout"),
];

fn passkey_schema() -> Value {
    object(&[
        ("step", string_enum(PasskeyStep::VARIANTS)),
        (
            "options",
            with_description(
                any_object(),
                "WhatsApp's options for `navigator.credentials.get`, as it sent them.",
            ),
        ),
        (
            "code",
            with_description(
                or_null(text()),
                "The code that the phone shows, too; `null` until it is known.",
            ),
        ),
        (
            "expires_at",
            with_description(
                time_output(),
                "After this time the session must be linked anew.",
            ),
        ),
    ])
}

fn assertion_schema() -> Value {
    let response = object(&[
        ("clientDataJSON", base64url()),
        ("authenticatorData", base64url()),
        ("signature", base64url()),
        ("userHandle?", or_null(base64url())),
    ]);
    with_description(
        object(&[
            ("id", base64url()),
            ("rawId?", or_null(base64url())),
            ("type", string_enum(&["public-key"])),
            ("response", response),
            ("authenticatorAttachment?", json!({})),
            ("clientExtensionResults?", json!({})),
        ]),
        "The credential from `navigator.credentials.get` in a page of https://web.whatsapp.com, in the form of its \
         `toJSON()`.",
    )
}

fn base64url() -> Value {
    with_description(text(), "In base64url.")
}
