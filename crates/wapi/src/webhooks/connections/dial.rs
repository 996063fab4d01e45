//! Opening of connections to receivers: names resolved under the egress policy, then TLS.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::Receiver;
use super::connection::Connection;
use crate::config::Environment;
use crate::net::egress::{EgressPolicy, PolicyResolver};
use crate::net::tls;

/// Silence after which the kernel probes whether the receiver is still there, and again after as long.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 3;
/// Time that sent bytes may stay unacknowledged.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(30);

/// A new connection.
pub enum DialedConnection {
    Http1(Connection),
    /// Closed again, since the receiver chose HTTP/2.
    Http2,
}

/// Opens connections.
pub struct Dialer {
    unrestricted: HttpConnector<PolicyResolver>,
    restricted: HttpConnector<PolicyResolver>,
    tls: TlsConnector,
}

impl Dialer {
    pub fn new(environment: Environment, allowed: &EgressPolicy) -> Self {
        let mut config = match environment {
            Environment::Dev => tls::unverified_client_config(),
            Environment::Prod => ClientConfig::clone(&tls::shared_client_config()),
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A session that is resumed has the protocol that was chosen when it began.
        config.resumption = rustls::client::Resumption::default();
        Self {
            unrestricted: connector(EgressPolicy::All),
            restricted: connector(allowed.clone()),
            tls: TlsConnector::from(Arc::new(config)),
        }
    }

    pub async fn dial(
        &self,
        receiver: &Receiver,
    ) -> Result<DialedConnection, Box<dyn Error + Send + Sync>> {
        let stream = self.connect(receiver).await?;
        if !receiver.is_tls {
            let connection = Connection::start(Box::new(stream)).await?;
            return Ok(DialedConnection::Http1(connection));
        }
        let host = receiver.host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host)?;
        let stream = self.tls.connect(name, stream).await?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            return Ok(DialedConnection::Http2);
        }
        let connection = Connection::start(Box::new(stream)).await?;
        Ok(DialedConnection::Http1(connection))
    }

    async fn connect(
        &self,
        receiver: &Receiver,
    ) -> Result<TcpStream, Box<dyn Error + Send + Sync>> {
        let mut connector = match receiver.is_restricted {
            true => self.restricted.clone(),
            false => self.unrestricted.clone(),
        };
        let scheme = if receiver.is_tls { "https" } else { "http" };
        let address: Uri = format!("{scheme}://{}:{}", receiver.host, receiver.port)
            .parse()
            .context("reading the host")?;
        // It is always ready.
        let stream = connector.call(address).await?;
        Ok(stream.into_inner())
    }
}

fn connector(allowed: EgressPolicy) -> HttpConnector<PolicyResolver> {
    let mut connector = HttpConnector::new_with_resolver(PolicyResolver(allowed));
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE));
    connector.set_keepalive_retries(Some(KEEPALIVE_PROBES));
    #[cfg(target_os = "linux")]
    connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIMEOUT));
    connector
}
