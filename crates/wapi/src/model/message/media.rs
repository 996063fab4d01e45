//! Media files in messages. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A file in a message. Callers give its source; a received file has the data known without a
/// download, `null` where the sender gave none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct MediaContent {
    /// URL from which a file to be sent is downloaded when its turn comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Id at `/v1/media`: of a file to be sent, instead of `link`; of a received file, unless
    /// downloads are off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Path of a received file, relative to the gateway's own address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    pub mime_type: Option<String>,
    pub caption: Option<String>,
    /// For documents: the displayed name.
    pub filename: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// SHA-256 of the file itself, in hexadecimal; for a file to be sent, the expected one.
    pub sha256: Option<String>,
    /// Pixels.
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// Seconds.
    pub duration: Option<u32>,
    /// For documents, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<u32>,
    /// For audio: a voice note.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub voice: bool,
    /// For videos: played in a loop, without sound.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gif: bool,
    /// For videos: a video note, shown round.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub round: bool,
    /// Can be viewed only once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub view_once: bool,
}

/// Parses a SHA-256 as callers write it, into the form used in answers; the error text is for the
/// caller.
pub fn parse_sha256(text: &str) -> Result<String, &'static str> {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("is not a SHA-256; write it as 64 hexadecimal digits")
    }
}

impl MediaContent {
    /// Creates a file to be sent from a URL.
    pub fn from_link(link: String) -> Self {
        Self {
            link: Some(link),
            ..Self::default()
        }
    }
}

/// The kinds of files that a message can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    Image,
    Video,
    Audio,
    /// Audio displayed as a voice note.
    Voice,
    Document,
    Sticker,
}

impl MediaKind {
    /// Returns the kind for the `type` of a message; `None` for types that never carry a file.
    pub fn from_type(kind: &str) -> Option<Self> {
        match kind {
            "image" | "product" => Some(Self::Image),
            "video" => Some(Self::Video),
            "audio" => Some(Self::Audio),
            "document" => Some(Self::Document),
            "sticker" => Some(Self::Sticker),
            _ => None,
        }
    }
}

/// The image formats that WhatsApp displays inline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageType {
    Jpeg,
    Png,
    Webp,
    Gif,
}

impl ImageType {
    /// Detects the format from the first bytes: the types that servers give are often wrong.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => Some(Self::Webp),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            _ => None,
        }
    }

    pub const fn mime_type(self) -> &'static str {
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
    use crate::model::message::media::*;

    #[test]
    fn pictures_are_known_by_their_first_bytes() {
        assert_eq!(
            ImageType::from_bytes(b"\xff\xd8\xff\xe0"),
            Some(ImageType::Jpeg)
        );
        assert_eq!(
            ImageType::from_bytes(b"\x89PNG\r\n\x1a\n...."),
            Some(ImageType::Png)
        );
        assert_eq!(
            ImageType::from_bytes(b"RIFF....WEBPVP8 "),
            Some(ImageType::Webp)
        );
        assert_eq!(ImageType::from_bytes(b"GIF89a"), Some(ImageType::Gif));
        assert_eq!(ImageType::from_bytes(b"<html>"), None);
    }
}
