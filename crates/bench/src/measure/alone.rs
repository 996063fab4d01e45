//! One session that sends one message after the other, each when WhatsApp has taken the one before: nothing can be shared, so each wait
//! on the way shows.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use super::round::{Round, Rounds, Watch, gateway_first, tell};
use super::sending;
use crate::numbers::{Percentiles, median};
use crate::stage::{GatewaySide, Load, Stage};

/// Of a round; it is short, so that the disk is asked in the same minute.
const MESSAGES: usize = 500;
/// Writes whose median is what the disk takes for one.
const SYNCS: usize = 100;
/// As large as a page of a database.
const PAGE: usize = 4096;

/// What the rounds came to.
#[derive(Debug, Default, Serialize)]
pub struct Alone {
    pub rounds: Rounds,
    /// From the request to the answer, of each round of the gateway, in milliseconds.
    pub took: Vec<Percentiles>,
    /// One `fdatasync` of a page at the end of a file, beside each round of the gateway, in milliseconds.
    pub sync_ms: Vec<f64>,
}

pub async fn measure(stage: &Stage, load: &mut Load) -> Result<Alone> {
    let mut alone = Alone::default();
    for round in 0..stage.options.rounds {
        let mut sends = sending::sends(stage, load, &format!("alone-{round}"), MESSAGES);
        sends.to.truncate(1);
        sends.in_flight = 1;
        for gateways_turn in [gateway_first(round), !gateway_first(round)] {
            match (gateways_turn, &load.gateway, &mut load.floor) {
                (true, Some(side), _) => {
                    alone.sync_ms.push(sync_ms(stage.folder())?);
                    alone.note(stage, side, &sends).await?;
                }
                (false, _, Some(side)) => {
                    let sent = sending::floor(stage, side, &sends).await?;
                    tell("sent one at a time", "floor", &sent);
                    alone.rounds.floor.push(sent);
                }
                _ => {}
            }
        }
    }
    Ok(alone)
}

impl Alone {
    async fn note(
        &mut self,
        stage: &Stage,
        side: &GatewaySide,
        sends: &crate::floor::Sends,
    ) -> Result<()> {
        let watch = Watch::start(stage, side.gateway.meter()).await?;
        let took = side.send(sends, stage).await?;
        let complete_at = Instant::now();
        let sent: Round = watch.stop(sends.count, complete_at, &side.accounts).await?;
        tell("sent one at a time", "gateway", &sent);
        self.rounds.gateway.push(sent);
        self.took.extend(Percentiles::of(took));
        Ok(())
    }

    /// The median over the rounds.
    pub fn sync(&self) -> Option<f64> {
        median(self.sync_ms.iter().copied())
    }
}

/// How long the disk takes for one page, in milliseconds.
fn sync_ms(folder: &Path) -> Result<f64> {
    let path = folder.join("sync");
    let mut file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let started = Instant::now();
        file.write_all(&[7; PAGE])?;
        file.sync_data()?;
        took.push(started.elapsed());
    }
    std::fs::remove_file(&path)?;
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    median(took.into_iter().map(milliseconds)).context("nothing was written")
}
