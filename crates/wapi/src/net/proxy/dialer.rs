//! Connections through a proxy, and the faults of proxies.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;
use tokio_socks::{Error as SocksError, TargetAddr};
use url::Host;

use super::{ProxyScheme, SessionProxy};
use crate::net::egress::{EgressPolicy, ForbiddenTargetError};
use crate::system::clock::Clock;

/// Time for a proxy to accept a connection, and again to open the way to the target.
pub const PROXY_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection through a proxy.
pub trait ProxyStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ProxyStream for S {}

/// The reason why there is no connection through a proxy. Names the proxy without its login.
#[derive(Debug, thiserror::Error)]
#[error("the proxy {proxy} {fault}")]
pub struct ProxyError {
    proxy: String,
    pub fault: ProxyFault,
}

/// The fault of a proxy.
#[derive(Debug)]
pub enum ProxyFault {
    Forbidden,
    Unreachable(String),
    /// No TLS connection to the proxy itself.
    Tls(String),
    Silent,
    LoginRequired,
    LoginRefused,
    /// The proxy works, and does not connect to the target.
    TargetRefused(String),
    /// The gateway, which resolves names for this proxy, found no address of the target.
    Unresolved(String),
    /// Not an answer of such a proxy.
    Protocol(String),
}

impl ProxyFault {
    /// Returns the word for this fault in answers.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Unreachable(_) => "unreachable",
            Self::Tls(_) => "tls",
            Self::Silent => "silent",
            Self::LoginRequired => "login_required",
            Self::LoginRefused => "login_refused",
            Self::TargetRefused(_) => "target_refused",
            Self::Unresolved(_) => "unresolved",
            Self::Protocol(_) => "protocol",
        }
    }

    /// All [codes](Self::code).
    pub const CODES: [&'static str; 9] = [
        "forbidden",
        "unreachable",
        "tls",
        "silent",
        "login_required",
        "login_refused",
        "target_refused",
        "unresolved",
        "protocol",
    ];

    /// Whether a connection to the proxy was made.
    pub const fn is_reached(&self) -> bool {
        !matches!(
            self,
            Self::Forbidden | Self::Unreachable(_) | Self::Tls(_) | Self::Unresolved(_)
        )
    }

    /// Whether the proxy accepted the login, or needed none; `None` if that is unknown.
    pub const fn is_authenticated(&self) -> Option<bool> {
        match self {
            Self::LoginRequired | Self::LoginRefused => Some(false),
            Self::TargetRefused(_) => Some(true),
            _ => None,
        }
    }
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden => ForbiddenTargetError.fmt(formatter),
            Self::Unreachable(detail) => write!(formatter, "cannot be reached: {detail}"),
            Self::Tls(detail) => write!(formatter, "does not speak TLS as expected: {detail}"),
            Self::Silent => write!(formatter, "did not answer within {PROXY_TIMEOUT:?}"),
            Self::LoginRequired => formatter.write_str("asks for a user and a password"),
            Self::LoginRefused => formatter.write_str("does not accept the user or the password"),
            Self::TargetRefused(detail) => write!(formatter, "does not connect: {detail}"),
            Self::Unresolved(detail) => write!(
                formatter,
                "was not asked, since the gateway found no address: {detail}"
            ),
            Self::Protocol(detail) => write!(formatter, "does not answer as expected: {detail}"),
        }
    }
}

/// Connects to targets through one proxy.
#[derive(Clone)]
pub struct ProxyDialer {
    proxy: SessionProxy,
    /// The TLS of the connection to the proxy itself.
    tls: Arc<rustls::ClientConfig>,
    clock: Clock,
}

impl ProxyDialer {
    pub fn new(proxy: SessionProxy, tls: Arc<rustls::ClientConfig>, clock: Clock) -> Self {
        Self { proxy, tls, clock }
    }

    /// Returns the clock that measures its limits.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns the proxy.
    pub const fn proxy(&self) -> &SessionProxy {
        &self.proxy
    }

    /// Opens a connection to a host, without brackets around an IPv6 address.
    pub async fn connect(&self, host: &str, port: u16) -> Result<Box<dyn ProxyStream>, ProxyError> {
        let opened = self.try_targets(host, port).await;
        opened.map_err(|fault| ProxyError {
            proxy: self.proxy.address.to_string(),
            fault,
        })
    }

    /// Asks the proxy for one target after the other until it connects to one. All of them share the
    /// time of one, since the engine waits no longer.
    async fn try_targets(&self, host: &str, port: u16) -> Result<Box<dyn ProxyStream>, ProxyFault> {
        let mut targets = self.find_targets(host, port).await?;
        let share = PROXY_TIMEOUT / u32::try_from(targets.len()).unwrap_or(u32::MAX).max(1);
        let last = targets.pop();
        for target in targets {
            match self.connect_to_target(&target, share).await {
                // The next may be of a kind that the proxy can reach.
                Err(ProxyFault::TargetRefused(_) | ProxyFault::Silent) => {}
                result => return result,
            }
        }
        let last = last.ok_or_else(|| ProxyFault::Unresolved("the name has no address".into()))?;
        self.connect_to_target(&last, share).await
    }

    /// Returns the targets to ask the proxy for: more than one only if the gateway resolves names.
    async fn find_targets(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Vec<TargetAddr<'static>>, ProxyFault> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![TargetAddr::Ip((address, port).into())]);
        }
        if !self.proxy.address.is_resolving_here() {
            return Ok(vec![TargetAddr::Domain(host.to_owned().into(), port)]);
        }
        let resolved = self.clock.timeout(PROXY_TIMEOUT, resolve_name(host, port));
        let found = resolved.await.unwrap_or_else(|late| Err(late.to_string()));
        let found = found.map_err(ProxyFault::Unresolved)?;
        Ok(found.into_iter().map(TargetAddr::Ip).collect())
    }

    async fn connect_to_target(
        &self,
        target: &TargetAddr<'_>,
        limit: Duration,
    ) -> Result<Box<dyn ProxyStream>, ProxyFault> {
        let socket = self.in_time(PROXY_TIMEOUT, self.connect_to_proxy()).await;
        let socket = match socket {
            Err(ProxyFault::Silent) => Err(ProxyFault::Unreachable(format!(
                "no connection within {PROXY_TIMEOUT:?}"
            ))),
            socket => socket,
        }?;
        self.in_time(limit, self.open_tunnel(socket, target)).await
    }

    async fn in_time<T>(
        &self,
        limit: Duration,
        step: impl Future<Output = Result<T, ProxyFault>>,
    ) -> Result<T, ProxyFault> {
        let step = self.clock.timeout(limit, step).await;
        step.unwrap_or(Err(ProxyFault::Silent))
    }

    async fn connect_to_proxy(&self) -> Result<TcpStream, ProxyFault> {
        let (host, port) = (self.proxy.address.host(), self.proxy.address.port());
        let found = match host {
            Host::Domain(name) => resolve_name(name, port)
                .await
                .map_err(ProxyFault::Unreachable)?,
            Host::Ipv4(address) => vec![SocketAddr::from((*address, port))],
            Host::Ipv6(address) => vec![SocketAddr::from((*address, port))],
        };
        let allowed = keep_allowed(&self.proxy.allowed, found)?;
        // One after the other.
        let socket = TcpStream::connect(allowed.as_slice()).await;
        let socket = socket.map_err(|error| ProxyFault::Unreachable(error.to_string()))?;
        // Frames leave at once.
        let _ = socket.set_nodelay(true);
        Ok(socket)
    }

    async fn open_tunnel(
        &self,
        socket: TcpStream,
        target: &TargetAddr<'_>,
    ) -> Result<Box<dyn ProxyStream>, ProxyFault> {
        match self.proxy.address.scheme() {
            ProxyScheme::Socks5 | ProxyScheme::Socks5h => self.connect_socks(socket, target).await,
            ProxyScheme::Http => self.connect_http(socket, target).await,
            ProxyScheme::Https => {
                let name = self.proxy.address.host().to_string();
                let name = name
                    .trim_start_matches('[')
                    .trim_end_matches(']')
                    .to_owned();
                let name = ServerName::try_from(name)
                    .map_err(|error| ProxyFault::Tls(error.to_string()))?;
                let socket = tokio_rustls::TlsConnector::from(Arc::clone(&self.tls))
                    .connect(name, socket)
                    .await
                    .map_err(|error| ProxyFault::Tls(error.to_string()))?;
                self.connect_http(socket, target).await
            }
        }
    }

    async fn connect_socks(
        &self,
        socket: TcpStream,
        target: &TargetAddr<'_>,
    ) -> Result<Box<dyn ProxyStream>, ProxyFault> {
        let target = target.clone();
        let stream = match self.proxy.address.login() {
            None => Socks5Stream::connect_with_socket(socket, target).await,
            Some(login) => {
                let (user, password) = (&login.user, &login.password);
                Socks5Stream::connect_with_password_and_socket(socket, target, user, password).await
            }
        };
        match stream {
            Ok(stream) => Ok(Box::new(stream.into_inner())),
            Err(error) => Err(socks_fault(&error, self.proxy.address.login().is_some())),
        }
    }

    async fn connect_http(
        &self,
        socket: impl ProxyStream + 'static,
        target: &TargetAddr<'_>,
    ) -> Result<Box<dyn ProxyStream>, ProxyFault> {
        let protocol = |error: hyper::Error| ProxyFault::Protocol(error.to_string());
        let target = match target {
            TargetAddr::Ip(address) => address.to_string(),
            TargetAddr::Domain(name, port) => format!("{name}:{port}"),
        };
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(&target)
            .header(HOST, &target)
            .body(String::new())
            .map_err(|error| ProxyFault::Protocol(error.to_string()))?;
        if let Some(login) = self.proxy.address.login()
            && let Ok(mut value) = HeaderValue::from_str(&login.to_basic())
        {
            value.set_sensitive(true);
            request.headers_mut().insert(PROXY_AUTHORIZATION, value);
        }
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket))
            .await
            .map_err(protocol)?;
        let exchange = async move {
            let response = sender.send_request(request).await.map_err(protocol)?;
            match response.status().as_u16() {
                200..=299 => hyper::upgrade::on(response).await.map_err(protocol),
                407 => Err(match self.proxy.address.login() {
                    Some(_) => ProxyFault::LoginRefused,
                    None => ProxyFault::LoginRequired,
                }),
                status @ (400 | 404 | 405) => {
                    Err(ProxyFault::Protocol(format!("it answered {status}")))
                }
                status => Err(ProxyFault::TargetRefused(format!("it answered {status}"))),
            }
        };
        // The connection needs to be driven until it is handed over.
        let upgraded = match select(pin!(exchange), pin!(connection.with_upgrades())).await {
            Either::Left((upgraded, _)) => upgraded,
            Either::Right((_, exchange)) => exchange.await,
        };
        Ok(Box::new(TokioIo::new(upgraded?)))
    }
}

/// Resolves a name as the system does.
async fn resolve_name(name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    match tokio::net::lookup_host((name, port)).await {
        Ok(found) => Ok(found.collect()),
        Err(error) => Err(error.to_string()),
    }
}

fn keep_allowed(
    allowed: &EgressPolicy,
    found: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, ProxyFault> {
    let found = found.into_iter();
    let kept: Vec<_> = found
        .filter(|found| allowed.check_address(found.ip()).is_ok())
        .collect();
    if kept.is_empty() {
        Err(ProxyFault::Forbidden)
    } else {
        Ok(kept)
    }
}

fn socks_fault(error: &SocksError, has_login: bool) -> ProxyFault {
    let refused = |detail: &str| ProxyFault::TargetRefused(detail.to_owned());
    match error {
        SocksError::PasswordAuthFailure(_) => ProxyFault::LoginRefused,
        SocksError::AuthorizationRequired => ProxyFault::LoginRequired,
        SocksError::NoAcceptableAuthMethods if has_login => ProxyFault::LoginRefused,
        SocksError::NoAcceptableAuthMethods => ProxyFault::LoginRequired,
        SocksError::GeneralSocksServerFailure => refused("general failure"),
        SocksError::ConnectionNotAllowedByRuleset => refused("not allowed by its rules"),
        SocksError::NetworkUnreachable => refused("network unreachable"),
        SocksError::HostUnreachable => refused("host unreachable"),
        SocksError::ConnectionRefused => refused("connection refused"),
        SocksError::TtlExpired => refused("it took too long"),
        SocksError::CommandNotSupported | SocksError::AddressTypeNotSupported => {
            refused("it does not support such addresses")
        }
        error => ProxyFault::Protocol(error.to_string()),
    }
}
