//! What a file is: by its first bytes and what is inside, then by its name, then by what was said, since servers and callers are often
//! wrong. One judgement for all ways in. Pure.

mod magic;
pub mod named;

pub use named::essence;

use super::filename;
use crate::message::MediaKind;

/// How much of a file is needed to know it, in bytes.
pub const HEAD: usize = 1024;

/// A file that messages of a kind cannot carry; the texts are for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongType {
    #[error("is not a picture but {0}; JPEG, PNG, WebP, GIF, HEIC and AVIF can be sent")]
    NotAPicture(String),
    #[error(
        "is no sticker but {0}; WebP, also animated, PNG, JPEG, GIF, HEIC, AVIF and short films (MP4, MOV, 3GP, WebM) can be sent"
    )]
    NotASticker(String),
    #[error(
        "is not a video but {0}; MP4, MOV, 3GP and pictures that move (GIF, APNG, WebP) can be sent"
    )]
    NotAVideo(String),
    #[error("is not a sound but {0}; Ogg (Opus), MP3, M4A, AAC and AMR can be sent")]
    NotASound(String),
    #[error(
        "is no sound that a voice note can be made of but {0}; Ogg, MP3, M4A, AAC, AMR, WAV, FLAC, WebM, MP4 and MOV are"
    )]
    NotAVoice(String),
}

/// What voice notes are.
pub const OPUS: &str = "audio/ogg; codecs=opus";
/// What stickers are.
pub const WEBP: &str = "image/webp";
pub const JPEG: &str = "image/jpeg";
pub const MP4: &str = "video/mp4";
/// A PNG that moves.
pub const APNG: &str = "image/apng";
const UNKNOWN: &str = "application/octet-stream";
const ZIP: &str = "application/zip";
const OLE: &str = "application/x-ole-storage";

/// What is known of a file besides its bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told<'a> {
    /// Its name.
    pub name: Option<&'a str>,
    /// The type that somebody says it has.
    pub said: Option<&'a str>,
}

/// Whether a file that begins like this has to be looked into to know what it is.
pub fn is_container(head: &[u8]) -> bool {
    magic::of(head).is_some_and(|found| {
        matches!(found, ZIP | OLE | "image/png") || is_film_or_sound_in_boxes(found)
    })
}

/// Boxes of ISO/IEC 14496-12 with pictures that move, or with sounds alone.
fn is_film_or_sound_in_boxes(mime_type: &str) -> bool {
    demuxer(mime_type) == Some("mov")
}

/// The type of a file by its first bytes, what was found inside, and what is told of it.
pub fn of(head: &[u8], inside: Option<&str>, told: Told<'_>) -> String {
    let named = told
        .name
        .and_then(filename::extension)
        .and_then(|extension| named::type_of(&extension));
    let said = told.said.and_then(named::said);
    let others = || {
        named
            .filter(|named| *named != UNKNOWN)
            .map(str::to_owned)
            .into_iter()
            .chain(said.clone())
    };
    match inside.or_else(|| magic::of(head)) {
        // A container says less than what is usually kept in it.
        Some(found) => others()
            .find(|other| refines(other, found))
            .unwrap_or_else(|| usual(found).to_owned()),
        // What always begins in a way of its own cannot be what begins in another.
        None => others()
            .find(|other| !magic::always_begins_so(other))
            .unwrap_or_else(|| if is_text(head) { "text/plain" } else { UNKNOWN }.to_owned()),
    }
}

/// Whether a type that is told is a closer word for what was found.
fn refines(told: &str, found: &str) -> bool {
    const ZIPS: [&str; 5] = [
        "application/epub+zip",
        "application/java-archive",
        "application/vnd.android.package-archive",
        "application/vnd.google-earth.kmz",
        "application/vnd.apple.",
    ];
    let is_office = |told: &str| {
        told.contains("openxmlformats")
            || told.contains("opendocument")
            || told.contains("macroenabled")
    };
    let word = |it: &str| {
        ["word", "sheet", "presentation"]
            .into_iter()
            .find(|word| it.contains(word) && is_office(it))
    };
    match found {
        ZIP => is_office(told) || ZIPS.iter().any(|zip| told.starts_with(zip)),
        OLE => {
            told == "application/msword"
                || told == "application/x-msi"
                || told.starts_with("application/vnd.ms-")
                || told.starts_with("application/vnd.visio")
                || is_office(told)
        }
        "video/webm" => told == "audio/webm",
        // A film and a sound begin alike; where what is inside could not be read, whoever gives it knows.
        film if is_film_or_sound_in_boxes(film) => told == "audio/mp4",
        "text/html" | "application/xml" => {
            told.ends_with("+xml") || told == "application/xml" || told == "text/html"
        }
        // Templates, and those with macros.
        found => word(found).is_some() && word(found) == word(told),
    }
}

/// What is inside but not known has the word of what it is in.
fn usual(found: &str) -> &str {
    if found == OLE { UNKNOWN } else { found }
}

/// Whether it reads like a text.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        // Its last letter may be cut.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff"),
    };
    !valid.is_empty()
        && !valid
            .chars()
            .any(|sign| sign.is_control() && !matches!(sign, '\n' | '\r' | '\t' | '\u{c}'))
}

/// Whether a file of this type can be sent as this kind, as it is or converted.
pub fn fits(kind: MediaKind, mime_type: &str) -> Result<(), WrongType> {
    const PICTURES: [&str; 5] = [JPEG, "image/png", WEBP, "image/gif", APNG];
    const FILMS: [&str; 3] = [MP4, "video/3gpp", "video/3gpp2"];
    const SOUNDS: [&str; 5] = [OPUS, "audio/mpeg", "audio/aac", "audio/amr", "audio/mp4"];
    let is_picture = PICTURES.contains(&mime_type) || is_heif(mime_type);
    let is_film = FILMS.contains(&mime_type) || must_become_mp4(mime_type) || moves(mime_type);
    let fits = match kind {
        MediaKind::Image => is_picture,
        MediaKind::Video => is_film,
        MediaKind::Sticker => is_picture || moving(mime_type).is_some(),
        MediaKind::Audio => SOUNDS.contains(&mime_type),
        MediaKind::Voice => demuxer(mime_type).is_some(),
        MediaKind::Document => true,
    };
    if fits {
        return Ok(());
    }
    let found = mime_type.to_owned();
    Err(match kind {
        MediaKind::Image | MediaKind::Document => WrongType::NotAPicture(found),
        MediaKind::Video => WrongType::NotAVideo(found),
        MediaKind::Sticker => WrongType::NotASticker(found),
        MediaKind::Audio => WrongType::NotASound(found),
        MediaKind::Voice => WrongType::NotAVoice(found),
    })
}

/// Pictures of this type have to become JPEG before anybody sees them.
pub fn is_heif(mime_type: &str) -> bool {
    matches!(mime_type, "image/heic" | "image/heif" | "image/avif")
}

/// Films of this type have to become MP4 before phones play them.
pub fn must_become_mp4(mime_type: &str) -> bool {
    mime_type == "video/quicktime"
}

/// Pictures of this type may move, and stand still where they are sent as pictures.
pub fn moves(mime_type: &str) -> bool {
    matches!(mime_type, "image/gif" | APNG | WEBP)
}

/// What ffmpeg is to read a sound, or the sound of a film, of this type with.
pub fn demuxer(mime_type: &str) -> Option<&'static str> {
    match mime_type {
        OPUS | "audio/ogg" => Some("ogg"),
        "audio/mpeg" => Some("mp3"),
        "audio/aac" => Some("aac"),
        "audio/amr" => Some("amr"),
        "audio/mp4" | MP4 | "video/3gpp" | "video/3gpp2" | "video/quicktime" => Some("mov"),
        "audio/wav" => Some("wav"),
        "audio/flac" => Some("flac"),
        "audio/webm" | "video/webm" | "video/x-matroska" => Some("matroska"),
        _ => None,
    }
}

/// What ffmpeg is to read a film, or a picture that moves, of this type with.
pub fn moving(mime_type: &str) -> Option<&'static str> {
    match mime_type {
        "image/gif" => Some("gif"),
        APNG => Some("apng"),
        MP4 | "video/3gpp" | "video/3gpp2" | "video/quicktime" => Some("mov"),
        "video/webm" | "video/x-matroska" => Some("matroska"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
