//! What files are: each kind of evidence, and which of them counts.

use super::*;

fn by_bytes(head: &[u8]) -> String {
    of(head, None, Told::default())
}

fn branded(brands: &[&str]) -> Vec<u8> {
    let compatible = brands[1..].concat();
    let size = 16 + compatible.len() as u32;
    [&size.to_be_bytes()[..], b"ftyp", brands[0].as_bytes(), &[0; 4], compatible.as_bytes(), b"\0\0\0\x08free"].concat()
}

#[test]
fn files_are_known_by_their_first_bytes() {
    for (head, found) in [
        (&b"\xff\xd8\xff\xe1"[..], "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"RIFF....WEBPVP8 ", "image/webp"),
        (b"GIF89a", "image/gif"),
        (b"BM\x36\0\0\0\0\0\0\0", "image/bmp"),
        (b"II*\0", "image/tiff"),
        (b"<?xml version='1.0'?><!-- x --><svg xmlns='...'>", "image/svg+xml"),
        (b"OggS....", OPUS),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90", "audio/mpeg"),
        (b"\xff\xf3\x40", "audio/mpeg"),
        (b"\xff\xf1\x50", "audio/aac"),
        (b"RIFF....WAVEfmt ", "audio/wav"),
        (b"#!AMR\n", "audio/amr"),
        (b"\x1a\x45\xdf\xa3....B\x82\x84webm", "video/webm"),
        (b"\x1a\x45\xdf\xa3....B\x82\x88matroska", "video/x-matroska"),
        (b"RIFF....AVI LIST", "video/x-msvideo"),
        (b"%PDF-1.7", "application/pdf"),
        (b"\xef\xbb\xbf\r\n%PDF-1.4", "application/pdf"),
        (b"{\\rtf1", "application/rtf"),
        (b"PK\x03\x04\x14\0", "application/zip"),
        (b"PK\x03\x04\x0a\0\0\0\0\0......................mimetype", "application/zip"),
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
        let head = [&b"PK\x03\x04\x0a\0\0\0"[..], &[0; 18], b"\x08\0\0\0mimetype", kind.as_bytes(), b"PK"].concat();
        by_bytes(&head)
    };
    for kind in ["application/vnd.oasis.opendocument.text", "application/epub+zip"] {
        assert_eq!(mimetype(kind), kind);
    }
    assert_eq!(mimetype("application/vnd.oasis.opendocument.text-master"), "application/zip");
}

#[test]
fn brands_say_what_is_in_a_box() {
    for (brands, found) in [
        (&["isom", "iso2", "avc1", "mp41"][..], "video/mp4"),
        (&["mp42", "isom"], "video/mp4"),
        (&["XXXX"], "video/mp4"),
        (&["XXXX", "qt  "], "video/quicktime"),
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
    ] {
        assert_eq!(by_bytes(&branded(brands)), found, "{brands:?}");
    }
    for old in [b"\0\0\0\x08wide....", b"....moov....", b"\0\0\x10\0mdat...."] {
        assert_eq!(by_bytes(old), "video/quicktime");
    }
    assert_eq!(by_bytes(b"\xff\xff\xff\xffftyp"), "video/mp4");
    assert_eq!(by_bytes(b"\0\0\0\0ftypqt"), "video/mp4");
}

#[test]
fn content_counts_before_the_name_and_the_name_before_what_was_said() {
    const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    const DOCM: &str = "application/vnd.ms-word.document.macroenabled.12";
    let (zip, ole) = (&b"PK\x03\x04"[..], &b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"[..]);
    for (head, inside, name, said, found) in [
        (&b"%PDF-1.7"[..], None, "a.docx", "text/html", "application/pdf"),
        (b"%PDF-1.7", None, "", "binary/octet-stream", "application/pdf"),
        (b"a,b", None, "a.CSV", "text/plain", "text/csv"),
        (b"a,b", None, "a", "Text/CSV; charset=utf-8", "text/csv"),
        (b"a,b", None, "a.bin", "text/csv", "text/csv"),
        (b"a,b", None, "export.php", "text/csv", "text/csv"),
        (b"a,b", None, "a.csv", "application/octet-stream", "text/csv"),
        (b"\0\x01", None, "a.dwg", "", "application/acad"),
        (b"\0\x01", None, "", "application/x-own", "application/x-own"),
        (b"\0\x01", None, "", "binary/octet-stream", "application/octet-stream"),
        (b"{}", None, "", "", "text/plain"),
        (zip, None, "a.docx", "", DOCX),
        (zip, None, "", DOCX, DOCX),
        (zip, Some(DOCX), "a.xlsx", XLSX, DOCX),
        (zip, Some(DOCX), "a.docm", "", DOCM),
        (zip, None, "a.pdf", "application/pdf", "application/zip"),
        (zip, None, "a.zip", "application/x-zip-compressed", "application/zip"),
        (zip, None, "a.apk", "", "application/vnd.android.package-archive"),
        (ole, Some("application/msword"), "a.xls", "", "application/msword"),
        (ole, None, "a.xls", "", "application/vnd.ms-excel"),
        (ole, None, "", "application/pdf", "application/octet-stream"),
        (b"<?xml version='1.0'?><gpx>", None, "a.gpx", "", "application/gpx+xml"),
        (b"<html>", None, "a.csv", "text/csv", "text/html"),
        (b"\xff\xd8\xff\xe0", None, "a.png", "image/png", "image/jpeg"),
        (b"\0\0\0\x10ftypisom\0\0\0\0", None, "", "audio/mp4", "audio/mp4"),
        (b"\0\0\0\x10ftypisom\0\0\0\0", None, "a.m4a", "", "audio/mp4"),
        (b"\x1a\x45\xdf\xa3", None, "a.weba", "", "audio/webm"),
    ] {
        let told = Told { name: Some(name), said: Some(said) };
        assert_eq!(of(head, inside, told), found, "{} {inside:?} {told:?}", head.escape_ascii());
    }
}

#[test]
fn what_cannot_be_sent_so_is_refused_by_its_type() {
    for (kind, mime_type, why) in [
        (MediaKind::Image, "image/svg+xml", "is not a picture but image/svg+xml; "),
        (MediaKind::Image, "video/mp4", "is not a picture but video/mp4; "),
        (MediaKind::Image, "image/tiff", "is not a picture but image/tiff; "),
        (MediaKind::Video, "video/webm", "is not a video but video/webm; "),
        (MediaKind::Video, "image/heic", "is not a video but image/heic; "),
        (MediaKind::Audio, "audio/midi", "is not a sound but audio/midi; "),
        (MediaKind::Audio, "video/mp4", "is not a sound but video/mp4; "),
        (MediaKind::Voice, "text/plain", "is no sound that a voice note can be made of but text/plain; "),
        (MediaKind::Sticker, "application/pdf", "is no sticker but application/pdf; "),
    ] {
        let refused = fits(kind, mime_type).unwrap_err().to_string();
        assert!(refused.starts_with(why), "{refused}");
    }
    for (kind, mime_type) in [
        (MediaKind::Image, "image/heic"),
        (MediaKind::Image, "image/avif"),
        (MediaKind::Image, "image/gif"),
        (MediaKind::Video, "video/quicktime"),
        (MediaKind::Video, "image/gif"),
        (MediaKind::Video, "image/apng"),
        (MediaKind::Audio, "audio/mp4"),
        (MediaKind::Voice, "video/quicktime"),
        (MediaKind::Sticker, "image/avif"),
        (MediaKind::Sticker, "image/apng"),
        (MediaKind::Document, "application/x-own"),
    ] {
        assert_eq!(fits(kind, mime_type), Ok(()), "{mime_type}");
    }
}
