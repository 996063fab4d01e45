//! Charset detection for pages, as in browsers (Encoding Standard and HTML's sniffing). Pure.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::media::filename::parse_parameters;

/// Bytes of a page that are searched for its declared charset.
const SEARCHED_BYTES: usize = 4_096;

/// Decodes a page, which may be truncated anywhere.
pub(crate) fn decode_page(bytes: &[u8], content_type: &str) -> String {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return decode_text(encoding, &bytes[mark..]);
    }
    let declared = header_charset(content_type)
        .or_else(|| page_charset(&bytes[..bytes.len().min(SEARCHED_BYTES)]));
    let of_two_bytes =
        |encoding: &&'static Encoding| *encoding == UTF_16LE || *encoding == UTF_16BE;
    let (letters, mistakes) = count_utf8(bytes);
    // Valid UTF-8 is UTF-8, whatever is declared, since text in a single-byte charset is not valid
    // by chance. A few errors may come from the sources a page was assembled of.
    let is_utf8 = letters > 0 && letters >= mistakes;
    match declared {
        Some(encoding) if of_two_bytes(&encoding) => decode_text(encoding, bytes),
        _ if is_utf8
            && declared.is_none_or(|encoding| encoding == UTF_8 || has_errors(encoding, bytes)) =>
        {
            decode_text(UTF_8, bytes)
        }
        Some(encoding) if encoding != UTF_8 || letters > 0 || bytes.is_ascii() => {
            decode_text(encoding, bytes)
        }
        // It declares UTF-8 or nothing, and is not UTF-8.
        _ => decode_text(WINDOWS_1252, bytes),
    }
}

/// Counts the non-ASCII letters in UTF-8, and the bytes that belong to none. A letter truncated at
/// the end counts as neither.
fn count_utf8(bytes: &[u8]) -> (usize, usize) {
    let (mut letters, mut mistakes, mut rest) = (0, 0, bytes);
    while !rest.is_empty() {
        let (valid, wrong) = match std::str::from_utf8(rest) {
            Ok(_) => (rest.len(), 0),
            Err(error) => (error.valid_up_to(), error.error_len().unwrap_or(0)),
        };
        // All letters but those of ASCII begin with such a byte.
        letters += rest[..valid].iter().filter(|byte| **byte >= 0xc0).count();
        mistakes += wrong;
        if wrong == 0 {
            break;
        }
        rest = &rest[valid + wrong..];
    }
    (letters, mistakes)
}

fn has_errors(encoding: &'static Encoding, bytes: &[u8]) -> bool {
    encoding.decode_without_bom_handling(bytes).1
}

/// Decodes without the truncated letter at the end, and without replacement characters.
fn decode_text(encoding: &'static Encoding, bytes: &[u8]) -> String {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let longest = decoder
        .max_utf8_buffer_length(bytes.len())
        .unwrap_or(bytes.len() * 3);
    let mut text = String::with_capacity(longest);
    let _ = decoder.decode_to_string(bytes, &mut text, false);
    text.replace(char::REPLACEMENT_CHARACTER, "")
}

fn header_charset(content_type: &str) -> Option<&'static Encoding> {
    let (_, label) = parse_parameters(content_type)
        .into_iter()
        .find(|(name, _)| name == "charset")?;
    Encoding::for_label(label.trim_matches('\'').as_bytes())
}

/// Finds the charset in `<meta charset=…>`, `<meta http-equiv content="…; charset=…">` or `<?xml
/// encoding="…"?>` at the beginning.
fn page_charset(beginning: &[u8]) -> Option<&'static Encoding> {
    let beginning = beginning.to_ascii_lowercase();
    let tags = beginning
        .split(|byte| *byte == b'<')
        .filter_map(|tag| tag.split(|byte| *byte == b'>').next());
    tags.filter_map(|tag| {
        let key: &[u8] = if tag.starts_with(b"meta") {
            b"charset"
        } else {
            b"encoding"
        };
        let is_told = tag.starts_with(b"meta") || tag.starts_with(b"?xml");
        let at = tag
            .windows(key.len())
            .position(|part| part == key)
            .filter(|_| is_told)?;
        let value = tag[at + key.len()..]
            .trim_ascii_start()
            .strip_prefix(b"=")?
            .trim_ascii_start();
        let value = value
            .strip_prefix(b"\"")
            .or_else(|| value.strip_prefix(b"'"))
            .unwrap_or(value)
            .trim_ascii_start();
        let end = value
            .iter()
            .position(|byte| b"\"'; \t\r\n/".contains(byte))
            .unwrap_or(value.len());
        let encoding = Encoding::for_label(&value[..end])?;
        // It was readable so far, so it does not have two bytes per letter.
        Some(if encoding == UTF_16LE || encoding == UTF_16BE {
            UTF_8
        } else {
            encoding
        })
    })
    .next()
}

#[cfg(test)]
mod tests {
    use encoding_rs::{BIG5, EUC_KR, GBK, ISO_8859_2, KOI8_R, SHIFT_JIS, WINDOWS_1251};

    use crate::media::link_download::preview::charset::*;

    #[test]
    fn pages_are_read_in_the_charset_that_they_are_in() {
        for (encoding, label, words) in [
            (WINDOWS_1251, "windows-1251", "Чай и пирог"),
            (KOI8_R, "koi8-r", "Чай и пирог"),
            (SHIFT_JIS, "Shift_JIS", "お茶とケーキ"),
            (GBK, "GBK", "茶和蛋糕"),
            (GBK, "gb2312", "茶和蛋糕"),
            (BIG5, "big5", "茶和蛋糕"),
            (EUC_KR, "euc-kr", "차와 케이크"),
            (ISO_8859_2, "iso-8859-2", "Čaj a koláč"),
            (WINDOWS_1252, "ISO-8859-1", "Thé “café”"),
            (UTF_8, "utf-8", "Чай 茶"),
        ] {
            let bytes = |page: &str| encoding.encode(page).0.into_owned();
            for (page, content_type) in [
                (
                    format!("<title>{words}</title>"),
                    format!("Text/HTML; Charset=\"{label}\""),
                ),
                (
                    format!("<meta charset={label}><title>{words}"),
                    "text/html".to_owned(),
                ),
                (
                    format!("<META CHARSET='{label}' /><title>{words}"),
                    String::new(),
                ),
                (
                    format!(
                        "<meta http-equiv=\"Content-Type\" content=\"text/html; charset={label}\"><title>{words}"
                    ),
                    "text/html".to_owned(),
                ),
                (
                    format!("<?xml version=\"1.0\" encoding=\"{label}\"?><title>{words}"),
                    String::new(),
                ),
            ] {
                let read = decode_page(&bytes(&page), &content_type);
                assert!(read.contains(words), "{label}, {content_type}: {read}");
            }
        }
    }

    #[test]
    fn marks_and_bytes_count_before_words() {
        let utf16 = |words: &str| {
            words
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<_>>()
        };
        for (bytes, content_type, read) in [
            (
                [b"\xef\xbb\xbf".as_slice(), "Чай".as_bytes()].concat(),
                "text/html; charset=windows-1251",
                "Чай",
            ),
            (
                [b"\xff\xfe".as_slice(), &utf16("Чай")].concat(),
                "text/html",
                "Чай",
            ),
            (utf16("Чай"), "text/html; charset=utf-16le", "Чай"),
            ("Чай".as_bytes().to_vec(), "text/html", "Чай"),
            // The declaration is wrong.
            (
                "<meta charset=utf-16>Чай".as_bytes().to_vec(),
                "text/html",
                "<meta charset=utf-16>Чай",
            ),
            (b"caf\xe9".to_vec(), "text/html; charset=utf-8", "café"),
            (b"caf\xe9".to_vec(), "text/html", "café"),
            (b"caf\xe9".to_vec(), "text/html; charset=unheard-of", "café"),
            // A few bytes are wrong.
            (
                [b"\xff".as_slice(), "Чай и пирог".as_bytes()].concat(),
                "text/html; charset=utf-8",
                "Чай и пирог",
            ),
            (
                ["Чай".as_bytes(), b" \xa0 ", "пирог".as_bytes()].concat(),
                "text/html",
                "Чай  пирог",
            ),
            (
                ["Чай".as_bytes(), b"\xd0 ", "пирог".as_bytes()].concat(),
                "",
                "Чай пирог",
            ),
            (
                ["caf\u{e9}".as_bytes(), b" \x93tea\x94"].concat(),
                "text/html; charset=utf-8",
                "caf\u{e9} tea",
            ),
            (
                [
                    b"<meta charset=utf-8>".as_slice(),
                    "Tea – ".as_bytes(),
                    b"\xe9\xe9",
                ]
                .concat(),
                "",
                "<meta charset=utf-8>Tea – ",
            ),
            (
                ["茶".as_bytes(), b"\xed\xa0\x80", "茶茶茶茶".as_bytes()].concat(),
                "text/html",
                "茶茶茶茶茶",
            ),
            // Another charset is kept, though some of it could be UTF-8.
            (
                b"caf\xe9 \xc3\xa9\xe9\xe8".to_vec(),
                "text/html",
                "café Ã©éè",
            ),
            // The last letter is truncated.
            ("Чай".as_bytes()[..5].to_vec(), "text/html", "Ча"),
            (
                "茶".as_bytes()[..2].to_vec(),
                "text/html; charset=utf-8",
                "",
            ),
            (b"".to_vec(), "", ""),
        ] {
            let found = decode_page(&bytes, content_type);
            assert!(!found.contains('\u{fffd}'), "{found}");
            if read.is_empty() {
                continue;
            }
            assert_eq!(found, read, "{content_type}");
        }
    }
}
