//! Proxies: which session leaves through which, and the clients for it. There is no way around a
//! proxy that fails.

mod address;
mod client;
mod dialer;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;
use strum::{IntoStaticStr, VariantNames};
use url::{Host, Url};

pub use address::{ProxyAddress, ProxyDescription, ProxyScheme};
pub use client::ProxyClient;
pub use dialer::{PROXY_TIMEOUT, ProxyDialer, ProxyError, ProxyFault, ProxyStream};

use crate::net::egress::{EgressPolicy, ForbiddenTargetError};

/// Proxies whose clients are kept; beyond that, all are built again.
const MAX_CACHED: usize = 256;

/// The chooser of a proxy.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, Serialize, JsonSchema, VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum ProxyOrigin {
    /// The session's own.
    Session,
    /// The operator's, for sessions without one of their own.
    Settings,
}

/// The way of callers' links of a session with a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, VariantNames)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LinkRoute {
    Proxy,
    Direct,
}

/// The proxy of a session.
#[derive(Debug, Clone)]
pub struct SessionProxy {
    pub address: Arc<ProxyAddress>,
    pub origin: ProxyOrigin,
    /// Where the proxy itself may be.
    allowed: EgressPolicy,
}

impl SessionProxy {
    /// Whether both are the same proxy, chosen by the same.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.origin, &self.address) == (other.origin, &other.address)
    }

    /// Fails if the proxy is an address that is not allowed. A name is judged when it is resolved.
    pub fn ensure_allowed(&self) -> Result<(), ForbiddenTargetError> {
        check_host(&self.allowed, self.address.host())
    }

    /// Judges the address of a link that goes through this proxy.
    pub fn check_link(
        &self,
        targets: &EgressPolicy,
        url: &Url,
    ) -> Result<(), ForbiddenTargetError> {
        targets.check_url(url)?;
        let Some(Host::Domain(name)) = url.host() else {
            return Ok(());
        };
        // The resolver could not tell the link from the proxy, which may be in a private network.
        let is_proxy =
            matches!(self.address.host(), Host::Domain(own) if own.eq_ignore_ascii_case(name));
        if is_proxy || is_local_name(name) {
            targets.ensure_unrestricted()
        } else {
            Ok(())
        }
    }
}

fn check_host(allowed: &EgressPolicy, host: &Host<String>) -> Result<(), ForbiddenTargetError> {
    match host {
        Host::Ipv4(address) => allowed.check_address((*address).into()),
        Host::Ipv6(address) => allowed.check_address((*address).into()),
        Host::Domain(_) => Ok(()),
    }
}

/// Returns whether a name belongs to a local network, as far as the name itself tells: it has no
/// dot, or ends like the names that are not of the internet.
fn is_local_name(name: &str) -> bool {
    const ENDS: [&str; 10] = [
        "localhost",
        "local",
        "localdomain",
        "internal",
        "intranet",
        "private",
        "corp",
        "home",
        "lan",
        "arpa",
    ];
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    match name.rsplit_once('.') {
        Some((_, end)) => ENDS.contains(&end),
        None => true,
    }
}

/// A session's own proxy.
struct OwnProxy {
    address: Arc<ProxyAddress>,
    /// The session was removed, and its last work may still need the proxy.
    is_over: bool,
}

/// The proxy that a session had, if it had one of its own.
pub struct FormerProxy(Option<OwnProxy>);

/// The proxies of all sessions; cheap to clone.
#[derive(Clone)]
pub struct SessionProxies {
    default: Option<SessionProxy>,
    own: Arc<Mutex<HashMap<String, OwnProxy>>>,
    links: LinkRoute,
    /// Where proxies of callers may be.
    allowed: EgressPolicy,
}

impl SessionProxies {
    /// The operator's proxy may be anywhere; those of callers obey the policy.
    pub fn new(default: Option<ProxyAddress>, links: LinkRoute, allowed: EgressPolicy) -> Self {
        let default = default.map(|address| SessionProxy {
            address: Arc::new(address),
            origin: ProxyOrigin::Settings,
            allowed: EgressPolicy::All,
        });
        Self {
            default,
            own: Arc::default(),
            links,
            allowed,
        }
    }

    /// Sets the proxy of a session; `None`: the operator's, if there is one.
    pub fn set(&self, session: &str, proxy: Option<ProxyAddress>) {
        self.replace(session, proxy);
    }

    /// The same, and returns the former one, for [`Self::put_back`].
    pub fn replace(&self, session: &str, proxy: Option<ProxyAddress>) -> FormerProxy {
        let mut own = self.own.lock();
        let former = own.remove(session);
        if let Some(proxy) = proxy {
            let address = Arc::new(proxy);
            let is_over = false;
            own.insert(session.to_owned(), OwnProxy { address, is_over });
        }
        FormerProxy(former)
    }

    /// Undoes [`Self::replace`].
    pub fn put_back(&self, session: &str, FormerProxy(former): FormerProxy) {
        let mut own = self.own.lock();
        own.remove(session);
        own.extend(former.map(|former| (session.to_owned(), former)));
    }

    /// Keeps the proxy of a session that is removed, until the session is
    /// [forgotten](Self::forget) or another begins under its name.
    pub fn end(&self, session: &str) {
        if let Some(own) = self.own.lock().get_mut(session) {
            own.is_over = true;
        }
    }

    /// Forgets the proxy of a removed session.
    pub fn forget(&self, session: &str) {
        let mut own = self.own.lock();
        if own.get(session).is_some_and(|own| own.is_over) {
            own.remove(session);
        }
    }

    /// Returns the proxy through which everything of this session leaves.
    pub fn find(&self, session: &str) -> Option<SessionProxy> {
        let own = self.own.lock();
        let own = own.get(session).map(|own| Arc::clone(&own.address));
        own.map(|address| SessionProxy {
            address,
            origin: ProxyOrigin::Session,
            allowed: self.allowed.clone(),
        })
        .or_else(|| self.default.clone())
    }

    /// Returns the proxy for callers' links of this session.
    pub fn find_for_links(&self, session: &str) -> Option<SessionProxy> {
        match self.links {
            LinkRoute::Proxy => self.find(session),
            LinkRoute::Direct => None,
        }
    }

    /// Returns the way of callers' links of sessions with a proxy.
    pub const fn links(&self) -> LinkRoute {
        self.links
    }

    /// Parses a caller's proxy.
    pub fn parse_own(&self, text: &str) -> Result<ProxyAddress, String> {
        let proxy = ProxyAddress::parse(text)?;
        check_host(&self.allowed, proxy.host()).map_err(|error| error.to_string())?;
        Ok(proxy)
    }
}

/// Clients for each proxy, shared by its sessions.
pub struct ProxyCache<T> {
    built: Mutex<HashMap<(ProxyOrigin, Arc<ProxyAddress>), T>>,
}

impl<T> Default for ProxyCache<T> {
    fn default() -> Self {
        Self {
            built: Mutex::default(),
        }
    }
}

impl<T: Clone> ProxyCache<T> {
    /// Returns what was built for this proxy before, or builds it.
    pub fn get_or_build<E>(
        &self,
        proxy: &SessionProxy,
        build: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let key = (proxy.origin, Arc::clone(&proxy.address));
        let mut built = self.built.lock();
        if let Some(known) = built.get(&key) {
            return Ok(known.clone());
        }
        if built.len() >= MAX_CACHED {
            built.clear();
        }
        let new = build()?;
        built.insert(key, new.clone());
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(links: LinkRoute) -> SessionProxies {
        let default = ProxyAddress::parse("http://10.0.0.1:3128").unwrap();
        let allowed = EgressPolicy::parse("none").unwrap();
        SessionProxies::new(Some(default), links, allowed)
    }

    #[test]
    fn a_session_without_a_proxy_of_its_own_has_the_operators() {
        let proxies = proxies(LinkRoute::Proxy);
        let own = ProxyAddress::parse("socks5h://a.example:1080").unwrap();
        proxies.set("shop", Some(own));
        let shown = |session: &str| proxies.find(session).unwrap().address.to_string();
        assert_eq!(shown("shop"), "socks5h://a.example:1080");
        assert_eq!(shown("other"), "http://10.0.0.1:3128");
        proxies.set("shop", None);
        assert_eq!(shown("shop"), "http://10.0.0.1:3128");
        // The operator's proxy may be in a private network, a caller's may not.
        assert!(proxies.find("shop").unwrap().ensure_allowed().is_ok());
        assert!(proxies.parse_own("http://10.0.0.1:3128").is_err());
        assert!(proxies.parse_own("socks5h://[::1]:1080").is_err());
    }

    #[test]
    fn links_to_local_names_and_addresses_are_refused_where_nobody_resolves_here() {
        let proxy = proxies(LinkRoute::Proxy).find("shop").unwrap();
        let policy = EgressPolicy::parse("none").unwrap();
        let judge = |policy: &EgressPolicy, host: &str| {
            let url = Url::parse(&format!("http://{host}/")).unwrap();
            proxy.check_link(policy, &url).is_ok()
        };
        for host in [
            "10.0.0.1",
            "[::1]",
            "localhost",
            "a.localhost",
            "router",
            "db.internal",
            "Printer.LOCAL.",
            "1.0.0.10.in-addr.arpa",
        ] {
            assert!(!judge(&policy, host), "{host}");
            assert!(judge(&EgressPolicy::All, host), "{host}");
        }
        for host in ["example.com", "local.example.com", "8.8.8.8"] {
            assert!(judge(&policy, host), "{host}");
        }
    }
}
