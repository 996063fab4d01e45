//! `/v1/sessions/{session}/calls`: ringing calls.

use axum::extract::{Path, State};
use axum::http::StatusCode;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::model::session_name::SessionName;

/// `POST …/calls/{call}/reject`: rejects a ringing call.
pub(in crate::http) async fn reject_call(
    State(gateway): State<Gateway>,
    Path((session, call)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let session = SessionName::parse(&session)
        .map_err(|error| Problem::invalid_field("session", error.to_string()))?;
    match gateway.sessions.reject_call(&session, &call).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::NoCall),
    }
}
