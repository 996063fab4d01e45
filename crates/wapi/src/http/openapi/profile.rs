//! Account profiles and block lists. Pure.

use serde_json::{Value, json};

use super::groups::{ASKED, person};
use super::operation::{Operation, route};
use super::schema::{form, list, object, or_null, said, text, with, words};
use crate::http::profile::{LONGEST_ABOUT, LONGEST_NAME};

pub fn operations() -> Vec<Operation> {
    let up_to = |longest: usize| {
        with(
            with(text(), "minLength", json!(1)),
            "maxLength",
            json!(longest),
        )
    };
    let change = object(&[
        ("name?", up_to(LONGEST_NAME)),
        ("about?", up_to(LONGEST_ABOUT)),
    ]);
    let picture = object(&[
        ("id?", said(text(), "A file that was uploaded, or came in.")),
        ("link?", said(form("uri"), "Where it is fetched from.")),
    ]);
    let block = |method, summary| {
        route(
            method,
            "/v1/sessions/{session}/contacts/{contact}/block",
            summary,
        )
        .problems(&ASKED)
        .problems(&[(404, "not_on_whatsapp")])
    };
    vec![
        route(
            "GET",
            "/v1/sessions/{session}/profile",
            "What the account shows of itself",
        )
        .answers(200, "The profile.", profile())
        .problems(&ASKED),
        route(
            "PUT",
            "/v1/sessions/{session}/profile",
            "Change its name or its about text: at least one of these",
        )
        .body(with(change, "minProperties", json!(1)))
        .answers_nothing(204, "It is changed, for everybody.")
        .problems(&ASKED),
        route(
            "PUT",
            "/v1/sessions/{session}/profile/picture",
            "Show a picture; a square of its middle is taken",
        )
        .body(with(
            with(picture, "minProperties", json!(1)),
            "maxProperties",
            json!(1),
        ))
        .body_as("image/*", form("binary"))
        .body_as("multipart/form-data", object(&[("file", form("binary"))]))
        .answers_nothing(204, "It is shown.")
        .problems(&ASKED)
        .problems(&[
            (404, "media_not_found"),
            (409, "media_not_ready"),
            (410, "media_gone"),
            (503, "not_ready"),
        ]),
        route(
            "DELETE",
            "/v1/sessions/{session}/profile/picture",
            "Show no picture any more",
        )
        .answers_nothing(204, "None is shown.")
        .problems(&ASKED),
        route(
            "GET",
            "/v1/sessions/{session}/contacts/{contact}/picture",
            "Somebody's picture",
        )
        .query(
            "size",
            words(&["full", "preview"]),
            "`preview` is a small one; `full` when nothing is said.",
        )
        .answers_as(
            200,
            "The picture; its `ETag` is another when they change it.",
            &[("image/jpeg", form("binary"))],
        )
        .answers_nothing(304, "The caller has it already.")
        .problems(&ASKED)
        .problems(&[(404, "picture_not_found")]),
        route(
            "GET",
            "/v1/sessions/{session}/blocked",
            "Whom the account blocks",
        )
        .answers(
            200,
            "The people.",
            object(&[("contacts", list(object(&person())))]),
        )
        .problems(&ASKED),
        block(
            "PUT",
            "Block somebody: what they write goes nowhere, and they are not told",
        )
        .answers_nothing(204, "They are blocked."),
        block("DELETE", "Let somebody through again")
            .answers_nothing(204, "What they write comes in again."),
    ]
}

fn profile() -> Value {
    let picture = object(&[
        ("id", said(text(), "Another one when it changes.")),
        (
            "url",
            said(text(), "Where it is, below the gateway's own address."),
        ),
    ]);
    let mut members = person().to_vec();
    members.push(("about", or_null(said(text(), "The text below the name."))));
    members.push(("picture", or_null(picture)));
    object(&members)
}
