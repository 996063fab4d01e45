//! Response headers of media files, and parsing of conditional and range requests (RFC 9110). Pure.

use std::ops::Range;

use axum::http::HeaderMap;
use axum::http::header::{self, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::store::MediaFacts;

/// Types that browsers show without running any of their content.
const INLINE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];
/// Characters that are percent-encoded in `filename*` (RFC 8187).
const IN_NAMES: AsciiSet = NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');

/// The requested range lies outside the file.
#[derive(Debug, PartialEq, Eq)]
pub struct RangeError;

/// Returns the headers of a file, the same for the whole and for any part.
pub fn file_headers(facts: &MediaFacts, sha256: &str) -> HeaderMap {
    let mime_type = facts
        .mime_type
        .as_deref()
        .unwrap_or("application/octet-stream");
    let kind = HeaderValue::from_str(mime_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let disposition = if is_inline(mime_type) {
        "inline"
    } else {
        "attachment"
    };
    let name = facts.filename.as_deref().filter(|name| !name.is_empty());
    let disposition = match name {
        // Both forms, for clients that know only one of them.
        Some(name) => format!(
            "{disposition}; filename=\"{}\"; filename*=UTF-8''{}",
            name.replace(
                |sign: char| !matches!(sign, ' ' | '!' | '#'..='[' | ']'..='~'),
                "_"
            ),
            utf8_percent_encode(name, &IN_NAMES)
        ),
        None => disposition.to_owned(),
    };
    let ours = |text: String| HeaderValue::from_str(&text).expect("it is visible ASCII");
    HeaderMap::from_iter([
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, ours(disposition)),
        (header::ETAG, ours(format!("\"{sha256}\""))),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, max-age=3600"),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        // A browser that opens the file all the same runs nothing in it.
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("sandbox; default-src 'none'"),
        ),
    ])
}

/// Returns the length and position of the bytes sent.
pub fn range_headers(part: &Range<u64>, size: u64, is_part: bool) -> HeaderMap {
    let ours = |text: String| HeaderValue::from_str(&text).expect("it is visible ASCII");
    let mut headers = HeaderMap::from_iter([(
        header::CONTENT_LENGTH,
        ours((part.end - part.start).to_string()),
    )]);
    if is_part {
        headers.insert(
            header::CONTENT_RANGE,
            ours(format!("bytes {}-{}/{size}", part.start, part.end - 1)),
        );
    }
    headers
}

fn is_inline(mime_type: &str) -> bool {
    let essence = mime_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    INLINE_TYPES.contains(&essence.as_str())
        || essence.starts_with("audio/")
        || essence.starts_with("video/")
}

/// Whether the caller already has the file, according to `If-None-Match`.
pub fn is_not_modified(request: &HeaderMap, sha256: &str) -> bool {
    let Some(known) = request
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    known
        .split(',')
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag.trim_matches('"') == sha256)
}

/// Returns the requested range; `None` for the whole file. Requests for several ranges, and invalid
/// ones, are answered with the whole file.
pub fn parse_range(
    request: &HeaderMap,
    sha256: &str,
    size: u64,
) -> Result<Option<Range<u64>>, RangeError> {
    let is_of_this_file = |value: &HeaderValue| {
        value
            .to_str()
            .is_ok_and(|tag| tag.trim_matches('"') == sha256)
    };
    if !request.get(header::IF_RANGE).is_none_or(is_of_this_file) {
        return Ok(None);
    }
    let Some(wanted) = request
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok())
    else {
        return Ok(None);
    };
    let Some((first, last)) = wanted
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Ok(None);
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let part = match (first.trim(), last.trim()) {
        ("", suffix) => match number(suffix) {
            Some(suffix) => size.saturating_sub(suffix)..size,
            None => return Ok(None),
        },
        (first, "") => match number(first) {
            Some(first) => first..size,
            None => return Ok(None),
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..size.min(last.saturating_add(1)),
            _ => return Ok(None),
        },
    };
    if part.start < part.end {
        Ok(Some(part))
    } else {
        Err(RangeError)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::HeaderName;

    use crate::http::v1::media::headers::*;

    fn asks(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn ranges_are_those_of_the_rfc() {
        let range = |value: &str| parse_range(&asks(header::RANGE, value), "hash", 10);
        assert_eq!(range("bytes=0-3"), Ok(Some(0..4)));
        assert_eq!(range("bytes=4-"), Ok(Some(4..10)));
        assert_eq!(range("bytes=-3"), Ok(Some(7..10)));
        assert_eq!(range("bytes=-99"), Ok(Some(0..10)));
        assert_eq!(range("bytes=0-99"), Ok(Some(0..10)));
        for whole in [
            "items=0-1",
            "bytes=5-4",
            "bytes=a-b",
            "bytes=0-1,3-4",
            "bytes",
            "bytes=18446744073709551616-",
        ] {
            assert_eq!(range(whole), Ok(None), "{whole}");
        }
        for unsatisfiable in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(range(unsatisfiable), Err(RangeError), "{unsatisfiable}");
        }
    }

    #[test]
    fn a_part_of_another_file_is_not_sent() {
        let mut request = asks(header::RANGE, "bytes=0-3");
        request.insert(header::IF_RANGE, "\"other\"".parse().unwrap());
        assert_eq!(parse_range(&request, "hash", 10), Ok(None));
        request.insert(header::IF_RANGE, "\"hash\"".parse().unwrap());
        assert_eq!(parse_range(&request, "hash", 10), Ok(Some(0..4)));
        assert!(is_not_modified(
            &asks(header::IF_NONE_MATCH, "\"x\", W/\"hash\""),
            "hash"
        ));
        assert!(!is_not_modified(
            &asks(header::IF_NONE_MATCH, "\"x\""),
            "hash"
        ));
    }

    #[test]
    fn nothing_that_a_browser_could_run_is_shown() {
        let shown = |mime_type: &str, name: Option<&str>| {
            let facts = MediaFacts {
                mime_type: Some(mime_type.to_owned()),
                filename: name.map(str::to_owned),
                ..MediaFacts::default()
            };
            let headers = file_headers(&facts, "hash");
            assert_eq!(headers["x-content-type-options"], "nosniff");
            headers["content-disposition"].to_str().unwrap().to_owned()
        };
        for harmless in [
            "image/jpeg",
            "image/PNG",
            "video/mp4",
            "audio/ogg; codecs=opus",
        ] {
            assert_eq!(shown(harmless, None), "inline", "{harmless}");
        }
        for risky in [
            "text/html",
            "image/svg+xml",
            "application/pdf",
            "text/javascript",
            "",
            "image/jpeg\nx: y",
        ] {
            assert!(shown(risky, None).starts_with("attachment"), "{risky}");
        }
        let both = "attachment; filename=\"a____.html\"; filename*=UTF-8''a%22%0D%0A%D0%B1.html";
        assert_eq!(shown("text/html", Some("a\"\r\nб.html")), both);
    }
}
