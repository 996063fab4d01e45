//! A Redis of the test's own.

use std::net::TcpListener;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{eventually, skipped};

/// A `redis-server` on a free loopback port; it ends with the test.
pub struct TestRedis {
    pub port: u16,
    child: Child,
    _folder: TempDir,
}

impl TestRedis {
    /// `None`, and a word about it, when `redis-server` is not installed.
    pub async fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0")
            .ok()?
            .local_addr()
            .ok()?
            .port();
        Self::start_on(port).await
    }

    pub async fn start_on(port: u16) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let started = Command::new("redis-server")
            .args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--port",
            ])
            .arg(port.to_string())
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let Ok(child) = started else {
            return skipped("redis-server is not installed");
        };
        let up = async || TcpStream::connect(("127.0.0.1", port)).await.ok();
        eventually(up, async || "redis-server did not start".to_owned()).await;
        Some(Self {
            port,
            child,
            _folder: folder,
        })
    }

    /// As a power cut.
    pub async fn dies(mut self) {
        self.child.kill().await.expect("it can be killed");
    }
}
