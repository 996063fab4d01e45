//! Clients for callers' links: one that leaves directly, and one for each proxy.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use reqwest::{Client, ClientBuilder};
use url::Url;

use super::FetchError;
use crate::net::egress::{EgressClients, EgressPolicy, follow_redirects};
use crate::net::proxy::{ProxyCache, SessionProxies, SessionProxy};
use crate::net::tls::shared_client_config;

/// Time without data after which a download fails.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;

/// The clients of all sessions; cheap to clone.
#[derive(Clone)]
pub(super) struct LinkClients {
    direct: EgressClients,
    proxied: Arc<ProxyCache<Client>>,
    proxies: SessionProxies,
    allowed: EgressPolicy,
}

impl LinkClients {
    pub fn new(allowed: EgressPolicy, proxies: SessionProxies) -> Result<Self> {
        let redirects = || allowed.redirect_policy(MAX_REDIRECTS);
        Ok(Self {
            direct: allowed.build_clients(|| client_builder().redirect(redirects()))?,
            proxied: Arc::default(),
            proxies,
            allowed,
        })
    }

    /// Returns the client for a link of a session, if the link may be fetched.
    pub fn find_client(&self, session: &str, url: &Url) -> Result<Client, FetchError> {
        let Some(proxy) = self.proxies.find_for_links(session) else {
            self.allowed.check_url(url).map_err(FetchError::Forbidden)?;
            return Ok(self.direct.current().clone());
        };
        proxy
            .check_link(&self.allowed, url)
            .map_err(FetchError::Forbidden)?;
        proxy
            .ensure_allowed()
            .map_err(|error| FetchError::Unreachable(format!("the session's proxy {error}")))?;
        self.proxied
            .get_or_build(&proxy, || self.build_client(&proxy))
            .map_err(|error| FetchError::Unreachable(error.without_url().to_string()))
    }

    fn build_client(&self, proxy: &SessionProxy) -> reqwest::Result<Client> {
        let (of_links, targets) = (proxy.clone(), self.allowed.clone());
        let redirects =
            follow_redirects(MAX_REDIRECTS, move |url| of_links.check_link(&targets, url));
        let builder = client_builder().redirect(redirects);
        proxy
            .configure_client(builder, self.allowed.clone(), &shared_client_config())?
            .build()
    }
}

fn client_builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("wapi/", env!("CARGO_PKG_VERSION")))
        .read_timeout(READ_TIMEOUT)
}
