//! The message object as callers write it, taken apart field by field.

use jiff::{SignedDuration, Timestamp};

use super::content;
use crate::http::error::Problem;
use crate::http::extract::Fields;
use crate::message::{ChatId, Context, Message};

/// A month, in seconds.
const LONGEST_LIFE: u64 = 31 * 24 * 3600;
const FURTHEST_AHEAD: SignedDuration = SignedDuration::from_hours(366 * 24);
/// Clocks differ; further back than this is a mistake.
const PAST: SignedDuration = SignedDuration::from_secs(60);

/// The kinds that can be sent, and those that cannot yet.
const KINDS: [&str; 10] =
    ["text", "image", "video", "audio", "document", "location", "contacts", "poll", "event", "reaction"];
const LATER: [&str; 5] = ["sticker", "live_location", "group_invite", "interactive", "template"];
/// WhatsApp's own limit.
const MOST_MENTIONS: usize = 1_024;

/// When a message leaves at the earliest, and at the latest.
pub type Times = (Option<Timestamp>, Option<Timestamp>);

/// A message that a caller wants sent.
pub struct Asked {
    pub to: ChatId,
    /// As the caller wrote it.
    pub input: String,
    pub message: Message,
    pub send_at: Option<Timestamp>,
    pub expires_in: Option<SignedDuration>,
}

impl Asked {
    pub fn read(mut fields: Fields) -> Result<Self, Problem> {
        let mut input = String::new();
        let to = fields.parsed("to", |text| {
            input = text.to_owned();
            ChatId::parse(text)
        });
        let kind = kind(&mut fields);
        let content = kind.and_then(|kind| content::content(&mut fields, kind));
        let context = context(&mut fields);
        if context.is_some() && kind == Some("reaction") {
            fields.refuse("context", "does not belong to a reaction, which names its message itself");
        }
        let mentions = mentions(&mut fields);
        let send_at = fields.optional_parsed("send_at", |text| {
            text.parse::<Timestamp>().map_err(|_| "is not a time; write it like 2026-12-01T09:00:00Z")
        });
        let expires_in = fields.optional_number("expires_in", 1..=LONGEST_LIFE);
        let expires_in = expires_in.and_then(|seconds| i64::try_from(seconds).ok()).map(SignedDuration::from_secs);
        refuse_others(&mut fields, kind);
        let message = content.map(|content| Message { context, mentions, ..Message::new(content) });
        let (to, message) = fields.done(to.zip(message))?;
        Ok(Self { to, input, message, send_at, expires_in })
    }

    /// What a caller wants done about an earlier message of a chat.
    pub fn about(to: ChatId, message: Message) -> Self {
        Self { input: to.to_string(), to, message, send_at: None, expires_in: None }
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

fn context(fields: &mut Fields) -> Option<Context> {
    let mut inner = fields.inner("context")?;
    let message_id = inner.text("message_id");
    fields.absorb("context", inner);
    Some(Context { message_id: message_id?, from: None, quoted: None })
}

/// The addresses of those that a message mentions; its words say `@` and their number.
fn mentions(fields: &mut Fields) -> Vec<String> {
    let texts = fields.optional_texts("mentions").unwrap_or_default();
    if texts.len() > MOST_MENTIONS {
        fields.refuse("mentions", format!("are more than {MOST_MENTIONS}"));
    }
    let mut mentions = Vec::with_capacity(texts.len());
    for text in texts {
        match ChatId::parse(&text) {
            Ok(ChatId::Group(_)) => fields.refuse("mentions", "name people, not groups"),
            Ok(person) => mentions.push(person.to_string()),
            Err(error) => fields.refuse("mentions", error.to_string()),
        }
    }
    mentions
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
