//! Who may call.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Gateway;
use super::error::Problem;
use crate::config::Access;
use crate::keys::{Caller, Keys};
use crate::sessions::SessionName;

/// Lets a request through if it carries a key, and notes whose it is. All others get the same answer, whatever they ask for.
pub async fn require_key(State(gateway): State<Gateway>, mut request: Request, next: Next) -> Response {
    match caller(&gateway.access, &gateway.keys, request.headers()) {
        Some(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        None => Problem::Unauthorized.into_response(),
    }
}

fn caller(access: &Access, keys: &Keys, headers: &HeaderMap) -> Option<Caller> {
    // The operator of a machine of one's own who makes keys wants them to be asked for.
    let is_open = matches!(access, Access::Open) || (matches!(access, Access::Loopback) && keys.are_none());
    if is_open { may_enter(access, headers).then(Caller::anyone) } else { keys.caller(shown(headers)?) }
}

/// Whether a request may enter where no key is asked for.
fn may_enter(access: &Access, headers: &HeaderMap) -> bool {
    match access {
        Access::Open => !is_from_another_site(headers),
        // A page whose name was made to point here asks in that name.
        Access::Loopback => !is_from_another_site(headers) && host(headers).is_none_or(is_loopback),
        Access::Key(_) => false,
    }
}

/// For routes whose body names the session: the session, if the caller's key is for it.
pub fn reached(caller: &Caller, session: SessionName) -> Result<SessionName, Problem> {
    if caller.reaches(session.as_str()) { Ok(session) } else { Err(Problem::SessionNotAllowed) }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    /// Only a request that came through the door has one.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or(Problem::Unauthorized)
    }
}

/// Whether a browser sends it for a page of some other place. Programs send no origin.
fn is_from_another_site(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let site = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, site)| site);
    site.is_none() || site != host(headers)
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name });
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// The key a request shows, in one of two headers.
fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get("x-api-key") {
        return Some(key.as_bytes());
    }
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_in_a_browser_of_this_machine_may_not_use_an_open_gateway() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            HeaderMap::from_iter(pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())))
        };
        for host in ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "[::1]", "LOCALHOST"] {
            assert!(may_enter(&Access::Loopback, &headers(&[("host", host)])), "{host}");
        }
        let own_page = [("host", "localhost:8080"), ("origin", "http://localhost:8080")];
        assert!(may_enter(&Access::Loopback, &headers(&own_page)));
        let other_page = [("host", "localhost:8080"), ("origin", "https://evil.example")];
        let sandboxed_page = [("host", "localhost:8080"), ("origin", "null")];
        let rebound_name = [("host", "evil.example:8080")];
        for page in [&other_page[..], &sandboxed_page, &rebound_name] {
            assert!(!may_enter(&Access::Loopback, &headers(page)), "{page:?}");
        }
        assert!(may_enter(&Access::Open, &headers(&[("host", "gateway.example")])));
        assert!(!may_enter(&Access::Open, &headers(&other_page)));
    }

    #[test]
    fn a_key_is_shown_in_one_of_two_headers() {
        let shows = |name: &'static str, value: &'static str| {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            shown(&headers).map(|shown| String::from_utf8(shown.to_vec()).unwrap())
        };
        for (name, value) in [
            ("x-api-key", "wapi_right"),
            ("authorization", "Bearer wapi_right"),
            ("authorization", "bearer  wapi_right"),
        ] {
            assert_eq!(shows(name, value).as_deref(), Some("wapi_right"), "{name}: {value}");
        }
        for (name, value) in [("authorization", "wapi_right"), ("authorization", "Basic wapi_right"), ("cookie", "k")] {
            assert_eq!(shows(name, value), None, "{name}: {value}");
        }
    }
}
