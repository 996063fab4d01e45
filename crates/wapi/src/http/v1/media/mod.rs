//! `/v1/media`: files of messages.

mod form_budget;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub(in crate::http) mod headers;
pub(in crate::http) mod listing;
pub(in crate::http) mod upload;

use std::io::ErrorKind;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;

use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;
use crate::model::event::media_url;
use crate::store::{MediaRecord, MediaState, StoreError};

pub use upload::upload_media;

/// How long a caller waits for a file that is still on WhatsApp's servers: default and maximum, in
/// seconds.
const WAIT: (u64, u64) = (30, 60);

/// A media file's metadata; unknown values are `null`.
#[derive(Debug, Serialize)]
pub(in crate::http) struct MediaDocument {
    id: String,
    session: String,
    /// The message that the file came with; `null` for uploads.
    message_id: Option<String>,
    chat: Option<String>,
    /// `remote`, `waiting`, `stored`, `failed` or `removed`.
    status: &'static str,
    #[serde(rename = "type")]
    kind: Option<String>,
    mime_type: Option<String>,
    filename: Option<String>,
    size: Option<u64>,
    sha256: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    duration: Option<u32>,
    /// Number of pages, for documents.
    pages: Option<u32>,
    url: String,
    /// Why the last download failed.
    error: Option<String>,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    created_at: Timestamp,
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    stored_at: Option<Timestamp>,
}

impl From<MediaRecord> for MediaDocument {
    fn from(record: MediaRecord) -> Self {
        let MediaRecord {
            id,
            session,
            message,
            chat,
            kind,
            facts,
            state,
            error,
            created_at,
            stored_at,
            ..
        } = record;
        Self {
            url: media_url(&id),
            id,
            session: session.name().to_owned(),
            message_id: message.map(|message| message.id),
            chat,
            status: state.into_str(),
            kind,
            mime_type: facts.mime_type,
            filename: facts.filename,
            size: facts.size,
            sha256: facts.sha256,
            width: facts.width,
            height: facts.height,
            duration: facts.duration,
            pages: facts.pages,
            error,
            created_at,
            stored_at,
        }
    }
}

/// `GET /v1/media/{id}`: shows a file's metadata, whether or not the file is stored here.
pub async fn show_media(
    State(gateway): State<Gateway>,
    caller: Caller,
    query: QueryParameters,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    query.finish()?;
    Ok(Json(MediaDocument::from(
        find_media(&gateway, &caller, &id).await?,
    ))
    .into_response())
}

/// `GET /v1/media/{id}/content?wait=30`: sends the file, or a range of it. A file that is still on
/// WhatsApp's servers is downloaded first.
pub async fn send_media_content(
    State(gateway): State<Gateway>,
    caller: Caller,
    mut query: QueryParameters,
    Path(id): Path<String>,
    request_headers: HeaderMap,
) -> Result<Response, Problem> {
    let wait = Duration::from_secs(query.number_or("wait", WAIT.0, WAIT.1));
    query.finish()?;
    let record = ensure_stored(&gateway, find_media(&gateway, &caller, &id).await?, wait).await?;
    let (Some(size), Some(sha256)) = (record.facts.size, record.facts.sha256.clone()) else {
        return Err(gone_problem(&record));
    };
    if headers::is_not_modified(&request_headers, &sha256) {
        return Ok((
            StatusCode::NOT_MODIFIED,
            headers::file_headers(&record.facts, &sha256),
        )
            .into_response());
    }
    let range = headers::parse_range(&request_headers, &sha256, size)
        .map_err(|_| Problem::RangeNotSatisfiable(size))?;
    let (status, part) = match range {
        Some(part) => (StatusCode::PARTIAL_CONTENT, part),
        None => (StatusCode::OK, 0..size),
    };
    let content = gateway
        .media
        .read_range(&sha256, part.clone())
        .await
        .map_err(|error| {
            tracing::error!(%error, id, "failed to read a file");
            match error.kind() {
                ErrorKind::NotFound => Problem::Internal,
                _ => Problem::NotReady {
                    detail: "the file cannot be read at the moment".to_owned(),
                },
            }
        })?;
    let length = headers::range_headers(&part, size, status == StatusCode::PARTIAL_CONTENT);
    Ok((
        status,
        headers::file_headers(&record.facts, &sha256),
        length,
        Body::from_stream(content),
    )
        .into_response())
}

/// `DELETE /v1/media/{id}`: removes a file, which is not downloaded again. Returns 204.
pub async fn remove_media(
    State(gateway): State<Gateway>,
    caller: Caller,
    query: QueryParameters,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    let record = find_media(&gateway, &caller, &id).await?;
    gateway.media.remove_media(&record).await.map_err(|error| {
        tracing::error!(error = format!("{error:#}"), id, "failed to remove a file");
        Problem::Internal
    })?;
    Ok(StatusCode::NO_CONTENT)
}

/// Finds a file of a session's current life. Files of sessions outside the key's reach are reported
/// as not found.
pub(in crate::http) async fn find_media(
    gateway: &Gateway,
    caller: &Caller,
    id: &str,
) -> Result<MediaRecord, Problem> {
    let found = gateway.media.find_media(id).await.map_err(media_problem)?;
    let is_there = |record: &MediaRecord| gateway.store.lives().is_current(&record.session);
    found
        .filter(|record| caller.can_reach(record.session.name()) && is_there(record))
        .ok_or(Problem::NoMedia)
}

/// Returns the record of a stored file, downloading the file first if it is still on WhatsApp's
/// servers.
pub(in crate::http) async fn ensure_stored(
    gateway: &Gateway,
    mut record: MediaRecord,
    wait: Duration,
) -> Result<MediaRecord, Problem> {
    if matches!(
        record.state,
        MediaState::Remote | MediaState::Waiting | MediaState::Failed
    ) {
        record = gateway
            .media
            .fetch_media(record, wait)
            .await
            .map_err(media_problem)?;
    }
    match record.state {
        MediaState::Stored => Ok(record),
        MediaState::Remote | MediaState::Waiting => Err(not_ready_problem(&record)),
        _ => Err(gone_problem(&record)),
    }
}

fn not_ready_problem(record: &MediaRecord) -> Problem {
    let why = record
        .error
        .as_deref()
        .unwrap_or("it is being downloaded, or its session is not online");
    Problem::MediaNotReady {
        detail: format!("{why}; try again later"),
    }
}

fn gone_problem(record: &MediaRecord) -> Problem {
    let detail = match record.state {
        MediaState::Removed => "it was removed",
        _ => record.error.as_deref().unwrap_or("it is not available"),
    };
    Problem::MediaGone {
        detail: detail.to_owned(),
    }
}

fn media_problem(error: StoreError) -> Problem {
    tracing::error!(%error, "failed to look up files");
    Problem::Internal
}
