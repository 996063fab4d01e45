//! Who may call.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use super::Gateway;
use super::error::Problem;
use crate::config::Access;

/// Lets a request through if it carries the key. All others get the same answer, whatever they ask for.
pub async fn require_key(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    if may_enter(&gateway.access, request.headers()) {
        next.run(request).await
    } else {
        Problem::Unauthorized.into_response()
    }
}

fn may_enter(access: &Access, headers: &HeaderMap) -> bool {
    match access {
        Access::Open => !is_from_another_site(headers),
        // A page whose name was made to point here asks in that name.
        Access::Loopback => !is_from_another_site(headers) && host(headers).is_none_or(is_loopback),
        Access::Key(key) => {
            let key = key.expose_secret().as_bytes();
            shown(headers).is_some_and(|shown| bool::from(shown.ct_eq(key)))
        }
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
        let access = Access::Key("wapi_right".to_owned().into());
        let enters = |name: &'static str, value: &'static str| {
            may_enter(&access, &HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]))
        };
        assert!(enters("x-api-key", "wapi_right"));
        assert!(enters("authorization", "Bearer wapi_right"));
        assert!(enters("authorization", "bearer wapi_right"));
        for (name, value) in [
            ("x-api-key", "wapi_wrong"),
            ("x-api-key", "wapi_righ"),
            ("x-api-key", ""),
            ("authorization", "wapi_right"),
            ("authorization", "Basic wapi_right"),
            ("authorization", "Bearer "),
            ("cookie", "wapi_right"),
        ] {
            assert!(!enters(name, value), "{name}: {value}");
        }
    }
}
