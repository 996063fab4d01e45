//! An S3 server of the test's own.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::{eventually, skipped};

/// moto, which keeps buckets in memory, on a free loopback port; it ends with the test.
pub struct TestBucket {
    pub address: SocketAddr,
    _child: Child,
}

impl TestBucket {
    /// With the empty bucket `files`. `None`, and a word about it, when the program is not there.
    pub async fn start() -> Option<Self> {
        let Some(program) = std::env::var_os("WAPI_TESTS_MOTO") else {
            return skipped("WAPI_TESTS_MOTO does not name the program moto_server");
        };
        let address = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?;
        let child = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("moto_server can be started");
        let bucket = Self {
            address,
            _child: child,
        };
        // As the gateway does when it starts, which may be later.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::new();
        let made = async || {
            http.put(format!("http://{address}/files"))
                .send()
                .await
                .ok()
        };
        eventually(made, async || "moto_server did not start".to_owned()).await;
        Some(bucket)
    }

    /// The names in the bucket, as the server's own XML.
    pub async fn listed(&self) -> String {
        let list = reqwest::get(format!("http://{}/files?list-type=2", self.address))
            .await
            .expect("it answers");
        list.text().await.expect("it lists the bucket")
    }
}
