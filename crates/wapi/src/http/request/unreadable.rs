//! Explanations of bodies that are not JSON, with advice on how to send them. Pure.

use axum::http::{HeaderMap, header};

use crate::media::types::{self, HEAD_BYTES, TypeClaims};

const SEND_JSON: &str = "send JSON in UTF-8, with the header `Content-Type: application/json`";

/// Returns whether `Content-Encoding` is gzip, or an error for any other encoding.
pub fn is_gzip(headers: &HeaderMap) -> Result<bool, String> {
    let mut is_gzip = false;
    for said in headers.get_all(header::CONTENT_ENCODING) {
        for coding in said.to_str().unwrap_or("?").split(',').map(str::trim) {
            match coding.to_ascii_lowercase().as_str() {
                "" | "identity" => {}
                "gzip" | "x-gzip" if !is_gzip => is_gzip = true,
                _ => {
                    return Err(
                        "its Content-Encoding is not supported; send it uncompressed, or as gzip"
                            .to_owned(),
                    );
                }
            }
        }
    }
    Ok(is_gzip)
}

/// Explains an unreadable body and how to correct it.
pub fn explain_body(body: &[u8], error: &serde_json::Error) -> String {
    if let Some(what) = explain_first_bytes(body) {
        return what;
    }
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => {
            return format!(
                "it is not UTF-8 from byte {} on; {SEND_JSON}",
                error.valid_up_to()
            );
        }
    };
    if is_form(text) {
        return format!(
            "it is a form, not JSON; {SEND_JSON}, as `curl -H 'Content-Type: application/json' -d '{{…}}'` does"
        );
    }
    let detail = error.to_string();
    if detail.contains("surrogate") || detail.contains("hex escape") {
        return format!(
            "it has half of a character (one `\\ud83d` without the other half, at line {} column {}); send both halves, \
             or the character in UTF-8",
            error.line(),
            error.column()
        );
    }
    format!("it is not JSON: {detail}")
}

fn explain_first_bytes(body: &[u8]) -> Option<String> {
    if let Some(kind) = file_type(body) {
        return Some(format!(
            "it is a file ({kind}), not JSON; upload it with POST /v1/sessions/{{session}}/media, and name it in the message by its `id`"
        ));
    }
    let what = match body {
        [] => "it is empty; send a JSON object: {…}".to_owned(),
        [0xef, 0xbb, 0xbf, ..] => {
            "it begins with a byte order mark (EF BB BF); send it without, as UTF-8 needs none"
                .to_owned()
        }
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, _, ..] | [_, 0, 0, 0, ..] => {
            format!("it is UTF-32; {SEND_JSON}")
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => {
            format!("it is UTF-16; {SEND_JSON}")
        }
        [0x1f, 0x8b, ..] => {
            "it is compressed with gzip; send the header `Content-Encoding: gzip`".to_owned()
        }
        [b'-', b'-', ..] => format!("it is a form with parts (multipart), not JSON; {SEND_JSON}"),
        [b'<', ..] => format!("it is XML or HTML, not JSON; {SEND_JSON}"),
        _ => return None,
    };
    Some(what)
}

/// Returns the media type of a body whose first bytes identify a file.
fn file_type(body: &[u8]) -> Option<String> {
    let kind = types::detect_type(
        &body[..body.len().min(HEAD_BYTES)],
        None,
        TypeClaims::default(),
    );
    let is_some_text = kind.starts_with("text/") || kind.contains("xml") || kind.contains("json");
    (!is_some_text && !["application/octet-stream", "application/gzip"].contains(&kind.as_str()))
        .then_some(kind)
}

/// `name=value&…`, as browsers and curl write it.
fn is_form(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._[]%+".contains(&byte))
    };
    text.trim()
        .split('&')
        .all(|pair| pair.split_once('=').is_some_and(|(name, _)| is_name(name)))
}

#[cfg(test)]
mod tests {
    use crate::http::request::unreadable::*;

    #[test]
    fn whatever_was_sent_is_named() {
        let utf16 = |text: &str| {
            text.encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<_>>()
        };
        let big = |text: &str| {
            text.encode_utf16()
                .flat_map(u16::to_be_bytes)
                .collect::<Vec<_>>()
        };
        for (body, words) in [
            (b"".to_vec(), "empty"),
            ("\u{feff}{}".as_bytes().to_vec(), "byte order mark"),
            (utf16("{\"a\": 1}"), "UTF-16"),
            (utf16("\u{feff}{\"a\": 1}"), "UTF-16"),
            (big("{\"a\": 1}"), "UTF-16"),
            (big("\u{feff}{}"), "UTF-16"),
            (b"{\0\0\0".to_vec(), "UTF-32"),
            (b"{\"a\": \"\xe9\"}".to_vec(), "not UTF-8 from byte 7"),
            (br#"{"a": "\ud83d"}"#.to_vec(), "half of a character"),
            (br#"{"a": "\ud83d\u0041"}"#.to_vec(), "half of a character"),
            (br#"{"a": "\ude00"}"#.to_vec(), "half of a character"),
            (b"\x1f\x8b\x08\0".to_vec(), "Content-Encoding: gzip"),
            (b"session_id=shop&a=b%20c".to_vec(), "form"),
            (b"--boundary\r\n".to_vec(), "multipart"),
            (b"<a/>".to_vec(), "XML"),
            (b"\x89PNG\r\n\x1a\n\0\0".to_vec(), "file (image/png)"),
            (b"\xff\xd8\xff\xe0\0\0".to_vec(), "file (image/jpeg)"),
            (
                b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".to_vec(),
                "file (video/mp4)",
            ),
            (b"%PDF-1.7\n".to_vec(), "file (application/pdf)"),
            (b"PK\x03\x04\x14\0".to_vec(), "file (application/zip)"),
            (b"{'a': 1}".to_vec(), "not JSON"),
            (b"{\"a\": 1".to_vec(), "not JSON"),
        ] {
            let error = serde_json::from_slice::<serde_json::Value>(&body).unwrap_err();
            let detail = explain_body(&body, &error);
            assert!(
                detail.contains(words),
                "{:?}: {detail}",
                String::from_utf8_lossy(&body)
            );
        }
    }

    #[test]
    fn only_gzip_is_unpacked() {
        let said = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_ENCODING, value.parse().unwrap());
            }
            is_gzip(&headers)
        };
        assert_eq!((said(&[]), said(&["identity"])), (Ok(false), Ok(false)));
        assert_eq!((said(&["gzip"]), said(&["X-GZIP"])), (Ok(true), Ok(true)));
        for other in [
            &["br"][..],
            &["deflate"],
            &["gzip, gzip"],
            &["gzip", "zstd"],
        ] {
            assert!(said(other).is_err(), "{other:?}");
        }
    }
}
