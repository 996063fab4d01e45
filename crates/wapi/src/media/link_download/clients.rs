//! Clients for callers' links: one that leaves directly, and one for each proxy.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Method, Response};
use url::Url;

use super::{FetchError, parse_web_address, unreachable_error};
use crate::net::egress::{EgressClients, EgressPolicy, redact_url};
use crate::net::proxy::{ProxyCache, ProxyClient, SessionProxies, SessionProxy};
use crate::net::tls::shared_client_config;

/// Time without data after which a download fails.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;

/// The clients of all sessions; cheap to clone.
#[derive(Clone)]
pub(super) struct LinkClients {
    direct: EgressClients,
    proxied: Arc<ProxyCache<ProxyClient>>,
    proxies: SessionProxies,
    allowed: EgressPolicy,
}

/// The way of a link.
enum LinkWay {
    Direct(Client),
    Proxied(ProxyClient),
}

impl LinkClients {
    pub fn new(allowed: EgressPolicy, proxies: SessionProxies) -> Result<Self> {
        Ok(Self {
            direct: allowed.build_clients(client_builder)?,
            proxied: Arc::default(),
            proxies,
            allowed,
        })
    }

    /// Fails for a link of a session that must not be fetched, as far as its address tells.
    pub fn check_link(&self, session: &str, url: &Url) -> Result<(), FetchError> {
        let checked = match self.proxies.find_for_links(session) {
            None => self.allowed.check_url(url),
            Some(proxy) => proxy.check_link(&self.allowed, url),
        };
        checked.map_err(FetchError::Forbidden)
    }

    /// Gets a link of a session, and follows redirects to links that may be fetched.
    ///
    /// Each redirect is a request of its own, and leaves as the session does then. A client that
    /// follows redirects itself takes the login for the proxy away from the next request, as it
    /// does with the login for a server.
    pub async fn get(&self, session: &str, mut url: Url) -> Result<Response, FetchError> {
        for _ in 0..=MAX_REDIRECTS {
            self.check_link(session, &url)?;
            let answer = match self.find_way(session)? {
                LinkWay::Direct(client) => client.get(url).send().await,
                LinkWay::Proxied(client) => client.send(client.request(Method::GET, url)).await,
            };
            let answer = answer.map_err(unreachable_error)?;
            let Some(next) = redirect_target(&answer) else {
                return Ok(answer);
            };
            url = parse_web_address(next?.as_str())?;
        }
        Err(FetchError::Unreachable(format!(
            "it redirects more than {MAX_REDIRECTS} times, at last to {}",
            redact_url(&url)
        )))
    }

    fn find_way(&self, session: &str) -> Result<LinkWay, FetchError> {
        Ok(match self.proxies.find_for_links(session) {
            None => LinkWay::Direct(self.direct.current().clone()),
            Some(proxy) => LinkWay::Proxied(self.find_proxied(&proxy)?),
        })
    }

    fn find_proxied(&self, proxy: &SessionProxy) -> Result<ProxyClient, FetchError> {
        proxy
            .ensure_allowed()
            .map_err(|error| FetchError::Unreachable(format!("the session's proxy {error}")))?;
        let built = self.proxied.get_or_build(proxy, || {
            let tls = shared_client_config();
            ProxyClient::build(proxy, client_builder(), self.allowed.clone(), &tls)
        });
        built.map_err(|error| FetchError::Unreachable(error.without_url().to_string()))
    }
}

/// Returns the link that the answer redirects to; `None` for one that does not redirect.
fn redirect_target(answer: &Response) -> Option<Result<Url, FetchError>> {
    let is_redirect = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = answer.headers().get(LOCATION).filter(|_| is_redirect)?;
    let location = str::from_utf8(location.as_bytes()).ok();
    let target = location.and_then(|location| answer.url().join(location).ok());
    Some(target.ok_or_else(|| FetchError::Unreachable("it redirects to no address".to_owned())))
}

fn client_builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("wapi/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .read_timeout(READ_TIMEOUT)
}
