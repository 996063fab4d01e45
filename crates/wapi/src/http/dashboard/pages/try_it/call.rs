//! A call of a route from its form, with the rights of the reader.

use axum::body::{self, Body};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, header};
use axum::middleware::from_fn_with_state;
use serde_json::Value;
use tower_service::Service;

use super::fields::TrialRequest;
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::dashboard::login::DashboardVisit;
use crate::http::edge::CallerContext;
use crate::http::error::Problem;
use crate::http::monitoring::activity::record_activity;
use crate::http::request::layers::RequestId;
use crate::http::routes::route_table;

/// Bytes of an answer that are read.
const LARGEST_ANSWER: usize = 8 * 1024 * 1024;
/// Characters of an answer that are shown.
const SHOWN: usize = 64 * 1024;

/// An answer of a route.
pub struct TrialAnswer {
    pub status: u16,
    pub media_type: String,
    pub content: AnswerContent,
}

/// The content of an answer, as far as people can read it.
pub enum AnswerContent {
    Text(String),
    /// Something else, of so many bytes.
    Bytes(usize),
}

/// The reader who calls a route, as the layers before the routes know them.
pub struct TrialReader {
    caller: Caller,
    visit: DashboardVisit,
    connection: CallerContext,
    request_id: Option<RequestId>,
}

impl<S: Send + Sync> FromRequestParts<S> for TrialReader {
    type Rejection = Problem;

    /// Present only on pages.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let known = &parts.extensions;
        Ok(Self {
            caller: known.get().cloned().ok_or(Problem::Unauthorized)?,
            visit: known.get().cloned().ok_or(Problem::Unauthorized)?,
            connection: known.get().cloned().ok_or(Problem::Internal)?,
            request_id: known.get().cloned(),
        })
    }
}

/// Calls a route as the API would, behind the check of the key: the guard of the route decides about
/// the caller's scopes and sessions, and the call is recorded as the activity that it is.
pub async fn call_route(
    gateway: &Gateway,
    reader: TrialReader,
    request: &TrialRequest,
) -> Result<TrialAnswer, Problem> {
    let mut call = Request::builder()
        .method(request.method.as_str())
        .uri(&request.target);
    for (name, value) in &request.headers {
        call = call.header(name, value);
    }
    let body = match &request.body {
        Some(body) => {
            call = call.header(header::CONTENT_TYPE, "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    let wrong = |_| Problem::invalid_field("header", "is not a value of a header");
    let mut call = call.body(body).map_err(wrong)?;
    let TrialReader {
        caller,
        visit,
        connection,
        request_id,
    } = reader;
    let known = call.extensions_mut();
    known.insert(caller);
    known.insert(visit);
    known.insert(connection);
    if let Some(RequestId(id)) = request_id {
        // The page is a request of its own.
        known.insert(RequestId(format!("{id}-call").into()));
    }
    let recording = from_fn_with_state(gateway.clone(), record_activity);
    let routes = route_table().keyed.layer(recording);
    let mut routes = routes.with_state::<()>(gateway.clone());
    let answer = match Box::pin(routes.call(call)).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let status = answer.status().as_u16();
    let media_type = media_type_of(answer.headers());
    let bytes = body::to_bytes(answer.into_body(), LARGEST_ANSWER).await;
    let bytes =
        bytes.map_err(|_| Problem::invalid_field("answer", "is too large for this page"))?;
    let content = match std::str::from_utf8(&bytes) {
        Ok(text) => AnswerContent::Text(pretty(text)),
        Err(_) => AnswerContent::Bytes(bytes.len()),
    };
    Ok(TrialAnswer {
        status,
        media_type,
        content,
    })
}

fn media_type_of(headers: &HeaderMap) -> String {
    let given = headers.get(header::CONTENT_TYPE);
    let given = given.and_then(|given| given.to_str().ok());
    given.unwrap_or_default().to_owned()
}

/// Returns JSON with indentation, and other texts as they are.
fn pretty(text: &str) -> String {
    let document = serde_json::from_str::<Value>(text);
    let text = document
        .ok()
        .and_then(|document| serde_json::to_string_pretty(&document).ok())
        .unwrap_or_else(|| text.to_owned());
    text.chars().take(SHOWN).collect()
}
