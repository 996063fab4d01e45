//! The kinds as which a file may be sent: decided by its type, never by its name or claim alone.

use super::super::*;

/// Extensions of everything that can be sent as other kinds than a document.
const ENDINGS: [&str; 25] = [
    "jpg", "jpeg", "png", "apng", "gif", "webp", "heic", "heif", "avif", "mp4", "m4v", "mov",
    "3gp", "3g2", "webm", "mkv", "mp3", "m4a", "aac", "amr", "ogg", "opus", "wav", "flac", "weba",
];

#[test]
fn nothing_is_a_picture_a_film_or_a_sound_by_its_name_or_a_word_alone() {
    let nothing: [&[u8]; 7] = [
        b"",
        b"{\"error\": \"gone\"}",
        b"Not found",
        "Не найдено".as_bytes(),
        b"\0\0\0\0",
        b"\xff\xfe",
        b"\x80\x81\x82",
    ];
    let kinds = [
        MediaKind::Image,
        MediaKind::Video,
        MediaKind::Sticker,
        MediaKind::Audio,
        MediaKind::Voice,
    ];
    for head in nothing {
        for ending in ENDINGS {
            let (name, usual) = (
                format!("a.{ending}"),
                extension::type_by_extension(ending).unwrap(),
            );
            for said in [
                usual,
                "image/jpg",
                "audio/mp3",
                "audio/x-m4a",
                "audio/ogg; codecs=opus",
                "image/apng",
            ] {
                for claims in [
                    TypeClaims {
                        name: Some(&name),
                        mime_type: None,
                    },
                    TypeClaims {
                        name: None,
                        mime_type: Some(said),
                    },
                    TypeClaims {
                        name: Some("a"),
                        mime_type: Some(said),
                    },
                    TypeClaims {
                        name: Some(&name),
                        mime_type: Some(said),
                    },
                ] {
                    let found = detect_type(head, None, claims);
                    assert!(
                        kinds.iter().all(|kind| check_type(*kind, &found).is_err()),
                        "{claims:?}: {found}"
                    );
                }
            }
        }
    }
    // A claimed document type holds unless the content disproves it.
    for (head, name, said, found) in [
        (&b"{}"[..], "a.pdf", "application/pdf", "text/plain"),
        (b"{}", "a.pdf", "application/json", "application/json"),
        (b"", "a.jpg", "image/jpeg", "application/octet-stream"),
        (b"a", "a.svg", "", "image/svg+xml"),
        (
            b"a",
            "a.docx",
            "",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
    ] {
        assert_eq!(
            detect_type(
                head,
                None,
                TypeClaims {
                    name: Some(name),
                    mime_type: Some(said)
                }
            ),
            found,
            "{name}"
        );
    }
}

#[test]
fn what_cannot_be_sent_so_is_refused_by_its_type() {
    for (kind, mime_type, why) in [
        (
            MediaKind::Image,
            "image/svg+xml",
            "is not a picture but image/svg+xml; ",
        ),
        (
            MediaKind::Image,
            "video/mp4",
            "is not a picture but video/mp4; ",
        ),
        (
            MediaKind::Image,
            "image/tiff",
            "is not a picture but image/tiff; ",
        ),
        (
            MediaKind::Video,
            "video/webm",
            "is not a video but video/webm; ",
        ),
        (
            MediaKind::Video,
            "image/heic",
            "is not a video but image/heic; ",
        ),
        (
            MediaKind::Audio,
            "audio/midi",
            "is not audio but audio/midi; ",
        ),
        (
            MediaKind::Audio,
            "video/mp4",
            "is not audio but video/mp4; ",
        ),
        (
            MediaKind::Voice,
            "text/plain",
            "is text/plain, which cannot become a voice note; ",
        ),
        (
            MediaKind::Sticker,
            "application/pdf",
            "is not a sticker but application/pdf; ",
        ),
    ] {
        let refused = check_type(kind, mime_type).unwrap_err().to_string();
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
        assert_eq!(check_type(kind, mime_type), Ok(()), "{mime_type}");
    }
}
