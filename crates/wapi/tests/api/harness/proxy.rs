//! Proxies of tests: a SOCKS5 server and one for CONNECT. Both connect to loopback only, and alone know the names they are told of.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fast_socks5::ReplyError;
use fast_socks5::server::Socks5ServerProtocol;
use fast_socks5::util::target_addr::TargetAddr;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
    copy_bidirectional,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The user of a proxy that asks for a login, and its password, which has all signs that matter in addresses.
pub const USER: &str = "tenant-7";
pub const PASSWORD: &str = "p@ss:w/rd%#é";

/// A proxy on loopback; it ends with the test.
pub struct TestProxy {
    pub address: SocketAddr,
    scheme: &'static str,
    has_login: bool,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    has_login: bool,
    names: Mutex<BTreeMap<String, SocketAddr>>,
    /// What was asked for, as `host:port`.
    asked: Mutex<Vec<String>>,
    /// Where tunnels were opened to.
    opened: Mutex<Vec<SocketAddr>>,
}

impl TestProxy {
    /// SOCKS5 that asks for the login.
    pub async fn socks() -> Self {
        Self::start("socks5h", true, None).await
    }

    /// CONNECT that asks for the login.
    pub async fn connect() -> Self {
        Self::start("http", true, None).await
    }

    /// CONNECT over TLS that asks for the login.
    pub async fn connect_over_tls(tls: rustls::ServerConfig) -> Self {
        Self::start("https", true, Some(TlsAcceptor::from(Arc::new(tls)))).await
    }

    /// SOCKS5 for everybody.
    pub async fn open_socks() -> Self {
        Self::start("socks5h", false, None).await
    }

    async fn start(scheme: &'static str, has_login: bool, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let inner = Arc::new(Inner {
            has_login,
            ..Inner::default()
        });
        let served = Arc::clone(&inner);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (inner, tls) = (Arc::clone(&served), tls.clone());
                // A client that goes away is none of the proxy's business.
                tokio::spawn(async move {
                    let _ = match (scheme, tls) {
                        ("socks5h", _) => inner.serve_socks(socket).await,
                        (_, Some(tls)) => inner.serve_http(tls.accept(socket).await?).await,
                        (_, None) => inner.serve_http(socket).await,
                    };
                    std::io::Result::Ok(())
                });
            }
        });
        Self {
            address,
            scheme,
            has_login,
            inner,
        }
    }

    /// Where a gateway finds it, with the login.
    pub fn url(&self) -> String {
        self.url_at(self.address)
    }

    /// The same at another address, that leads here.
    pub fn url_at(&self, address: SocketAddr) -> String {
        let login = match self.has_login {
            true => format!("{USER}:p%40ss%3Aw%2Frd%25%23%C3%A9@"),
            false => String::new(),
        };
        format!("{}://{login}{address}", self.scheme)
    }

    /// From now on it knows where this name leads; nobody else does.
    pub fn knows(&self, name: &str, address: SocketAddr) {
        let mut names = self.inner.names.lock().unwrap();
        names.insert(name.to_owned(), address);
    }

    /// What it was asked to connect to, as `host:port`.
    pub fn asked(&self) -> Vec<String> {
        self.inner.asked.lock().unwrap().clone()
    }

    /// How many connections it has made to this address.
    pub fn opened(&self, address: SocketAddr) -> usize {
        let opened = self.inner.opened.lock().unwrap();
        opened.iter().filter(|it| **it == address).count()
    }
}

impl Inner {
    async fn serve_socks(&self, socket: TcpStream) -> std::io::Result<()> {
        let other = std::io::Error::other::<fast_socks5::server::SocksServerError>;
        let authenticated = if self.has_login {
            let is_known = |user: String, password: String| user == USER && password == PASSWORD;
            let (socket, _) = Socks5ServerProtocol::accept_password_auth(socket, is_known)
                .await
                .map_err(other)?;
            socket
        } else {
            Socks5ServerProtocol::accept_no_auth(socket)
                .await
                .map_err(other)?
        };
        let (socket, _, target) = authenticated.read_command().await.map_err(other)?;
        let (host, port) = match target {
            TargetAddr::Ip(address) => (address.ip().to_string(), address.port()),
            TargetAddr::Domain(name, port) => (name, port),
        };
        match self.open(&host, port).await {
            Some(target) => {
                let bound = target.local_addr()?;
                let client = socket.reply_success(bound).await.map_err(other)?;
                carry(client, target).await
            }
            None => {
                let reply = socket.reply_error(&ReplyError::HostUnreachable).await;
                reply.map_err(other)
            }
        }
    }

    /// CONNECT, and requests for plain pages.
    async fn serve_http(&self, socket: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
        let mut client = BufReader::new(socket);
        let mut lines: Vec<String> = Vec::new();
        loop {
            let mut line = String::new();
            client.read_line(&mut line).await?;
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let first = lines.first().cloned().unwrap_or_default();
        let login = STANDARD.encode(format!("{USER}:{PASSWORD}"));
        let is_known = lines.iter().any(|line| {
            line.split_once(": ").is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("proxy-authorization")
                    && value == format!("Basic {login}")
            })
        });
        if self.has_login && !is_known {
            let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\
                            Proxy-Authenticate: Basic realm=\"p\"\r\nContent-Length: 0\r\n\r\n";
            return client.write_all(refusal).await;
        }
        let mut words = first.split(' ');
        let (method, target) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let is_tunnel = method == "CONNECT";
        let place = target.trim_start_matches("http://");
        let (place, path) = place.split_once('/').unwrap_or((place, ""));
        let (host, port) = place.rsplit_once(':').unwrap_or((place, "80"));
        let port = port.parse().unwrap_or_default();
        let Some(mut server) = self.open(host, port).await else {
            let refusal = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";
            return client.write_all(refusal).await;
        };
        if is_tunnel {
            client
                .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                .await?;
            return carry(client, server).await;
        }
        let mut request = format!("{method} /{path} HTTP/1.1\r\nConnection: close\r\n");
        for line in &lines[1..] {
            let is_ours = line.to_ascii_lowercase().starts_with("proxy-");
            if !is_ours {
                request += &format!("{line}\r\n");
            }
        }
        server
            .write_all(format!("{request}\r\n").as_bytes())
            .await?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).await?;
        client.write_all(&answer).await?;
        client.shutdown().await
    }

    async fn open(&self, host: &str, port: u16) -> Option<TcpStream> {
        self.asked.lock().unwrap().push(format!("{host}:{port}"));
        let known = self.names.lock().unwrap().get(host).copied();
        let host = host.replace("localhost", "127.0.0.1");
        let address = known.or_else(|| Some(SocketAddr::new(host.parse().ok()?, port)))?;
        assert!(address.ip().is_loopback(), "it is asked for {address}");
        let socket = TcpStream::connect(address).await.ok()?;
        self.opened.lock().unwrap().push(address);
        Some(socket)
    }
}

async fn carry(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    mut server: TcpStream,
) -> std::io::Result<()> {
    let _ = server.set_nodelay(true);
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}
