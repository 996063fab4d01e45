//! Files that messages carry. Pure.

use serde::{Deserialize, Serialize};

/// A file as a message carries it. Callers name where it is; of received ones, what is known without fetching them is told, `null`
/// where the sender did not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Media {
    /// Where a file to be sent is fetched from when its turn comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Names a file at `/v1/media`: of one to be sent, in place of `link`; of one that came in, unless files are not fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where to get one that came in, below the gateway's own address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    pub mime_type: Option<String>,
    pub caption: Option<String>,
    /// For documents: the name they are shown by.
    pub filename: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// Of the file itself, in hexadecimal; of one to be sent, what it must have.
    pub sha256: Option<String>,
    /// Pixels.
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// Seconds.
    pub duration: Option<u32>,
    /// Of documents, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<u32>,
    /// For audio: a voice note.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub voice: bool,
    /// For videos: played over and over, without sound.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gif: bool,
    /// For videos: a video note, shown round.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub round: bool,
    /// May be looked at once only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub view_once: bool,
}

/// A SHA-256 as callers write it, in the form it is told in; the error is for the caller.
pub fn sha256(text: &str) -> Result<String, &'static str> {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("is no SHA-256; write it as 64 hexadecimal digits")
    }
}

impl Media {
    /// A file to be sent.
    pub fn linked(link: String) -> Self {
        Self {
            link: Some(link),
            ..Self::default()
        }
    }
}

/// The kinds of files a message can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    Image,
    Video,
    Audio,
    /// A sound that is shown as a voice note.
    Voice,
    Document,
    Sticker,
}

impl MediaKind {
    /// By the `type` of a message; `None` for those that never carry a file.
    pub fn of(kind: &str) -> Option<Self> {
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
    fn pictures_are_known_by_their_first_bytes() {
        assert_eq!(ImageType::of(b"\xff\xd8\xff\xe0"), Some(ImageType::Jpeg));
        assert_eq!(
            ImageType::of(b"\x89PNG\r\n\x1a\n...."),
            Some(ImageType::Png)
        );
        assert_eq!(ImageType::of(b"RIFF....WEBPVP8 "), Some(ImageType::Webp));
        assert_eq!(ImageType::of(b"GIF89a"), Some(ImageType::Gif));
        assert_eq!(ImageType::of(b"<html>"), None);
    }
}
