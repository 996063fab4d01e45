//! Dialer of WhatsApp's WebSocket, and of no other host.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{HeaderValue, ORIGIN};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, Connector};
use url::Url;
use whatsapp_rust::async_channel::Receiver;
use whatsapp_rust::transport::{
    Transport, TransportEvent, TransportFactory, default_tls_connector, from_websocket,
};
use whatsapp_rust::wacore::net::{WHATSAPP_WEB_ORIGIN, WHATSAPP_WEB_WS_URL};
use whatsapp_rust::wacore::stats::TransportResourceReport;

use super::link_events::{LinkEvent, LinkEventSender};
use crate::config::{BuildKind, WhatsappAddress, is_loopback};
use crate::net::proxy::{PROXY_TIMEOUT, ProxyDialer, ProxyError};
use crate::system::clock::Clock;

/// Time for TLS and the WebSocket through a proxy.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(8);
/// Time for a connection through a proxy with all its steps: less than the 20 seconds that the engine
/// waits for one, since it would never say why it gives up.
const PROXIED_DIAL_TIMEOUT: Duration = Duration::from_secs(18);

/// Returns the dialer of `address`, with one TLS configuration for all sessions.
pub(in crate::whatsapp) fn build_dialer(address: &WhatsappAddress) -> Result<GuardedDialer> {
    let (url, connector) = match address {
        WhatsappAddress::Real => (WHATSAPP_WEB_WS_URL.parse()?, default_tls_connector()),
        WhatsappAddress::Simulated { url, ca_file } => {
            (url.clone(), simulator_connector(ca_file.as_deref())?)
        }
    };
    Ok(GuardedDialer {
        connector: Arc::new(if url.scheme() == "wss" {
            connector
        } else {
            Connector::Plain
        }),
        url,
        proxy: None,
    })
}

fn simulator_connector(ca_file: Option<&Path>) -> Result<Connector> {
    let Some(file) = ca_file else {
        return Ok(default_tls_connector());
    };
    let roots = Arc::new(load_simulator_roots(file)?);
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Connector::Rustls(tokio_rustls::TlsConnector::from(
        Arc::new(config),
    )))
}

fn load_simulator_roots(file: &Path) -> Result<rustls::RootCertStore> {
    let mut roots = rustls::RootCertStore::empty();
    let problem = || {
        format!(
            "WAPI_WHATSAPP_CA_FILE names {}, which is not a PEM certificate",
            file.display()
        )
    };
    for certificate in CertificateDer::pem_file_iter(file).with_context(problem)? {
        roots
            .add(certificate.with_context(problem)?)
            .with_context(problem)?;
    }
    if roots.is_empty() {
        bail!(problem());
    }
    Ok(roots)
}

/// Refuses the addresses that this build must not dial.
///
/// A build with the `sandbox` feature does not check the certificate chain inside WhatsApp's
/// handshake, so anybody in between could read everything: it may only talk to this very machine.
pub(in crate::whatsapp) fn ensure_may_dial(url: &Url) -> Result<()> {
    if BuildKind::current() == BuildKind::Sandbox && !is_loopback(url) {
        bail!(
            "this build has the `sandbox` feature, which does not check WhatsApp's certificates: it connects only to \
             loopback, and {} is not. Build without that feature to connect to the real WhatsApp",
            url.host_str().unwrap_or("it")
        );
    }
    Ok(())
}

/// Checks [`ensure_may_dial`] each time.
#[derive(Clone)]
pub(in crate::whatsapp) struct GuardedDialer {
    url: Url,
    connector: Arc<Connector>,
    /// With a proxy, nothing is dialled but the proxy.
    proxy: Option<ProxyDialer>,
}

pub(in crate::whatsapp) type DialledTransport = (Arc<dyn Transport>, Receiver<TransportEvent>);

#[async_trait]
impl TransportFactory for GuardedDialer {
    async fn create_transport(&self) -> Result<DialledTransport> {
        let (host, port) = self.target()?;
        match &self.proxy {
            Some(proxy) => {
                let dial = async {
                    let upgrade = self.upgrade(host, proxy.connect(host, port).await?);
                    let upgraded = proxy.clock().timeout(UPGRADE_TIMEOUT, upgrade).await;
                    upgraded
                        .context("the proxy connects to WhatsApp, and nothing comes through it")?
                };
                let dialled = proxy.clock().timeout(PROXIED_DIAL_TIMEOUT, dial).await;
                dialled.context("the proxy takes too long to connect to WhatsApp")?
            }
            None => self.upgrade(host, connect(host, port).await?).await,
        }
    }
}

impl GuardedDialer {
    /// Returns a dialer that leaves through the proxy alone.
    pub fn through_proxy(&self, proxy: ProxyDialer) -> Self {
        Self {
            proxy: Some(proxy),
            ..self.clone()
        }
    }

    fn target(&self) -> Result<(&str, u16)> {
        ensure_may_dial(&self.url)?;
        let host = self.url.host_str().context("the address has no host")?;
        let port = self
            .url
            .port_or_known_default()
            .context("the address has no port")?;
        Ok((strip_brackets(host), port))
    }

    /// Connects to WhatsApp through the proxy, up to the TLS handshake, and closes the connection.
    /// Returns the proxy's fault; within, WhatsApp's.
    pub async fn probe_proxy(
        &self,
        proxy: &ProxyDialer,
        clock: &Clock,
    ) -> Result<std::result::Result<Result<()>, ProxyError>> {
        let (host, port) = self.target()?;
        let socket = match proxy.connect(host, port).await {
            Ok(socket) => socket,
            Err(error) => return Ok(Err(error)),
        };
        let secured = clock
            .timeout(PROXY_TIMEOUT, self.connector.wrap(host, socket))
            .await;
        Ok(Ok(match secured {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(error) => Err(error.into()),
        }))
    }

    async fn upgrade<S>(&self, host: &str, socket: S) -> Result<DialledTransport>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let socket = self.connector.wrap(host, socket).await.context("TLS")?;
        let (socket, _) = ClientBuilder::new()
            .uri(self.url.as_str())?
            .add_header(ORIGIN, HeaderValue::from_static(WHATSAPP_WEB_ORIGIN))?
            .connect_on(socket)
            .await
            .context("upgrading to a WebSocket")?;
        Ok(from_websocket(socket))
    }
}

/// Connects with `TCP_NODELAY`, so that frames leave at once. Otherwise the kernel holds each small
/// one back until the one before is acknowledged, and nobody answers the gateway's acks: the next
/// message would wait for the other side's delayed acknowledgement, 40 ms or a round trip.
async fn connect(host: &str, port: u16) -> Result<TcpStream> {
    let socket = TcpStream::connect((host, port)).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Returns a host as it is resolved: an IPv6 address has brackets in a URL only.
fn strip_brackets(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Reports failed dialling, and connections that the engine closes while they are up: the engine
/// only logs the former, and is silent about the latter.
pub(in crate::whatsapp) struct ReportingDialer {
    inner: Arc<dyn TransportFactory>,
    reports: LinkEventSender,
}

impl ReportingDialer {
    pub fn new(inner: Arc<dyn TransportFactory>, reports: LinkEventSender) -> Self {
        Self { inner, reports }
    }
}

#[async_trait]
impl TransportFactory for ReportingDialer {
    async fn create_transport(&self) -> Result<DialledTransport> {
        self.reports.send(LinkEvent::Dialling);
        match self.inner.create_transport().await {
            Ok((inner, events)) => {
                let transport = ReportingTransport {
                    inner,
                    events: events.clone(),
                    reports: self.reports.clone(),
                };
                Ok((Arc::new(transport), events))
            }
            Err(error) => {
                self.reports.send(LinkEvent::Unreachable {
                    reason: format!("WhatsApp cannot be reached: {error:#}"),
                });
                Err(error)
            }
        }
    }
}

/// A connection, and whether it is still up.
struct ReportingTransport {
    inner: Arc<dyn Transport>,
    /// Closed when the connection has ended, which the engine notices by itself. Nothing is read
    /// from it here.
    events: Receiver<TransportEvent>,
    reports: LinkEventSender,
}

#[async_trait]
impl Transport for ReportingTransport {
    async fn send(&self, data: Bytes) -> Result<()> {
        self.inner.send(data).await
    }

    async fn disconnect(&self) {
        if !self.events.is_closed() {
            self.reports.send(LinkEvent::Closed);
        }
        self.inner.disconnect().await;
    }

    fn resource_report(&self) -> Option<TransportResourceReport> {
        self.inner.resource_report()
    }
}

#[cfg(test)]
mod tests {
    use crate::whatsapp::connection::transport::*;

    #[test]
    fn a_sandbox_build_dials_loopback_only() {
        let real = Url::parse(WHATSAPP_WEB_WS_URL).unwrap();
        let error = ensure_may_dial(&real).unwrap_err().to_string();
        assert!(error.contains("only to loopback"), "{error}");
        assert!(ensure_may_dial(&Url::parse("ws://192.168.1.1/ws/chat").unwrap()).is_err());
        ensure_may_dial(&Url::parse("ws://127.0.0.1:1/ws/chat").unwrap()).unwrap();
    }

    #[tokio::test]
    async fn small_frames_are_not_held_back_on_the_line() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = connect("127.0.0.1", listener.local_addr().unwrap().port())
            .await
            .unwrap();
        assert!(socket.nodelay().unwrap());
    }

    #[tokio::test]
    async fn the_real_whatsapp_is_refused_at_run_time() {
        let error = build_dialer(&WhatsappAddress::Real)
            .unwrap()
            .create_transport()
            .await
            .err()
            .unwrap();
        assert!(error.to_string().contains("only to loopback"), "{error}");
    }
}
