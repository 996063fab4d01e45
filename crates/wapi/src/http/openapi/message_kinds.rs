//! Kinds of messages that can be sent, one object each.

use serde_json::{Value, json};

use super::schema::{
    boolean, count, decimal, list_of, number, object, or_null, sha256, string_enum, text,
    time_input, with_description, with_keyword,
};
use crate::model::message::CalendarEvent;

type KindMember = (&'static str, Value);

pub fn file_members() -> Vec<KindMember> {
    let mut members = single_file_members();
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
    let album = with_keyword(
        with_keyword(list_of(item), "minItems", 2.into()),
        "maxItems",
        10.into(),
    );
    members.push((
        "album?",
        with_description(
            album,
            "Pictures and films that are shown together: a message each, and one before.",
        ),
    ));
    members
}

fn single_file_members() -> Vec<KindMember> {
    let linked = |more: &[KindMember]| {
        let id = with_description(text(), "Of a file at `/v1/media`.");
        let link = with_description(
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
        ("view_once?", or_null(boolean())),
    );
    let filename = with_description(
        text(),
        "Without folders; left out, what its upload, its server or its address calls it.",
    );
    vec![
        ("image?", linked(&[caption.clone(), once.clone()])),
        (
            "video?",
            linked(&[
                caption.clone(),
                ("gif?", or_null(boolean())),
                ("round?", or_null(boolean())),
                once.clone(),
            ]),
        ),
        ("audio?", linked(&[("voice?", or_null(boolean())), once])),
        ("sticker?", linked(&[])),
        (
            "document?",
            linked(&[caption, ("filename?", or_null(filename))]),
        ),
    ]
}

pub fn other_members() -> Vec<KindMember> {
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
        ("start", time_input()),
        ("end?", or_null(time_input())),
        ("place?", or_null(place)),
    ]);
    let emoji = with_description(words(), "One; `null` takes an earlier one back.");
    vec![
        ("location?", location),
        ("live_location?", live_location_schema()),
        ("group_invite?", group_invite_schema()),
        (
            "contacts?",
            with_keyword(
                with_keyword(list_of(contact_card_schema()), "minItems", 1.into()),
                "maxItems",
                257.into(),
            ),
        ),
        ("poll?", poll_schema()),
        ("event?", event),
        (
            "reaction?",
            object(&[("message_id", text()), ("emoji", emoji)]),
        ),
        (
            "poll_vote?",
            object(&[("message_id", text()), ("options", list_of(text()))]),
        ),
        ("event_response?", event_response_schema()),
    ]
}

/// Returns the members of a sent message.
pub fn shown_members() -> Vec<KindMember> {
    let words = || or_null(text());
    let whole = || or_null(count());
    let file = || {
        object(&[
            ("link?", text()),
            (
                "id?",
                with_description(text(), "Of the file at `/v1/media`."),
            ),
            (
                "url?",
                with_description(
                    text(),
                    "Where the file is, below the gateway's own address.",
                ),
            ),
            ("mime_type", words()),
            ("caption", words()),
            ("filename", words()),
            ("size", with_description(whole(), "Bytes.")),
            ("sha256", words()),
            ("width", whole()),
            ("height", whole()),
            ("duration", with_description(whole(), "Seconds.")),
            ("pages?", with_description(count(), "Of documents.")),
            ("voice?", boolean()),
            ("gif?", boolean()),
            ("round?", boolean()),
            ("view_once?", boolean()),
        ])
    };
    let body = || object(&[("body", text())]);
    let mut members = vec![
        (
            "text?",
            object(&[
                ("body", text()),
                ("preview_url?", boolean()),
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
            with_description(list_of(text()), "The ids of those it mentions."),
        ),
        (
            "mentioned?",
            with_description(
                list_of(object(&super::routes::groups::person_members())),
                "The same as people. Of what comes in.",
            ),
        ),
        ("forwarded?", boolean()),
        (
            "audience?",
            with_description(
                list_of(text()),
                "Of a status: the addresses of those who may see it.",
            ),
        ),
        (
            "album_id?",
            with_description(
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
            with_description(json!({"type": "object"}), "As it was sent."),
        ),
        (
            "expires_after?",
            with_description(count(), "Seconds after which it disappears."),
        ),
    ];
    members
        .extend(["image?", "video?", "audio?", "document?", "sticker?"].map(|kind| (kind, file())));
    members.extend(other_members());
    members.extend(super::pin_keep_star::shown_members());
    members.extend(super::routes::products::shown_members());
    members
}

fn contact_card_schema() -> Value {
    let phone = object(&[
        ("phone", with_description(text(), "As it is shown.")),
        (
            "wa_id?",
            or_null(with_description(
                text(),
                "The account's number; left out, an international `phone`.",
            )),
        ),
        ("type?", or_null(text())),
    ]);
    object(&[
        (
            "name?",
            with_description(
                json!({}),
                "A text, or `{\"formatted_name\": \"…\"}`; left out, the vCard's `FN`, or what else names somebody.",
            ),
        ),
        ("phones?", or_null(list_of(phone))),
        (
            "vcard?",
            or_null(with_description(
                text(),
                "Instead of `phones`, of any version; several cards are several contacts, and have no `name` beside them.",
            )),
        ),
    ])
}

fn live_location_schema() -> Value {
    let place = object(&[
        ("latitude", decimal(-90, 90)),
        ("longitude", decimal(-180, 180)),
        (
            "accuracy?",
            or_null(with_description(number(0, 100_000), "Metres.")),
        ),
        (
            "speed?",
            or_null(with_description(decimal(0, 10_000), "Metres a second.")),
        ),
        (
            "bearing?",
            or_null(with_description(
                number(0, 359),
                "Degrees clockwise from north.",
            )),
        ),
        ("caption?", or_null(text())),
        ("sequence?", or_null(count())),
    ]);
    with_description(
        place,
        "Where somebody is at the beginning. WhatsApp takes moves and the end from phones alone.",
    )
}

fn group_invite_schema() -> Value {
    let code = with_description(
        text(),
        "As WhatsApp gave it for a person whom nobody may add.",
    );
    object(&[
        ("group", with_description(text(), "`…@g.us`")),
        ("code", code),
        ("expires_at", time_input()),
        ("name?", or_null(text())),
        ("caption?", or_null(text())),
    ])
}

fn event_response_schema() -> Value {
    let guests = or_null(with_description(number(0, 99), "Others who come along."));
    object(&[
        ("message_id", text()),
        ("response", string_enum(&CalendarEvent::RESPONSES)),
        ("extra_guests?", guests),
    ])
}

fn poll_schema() -> Value {
    let options = with_keyword(
        with_keyword(list_of(text()), "minItems", 2.into()),
        "maxItems",
        12.into(),
    );
    object(&[
        ("question", text()),
        ("options", options),
        (
            "max_selections?",
            or_null(with_description(
                number(1, 12),
                "How many one person may choose; 1 when nothing is said.",
            )),
        ),
        (
            "quiz?",
            or_null(object(&[(
                "answer",
                with_description(text(), "The right option."),
            )])),
        ),
    ])
}
