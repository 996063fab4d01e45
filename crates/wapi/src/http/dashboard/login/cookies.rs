//! Cookies of the dashboard: their names, attributes, and where they may travel. Pure.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, header};

use crate::http::edge::{Peer, ProxyTrust};

/// Beginning of the name of the login's cookie over TLS; the mark of the gateway follows, because
/// browsers show a cookie to all ports of a host. The prefix keeps other hosts of the same domain
/// from setting it.
const SECURE_NAME: &str = "__Host-wapi";
/// The same without TLS, where browsers accept no cookie with the prefix.
const PLAIN_NAME: &str = "wapi";

/// How a browser is connected, as far as logins go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieTransport {
    Tls,
    /// Nobody else can read it, or the operator accepts that somebody does.
    Plain,
    /// Somebody on the way could read the key.
    Exposed,
}

impl CookieTransport {
    pub fn from_peer(peer: &Peer, allows_plain_http: bool) -> Self {
        let is_of_this_machine = peer.proxy == ProxyTrust::Direct && is_loopback(peer.address);
        match peer.is_https {
            Some(true) => Self::Tls,
            _ if is_of_this_machine || allows_plain_http => Self::Plain,
            _ => Self::Exposed,
        }
    }

    fn cookie_name(self, mark: &str) -> String {
        let name = match self {
            Self::Tls => SECURE_NAME,
            Self::Plain | Self::Exposed => PLAIN_NAME,
        };
        format!("{name}-{mark}")
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Returns the value of a cookie.
pub fn find_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lists = headers.get_all(header::COOKIE).iter();
    lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(given, value)| (given == name).then_some(value))
}

/// Returns the token of the login to the gateway with this mark that a browser shows on this kind
/// of connection.
pub fn find_token<'a>(
    headers: &'a HeaderMap,
    transport: CookieTransport,
    mark: &str,
) -> Option<&'a str> {
    find_cookie(headers, &transport.cookie_name(mark))
}

/// Returns the header that gives a browser this login to the gateway with this mark; without a
/// token, that takes it away. The cookie lasts as long as the browser runs; the gateway knows when
/// the login ends.
pub fn login_cookie(token: Option<&str>, transport: CookieTransport, mark: &str) -> HeaderValue {
    let (name, value) = (transport.cookie_name(mark), token.unwrap_or_default());
    // A cookie with the prefix must be valid for all paths. Nothing but the dashboard reads it.
    let scope = match transport {
        CookieTransport::Tls => "Path=/; Secure",
        CookieTransport::Plain | CookieTransport::Exposed => "Path=/dashboard",
    };
    let age = if token.is_some() { "" } else { "; Max-Age=0" };
    let cookie = format!("{name}={value}; {scope}; HttpOnly; SameSite=Strict{age}");
    HeaderValue::from_str(&cookie).expect("tokens are visible ASCII")
}

/// Returns the header that keeps a preference for a year.
pub fn preference_cookie(name: &str, value: &str) -> HeaderValue {
    let cookie =
        format!("{name}={value}; Path=/dashboard; HttpOnly; SameSite=Strict; Max-Age=31536000");
    HeaderValue::from_str(&cookie).expect("preferences are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: [u8; 4], is_https: Option<bool>, proxy: ProxyTrust) -> Peer {
        Peer {
            address: address.into(),
            is_https,
            proxy,
        }
    }

    #[test]
    fn a_key_is_typed_where_nobody_on_the_way_reads_it() {
        let (here, away) = ([127, 0, 0, 1], [192, 0, 2, 1]);
        let (direct, trusted, untrusted) = (
            ProxyTrust::Direct,
            ProxyTrust::Trusted,
            ProxyTrust::Untrusted,
        );
        for (peer, allowed, expected) in [
            (
                peer(here, Some(false), direct),
                false,
                CookieTransport::Plain,
            ),
            (peer(here, None, direct), false, CookieTransport::Plain),
            (
                peer(here, Some(false), untrusted),
                false,
                CookieTransport::Exposed,
            ),
            (
                peer(away, Some(false), direct),
                false,
                CookieTransport::Exposed,
            ),
            (peer(away, None, trusted), false, CookieTransport::Exposed),
            (
                peer(away, Some(false), direct),
                true,
                CookieTransport::Plain,
            ),
            (peer(away, Some(true), trusted), false, CookieTransport::Tls),
            (peer(away, Some(true), direct), true, CookieTransport::Tls),
        ] {
            assert_eq!(
                CookieTransport::from_peer(&peer, allowed),
                expected,
                "{peer:?}"
            );
        }
    }

    #[test]
    fn over_tls_a_cookie_is_for_this_host_alone() {
        let of = |transport| {
            login_cookie(Some("t"), transport, "ab12")
                .to_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(
            of(CookieTransport::Tls),
            "__Host-wapi-ab12=t; Path=/; Secure; HttpOnly; SameSite=Strict"
        );
        assert_eq!(
            of(CookieTransport::Plain),
            "wapi-ab12=t; Path=/dashboard; HttpOnly; SameSite=Strict"
        );
        let headers =
            HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static("a=b; wapi-ab12=t"))]);
        let of = |transport, mark| find_token(&headers, transport, mark);
        assert_eq!(of(CookieTransport::Plain, "ab12"), Some("t"));
        assert_eq!(of(CookieTransport::Plain, "cd34"), None);
        assert_eq!(of(CookieTransport::Tls, "ab12"), None);
    }
}
