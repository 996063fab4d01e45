//! Dials WhatsApp's WebSocket, and nobody else's.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use url::Url;
use whatsapp_rust::transport::{
    Connector, TokioWebSocketTransportFactory, Transport, TransportEvent, TransportFactory, default_tls_connector,
};

use super::signals::{Reports, Signal};
use crate::config::{Build, WhatsappAddress, is_loopback};

/// The way to `address`, with one TLS configuration for all sessions.
pub(super) fn dialer(address: &WhatsappAddress) -> Result<Arc<dyn TransportFactory>> {
    let (url, connector) = match address {
        WhatsappAddress::Real => (whatsapp_rust::wacore::net::WHATSAPP_WEB_WS_URL.parse()?, default_tls_connector()),
        WhatsappAddress::Simulated { url, ca_file } => (url.clone(), simulator_connector(ca_file.as_deref())?),
    };
    Ok(Arc::new(GuardedDialer {
        factory: TokioWebSocketTransportFactory::new().with_url(url.as_str()).with_connector(connector),
        url,
    }))
}

fn simulator_connector(ca_file: Option<&Path>) -> Result<Connector> {
    let Some(file) = ca_file else { return Ok(default_tls_connector()) };
    let roots = Arc::new(simulator_roots(file)?);
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(Connector::Rustls(tokio_rustls::TlsConnector::from(Arc::new(config))))
}

fn simulator_roots(file: &Path) -> Result<rustls::RootCertStore> {
    let mut roots = rustls::RootCertStore::empty();
    let problem = || format!("WAPI_WHATSAPP_CA_FILE names {}, which is no PEM certificate", file.display());
    for certificate in CertificateDer::pem_file_iter(file).with_context(problem)? {
        roots.add(certificate.with_context(problem)?).with_context(problem)?;
    }
    if roots.is_empty() {
        bail!(problem());
    }
    Ok(roots)
}

/// Refuses what this build must not dial.
///
/// A build with the `sandbox` feature does not check the certificate chain inside WhatsApp's handshake, so whoever sits between
/// could read everything: it may only talk to this very machine.
pub(super) fn may_dial(url: &Url) -> Result<()> {
    if Build::this() == Build::Sandbox && !is_loopback(url) {
        bail!(
            "this build carries the `sandbox` feature, which does not check WhatsApp's certificates: it dials nothing but \
             loopback, and {} is not. Build without that feature to talk to the real WhatsApp",
            url.host_str().unwrap_or("it")
        );
    }
    Ok(())
}

/// Asks [`may_dial`] each time.
struct GuardedDialer {
    url: Url,
    factory: TokioWebSocketTransportFactory,
}

pub(super) type Dialled = (Arc<dyn Transport>, whatsapp_rust::async_channel::Receiver<TransportEvent>);

#[async_trait]
impl TransportFactory for GuardedDialer {
    async fn create_transport(&self) -> Result<Dialled> {
        may_dial(&self.url)?;
        self.factory.create_transport().await
    }
}

/// Tells the session when dialling fails: the engine itself only logs it and tries again.
pub(super) struct ReportingDialer {
    inner: Arc<dyn TransportFactory>,
    reports: Reports,
}

impl ReportingDialer {
    pub fn new(inner: Arc<dyn TransportFactory>, reports: Reports) -> Self {
        Self { inner, reports }
    }
}

#[async_trait]
impl TransportFactory for ReportingDialer {
    async fn create_transport(&self) -> Result<Dialled> {
        self.reports.send(Signal::Dialling);
        let dialled = self.inner.create_transport().await;
        if let Err(error) = &dialled {
            self.reports.send(Signal::Unreachable { reason: format!("WhatsApp cannot be reached: {error:#}") });
        }
        dialled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_build_dials_loopback_only() {
        let real = Url::parse(whatsapp_rust::wacore::net::WHATSAPP_WEB_WS_URL).unwrap();
        let told = may_dial(&real).unwrap_err().to_string();
        assert!(told.contains("nothing but loopback"), "{told}");
        assert!(may_dial(&Url::parse("ws://192.168.1.1/ws/chat").unwrap()).is_err());
        may_dial(&Url::parse("ws://127.0.0.1:1/ws/chat").unwrap()).unwrap();
    }

    #[tokio::test]
    async fn the_real_whatsapp_is_refused_at_run_time() {
        let error = dialer(&WhatsappAddress::Real).unwrap().create_transport().await.err().unwrap();
        assert!(error.to_string().contains("nothing but loopback"), "{error}");
    }
}
