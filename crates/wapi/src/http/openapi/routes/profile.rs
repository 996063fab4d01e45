//! Account profiles and block lists. Pure.

use serde_json::{Value, json};

use super::groups::{REQUEST_PROBLEMS, person_members};
use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{
    list_of, object, or_null, string_enum, text, text_format, with_description, with_keyword,
};
use crate::http::v1::profile::{LONGEST_ABOUT, LONGEST_NAME};

pub fn describe_operations() -> Vec<Operation> {
    let up_to = |longest: usize| {
        with_keyword(
            with_keyword(text(), "minLength", json!(1)),
            "maxLength",
            json!(longest),
        )
    };
    let change = object(&[
        ("name?", up_to(LONGEST_NAME)),
        ("about?", up_to(LONGEST_ABOUT)),
    ]);
    let picture = object(&[
        (
            "id?",
            with_description(text(), "A file that was uploaded, or came in."),
        ),
        (
            "link?",
            with_description(text_format("uri"), "Where it is fetched from."),
        ),
    ]);
    let block = |method, summary| {
        describe_route(
            method,
            "/v1/sessions/{session}/contacts/{contact}/block",
            summary,
        )
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(404, "not_on_whatsapp")])
    };
    vec![
        describe_route(
            "GET",
            "/v1/sessions/{session}/profile",
            "What the account shows of itself",
        )
        .with_answer(200, "The profile.", profile_schema())
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "PUT",
            "/v1/sessions/{session}/profile",
            "Change its name or its about text: at least one of these",
        )
        .with_body(with_keyword(change, "minProperties", json!(1)))
        .with_empty_answer(204, "It is changed, for everybody.")
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "PUT",
            "/v1/sessions/{session}/profile/picture",
            "Show a picture; a square of its middle is taken",
        )
        .with_body(with_keyword(
            with_keyword(picture, "minProperties", json!(1)),
            "maxProperties",
            json!(1),
        ))
        .with_body_type("image/*", text_format("binary"))
        .with_body_type(
            "multipart/form-data",
            object(&[("file", text_format("binary"))]),
        )
        .with_empty_answer(204, "It is shown.")
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[
            (404, "media_not_found"),
            (409, "media_not_ready"),
            (410, "media_gone"),
            (503, "not_ready"),
        ]),
        describe_route(
            "DELETE",
            "/v1/sessions/{session}/profile/picture",
            "Show no picture any more",
        )
        .with_empty_answer(204, "None is shown.")
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "GET",
            "/v1/sessions/{session}/contacts/{contact}/picture",
            "Somebody's picture",
        )
        .with_query(
            "size",
            string_enum(&["full", "preview"]),
            "`preview` is a small one; `full` when nothing is said.",
        )
        .with_answer_types(
            200,
            "The picture; its `ETag` is another when they change it.",
            &[("image/jpeg", text_format("binary"))],
        )
        .with_empty_answer(304, "The caller has it already.")
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(404, "picture_not_found")]),
        describe_route(
            "GET",
            "/v1/sessions/{session}/blocked",
            "Whom the account blocks",
        )
        .with_answer(
            200,
            "The people.",
            object(&[("contacts", list_of(object(&person_members())))]),
        )
        .with_problems(&REQUEST_PROBLEMS),
        block(
            "PUT",
            "Block somebody: what they write goes nowhere, and they are not told",
        )
        .with_empty_answer(204, "They are blocked."),
        block("DELETE", "Let somebody through again")
            .with_empty_answer(204, "What they write comes in again."),
    ]
}

fn profile_schema() -> Value {
    let picture = object(&[
        (
            "id",
            with_description(text(), "Another one when it changes."),
        ),
        (
            "url",
            with_description(text(), "Where it is, below the gateway's own address."),
        ),
    ]);
    let mut members = person_members().to_vec();
    members.push((
        "about",
        or_null(with_description(text(), "The text below the name.")),
    ));
    members.push(("picture", or_null(picture)));
    object(&members)
}
