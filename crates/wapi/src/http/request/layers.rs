//! Layers around every request: id, log line, panic handler, and completion once begun.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tokio::sync::oneshot;

use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::edge::CallerContext;
use crate::http::error::{Problem, ProblemDocument};
use crate::http::monitoring::activity::{PathParams, record_request};
use crate::http::openapi;
use crate::http::request::extract::MAX_BODY;
use crate::model::ids;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request, as its answer and its log line have it.
#[derive(Clone)]
pub struct RequestId(pub Arc<str>);

/// The outermost layer. The log names the route, not the path, since the path holds session names.
pub async fn identify_and_log(
    State(gateway): State<Gateway>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = ids::new_request_id();
    let shared_id = RequestId(id.as_str().into());
    request.extensions_mut().insert(shared_id);
    DefaultBodyLimit::max(MAX_BODY).apply(&mut request);
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "(no route)".to_owned(), |path| path.as_str().to_owned());
    let visit = request.extensions().get::<CallerContext>().cloned();
    let peer = visit
        .as_ref()
        .map(|visit| tracing::field::display(visit.peer.address));
    let started = gateway.clock.uptime();
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_| {
        tracing::error!(request = id, %method, route, "a request panicked");
        Problem::Internal.into_response()
    });
    add_request_id(&mut response, &id);
    let key = visit.as_ref().and_then(CallerContext::key_id);
    let (status, took) = (
        response.status().as_u16(),
        gateway.clock.uptime().saturating_sub(started),
    );
    if response.status().is_server_error() {
        tracing::warn!(request = id, peer, key, %method, route, status, ?took, "answered");
    } else {
        tracing::info!(request = id, peer, key, %method, route, status, ?took, "answered");
    }
    response
}

/// Time a request waits for the saved sessions to be listed, which takes milliseconds unless the
/// disk is slow.
const LISTING_TIMEOUT: Duration = Duration::from_secs(10);

/// The layer of routes whose address has a token.
pub async fn serve_tokened(
    State(gateway): State<Gateway>,
    request: Request,
    next: Next,
) -> Response {
    if let Err(problem) = await_listing(&gateway).await {
        return problem.into_response();
    }
    run_to_end(&gateway, request, |request| next.run(request)).await
}

/// Serves a request of a known caller: when the saved sessions are listed, to its end, and recorded.
pub async fn serve_known(
    gateway: &Gateway,
    visit: CallerContext,
    caller: Caller,
    path: PathParams,
    request: Request,
    next: Next,
) -> Response {
    if let Err(problem) = await_listing(gateway).await {
        return problem.into_response();
    }
    let recorder = gateway.clone();
    let work = |request| async move {
        // Inside of what runs to its end, so that every outcome is recorded.
        record_request(&recorder, &visit, &caller, path, request, async |request| {
            match openapi::find_undeclared(&request) {
                Some(refusal) => refusal,
                None => next.run(request).await,
            }
        })
        .await
    };
    run_to_end(gateway, request, work).await
}

/// Holds a request until the saved sessions are listed: right after the start, a saved session must
/// not look like one that never existed.
async fn await_listing(gateway: &Gateway) -> Result<(), Problem> {
    if gateway.sessions.are_listed() || gateway.sessions.wait_until_listed(LISTING_TIMEOUT).await {
        Ok(())
    } else if gateway.lifecycle.is_stopping() {
        Err(Problem::Stopping)
    } else {
        Err(Problem::Starting)
    }
}

/// Finishes every request that may change something, even when its caller disconnects: its work runs
/// as a task of the program, and the caller waits for it. Half of a change would leave memory, disk
/// and WhatsApp inconsistent. The body comes from the caller, so reading it ends with the
/// connection, as an incomplete body.
async fn run_to_end<W: Future<Output = Response> + Send + 'static>(
    gateway: &Gateway,
    request: Request,
    work: impl FnOnce(Request) -> W,
) -> Response {
    if request.method().is_safe() {
        return work(request).await;
    }
    let (answer, answered) = oneshot::channel();
    // The task holds the connection's place until it ends; otherwise callers that disconnect at
    // once could run any number of tasks.
    let visit = request.extensions().get::<CallerContext>().cloned();
    let working = work(request);
    gateway.lifecycle.spawn(async move {
        let _visit = visit;
        if let Err(response) = answer.send(working.await) {
            tracing::info!(
                status = response.status().as_u16(),
                "finished a request after its caller had left"
            );
        }
    });
    answered.await.unwrap_or_else(|_| {
        let problem = if gateway.lifecycle.is_stopping() {
            Problem::Stopping
        } else {
            Problem::Internal
        };
        problem.into_response()
    })
}

/// Adds the request's id to the response headers, and to the body of a problem.
fn add_request_id(response: &mut Response, id: &str) {
    if let Some(mut document) = response.extensions_mut().remove::<ProblemDocument>() {
        document.request_id = Some(id.to_owned());
        let body = serde_json::to_vec(&document).expect("a problem is always JSON");
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::from(body);
    }
    let value = HeaderValue::from_str(id).expect("ids are letters, digits and an underscore");
    response.headers_mut().insert(REQUEST_ID, value);
}
