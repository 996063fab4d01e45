//! Origin of a request, with proxies that may stand before the gateway. Pure.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Version};
use ipnet::IpNet;

/// Headers in which proxies name their clients, beside those that begin with `x-forwarded`.
const PROXY_HEADERS: [&str; 15] = [
    "forwarded",
    "forwarded-for",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "x-envoy-external-address",
    "true-client-ip",
    "cf-connecting-ip",
    "cdn-loop",
    "fastly-client-ip",
    "fly-client-ip",
    "client-ip",
];

/// The caller's address and scheme, as far as they can be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub address: IpAddr,
    /// Whether the original request used HTTPS, if known.
    pub is_https: Option<bool>,
    pub proxy: ProxyTrust,
}

/// Path of a request to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyTrust {
    Direct,
    /// Through one of the operator's proxies.
    Trusted,
    /// Through an unknown proxy.
    Untrusted,
}

/// Networks of the operator's proxies.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(pub Vec<IpNet>);

impl TrustedProxies {
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl Peer {
    /// Determines the peer from the connection's address and the proxy headers. `is_tls` says
    /// whether the connection itself uses TLS.
    pub fn from_connection(
        from: IpAddr,
        is_tls: bool,
        headers: &HeaderMap,
        version: Version,
        proxies: &TrustedProxies,
    ) -> Self {
        let from = from.to_canonical();
        let was_passed_on = is_proxied(headers, version);
        if !proxies.contains(from) {
            let way = if was_passed_on {
                ProxyTrust::Untrusted
            } else {
                ProxyTrust::Direct
            };
            return Self {
                address: from,
                is_https: Some(is_tls),
                proxy: way,
            };
        }
        let is_https = if was_passed_on {
            forwarded_https(headers)
        } else {
            Some(is_tls)
        };
        // Some proxies add no headers, and every request from a proxy's address counts as passed
        // on.
        Self {
            address: client_address(from, headers, proxies),
            is_https,
            proxy: ProxyTrust::Trusted,
        }
    }
}

/// Returns whether the request shows signs of a proxy. HTTP/1.0 counts as one: only proxies still
/// speak it, do so unless configured otherwise, and then name no client.
fn is_proxied(headers: &HeaderMap, version: Version) -> bool {
    let is_of_a_proxy =
        |name: &str| name.starts_with("x-forwarded") || PROXY_HEADERS.contains(&name);
    version <= Version::HTTP_10 || headers.keys().any(|name| is_of_a_proxy(name.as_str()))
}

/// Returns the last address that is not one of the operator's proxies. Each proxy appends its
/// client's address to the list it received, and the part that others wrote may be forged.
fn client_address(from: IpAddr, headers: &HeaderMap, proxies: &TrustedProxies) -> IpAddr {
    let mut origin = from;
    let lists = headers
        .get_all("x-forwarded-for")
        .iter()
        .rev()
        .map(|list| list.to_str().unwrap_or_default());
    for entry in lists.flat_map(|list| list.rsplit(',')) {
        let Some(address) = parse_address(entry.trim()) else {
            break;
        };
        origin = address;
        if !proxies.contains(address) {
            break;
        }
    }
    origin
}

/// Parses an address as proxies write it, with or without a port.
fn parse_address(entry: &str) -> Option<IpAddr> {
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().ok();
    address
        .or_else(|| entry.parse::<SocketAddr>().ok().map(|at| at.ip()))
        .map(|address| address.to_canonical())
}

fn forwarded_https(headers: &HeaderMap) -> Option<bool> {
    let scheme = headers
        .get_all("x-forwarded-proto")
        .iter()
        .next_back()?
        .to_str()
        .ok()?;
    match scheme.rsplit(',').next()?.trim() {
        scheme if scheme.eq_ignore_ascii_case("https") => Some(true),
        scheme if scheme.eq_ignore_ascii_case("http") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(
        from: &str,
        headers: &[(&'static str, &'static str)],
    ) -> (String, Option<bool>, ProxyTrust) {
        let networks = ["10.0.0.0/8", "::1"]
            .map(|network| crate::net::egress::parse_network(network).unwrap());
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(*name, value.parse().unwrap());
        }
        let proxies = TrustedProxies(networks.into());
        let peer = Peer::from_connection(
            from.parse().unwrap(),
            false,
            &all,
            Version::HTTP_11,
            &proxies,
        );
        (peer.address.to_string(), peer.is_https, peer.proxy)
    }

    #[test]
    fn what_strangers_say_of_themselves_is_not_believed() {
        for header in [
            "x-forwarded-for",
            "x-forwarded-proto",
            "forwarded",
            "via",
            "x-real-ip",
            "cf-connecting-ip",
        ] {
            let (address, is_https, way) = peer("192.0.2.1", &[(header, "203.0.113.9")]);
            assert_eq!(
                (address.as_str(), is_https, way),
                ("192.0.2.1", Some(false), ProxyTrust::Untrusted),
                "{header}"
            );
        }
        assert_eq!(
            peer("192.0.2.1", &[("accept", "*/*")]).2,
            ProxyTrust::Direct
        );
        let old = Peer::from_connection(
            [127, 0, 0, 1].into(),
            false,
            &HeaderMap::new(),
            Version::HTTP_10,
            &TrustedProxies::default(),
        );
        assert_eq!(
            old.proxy,
            ProxyTrust::Untrusted,
            "what nginx makes of a request unless it is told otherwise"
        );
    }

    #[test]
    fn from_trusted_proxies_the_last_address_that_is_none_of_them_counts() {
        for (scheme, meant) in [
            (&["203.0.113.9"][..], "203.0.113.9"),
            (&["127.0.0.1, 203.0.113.9, 10.1.1.1"], "203.0.113.9"),
            (
                &["6.6.6.6", "203.0.113.9", "10.1.1.1 ,10.2.2.2"],
                "203.0.113.9",
            ),
            (&["203.0.113.9:4711"], "203.0.113.9"),
            (&["[2001:db8::7]:443"], "2001:db8::7"),
            (&["2001:db8::7"], "2001:db8::7"),
            (&["10.1.1.1"], "10.1.1.1"),
            (&["203.0.113.9, unknown"], "10.9.9.9"),
            (&["203.0.113.9, unknown, 10.1.1.1"], "10.1.1.1"),
            (&[""], "10.9.9.9"),
        ] {
            let headers: Vec<_> = scheme
                .iter()
                .map(|scheme| ("x-forwarded-for", *scheme))
                .collect();
            assert_eq!(peer("10.9.9.9", &headers).0, meant, "{scheme:?}");
        }
        assert_eq!(
            peer("::ffff:10.9.9.9", &[("x-forwarded-for", "203.0.113.9")]).0,
            "203.0.113.9"
        );
        let (_, is_https, way) = peer("::1", &[("x-forwarded-proto", "http, https")]);
        assert_eq!((is_https, way), (Some(true), ProxyTrust::Trusted));
        assert_eq!(
            peer("::1", &[]),
            ("::1".to_owned(), Some(false), ProxyTrust::Trusted),
            "one that says nothing of it"
        );
    }
}
