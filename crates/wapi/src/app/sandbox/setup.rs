//! The simulated WhatsApp, two phones, a webhook receiver, and the gateway between them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use wapi_simulator::{Phone, Simulator, SimulatorOptions};

use super::client::SandboxClient;
use crate::app::App;
use crate::config::{BuildKind, Config, ConfigSources, ValueSource};
use crate::http::webhook_receiver::{self, WebhookPost};
use crate::media::qr_image::QrStyle;
use crate::sessions::QrConsole;
use crate::system::clock::Clock;
use crate::system::lifecycle::{FinishReport, Lifecycle};

/// The session of the sandbox.
pub const SESSION: &str = "demo";
/// The contact's number, to which the README's examples send.
const ANN: &str = "375447034810";

/// Everything but the gateway.
pub struct SandboxStage {
    pub simulator: Simulator,
    /// The account the session is linked to.
    pub owner: Phone,
    /// A contact that writes to it.
    pub contact: Phone,
    /// Posts of the gateway to its webhook.
    pub posts: mpsc::UnboundedReceiver<WebhookPost>,
    /// The webhook's base address.
    pub webhook: String,
    pub clock: Clock,
    pub lifecycle: Lifecycle,
    root: TempDir,
}

impl SandboxStage {
    pub async fn set_up() -> Result<Self> {
        let simulator = Simulator::start(SimulatorOptions::default())
            .await
            .context("starting the simulated WhatsApp")?;
        let lifecycle = Lifecycle::new();
        let (webhook, posts) =
            webhook_receiver::start_receiver(&lifecycle).context("starting the webhook")?;
        let (owner, contact) = (
            simulator.add_phone("Demo shop")?,
            simulator.add_phone_with_number("Ann", ANN)?,
        );
        let root = tempfile::tempdir().context("making a data folder")?;
        Ok(Self {
            simulator,
            owner,
            contact,
            posts,
            webhook,
            clock: Clock::system(),
            lifecycle,
            root,
        })
    }

    /// Starts the gateway on this port of loopback, or on any if it is taken.
    pub async fn start_gateway(&self, port: u16) -> Result<SandboxGateway> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .context("taking a port")?;
        let address = listener.local_addr()?;
        // The same code as with real settings, so that the sandbox shows their effect.
        let settings = [
            ("WAPI_GETTING_MESSAGES_WEBHOOK", self.webhook.clone()),
            ("WAPI_INTERNAL_HOST", address.to_string()),
            (
                "WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH",
                self.root.path().display().to_string(),
            ),
            ("WAPI_WHATSAPP_URL", self.simulator.ws_url()),
            (
                "WAPI_WHATSAPP_CA_FILE",
                self.simulator.ca_pem_file().display().to_string(),
            ),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value));
        let config = Config::read(
            &ConfigSources::from_defaults().with_values(settings, ValueSource::Environment),
            BuildKind::current(),
        )?;
        let app = App::build(
            config,
            self.clock.clone(),
            QrConsole::new(QrStyle::Blocks, |_| {}),
        )
        .await?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (finished, finish) = oneshot::channel();
        self.lifecycle.spawn(async move {
            let ended = app.serve(listener, async { drop(stopped.await) }).await;
            // Nothing waits for it when the sandbox is aborted.
            let _ = finished.send(ended);
        });
        Ok(SandboxGateway {
            address,
            caller: SandboxClient::new(address)?,
            stop,
            finish,
        })
    }

    /// Ends everything. Fails when the gateway sent WhatsApp a request that the simulator does not
    /// know.
    pub async fn tear_down(self) -> Result<()> {
        self.lifecycle.abort();
        self.simulator
            .finish()
            .await
            .context("the simulated WhatsApp")
    }
}

/// A running gateway.
pub struct SandboxGateway {
    pub address: SocketAddr,
    pub caller: SandboxClient,
    stop: oneshot::Sender<()>,
    finish: oneshot::Receiver<Result<FinishReport>>,
}

impl SandboxGateway {
    pub async fn stop(self) -> Result<()> {
        drop(self.stop);
        let FinishReport { dropped, panicked } =
            self.finish.await.context("the gateway vanished")??;
        anyhow::ensure!(panicked == 0, "{panicked} tasks of the gateway panicked");
        anyhow::ensure!(
            dropped == 0,
            "{dropped} tasks of the gateway did not end in time"
        );
        Ok(())
    }
}
