//! The content of a message in a request, parsed kind by kind.

use jiff::Timestamp;

use crate::http::extract::Fields;
use crate::media::filename;
use crate::message::{
    self, CalendarEvent, ChatId, Content, GroupInvite, LiveLocation, Location, Media, MediaKind,
    Place, Reaction, Text, emoji,
};

use super::{contacts, interactive, polls, products, status};

/// WhatsApp's own limits, in characters.
pub(in crate::http) const LONGEST_TEXT: usize = 65_536;
pub(in crate::http) const LONGEST_CAPTION: usize = 1_024;
const LONGEST_DESCRIPTION: usize = 2_048;
const LONGEST_NAME: usize = 1_000;
/// Of an invitation.
const LONGEST_CODE: usize = 100;
/// In metres.
const FURTHEST: u64 = 100_000;
/// In metres per second.
const FASTEST: f64 = 10_000.0;

pub(super) fn content(fields: &mut Fields, kind: &'static str) -> Option<Content> {
    if !fields.has(kind) {
        fields.refuse(kind, "is missing");
        return None;
    }
    if kind == "contacts" {
        return contacts::contacts(fields).map(|contacts| Content::Contacts { contacts });
    }
    let mut inner = fields.inner(kind)?;
    let content = match kind {
        "text" => status::text(&mut inner).map(|text| Content::Text { text }),
        "image" => linked(&mut inner, MediaKind::Image).map(|image| Content::Image { image }),
        "video" => linked(&mut inner, MediaKind::Video).map(|video| Content::Video { video }),
        "audio" => linked(&mut inner, MediaKind::Audio).map(|audio| Content::Audio { audio }),
        "sticker" => {
            linked(&mut inner, MediaKind::Sticker).map(|sticker| Content::Sticker { sticker })
        }
        "location" => location(&mut inner).map(|location| Content::Location { location }),
        "poll_vote" => polls::vote(&mut inner).map(|poll_vote| Content::PollVote { poll_vote }),
        "event_response" => polls::response(&mut inner)
            .map(|event_response| Content::EventResponse { event_response }),
        "poll" => polls::poll(&mut inner).map(|poll| Content::Poll { poll }),
        "event" => event(&mut inner).map(|event| Content::Event { event }),
        "live_location" => {
            live_location(&mut inner).map(|live_location| Content::LiveLocation { live_location })
        }
        "group_invite" => {
            group_invite(&mut inner).map(|group_invite| Content::GroupInvite { group_invite })
        }
        "interactive" => interactive::interactive(&mut inner)
            .map(|interactive| Content::Interactive { interactive }),
        "product" => products::product(&mut inner).map(|product| Content::Product {
            product: Box::new(product),
        }),
        "reaction" => reaction(&mut inner).map(|reaction| Content::Reaction { reaction }),
        _ => linked(&mut inner, MediaKind::Document).map(|document| Content::Document { document }),
    };
    fields.absorb(kind, inner);
    content
}

pub(super) fn text(fields: &mut Fields) -> Option<Text> {
    let preview_url = fields.flag("preview_url");
    fields.text_up_to("body", LONGEST_TEXT).map(|body| Text {
        preview_url,
        ..Text::new(body)
    })
}

/// Reads the caption of a file.
pub(super) fn caption(fields: &mut Fields) -> Option<String> {
    if !fields.is_given("caption") {
        fields.refuse("caption", "is missing; an empty one takes it away");
    }
    fields.optional_text_up_to("caption", LONGEST_CAPTION)
}

pub(super) fn linked(fields: &mut Fields, kind: MediaKind) -> Option<Media> {
    let id = fields.optional_text("id");
    let named = match id {
        Some(_) if fields.has("link") => {
            fields.ignore("link");
            fields.refuse(
                "id",
                "cannot be there beside `link`; name the file by one of the two",
            );
            None
        }
        Some(id) => Some(Media {
            id: Some(id),
            ..Media::default()
        }),
        None => {
            let link = fields.parsed("link", |text| {
                crate::fetch::web_address(text).map(|_| text.to_owned())
            });
            link.map(Media::linked)
        }
    };
    let is_named = named.is_some();
    // The other fields are read in any case, so that valid ones are not reported as unknown.
    let mut media = named.unwrap_or_default();
    media.sha256 = fields.optional_parsed("sha256", message::sha256);
    if !matches!(kind, MediaKind::Audio | MediaKind::Sticker) {
        media.caption = fields.optional_text_up_to("caption", LONGEST_CAPTION);
    }
    if !matches!(kind, MediaKind::Document | MediaKind::Sticker) {
        media.view_once = fields.flag("view_once");
    }
    match kind {
        MediaKind::Document => {
            let filename = fields
                .optional_text_up_to("filename", LONGEST_NAME)
                .filter(|name| !name.trim().is_empty());
            let judged = filename
                .map(|name| filename::base(&name).ok_or_else(|| "names no file".to_owned()));
            media.filename = judged.and_then(|judged| fields.judged("filename", judged));
        }
        MediaKind::Audio | MediaKind::Voice => media.voice = fields.flag("voice"),
        MediaKind::Video => {
            (media.gif, media.round) = (fields.flag("gif"), fields.flag("round"));
            if media.gif && media.round {
                fields.refuse("round", "cannot be true beside `gif`");
            }
            if media.round && media.caption.is_some() {
                fields.refuse("caption", "does not belong to a video note");
            }
        }
        MediaKind::Image | MediaKind::Sticker => {}
    }
    // Events give unknown properties of a file as null, and such an object can be sent back
    // unchanged.
    for unknown in [
        "mime_type",
        "caption",
        "filename",
        "size",
        "width",
        "height",
        "duration",
        "pages",
    ] {
        if !fields.has(unknown) {
            fields.ignore(unknown);
        }
    }
    is_named.then_some(media)
}

fn location(fields: &mut Fields) -> Option<Location> {
    let latitude = fields.decimal("latitude", -90.0..=90.0);
    let longitude = fields.decimal("longitude", -180.0..=180.0);
    let name = fields.optional_text_up_to("name", LONGEST_NAME);
    let address = fields.optional_text_up_to("address", LONGEST_NAME);
    Some(Location {
        latitude: latitude?,
        longitude: longitude?,
        name,
        address,
    })
}

/// Reads the position at which live sharing begins. Only phones can send later positions to
/// WhatsApp.
fn live_location(fields: &mut Fields) -> Option<LiveLocation> {
    let latitude = fields.decimal("latitude", -90.0..=90.0);
    let longitude = fields.decimal("longitude", -180.0..=180.0);
    let whole = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
    let accuracy = whole(fields.optional_number("accuracy", 0..=FURTHEST));
    let bearing = whole(fields.optional_number("bearing", 0..=359));
    let speed = if fields.has("speed") {
        fields.decimal("speed", 0.0..=FASTEST)
    } else {
        None
    };
    let caption = fields.optional_text_up_to("caption", LONGEST_CAPTION);
    for told in ["speed", "sequence"] {
        fields.ignore(told);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a speed within these limits fits, and is no exact number"
    )]
    let speed = speed.map(|speed| speed as f32);
    let (latitude, longitude, sequence) = (latitude?, longitude?, Some(1));
    Some(LiveLocation {
        latitude,
        longitude,
        accuracy,
        speed,
        bearing,
        caption,
        sequence,
    })
}

fn group_invite(fields: &mut Fields) -> Option<GroupInvite> {
    let group = fields.parsed("group", |text| match ChatId::parse(text) {
        Ok(group @ ChatId::Group(_)) => Ok(group.to_string()),
        _ => Err("is no group; write it as …@g.us"),
    });
    let code = fields.text_up_to("code", LONGEST_CODE);
    let name = fields.optional_text_up_to("name", LONGEST_NAME);
    let caption = fields.optional_text_up_to("caption", LONGEST_CAPTION);
    let expires_at = fields.parsed("expires_at", time);
    Some(GroupInvite {
        group: group?,
        code: code?,
        name,
        caption,
        expires_at: Some(expires_at?),
    })
}

fn event(fields: &mut Fields) -> Option<CalendarEvent> {
    let name = fields.text_up_to("name", LONGEST_NAME);
    let description = fields.optional_text_up_to("description", LONGEST_DESCRIPTION);
    let start = fields.parsed("start", time);
    let end = fields.optional_parsed("end", time);
    if start.zip(end).is_some_and(|(start, end)| end <= start) {
        fields.refuse("end", "is not after the start");
    }
    let place = fields.inner("place").map(|mut inner| {
        let place = self::place(&mut inner);
        fields.absorb("place", inner);
        place
    });
    let event = CalendarEvent {
        name: name?,
        description,
        start,
        end,
        place,
        join_link: None,
        canceled: false,
    };
    start.map(|_| event)
}

/// Parses a time; WhatsApp stores whole seconds.
fn time(text: &str) -> Result<Timestamp, &'static str> {
    let time = text
        .parse::<Timestamp>()
        .ok()
        .and_then(|time| Timestamp::from_second(time.as_second()).ok());
    time.ok_or("is not a time; write it like 2026-12-01T09:00:00Z")
}

fn place(fields: &mut Fields) -> Place {
    let has_point = fields.has("latitude") || fields.has("longitude");
    let mut degrees = |field, most: f64| {
        if has_point {
            fields.decimal(field, -most..=most)
        } else {
            None
        }
    };
    let (latitude, longitude) = (degrees("latitude", 90.0), degrees("longitude", 180.0));
    let name = fields.optional_text_up_to("name", LONGEST_NAME);
    let address = fields.optional_text_up_to("address", LONGEST_NAME);
    if !has_point && name.is_none() && address.is_none() {
        fields.refuse("name", "is missing, and so are an address and a point");
    }
    fields.ignore("latitude");
    fields.ignore("longitude");
    Place {
        name,
        address,
        latitude,
        longitude,
    }
}

fn reaction(fields: &mut Fields) -> Option<Reaction> {
    let message_id = fields.text("message_id");
    if !fields.is_given("emoji") {
        fields.refuse("emoji", "is missing; null takes an earlier reaction back");
    }
    let emoji = fields
        .optional_text("emoji")
        .filter(|emoji| !emoji.is_empty());
    if emoji
        .as_ref()
        .is_some_and(|emoji| !emoji::is_one_emoji(emoji))
    {
        fields.refuse(
            "emoji",
            "is not one emoji, and nothing else; null takes an earlier reaction back",
        );
    }
    Some(Reaction {
        message_id: message_id?,
        emoji,
    })
}
