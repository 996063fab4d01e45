//! Status posts: their audience, and the look of a text.

pub mod views;

use super::content;
use crate::http::request::extract::JsonFields;
use crate::model::message::{ChatId, MessageContent, StatusFont, TextContent};

/// Kinds that phones show as a status.
const POSTABLE: [&str; 4] = ["text", "image", "video", "audio"];
/// A reply to a status, sent only to its author.
const REACTION: &str = "reaction";
const MOST_RECIPIENTS: usize = 5_000;

/// Reads a text and its look.
pub(crate) fn read_status_text(fields: &mut JsonFields) -> Option<TextContent> {
    let background_color = fields.parse_optional("background_color", parse_color);
    let font = fields.parse_optional("font", parse_font);
    content::read_text(fields).map(|text| TextContent {
        background_color,
        font,
        ..text
    })
}

fn parse_color(text: &str) -> Result<String, &'static str> {
    let digits = text
        .strip_prefix('#')
        .filter(|it| it.len() == 6 && it.bytes().all(|byte| byte.is_ascii_hexdigit()));
    digits
        .map(|digits| format!("#{}", digits.to_ascii_uppercase()))
        .ok_or("is not a colour; write it like #1E6E4F")
}

fn parse_font(text: &str) -> Result<StatusFont, String> {
    let found = StatusFont::ALL.into_iter().find(|(name, _)| *name == text);
    found.map(|(_, font)| font).ok_or_else(|| {
        format!(
            "is not a font; use {}",
            StatusFont::ALL.map(|(name, _)| name).join(", ")
        )
    })
}

/// Reads the addresses of the people who may see a status.
pub(crate) fn read_audience(
    fields: &mut JsonFields,
    to: Option<&ChatId>,
    kind: Option<&'static str>,
) -> Vec<String> {
    match to {
        Some(ChatId::Status) if kind == Some(REACTION) => {
            if fields.has_value("recipients") {
                fields.refuse_field(
                    "recipients",
                    "does not belong to a reaction, which goes to the status's author",
                );
            }
            return Vec::new();
        }
        Some(ChatId::Status) => {}
        Some(_) if fields.has_value("recipients") => {
            fields.refuse_field(
                "recipients",
                "belongs only to a status, which is sent with `\"to\": \"status\"`",
            );
            return Vec::new();
        }
        _ => {
            fields.ignore_field("recipients");
            return Vec::new();
        }
    }
    let texts = fields.optional_texts("recipients").unwrap_or_default();
    if texts.is_empty() {
        fields.refuse_field(
            "recipients",
            "is missing; name the people who may see it, since the gateway has no list of contacts",
        );
    }
    if texts.len() > MOST_RECIPIENTS {
        fields.refuse_field("recipients", format!("are more than {MOST_RECIPIENTS}"));
    }
    let mut audience = Vec::with_capacity(texts.len());
    for text in texts {
        match ChatId::parse(&text) {
            Ok(person @ (ChatId::Phone(_) | ChatId::Lid(_))) => audience.push(person.to_string()),
            Ok(_) => fields.refuse_field("recipients", "name people, not groups"),
            Err(error) => fields.refuse_field("recipients", error.to_string()),
        }
    }
    audience
}

/// Refuses messages that cannot be a status, and fields that only a status has.
pub(crate) fn check_status_post(
    fields: &mut JsonFields,
    to: Option<&ChatId>,
    kind: Option<&'static str>,
    content: Option<&MessageContent>,
) {
    let Some(to) = to else { return };
    let text = content.and_then(|content| {
        if let MessageContent::Text { text } = content {
            Some(text)
        } else {
            None
        }
    });
    if *to != ChatId::Status {
        if text.is_some_and(|text| text.background_color.is_some() || text.font.is_some()) {
            fields.refuse_field("text", "has `background_color` and `font` only in a status");
        }
        return;
    }
    for field in ["context", "mentions"] {
        if fields.has_value(field) {
            fields.refuse_field(field, "does not belong to a status");
        }
    }
    let Some(kind) = kind else { return };
    if kind != REACTION && !POSTABLE.contains(&kind) {
        fields.refuse_field(
            "to",
            format!(
                "is a status, where {kind} is not shown; use {}",
                POSTABLE.join(", ")
            ),
        );
    }
    if content
        .is_some_and(|content| matches!(content, MessageContent::Audio { audio } if !audio.voice))
    {
        fields.refuse_field(
            "audio",
            "is shown as a voice note in a status; set `voice: true`",
        );
    }
    if text.is_some_and(|text| text.preview_url) {
        fields.refuse_field("text", "has no `preview_url` in a status");
    }
    if content
        .and_then(MessageContent::media_file)
        .is_some_and(|(_, file)| file.view_once)
    {
        fields.refuse_field(kind, "has no `view_once` in a status");
    }
}
