//! Groups. Pure.

pub mod communities;

use serde_json::{Value, json};

use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{
    boolean, list_of, non_empty_list, object, or_null, schema_reference, string_enum, text,
    text_format, with_description, with_keyword,
};
use crate::http::openapi::type_schemas::{answer_schema, with_members};
use crate::http::v1::groups::members::MEMBER_LIMIT;
use crate::http::v1::groups::{LONGEST_DESCRIPTION, LONGEST_SUBJECT};
use crate::model::event::{Group, GroupMember};
use crate::model::group_change::{JoinRequest, MemberResult};

/// Problems of every route that sends a request to WhatsApp.
pub const REQUEST_PROBLEMS: [(u16, &str); 5] = [
    (404, "session_not_found"),
    (409, "session_not_online"),
    (409, "session_not_paired"),
    (502, "whatsapp_refused"),
    (504, "whatsapp_timeout"),
];

/// Problems of every route that changes a group.
const CHANGE_PROBLEMS: [(u16, &str); 3] = [
    (403, "group_forbidden"),
    (404, "group_not_found"),
    (429, "group_rate_limited"),
];

pub fn describe_operations() -> Vec<Operation> {
    let mut operations = describe_groups();
    operations.extend(describe_members());
    operations.extend(describe_invites());
    operations
}

fn describe_groups() -> Vec<Operation> {
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
    let change = object(&[
        ("subject?", subject_schema()),
        ("description?", or_null(description_schema())),
        ("settings?", settings_schema()),
    ]);
    let changed = object(&[("changed", list_of(text())), ("failed", failed_schema())]);
    vec![
        describe_route(
            "GET",
            "/v1/sessions/{session}/groups",
            "List the groups and communities of the account",
        )
        .with_answer(
            200,
            "The groups, by address.",
            object(&[("groups", list_of(schema_reference("Group")))]),
        )
        .with_problems(&REQUEST_PROBLEMS),
        describe_route("POST", "/v1/sessions/{session}/groups", "Create a group")
            .with_body(new_group_schema(&[(
                "picture?",
                object(&[("id", with_description(text(), "Id of an uploaded file."))]),
            )]))
            .with_examples(vec![(
                "group",
                "A group of two in which only admins write",
                json!({"subject": "Garden", "participants": ["375447034810"], "settings": {"announcement": true}}),
            )])
            .with_answer(201, "The group, and a result for each person.", created_schema())
            .with_problems(&REQUEST_PROBLEMS)
            .with_problems(&CHANGE_PROBLEMS)
            .with_problems(&[
                (404, "media_not_found"),
                (409, "media_not_ready"),
                (410, "media_gone"),
                (503, "not_ready"),
            ]),
        describe_route(
            "GET",
            "/v1/sessions/{session}/groups/{group}",
            "Retrieve a group and its members",
        )
        .with_answer(200, "The group.", schema_reference("Group"))
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(404, "group_not_found")]),
        describe_route(
            "PATCH",
            "/v1/sessions/{session}/groups/{group}",
            "Change a group; give at least one property",
        )
        .with_body(with_keyword(change, "minProperties", json!(1)))
        .with_answer(
            200,
            "The properties that changed, and those that did not.",
            changed,
        )
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&CHANGE_PROBLEMS)
        .with_problems(&[(409, "description_changed")]),
        describe_route(
            "GET",
            "/v1/sessions/{session}/groups/{group}/picture",
            "Retrieve the picture of a group",
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
            "PUT",
            "/v1/sessions/{session}/groups/{group}/picture",
            "Set the picture of a group, cropped to a square around its centre",
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
        .with_problems(&CHANGE_PROBLEMS)
        .with_problems(&[
            (404, "media_not_found"),
            (409, "media_not_ready"),
            (410, "media_gone"),
            (503, "not_ready"),
        ]),
        describe_route(
            "DELETE",
            "/v1/sessions/{session}/groups/{group}/picture",
            "Remove the picture of a group",
        )
        .with_empty_answer(204, "The picture is removed.")
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&CHANGE_PROBLEMS),
        describe_route(
            "DELETE",
            "/v1/sessions/{session}/groups/{group}/membership",
            "Leave a group",
        )
        .with_empty_answer(204, "The account is no longer a member.")
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&CHANGE_PROBLEMS),
    ]
}

fn describe_members() -> Vec<Operation> {
    let list = object(&[("participants", list_of(answer_schema::<GroupMember>()))]);
    vec![
        describe_route(
            "GET",
            "/v1/sessions/{session}/groups/{group}/participants",
            "List the members of a group, as JSON or CSV",
        )
        .with_answer_types(
            200,
            "The members.",
            &[("application/json", list), ("text/csv", text())],
        )
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(404, "group_not_found")]),
        describe_route(
            "POST",
            "/v1/sessions/{session}/groups/{group}/participants",
            "Add people to a group",
        )
        .with_body(object(&[("participants", non_empty_list(person_schema()))]))
        .with_answer(
            200,
            "A result for each person; `invite` can be sent to those who let nobody add them.",
            results_schema(),
        )
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&CHANGE_PROBLEMS)
        .with_problems(&[(409, "group_full")]),
        describe_route(
            "DELETE",
            "/v1/sessions/{session}/groups/{group}/participants/{participant}",
            "Remove a member from a group",
        )
        .with_empty_answer(204, "The person is no longer a member.")
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&CHANGE_PROBLEMS)
        .with_problems(&[(404, "participant_not_found")]),
        describe_route(
            "PUT",
            "/v1/sessions/{session}/groups/{group}/participants/{participant}/role",
            "Make a member an admin, or an admin a member",
        )
        .with_body(object(&[("role", string_enum(&["admin", "member"]))]))
        .with_empty_answer(204, "The person has the role.")
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&CHANGE_PROBLEMS)
        .with_problems(&[(404, "participant_not_found")]),
    ]
}

fn describe_invites() -> Vec<Operation> {
    let link = object(&[
        ("code", text()),
        (
            "link",
            with_description(text_format("uri"), "The link with the code."),
        ),
    ]);
    let join = object(&[
        (
            "code?",
            with_description(text(), "The code of an invite link, or the link."),
        ),
        (
            "message_id?",
            with_description(
                text(),
                "The id of a received message of type `group_invite`.",
            ),
        ),
        (
            "chat?",
            with_description(
                text(),
                "The chat of that message; required with `message_id`.",
            ),
        ),
    ]);
    let decision = object(&[
        ("approve?", list_of(person_schema())),
        ("reject?", list_of(person_schema())),
    ]);
    let requests = list_of(answer_schema::<JoinRequest>());
    let invite_problems = [(404, "invite_not_found"), (409, "invite_unavailable")];
    vec![
        describe_route(
            "GET",
            "/v1/sessions/{session}/groups/{group}/invite",
            "Retrieve the invite link of a group",
        )
        .with_answer(200, "The link.", link.clone())
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&CHANGE_PROBLEMS),
        describe_route(
            "DELETE",
            "/v1/sessions/{session}/groups/{group}/invite",
            "Revoke the invite link of a group",
        )
        .with_answer(200, "The new link.", link)
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&CHANGE_PROBLEMS),
        describe_route(
            "GET",
            "/v1/sessions/{session}/groups/invites",
            "Look at the group of an invite in a message without joining it",
        )
        .with_required_query("message_id", text(), "The id of the message.")
        .with_required_query("chat", text(), "The chat of the message.")
        .with_answer(
            200,
            "The group; people outside of it see no members.",
            schema_reference("Group"),
        )
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[
            (403, "group_forbidden"),
            (404, "message_not_found"),
            (429, "group_rate_limited"),
            (503, "not_ready"),
        ])
        .with_problems(&invite_problems),
        describe_route(
            "GET",
            "/v1/sessions/{session}/groups/invites/{code}",
            "Look at the group behind an invite link without joining it",
        )
        .with_answer(
            200,
            "The group; people outside of it see no members.",
            schema_reference("Group"),
        )
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(403, "group_forbidden"), (429, "group_rate_limited")])
        .with_problems(&invite_problems),
        describe_route(
            "POST",
            "/v1/sessions/{session}/groups/join",
            "Join a group by its link, or by an invite in a message",
        )
        .with_body(with_keyword(join, "minProperties", json!(1)))
        .with_answer(200, "The account is a member.", joined_schema())
        .with_answer(202, "An admin has to approve it.", joined_schema())
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&invite_problems)
        .with_problems(&[
            (403, "group_forbidden"),
            (404, "message_not_found"),
            (409, "group_full"),
            (429, "group_rate_limited"),
            (503, "not_ready"),
        ]),
        describe_route(
            "GET",
            "/v1/sessions/{session}/groups/{group}/requests",
            "List the people who want to join a group",
        )
        .with_answer(200, "The people.", object(&[("requests", requests)]))
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&CHANGE_PROBLEMS),
        describe_route(
            "POST",
            "/v1/sessions/{session}/groups/{group}/requests",
            "Approve or reject people who want to join a group",
        )
        .with_body(with_keyword(decision, "minProperties", json!(1)))
        .with_answer(200, "A result for each person.", results_schema())
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&CHANGE_PROBLEMS),
    ]
}

pub fn group_schema() -> Value {
    let id = with_description(text(), "Address `…@g.us`, which messages can be sent to.");
    with_members(answer_schema::<Group>(), &[("id", id)])
}

fn new_group_schema(more: &[(&str, Value)]) -> Value {
    let people = list_of(person_schema());
    let people = with_keyword(people, "maxItems", json!(MEMBER_LIMIT));
    let mut members = vec![
        ("subject", subject_schema()),
        ("participants?", people),
        ("description?", description_schema()),
        ("settings?", settings_schema()),
    ];
    members.extend_from_slice(more);
    object(&members)
}

fn created_schema() -> Value {
    object(&[
        ("group", schema_reference("Group")),
        ("participants", list_of(answer_schema::<MemberResult>())),
        ("failed", failed_schema()),
    ])
}

fn results_schema() -> Value {
    object(&[("participants", list_of(answer_schema::<MemberResult>()))])
}

fn joined_schema() -> Value {
    object(&[
        ("group", with_description(text(), "Address `…@g.us`.")),
        ("status", string_enum(&["joined", "pending"])),
    ])
}

fn failed_schema() -> Value {
    let part = object(&[
        ("field", text()),
        ("code", with_description(text(), "The code of the problem.")),
        ("detail", text()),
    ]);
    list_of(part)
}

fn settings_schema() -> Value {
    let right = || string_enum(&["admins", "all"]);
    let flag = |words| with_description(boolean(), words);
    object(&[
        ("announcement?", flag("Only admins may write.")),
        (
            "locked?",
            flag("Only admins may change subject, description, and picture."),
        ),
        ("approval?", flag("Admins approve new members.")),
        (
            "member_add?",
            with_description(right(), "Members that may add others."),
        ),
        (
            "member_link?",
            with_description(right(), "Members that may share the invite link."),
        ),
        (
            "share_history?",
            with_description(
                right(),
                "Members that may share earlier messages with new ones.",
            ),
        ),
        (
            "limit_sharing?",
            flag("Members cannot take content out of the chat."),
        ),
        (
            "limit_forwarding?",
            flag("Messages that were forwarded often are refused."),
        ),
        (
            "admin_reports?",
            flag("Members may report messages to admins."),
        ),
    ])
}

fn subject_schema() -> Value {
    let subject = with_keyword(text(), "minLength", json!(1));
    with_keyword(subject, "maxLength", json!(LONGEST_SUBJECT))
}

fn description_schema() -> Value {
    with_keyword(text(), "maxLength", json!(LONGEST_DESCRIPTION))
}

fn person_schema() -> Value {
    with_description(text(), "A number in any spelling, or a person's address.")
}
