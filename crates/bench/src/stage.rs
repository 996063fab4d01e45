//! What every measurement stands on: a folder, the simulated WhatsApp, the webhook; and on it, sessions under load.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::arguments::Options;
use crate::floor::{Floor, Sends};
use crate::gateway::{Gateway, Settings};
use crate::line::Line;
use crate::programs::Programs;
use crate::receiver::Receiver;
use crate::simulator::{Account, Simulator};

/// How long everything is left alone before and after something is measured, so that its tail is in it.
pub const BREATH: Duration = Duration::from_millis(300);

/// Everything but the programs that are measured.
pub struct Stage {
    pub options: Options,
    pub programs: Programs,
    pub simulator: Simulator,
    pub receiver: Receiver,
    folder: Folder,
}

enum Folder {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Stage {
    pub async fn set(options: Options) -> Result<Self> {
        let programs = Programs::find(&options).await?;
        let folder = match &options.keep {
            Some(path) => {
                std::fs::create_dir(path)
                    .with_context(|| format!("making the new folder {}", path.display()))?;
                Folder::Kept(std::path::absolute(path)?)
            }
            None => Folder::Temporary(tempfile::tempdir().context("making a folder")?),
        };
        let simulator = Simulator::start(&programs.simulator, folder.path()).await?;
        Ok(Self {
            options,
            programs,
            simulator,
            receiver: Receiver::start().await?,
            folder,
        })
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the gateway on the data folder of this name, which a start before may have filled.
    pub async fn gateway(&self, root: &str) -> Result<Gateway> {
        let root = self.folder().join(root);
        let settings = Settings {
            program: &self.programs.gateway,
            wrap: self.options.wrap.as_deref(),
            whatsapp: &self.simulator.url,
            authority: &self.simulator.authority,
            webhook: self.receiver.base(),
            root: &root,
            logs: self.folder(),
            patience: self.options.patience(),
        };
        Gateway::start(settings).await
    }
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

/// Both sides, each with sessions of its own, and the phones they talk to.
pub struct Load {
    pub contacts: Vec<Account>,
    pub gateway: Option<GatewaySide>,
    pub floor: Option<FloorSide>,
}

pub struct GatewaySide {
    pub gateway: Gateway,
    pub accounts: Vec<Account>,
    pub sessions: Vec<String>,
}

pub struct FloorSide {
    pub floor: Floor,
    pub accounts: Vec<Account>,
}

impl Load {
    /// Starts the sides that are wanted and links their sessions.
    pub async fn set(stage: &Stage) -> Result<Self> {
        let (options, simulator) = (&stage.options, &stage.simulator);
        let contacts = simulator.accounts("Contact", options.chats).await?;
        let mut load = Self {
            contacts,
            gateway: None,
            floor: None,
        };
        if options.runs_gateway() {
            let gateway = stage.gateway("load").await?;
            let accounts = simulator.accounts("Gateway", options.sessions).await?;
            let sessions: Vec<String> = (0..options.sessions)
                .map(|index| format!("bench-{index:04}"))
                .collect();
            for (session, account) in sessions.iter().zip(&accounts) {
                gateway
                    .pair(session, account, simulator)
                    .await
                    .with_context(|| format!("linking {session}"))?;
            }
            load.gateway = Some(GatewaySide {
                gateway,
                accounts,
                sessions,
            });
        }
        if options.runs_floor() {
            let accounts = simulator.accounts("Floor", options.sessions).await?;
            let floor =
                Floor::start(&stage.programs.bench, stage.folder(), &accounts, simulator).await?;
            load.floor = Some(FloorSide { floor, accounts });
        }
        Ok(load)
    }

    pub async fn stop(self) -> Result<()> {
        if let Some(side) = self.gateway {
            side.gateway.stop().await?;
        }
        if let Some(side) = self.floor {
            side.floor.stop().await?;
        }
        Ok(())
    }
}

impl GatewaySide {
    /// Sends by HTTP, so many of each session under way at the same time, each on a connection of its own. How long each took.
    pub async fn send(&self, sends: &Sends, stage: &Stage) -> Result<Vec<Duration>> {
        let workers = sends.to.len() * sends.in_flight;
        let route = stage.options.route;
        let mut sending = JoinSet::new();
        for worker in 0..workers {
            let place = worker % sends.to.len();
            let (session, chats) = (self.sessions[place].clone(), sends.to[place].clone());
            let (texts, mut line) = (
                sends.texts(worker, workers),
                Line::connect(self.gateway.address).await?,
            );
            sending.spawn(async move {
                let mut took = Vec::new();
                for (chat, text) in texts {
                    let started = Instant::now();
                    route.send(&mut line, &session, &chats[chat], &text).await?;
                    took.push(started.elapsed());
                }
                anyhow::Ok(took)
            });
        }
        let mut took = Vec::with_capacity(sends.count);
        while let Some(sent) = sending.join_next().await {
            took.extend(sent??);
        }
        Ok(took)
    }
}
