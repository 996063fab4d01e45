//! The content of a message in a request, parsed kind by kind.

use jiff::Timestamp;

use super::{albums, contacts, interactive, polls, products, status};
use crate::http::request::extract::JsonFields;
use crate::media::filename;
use crate::model::message::{
    self, CalendarEvent, ChatId, EventVenue, GroupInvite, LiveLocation, Location, MediaContent,
    MediaKind, Message, MessageContent, NewsletterInvite, PhoneNumberRequest, ReactionContent,
    TextContent, emoji,
};

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

/// The way in which the field of a kind is read.
enum KindReader {
    /// It is an object with these fields.
    Object(fn(&mut JsonFields) -> Option<MessageContent>),
    /// It is a list; the reader takes the field itself.
    List(fn(&mut JsonFields) -> Option<MessageContent>),
    /// It is a list of messages that follow the one that announces them.
    Items(fn(&mut JsonFields) -> Option<Vec<Message>>),
}

/// The kinds that can be sent, each with its reader.
const READERS: [(&str, KindReader); 20] = {
    use KindReader::{Items, List, Object};
    [
        (
            "text",
            Object(|it| status::read_status_text(it).map(|text| MessageContent::Text { text })),
        ),
        (
            "image",
            Object(|it| {
                read_media(it, MediaKind::Image).map(|image| MessageContent::Image { image })
            }),
        ),
        (
            "video",
            Object(|it| {
                read_media(it, MediaKind::Video).map(|video| MessageContent::Video { video })
            }),
        ),
        (
            "audio",
            Object(|it| {
                read_media(it, MediaKind::Audio).map(|audio| MessageContent::Audio { audio })
            }),
        ),
        (
            "document",
            Object(|it| {
                read_media(it, MediaKind::Document)
                    .map(|document| MessageContent::Document { document })
            }),
        ),
        (
            "sticker",
            Object(|it| {
                read_media(it, MediaKind::Sticker)
                    .map(|sticker| MessageContent::Sticker { sticker })
            }),
        ),
        ("album", Items(albums::read_album)),
        (
            "location",
            Object(|it| read_location(it).map(|location| MessageContent::Location { location })),
        ),
        (
            "live_location",
            Object(|it| {
                read_live_location(it)
                    .map(|live_location| MessageContent::LiveLocation { live_location })
            }),
        ),
        (
            "contacts",
            List(|it| {
                contacts::read_contacts(it).map(|contacts| MessageContent::Contacts { contacts })
            }),
        ),
        (
            "poll",
            Object(|it| polls::read_poll(it).map(|poll| MessageContent::Poll { poll })),
        ),
        (
            "event",
            Object(|it| read_calendar_event(it).map(|event| MessageContent::Event { event })),
        ),
        (
            "group_invite",
            Object(|it| {
                read_group_invite(it)
                    .map(|group_invite| MessageContent::GroupInvite { group_invite })
            }),
        ),
        (
            "newsletter_invite",
            Object(|it| {
                read_newsletter_invite(it)
                    .map(|newsletter_invite| MessageContent::NewsletterInvite { newsletter_invite })
            }),
        ),
        (
            "phone_number_request",
            Object(|_| {
                Some(MessageContent::PhoneNumberRequest {
                    phone_number_request: PhoneNumberRequest {},
                })
            }),
        ),
        (
            "interactive",
            Object(|it| {
                interactive::read_interactive(it)
                    .map(|interactive| MessageContent::Interactive { interactive })
            }),
        ),
        (
            "product",
            Object(|it| {
                products::read_product(it).map(|product| MessageContent::Product {
                    product: Box::new(product),
                })
            }),
        ),
        (
            "reaction",
            Object(|it| read_reaction(it).map(|reaction| MessageContent::Reaction { reaction })),
        ),
        (
            "poll_vote",
            Object(|it| {
                polls::read_vote(it).map(|poll_vote| MessageContent::PollVote { poll_vote })
            }),
        ),
        (
            "event_response",
            Object(|it| {
                polls::read_event_response(it)
                    .map(|event_response| MessageContent::EventResponse { event_response })
            }),
        ),
    ]
};

/// The names of the kinds that can be sent.
pub const KINDS: [&str; READERS.len()] = {
    let mut kinds = [""; READERS.len()];
    let mut index = 0;
    while index < kinds.len() {
        kinds[index] = READERS[index].0;
        index += 1;
    }
    kinds
};

/// Reads the content of a message of this kind, one of [`KINDS`], and the messages that follow it:
/// the items of an album.
pub(crate) fn read_content(
    fields: &mut JsonFields,
    kind: &'static str,
) -> Option<(MessageContent, Vec<Message>)> {
    if !fields.has_value(kind) {
        fields.refuse_field(kind, "is missing");
        return None;
    }
    let (_, reader) = READERS.iter().find(|(name, _)| *name == kind)?;
    match reader {
        KindReader::List(read) => Some((read(fields)?, Vec::new())),
        KindReader::Items(read) => {
            let items = read(fields)?;
            Some((albums::build_announcement(&items), items))
        }
        KindReader::Object(read) => {
            let mut inner = fields.nested_fields(kind)?;
            let content = read(&mut inner);
            fields.absorb_errors(kind, inner);
            Some((content?, Vec::new()))
        }
    }
}

pub(crate) fn read_text(fields: &mut JsonFields) -> Option<TextContent> {
    let preview_url = fields.flag_or_false("preview_url");
    fields
        .text_up_to("body", LONGEST_TEXT)
        .map(|body| TextContent {
            preview_url,
            ..TextContent::new(body)
        })
}

/// Reads the caption of a file.
pub(crate) fn read_caption(fields: &mut JsonFields) -> Option<String> {
    if !fields.has_field("caption") {
        fields.refuse_field("caption", "is missing; an empty text removes it");
    }
    fields.optional_text_up_to("caption", LONGEST_CAPTION)
}

pub(crate) fn read_media(fields: &mut JsonFields, kind: MediaKind) -> Option<MediaContent> {
    let id = fields.optional_text("id");
    let named = match id {
        Some(_) if fields.has_value("link") => {
            fields.ignore_field("link");
            fields.refuse_field("id", "cannot be combined with `link`; give one of the two");
            None
        }
        Some(id) => Some(MediaContent {
            id: Some(id),
            ..MediaContent::default()
        }),
        None => {
            let link = fields.parse_required("link", |text| {
                crate::media::link_download::parse_web_address(text).map(|_| text.to_owned())
            });
            link.map(MediaContent::from_link)
        }
    };
    let is_named = named.is_some();
    // The other fields are read in any case, so that valid ones are not reported as unknown.
    let mut media = named.unwrap_or_default();
    media.sha256 = fields.parse_optional("sha256", message::parse_sha256);
    if !matches!(kind, MediaKind::Audio | MediaKind::Sticker) {
        media.caption = fields.optional_text_up_to("caption", LONGEST_CAPTION);
    }
    if !matches!(kind, MediaKind::Document | MediaKind::Sticker) {
        media.view_once = fields.flag_or_false("view_once");
    }
    match kind {
        MediaKind::Document => {
            let filename = fields
                .optional_text_up_to("filename", LONGEST_NAME)
                .filter(|name| !name.trim().is_empty());
            let judged = filename
                .map(|name| filename::base_name(&name).ok_or_else(|| "names no file".to_owned()));
            media.filename = judged.and_then(|judged| fields.ok_or_record("filename", judged));
        }
        MediaKind::Audio | MediaKind::Voice => media.voice = fields.flag_or_false("voice"),
        MediaKind::Video => {
            (media.gif, media.round) = (fields.flag_or_false("gif"), fields.flag_or_false("round"));
            if media.gif && media.round {
                fields.refuse_field("round", "cannot be combined with `gif`");
            }
            if media.round && media.caption.is_some() {
                fields.refuse_field("caption", "does not belong to a video note");
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
        if !fields.has_value(unknown) {
            fields.ignore_field(unknown);
        }
    }
    is_named.then_some(media)
}

fn read_location(fields: &mut JsonFields) -> Option<Location> {
    let latitude = fields.required_decimal("latitude", -90.0..=90.0);
    let longitude = fields.required_decimal("longitude", -180.0..=180.0);
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
fn read_live_location(fields: &mut JsonFields) -> Option<LiveLocation> {
    let latitude = fields.required_decimal("latitude", -90.0..=90.0);
    let longitude = fields.required_decimal("longitude", -180.0..=180.0);
    let whole = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
    let accuracy = whole(fields.optional_number("accuracy", 0..=FURTHEST));
    let bearing = whole(fields.optional_number("bearing", 0..=359));
    let speed = if fields.has_value("speed") {
        fields.required_decimal("speed", 0.0..=FASTEST)
    } else {
        None
    };
    let caption = fields.optional_text_up_to("caption", LONGEST_CAPTION);
    for field in ["speed", "sequence"] {
        fields.ignore_field(field);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a speed within these limits fits, and is not an exact number"
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

fn read_group_invite(fields: &mut JsonFields) -> Option<GroupInvite> {
    let group = fields.parse_required("group", |text| match ChatId::parse(text) {
        Ok(group @ ChatId::Group(_)) => Ok(group.to_string()),
        _ => Err("is not a group; write it as …@g.us"),
    });
    let code = fields.text_up_to("code", LONGEST_CODE);
    let name = fields.optional_text_up_to("name", LONGEST_NAME);
    let caption = fields.optional_text_up_to("caption", LONGEST_CAPTION);
    let expires_at = fields.parse_required("expires_at", parse_time);
    Some(GroupInvite {
        group: group?,
        code: code?,
        name,
        caption,
        expires_at: Some(expires_at?),
    })
}

fn read_newsletter_invite(fields: &mut JsonFields) -> Option<NewsletterInvite> {
    let newsletter = fields.parse_required("newsletter", |text| match ChatId::parse(text) {
        Ok(newsletter @ ChatId::Newsletter(_)) => Ok(newsletter.to_string()),
        _ => Err("is not a newsletter; write it as …@newsletter"),
    });
    let name = fields.optional_text_up_to("name", LONGEST_NAME);
    let caption = fields.optional_text_up_to("caption", LONGEST_CAPTION);
    let expires_at = fields.parse_required("expires_at", parse_time);
    Some(NewsletterInvite {
        newsletter: newsletter?,
        name,
        caption,
        expires_at: Some(expires_at?),
    })
}

fn read_calendar_event(fields: &mut JsonFields) -> Option<CalendarEvent> {
    let name = fields.text_up_to("name", LONGEST_NAME);
    let description = fields.optional_text_up_to("description", LONGEST_DESCRIPTION);
    let start = fields.parse_required("start", parse_time);
    let end = fields.parse_optional("end", parse_time);
    if start.zip(end).is_some_and(|(start, end)| end <= start) {
        fields.refuse_field("end", "is not after the start");
    }
    let place = fields.nested_fields("place").map(|mut inner| {
        let place = self::read_event_place(&mut inner);
        fields.absorb_errors("place", inner);
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
fn parse_time(text: &str) -> Result<Timestamp, &'static str> {
    let time = text
        .parse::<Timestamp>()
        .ok()
        .and_then(|time| Timestamp::from_second(time.as_second()).ok());
    time.ok_or("is not a time; write it like 2026-12-01T09:00:00Z")
}

fn read_event_place(fields: &mut JsonFields) -> EventVenue {
    let has_point = fields.has_value("latitude") || fields.has_value("longitude");
    let mut degrees = |field, most: f64| {
        if has_point {
            fields.required_decimal(field, -most..=most)
        } else {
            None
        }
    };
    let (latitude, longitude) = (degrees("latitude", 90.0), degrees("longitude", 180.0));
    let name = fields.optional_text_up_to("name", LONGEST_NAME);
    let address = fields.optional_text_up_to("address", LONGEST_NAME);
    if !has_point && name.is_none() && address.is_none() {
        fields.refuse_field("name", "is missing, as are an address and coordinates");
    }
    fields.ignore_field("latitude");
    fields.ignore_field("longitude");
    EventVenue {
        name,
        address,
        latitude,
        longitude,
    }
}

fn read_reaction(fields: &mut JsonFields) -> Option<ReactionContent> {
    let message_id = fields.required_text("message_id");
    if !fields.has_field("emoji") {
        fields.refuse_field("emoji", "is missing; null removes an earlier reaction");
    }
    let emoji = fields
        .optional_text("emoji")
        .filter(|emoji| !emoji.is_empty());
    if emoji
        .as_ref()
        .is_some_and(|emoji| !emoji::is_one_emoji(emoji))
    {
        fields.refuse_field(
            "emoji",
            "is not a single emoji; null removes an earlier reaction",
        );
    }
    Some(ReactionContent {
        message_id: message_id?,
        emoji,
    })
}
