//! `/v1/sessions/{session}/check`: the whole inbound path, proven.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::SessionPath;
use crate::sessions::InboundHealth;

/// Result of a check; `ok` when every part is proven.
#[derive(Debug, Serialize)]
pub(in crate::http) struct CheckDocument {
    ok: bool,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    checked_at: Timestamp,
    /// A round trip to WhatsApp.
    socket: CheckPart,
    /// A write that reached the disk: nothing is acknowledged to WhatsApp without one.
    store: CheckPart,
    /// Proof that messages arrive, are decrypted and saved. `proof` is `phone`, which answered a
    /// probe, or `traffic`.
    inbound: CheckPart,
}

/// One part of a check: its duration, or its fault.
#[derive(Debug, Default, Serialize)]
struct CheckPart {
    ok: bool,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl CheckPart {
    fn from_duration(took: Duration) -> Self {
        Self {
            ok: true,
            ms: Some((took.as_secs_f64() * 1e6).round() / 1e3),
            ..Self::default()
        }
    }

    fn from_fault(detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..Self::default()
        }
    }

    fn from_result<E: std::fmt::Display>(result: &Result<Duration, E>) -> Self {
        result.as_ref().map_or_else(
            |error| Self::from_fault(error.to_string()),
            |took| Self::from_duration(*took),
        )
    }

    fn from_inbound(inbound: InboundHealth) -> Self {
        match inbound {
            InboundHealth::Answered(took) => Self {
                proof: Some("phone"),
                ..Self::from_duration(took)
            },
            InboundHealth::Heard(_) => Self {
                ok: true,
                proof: Some("traffic"),
                ..Self::default()
            },
            InboundHealth::Silent(limit) => Self::from_fault(format!(
                "the phone did not answer within {limit:?}: it is off, or this connection receives nothing"
            )),
            InboundHealth::Unknown => Self::from_fault("there is no connection to check"),
        }
    }
}

/// `POST /v1/sessions/{session}/check`: checks every part of the inbound path; 200 whether it works
/// or not. Faults trigger a recovery.
pub(in crate::http) async fn check_session(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
) -> Result<Json<CheckDocument>, Problem> {
    let check = gateway.sessions.check_session(&name).await?;
    Ok(Json(CheckDocument {
        ok: check.is_ok(),
        checked_at: check.at,
        socket: CheckPart::from_result(&check.socket),
        store: CheckPart::from_result(&check.store),
        inbound: CheckPart::from_inbound(check.inbound),
    }))
}
