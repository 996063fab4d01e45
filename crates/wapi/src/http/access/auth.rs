//! Authentication of requests by API key.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use super::unkeyed;
use crate::config::AccessMode;
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::edge::CallerContext;
use crate::http::error::Problem;
use crate::http::monitoring::activity::PathParams;
use crate::http::request::layers::serve_known;
use crate::model::session_name::SessionName;

/// How long a response may still take after its caller's key has ended, so that a caller removing
/// its own key receives the answer.
pub const FINAL_ANSWER_TIME: Duration = Duration::from_millis(500);

/// Lets a request through if it carries a valid key, and records its caller. All other requests get
/// the same answer, whatever their target. Long responses end with the key, when it is removed or
/// expires.
pub async fn require_key(
    State(gateway): State<Gateway>,
    visit: CallerContext,
    path: PathParams,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = match authenticate_caller(&gateway, &visit, request.headers(), request.uri()).await
    {
        Ok(caller) => caller.for_request(),
        Err(problem) => {
            visit.record_refusal();
            return problem.into_response();
        }
    };
    if !visit.record_key(caller.shared_id(), caller.allowed_sessions().is_some()) {
        return Problem::TooManyRequests("with this key").into_response();
    }
    request.extensions_mut().insert(caller.clone());
    let shown_out = async {
        await_key_end(&gateway, &caller).await;
        gateway.clock.sleep(FINAL_ANSWER_TIME).await;
    };
    let response = tokio::select! {
        biased;
        response = serve_known(&gateway, visit, caller.clone(), path, request, next) => response,
        () = shown_out => return Problem::Unauthorized.into_response(),
    };
    if response.body().size_hint().exact().is_some() {
        // The whole body is in memory.
        return response;
    }
    // If a content length was announced, the connection breaks off.
    let ended = Box::pin(async move { await_key_end(&gateway, &caller).await });
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(ended)))
}

/// Completes when this caller's key is no longer valid.
pub async fn await_key_end(gateway: &Gateway, caller: &Caller) {
    match gateway.access {
        // No key is required.
        AccessMode::Open => std::future::pending().await,
        AccessMode::Key(_) | AccessMode::Loopback => gateway.keys.await_caller_end(caller).await,
    }
}

async fn authenticate_caller(
    gateway: &Gateway,
    visit: &CallerContext,
    headers: &HeaderMap,
    target: &Uri,
) -> Result<Caller, Problem> {
    if is_open(gateway) {
        let (access, hosts) = (&gateway.access, &gateway.hosts);
        let enters = unkeyed::check_unkeyed(access, hosts, &visit.peer, headers, target);
        return enters
            .map(|()| Caller::without_key())
            .map_err(Problem::Stranger);
    }
    let shown = read_api_key(headers).ok_or(Problem::Unauthorized)?;
    check_key(gateway, visit, shown).await
}

/// Returns whether no key is required at the moment. An operator who creates keys on a gateway that
/// is open to loopback wants them to be required.
pub fn is_open(gateway: &Gateway) -> bool {
    match gateway.access {
        AccessMode::Open => true,
        AccessMode::Loopback => gateway.keys.is_empty(),
        AccessMode::Key(_) => false,
    }
}

/// Returns the caller of a key that was shown. Addresses that guess are answered late.
pub async fn check_key(
    gateway: &Gateway,
    visit: &CallerContext,
    shown: &[u8],
) -> Result<Caller, Problem> {
    let keys = &gateway.keys;
    let (from, now) = (visit.peer.address, gateway.clock.uptime());
    let guesses = || gateway.guesses.lock();
    let found = keys.find_caller(shown);
    let delay = guesses().answer_delay(from, found.as_ref().map(Caller::id), now);
    // Behind an untrusted proxy all requests come from this machine: there, guessing must not delay
    // other callers.
    let is_waited_for = !delay.is_zero() && (found.is_none() || !from.is_loopback());
    if is_waited_for {
        gateway.clock.sleep(delay).await;
    }
    // The key may have been removed during the wait.
    match if is_waited_for {
        keys.find_caller(shown)
    } else {
        found
    } {
        Some(caller) => {
            guesses().record_right(from, &caller.shared_id(), now);
            Ok(caller)
        }
        None => {
            guesses().record_wrong(from, gateway.clock.uptime());
            Err(Problem::Unauthorized)
        }
    }
}

/// Returns the session if the caller's key reaches it; for routes with the session in the body.
pub fn require_session_access(
    caller: &Caller,
    session: SessionName,
) -> Result<SessionName, Problem> {
    caller.note_subject(session.as_str());
    if caller.can_reach(session.as_str()) {
        Ok(session)
    } else {
        Err(Problem::SessionNotAllowed)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    /// Present only on requests that passed [`require_key`].
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or(Problem::Unauthorized)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CallerContext {
    type Rejection = Problem;

    /// Present on every request that came in over a connection.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or(Problem::Internal)
    }
}

/// The key that a request carries in `X-Api-Key` or `Authorization`.
fn read_api_key(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get("x-api-key") {
        return Some(key.as_bytes());
    }
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use crate::http::access::auth::*;

    #[test]
    fn a_key_is_shown_in_one_of_two_headers() {
        let shows = |name: &'static str, value: &'static str| {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            read_api_key(&headers).map(|shown| String::from_utf8(shown.to_vec()).unwrap())
        };
        for (name, value) in [
            ("x-api-key", "wapi_right"),
            ("authorization", "Bearer wapi_right"),
            ("authorization", "bearer  wapi_right"),
        ] {
            assert_eq!(
                shows(name, value).as_deref(),
                Some("wapi_right"),
                "{name}: {value}"
            );
        }
        for (name, value) in [
            ("authorization", "wapi_right"),
            ("authorization", "Basic wapi_right"),
            ("cookie", "k"),
        ] {
            assert_eq!(shows(name, value), None, "{name}: {value}");
        }
    }
}
