//! `/v1/sessions/{session}/calls`: ringing calls, and links to calls.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{OptionalJson, SessionPath};
use crate::model::session_name::SessionName;

/// `POST …/calls/{call}/reject`: rejects a ringing call.
pub(in crate::http) async fn reject_call(
    State(gateway): State<Gateway>,
    Path((session, call)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let session = SessionName::parse(&session)
        .map_err(|error| Problem::invalid_field("session", error.to_string()))?;
    match gateway
        .sessions
        .online(&session)?
        .reject_call(&call)
        .await?
    {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::NoCall),
    }
}

/// A link to a call.
#[derive(Debug, Serialize)]
pub(in crate::http) struct CallLinkDocument {
    link: String,
    video: bool,
}

/// `POST …/calls/links {video?}`: creates a link by which anybody can call in.
pub(in crate::http) async fn create_call_link(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    OptionalJson(mut fields): OptionalJson,
) -> Result<(StatusCode, Json<CallLinkDocument>), Problem> {
    let video = fields.flag_or_false("video");
    fields.refuse_unknown();
    fields.finish(Some(()))?;
    let token = gateway
        .sessions
        .online(&session)?
        .create_call_link(video)
        .await?;
    let kind = if video { "video" } else { "voice" };
    let link = format!("https://call.whatsapp.com/{kind}/{token}");
    Ok((StatusCode::CREATED, Json(CallLinkDocument { link, video })))
}
