//! What a caller may send, and to whom. A public contract. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A person or a group, as callers name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatId {
    /// International number, digits only.
    Phone(String),
    /// WhatsApp's identifier that hides the number, digits only.
    Lid(String),
    /// The part before `@g.us`.
    Group(String),
}

/// Why a text names no chat.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no chat; use an international phone number, …@s.whatsapp.net, …@lid or …@g.us")]
pub struct NoChat(String);

impl ChatId {
    /// Accepts `…@s.whatsapp.net`, `…@lid`, `…@g.us`, and a bare number with or without `+`, blanks, dashes and brackets.
    pub fn parse(text: &str) -> Result<Self, NoChat> {
        let text = text.trim();
        let chat = match text.split_once('@') {
            Some((user, "s.whatsapp.net")) => phone(user).map(Self::Phone),
            Some((user, "lid")) => digits(user, 5..=20).map(Self::Lid),
            Some((user, "g.us")) => group(user).map(Self::Group),
            Some(_) => None,
            None => bare_number(text).map(Self::Phone),
        };
        chat.ok_or_else(|| NoChat(text.chars().take(80).collect()))
    }
}

impl fmt::Display for ChatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phone(user) => write!(f, "{user}@s.whatsapp.net"),
            Self::Lid(user) => write!(f, "{user}@lid"),
            Self::Group(user) => write!(f, "{user}@g.us"),
        }
    }
}

fn digits(user: &str, length: std::ops::RangeInclusive<usize>) -> Option<String> {
    let fits = length.contains(&user.len()) && user.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| user.to_owned())
}

/// E.164 allows 15 digits and no country code starts with 0; shorter than 5 is no international number.
fn phone(user: &str) -> Option<String> {
    digits(user, 5..=15).filter(|number| !number.starts_with('0'))
}

fn bare_number(text: &str) -> Option<String> {
    let number = text.strip_prefix('+').unwrap_or(text);
    phone(&number.replace([' ', '-', '(', ')', '.', '\u{a0}'], ""))
}

/// New groups are a number; old ones are the founder's number and a time, with a dash between.
fn group(user: &str) -> Option<String> {
    let well_formed = user.split('-').count() <= 2 && user.split('-').all(|part| digits(part, 5..=25).is_some());
    well_formed.then(|| user.to_owned())
}

/// A message as a caller wants it sent. Kept as JSON until it is settled, so fields are only ever added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    #[serde(flatten)]
    pub content: Content,
    /// The message this one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    pub message_id: String,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Content {
    Text { text: Text },
    Image { image: Linked },
    Video { video: Linked },
    Audio { audio: Linked },
    Document { document: Linked },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    pub body: String,
}

/// A file that is fetched from its address when the message's turn comes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linked {
    pub link: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// For documents: the name they are shown by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// For audio: a voice note.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub voice: bool,
    /// For videos: played over and over, without sound.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gif: bool,
}

/// The kinds of files a message can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    Image,
    Video,
    Audio,
    Document,
}

impl Outgoing {
    pub const fn text(body: String) -> Self {
        Self { content: Content::Text { text: Text { body } }, context: None }
    }
}

impl Content {
    /// Its `type`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Image { .. } => "image",
            Self::Video { .. } => "video",
            Self::Audio { .. } => "audio",
            Self::Document { .. } => "document",
        }
    }

    /// Roughly how many bytes it takes in memory.
    pub fn size(&self) -> usize {
        match (self, self.file()) {
            (Self::Text { text }, _) => text.body.len(),
            (_, file) => file.map_or(0, |(_, file)| file.link.len() + file.caption.as_ref().map_or(0, String::len)),
        }
    }

    /// The file it carries, if it carries one.
    pub const fn file(&self) -> Option<(MediaKind, &Linked)> {
        match self {
            Self::Text { .. } => None,
            Self::Image { image } => Some((MediaKind::Image, image)),
            Self::Video { video } => Some((MediaKind::Video, video)),
            Self::Audio { audio } => Some((MediaKind::Audio, audio)),
            Self::Document { document } => Some((MediaKind::Document, document)),
        }
    }
}

/// The kinds of pictures that WhatsApp shows inline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageType {
    Jpeg,
    Png,
    Webp,
    Gif,
}

impl ImageType {
    /// By the first bytes: what servers say about their files is often wrong.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            _ => None,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chats_are_named_in_several_ways() {
        for (text, meant) in [
            ("375447034810@s.whatsapp.net", "375447034810@s.whatsapp.net"),
            ("375447034810", "375447034810@s.whatsapp.net"),
            ("+375 44 703-48-10", "375447034810@s.whatsapp.net"),
            ("+1 (202) 555.0123", "12025550123@s.whatsapp.net"),
            ("123456789012345@lid", "123456789012345@lid"),
            ("120363025246125486@g.us", "120363025246125486@g.us"),
            ("375447034810-1500000000@g.us", "375447034810-1500000000@g.us"),
        ] {
            assert_eq!(ChatId::parse(text).unwrap().to_string(), meant, "{text}");
        }
    }

    #[test]
    fn what_is_no_chat_is_refused() {
        for text in [
            "",
            " ",
            "@s.whatsapp.net",
            "abc@s.whatsapp.net",
            "375447034810@c.us",
            "375447034810:3@s.whatsapp.net",
            "0441234567",
            "1234",
            "1234567890123456",
            "status@broadcast",
            "a-b@g.us",
            "12345-12345-12345@g.us",
            "+",
            "١٢٣٤٥٦",
        ] {
            assert!(ChatId::parse(text).is_err(), "{text:?} was taken for a chat");
        }
    }

    #[test]
    fn pictures_are_known_by_their_first_bytes() {
        assert_eq!(ImageType::of(b"\xff\xd8\xff\xe0"), Some(ImageType::Jpeg));
        assert_eq!(ImageType::of(b"\x89PNG\r\n\x1a\n...."), Some(ImageType::Png));
        assert_eq!(ImageType::of(b"RIFF....WEBPVP8 "), Some(ImageType::Webp));
        assert_eq!(ImageType::of(b"GIF89a"), Some(ImageType::Gif));
        assert_eq!(ImageType::of(b"<html>"), None);
    }
}
