//! Account profiles and block lists. Pure.

mod privacy;

use serde_json::{Value, json};

use super::groups::REQUEST_PROBLEMS;
use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{
    list_of, object, or_null, schema_reference, string_enum, text, text_format, with_description,
    with_keyword,
};
use crate::http::openapi::type_schemas::{answer_schema, type_schema, with_members};
use crate::http::v1::profile::{LONGEST_ABOUT, LONGEST_NAME};
use crate::model::event::{Person, ProfilePicture};

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
            with_description(text(), "Id of an uploaded or received file."),
        ),
        (
            "link?",
            with_description(text_format("uri"), "Address to download the file from."),
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
    let mut operations = vec![
        describe_route(
            "GET",
            "/v1/sessions/{session}/profile",
            "Retrieve the profile of the account",
        )
        .with_answer(200, "The profile.", profile_schema())
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "PUT",
            "/v1/sessions/{session}/profile",
            "Update the name or the about text; give at least one",
        )
        .with_body(with_keyword(change, "minProperties", json!(1)))
        .with_empty_answer(204, "Changed for everyone.")
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "PUT",
            "/v1/sessions/{session}/profile/picture",
            "Set the picture, cropped to a square around its centre",
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
        .with_empty_answer(204, "The picture is set.")
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
            "Remove the picture",
        )
        .with_empty_answer(204, "The picture is removed.")
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "GET",
            "/v1/sessions/{session}/contacts/{contact}/picture",
            "Somebody's picture",
        )
        .with_query(
            "size",
            string_enum(&["full", "preview"]),
            "`preview` for a small picture. Default: `full`.",
        )
        .with_answer_types(
            200,
            "The picture; its `ETag` changes with the picture.",
            &[("image/jpeg", text_format("binary"))],
        )
        .with_empty_answer(304, "The caller's copy is current.")
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(404, "picture_not_found")]),
        describe_route(
            "GET",
            "/v1/sessions/{session}/blocked",
            "List the people whom the account blocks",
        )
        .with_answer(
            200,
            "The people.",
            object(&[("contacts", list_of(schema_reference("Contact")))]),
        )
        .with_problems(&REQUEST_PROBLEMS),
        block(
            "PUT",
            "Block a person; their messages are dropped without notice",
        )
        .with_empty_answer(204, "The person is blocked."),
        block("DELETE", "Unblock a person").with_empty_answer(204, "Their messages arrive again."),
        describe_route(
            "POST",
            "/v1/sessions/{session}/contacts/{contact}/report",
            "Report a message of a person to WhatsApp as spam",
        )
        .with_body(object(&[(
            "message_id",
            with_description(text(), "A message that came in the chat with the person."),
        )]))
        .with_empty_answer(
            204,
            "WhatsApp has taken the report; the person is not told.",
        )
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(404, "message_not_found"), (503, "not_ready")]),
    ];
    operations.extend(privacy::describe_operations());
    operations
}

fn profile_schema() -> Value {
    let picture = type_schema::<ProfilePicture>();
    let about = with_description(text(), "The about text.");
    let members = [("about", or_null(about)), ("picture", or_null(picture))];
    with_members(answer_schema::<Person>(), &members)
}
