//! Type detection: content before name before claims, which are often wrong. Pure.

pub mod extension;
mod signature;

pub use extension::type_essence;

use super::filename;
use crate::model::message::MediaKind;

/// Bytes of a file's beginning that type detection needs.
pub const HEAD_BYTES: usize = 1024;

/// A file that messages of a kind cannot carry. The messages are meant for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(
    clippy::enum_variant_names,
    reason = "each says which kind a file is not"
)]
pub enum MediaTypeError {
    #[error("is not a picture but {0}; JPEG, PNG, WebP, GIF, HEIC and AVIF can be sent")]
    NotAnImage(String),
    #[error(
        "is not a sticker but {0}; WebP, also animated, PNG, JPEG, GIF, HEIC, AVIF and short videos (MP4, MOV, 3GP, \
         WebM) can be sent"
    )]
    NotASticker(String),
    #[error(
        "is not a video but {0}; MP4, MOV, 3GP and animated pictures (GIF, APNG, WebP) can be sent"
    )]
    NotAVideo(String),
    #[error("is not audio but {0}; Ogg (Opus), MP3, M4A, AAC and AMR can be sent")]
    NotAudio(String),
    #[error(
        "is {0}, which cannot become a voice note; Ogg, MP3, M4A, AAC, AMR, WAV, FLAC, WebM, MP4 and MOV can"
    )]
    NotAVoiceNote(String),
}

/// The type of voice notes.
pub const OPUS: &str = "audio/ogg; codecs=opus";
/// The type of stickers.
pub const WEBP: &str = "image/webp";
pub const JPEG: &str = "image/jpeg";
pub const MP4: &str = "video/mp4";
/// An animated PNG.
pub const APNG: &str = "image/apng";
const UNKNOWN: &str = "application/octet-stream";
const ZIP: &str = "application/zip";
const OLE: &str = "application/x-ole-storage";

/// Claims about a file besides its bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct TypeClaims<'a> {
    /// Its name.
    pub name: Option<&'a str>,
    /// Its declared type.
    pub mime_type: Option<&'a str>,
}

/// Whether the content of a file with this beginning must be inspected to determine its type.
pub fn is_container(head: &[u8]) -> bool {
    signature::type_by_signature(head)
        .is_some_and(|found| matches!(found, ZIP | OLE | "image/png") || is_mp4_container(found))
}

/// Whether the type is an ISO/IEC 14496-12 container with video or with audio alone.
fn is_mp4_container(mime_type: &str) -> bool {
    audio_demuxer(mime_type) == Some("mov")
}

/// Determines the type of a file from its first bytes, its content, and the claims about it.
pub fn detect_type(head: &[u8], inside: Option<&str>, claimed: TypeClaims<'_>) -> String {
    let named = claimed
        .name
        .and_then(filename::file_extension)
        .and_then(|extension| extension::type_by_extension(&extension));
    let declared = claimed.mime_type.and_then(extension::normalize_type);
    let others = || {
        named
            .filter(|named| *named != UNKNOWN)
            .map(str::to_owned)
            .into_iter()
            .chain(declared.clone())
    };
    match inside.or_else(|| signature::type_by_signature(head)) {
        // A container is less specific than its usual content.
        Some(found) => others()
            .find(|other| is_refinement(other, found))
            .unwrap_or_else(|| fallback_type(found).to_owned()),
        // A type with a characteristic beginning is ruled out if the file begins differently.
        None => others()
            .find(|other| !signature::has_signature(other))
            .unwrap_or_else(|| if is_text(head) { "text/plain" } else { UNKNOWN }.to_owned()),
    }
}

/// Whether a claimed type is a more specific form of the detected one.
fn is_refinement(claimed: &str, found: &str) -> bool {
    const ZIPS: [&str; 5] = [
        "application/epub+zip",
        "application/java-archive",
        "application/vnd.android.package-archive",
        "application/vnd.google-earth.kmz",
        "application/vnd.apple.",
    ];
    let is_office = |claimed: &str| {
        claimed.contains("openxmlformats")
            || claimed.contains("opendocument")
            || claimed.contains("macroenabled")
    };
    let family = |it: &str| {
        ["word", "sheet", "presentation"]
            .into_iter()
            .find(|family| it.contains(family) && is_office(it))
    };
    match found {
        ZIP => is_office(claimed) || ZIPS.iter().any(|zip| claimed.starts_with(zip)),
        OLE => {
            claimed == "application/msword"
                || claimed == "application/x-msi"
                || claimed.starts_with("application/vnd.ms-")
                || claimed.starts_with("application/vnd.visio")
                || is_office(claimed)
        }
        "video/webm" => claimed == "audio/webm",
        // Videos and audio begin alike; if the content could not be inspected, the claim decides.
        video if is_mp4_container(video) => claimed == "audio/mp4",
        "text/html" | "application/xml" => {
            claimed.ends_with("+xml") || claimed == "application/xml" || claimed == "text/html"
        }
        // Templates, and documents with macros.
        found => family(found).is_some() && family(found) == family(claimed),
    }
}

/// Returns the type of a container whose content is unknown.
fn fallback_type(found: &str) -> &str {
    if found == OLE { UNKNOWN } else { found }
}

/// Whether it reads like text.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        // Its last character may be cut off.
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

/// Checks whether a file of this type can be sent as this kind, directly or converted.
pub fn check_type(kind: MediaKind, mime_type: &str) -> Result<(), MediaTypeError> {
    const PICTURES: [&str; 5] = [JPEG, "image/png", WEBP, "image/gif", APNG];
    const FILMS: [&str; 3] = [MP4, "video/3gpp", "video/3gpp2"];
    const SOUNDS: [&str; 5] = [OPUS, "audio/mpeg", "audio/aac", "audio/amr", "audio/mp4"];
    let is_picture = PICTURES.contains(&mime_type) || is_heif(mime_type);
    let is_film = FILMS.contains(&mime_type) || needs_mp4(mime_type) || can_be_animated(mime_type);
    let fits = match kind {
        MediaKind::Image => is_picture,
        MediaKind::Video => is_film,
        MediaKind::Sticker => is_picture || video_demuxer(mime_type).is_some(),
        MediaKind::Audio => SOUNDS.contains(&mime_type),
        MediaKind::Voice => audio_demuxer(mime_type).is_some(),
        MediaKind::Document => true,
    };
    if fits {
        return Ok(());
    }
    let found = mime_type.to_owned();
    Err(match kind {
        MediaKind::Image | MediaKind::Document => MediaTypeError::NotAnImage(found),
        MediaKind::Video => MediaTypeError::NotAVideo(found),
        MediaKind::Sticker => MediaTypeError::NotASticker(found),
        MediaKind::Audio => MediaTypeError::NotAudio(found),
        MediaKind::Voice => MediaTypeError::NotAVoiceNote(found),
    })
}

/// Whether images of this type have to become JPEG before they are shown.
pub fn is_heif(mime_type: &str) -> bool {
    matches!(mime_type, "image/heic" | "image/heif" | "image/avif")
}

/// Whether videos of this type have to become MP4 for phones.
pub fn needs_mp4(mime_type: &str) -> bool {
    mime_type == "video/quicktime"
}

/// Whether images of this type may be animated. Sent as images, they stand still.
pub fn can_be_animated(mime_type: &str) -> bool {
    matches!(mime_type, "image/gif" | APNG | WEBP)
}

/// Returns the ffmpeg demuxer for audio, or a video's audio, of this type.
pub fn audio_demuxer(mime_type: &str) -> Option<&'static str> {
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

/// Returns the ffmpeg demuxer for a video or animated image of this type.
pub fn video_demuxer(mime_type: &str) -> Option<&'static str> {
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
