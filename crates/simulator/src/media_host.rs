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

use crate::media::Progress;
use crate::server::Server;

/// The largest file, in bytes, as on WhatsApp.
const LARGEST: usize = 2 * 1024 * 1024 * 1024;

pub(crate) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route("/mms/{kind}/{token}", post(upload).delete(remove))
        .route("/newsletter/{kind}/{token}", post(upload))
        .route("/v/t62/{token}", get(download))
        .route("/v/t61/{name}", get(picture))
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
async fn upload(
    State(server): State<Arc<Server>>,
    Path((_, token)): Path<(String, String)>,
    Query(query): Query<UploadQuery>,
    body: Body,
) -> Response {
    if query.auth.is_none() || query.token.as_deref().is_none_or(|named| named != token) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if query.resume.is_some() {
        return match server.media.progress(&token) {
            Progress::Complete => {
                Json(address(&server, &token, json!({"resume": "complete"}))).into_response()
            }
            Progress::Partial(offset) => {
                Json(json!({"resume": offset.to_string()})).into_response()
            }
            Progress::Nothing => Json(json!({})).into_response(),
        };
    }
    match receive(&server, &token, query.file_offset.unwrap_or(0), body).await {
        Ok(Received::Whole) => Json(address(&server, &token, json!({}))).into_response(),
        Ok(Received::Broken) => broken(),
        Err(status) => status.into_response(),
    }
}

#[derive(Deserialize)]
struct RemovalQuery {
    auth: Option<String>,
}

/// Removes a file that is no longer needed, as clients do with history-sync chunks they have read.
async fn remove(
    State(server): State<Arc<Server>>,
    Path((_, token)): Path<(String, String)>,
    Query(query): Query<RemovalQuery>,
) -> StatusCode {
    match query.auth {
        None => StatusCode::UNAUTHORIZED,
        // Some clients pad the token.
        Some(_)
            if server.media.remove(&token) || server.media.remove(token.trim_end_matches('=')) =>
        {
            StatusCode::OK
        }
        Some(_) => StatusCode::NOT_FOUND,
    }
}

/// The outcome of an upload.
enum Received {
    Whole,
    Broken,
}

/// A response that breaks off, and the connection with it.
fn broken() -> Response {
    let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    Body::from_stream(futures_util::stream::once(async { Err::<Vec<u8>, _>(cut) })).into_response()
}

/// Stores each piece as it comes, so that an interrupted upload can continue from there.
async fn receive(
    server: &Server,
    token: &str,
    start: usize,
    body: Body,
) -> Result<Received, StatusCode> {
    let breaks_at = server.world.lock().switches.break_upload.take();
    let mut pieces = body.into_data_stream();
    let mut offset = start;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| StatusCode::BAD_REQUEST)?;
        if offset + piece.len() > LARGEST {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        server
            .media
            .put(token, offset, &piece)
            .map_err(|_| StatusCode::RANGE_NOT_SATISFIABLE)?;
        offset += piece.len();
        server
            .media
            .received
            .fetch_add(piece.len(), Ordering::Relaxed);
        if breaks_at.is_some_and(|bytes| offset - start >= bytes) {
            return Ok(Received::Broken);
        }
    }
    server.media.complete(token);
    Ok(Received::Whole)
}

fn address(server: &Server, token: &str, mut answer: serde_json::Value) -> serde_json::Value {
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
async fn download(
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
    match asked.to_str().ok().and_then(|asked| range(asked, size)) {
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
async fn picture(State(server): State<Arc<Server>>, Path(name): Path<String>) -> Response {
    match crate::profile::at(&server, &name) {
        Some(jpeg) => ([(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Parses a `bytes=…` range (RFC 9110 §14), `a-b`, `a-` or `-suffix`, to its first and last byte.
fn range(asked: &str, size: usize) -> Option<(usize, usize)> {
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
    use super::range;

    #[test]
    fn ranges_are_those_of_rfc_9110() {
        assert_eq!(range("bytes=0-3", 10), Some((0, 3)));
        assert_eq!(range("bytes=4-", 10), Some((4, 9)));
        assert_eq!(range("bytes=-3", 10), Some((7, 9)));
        assert_eq!(range("bytes=0-99", 10), Some((0, 9)));
        for unsatisfiable in [
            "bytes=10-",
            "bytes=5-4",
            "bytes=-0",
            "items=0-1",
            "bytes=0-1,3-4",
            "bytes=0-",
        ] {
            let size = if unsatisfiable == "bytes=0-" { 0 } else { 10 };
            assert_eq!(range(unsatisfiable, size), None, "{unsatisfiable}");
        }
    }
}
