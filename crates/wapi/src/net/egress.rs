//! Egress policy: which addresses the gateway may contact for callers' webhooks and media links.
//!
//! Addresses inside the operator's network are forbidden. Names are judged after they were
//! resolved, at every connection, so a name that changes its address gains nothing.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::vec::IntoIter;

use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns;
use ipnet::{IpNet, Ipv4Net};
use reqwest::ClientBuilder;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tower_service::Service;
use url::{Host, Url};

use crate::net::tls::trust_bundled_roots;

type BoxError = Box<dyn Error + Send + Sync>;

/// Targets that callers may make the gateway contact.
#[derive(Debug, Clone)]
pub enum EgressPolicy {
    All,
    /// The public internet, and these networks.
    Public(Vec<IpNet>),
    /// Everything while no key is required, then the public internet.
    WhileOpen(OpenAccess),
}

/// Whether no key is required at the moment; clones share the state.
#[derive(Debug, Clone)]
pub struct OpenAccess(Arc<AtomicBool>);

impl Default for OpenAccess {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl OpenAccess {
    pub fn set(&self, is_open: bool) {
        self.0.store(is_open, Ordering::SeqCst);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Parses a network: an address, or an address and the length of its prefix.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    let network = match text.split_once('/') {
        Some((base, prefix)) => match (base.trim().parse(), prefix.trim().parse()) {
            (Ok(base), Ok(prefix)) => IpNet::new(base, prefix).ok(),
            _ => None,
        },
        None => text.parse::<IpAddr>().ok().map(IpNet::from),
    };
    network.ok_or_else(|| format!("`{text}` is not a network such as 10.0.0.0/8 or fd00::/8"))
}

/// An address that callers may not make the gateway contact. Does not say to which address a name
/// resolves: that would map the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForbiddenTargetError;

impl fmt::Display for ForbiddenTargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "leads into a private network, which is allowed only without API keys, or by \
         WAPI_ALLOW_PRIVATE_TARGETS",
        )
    }
}

impl std::error::Error for ForbiddenTargetError {}

impl EgressPolicy {
    /// Parses `all`, `none`, or networks separated by commas.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "none" => Ok(Self::Public(Vec::new())),
            networks => {
                let networks: Result<_, _> = networks
                    .split(',')
                    .map(|network| parse_network(network.trim()))
                    .collect();
                networks
                    .map(Self::Public)
                    .map_err(|error| format!("{error}; it can be all, none, or networks"))
            }
        }
    }

    /// Judges a URL whose host is an IP address. Names are judged when they are resolved.
    pub fn check_url(&self, url: &Url) -> Result<(), ForbiddenTargetError> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check_address(address.into()),
            Some(Host::Ipv6(address)) => self.check_address(address.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// Returns whether all addresses of a URL's host are allowed, as far as they can be resolved.
    pub async fn can_reach(&self, url: &Url) -> bool {
        let Some(Host::Domain(name)) = url.host() else {
            return self.check_url(url).is_ok();
        };
        let found = tokio::net::lookup_host((name, 0)).await;
        found.is_ok_and(|mut found| found.all(|found| self.check_address(found.ip()).is_ok()))
    }

    /// Judges an address.
    pub fn check_address(&self, address: IpAddr) -> Result<(), ForbiddenTargetError> {
        let allowed: &[IpNet] = match self {
            Self::All => return Ok(()),
            Self::WhileOpen(openness) if openness.get() => return Ok(()),
            Self::WhileOpen(_) => &[],
            Self::Public(allowed) => allowed,
        };
        let plain = address.to_canonical();
        let fits = is_public(plain) || allowed.iter().any(|network| network.contains(&plain));
        if fits {
            Ok(())
        } else {
            Err(ForbiddenTargetError)
        }
    }

    /// Returns the handle that reports when keys are required.
    pub fn open_access(&self) -> OpenAccess {
        match self {
            Self::WhileOpen(openness) => openness.clone(),
            Self::All | Self::Public(_) => OpenAccess::default(),
        }
    }

    /// Fails unless everything is allowed.
    pub fn ensure_unrestricted(&self) -> Result<(), ForbiddenTargetError> {
        if self.is_unrestricted() {
            Ok(())
        } else {
            Err(ForbiddenTargetError)
        }
    }

    /// Returns whether everything is allowed at the moment.
    pub fn is_unrestricted(&self) -> bool {
        match self {
            Self::All => true,
            Self::WhileOpen(openness) => openness.get(),
            Self::Public(_) => false,
        }
    }

    /// Builds clients with `builder` that reach only these targets.
    pub fn build_clients(
        &self,
        builder: impl Fn() -> ClientBuilder,
    ) -> reqwest::Result<EgressClients> {
        let client = trust_bundled_roots(builder())
            .no_proxy()
            .dns_resolver(Arc::new(PolicyResolver(self.clone())))
            .build()?;
        Ok(EgressClients {
            policy: self.clone(),
            unrestricted: trust_bundled_roots(builder()).build()?,
            restricted: client,
        })
    }
}

/// HTTP clients for callers' targets.
#[derive(Debug, Clone)]
pub struct EgressClients {
    policy: EgressPolicy,
    /// An ordinary client, which may use a proxy.
    unrestricted: reqwest::Client,
    /// Ignores the environment's proxy: a proxy resolves names itself, beyond the reach of this
    /// policy.
    restricted: reqwest::Client,
}

impl EgressClients {
    /// Returns the client to use at the moment.
    pub fn current(&self) -> &reqwest::Client {
        if self.policy.is_unrestricted() {
            &self.unrestricted
        } else {
            &self.restricted
        }
    }
}

/// Returns the URL without parts that may be secret.
pub fn redact_url(address: &Url) -> String {
    let place = address
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    format!(
        "{}://{}{place}{}",
        address.scheme(),
        address.host_str().unwrap_or_default(),
        address.path()
    )
}

/// Resolves names as the system does, and keeps the allowed addresses. It serves the clients built
/// here, and connectors of `hyper-util`.
#[derive(Debug, Clone)]
pub struct PolicyResolver(pub EgressPolicy);

impl PolicyResolver {
    async fn find_allowed(self, name: &str) -> Result<IntoIter<SocketAddr>, BoxError> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        let allowed: Vec<SocketAddr> = found
            .filter(|found| self.0.check_address(found.ip()).is_ok())
            .collect();
        if allowed.is_empty() {
            Err(ForbiddenTargetError.into())
        } else {
            Ok(allowed.into_iter())
        }
    }
}

impl Resolve for PolicyResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let allowed = resolver.find_allowed(name.as_str()).await?;
            Ok(Box::new(allowed) as Addrs)
        })
    }
}

impl Service<dns::Name> for PolicyResolver {
    type Response = IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<IntoIter<SocketAddr>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: dns::Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move { resolver.find_allowed(name.as_str()).await })
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Rejects addresses that IANA's registry of special-purpose addresses does not call globally
/// reachable, and multicast.
fn is_public_v4(address: Ipv4Addr) -> bool {
    const SPECIAL: [([u8; 4], u8); 16] = [
        ([0, 0, 0, 0], 8),
        ([10, 0, 0, 0], 8),
        // Carrier-grade NAT; one cloud keeps its metadata there.
        ([100, 64, 0, 0], 10),
        ([127, 0, 0, 0], 8),
        // Link-local; the other clouds' metadata.
        ([169, 254, 0, 0], 16),
        ([172, 16, 0, 0], 12),
        ([192, 0, 0, 0], 24),
        ([192, 0, 2, 0], 24),
        ([192, 88, 99, 0], 24),
        ([192, 168, 0, 0], 16),
        ([198, 18, 0, 0], 15),
        ([198, 51, 100, 0], 24),
        ([203, 0, 113, 0], 24),
        // A cloud's metadata at an address that looks public.
        ([168, 63, 129, 16], 32),
        ([224, 0, 0, 0], 4),
        ([240, 0, 0, 0], 4),
    ];
    let within = |(base, prefix): &([u8; 4], u8)| {
        Ipv4Net::new_assert((*base).into(), *prefix).contains(&address)
    };
    !SPECIAL.iter().any(within)
}

/// Accepts global unicast without its reserved ranges; an address that embeds an IPv4 address is
/// judged by that.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, ..] = address.segments();
    let [.., g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
    };
    match (a, b) {
        // NAT64.
        (0x64, 0xff9b) => address.segments()[2..6] == [0; 4] && v4(g, h),
        // 6to4.
        (0x2002, high) => v4(high, c),
        // Protocol assignments, Teredo among them; documentation.
        (0x2001, 0..=0x1ff | 0xdb8) | (0x3fff, 0..=0xfff) => false,
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use crate::net::egress::*;

    fn public() -> EgressPolicy {
        EgressPolicy::parse("none").unwrap()
    }

    fn url(host: &str) -> Url {
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        Url::parse(&format!("http://{host}/")).unwrap()
    }

    #[test]
    fn addresses_inside_the_operators_network_are_forbidden_however_they_are_written() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.192",
            "192.0.2.1",
            "198.18.0.1",
            "168.63.129.16",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "fc00::1",
            "fd12:3456::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::",
            "100::1",
        ] {
            assert_eq!(
                public().check_url(&url(host)),
                Err(ForbiddenTargetError),
                "{host}"
            );
            assert_eq!(EgressPolicy::All.check_url(&url(host)), Ok(()), "{host}");
        }
    }

    #[test]
    fn public_addresses_and_names_are_not() {
        for host in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::808:808",
            "2002:808:808::",
            "::ffff:8.8.8.8",
            "example.com",
        ] {
            assert_eq!(public().check_url(&url(host)), Ok(()), "{host}");
        }
    }

    #[test]
    fn some_networks_can_be_allowed() {
        let targets = EgressPolicy::parse("10.8.0.0/16, fd00::/8,192.168.0.7").unwrap();
        for host in ["10.8.1.1", "fd12::1", "192.168.0.7", "::ffff:10.8.0.1"] {
            assert_eq!(targets.check_url(&url(host)), Ok(()), "{host}");
        }
        for host in ["10.9.0.1", "fe80::1", "192.168.0.8", "127.0.0.1"] {
            assert_eq!(
                targets.check_url(&url(host)),
                Err(ForbiddenTargetError),
                "{host}"
            );
        }
        assert_eq!(
            EgressPolicy::parse("0.0.0.0/0")
                .unwrap()
                .check_url(&url("127.0.0.1")),
            Ok(())
        );
        for text in [
            "10.0.0.0/33",
            "fd00::/129",
            "everything",
            "10.0.0.0/8;127.0.0.1",
            "",
            "10.0.0.0/",
        ] {
            assert!(EgressPolicy::parse(text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_where_it_leads() {
        let resolve =
            |targets: EgressPolicy| PolicyResolver(targets).resolve("localhost".parse().unwrap());
        let error = resolve(public()).await.err().expect("it leads here");
        assert!(error.is::<ForbiddenTargetError>());
        let allowed = resolve(EgressPolicy::parse("127.0.0.0/8").unwrap())
            .await
            .expect("this is allowed");
        assert!(
            allowed
                .into_iter()
                .all(|address| address.ip() == Ipv4Addr::LOCALHOST),
            "only what is allowed is kept"
        );
    }
}
