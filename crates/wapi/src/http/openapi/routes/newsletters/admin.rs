//! Administration of newsletters, and their posts. Pure.

use serde_json::{Value, json};

use super::super::groups::REQUEST_PROBLEMS;
use crate::http::openapi::message_kinds;
use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{
    boolean, count, list_of, number, object, or_null, schema_reference, string_enum, text,
    text_format, time_output, with_description, with_keyword,
};
use crate::http::openapi::type_schemas::{answer_schema, with_members};
use crate::http::v1::newsletters::admin::{
    FOLLOWER_LIMIT, LONGEST_DESCRIPTION, LONGEST_NAME, RESULT_LIMIT,
};
use crate::http::v1::newsletters::posts::{LONGEST_POST, POST_LIMIT};
use crate::model::account::newsletter_insights::NewsletterInsights;
use crate::model::event::{Person, PostReaction};

const NOT_FOUND: [(u16, &str); 2] = [(404, "newsletter_not_found"), (502, "whatsapp_changed")];
const NOT_ADMIN: [(u16, &str); 1] = [(403, "not_newsletter_admin")];

pub fn describe_operations() -> Vec<Operation> {
    let mut operations = describe_management();
    operations.extend(describe_posts());
    operations
}

fn ask(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    describe_route(method, path, summary)
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&NOT_FOUND)
}

fn change(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    ask(method, path, summary).with_problems(&NOT_ADMIN)
}

fn text_up_to(least: usize, longest: usize) -> Value {
    json!({"type": "string", "minLength": least, "maxLength": longest})
}

fn limit_schema((_, most): (u32, u32)) -> Value {
    number(1, i64::from(most))
}

fn describe_management() -> Vec<Operation> {
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
    let one_of_two = with_keyword(picture, "minProperties", json!(1));
    let description = text_up_to(0, LONGEST_DESCRIPTION);
    let update = object(&[
        ("name?", text_up_to(1, LONGEST_NAME)),
        ("description?", description.clone()),
    ]);
    let newsletters = object(&[("newsletters", list_of(schema_reference("Newsletter")))]);
    let mut operations = describe_admins();
    operations.extend(vec![
        describe_route(
            "POST",
            "/v1/sessions/{session}/newsletters",
            "Create a newsletter",
        )
        .with_body(object(&[
            ("name", text_up_to(1, LONGEST_NAME)),
            ("description?", description),
        ]))
        .with_answer(201, "The newsletter.", schema_reference("Newsletter"))
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&NOT_FOUND[1..]),
        describe_route(
            "GET",
            "/v1/sessions/{session}/newsletters/search",
            "Search WhatsApp's public directory of newsletters",
        )
        .with_required_query("q", text(), "A part of the name.")
        .with_query("limit", limit_schema(RESULT_LIMIT), "Default: 20.")
        .with_answer(200, "The newsletters.", newsletters)
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&NOT_FOUND[1..]),
        change(
            "PATCH",
            "/v1/sessions/{session}/newsletters/{newsletter}",
            "Update an own newsletter; give at least one",
        )
        .with_body(with_keyword(update, "minProperties", json!(1)))
        .with_answer(200, "The newsletter.", schema_reference("Newsletter")),
        change(
            "DELETE",
            "/v1/sessions/{session}/newsletters/{newsletter}",
            "Delete an own newsletter for everybody",
        )
        .with_empty_answer(204, "There is no such newsletter any more."),
        change(
            "PUT",
            "/v1/sessions/{session}/newsletters/{newsletter}/picture",
            "Set the picture, cropped to a square around its centre",
        )
        .with_body(with_keyword(one_of_two, "maxProperties", json!(1)))
        .with_body_type("image/*", text_format("binary"))
        .with_body_type(
            "multipart/form-data",
            object(&[("file", text_format("binary"))]),
        )
        .with_empty_answer(204, "The picture is set.")
        .with_problems(&[
            (404, "media_not_found"),
            (409, "media_not_ready"),
            (410, "media_gone"),
            (503, "not_ready"),
        ]),
        change(
            "DELETE",
            "/v1/sessions/{session}/newsletters/{newsletter}/picture",
            "Remove the picture",
        )
        .with_empty_answer(204, "The picture is removed."),
        ask(
            "PUT",
            "/v1/sessions/{session}/newsletters/{newsletter}/mute",
            "Mute a followed newsletter on the account's phone",
        )
        .with_empty_answer(204, "It is muted; its posts are still emitted as events."),
        ask(
            "DELETE",
            "/v1/sessions/{session}/newsletters/{newsletter}/mute",
            "Unmute a newsletter",
        )
        .with_empty_answer(204, "It is not muted."),
    ]);
    operations
}

/// The people of a newsletter: its owner, admins, invited admins, and followers.
fn describe_admins() -> Vec<Operation> {
    let invited = object(&[("invites", list_of(answer_schema::<Person>()))]);
    vec![
        change(
            "PUT",
            "/v1/sessions/{session}/newsletters/{newsletter}/owner",
            "Transfer an own newsletter to one of its admins",
        )
        .with_body(object(&[(
            "contact",
            with_description(
                text(),
                "The admin: a number in any spelling, or an address.",
            ),
        )]))
        .with_empty_answer(204, "The account is an admin from now on."),
        change(
            "DELETE",
            "/v1/sessions/{session}/newsletters/{newsletter}/admins/{contact}",
            "Make an admin a follower again",
        )
        .with_empty_answer(204, "The person is a follower."),
        change(
            "GET",
            "/v1/sessions/{session}/newsletters/{newsletter}/followers",
            "List followers of an own newsletter, and its admins",
        )
        .with_query("limit", limit_schema(FOLLOWER_LIMIT), "Default: 50.")
        .with_answer(
            200,
            "The followers that WhatsApp names.",
            object(&[("followers", list_of(follower_schema()))]),
        ),
        change(
            "GET",
            "/v1/sessions/{session}/newsletters/{newsletter}/invites",
            "List the people who are invited to be admins of an own newsletter",
        )
        .with_answer(200, "The people who have not answered.", invited),
        change(
            "PUT",
            "/v1/sessions/{session}/newsletters/{newsletter}/invites/{contact}",
            "Invite a person to be an admin of an own newsletter",
        )
        .with_answer(
            200,
            "The person may accept until then. WhatsApp tells the person nothing: send a message of type \
             `newsletter_invite`.",
            object(&[("expires_at", or_null(time_output()))]),
        ),
        change(
            "DELETE",
            "/v1/sessions/{session}/newsletters/{newsletter}/invites/{contact}",
            "Revoke the invitation of a person",
        )
        .with_empty_answer(204, "The person cannot accept it any more.")
        .with_problems(&[(404, "invite_not_found")]),
        ask(
            "POST",
            "/v1/sessions/{session}/newsletters/{newsletter}/invites/accept",
            "Accept the invitation of the account to be an admin",
        )
        .with_answer(200, "The newsletter.", schema_reference("Newsletter"))
        .with_problems(&[(404, "invite_not_found")]),
        change(
            "GET",
            "/v1/sessions/{session}/newsletters/{newsletter}/insights",
            "Retrieve WhatsApp's statistics of an own newsletter",
        )
        .with_answer(200, "The statistics.", answer_schema::<NewsletterInsights>()),
    ]
}

fn follower_schema() -> Value {
    let members = [
        (
            "role",
            string_enum(&["guest", "follower", "admin", "owner"]),
        ),
        ("followed_at", or_null(time_output())),
    ];
    with_members(answer_schema::<Person>(), &members)
}

fn describe_posts() -> Vec<Operation> {
    let missing = [(404, "message_not_found")];
    let page = object(&[
        ("messages", list_of(post_schema())),
        (
            "before",
            or_null(with_description(
                count(),
                "For older posts; `null` when there are no more.",
            )),
        ),
    ]);
    let edit = object(&[("text", object(&[("body", text_up_to(1, LONGEST_POST))]))]);
    vec![
        ask(
            "PUT",
            "/v1/sessions/{session}/newsletters/{newsletter}/counts",
            "Watch the counts of reactions for a few minutes",
        )
        .with_answer(
            200,
            "Changes are emitted as `newsletter.counts` until then.",
            object(&[("expires_at", time_output())]),
        ),
        ask(
            "GET",
            "/v1/sessions/{session}/newsletters/{newsletter}/messages",
            "List the posts of a newsletter, the newest first",
        )
        .with_query("before", count(), "`before` of the previous answer.")
        .with_query("limit", limit_schema(POST_LIMIT), "Default: 50.")
        .with_answer(200, "Some posts.", page),
        change(
            "PATCH",
            "/v1/sessions/{session}/newsletters/{newsletter}/messages/{post}",
            "Replace the text of a post, or the caption of its file",
        )
        .with_body(edit)
        .with_empty_answer(204, "WhatsApp has accepted the new text.")
        .with_problems(&missing),
        change(
            "DELETE",
            "/v1/sessions/{session}/newsletters/{newsletter}/messages/{post}",
            "Delete a post for everybody",
        )
        .with_empty_answer(204, "The post is deleted.")
        .with_problems(&missing),
        change(
            "PUT",
            "/v1/sessions/{session}/newsletters/{newsletter}/messages/{post}/reaction",
            "React to a post, in place of an earlier reaction",
        )
        .with_body(object(&[("emoji", with_description(text(), "One emoji."))]))
        .with_empty_answer(204, "The reaction is counted.")
        .with_problems(&missing),
        change(
            "DELETE",
            "/v1/sessions/{session}/newsletters/{newsletter}/messages/{post}/reaction",
            "Remove the reaction to a post",
        )
        .with_empty_answer(204, "The account has no reaction to the post.")
        .with_problems(&missing),
    ]
}

fn post_schema() -> Value {
    let views = with_description(
        count(),
        "Number of viewers; `null` where WhatsApp does not say.",
    );
    let members = [
        ("id", with_description(text(), "WhatsApp's own.")),
        (
            "post",
            with_description(count(), "Number of the post in its newsletter."),
        ),
        ("timestamp", time_output()),
        (
            "from_me",
            with_description(boolean(), "The account wrote it."),
        ),
        (
            "type?",
            with_description(
                text(),
                "The name of the object with the content; absent if the post was deleted.",
            ),
        ),
        ("reactions", list_of(answer_schema::<PostReaction>())),
        ("views", or_null(views)),
        ("edited_at?", time_output()),
    ];
    with_description(
        with_members(message_kinds::shown_message_schema(), &members),
        "A post of a newsletter. Its file has no `id`; posts that come in as events have one.",
    )
}
