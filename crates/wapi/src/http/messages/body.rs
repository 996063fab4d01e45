//! The message object as callers write it, taken apart field by field.

use jiff::{SignedDuration, Timestamp};

use crate::http::error::Problem;
use crate::http::extract::Fields;
use crate::message::{ChatId, Content, Context, Media, MediaKind, Message, Text};

/// WhatsApp's own limits, in characters.
const LONGEST_TEXT: usize = 65_536;
const LONGEST_CAPTION: usize = 1_024;
/// A month, in seconds.
const LONGEST_LIFE: u64 = 31 * 24 * 3600;
const FURTHEST_AHEAD: SignedDuration = SignedDuration::from_hours(366 * 24);
/// Clocks differ; further back than this is a mistake.
const PAST: SignedDuration = SignedDuration::from_secs(60);

/// The kinds that can be sent, and those that cannot yet.
const KINDS: [&str; 5] = ["text", "image", "video", "audio", "document"];
const LATER: [&str; 8] = ["sticker", "location", "contacts", "poll", "event", "reaction", "interactive", "template"];

/// When a message leaves at the earliest, and at the latest.
pub type Times = (Option<Timestamp>, Option<Timestamp>);

/// A message that a caller wants sent.
pub struct Asked {
    pub to: ChatId,
    /// As the caller wrote it.
    pub input: String,
    pub message: Message,
    send_at: Option<Timestamp>,
    expires_in: Option<SignedDuration>,
}

impl Asked {
    pub fn read(mut fields: Fields) -> Result<Self, Problem> {
        let mut input = String::new();
        let to = fields.parsed("to", |text| {
            input = text.to_owned();
            ChatId::parse(text)
        });
        let kind = kind(&mut fields);
        let content = kind.and_then(|kind| content(&mut fields, kind));
        let context = context(&mut fields);
        let send_at = fields.optional_parsed("send_at", |text| {
            text.parse::<Timestamp>().map_err(|_| "is not a time; write it like 2026-12-01T09:00:00Z")
        });
        let expires_in = fields.optional_number("expires_in", 1..=LONGEST_LIFE);
        let expires_in = expires_in.and_then(|seconds| i64::try_from(seconds).ok()).map(SignedDuration::from_secs);
        refuse_others(&mut fields, kind);
        let message = content.map(|content| Message { content, context });
        let (to, message) = fields.done(to.zip(message))?;
        Ok(Self { to, input, message, send_at, expires_in })
    }

    /// Its times, seen from now. A message that is scheduled lives from then on.
    pub fn times(&self, now: Timestamp) -> Result<Times, Problem> {
        let send_at = match self.send_at {
            Some(time) if time.duration_since(now) > FURTHEST_AHEAD => {
                return Err(Problem::field("send_at", "is more than a year ahead"));
            }
            Some(time) if now.duration_since(time) > PAST => return Err(Problem::field("send_at", "is in the past")),
            other => other.filter(|time| *time > now),
        };
        let expires_at = self.expires_in.and_then(|life| send_at.unwrap_or(now).checked_add(life).ok());
        Ok((send_at, expires_at))
    }
}

/// What the message says it is, or the one object there is.
fn kind(fields: &mut Fields) -> Option<&'static str> {
    let there: Vec<_> = KINDS.into_iter().filter(|kind| fields.has(kind)).collect();
    match fields.optional_text("type") {
        Some(name) => match KINDS.into_iter().find(|kind| *kind == name) {
            Some(kind) => Some(kind),
            None => {
                let known = LATER.contains(&name.as_str());
                let why = if known { "cannot be sent yet" } else { "is no kind of message" };
                fields.refuse("type", format!("`{}` {why}; use {}", name.escape_debug(), KINDS.join(", ")));
                None
            }
        },
        None => match there[..] {
            [only] => Some(only),
            [] if LATER.into_iter().any(|kind| fields.has(kind)) => None,
            _ => {
                fields.refuse("type", format!("is missing, and must say which of {} this is", KINDS.join(", ")));
                None
            }
        },
    }
}

fn content(fields: &mut Fields, kind: &'static str) -> Option<Content> {
    if !fields.has(kind) {
        fields.refuse(kind, "is missing");
    }
    let mut inner = fields.inner(kind)?;
    let content = match kind {
        "text" => text(&mut inner).map(|text| Content::Text { text }),
        "image" => linked(&mut inner, MediaKind::Image).map(|image| Content::Image { image }),
        "video" => linked(&mut inner, MediaKind::Video).map(|video| Content::Video { video }),
        "audio" => linked(&mut inner, MediaKind::Audio).map(|audio| Content::Audio { audio }),
        _ => linked(&mut inner, MediaKind::Document).map(|document| Content::Document { document }),
    };
    fields.absorb(kind, inner);
    content
}

fn text(fields: &mut Fields) -> Option<Text> {
    let body = fields.text("body");
    if fields.flag("preview_url") {
        fields.refuse("preview_url", "cannot be true yet: links are sent without a preview");
    }
    if body.as_ref().is_some_and(|body| body.chars().count() > LONGEST_TEXT) {
        fields.refuse("body", format!("is longer than {LONGEST_TEXT} characters"));
    }
    body.map(|body| Text { body })
}

fn linked(fields: &mut Fields, kind: MediaKind) -> Option<Media> {
    if fields.has("id") {
        fields.refuse("id", "cannot be used yet; name the file by its `link`");
    }
    let link = fields.parsed("link", |text| match crate::fetch::web_address(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error),
    });
    let mut linked = Media::linked(link?);
    if kind != MediaKind::Audio {
        linked.caption = fields.optional_text("caption").filter(|caption| !caption.is_empty());
    }
    if linked.caption.as_ref().is_some_and(|caption| caption.chars().count() > LONGEST_CAPTION) {
        fields.refuse("caption", format!("is longer than {LONGEST_CAPTION} characters"));
    }
    match kind {
        MediaKind::Document => linked.filename = fields.optional_text("filename").filter(|name| !name.is_empty()),
        MediaKind::Audio => linked.voice = fields.flag("voice"),
        MediaKind::Video => linked.gif = fields.flag("gif"),
        MediaKind::Image => {}
    }
    Some(linked)
}

fn context(fields: &mut Fields) -> Option<Context> {
    let mut inner = fields.inner("context")?;
    let message_id = inner.text("message_id");
    fields.absorb("context", inner);
    Some(Context { message_id: message_id? })
}

/// What this message is not, and what no message can be yet.
fn refuse_others(fields: &mut Fields, meant: Option<&str>) {
    for kind in KINDS {
        match meant {
            Some(meant) if fields.has(kind) => {
                fields.refuse(kind, format!("does not belong to a message of type {meant}"))
            }
            Some(_) => {}
            // What it should have been is complained about already.
            None => fields.ignore(kind),
        }
    }
    for kind in LATER {
        if fields.has(kind) {
            fields.refuse(kind, "cannot be sent yet");
        }
    }
    fields.refuse_unknown();
}
