//! The simulated WhatsApp, two phones, a webhook receiver, and the gateway between them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use wapi_simulator::{Options, Phone, Simulator};

use super::caller::Caller;
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Build, Config, Layers, Source};
use crate::http::receiver::{self, Posted};
use crate::lifecycle::{Finish, Lifecycle};
use crate::qr::Paint;
use crate::sessions::Console;

/// The session of the sandbox.
pub const SESSION: &str = "demo";
/// The contact's number, to which the README's examples send.
const ANN: &str = "375447034810";

/// Everything but the gateway.
pub struct Stage {
    pub simulator: Simulator,
    /// The account the session is linked to.
    pub owner: Phone,
    /// A contact that writes to it.
    pub contact: Phone,
    /// Posts of the gateway to its webhook.
    pub posts: mpsc::UnboundedReceiver<Posted>,
    /// The webhook's base address.
    pub webhook: String,
    pub clock: Clock,
    pub lifecycle: Lifecycle,
    root: TempDir,
}

impl Stage {
    pub async fn set() -> Result<Self> {
        let simulator = Simulator::start(Options::default())
            .await
            .context("starting the simulated WhatsApp")?;
        let lifecycle = Lifecycle::new();
        let (webhook, posts) = receiver::start(&lifecycle).context("starting the webhook")?;
        let (owner, contact) = (
            simulator.phone("Demo shop")?,
            simulator.phone_with_number("Ann", ANN)?,
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
    pub async fn gateway(&self, port: u16) -> Result<Gateway> {
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
            &Layers::defaults().with(settings, Source::Environment),
            Build::this(),
        )?;
        let app = App::build(
            config,
            self.clock.clone(),
            Console::new(Paint::Blocks, |_| {}),
        )
        .await?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (finished, finish) = oneshot::channel();
        self.lifecycle.spawn(async move {
            let ended = app.serve(listener, async { drop(stopped.await) }).await;
            // Nothing waits for it when the sandbox is aborted.
            let _ = finished.send(ended);
        });
        Ok(Gateway {
            address,
            caller: Caller::new(address)?,
            stop,
            finish,
        })
    }

    /// Ends everything. Fails when the gateway sent WhatsApp a request that the simulator does not
    /// know.
    pub async fn clear(self) -> Result<()> {
        self.lifecycle.abort();
        self.simulator
            .finish()
            .await
            .context("the simulated WhatsApp")
    }
}

/// A running gateway.
pub struct Gateway {
    pub address: SocketAddr,
    pub caller: Caller,
    stop: oneshot::Sender<()>,
    finish: oneshot::Receiver<Result<Finish>>,
}

impl Gateway {
    pub async fn stop(self) -> Result<()> {
        drop(self.stop);
        let Finish { dropped, panicked } = self.finish.await.context("the gateway vanished")??;
        anyhow::ensure!(panicked == 0, "{panicked} tasks of the gateway panicked");
        anyhow::ensure!(
            dropped == 0,
            "{dropped} tasks of the gateway did not end in time"
        );
        Ok(())
    }
}
