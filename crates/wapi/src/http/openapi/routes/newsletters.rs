//! Newsletters. Pure.

use serde_json::Value;

use super::groups::REQUEST_PROBLEMS;
use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{
    boolean, count, list_of, object, or_null, schema_reference, string_enum, text, time_output,
    with_description,
};

pub fn describe_operations() -> Vec<Operation> {
    let not_found = [(404, "newsletter_not_found")];
    vec![
        describe_route(
            "GET",
            "/v1/sessions/{session}/newsletters",
            "The newsletters an account follows or may post in",
        )
        .with_answer(
            200,
            "The newsletters, by address.",
            object(&[("newsletters", list_of(schema_reference("Newsletter")))]),
        )
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "GET",
            "/v1/sessions/{session}/newsletters/{newsletter}",
            "A newsletter, followed or not",
        )
        .with_answer(200, "The newsletter.", schema_reference("Newsletter"))
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&not_found),
        describe_route(
            "PUT",
            "/v1/sessions/{session}/newsletters/{newsletter}/follow",
            "Follow a newsletter",
        )
        .with_empty_answer(204, "What is posted from now on is told.")
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&not_found),
        describe_route(
            "DELETE",
            "/v1/sessions/{session}/newsletters/{newsletter}/follow",
            "Follow a newsletter no more",
        )
        .with_empty_answer(
            204,
            "Nothing of it is told any more. An owner cannot leave.",
        )
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&not_found),
    ]
}

pub fn newsletter_schema() -> Value {
    let role = with_description(
        string_enum(&["guest", "follower", "admin", "owner"]),
        "What the account is; admins and owners post.",
    );
    object(&[
        (
            "id",
            with_description(text(), "`…@newsletter`; posts are sent to it."),
        ),
        ("name", text()),
        ("description", or_null(text())),
        ("role", role),
        ("followers", count()),
        (
            "verified",
            with_description(boolean(), "WhatsApp vouches for whose it is."),
        ),
        (
            "link",
            or_null(with_description(text(), "Where people find it.")),
        ),
        ("created_at", or_null(time_output())),
    ])
}
