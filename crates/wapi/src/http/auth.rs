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
        Access::Open => true,
        Access::Key(key) => {
            let key = key.expose_secret().as_bytes();
            shown(headers).is_some_and(|shown| bool::from(shown.ct_eq(key)))
        }
    }
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
