//! The claim of a session to its outlet, which ends when the session gets another proxy. A link that
//! was opened before then leaves no more.

use std::sync::Arc;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use whatsapp_rust::http::{HttpClient, HttpRequest, HttpResponse};
use whatsapp_rust::transport::TransportFactory;
use whatsapp_rust::wacore::net::{StreamingHttpResponse, UploadBody};
use whatsapp_rust::wacore::stats::HttpResourceReport;

use super::transport::DialledTransport;
use crate::net::proxy::{ProxyOrigin, SessionProxies, SessionProxy};

/// A session, and the proxy that it had when its outlet was found.
#[derive(Clone)]
pub(in crate::whatsapp) struct OutletClaim {
    session: String,
    proxy: Option<SessionProxy>,
    proxies: SessionProxies,
}

impl OutletClaim {
    pub fn new(session: &str, proxy: Option<SessionProxy>, proxies: SessionProxies) -> Self {
        Self {
            session: session.to_owned(),
            proxy,
            proxies,
        }
    }

    /// Whether the proxy is the session's own, and not the operator's.
    pub fn has_own_proxy(&self) -> bool {
        let proxy = self.proxy.as_ref();
        proxy.is_some_and(|proxy| proxy.origin == ProxyOrigin::Session)
    }

    /// Fails once the session has another proxy, or none any more.
    pub fn check(&self) -> Result<()> {
        let current = self.proxies.find(&self.session);
        let is_same = match (&self.proxy, &current) {
            (Some(claimed), Some(current)) => claimed.is_same(current),
            (claimed, current) => claimed.is_none() && current.is_none(),
        };
        ensure!(is_same, "the proxy of the session was changed");
        Ok(())
    }
}

/// Checks the claim at each dial.
pub(in crate::whatsapp) struct ClaimedDialer {
    pub claim: OutletClaim,
    pub dialer: Arc<dyn TransportFactory>,
}

#[async_trait]
impl TransportFactory for ClaimedDialer {
    async fn create_transport(&self) -> Result<DialledTransport> {
        self.claim.check()?;
        self.dialer.create_transport().await
    }
}

/// Checks the claim at each request.
pub(in crate::whatsapp) struct ClaimedClient {
    pub claim: OutletClaim,
    pub http: Arc<dyn HttpClient>,
}

#[async_trait]
impl HttpClient for ClaimedClient {
    async fn execute(&self, request: HttpRequest) -> Result<HttpResponse> {
        self.claim.check()?;
        self.http.execute(request).await
    }

    fn supports_streaming(&self) -> bool {
        self.http.supports_streaming()
    }

    fn execute_streaming(&self, request: HttpRequest) -> Result<StreamingHttpResponse> {
        self.claim.check()?;
        self.http.execute_streaming(request)
    }

    fn supports_upload_streaming(&self) -> bool {
        self.http.supports_upload_streaming()
    }

    fn execute_upload(
        &self,
        request: HttpRequest,
        body: UploadBody,
        length: u64,
    ) -> Result<HttpResponse> {
        self.claim.check()?;
        self.http.execute_upload(request, body, length)
    }

    fn resource_report(&self) -> Option<HttpResourceReport> {
        self.http.resource_report()
    }
}
