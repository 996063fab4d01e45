//! One round of a load on one side: how long it took and what it cost.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::process::Meter;
use crate::simulator::Account;
use crate::stage::{BREATH, Stage};

/// What a round came to.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    pub messages: usize,
    /// From the first to the last message.
    pub seconds: f64,
    /// Of the side that is measured.
    pub cpu_seconds: f64,
    pub simulator_cpu_seconds: f64,
}

impl Round {
    pub fn per_second(&self) -> f64 {
        self.messages as f64 / self.seconds
    }

    /// CPU milliseconds for 1,000 messages, or microseconds for one.
    pub fn cpu_ms_per_1000(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.messages as f64
    }
}

/// The rounds of both sides, in the order they took turns.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Rounds {
    pub gateway: Vec<Round>,
    pub floor: Vec<Round>,
}

/// The cost of a load from before its first message until nothing of it is left to do.
pub struct Watch<'a> {
    stage: &'a Stage,
    meter: Meter,
    cpu: Duration,
    simulator_cpu: Duration,
    started: Instant,
}

impl<'a> Watch<'a> {
    pub async fn start(stage: &'a Stage, meter: Meter) -> Result<Self> {
        tokio::time::sleep(BREATH).await;
        let (cpu, simulator_cpu) = (meter.cpu()?, stage.simulator.meter().cpu()?);
        Ok(Self {
            stage,
            meter,
            cpu,
            simulator_cpu,
            started: Instant::now(),
        })
    }

    /// The last message was there at `complete_at`; `accounts` have yet to confirm what they got.
    pub async fn stop(
        self,
        messages: usize,
        complete_at: Instant,
        accounts: &[Account],
    ) -> Result<Round> {
        self.stage
            .simulator
            .all_is_confirmed(accounts, self.stage.options.patience())
            .await?;
        tokio::time::sleep(BREATH).await;
        let cpu = self.meter.cpu()?.saturating_sub(self.cpu);
        let simulator_cpu = self
            .stage
            .simulator
            .meter()
            .cpu()?
            .saturating_sub(self.simulator_cpu);
        Ok(Round {
            messages,
            seconds: complete_at.duration_since(self.started).as_secs_f64(),
            cpu_seconds: cpu.as_secs_f64(),
            simulator_cpu_seconds: simulator_cpu.as_secs_f64(),
        })
    }
}

/// Which side goes first in a round: they take turns in that, too.
pub fn gateway_first(round: usize) -> bool {
    round.is_multiple_of(2)
}

/// Says how it goes while it goes.
pub fn tell(what: &str, side: &str, round: &Round) {
    eprintln!(
        "{what} by the {side}: {:.0}/s, CPU {:.0} ms/1,000; the simulator used {:.0} % of a core",
        round.per_second(),
        round.cpu_ms_per_1000(),
        round.simulator_cpu_seconds / round.seconds * 100.0
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_says_its_rate_and_its_cost() {
        let round = Round {
            messages: 4000,
            seconds: 2.0,
            cpu_seconds: 1.0,
            simulator_cpu_seconds: 0.5,
        };
        assert_eq!(
            (round.per_second(), round.cpu_ms_per_1000()),
            (2000.0, 250.0)
        );
    }
}
