//! Type detection: each kind of evidence, and their order.

mod kinds;

use super::*;

fn by_bytes(head: &[u8]) -> String {
    detect_type(head, None, TypeClaims::default())
}

fn branded(brands: &[&str]) -> Vec<u8> {
    let compatible = brands[1..].concat();
    let size = 16 + compatible.len() as u32;
    [
        &size.to_be_bytes()[..],
        b"ftyp",
        brands[0].as_bytes(),
        &[0; 4],
        compatible.as_bytes(),
        b"\0\0\0\x08free",
    ]
    .concat()
}

#[test]
fn files_are_known_by_their_first_bytes() {
    for (head, found) in [
        (&b"\xff\xd8\xff\xe1"[..], "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (b"GIF89a\x01\0\x01\0", "image/gif"),
        (b"BM\x36\0\0\0\0\0\0\0", "image/bmp"),
        (b"II*\0", "image/tiff"),
        (
            b"<?xml version='1.0'?><!-- x --><svg xmlns='...'>",
            "image/svg+xml",
        ),
        (b"OggS\0\x02..", OPUS),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90\0", "audio/mpeg"),
        (b"\xff\xf3\x40\x04", "audio/mpeg"),
        (b"\xff\xf1\x50\x80\x02", "audio/aac"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
        (b"#!AMR\n", "audio/amr"),
        (b"\x1a\x45\xdf\xa3....B\x82\x84webm", "video/webm"),
        (b"\x1a\x45\xdf\xa3....B\x82\x88matroska", "video/x-matroska"),
        (b"RIFF\x24\0\0\0AVI LIST", "video/x-msvideo"),
        (b"%PDF-1.7", "application/pdf"),
        (b"\xef\xbb\xbf\r\n%PDF-1.4", "application/pdf"),
        (b"{\\rtf1", "application/rtf"),
        (b"PK\x03\x04\x14\0", "application/zip"),
        (
            b"PK\x03\x04\x0a\0\0\0\0\0......................mimetype",
            "application/zip",
        ),
        (b"Rar!\x1a\x07\x01", "application/vnd.rar"),
        (b"\n <!DOCTYPE HTML><title>", "text/html"),
        (b"begin:vcard\r\n", "text/vcard"),
        (b"plain words, \xd1\x8f\xd0", "text/plain"),
        (b"\xff\xfea\0b\0", "text/plain"),
        (b"\0\x01\x02\x03", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ] {
        assert_eq!(by_bytes(head), found, "{}", head.escape_ascii());
    }
    let mimetype = |kind: &str| {
        let head = [
            &b"PK\x03\x04\x0a\0\0\0"[..],
            &[0; 18],
            b"\x08\0\0\0mimetype",
            kind.as_bytes(),
            b"PK",
        ]
        .concat();
        by_bytes(&head)
    };
    for kind in [
        "application/vnd.oasis.opendocument.text",
        "application/epub+zip",
    ] {
        assert_eq!(mimetype(kind), kind);
    }
    assert_eq!(
        mimetype("application/vnd.oasis.opendocument.text-master"),
        "application/zip"
    );
}

#[test]
fn brands_say_what_is_in_a_box() {
    for (brands, found) in [
        (&["isom", "iso2", "avc1", "mp41"][..], "video/mp4"),
        (&["mp42", "isom"], "video/mp4"),
        // An unknown brand.
        (&["none"], "video/mp4"),
        (&["none", "qt  "], "video/quicktime"),
        (&["qt  "], "video/quicktime"),
        (&["qt  ", "mp42"], "video/quicktime"),
        (&["3gp4"], "video/3gpp"),
        (&["3ge6", "isom"], "video/3gpp"),
        (&["3g2a"], "video/3gpp2"),
        (&["M4A ", "mp42", "isom"], "audio/mp4"),
        (&["M4B "], "audio/mp4"),
        (&["heic", "mif1"], "image/heic"),
        (&["heix", "mif1"], "image/heic"),
        (&["hevc", "msf1"], "image/heic"),
        (&["mif1", "heic"], "image/heic"),
        (&["mif1", "miaf", "avif"], "image/avif"),
        (&["avif", "mif1", "miaf"], "image/avif"),
        (&["avis", "msf1"], "image/avif"),
        (&["mif1", "miaf"], "image/heif"),
    ] {
        assert_eq!(by_bytes(&branded(brands)), found, "{brands:?}");
    }
    for old in [
        b"\0\0\0\x08wide....",
        b"\0\x01..moov....",
        b"\0\0\x10\0mdat....",
        b"\0\0\0\x01mdat....",
    ] {
        assert_eq!(by_bytes(old), "video/quicktime");
    }
    assert_eq!(by_bytes(b"\xff\xff\xff\0ftyp"), "video/mp4");
    assert_eq!(by_bytes(b"\0\0\0\0ftypqt"), "video/mp4");
}

#[test]
fn content_counts_before_the_name_and_the_name_before_what_was_said() {
    const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    const DOCM: &str = "application/vnd.ms-word.document.macroenabled.12";
    let (zip, ole) = (&b"PK\x03\x04"[..], &b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"[..]);
    for (head, inside, name, said, found) in [
        (
            &b"%PDF-1.7"[..],
            None,
            "a.docx",
            "text/html",
            "application/pdf",
        ),
        (
            b"%PDF-1.7",
            None,
            "",
            "binary/octet-stream",
            "application/pdf",
        ),
        (b"a,b", None, "a.CSV", "text/plain", "text/csv"),
        (b"a,b", None, "a", "Text/CSV; charset=utf-8", "text/csv"),
        (b"a,b", None, "a.bin", "text/csv", "text/csv"),
        (b"a,b", None, "export.php", "text/csv", "text/csv"),
        (
            b"a,b",
            None,
            "a.csv",
            "application/octet-stream",
            "text/csv",
        ),
        (b"\xff\xd8", None, "a.pdf", "text/csv", "text/csv"),
        (b"\0\x01", None, "a.dwg", "", "application/acad"),
        (
            b"\0\x01",
            None,
            "",
            "application/x-own",
            "application/x-own",
        ),
        (
            b"\0\x01",
            None,
            "",
            "binary/octet-stream",
            "application/octet-stream",
        ),
        (b"{}", None, "", "", "text/plain"),
        (zip, None, "a.docx", "", DOCX),
        (zip, None, "", DOCX, DOCX),
        (zip, Some(DOCX), "a.xlsx", XLSX, DOCX),
        (zip, Some(DOCX), "a.docm", "", DOCM),
        (zip, None, "a.pdf", "application/pdf", "application/zip"),
        (
            zip,
            None,
            "a.zip",
            "application/x-zip-compressed",
            "application/zip",
        ),
        (
            zip,
            None,
            "a.apk",
            "",
            "application/vnd.android.package-archive",
        ),
        (
            ole,
            Some("application/msword"),
            "a.xls",
            "",
            "application/msword",
        ),
        (ole, None, "a.xls", "", "application/vnd.ms-excel"),
        (ole, None, "", "application/pdf", "application/octet-stream"),
        (
            b"<?xml version='1.0'?><gpx>",
            None,
            "a.gpx",
            "",
            "application/gpx+xml",
        ),
        (b"<html>", None, "a.csv", "text/csv", "text/html"),
        (
            b"\xff\xd8\xff\xe0",
            None,
            "a.png",
            "image/png",
            "image/jpeg",
        ),
        (
            b"\0\0\0\x10ftypisom\0\0\0\0",
            None,
            "",
            "audio/mp4",
            "audio/mp4",
        ),
        (
            b"\0\0\0\x10ftypisom\0\0\0\0",
            None,
            "a.m4a",
            "",
            "audio/mp4",
        ),
        (b"\x1a\x45\xdf\xa3", None, "a.weba", "", "audio/webm"),
    ] {
        let claims = TypeClaims {
            name: Some(name),
            mime_type: Some(said),
        };
        assert_eq!(
            detect_type(head, inside, claims),
            found,
            "{} {inside:?} {claims:?}",
            head.escape_ascii()
        );
    }
}

#[test]
fn plain_texts_are_texts_whatever_words_they_begin_with() {
    for text in [
        "The wide range of tea",
        "Any mdat in a file",
        "See moov for more",
        "No. pnot",
        "Get free moov and mdat",
        "The ftypisom box of a file",
        "SQLite is a library",
        "SQLite format 3 is what it writes",
        "ID3;Name;Price\n1;Tea;2\n",
        "MZ is what programs of DOS begin with, all of them, and it stands for one of those who made it",
        "GIF89a is a format of pictures",
        "RIFF1234WEBP and RIFF",
        "RIFF1234WAVE and RIFF",
        "RIFF1234AVI and RIFF",
        "FORM1234AIFF and FORM",
        "OggS is what pages begin with",
        "fLaC is how streams begin",
        "MThd is a head of notes",
        "#!AMR is no shell",
        "BZh9 is a head, too",
        "8BPS and Rar! and FLV and 7z",
    ] {
        assert_eq!(by_bytes(text.as_bytes()), "text/plain", "{text}");
        // In an old charset, or longer.
        let (old, long) = (
            [text.as_bytes(), b" \xf7\xe0\xe9"].concat(),
            text.to_owned() + &" word".repeat(300),
        );
        let claims = TypeClaims {
            name: Some("a.txt"),
            mime_type: None,
        };
        assert_eq!(detect_type(&old, None, claims), "text/plain", "{text}");
        assert_eq!(
            by_bytes(&long.as_bytes()[..HEAD_BYTES]),
            "text/plain",
            "{text}"
        );
    }
    let tar = "a".repeat(257) + "ustar and so on";
    assert_eq!(by_bytes(tar.as_bytes()), "text/plain");
    // Letters of Windows-1251 that look like audio frames: `яр`, `яс`, `ящ`, `яы`.
    for letter in [0xf0, 0xf1, 0xf9, 0xfb] {
        let text = [
            &[0xff, letter][..],
            b"\xea\xe8\xe9 \xf7\xe0\xe9, \xef\xe8\xf0\xee\xe3 \xe8 \xf2\xee\xf0\xf2",
        ]
        .concat();
        assert_eq!(
            detect_type(
                &text,
                None,
                TypeClaims {
                    name: Some("a.txt"),
                    mime_type: None
                }
            ),
            "text/plain"
        );
    }
    for (head, found) in [
        (&b"SQLite format 3\0\x10\0"[..], "application/vnd.sqlite3"),
        (b"BZh91AY&SY..", "application/x-bzip2"),
        (b"#!AMR-WB\n", "audio/amr"),
        (b"fLaC\0\0\0\x22", "audio/flac"),
        (b"MThd\0\0\0\x06", "audio/midi"),
        (b"FORM\0\0\x10\0AIFF", "audio/aiff"),
        (b"\0\0\0\x14pnot", "video/quicktime"),
        (b"\0\0\0\x08free\0\0\x10\0mdat", "video/quicktime"),
    ] {
        assert_eq!(by_bytes(head), found, "{}", head.escape_ascii());
    }
}

#[test]
fn what_is_in_boxes_is_looked_into_whatever_its_brand() {
    for brand in ["isom", "mp42", "3gp4", "3g2a", "qt  ", "M4A ", "none"] {
        assert!(is_container(&branded(&[brand])), "{brand}");
        let found = detect_type(
            &branded(&[brand]),
            Some("audio/mp4"),
            TypeClaims {
                name: Some("a.3gp"),
                mime_type: Some("video/3gpp"),
            },
        );
        assert_eq!(found, "audio/mp4");
        assert_eq!(check_type(MediaKind::Audio, &found), Ok(()));
    }
    assert!(is_container(b"\0\0\0\x08wide....") && !is_container(&branded(&["heic"])));
    let claims = TypeClaims {
        name: None,
        mime_type: Some("audio/mp4"),
    };
    assert_eq!(
        detect_type(&branded(&["3gp4"]), None, claims),
        "audio/mp4",
        "whoever gives it knows"
    );
}
