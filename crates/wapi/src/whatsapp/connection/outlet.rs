//! Outlets: the ways of sessions to WhatsApp, one directly and one through each proxy. A session has
//! one of them for everything, and no other if that fails.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use whatsapp_rust::http::HttpClient;
use whatsapp_rust::transport::TransportFactory;

use super::http_client::SharedClient;
use super::outlet_claim::{ClaimedClient, ClaimedDialer, OutletClaim};
use super::transport::{GuardedDialer, build_dialer};
use super::web_version::{VersionFetcher, WebVersion};
use crate::config::WhatsappAddress;
use crate::net::proxy::{
    LinkRoute, ProxyCache, ProxyDialer, ProxyError, SessionProxies, SessionProxy,
};
use crate::net::tls::{build_client_config, shared_client_config};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;

/// One way to WhatsApp.
#[derive(Clone)]
struct Outlet {
    dialer: Arc<dyn TransportFactory>,
    http: Arc<dyn HttpClient>,
    version: Arc<VersionFetcher>,
    /// The proxy that it leads through.
    proxy: Option<ProxyProbe>,
}

/// The outlet of one session, for as long as the session keeps its proxy.
pub(in crate::whatsapp) struct SessionOutlet {
    pub dialer: Arc<dyn TransportFactory>,
    pub http: Arc<dyn HttpClient>,
    outlet: Outlet,
    claim: OutletClaim,
}

/// A proxy that can be tried.
#[derive(Clone)]
struct ProxyProbe {
    dialer: GuardedDialer,
    through: ProxyDialer,
    clock: Clock,
}

impl SessionOutlet {
    fn new(outlet: Outlet, claim: OutletClaim) -> Self {
        Self {
            dialer: Arc::new(ClaimedDialer {
                claim: claim.clone(),
                dialer: Arc::clone(&outlet.dialer),
            }),
            http: Arc::new(ClaimedClient {
                claim: claim.clone(),
                http: Arc::clone(&outlet.http),
            }),
            outlet,
            claim,
        }
    }

    /// Whether it leads through a proxy that the session alone has.
    pub fn has_own_proxy(&self) -> bool {
        self.claim.has_own_proxy()
    }

    /// Returns the version of WhatsApp Web. Without one, the engine fetches it when it dials, and
    /// never says why that fails; a session with a proxy has to tell its owner.
    pub async fn find_version(&self) -> Result<Option<WebVersion>> {
        self.claim.check()?;
        self.outlet.find_version().await
    }
}

impl Outlet {
    async fn find_version(&self) -> Result<Option<WebVersion>> {
        match (self.version.current_version().await, &self.proxy) {
            (Err(error), Some(proxy)) => Err(proxy.explain_failure(error).await),
            (found, _) => Ok(found.ok()),
        }
    }
}

impl ProxyProbe {
    async fn try_out(&self) -> Result<std::result::Result<Result<()>, ProxyError>> {
        self.dialer.probe_proxy(&self.through, &self.clock).await
    }

    /// Returns the proxy's fault if it has one: a client of HTTP does not tell it.
    async fn explain_failure(&self, error: anyhow::Error) -> anyhow::Error {
        let error = match self.try_out().await {
            Ok(Err(fault)) => fault.into(),
            Ok(Ok(_)) | Err(_) => error,
        };
        error.context("fetching WhatsApp's version through the proxy")
    }
}

/// The result of a try of a proxy.
#[derive(Debug)]
pub struct ProxyCheck {
    pub proxy: SessionProxy,
    /// The way of callers' links.
    pub links: LinkRoute,
    pub took: Duration,
    /// Whether the proxy connected to WhatsApp.
    pub opened: std::result::Result<(), ProxyError>,
    /// The reason why WhatsApp did not answer on that connection.
    pub unanswered: Option<String>,
}

/// The outlets of all sessions.
pub(in crate::whatsapp) struct Outlets {
    direct: Outlet,
    proxied: ProxyCache<Outlet>,
    proxies: SessionProxies,
    /// The dialer that leaves directly.
    dialer: GuardedDialer,
    /// The TLS to proxies, and through them.
    tls: Arc<rustls::ClientConfig>,
    address: WhatsappAddress,
    clock: Clock,
    lifecycle: Lifecycle,
}

impl Outlets {
    pub fn new(
        address: &WhatsappAddress,
        proxies: SessionProxies,
        clock: Clock,
        lifecycle: Lifecycle,
    ) -> Result<Self> {
        let dialer = build_dialer(address)?;
        let http = SharedClient::new(address, lifecycle.clone())?;
        let tls = match address {
            // Tests have proxies of that authority.
            WhatsappAddress::Simulated {
                ca_file: Some(file),
                ..
            } => Arc::new(build_client_config(read_certificates(file)?)),
            _ => shared_client_config(),
        };
        Ok(Self {
            direct: build_outlet(dialer.clone(), http, None, address, &clock),
            proxied: ProxyCache::default(),
            proxies,
            dialer,
            tls,
            address: address.clone(),
            clock,
            lifecycle,
        })
    }

    /// Returns the outlet of a session.
    pub fn find(&self, session: &str) -> Result<SessionOutlet> {
        let proxy = self.proxies.find(session);
        let outlet = match &proxy {
            Some(proxy) => self.find_proxied(proxy)?,
            None => self.direct.clone(),
        };
        let claim = OutletClaim::new(session, proxy, self.proxies.clone());
        Ok(SessionOutlet::new(outlet, claim))
    }

    fn find_proxied(&self, proxy: &SessionProxy) -> Result<Outlet> {
        proxy
            .ensure_allowed()
            .with_context(|| format!("the proxy {}", proxy.address))?;
        self.proxied.get_or_build(proxy, || {
            let dialer = self.dialer.through_proxy(self.dialer_to(proxy));
            let http = SharedClient::through_proxy(proxy, &self.tls, self.lifecycle.clone())?;
            let (address, clock) = (&self.address, &self.clock);
            let probe = self.probe(proxy);
            Ok(build_outlet(dialer, http, Some(probe), address, clock))
        })
    }

    fn probe(&self, proxy: &SessionProxy) -> ProxyProbe {
        ProxyProbe {
            dialer: self.dialer.clone(),
            through: self.dialer_to(proxy),
            clock: self.clock.clone(),
        }
    }

    fn dialer_to(&self, proxy: &SessionProxy) -> ProxyDialer {
        ProxyDialer::new(proxy.clone(), Arc::clone(&self.tls), self.clock.clone())
    }

    /// Tries the proxy of a session; `None` without one.
    pub async fn check_proxy(&self, session: &str) -> Result<Option<ProxyCheck>> {
        let Some(proxy) = self.proxies.find(session) else {
            return Ok(None);
        };
        let started = self.clock.uptime();
        let opened = self.probe(&proxy).try_out().await?;
        let took = self.clock.uptime().saturating_sub(started);
        let (opened, unanswered) = match opened {
            Ok(answered) => (Ok(()), answered.err().map(|error| format!("{error:#}"))),
            Err(error) => (Err(error), None),
        };
        Ok(Some(ProxyCheck {
            proxy,
            links: self.proxies.links(),
            took,
            opened,
            unanswered,
        }))
    }
}

fn build_outlet(
    dialer: GuardedDialer,
    http: SharedClient,
    proxy: Option<ProxyProbe>,
    address: &WhatsappAddress,
    clock: &Clock,
) -> Outlet {
    let http: Arc<dyn HttpClient> = Arc::new(http);
    let version = VersionFetcher::new(address, Arc::clone(&http), clock.clone());
    Outlet {
        dialer: Arc::new(dialer),
        http,
        version: Arc::new(version),
        proxy,
    }
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    certificates.with_context(|| format!("reading WAPI_WHATSAPP_CA_FILE {}", file.display()))
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::http::HttpRequest;

    use super::*;
    use crate::net::egress::EgressPolicy;
    use crate::net::proxy::ProxyAddress;
    use crate::net::tls::install_crypto;

    /// This build asks the real WhatsApp nothing, so the version cannot be had.
    #[tokio::test]
    async fn only_a_session_with_a_proxy_ends_its_try_without_a_version() {
        install_crypto();
        let proxies = SessionProxies::new(None, LinkRoute::Proxy, EgressPolicy::All);
        let own = ProxyAddress::parse("socks5h://me:secret@127.0.0.1:9").unwrap();
        proxies.set("shop", Some(own));
        let (clock, lifecycle) = (Clock::system(), Lifecycle::new());
        let outlets = Outlets::new(&WhatsappAddress::Real, proxies, clock, lifecycle).unwrap();
        let direct = outlets.find("other").unwrap().find_version().await;
        assert_eq!(direct.unwrap(), None);
        let proxied = outlets.find("shop").unwrap().find_version().await;
        let error = format!("{:#}", proxied.unwrap_err());
        assert!(error.contains("through the proxy"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    /// A client of HTTP says only that it failed.
    #[tokio::test]
    async fn a_version_that_a_proxy_does_not_let_through_fails_for_the_fault_of_the_proxy() {
        install_crypto();
        let proxies = SessionProxies::new(None, LinkRoute::Proxy, EgressPolicy::All);
        let own = ProxyAddress::parse("socks5h://me:secret@127.0.0.1:9").unwrap();
        proxies.set("shop", Some(own));
        let address = WhatsappAddress::Simulated {
            url: "ws://127.0.0.1:9".parse().unwrap(),
            ca_file: None,
        };
        let (clock, lifecycle) = (Clock::system(), Lifecycle::new());
        let outlets = Outlets::new(&address, proxies, clock, lifecycle).unwrap();
        let probe = outlets.find("shop").unwrap().outlet.proxy.unwrap();
        let failed = anyhow::anyhow!("error sending request");
        let error = format!("{:#}", probe.explain_failure(failed).await);
        assert!(error.contains("refused"), "not why: {error}");
        assert!(!error.contains("secret"), "{error}");
    }

    /// It may have been opened, and not started, or connect again before its end is noticed.
    #[tokio::test]
    async fn a_link_of_a_session_whose_proxy_was_changed_leaves_no_more() {
        install_crypto();
        let own = |port| ProxyAddress::parse(&format!("socks5h://127.0.0.1:{port}")).unwrap();
        let changes = [
            (None, Some(own(9))),
            (Some(own(9)), Some(own(10))),
            (Some(own(9)), None),
        ];
        for (before, after) in changes {
            let proxies = SessionProxies::new(None, LinkRoute::Proxy, EgressPolicy::All);
            proxies.set("shop", before.clone());
            let address = WhatsappAddress::Simulated {
                url: "ws://127.0.0.1:9".parse().unwrap(),
                ca_file: None,
            };
            let (clock, lifecycle) = (Clock::system(), Lifecycle::new());
            let outlets = Outlets::new(&address, proxies.clone(), clock, lifecycle).unwrap();
            let outlet = outlets.find("shop").unwrap();
            let tries = async || {
                let url = "http://127.0.0.1:9/".to_owned();
                let dialled = outlet.dialer.create_transport().await.err();
                let asked = outlet.http.execute(HttpRequest::get(url)).await.err();
                let version = outlet.find_version().await.err();
                [dialled, asked, version]
                    .map(|error| error.map_or_else(String::new, |error| format!("{error:#}")))
            };
            let refusal = "the proxy of the session was changed";
            // The same once more is no change.
            proxies.set("shop", before);
            assert!(tries().await.iter().all(|it| it != refusal));
            proxies.set("shop", after);
            assert_eq!(tries().await, [refusal; 3]);
        }
    }
}
