//! One session that sends one message after the other, each when WhatsApp has taken the one before: nothing can be shared, so each wait
//! on the way shows.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use super::round::{Rounds, Watch};
use super::sending;
use crate::floor::Sends;
use crate::numbers::{Percentiles, median};
use crate::stage::{Load, Stage, Who};

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
    /// The same of the gateway that the other is compared with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub took_against: Vec<Percentiles>,
    /// One `fdatasync` of a page at the end of a file, beside each round of the gateway, in milliseconds.
    pub sync_ms: Vec<f64>,
}

pub async fn measure(stage: &Stage, load: &mut Load) -> Result<Alone> {
    let mut alone = Alone::default();
    for round in 0..stage.options.rounds {
        let mut sends = sending::sends(stage, load, &format!("alone-{round}"), MESSAGES);
        sends.to.truncate(1);
        sends.in_flight = 1;
        for who in stage.turns(round) {
            if who == Who::Gateway {
                alone.sync_ms.push(sync_ms(stage.folder())?);
            }
            alone.turn(stage, load, who, &sends).await?;
        }
    }
    Ok(alone)
}

impl Alone {
    async fn turn(
        &mut self,
        stage: &Stage,
        load: &mut Load,
        who: Who,
        sends: &Sends,
    ) -> Result<()> {
        let what = "sent one at a time";
        let Some(side) = load.gateway(who) else {
            let sent = sending::turn(stage, load, who, sends).await?;
            self.rounds.add(what, who, sent);
            return Ok(());
        };
        let watch = Watch::start(stage, side.gateway.meter()).await?;
        let took = side.send(sends, stage).await?;
        let complete_at = Instant::now();
        let sent = watch.stop(sends.count, complete_at, &side.accounts).await?;
        self.rounds.add(what, who, sent);
        match who {
            Who::Gateway => self.took.extend(Percentiles::of(took)),
            _ => self.took_against.extend(Percentiles::of(took)),
        }
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
