//! Entry to a gateway without keys: denied to foreign web pages and strangers' proxies. Pure.

use axum::http::{HeaderMap, Uri, header};

use crate::config::{AccessMode, HostNames};
use crate::http::edge::{Peer, ProxyTrust};

/// Reason for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrangerError {
    /// A proxy speaks for an unknown client.
    Proxied,
    /// The request names a host that is not the gateway's; a page whose name was pointed here (DNS
    /// rebinding) calls by that name.
    OtherHost,
    /// A browser sends it for a page of another site.
    OtherSite,
}

impl StrangerError {
    pub const fn problem_detail(self) -> &'static str {
        match self {
            Self::Proxied => {
                "a proxy passed it on, or it speaks HTTP/1.0 as only proxies do, and this gateway requires no key: set \
                 WAPI_API_KEY or create one with POST /v1/api-keys from its own machine; with WAPI_AUTH=none, name the \
                 proxy's address in WAPI_TRUSTED_PROXIES"
            }
            Self::OtherHost => {
                "the requested host is not one of this gateway, which requires no key: name it in WAPI_HOSTS, or set \
                 WAPI_API_KEY"
            }
            Self::OtherSite => {
                "a browser sent it for a page of another site, and this gateway requires no key: set WAPI_API_KEY and \
                 send it along"
            }
        }
    }
}

/// Checks whether a request may enter where no key is required.
pub fn check_unkeyed(
    access: &AccessMode,
    hosts: &HostNames,
    peer: &Peer,
    headers: &HeaderMap,
    target: &Uri,
) -> Result<(), StrangerError> {
    let is_passed_on = match access {
        // A request that was passed on does not come from this machine, whichever proxy sent it.
        AccessMode::Loopback | AccessMode::Key(_) => peer.proxy != ProxyTrust::Direct,
        AccessMode::Open => peer.proxy == ProxyTrust::Untrusted,
    };
    if is_passed_on {
        return Err(StrangerError::Proxied);
    }
    let is_ours = |host: &str| match access {
        AccessMode::Loopback | AccessMode::Key(_) => hosts.is_loopback_or_named(host),
        AccessMode::Open => hosts.is_address_or_named(host),
    };
    if !called_hosts(headers, target).all(|host| host.is_some_and(is_ours)) {
        return Err(StrangerError::OtherHost);
    }
    if is_from_another_site(headers, peer.is_https) {
        Err(StrangerError::OtherSite)
    } else {
        Ok(())
    }
}

/// Lists every host that a request names as its target; `None` for one that is not text.
fn called_hosts<'a>(
    headers: &'a HeaderMap,
    target: &'a Uri,
) -> impl Iterator<Item = Option<&'a str>> {
    let in_headers = headers
        .get_all(header::HOST)
        .iter()
        .map(|host| host.to_str().ok());
    in_headers.chain(target.authority().map(|authority| Some(authority.as_str())))
}

/// Returns whether a browser sends it for a page of another origin. Programs send no origin.
fn is_from_another_site(headers: &HeaderMap, is_https: Option<bool>) -> bool {
    // `none`: typed by the user, or a bookmark.
    let site = headers.get_all("sec-fetch-site").iter();
    if !site
        .map(|site| site.as_bytes())
        .all(|site| matches!(site, b"same-origin" | b"none"))
    {
        return true;
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let Some((scheme, site)) = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
    else {
        return true;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let fits = is_https.is_none_or(|is_https| scheme == if is_https { "https" } else { "http" });
    !fits || Some(site) != host
}

#[cfg(test)]
mod tests {
    use axum::http::Version;

    use crate::http::access::unkeyed::*;
    use crate::http::edge::TrustedProxies;

    fn enters(
        access: &AccessMode,
        target: &str,
        headers: &[(&'static str, &'static str)],
    ) -> Result<(), StrangerError> {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(*name, value.parse().unwrap());
        }
        let hosts = HostNames::parse("wapi,Gateway.example.").unwrap();
        let proxies = TrustedProxies(vec![
            crate::net::egress::parse_network("127.0.0.2").unwrap(),
        ]);
        let from = if headers.contains(&("x-forwarded-for", "203.0.113.9")) {
            [127, 0, 0, 2]
        } else {
            [127, 0, 0, 1]
        };
        let peer = Peer::from_connection(from.into(), false, &all, Version::HTTP_11, &proxies);
        check_unkeyed(access, &hosts, &peer, &all, &target.parse().unwrap())
    }

    #[test]
    fn a_page_in_a_browser_of_this_machine_may_not_use_an_open_gateway() {
        fn near(headers: &[(&'static str, &'static str)]) -> Result<(), StrangerError> {
            enters(&AccessMode::Loopback, "/", headers)
        }
        for host in [
            "127.0.0.1:8080",
            "localhost:8080",
            "[::1]:8080",
            "[::1]",
            "LOCALHOST",
            "wapi:1",
            "gateway.example",
        ] {
            assert_eq!(near(&[("host", host)]), Ok(()), "{host}");
            assert_eq!(
                enters(&AccessMode::Open, "/", &[("host", host)]),
                Ok(()),
                "{host}"
            );
        }
        assert_eq!(
            near(&[
                ("host", "localhost:8080"),
                ("origin", "http://localhost:8080")
            ]),
            Ok(())
        );
        assert_eq!(
            near(&[("host", "localhost:8080"), ("sec-fetch-site", "none")]),
            Ok(())
        );
        for page in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("origin", "https://localhost:8080"),
        ] {
            for access in [AccessMode::Loopback, AccessMode::Open] {
                let refused = enters(&access, "/", &[("host", "localhost:8080"), page]);
                assert_eq!(refused, Err(StrangerError::OtherSite), "{page:?}");
            }
        }
        for site in ["cross-site", "same-site", "", "same-origin, cross-site"] {
            assert_eq!(
                near(&[("host", "localhost"), ("sec-fetch-site", site)]),
                Err(StrangerError::OtherSite),
                "{site}"
            );
        }
    }

    #[test]
    fn every_host_that_is_called_must_be_one_of_the_gateways() {
        for host in [
            "evil.example:8080",
            "localhost.evil.example",
            "a@localhost",
            "",
            "127.0.0.1.evil.example",
            "wap",
        ] {
            for access in [AccessMode::Loopback, AccessMode::Open] {
                assert_eq!(
                    enters(&access, "/", &[("host", host)]),
                    Err(StrangerError::OtherHost),
                    "{host}"
                );
            }
        }
        let two = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(
            enters(&AccessMode::Open, "/", &two),
            Err(StrangerError::OtherHost)
        );
        let absolute = enters(
            &AccessMode::Open,
            "http://evil.example/v1",
            &[("host", "localhost")],
        );
        assert_eq!(absolute, Err(StrangerError::OtherHost));
        for host in ["192.0.2.7:8080", "[2001:db8::1]:1"] {
            assert_eq!(
                enters(&AccessMode::Open, "/", &[("host", host)]),
                Ok(()),
                "nobody else has that name: {host}"
            );
            assert_eq!(
                enters(&AccessMode::Loopback, "/", &[("host", host)]),
                Err(StrangerError::OtherHost),
                "{host}"
            );
        }
    }

    #[test]
    fn what_is_passed_on_comes_from_elsewhere() {
        let host = ("host", "127.0.0.1:8080");
        for said in [
            ("forwarded", "for=203.0.113.9"),
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-host", "gateway.example"),
            ("via", "1.1 proxy"),
            ("x-real-ip", "203.0.113.9"),
        ] {
            for access in [AccessMode::Loopback, AccessMode::Open] {
                assert_eq!(
                    enters(&access, "/", &[host, said]),
                    Err(StrangerError::Proxied),
                    "{said:?}"
                );
            }
        }
        let by_ours = [host, ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(enters(&AccessMode::Open, "/", &by_ours), Ok(()));
        assert_eq!(
            enters(&AccessMode::Loopback, "/", &by_ours),
            Err(StrangerError::Proxied),
            "it is not of this machine"
        );
    }
}
