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

    /// Starts a gateway on the data folder of this name, which a start before may have filled.
    pub async fn start(&self, who: Who, root: &str) -> Result<Gateway> {
        let program = self.program(who).context("this run has no such gateway")?;
        let root = self.folder().join(root);
        let settings = Settings {
            program,
            wrap: self.options.wrap.as_deref(),
            whatsapp: &self.simulator.url,
            authority: &self.simulator.authority,
            webhook: self.receiver.base(),
            root: &root,
            logs: self.folder(),
            more: &self.options.settings,
            patience: self.options.patience(),
        };
        Gateway::start(settings).await
    }

    /// The program of a side, unless this run has no such side.
    fn program(&self, who: Who) -> Option<&Path> {
        match who {
            Who::Gateway if self.options.runs_gateway() => Some(&self.programs.gateway),
            Who::Against if self.options.runs_gateway() => self.programs.against.as_deref(),
            Who::Floor if self.options.runs_floor() => Some(&self.programs.bench),
            _ => None,
        }
    }

    /// The gateways of this run.
    pub fn gateways(&self) -> Vec<Who> {
        let mut gateways = self.turns(0);
        gateways.retain(|&who| who != Who::Floor);
        gateways
    }

    /// The sides of this run in the order of their turns: another one begins each round.
    pub fn turns(&self, round: usize) -> Vec<Who> {
        let mut turns = Who::ALL.to_vec();
        turns.retain(|&who| self.program(who).is_some());
        let first = round % turns.len().max(1);
        turns.rotate_left(first);
        turns
    }
}

/// Who takes turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The gateway that is measured.
    Gateway,
    /// The gateway that it is compared with.
    Against,
    /// The bare engine.
    Floor,
}

impl Who {
    const ALL: [Self; 3] = [Self::Gateway, Self::Against, Self::Floor];

    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Against => "other gateway",
            Self::Floor => "floor",
        }
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

/// All sides, each with as many sessions of its own, and the phones they talk to.
pub struct Load {
    /// Sessions of each side.
    pub size: usize,
    pub contacts: Vec<Account>,
    pub gateway: Option<GatewaySide>,
    /// The gateway that the other is compared with.
    pub against: Option<GatewaySide>,
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
    /// Starts the sides that are wanted and links so many sessions to each.
    pub async fn set(stage: &Stage, size: usize) -> Result<Self> {
        let mut load = Self::without_sides(stage, size).await?;
        for who in stage.turns(0) {
            match who {
                Who::Gateway => load.gateway = Some(GatewaySide::set(stage, who, size).await?),
                Who::Against => load.against = Some(GatewaySide::set(stage, who, size).await?),
                Who::Floor => load.floor = Some(FloorSide::set(stage, size).await?),
            }
        }
        Ok(load)
    }

    /// The phones alone.
    pub async fn without_sides(stage: &Stage, size: usize) -> Result<Self> {
        let chats = stage.options.chats;
        Ok(Self {
            size,
            contacts: stage.simulator.accounts("Contact", chats).await?,
            gateway: None,
            against: None,
            floor: None,
        })
    }

    /// The gateway of this side, if it is one.
    pub fn gateway(&self, who: Who) -> Option<&GatewaySide> {
        match who {
            Who::Gateway => self.gateway.as_ref(),
            Who::Against => self.against.as_ref(),
            Who::Floor => None,
        }
    }

    /// The floor, if this is its turn.
    pub fn floor(&mut self, who: Who) -> Option<&mut FloorSide> {
        self.floor.as_mut().filter(|_| who == Who::Floor)
    }

    /// The accounts that the sessions of this side are linked to.
    pub fn accounts(&self, who: Who) -> &[Account] {
        let of_floor = self.floor.as_ref().filter(|_| who == Who::Floor);
        let of_gateway = self.gateway(who).map(|side| &side.accounts);
        of_gateway
            .or(of_floor.map(|side| &side.accounts))
            .map_or(&[], Vec::as_slice)
    }

    pub async fn stop(self) -> Result<()> {
        for side in self.gateway.into_iter().chain(self.against) {
            side.gateway.stop().await?;
        }
        if let Some(side) = self.floor {
            side.floor.stop().await?;
        }
        Ok(())
    }
}

impl FloorSide {
    async fn set(stage: &Stage, size: usize) -> Result<Self> {
        let accounts = stage.simulator.accounts("Floor", size).await?;
        let folder = stage.folder().join(format!("floor-{size}"));
        let floor =
            Floor::start(&stage.programs.bench, &folder, &accounts, &stage.simulator).await?;
        Ok(Self { floor, accounts })
    }
}

impl GatewaySide {
    async fn set(stage: &Stage, who: Who, size: usize) -> Result<Self> {
        let root = format!("{}-{size}", who.name().replace(' ', "-"));
        Self::set_in(stage, who, &root, size).await
    }

    /// The same, with a data folder of this name.
    pub async fn set_in(stage: &Stage, who: Who, root: &str, size: usize) -> Result<Self> {
        let gateway = stage.start(who, root).await?;
        let accounts = stage.simulator.accounts("Gateway", size).await?;
        let sessions: Vec<String> = (0..size).map(|index| format!("bench-{index:04}")).collect();
        for (session, account) in sessions.iter().zip(&accounts) {
            gateway
                .pair(session, account, &stage.simulator)
                .await
                .with_context(|| format!("linking {session}"))?;
        }
        Ok(Self {
            gateway,
            accounts,
            sessions,
        })
    }

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
