//! Fuzz targets: any range is a part of the file or refused, and any form is read to its end.

use std::convert::Infallible;

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use multer::Multipart;

use super::{headers, upload};
use crate::media::filename::ContentDisposition;

/// Parses a range; the first byte is the file's size, the others are the header.
pub fn range(bytes: &[u8]) {
    let Some((size, wanted)) = bytes.split_first() else {
        return;
    };
    let Ok(wanted) = HeaderValue::from_bytes(wanted) else {
        return;
    };
    let size = u64::from(*size);
    let asked = HeaderMap::from_iter([(header::RANGE, wanted)]);
    if let Ok(Some(part)) = headers::parse_range(&asked, "hash", size) {
        assert!(
            part.start < part.end && part.end <= size,
            "{part:?} of {size}"
        );
    }
}

/// Reads a form; the first line is the `Content-Type`, the rest is the body, in pieces.
pub fn form(bytes: &[u8]) {
    let line = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(bytes.len());
    let Ok(content_type) = std::str::from_utf8(&bytes[..line]) else {
        return;
    };
    let Ok(Some(boundary)) = upload::parse_boundary(content_type) else {
        return;
    };
    let body = bytes.get(line + 1..).unwrap_or_default();
    let pieces: Vec<_> = body
        .chunks(7)
        .map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece)))
        .collect();
    let reading = async {
        let mut form = Multipart::new(stream::iter(pieces), boundary);
        while let Ok(Some(mut part)) = form.next_field().await {
            part.headers()
                .get(header::CONTENT_DISPOSITION)
                .map(|value| ContentDisposition::parse(value.as_bytes()));
            while let Ok(Some(_)) = part.chunk().await {}
        }
    };
    assert!(
        reading.now_or_never().is_some(),
        "the body is there, and still it is waited for"
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::http::v1::media::fuzzing::*;

    const FORM: &[u8] = b"Multipart/Form-Data; Boundary=\"x\"\n--x\r\nContent-Disposition: form-data; NAME=\"file\"; \
                          filename*=UTF-8''a.txt\r\nContent-Type: text/plain\r\n\r\nhi\r\n--x--\r\n";
    const RANGE: &[u8] = b"\x0abytes=0-3";

    proptest! {
        #[test]
        fn any_range_and_any_form_are_read(
            is_form in any::<bool>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        ) {
            let mut bytes = if is_form { FORM } else { RANGE }.to_vec();
            for (position, byte) in changes {
                let position = position.index(bytes.len());
                bytes[position] = byte;
            }
            if is_form { form(&bytes) } else { range(&bytes) }
        }
    }
}
