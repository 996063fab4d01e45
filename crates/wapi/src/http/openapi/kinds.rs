//! The kinds of messages that can be sent, one object each.

use serde_json::{Value, json};

use super::schema::{count, decimal, flag, list, number, object, or_null, said, text, time, with};

type Member = (&'static str, Value);

pub fn files() -> Vec<Member> {
    let linked = |more: &[Member]| {
        let id = said(text(), "Of a file at `/v1/media`.");
        let link = said(text(), "Where it is fetched from when its turn comes; instead of `id`.");
        object(&[&[("id?", or_null(id)), ("link?", or_null(link))], more].concat())
    };
    let (caption, once) = (("caption?", or_null(text())), ("view_once?", or_null(flag())));
    vec![
        ("image?", linked(&[caption.clone(), once.clone()])),
        ("video?", linked(&[caption.clone(), ("gif?", or_null(flag())), ("round?", or_null(flag())), once.clone()])),
        ("audio?", linked(&[("voice?", or_null(flag())), once])),
        ("sticker?", linked(&[])),
        ("document?", linked(&[caption, ("filename?", or_null(text()))])),
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
    let location =
        object(&[("latitude", latitude), ("longitude", longitude), ("name?", words()), ("address?", words())]);
    let event = object(&[
        ("name", text()),
        ("description?", words()),
        ("start", time()),
        ("end?", or_null(time())),
        ("place?", or_null(place)),
    ]);
    let emoji = said(words(), "`null` takes an earlier one back.");
    vec![
        ("location?", location),
        ("contacts?", with(with(list(contact()), "minItems", 1.into()), "maxItems", 257.into())),
        ("poll?", poll()),
        ("event?", event),
        ("reaction?", object(&[("message_id", text()), ("emoji", emoji)])),
    ]
}

/// What a message that was sent says.
pub fn shown() -> Vec<Member> {
    let words = || or_null(text());
    let whole = || or_null(count());
    let file = || {
        object(&[
            ("link?", text()),
            ("mime_type", words()),
            ("caption", words()),
            ("filename", words()),
            ("size", said(whole(), "Bytes.")),
            ("sha256", words()),
            ("width", whole()),
            ("height", whole()),
            ("duration", said(whole(), "Seconds.")),
            ("voice?", flag()),
            ("gif?", flag()),
            ("view_once?", flag()),
        ])
    };
    let body = || object(&[("body", text())]);
    let mut members = vec![
        ("text?", body()),
        ("edit?", object(&[("message_id", text()), ("text", body())])),
        ("deletion?", object(&[("message_id", text())])),
        ("context?", object(&[("message_id", text())])),
        ("mentions?", list(text())),
        ("forwarded?", flag()),
        ("expires_after?", said(count(), "Seconds after which it disappears.")),
    ];
    members.extend(["image?", "video?", "audio?", "document?"].map(|kind| (kind, file())));
    members.extend(others());
    members.extend(super::marks::shown());
    members
}

fn contact() -> Value {
    let phone = object(&[
        ("phone", said(text(), "As it is shown.")),
        ("wa_id?", or_null(said(text(), "The account's number; left out, an international `phone`."))),
        ("type?", or_null(text())),
    ]);
    object(&[
        ("name?", said(json!({}), "A text, or `{\"formatted_name\": \"…\"}`; left out, the vCard's `FN`.")),
        ("phones?", or_null(list(phone))),
        ("vcard?", or_null(said(text(), "Instead of `phones`."))),
    ])
}

fn poll() -> Value {
    let options = with(with(list(text()), "minItems", 2.into()), "maxItems", 12.into());
    object(&[
        ("question", text()),
        ("options", options),
        ("max_selections?", or_null(said(number(1, 12), "How many one person may choose; 1 when nothing is said."))),
        ("quiz?", or_null(object(&[("answer", said(text(), "The right option."))]))),
    ])
}
