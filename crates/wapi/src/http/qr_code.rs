//! `GET /v1/sessions/{session}/qr`: the QR code to scan, in the format the caller accepts.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;

use super::Gateway;
use super::error::Problem;
use super::extract::Named;
use super::query::Query;
use crate::qr::Picture;
use crate::sessions::QrCode;

/// Longest time a caller may wait, in seconds.
const LONGEST_WAIT: u64 = 60;

/// Formats of a QR code, the default first.
const FORMS: [Form; 4] = [Form::Png, Form::Svg, Form::Text, Form::Json];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Png,
    Svg,
    Text,
    Json,
}

impl Form {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Svg => "image/svg+xml",
            Self::Text => "text/plain",
            Self::Json => "application/json",
        }
    }

    /// Returns whether a media range such as `image/*` includes it.
    fn is_in(self, range: &str) -> bool {
        let kind = self.media_type();
        range == "*/*"
            || range == kind
            || range
                .strip_suffix("/*")
                .is_some_and(|family| kind.starts_with(family))
    }

    /// Returns the format with the highest weight in `Accept`; the default without that header.
    fn accepted(headers: &HeaderMap) -> Option<Self> {
        let Some(accept) = headers
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
        else {
            return Some(FORMS[0]);
        };
        let mut best: Option<(Self, f32)> = None;
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let range = parts.next().unwrap_or_default();
            let weight = parts
                .find_map(|part| part.strip_prefix("q=")?.parse().ok())
                .unwrap_or(1.0);
            let form = FORMS.into_iter().find(|form| form.is_in(range));
            if let Some(form) = form.filter(|_| weight > best.map_or(0.0, |(_, weight)| weight)) {
                best = Some((form, weight));
            }
        }
        best.map(|(form, _)| form)
    }
}

/// A QR code as JSON.
#[derive(Debug, Serialize)]
struct Document {
    /// Text of the code, for callers that draw it themselves.
    text: String,
    /// The image in base64.
    png: String,
    #[serde(serialize_with = "crate::stamp::serialize")]
    expires_at: Timestamp,
}

/// Shows the QR code, by `Accept` as `image/png`, `image/svg+xml`, `text/plain` (the text of the
/// code) or JSON. Waits up to `?wait=` seconds for a code; 404 when there is none.
pub(super) async fn read(
    State(gateway): State<Gateway>,
    Named(name): Named,
    headers: HeaderMap,
    mut query: Query,
) -> Result<Response, Problem> {
    let wait = Duration::from_secs(query.number("wait", 0, LONGEST_WAIT));
    query.done()?;
    let form = Form::accepted(&headers).ok_or(Problem::NotAcceptable)?;
    let session = gateway.sessions.find(&name).ok_or(Problem::NoSession)?;
    let qr = match wait.is_zero() {
        true => gateway.sessions.qr_code(&name).await,
        false => gateway.sessions.next_qr_code(&session, wait).await,
    };
    answer(form, qr.ok_or(Problem::NoQrCode)?)
}

fn answer(form: Form, qr: QrCode) -> Result<Response, Problem> {
    let head = [
        (header::CONTENT_TYPE, form.media_type()),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok(match form {
        Form::Png => (head, qr.png).into_response(),
        Form::Svg => {
            // The same text was drawn before, as PNG.
            let picture = Picture::of(&qr.text).map_err(|_| Problem::Internal)?;
            (head, picture.svg()).into_response()
        }
        Form::Text => (head, qr.text).into_response(),
        Form::Json => {
            let QrCode {
                text,
                png,
                expires_at,
            } = qr;
            (
                head,
                Json(Document {
                    text,
                    png: STANDARD.encode(png),
                    expires_at,
                }),
            )
                .into_response()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_gets_the_form_it_likes_best() {
        let form = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            Form::accepted(&headers)
        };
        assert_eq!(Form::accepted(&HeaderMap::new()), Some(Form::Png));
        for (accept, expected) in [
            ("*/*", Some(Form::Png)),
            ("application/json", Some(Form::Json)),
            ("text/*", Some(Form::Text)),
            ("text/html, image/svg+xml;q=0.9, */*;q=0.1", Some(Form::Svg)),
            ("image/png;q=0, application/json;q=0.1", Some(Form::Json)),
            ("video/mp4", None),
        ] {
            assert_eq!(form(accept), expected, "{accept}");
        }
    }
}
