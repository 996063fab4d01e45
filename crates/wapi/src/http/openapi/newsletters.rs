//! Newsletters. Pure.

use serde_json::Value;

use super::groups::ASKED;
use super::operation::{Operation, route};
use super::schema::{count, flag, list, object, or_null, reference, said, text, time, words};

pub fn operations() -> Vec<Operation> {
    let not_found = [(404, "newsletter_not_found")];
    vec![
        route(
            "GET",
            "/v1/sessions/{session}/newsletters",
            "The newsletters an account follows or may post in",
        )
        .answers(
            200,
            "The newsletters, by address.",
            object(&[("newsletters", list(reference("Newsletter")))]),
        )
        .problems(&ASKED),
        route(
            "GET",
            "/v1/sessions/{session}/newsletters/{newsletter}",
            "A newsletter, followed or not",
        )
        .answers(200, "The newsletter.", reference("Newsletter"))
        .problems(&ASKED)
        .problems(&not_found),
        route(
            "PUT",
            "/v1/sessions/{session}/newsletters/{newsletter}/follow",
            "Follow a newsletter",
        )
        .answers_nothing(204, "What is posted from now on is told.")
        .problems(&ASKED)
        .problems(&not_found),
        route(
            "DELETE",
            "/v1/sessions/{session}/newsletters/{newsletter}/follow",
            "Follow a newsletter no more",
        )
        .answers_nothing(
            204,
            "Nothing of it is told any more. An owner cannot leave.",
        )
        .problems(&ASKED)
        .problems(&not_found),
    ]
}

pub fn newsletter() -> Value {
    let role = said(
        words(&["guest", "follower", "admin", "owner"]),
        "What the account is; admins and owners post.",
    );
    object(&[
        ("id", said(text(), "`…@newsletter`; posts are sent to it.")),
        ("name", text()),
        ("description", or_null(text())),
        ("role", role),
        ("followers", count()),
        (
            "verified",
            said(flag(), "WhatsApp vouches for whose it is."),
        ),
        ("link", or_null(said(text(), "Where people find it."))),
        ("created_at", or_null(time())),
    ])
}
