//! Starting and stopping a simulator.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::net::TcpListener;

use crate::admin;
use crate::model::options::SimulatorOptions;
use crate::phone::Phone;
use crate::phone::account::add_phone;
use crate::phone::faults::Faults;
use crate::phone::peer_requests::AccountPhones;
use crate::server::Server;
use crate::server::world::UnknownRequest;

/// How long connections may take to end when the simulator stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A running simulated WhatsApp.
pub struct Simulator {
    server: Arc<Server>,
    ca_pem_file: PathBuf,
}

impl Simulator {
    /// Listens and serves until [`Simulator::finish`].
    pub async fn start(options: SimulatorOptions) -> anyhow::Result<Self> {
        let listen = options.listen;
        ensure!(
            listen.ip().is_loopback(),
            "the simulator only listens on loopback, not on {listen}; use 127.0.0.1"
        );
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("listening on {listen}"))?;
        let address = listener.local_addr()?;
        let default_file =
            || std::env::temp_dir().join(format!("wapi-simulator-{}.pem", address.port()));
        let ca_pem_file = options.ca_pem_file.clone().unwrap_or_else(default_file);
        let server = Arc::new(Server::new(options, address, Box::new(AccountPhones))?);
        std::fs::write(&ca_pem_file, &server.tls.ca_pem)
            .with_context(|| format!("writing the CA to {}", ca_pem_file.display()))?;
        server
            .tasks
            .spawn(server.clone().accept_connections(listener, admin::routes()));
        Ok(Self {
            server,
            ca_pem_file,
        })
    }

    /// The address it listens on.
    pub fn listen_address(&self) -> SocketAddr {
        self.server.address
    }

    /// `ws://127.0.0.1:PORT/ws/chat`.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/ws/chat", self.server.address)
    }

    /// `wss://127.0.0.1:PORT/ws/chat`, with a certificate of the simulator's own CA.
    pub fn wss_url(&self) -> String {
        format!("wss://{}/ws/chat", self.server.address)
    }

    /// `http://127.0.0.1:PORT/admin`.
    pub fn admin_url(&self) -> String {
        format!("http://{}/admin", self.server.address)
    }

    /// The CA that `wss` and the media host are signed by, as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.server.tls.ca_pem
    }

    /// The path of the file with the CA's PEM.
    pub fn ca_pem_file(&self) -> &Path {
        &self.ca_pem_file
    }

    /// The root of the Noise certificate chain, 64 hexadecimal digits: a strict client verifies
    /// against it.
    pub fn noise_root_public_key_hex(&self) -> String {
        hex::encode(self.server.noise_identity().root_public_key())
    }

    /// Creates an account with this name, and with a number and a LID of its own.
    pub fn add_phone(&self, name: &str) -> anyhow::Result<Phone> {
        add_phone(&self.server, name, None)
    }

    /// Creates an account with this name and number (7 to 15 digits).
    pub fn add_phone_with_number(&self, name: &str, number: &str) -> anyhow::Result<Phone> {
        add_phone(&self.server, name, Some(number))
    }

    /// The number of download requests to the media host.
    pub fn download_count(&self) -> usize {
        self.server
            .media
            .downloads
            .load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The number of bytes uploaded to the media host over HTTP.
    pub fn uploaded_bytes(&self) -> usize {
        self.server
            .media
            .received
            .load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The faults that a test can switch on.
    pub fn faults(&self) -> Faults {
        Faults {
            server: self.server.clone(),
        }
    }

    /// The number of WebSockets refused because of [`Faults::refuse_connections`].
    pub fn refused_connections(&self) -> u64 {
        self.server.world.lock().refused
    }

    /// The requests that were refused because the simulator does not know them.
    pub fn unknown_requests(&self) -> Vec<UnknownRequest> {
        self.server.world.lock().unknown_requests()
    }

    /// Stops, waits for every connection to end, and fails on leftovers: unknown requests, panics,
    /// messages that a phone could not read, and keys that were used twice, unless a test has
    /// looked at them with [`Phone::failures`] and [`Phone::reused_keys`].
    pub async fn finish(self) -> anyhow::Result<()> {
        self.server.stop.cancel();
        self.server.tasks.close();
        tokio::time::timeout(STOP_TIMEOUT, self.server.tasks.wait())
            .await
            .context("connections did not end")?;
        let unknown = self.unknown_requests();
        if !unknown.is_empty() {
            bail!("requests the simulator does not know: {unknown:#?}");
        }
        let panicked = std::mem::take(&mut *self.server.panics.lock());
        if !panicked.is_empty() {
            bail!("connections of the simulator panicked: {panicked:#?}");
        }
        let phone_states: Vec<_> = self
            .server
            .world
            .lock()
            .accounts()
            .map(|account| account.phone_state.clone())
            .collect();
        let failures: Vec<_> = phone_states
            .iter()
            .flat_map(|phone_state| phone_state.lock().unread_failures())
            .collect();
        if !failures.is_empty() {
            bail!("phones could not read what they got, and no test asked about it: {failures:#?}");
        }
        let reused: Vec<_> = phone_states
            .iter()
            .flat_map(|phone_state| phone_state.lock().reuse_detector.unread_reused_keys())
            .collect();
        if !reused.is_empty() {
            bail!("keys were used twice, and no test asked about it: {reused:#?}");
        }
        Ok(())
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.server.stop.cancel();
        // A caller that named the file keeps it.
        if self.server.options.ca_pem_file.is_none() {
            let _ = std::fs::remove_file(&self.ca_pem_file);
        }
    }
}
