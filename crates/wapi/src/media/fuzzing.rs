//! Fuzz targets: arbitrary bytes are read to an end, whatever they claim to be.

use std::io::Cursor;

use super::filename::ContentDisposition;
use super::probe::{mp4, pdf};
use super::types::{self, TypeClaims};
use super::{content_inspection, filename};

/// Counts the pages of the bytes as a PDF.
pub fn pdf(bytes: &[u8]) {
    let pages = pdf::count_pages(&mut Cursor::new(bytes)).ok().flatten();
    assert!(
        pages.is_none_or(|pages| pages > 0),
        "a document without pages"
    );
}

/// Parses the bytes as an MP4, and as HEIC, which has the same structure.
pub fn mp4(bytes: &[u8]) {
    let _ = mp4::read_info(&mut Cursor::new(bytes));
    let _ = mp4::read_codecs(&mut Cursor::new(bytes));
    let _ = mp4::primary_image_size(&mut Cursor::new(bytes));
}

/// Detects the type of the bytes as a file.
pub fn kind(bytes: &[u8]) {
    let inside = content_inspection::inspect_content(&mut Cursor::new(bytes))
        .ok()
        .flatten();
    let head = &bytes[..bytes.len().min(types::HEAD_BYTES)];
    assert!(!types::detect_type(head, inside, TypeClaims::default()).is_empty());
}

/// Parses the bytes as a header that names a file.
pub fn name(bytes: &[u8]) {
    let Some(name) = ContentDisposition::parse(bytes).filename else {
        return;
    };
    assert_eq!(
        filename::base_name(&name).as_deref(),
        Some(&*name),
        "a name is one already"
    );
    assert!(
        !name.contains(['/', '\\', '\0', '\n']) && name != "..",
        "{name:?} leads elsewhere"
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEEDS: [&[u8]; 5] = [
        b"%PDF-1.4\n1 0 obj<</Type/Pages/Count 1>>endobj trailer<</Root 1 0 R>>startxref\n9\n%%EOF",
        b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x20moov\0\0\0\x18trak\0\0\0\x10mdia\0\0\0\x08hdlr",
        b"\0\0\0\x10ftypheic\0\0\0\0\0\0\0\x30meta\0\0\0\0\0\0\0\x24iprp\0\0\0\x1cipco\0\0\0\x14ispe\0\0\0\0\0\0\0\x01\0\0\0\x01",
        b"attachment; filename*=utf-8''%e2%82%ac%20rates; filename=\"=?utf-8?B?w6Q?= ../a\"",
        b"PK\x01\x02 [Content_Types].xml PK\x05\x06",
    ];

    proptest! {
        #[test]
        fn any_file_is_read_to_an_end(
            seed in prop::sample::select(SEEDS.to_vec()),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        ) {
            let mut bytes = seed.to_vec();
            for (position, byte) in changes {
                let position = position.index(bytes.len());
                bytes[position] = byte;
            }
            for read in [pdf, mp4, kind, name] {
                read(&bytes);
            }
        }
    }
}
