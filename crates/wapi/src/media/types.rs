//! What a file is, by its first bytes: what servers and callers say about their files is often wrong. Pure.

use crate::message::{ImageType, MediaKind};

/// How much of a file is needed to know it, in bytes.
pub const HEAD: usize = 64;

/// A file that messages of a kind cannot carry; the texts are for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrongType {
    #[error("is not a picture; JPEG, PNG, WebP and GIF can be sent")]
    NotAPicture,
    #[error("is no sticker; WebP, also animated, PNG, JPEG, GIF and short films (MP4, 3GP, WebM) can be sent")]
    NotASticker,
    #[error("is not a video; MP4 and 3GP can be sent")]
    NotAVideo,
    #[error("is not a sound; Ogg (Opus), MP3, M4A, AAC and AMR can be sent")]
    NotASound,
    #[error("is no sound that a voice note can be made of; Ogg, MP3, M4A, AAC, AMR, WAV, FLAC, WebM and MP4 are")]
    NotAVoice,
}

/// The type of a file that is sent as this kind. Phones are picky with all but documents.
pub fn for_kind(kind: MediaKind, head: &[u8], said: Option<&str>) -> Result<String, WrongType> {
    let found = match kind {
        MediaKind::Image => ImageType::of(head).ok_or(WrongType::NotAPicture)?.name(),
        MediaKind::Video => video(head).ok_or(WrongType::NotAVideo)?,
        MediaKind::Audio => {
            let found = sound(head).ok_or(WrongType::NotASound)?;
            fits(kind, found).map(|()| found)?
        }
        MediaKind::Voice => sound(head).or_else(|| webm(head)).ok_or(WrongType::NotAVoice)?,
        MediaKind::Document => said.unwrap_or(UNKNOWN),
        MediaKind::Sticker => {
            let picture = ImageType::of(head).map(ImageType::name);
            picture.or_else(|| video(head)).or_else(|| webm(head)).ok_or(WrongType::NotASticker)?
        }
    };
    Ok(found.to_owned())
}

/// What voice notes are.
pub const OPUS: &str = "audio/ogg; codecs=opus";
const UNKNOWN: &str = "application/octet-stream";

/// The type of a file that may be sent as any kind.
pub fn of(head: &[u8], said: Option<&str>) -> String {
    let says_sound = said.is_some_and(|said| said.starts_with("audio/"));
    // An M4A begins as an MP4 does.
    let film = video(head).filter(|_| !says_sound);
    let found = ImageType::of(head).map(ImageType::name).or(film).or_else(|| sound(head)).or_else(|| paper(head));
    found.or(said.filter(|said| !said.is_empty())).unwrap_or(UNKNOWN).to_owned()
}

/// Whether a file of this type can be sent as this kind.
pub fn fits(kind: MediaKind, mime_type: &str) -> Result<(), WrongType> {
    const PICTURES: [&str; 4] = ["image/jpeg", "image/png", "image/webp", "image/gif"];
    const SOUNDS: [&str; 5] = [OPUS, "audio/mpeg", "audio/aac", "audio/amr", "audio/mp4"];
    match kind {
        MediaKind::Image if !PICTURES.contains(&mime_type) => Err(WrongType::NotAPicture),
        MediaKind::Video if !["video/mp4", "video/3gpp"].contains(&mime_type) => Err(WrongType::NotAVideo),
        MediaKind::Sticker if !PICTURES.contains(&mime_type) && moving(mime_type).is_none() => {
            Err(WrongType::NotASticker)
        }
        MediaKind::Audio if !SOUNDS.contains(&mime_type) => Err(WrongType::NotASound),
        MediaKind::Voice if demuxer(mime_type).is_none() => Err(WrongType::NotAVoice),
        _ => Ok(()),
    }
}

/// What ffmpeg is to read a sound, or the sound of a film, of this type with.
pub fn demuxer(mime_type: &str) -> Option<&'static str> {
    match mime_type {
        OPUS | OGG => Some("ogg"),
        "audio/mpeg" => Some("mp3"),
        "audio/aac" => Some("aac"),
        "audio/amr" => Some("amr"),
        "audio/mp4" | "video/mp4" | "video/3gpp" => Some("mov"),
        WAV => Some("wav"),
        FLAC => Some("flac"),
        "audio/webm" | WEBM => Some("matroska"),
        _ => None,
    }
}

/// What ffmpeg is to read a film, or a picture that moves, of this type with.
pub fn moving(mime_type: &str) -> Option<&'static str> {
    match mime_type {
        "image/gif" => Some("gif"),
        "video/mp4" | "video/3gpp" => Some("mov"),
        WEBM => Some("matroska"),
        _ => None,
    }
}

/// What stickers are.
pub const WEBP: &str = "image/webp";
const OGG: &str = "audio/ogg";
const WAV: &str = "audio/wav";
const FLAC: &str = "audio/flac";
const WEBM: &str = "video/webm";

fn webm(head: &[u8]) -> Option<&'static str> {
    head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]).then_some(WEBM)
}

/// An Ogg file says after the head of its first page, in 28 bytes, what is in it.
fn ogg(head: &[u8]) -> &'static str {
    let others: [&[u8]; 4] = [b"\x01vorbis", b"\x7fFLAC", b"Speex", b"\x80theora"];
    let content = head.get(28..).unwrap_or_default();
    if others.into_iter().any(|other| content.starts_with(other)) { OGG } else { OPUS }
}

fn video(head: &[u8]) -> Option<&'static str> {
    match head.get(4..11)? {
        [b'f', b't', b'y', b'p', b'3', b'g', _] => Some("video/3gpp"),
        [b'f', b't', b'y', b'p', ..] => Some("video/mp4"),
        _ => None,
    }
}

fn sound(head: &[u8]) -> Option<&'static str> {
    match head {
        [b'O', b'g', b'g', b'S', ..] => Some(ogg(head)),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Some(WAV),
        [b'f', b'L', b'a', b'C', ..] => Some(FLAC),
        [b'I', b'D', b'3', ..] => Some("audio/mpeg"),
        [0xff, second, ..] if second & 0xf6 == 0xf0 => Some("audio/aac"),
        [0xff, second, ..] if second & 0xe0 == 0xe0 => Some("audio/mpeg"),
        [b'#', b'!', b'A', b'M', b'R', ..] => Some("audio/amr"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some("audio/mp4"),
        _ => None,
    }
}

fn paper(head: &[u8]) -> Option<&'static str> {
    head.starts_with(b"%PDF-").then_some("application/pdf")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        let found = |kind, head: &[u8]| for_kind(kind, head, Some("text/html"));
        assert_eq!(found(MediaKind::Image, b"\x89PNG\r\n\x1a\n....").unwrap(), "image/png");
        assert_eq!(found(MediaKind::Video, b"\0\0\0\x20ftypisom....").unwrap(), "video/mp4");
        assert_eq!(found(MediaKind::Video, b"\0\0\0\x20ftyp3gp4....").unwrap(), "video/3gpp");
        assert_eq!(found(MediaKind::Audio, b"OggS....").unwrap(), "audio/ogg; codecs=opus");
        assert_eq!(found(MediaKind::Audio, b"\xff\xfb\x90").unwrap(), "audio/mpeg");
        assert_eq!(found(MediaKind::Audio, b"\xff\xf1\x50").unwrap(), "audio/aac");
        assert_eq!(found(MediaKind::Document, b"anything").unwrap(), "text/html");
        assert_eq!(for_kind(MediaKind::Document, b"", None).unwrap(), "application/octet-stream");
        for kind in [MediaKind::Image, MediaKind::Video, MediaKind::Audio] {
            assert!(found(kind, b"<html>").unwrap_err().to_string().contains("can be sent"));
        }
    }

    #[test]
    fn what_is_uploaded_is_what_it_is_and_can_be_sent_as_that() {
        for (head, said, found, kind) in [
            (&b"\xff\xd8\xff\xe0"[..], Some("image/png"), "image/jpeg", MediaKind::Image),
            (b"\0\0\0\x20ftypisom....", None, "video/mp4", MediaKind::Video),
            (b"\0\0\0\x20ftypM4A ....", Some("audio/mp4"), "audio/mp4", MediaKind::Audio),
            (b"OggS", Some(""), "audio/ogg; codecs=opus", MediaKind::Audio),
            (b"%PDF-1.7", None, "application/pdf", MediaKind::Document),
            (b"a,b", Some("text/csv"), "text/csv", MediaKind::Document),
            (b"", None, "application/octet-stream", MediaKind::Document),
        ] {
            assert_eq!(of(head, said), found);
            assert_eq!(fits(kind, found), Ok(()), "{found}");
        }
        assert_eq!(fits(MediaKind::Image, "image/svg+xml"), Err(WrongType::NotAPicture));
        assert_eq!(fits(MediaKind::Sticker, "audio/mpeg"), Err(WrongType::NotASticker));
        assert_eq!(for_kind(MediaKind::Sticker, b"%PDF-", None), Err(WrongType::NotASticker));
        assert_eq!(for_kind(MediaKind::Sticker, b"GIF89a", None).as_deref(), Ok("image/gif"));
        assert_eq!(fits(MediaKind::Video, "video/webm"), Err(WrongType::NotAVideo));
        assert_eq!(fits(MediaKind::Audio, "audio/midi"), Err(WrongType::NotASound));
    }
}
