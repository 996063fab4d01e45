//! `GET /v1/sessions/{session}/media`: the files of a session.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;

use super::{MediaDocument, media_problem};
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::SessionPath;
use crate::http::request::query::QueryParameters;
use crate::store::{MediaRecord, MediaState};

/// Default and maximum number of entries per answer.
const ENTRY_LIMIT: (u32, u32) = (50, 500);

#[derive(Debug, Serialize)]
pub(in crate::http) struct MediaPage {
    media: Vec<MediaDocument>,
    /// `before` of the next call; `null` when there are no more.
    next: Option<String>,
}

/// `GET …/media?status=&before=&limit=`: lists files that came with messages or were uploaded, the
/// newest first.
pub(in crate::http) async fn list_media(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    mut query: QueryParameters,
) -> Result<Json<MediaPage>, Problem> {
    let limit = query.list_limit(ENTRY_LIMIT);
    let status = query
        .optional_text("status")
        .filter(|text| !text.is_empty());
    let before = query
        .optional_text("before")
        .filter(|text| !text.is_empty());
    query.finish()?;
    let status = status.map(|text| text.parse::<MediaState>()).transpose();
    let status = status.map_err(|_| {
        Problem::invalid_field(
            "status",
            "must be `remote`, `waiting`, `stored`, `failed`, or `removed`",
        )
    })?;
    let before = before.map(|text| parse_cursor(&text)).transpose()?;
    let life = gateway.current_life(&session)?;
    let before = before.as_ref().map(|(at, id)| (*at, id.as_str()));
    let found = gateway
        .store
        .media()
        .list_media(&life, status, before, limit)
        .await
        .map_err(media_problem)?;
    let next = found
        .last()
        .filter(|_| found.len() == limit as usize)
        .map(format_cursor);
    Ok(Json(MediaPage {
        media: found.into_iter().map(MediaDocument::from).collect(),
        next,
    }))
}

fn format_cursor(record: &MediaRecord) -> String {
    format!("{}.{}", record.created_at.as_millisecond(), record.id)
}

fn parse_cursor(text: &str) -> Result<(Timestamp, String), Problem> {
    let parsed = text.split_once('.').and_then(|(at, id)| {
        let at = Timestamp::from_millisecond(at.parse().ok()?).ok()?;
        Some((at, id.to_owned()))
    });
    parsed.ok_or_else(|| Problem::invalid_field("before", "is no cursor of an answer"))
}
