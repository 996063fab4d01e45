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

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::SessionPath;
use crate::http::request::query::QueryParameters;
use crate::media::qr_image::QrImage;
use crate::sessions::QrCode;

/// Longest time a caller may wait, in seconds.
const LONGEST_WAIT: u64 = 60;

/// Formats of a QR code, the default first.
const QR_FORMATS: [QrFormat; 4] = [QrFormat::Png, QrFormat::Svg, QrFormat::Text, QrFormat::Json];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QrFormat {
    Png,
    Svg,
    Text,
    Json,
}

impl QrFormat {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Svg => "image/svg+xml",
            Self::Text => "text/plain",
            Self::Json => "application/json",
        }
    }

    /// Returns whether a media range such as `image/*` includes it.
    fn is_in_range(self, range: &str) -> bool {
        let kind = self.media_type();
        range == "*/*"
            || range == kind
            || range
                .strip_suffix("/*")
                .is_some_and(|family| kind.starts_with(family))
    }

    /// Returns the format with the highest weight in `Accept`; the default without that header.
    fn from_accept(headers: &HeaderMap) -> Option<Self> {
        let Some(accept) = headers
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
        else {
            return Some(QR_FORMATS[0]);
        };
        let mut best: Option<(Self, f32)> = None;
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let range = parts.next().unwrap_or_default();
            let weight = parts
                .find_map(|part| part.strip_prefix("q=")?.parse().ok())
                .unwrap_or(1.0);
            let form = QR_FORMATS.into_iter().find(|form| form.is_in_range(range));
            if let Some(form) = form.filter(|_| weight > best.map_or(0.0, |(_, weight)| weight)) {
                best = Some((form, weight));
            }
        }
        best.map(|(form, _)| form)
    }
}

/// A QR code as JSON.
#[derive(Debug, Serialize)]
struct QrCodeDocument {
    /// Text of the code, for callers that draw it themselves.
    text: String,
    /// The image in base64.
    png: String,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    expires_at: Timestamp,
    /// The number of the code, from 1.
    number: u32,
    /// How many codes there are until WhatsApp must be asked for new ones.
    total: u32,
}

/// Shows the QR code, by `Accept` as `image/png`, `image/svg+xml`, `text/plain` (the text of the
/// code) or JSON. Waits up to `?wait=` seconds for a code; 404 when there is none.
pub(in crate::http) async fn show_qr_code(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
    headers: HeaderMap,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let wait = Duration::from_secs(query.number_or("wait", 0, LONGEST_WAIT));
    query.finish()?;
    let form = QrFormat::from_accept(&headers).ok_or(Problem::NotAcceptable)?;
    let session = gateway.sessions.find(&name).ok_or(Problem::NoSession)?;
    let qr = match wait.is_zero() {
        true => gateway.sessions.qr_code(&name).await,
        false => gateway.sessions.next_qr_code(&session, wait).await,
    };
    qr_code_response(form, qr.ok_or(Problem::NoQrCode)?)
}

fn qr_code_response(form: QrFormat, qr: QrCode) -> Result<Response, Problem> {
    let head = [
        (header::CONTENT_TYPE, form.media_type()),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok(match form {
        QrFormat::Png => (head, qr.png).into_response(),
        QrFormat::Svg => {
            // The same text was drawn before, as PNG.
            let picture = QrImage::from_text(&qr.text).map_err(|_| Problem::Internal)?;
            (head, picture.to_svg()).into_response()
        }
        QrFormat::Text => (head, qr.text).into_response(),
        QrFormat::Json => {
            let QrCode {
                text,
                png,
                expires_at,
                number,
            } = qr;
            (
                head,
                Json(QrCodeDocument {
                    text,
                    png: STANDARD.encode(png),
                    expires_at,
                    number: number.number,
                    total: number.total,
                }),
            )
                .into_response()
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::http::v1::sessions::qr_code::*;

    #[test]
    fn the_caller_gets_the_form_it_likes_best() {
        let form = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            QrFormat::from_accept(&headers)
        };
        assert_eq!(
            QrFormat::from_accept(&HeaderMap::new()),
            Some(QrFormat::Png)
        );
        for (accept, expected) in [
            ("*/*", Some(QrFormat::Png)),
            ("application/json", Some(QrFormat::Json)),
            ("text/*", Some(QrFormat::Text)),
            (
                "text/html, image/svg+xml;q=0.9, */*;q=0.1",
                Some(QrFormat::Svg),
            ),
            (
                "image/png;q=0, application/json;q=0.1",
                Some(QrFormat::Json),
            ),
            ("video/mp4", None),
        ] {
            assert_eq!(form(accept), expected, "{accept}");
        }
    }
}
