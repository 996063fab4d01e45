//! Error answers as `application/problem+json` (RFC 9457). Only this module picks an error's status
//! code: `table.rs` has one row for each problem.

mod failed_sends;
mod sessions;
mod table;

use std::borrow::Cow;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::net::pace::TooSlowError;
pub use failed_sends::FAILED_SEND_TYPES;
pub use table::{PROBLEM_TYPES, Problem};

/// One mistake in the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    pub field: Cow<'static, str>,
    pub detail: String,
}

/// Everything about a problem that is the same in all its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemType {
    /// Stable; programs decide by it.
    pub code: &'static str,
    pub status: u16,
    pub title: &'static str,
    /// Its meaning in the reference, in Markdown.
    pub meaning: &'static str,
    /// Its heading in the reference.
    pub section: &'static str,
}

/// The problem document; the outermost layer adds the request id.
#[derive(Debug, Clone, Serialize)]
pub struct ProblemDocument {
    /// Stable and documented; the URN resolves to no page.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: &'static str,
    pub status: u16,
    pub detail: String,
    pub code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

pub const MEDIA_TYPE: &str = "application/problem+json";

impl Problem {
    /// Returns a problem with one wrong field.
    pub fn invalid_field(field: &'static str, detail: impl Into<String>) -> Self {
        Self::InvalidFields(vec![FieldError {
            field: field.into(),
            detail: detail.into(),
        }])
    }

    /// Returns the problem of a body that could not be read to its end.
    pub fn from_body_error(error: &(dyn std::error::Error + 'static)) -> Self {
        if TooSlowError::is_cause_of(error) {
            Self::BodyTooSlow
        } else {
            Self::InvalidBody("it ended before it was complete".to_owned())
        }
    }

    pub fn into_document(self) -> ProblemDocument {
        let ProblemType {
            code,
            status,
            title,
            ..
        } = self.problem_type();
        let detail = self.detail();
        let errors = if let Self::InvalidFields(errors) = self {
            errors
        } else {
            Vec::new()
        };
        ProblemDocument {
            kind: format!("urn:wapi:problem:{code}"),
            title,
            status,
            detail,
            code,
            request_id: None,
            errors,
        }
    }
}

impl ProblemDocument {
    /// Returns the problem's status code.
    pub fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).expect("the table has status codes only")
    }
}

/// When to try again, in seconds, on answers with status 429 or 503.
const RETRY_AFTER: header::HeaderValue = header::HeaderValue::from_static("10");

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem_type().status)
            .expect("the table has status codes only");
        let size = if let Self::RangeNotSatisfiable(size) = self {
            Some(size)
        } else {
            None
        };
        let document = self.into_document();
        let body = serde_json::to_vec(&document).expect("a problem is always JSON");
        let mut response = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                header::HeaderValue::from_static("Bearer"),
            );
        }
        if matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ) {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if let Some(size) = size.and_then(|size| format!("bytes */{size}").parse().ok()) {
            response.headers_mut().insert(header::CONTENT_RANGE, size);
        }
        // The outermost layer adds the request id to it.
        response.extensions_mut().insert(document);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::send_failure::SendFailure;

    #[test]
    fn every_problem_type_has_a_code_of_its_own_and_an_error_status() {
        let mut codes = BTreeSet::new();
        for problem in PROBLEM_TYPES.iter().chain(&FAILED_SEND_TYPES) {
            let ProblemType { code, status, .. } = *problem;
            assert!(codes.insert(code), "{code} is there twice");
            let is_error = StatusCode::from_u16(status)
                .is_ok_and(|status| status.is_client_error() || status.is_server_error());
            assert!(is_error, "{code} has the status {status}");
        }
        assert!(codes.len() > 50, "{codes:?}");
    }

    #[test]
    fn every_failure_of_a_message_has_a_problem_type_of_its_code() {
        for failure in SendFailure::examples() {
            let problem = Problem::from(failure.clone()).problem_type();
            let is_online = failure != SendFailure::SessionNotOnline;
            assert_eq!(problem.code == failure.code(), is_online, "{failure:?}");
            assert_eq!(problem.section, "Failed messages", "{failure:?}");
        }
    }
}
