//! Kinds of messages that can be sent, one object each.

use serde_json::{Value, json};

use super::schema::{
    boolean, count, decimal, list_of, number, object, or_null, sha256, string_enum, text,
    time_input, with_description, with_keyword,
};
use super::type_schemas::answer_schema;
use crate::model::message::{CalendarEvent, Message};

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
            "Images and videos that phones show together: one message each, after one that announces the album.",
        ),
    ));
    members
}

fn single_file_members() -> Vec<KindMember> {
    let linked = |more: &[KindMember]| {
        let id = with_description(text(), "Id of a file at `/v1/media`.");
        let link = with_description(
            text(),
            "Address from which the file is downloaded before sending; instead of `id`.",
        );
        let hash = sha256("Hash of the file; a file with another hash is not sent.");
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
        "File name without folders. Defaults to the name from the upload, the server, or the address.",
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
    let emoji = with_description(
        words(),
        "A single emoji; `null` removes an earlier reaction.",
    );
    vec![
        ("location?", location),
        ("live_location?", live_location_schema()),
        ("group_invite?", group_invite_schema()),
        ("newsletter_invite?", newsletter_invite_schema()),
        (
            "phone_number_request?",
            with_description(
                object(&[]),
                "Asks somebody known by a LID alone to share the phone number; it has no fields.",
            ),
        ),
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

/// Returns the schema of a message in answers.
pub fn shown_message_schema() -> Value {
    answer_schema::<Message>()
}

fn contact_card_schema() -> Value {
    let phone = object(&[
        (
            "phone",
            with_description(text(), "The number as phones show it."),
        ),
        (
            "wa_id?",
            or_null(with_description(
                text(),
                "Number of the WhatsApp account. Defaults to `phone` if that is international.",
            )),
        ),
        ("type?", or_null(text())),
    ]);
    object(&[
        (
            "name?",
            with_description(
                json!({}),
                "A text, or `{\"formatted_name\": \"…\"}`. Defaults to the vCard's `FN`, or to another name in it.",
            ),
        ),
        ("phones?", or_null(list_of(phone))),
        (
            "vcard?",
            or_null(with_description(
                text(),
                "vCard of any version, instead of `phones`. Several cards make several contacts and exclude `name`.",
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
            or_null(with_description(
                decimal(0, 10_000),
                "Speed in metres per second.",
            )),
        ),
        (
            "bearing?",
            or_null(with_description(
                number(0, 359),
                "Direction in degrees, clockwise from north.",
            )),
        ),
        ("caption?", or_null(text())),
        ("sequence?", or_null(count())),
    ]);
    with_description(
        place,
        "The position at the start. WhatsApp accepts updates and the end only from phones.",
    )
}

fn group_invite_schema() -> Value {
    let code = with_description(
        text(),
        "Code that WhatsApp issued for a person who cannot be added directly.",
    );
    object(&[
        ("group", with_description(text(), "`…@g.us`")),
        ("code", code),
        ("expires_at", time_input()),
        ("name?", or_null(text())),
        ("caption?", or_null(text())),
    ])
}

fn newsletter_invite_schema() -> Value {
    let invite = object(&[
        ("newsletter", with_description(text(), "`…@newsletter`")),
        ("expires_at", time_input()),
        ("name?", or_null(text())),
        ("caption?", or_null(text())),
    ]);
    with_description(
        invite,
        "Tells a person of the invitation to be an admin that `PUT …/newsletters/{newsletter}/invites/{contact}` made.",
    )
}

fn event_response_schema() -> Value {
    let guests = or_null(with_description(
        number(0, 99),
        "Number of additional guests.",
    ));
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
                "Maximum number of options per person. Default: 1.",
            )),
        ),
        (
            "quiz?",
            or_null(object(&[(
                "answer",
                with_description(text(), "The correct option."),
            )])),
        ),
    ])
}
