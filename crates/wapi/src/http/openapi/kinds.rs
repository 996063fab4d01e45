//! Kinds of messages that can be sent, one object each.

use serde_json::{Value, json};

use super::schema::{
    count, decimal, flag, list, moment, number, object, or_null, said, sha256, text, with, words,
};
use crate::message::CalendarEvent;

type Member = (&'static str, Value);

pub fn files() -> Vec<Member> {
    let mut members = single_files();
    let of = |kind: &str| {
        members
            .iter()
            .find(|member| member.0 == kind)
            .map(|member| member.1.clone())
    };
    let item = object(&[
        ("image?", of("image?").unwrap_or_default()),
        ("video?", of("video?").unwrap_or_default()),
    ]);
    let album = with(
        with(list(item), "minItems", 2.into()),
        "maxItems",
        10.into(),
    );
    members.push((
        "album?",
        said(
            album,
            "Pictures and films that are shown together: a message each, and one before.",
        ),
    ));
    members
}

fn single_files() -> Vec<Member> {
    let linked = |more: &[Member]| {
        let id = said(text(), "Of a file at `/v1/media`.");
        let link = said(
            text(),
            "Where it is fetched from when its turn comes; instead of `id`.",
        );
        let hash = sha256("Of the file; another one is not sent.");
        object(
            &[
                &[
                    ("id?", or_null(id)),
                    ("link?", or_null(link)),
                    ("sha256?", or_null(hash)),
                ],
                more,
            ]
            .concat(),
        )
    };
    let (caption, once) = (
        ("caption?", or_null(text())),
        ("view_once?", or_null(flag())),
    );
    let filename = said(
        text(),
        "Without folders; left out, what its upload, its server or its address calls it.",
    );
    vec![
        ("image?", linked(&[caption.clone(), once.clone()])),
        (
            "video?",
            linked(&[
                caption.clone(),
                ("gif?", or_null(flag())),
                ("round?", or_null(flag())),
                once.clone(),
            ]),
        ),
        ("audio?", linked(&[("voice?", or_null(flag())), once])),
        ("sticker?", linked(&[])),
        (
            "document?",
            linked(&[caption, ("filename?", or_null(filename))]),
        ),
    ]
}

pub fn others() -> Vec<Member> {
    let words = || or_null(text());
    let (latitude, longitude) = (decimal(-90, 90), decimal(-180, 180));
    let place = object(&[
        ("name?", words()),
        ("address?", words()),
        ("latitude?", or_null(latitude.clone())),
        ("longitude?", or_null(longitude.clone())),
    ]);
    let location = object(&[
        ("latitude", latitude),
        ("longitude", longitude),
        ("name?", words()),
        ("address?", words()),
    ]);
    let event = object(&[
        ("name", text()),
        ("description?", words()),
        ("start", moment()),
        ("end?", or_null(moment())),
        ("place?", or_null(place)),
    ]);
    let emoji = said(words(), "One; `null` takes an earlier one back.");
    vec![
        ("location?", location),
        ("live_location?", live_location()),
        ("group_invite?", group_invite()),
        (
            "contacts?",
            with(
                with(list(contact()), "minItems", 1.into()),
                "maxItems",
                257.into(),
            ),
        ),
        ("poll?", poll()),
        ("event?", event),
        (
            "reaction?",
            object(&[("message_id", text()), ("emoji", emoji)]),
        ),
        (
            "poll_vote?",
            object(&[("message_id", text()), ("options", list(text()))]),
        ),
        ("event_response?", event_response()),
    ]
}

/// Returns the members of a sent message.
pub fn shown() -> Vec<Member> {
    let words = || or_null(text());
    let whole = || or_null(count());
    let file = || {
        object(&[
            ("link?", text()),
            ("id?", said(text(), "Of the file at `/v1/media`.")),
            (
                "url?",
                said(
                    text(),
                    "Where the file is, below the gateway's own address.",
                ),
            ),
            ("mime_type", words()),
            ("caption", words()),
            ("filename", words()),
            ("size", said(whole(), "Bytes.")),
            ("sha256", words()),
            ("width", whole()),
            ("height", whole()),
            ("duration", said(whole(), "Seconds.")),
            ("pages?", said(count(), "Of documents.")),
            ("voice?", flag()),
            ("gif?", flag()),
            ("round?", flag()),
            ("view_once?", flag()),
        ])
    };
    let body = || object(&[("body", text())]);
    let mut members = vec![
        (
            "text?",
            object(&[
                ("body", text()),
                ("preview_url?", flag()),
                ("background_color?", text()),
                ("font?", text()),
            ]),
        ),
        (
            "edit?",
            object(&[
                ("message_id", text()),
                ("text?", body()),
                ("caption?", text()),
            ]),
        ),
        ("deletion?", object(&[("message_id", text())])),
        ("context?", object(&[("message_id", text())])),
        (
            "mentions?",
            said(list(text()), "The ids of those it mentions."),
        ),
        (
            "mentioned?",
            said(
                list(object(&super::groups::person())),
                "The same as people. Of what comes in.",
            ),
        ),
        ("forwarded?", flag()),
        (
            "audience?",
            said(
                list(text()),
                "Of a status: the addresses of those who may see it.",
            ),
        ),
        (
            "album_id?",
            said(
                text(),
                "The message that announced the album it is part of.",
            ),
        ),
        (
            "album?",
            object(&[("images", count()), ("videos", count())]),
        ),
        (
            "interactive?",
            said(json!({"type": "object"}), "As it was sent."),
        ),
        (
            "expires_after?",
            said(count(), "Seconds after which it disappears."),
        ),
    ];
    members
        .extend(["image?", "video?", "audio?", "document?", "sticker?"].map(|kind| (kind, file())));
    members.extend(others());
    members.extend(super::marks::shown());
    members.extend(super::products::told());
    members
}

fn contact() -> Value {
    let phone = object(&[
        ("phone", said(text(), "As it is shown.")),
        (
            "wa_id?",
            or_null(said(
                text(),
                "The account's number; left out, an international `phone`.",
            )),
        ),
        ("type?", or_null(text())),
    ]);
    object(&[
        (
            "name?",
            said(
                json!({}),
                "A text, or `{\"formatted_name\": \"…\"}`; left out, the vCard's `FN`, or what else names somebody.",
            ),
        ),
        ("phones?", or_null(list(phone))),
        (
            "vcard?",
            or_null(said(
                text(),
                "Instead of `phones`, of any version; several cards are several contacts, and have no `name` beside them.",
            )),
        ),
    ])
}

fn live_location() -> Value {
    let place = object(&[
        ("latitude", decimal(-90, 90)),
        ("longitude", decimal(-180, 180)),
        ("accuracy?", or_null(said(number(0, 100_000), "Metres."))),
        (
            "speed?",
            or_null(said(decimal(0, 10_000), "Metres a second.")),
        ),
        (
            "bearing?",
            or_null(said(number(0, 359), "Degrees clockwise from north.")),
        ),
        ("caption?", or_null(text())),
        ("sequence?", or_null(count())),
    ]);
    said(
        place,
        "Where somebody is at the beginning. WhatsApp takes moves and the end from phones alone.",
    )
}

fn group_invite() -> Value {
    let code = said(
        text(),
        "As WhatsApp gave it for a person whom nobody may add.",
    );
    object(&[
        ("group", said(text(), "`…@g.us`")),
        ("code", code),
        ("expires_at", moment()),
        ("name?", or_null(text())),
        ("caption?", or_null(text())),
    ])
}

fn event_response() -> Value {
    let guests = or_null(said(number(0, 99), "Others who come along."));
    object(&[
        ("message_id", text()),
        ("response", words(&CalendarEvent::RESPONSES)),
        ("extra_guests?", guests),
    ])
}

fn poll() -> Value {
    let options = with(
        with(list(text()), "minItems", 2.into()),
        "maxItems",
        12.into(),
    );
    object(&[
        ("question", text()),
        ("options", options),
        (
            "max_selections?",
            or_null(said(
                number(1, 12),
                "How many one person may choose; 1 when nothing is said.",
            )),
        ),
        (
            "quiz?",
            or_null(object(&[("answer", said(text(), "The right option."))])),
        ),
    ])
}
