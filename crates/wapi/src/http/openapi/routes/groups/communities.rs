//! Communities. Pure.

use serde_json::{Value, json};

use super::{
    CHANGE_PROBLEMS, REQUEST_PROBLEMS, created_schema, description_schema, failed_schema,
    joined_schema, new_group_schema, subject_schema,
};
use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{
    boolean, list_of, object, schema_reference, text, with_description,
};
use crate::http::openapi::type_schemas::{answer_schema, with_members};
use crate::http::v1::groups::communities::CommunityGroup;

/// Problems of every route that changes a community.
const COMMUNITY_PROBLEMS: [(u16, &str); 3] = [
    (403, "group_forbidden"),
    (404, "community_not_found"),
    (429, "group_rate_limited"),
];

pub fn describe_operations() -> Vec<Operation> {
    let flag = |words| with_description(boolean(), words);
    let new = object(&[
        ("subject", subject_schema()),
        ("description?", description_schema()),
        (
            "approval?",
            flag("Admins approve the members of its groups."),
        ),
        (
            "members_create_groups?",
            flag("Members may add groups to it."),
        ),
        (
            "general_chat?",
            flag("It has a general chat for everybody."),
        ),
    ]);
    let address = with_description(
        text(),
        "Address `…@g.us` of a group that the account manages.",
    );
    let link = object(&[("group", address.clone())]);
    let linked = object(&[("group", address)]);
    vec![
        describe_route(
            "GET",
            "/v1/sessions/{session}/communities",
            "List the communities of the account",
        )
        .with_answer(
            200,
            "The communities, by address.",
            object(&[("communities", list_of(schema_reference("Group")))]),
        )
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "POST",
            "/v1/sessions/{session}/communities",
            "Create a community",
        )
        .with_body(new)
        .with_examples(vec![(
            "community",
            "A community with a general chat",
            json!({"subject": "Quarter", "general_chat": true}),
        )])
        .with_answer(
            201,
            "The community and its groups. `failed` has the description if WhatsApp refused it.",
            with_members(community_schema(), &[("failed", failed_schema())]),
        )
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&CHANGE_PROBLEMS)
        .with_problems(&[(404, "community_not_found")]),
        describe_route(
            "GET",
            "/v1/sessions/{session}/communities/{community}",
            "Retrieve a community and its groups",
        )
        .with_answer(200, "The community.", community_schema())
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&COMMUNITY_PROBLEMS),
        describe_route(
            "DELETE",
            "/v1/sessions/{session}/communities/{community}",
            "Dissolve a community; its groups go on without it",
        )
        .with_empty_answer(204, "The community is dissolved.")
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&COMMUNITY_PROBLEMS),
        describe_route(
            "POST",
            "/v1/sessions/{session}/communities/{community}/groups",
            "Link a group to a community, or create one in it",
        )
        .with_body(json!({"anyOf": [link, new_group_schema(&[])]}))
        .with_answer(200, "The group is linked.", linked)
        .with_answer(
            201,
            "The new group, and a result for each person.",
            created_schema(),
        )
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&COMMUNITY_PROBLEMS)
        .with_problems(&[
            (404, "group_not_found"),
            (409, "group_full"),
            (409, "group_linked"),
        ]),
        describe_route(
            "DELETE",
            "/v1/sessions/{session}/communities/{community}/groups/{group}",
            "Take a group out of a community",
        )
        .with_empty_answer(204, "The group goes on without the community.")
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&COMMUNITY_PROBLEMS)
        .with_problems(&[(404, "group_not_found")]),
        describe_route(
            "POST",
            "/v1/sessions/{session}/communities/{community}/groups/{group}/join",
            "Join a group of a community that the account is in",
        )
        .with_answer(200, "The account is a member.", joined_schema())
        .with_answer(202, "An admin has to approve it.", joined_schema())
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&COMMUNITY_PROBLEMS)
        .with_problems(&[(409, "group_full")]),
        describe_route(
            "DELETE",
            "/v1/sessions/{session}/communities/{community}/participants/{participant}",
            "Remove a person from a community and all of its groups",
        )
        .with_empty_answer(204, "The person is in no group of the community.")
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&COMMUNITY_PROBLEMS)
        .with_problems(&[(404, "participant_not_found")]),
    ]
}

fn community_schema() -> Value {
    let groups = list_of(answer_schema::<CommunityGroup>());
    let groups = with_description(groups, "Its groups, the one of announcements first.");
    with_members(super::group_schema(), &[("groups", groups)])
}
