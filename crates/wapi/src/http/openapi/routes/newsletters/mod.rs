//! Newsletters. Pure.

mod admin;

use super::groups::REQUEST_PROBLEMS;
use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{list_of, object, schema_reference};

pub fn describe_operations() -> Vec<Operation> {
    let not_found = [(404, "newsletter_not_found")];
    let mut operations = vec![
        describe_route(
            "GET",
            "/v1/sessions/{session}/newsletters",
            "List the newsletters that the account follows or may post in",
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
            "Retrieve a newsletter, followed or not",
        )
        .with_answer(200, "The newsletter.", schema_reference("Newsletter"))
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&not_found),
        describe_route(
            "PUT",
            "/v1/sessions/{session}/newsletters/{newsletter}/follow",
            "Follow a newsletter",
        )
        .with_empty_answer(204, "New posts are emitted as events.")
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&not_found),
        describe_route(
            "DELETE",
            "/v1/sessions/{session}/newsletters/{newsletter}/follow",
            "Unfollow a newsletter",
        )
        .with_empty_answer(204, "It emits no more events. An owner cannot unfollow.")
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&not_found),
    ];
    operations.extend(admin::describe_operations());
    operations
}
