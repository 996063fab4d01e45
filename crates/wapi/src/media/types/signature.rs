//! File signatures. Pure.

use super::{MP4, OLE, OPUS, WEBP, ZIP};

/// Types whose files always begin with a signature known here, so that other files cannot have
/// them. Types written as text are excluded, because people leave out their first lines.
const SIGNED_TYPES: [&str; 43] = [
    "image/jpeg",
    "image/png",
    super::APNG,
    WEBP,
    "image/gif",
    "image/heic",
    "image/heif",
    "image/avif",
    "image/bmp",
    "image/tiff",
    "image/x-icon",
    "image/vnd.adobe.photoshop",
    "image/jxl",
    "image/x-canon-cr3",
    MP4,
    "video/quicktime",
    "video/3gpp",
    "video/3gpp2",
    "video/webm",
    "video/x-matroska",
    "video/x-msvideo",
    "video/x-flv",
    "audio/mp4",
    "audio/webm",
    OPUS,
    "audio/ogg",
    "audio/mpeg",
    "audio/aac",
    "audio/amr",
    "audio/wav",
    "audio/flac",
    "audio/aiff",
    "audio/midi",
    "application/pdf",
    ZIP,
    "application/gzip",
    "application/x-bzip2",
    "application/x-xz",
    "application/zstd",
    "application/x-7z-compressed",
    "application/vnd.rar",
    "application/vnd.sqlite3",
    "application/vnd.microsoft.portable-executable",
];

/// Whether all files of this type begin with a signature known here.
pub(super) fn has_signature(mime_type: &str) -> bool {
    SIGNED_TYPES.contains(&mime_type)
}

/// Returns the type of a file's signature, if it is known.
pub(super) fn type_by_signature(head: &[u8]) -> Option<&'static str> {
    image_signature(head)
        .or_else(|| box_signature(head))
        .or_else(|| audio_signature(head))
        .or_else(|| video_signature(head))
        .or_else(|| document_signature(head))
}

fn image_signature(head: &[u8]) -> Option<&'static str> {
    Some(match head {
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "image/png",
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
        ] if !is_text_like(head) => WEBP,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] if !is_text_like(head) => "image/gif",
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => "image/bmp",
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => "image/tiff",
        [0, 0, 1, 0, _, 0, ..] => "image/x-icon",
        [b'8', b'B', b'P', b'S', 0, 1, ..] => "image/vnd.adobe.photoshop",
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => "image/jxl",
        _ => return None,
    })
}

/// Whether the bytes may be text in any charset. An ASCII signature then proves nothing, while
/// binary files contain zeros and the like close behind it.
fn is_text_like(head: &[u8]) -> bool {
    /// Fewer bytes are not conclusive.
    const SHORTEST: usize = 17;
    let is_sign = |byte: &u8| *byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    head.len() >= SHORTEST && head.iter().all(is_sign)
}

/// Detects ISO/IEC 14496-12 containers, whose brand determines the type.
fn box_signature(head: &[u8]) -> Option<&'static str> {
    if is_text_like(head) {
        return None;
    }
    let size = u32::from_be_bytes(head.get(..4)?.try_into().ok()?);
    // The first of these may be as large as a file; the others contain only a few numbers.
    let is_one = match head.get(4..8)? {
        b"ftyp" => return Some(type_by_brands(head)),
        // Old QuickTime files begin with an arbitrary box.
        b"mdat" => size < 2 || (8..1 << 30).contains(&size),
        b"moov" => (8..1 << 26).contains(&size),
        b"wide" => size == 8,
        b"pnot" => size == 20,
        b"free" | b"skip" => {
            (8..1 << 26).contains(&size)
                && head
                    .windows(4)
                    .any(|name| name == b"mdat" || name == b"moov")
        }
        _ => false,
    };
    is_one.then_some("video/quicktime")
}

/// Returns the type of the first known brand: the major one, then the compatible ones.
fn type_by_brands(head: &[u8]) -> &'static str {
    let size = head
        .get(..4)
        .and_then(|size| size.try_into().ok())
        .map_or(0, |size| u32::from_be_bytes(size) as usize);
    let compatible = head
        .get(16..size.clamp(16, head.len().max(16)))
        .unwrap_or_default();
    let brands = head
        .get(8..12)
        .into_iter()
        .chain(compatible.chunks_exact(4));
    let is_picture = matches!(head.get(8..12), Some(b"mif1" | b"msf1" | b"mif2"));
    brands
        .filter_map(type_by_brand)
        .next()
        .unwrap_or(if is_picture { "image/heif" } else { MP4 })
}

fn type_by_brand(brand: &[u8]) -> Option<&'static str> {
    Some(match brand {
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => {
            "image/heic"
        }
        b"avif" | b"avis" => "image/avif",
        // Another brand may name the codec of these images.
        b"mif1" | b"msf1" | b"mif2" => return None,
        b"crx " => "image/x-canon-cr3",
        b"qt  " => "video/quicktime",
        b"M4A " | b"M4B " | b"M4P " | b"F4A " | b"F4B " => "audio/mp4",
        [b'3', b'g', b'2', _] => "video/3gpp2",
        [b'3', b'g', ..] => "video/3gpp",
        b"isom" | b"iso2" | b"iso3" | b"iso4" | b"iso5" | b"iso6" | b"mp41" | b"mp42" | b"avc1"
        | b"M4V " | b"M4VH" | b"M4VP" | b"MSNV" | b"dash" | b"f4v " | b"F4V " | b"XAVC" => MP4,
        _ => return None,
    })
}

fn audio_signature(head: &[u8]) -> Option<&'static str> {
    Some(match head {
        [b'#', b'!', b'A', b'M', b'R', b'\n', ..]
        | [b'#', b'!', b'A', b'M', b'R', b'-', b'W', b'B', b'\n', ..] => "audio/amr",
        // The others begin with ASCII words, or with letters of old charsets.
        _ if is_text_like(head) => return None,
        [b'O', b'g', b'g', b'S', ..] => ogg_type(head),
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
            b'A',
            b'V',
            b'E',
            ..,
        ] => "audio/wav",
        [
            b'F',
            b'O',
            b'R',
            b'M',
            _,
            _,
            _,
            _,
            b'A',
            b'I',
            b'F',
            b'F' | b'C',
            ..,
        ] => "audio/aiff",
        [b'f', b'L', b'a', b'C', ..] => "audio/flac",
        [b'I', b'D', b'3', 2..=4, ..] => "audio/mpeg",
        [b'M', b'T', b'h', b'd', ..] => "audio/midi",
        [0xff, second, ..] if second & 0xf6 == 0xf0 => "audio/aac",
        [0xff, second, rest @ ..] if is_mpeg(*second, rest.first()) => "audio/mpeg",
        _ => return None,
    })
}

/// Whether these are the header of a layer II or III frame. Layer I is out of use, and looks like
/// text in UTF-16.
fn is_mpeg(second: u8, third: Option<&u8>) -> bool {
    let (version, layer) = (second >> 3 & 0b11, second >> 1 & 0b11);
    let is_possible = |third: &u8| third >> 4 != 0b1111 && third >> 2 & 0b11 != 0b11;
    second & 0xe0 == 0xe0
        && version != 0b01
        && matches!(layer, 0b01 | 0b10)
        && third.is_none_or(is_possible)
}

/// Detects the codec of an Ogg file, named after the 28-byte header of its first page.
fn ogg_type(head: &[u8]) -> &'static str {
    let others: [&[u8]; 4] = [b"\x01vorbis", b"\x7fFLAC", b"Speex", b"\x80theora"];
    let content = head.get(28..).unwrap_or_default();
    if others.into_iter().any(|other| content.starts_with(other)) {
        "audio/ogg"
    } else {
        OPUS
    }
}

fn video_signature(head: &[u8]) -> Option<&'static str> {
    Some(match head {
        [0x1a, 0x45, 0xdf, 0xa3, ..] => match head[..head.len().min(64)]
            .windows(8)
            .any(|name| name == b"matroska")
        {
            true => "video/x-matroska",
            false => "video/webm",
        },
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'A',
            b'V',
            b'I',
            b' ',
            ..,
        ] if !is_text_like(head) => "video/x-msvideo",
        [b'F', b'L', b'V', 1, ..] => "video/x-flv",
        [0, 0, 1, 0xba | 0xb3, ..] => "video/mpeg",
        _ => return None,
    })
}

fn document_signature(head: &[u8]) -> Option<&'static str> {
    let text = head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii_start();
    let begins = |word: &str| {
        text.get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
    };
    Some(match head {
        [b'P', b'K', 3, 4, ..] => zip_entry_type(head).unwrap_or(ZIP),
        [b'P', b'K', 5, 6, ..] | [b'P', b'K', 7, 8, ..] => ZIP,
        [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, ..] => OLE,
        [0x1f, 0x8b, ..] => "application/gzip",
        [
            b'B',
            b'Z',
            b'h',
            b'1'..=b'9',
            b'1',
            b'A',
            b'Y',
            b'&',
            b'S',
            b'Y',
            ..,
        ]
        | [
            b'B',
            b'Z',
            b'h',
            b'1'..=b'9',
            0x17,
            b'r',
            b'E',
            b'8',
            b'P',
            0x90,
            ..,
        ] => "application/x-bzip2",
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "application/x-xz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "application/zstd",
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => "application/x-7z-compressed",
        [b'R', b'a', b'r', b'!', 0x1a, 7, ..] => "application/vnd.rar",
        [b'M', b'Z', ..] if head.len() > 64 && !is_text_like(head) => {
            "application/vnd.microsoft.portable-executable"
        }
        _ if head.starts_with(b"SQLite format 3\0") => "application/vnd.sqlite3",
        _ if head.get(257..262) == Some(b"ustar") && !is_text_like(head) => "application/x-tar",
        _ if text.starts_with(b"%PDF-") => "application/pdf",
        _ if text.starts_with(b"{\\rtf") => "application/rtf",
        _ if text.starts_with(b"%!PS") => "application/postscript",
        _ if begins("BEGIN:VCARD") => "text/vcard",
        _ if begins("BEGIN:VCALENDAR") => "text/calendar",
        _ if begins("<svg") => "image/svg+xml",
        _ if begins("<!doctype html") || begins("<html") => "text/html",
        _ if begins("<?xml") => xml_type(text),
        _ => return None,
    })
}

/// Detects the type of an XML file from its elements.
fn xml_type(text: &[u8]) -> &'static str {
    let has = |word: &[u8]| {
        text.windows(word.len())
            .any(|part| part.eq_ignore_ascii_case(word))
    };
    match () {
        () if has(b"<svg") => "image/svg+xml",
        () if has(b"<html") => "text/html",
        () => "application/xml",
    }
}

/// Detects OpenDocument and EPUB files from their first entry, which is uncompressed.
fn zip_entry_type(head: &[u8]) -> Option<&'static str> {
    const KINDS: [&str; 5] = [
        "application/vnd.oasis.opendocument.text",
        "application/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.oasis.opendocument.presentation",
        "application/vnd.oasis.opendocument.graphics",
        "application/epub+zip",
    ];
    let short = |at: usize| {
        Some(usize::from(u16::from_le_bytes(
            head.get(at..at + 2)?.try_into().ok()?,
        )))
    };
    let (name, extra) = (short(26)?, short(28)?);
    if head.get(30..30 + name)? != b"mimetype" || short(8)? != 0 {
        return None;
    }
    let content = head.get(30 + name + extra..)?;
    KINDS.into_iter().find(|kind| {
        let behind = content.strip_prefix(kind.as_bytes()).map(<[u8]>::first);
        behind
            .is_some_and(|next| next.is_none_or(|next| !next.is_ascii_lowercase() && *next != b'-'))
    })
}
