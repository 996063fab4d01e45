//! HTTP routes of the media host: upload, upload progress, and download with ranges.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;

use crate::crypto::media_cipher::UploadProgress;
use crate::server::Server;

/// The largest file, in bytes, as on WhatsApp.
const MAX_FILE_SIZE: usize = 2 * 1024 * 1024 * 1024;

pub(crate) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route("/mms/{kind}/{token}", post(upload_file).delete(remove_file))
        .route("/newsletter/{kind}/{token}", post(upload_file))
        .route("/v/t62/{token}", get(download_file))
        .route("/v/t61/{name}", get(serve_picture))
}

#[derive(Deserialize)]
struct UploadQuery {
    auth: Option<String>,
    token: Option<String>,
    file_offset: Option<usize>,
    resume: Option<String>,
}

/// Stores a file under the token its sender chose (the hash of the stored bytes), or reports how
/// much of it has arrived.
async fn upload_file(
    State(server): State<Arc<Server>>,
    Path((_, token)): Path<(String, String)>,
    Query(query): Query<UploadQuery>,
    body: Body,
) -> Response {
    if query.auth.is_none() || query.token.as_deref().is_none_or(|named| named != token) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if query.resume.is_some() {
        return match server.media.upload_progress(&token) {
            UploadProgress::Complete => {
                Json(with_address(&server, &token, json!({"resume": "complete"}))).into_response()
            }
            UploadProgress::Partial(offset) => {
                Json(json!({"resume": offset.to_string()})).into_response()
            }
            UploadProgress::Nothing => Json(json!({})).into_response(),
        };
    }
    match receive_upload(&server, &token, query.file_offset.unwrap_or(0), body).await {
        Ok(UploadOutcome::Whole) => Json(with_address(&server, &token, json!({}))).into_response(),
        Ok(UploadOutcome::Broken) => broken_response(),
        Err(status) => status.into_response(),
    }
}

#[derive(Deserialize)]
struct RemovalQuery {
    auth: Option<String>,
}

/// Removes a file that is no longer needed, as clients do with history-sync chunks they have read.
async fn remove_file(
    State(server): State<Arc<Server>>,
    Path((_, token)): Path<(String, String)>,
    Query(query): Query<RemovalQuery>,
) -> StatusCode {
    match query.auth {
        None => StatusCode::UNAUTHORIZED,
        // Some clients pad the token.
        Some(_)
            if server.media.remove_file(&token)
                || server.media.remove_file(token.trim_end_matches('=')) =>
        {
            StatusCode::OK
        }
        Some(_) => StatusCode::NOT_FOUND,
    }
}

/// The outcome of an upload.
enum UploadOutcome {
    Whole,
    Broken,
}

/// A response that breaks off, and the connection with it.
fn broken_response() -> Response {
    let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    Body::from_stream(futures_util::stream::once(async { Err::<Vec<u8>, _>(cut) })).into_response()
}

/// Stores each piece as it comes, so that an interrupted upload can continue from there.
async fn receive_upload(
    server: &Server,
    token: &str,
    start: usize,
    body: Body,
) -> Result<UploadOutcome, StatusCode> {
    let breaks_at = server.world.lock().switches.break_upload.take();
    let mut pieces = body.into_data_stream();
    let mut offset = start;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| StatusCode::BAD_REQUEST)?;
        if offset + piece.len() > MAX_FILE_SIZE {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        server
            .media
            .write_bytes(token, offset, &piece)
            .map_err(|_| StatusCode::RANGE_NOT_SATISFIABLE)?;
        offset += piece.len();
        server
            .media
            .received
            .fetch_add(piece.len(), Ordering::Relaxed);
        if breaks_at.is_some_and(|bytes| offset - start >= bytes) {
            return Ok(UploadOutcome::Broken);
        }
    }
    server.media.complete_upload(token);
    Ok(UploadOutcome::Whole)
}

fn with_address(server: &Server, token: &str, mut answer: serde_json::Value) -> serde_json::Value {
    let path = server.media.direct_path(token);
    answer["url"] = format!("https://{}{path}", server.address).into();
    answer["direct_path"] = path.into();
    // A newsletter post refers to its file by this handle.
    answer["handle"] = format!("handle-of-{token}").into();
    answer
}

#[derive(Deserialize)]
struct DownloadQuery {
    oh: Option<String>,
}

/// Serves a file at its current address. An expired file is gone under every address.
async fn download_file(
    State(server): State<Arc<Server>>,
    Path(token): Path<String>,
    Query(query): Query<DownloadQuery>,
    headers: HeaderMap,
) -> Response {
    server.media.downloads.fetch_add(1, Ordering::Relaxed);
    let switches = server.world.lock().switches;
    if switches.withhold_media {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let Some(mut file) = server
        .media
        .get_signed(&token, &query.oh.unwrap_or_default())
    else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if let Some(first) = file.first_mut().filter(|_| switches.spoil_media) {
        *first ^= 1;
    }
    let ranges = [(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"))];
    let Some(asked) = headers.get(header::RANGE) else {
        return (ranges, file).into_response();
    };
    let size = file.len();
    match asked
        .to_str()
        .ok()
        .and_then(|asked| parse_range(asked, size))
    {
        Some((first, last)) => {
            let described = [(
                header::CONTENT_RANGE,
                format!("bytes {first}-{last}/{size}"),
            )];
            (
                StatusCode::PARTIAL_CONTENT,
                ranges,
                described,
                file[first..=last].to_vec(),
            )
                .into_response()
        }
        None => {
            let described = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            (StatusCode::RANGE_NOT_SATISFIABLE, described).into_response()
        }
    }
}

/// Serves a profile picture, which is not encrypted.
async fn serve_picture(State(server): State<Arc<Server>>, Path(name): Path<String>) -> Response {
    match crate::server::account::profile::find_picture(&server, &name) {
        Some(jpeg) => ([(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Parses a `bytes=…` range (RFC 9110 §14), `a-b`, `a-` or `-suffix`, to its first and last byte.
fn parse_range(asked: &str, size: usize) -> Option<(usize, usize)> {
    let (first, last) = asked.strip_prefix("bytes=")?.split_once('-')?;
    let end = size.checked_sub(1)?;
    let (first, last) = match (first, last) {
        ("", suffix) => (
            size.saturating_sub(suffix.parse().ok().filter(|&suffix: &usize| suffix > 0)?),
            end,
        ),
        (first, "") => (first.parse().ok()?, end),
        (first, last) => (first.parse().ok()?, last.parse::<usize>().ok()?.min(end)),
    };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::parse_range;

    #[test]
    fn ranges_are_those_of_rfc_9110() {
        assert_eq!(parse_range("bytes=0-3", 10), Some((0, 3)));
        assert_eq!(parse_range("bytes=4-", 10), Some((4, 9)));
        assert_eq!(parse_range("bytes=-3", 10), Some((7, 9)));
        assert_eq!(parse_range("bytes=0-99", 10), Some((0, 9)));
        for unsatisfiable in [
            "bytes=10-",
            "bytes=5-4",
            "bytes=-0",
            "items=0-1",
            "bytes=0-1,3-4",
            "bytes=0-",
        ] {
            let size = if unsatisfiable == "bytes=0-" { 0 } else { 10 };
            assert_eq!(parse_range(unsatisfiable, size), None, "{unsatisfiable}");
        }
    }
}
