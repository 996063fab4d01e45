//! HTTP clients that leave through one proxy alone.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, Method, Proxy, RequestBuilder, Response};
use url::{Host, Url};

use super::SessionProxy;
use crate::net::egress::{EgressPolicy, ForbiddenTargetError};

/// Hosts whose addresses are remembered; beyond that, all are forgotten.
const MAX_HOSTS: usize = 256;

/// A client that leaves through one proxy, or not at all; cheap to clone.
#[derive(Clone)]
pub struct ProxyClient {
    client: Client,
    names: Arc<ProxyResolver>,
}

impl ProxyClient {
    /// Builds a client that resolves no names but that of the proxy; for a proxy that leaves it to
    /// the gateway, also names with an address that `targets` allows.
    pub fn build(
        proxy: &SessionProxy,
        builder: ClientBuilder,
        targets: EgressPolicy,
        tls: &rustls::ClientConfig,
    ) -> reqwest::Result<Self> {
        let names = Arc::new(ProxyResolver {
            proxy: proxy.clone(),
            targets: proxy.address.is_resolving_here().then_some(targets),
            hosts: Arc::default(),
        });
        let mut tls = tls.clone();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // First, no proxy of the environment.
        let client = builder
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .proxy(Proxy::all(proxy.address.to_secret_url())?)
            .dns_resolver(Arc::clone(&names))
            .build()?;
        Ok(Self { client, names })
    }

    /// Begins a request, which [`Self::send`] sends.
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends a request. Where the gateway resolves names, the next address of the host is tried
    /// while the proxy does not connect. A body that is a stream is sent once; the next request
    /// begins with the next address.
    pub async fn send(&self, request: RequestBuilder) -> reqwest::Result<Response> {
        let (_, request) = request.build_split();
        let mut request = request?;
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let mut tries = 0;
        loop {
            let again = request.try_clone();
            let error = match self.client.execute(request).await {
                Err(error) if error.is_connect() => error,
                result => return result,
            };
            tries += 1;
            let known = self.names.skip_address(&host);
            match again {
                Some(again) if tries < known => request = again,
                _ => return Err(error),
            }
        }
    }
}

/// Resolves the name of the proxy, and others only for a proxy that leaves it to the gateway.
struct ProxyResolver {
    proxy: SessionProxy,
    targets: Option<EgressPolicy>,
    /// The addresses of the hosts that are resolved here.
    hosts: Arc<Mutex<HashMap<String, HostAddresses>>>,
}

/// The addresses of a host. The proxy is asked for the first.
#[derive(Default)]
struct HostAddresses {
    found: Vec<SocketAddr>,
    /// Those to which the proxy did not connect; they come last.
    failed: HashSet<IpAddr>,
}

impl HostAddresses {
    /// Sorts the addresses, which otherwise keep the order of the system.
    fn sort_found(&mut self, mut found: Vec<SocketAddr>) -> Vec<SocketAddr> {
        if found.iter().all(|it| self.failed.contains(&it.ip())) {
            self.failed.clear();
        }
        found.sort_by_key(|it| self.failed.contains(&it.ip()));
        self.found.clone_from(&found);
        found
    }
}

impl ProxyResolver {
    /// Puts the address of a host that was tried last behind the others. Returns the number of
    /// its addresses, 0 for a host that is not resolved here.
    fn skip_address(&self, host: &str) -> usize {
        self.hosts.lock().get_mut(host).map_or(0, |host| {
            host.failed.extend(host.found.first().map(SocketAddr::ip));
            host.found.len()
        })
    }
}

impl Resolve for ProxyResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let is_proxy = matches!(
            self.proxy.address.host(),
            Host::Domain(own) if own.eq_ignore_ascii_case(name.as_str())
        );
        let (allowed, hosts) = if is_proxy {
            (Some(self.proxy.allowed.clone()), None)
        } else {
            (self.targets.clone(), Some(Arc::clone(&self.hosts)))
        };
        Box::pin(async move {
            let allowed = allowed.ok_or("the proxy resolves names, and not the gateway")?;
            // An address of IPv6 has brackets in a URL only.
            let host = name.as_str().trim_matches(['[', ']']);
            let found = tokio::net::lookup_host((host, 0)).await?;
            let mut found: Vec<SocketAddr> = found
                .filter(|found| allowed.check_address(found.ip()).is_ok())
                .collect();
            if found.is_empty() {
                return Err(ForbiddenTargetError.into());
            }
            if let Some(hosts) = hosts {
                let mut hosts = hosts.lock();
                if hosts.len() >= MAX_HOSTS && !hosts.contains_key(name.as_str()) {
                    hosts.clear();
                }
                let host = hosts.entry(name.as_str().to_owned()).or_default();
                found = host.sort_found(found);
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_which_the_proxy_did_not_connect_comes_last_until_all_have_failed() {
        let [a, b, c] = ["[::1]:0", "127.0.0.1:0", "127.0.0.2:0"].map(|it| it.parse().unwrap());
        let mut host = HostAddresses::default();
        assert_eq!(host.sort_found(vec![a, b, c]), [a, b, c]);
        host.failed.insert(a.ip());
        assert_eq!(host.sort_found(vec![a, b, c]), [b, c, a]);
        host.failed.insert(b.ip());
        assert_eq!(host.sort_found(vec![c, a, b]), [c, a, b]);
        host.failed.insert(c.ip());
        assert_eq!(host.sort_found(vec![a, b, c]), [a, b, c]);
    }
}
