//! Browsers that follow pages of the dashboard: they read what comes, count it, and draw nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use hyper::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::line::Line;

/// Open tabs of one page; all are closed when this is dropped.
pub struct Watchers {
    tabs: JoinSet<()>,
    received: Arc<AtomicU64>,
}

impl Watchers {
    /// Opens a page in so many tabs, each with a stream of its own that has begun.
    pub async fn open(address: SocketAddr, page: &str, count: usize) -> Result<Self> {
        let mut watchers = Self {
            tabs: JoinSet::new(),
            received: Arc::default(),
        };
        for _ in 0..count {
            let stream = stream_of(address, page).await?;
            let mut tab = follow(address, &stream)
                .await
                .with_context(|| format!("following {page}"))?;
            let received = Arc::clone(&watchers.received);
            watchers.tabs.spawn(async move {
                let mut piece = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = tab.read(&mut piece).await {
                    received.fetch_add(length as u64, Ordering::Relaxed);
                }
            });
        }
        Ok(watchers)
    }

    /// The bytes that came over all streams until now.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Fails if the gateway has closed one of them.
    pub fn all_are_open(&mut self) -> Result<()> {
        ensure!(
            self.tabs.try_join_next().is_none(),
            "a stream of the dashboard has ended"
        );
        Ok(())
    }
}

/// The address of a page's stream, as the page names it.
async fn stream_of(address: SocketAddr, page: &str) -> Result<String> {
    let mut line = Line::connect(address).await?;
    let (status, body) = line.call(Method::GET, page, String::new()).await?;
    ensure!(status == StatusCode::OK, "{page} answered {status}");
    let html = String::from_utf8_lossy(&body);
    let stream = html
        .split_once("data-stream=\"")
        .and_then(|(_, rest)| rest.split_once('"'));
    let (stream, _) = stream.with_context(|| format!("{page} has no stream"))?;
    Ok(stream.replace("&amp;", "&"))
}

/// Asks for a stream, and returns the connection once its first event is there.
async fn follow(address: SocketAddr, path: &str) -> Result<TcpStream> {
    let mut tab = TcpStream::connect(address).await?;
    tab.set_nodelay(true)?;
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n\r\n");
    tab.write_all(request.as_bytes()).await?;
    let (mut head, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let length = tab.read(&mut piece).await?;
        ensure!(length > 0, "the gateway has hung up");
        head.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&head);
        ensure!(text.starts_with("HTTP/1.1 200 "), "it answered {text}");
        if text.contains("event: ") {
            return Ok(tab);
        }
    }
}
