//! One round of a load on one side: how long it took and what it cost.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::process::{Meter, Usage};
use crate::simulator::Account;
use crate::stage::{BREATH, Stage, Who};

/// What a round came to.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    pub messages: usize,
    /// From the first to the last message.
    pub seconds: f64,
    /// Of the side that is measured.
    pub cpu_seconds: f64,
    pub simulator_cpu_seconds: f64,
    /// Bytes that go to the disk.
    pub written: u64,
    /// Context switches of all threads.
    pub switches: u64,
}

impl Round {
    pub fn per_second(&self) -> f64 {
        self.messages as f64 / self.seconds
    }

    /// CPU milliseconds for 1,000 messages, or microseconds for one.
    pub fn cpu_ms_per_1000(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.messages as f64
    }

    /// CPU milliseconds for one message.
    pub fn cpu_ms(&self) -> f64 {
        self.cpu_ms_per_1000() / 1000.0
    }

    /// Bytes to the disk for one message, in units of 1,000.
    pub fn kb_written(&self) -> f64 {
        self.written as f64 / 1000.0 / self.messages as f64
    }

    /// Context switches for one message.
    pub fn switches_each(&self) -> f64 {
        self.switches as f64 / self.messages as f64
    }
}

/// The rounds of all sides, in the order they took turns.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Rounds {
    pub gateway: Vec<Round>,
    /// Of the gateway that the other is compared with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub against: Vec<Round>,
    pub floor: Vec<Round>,
}

impl Rounds {
    /// Says how it goes while it goes, and keeps it.
    pub fn add(&mut self, what: &str, who: Who, round: Round) {
        tell(what, who.name(), &round);
        match who {
            Who::Gateway => self.gateway.push(round),
            Who::Against => self.against.push(round),
            Who::Floor => self.floor.push(round),
        }
    }
}

/// The cost of a load from before its first message until nothing of it is left to do.
pub struct Watch<'a> {
    stage: &'a Stage,
    meter: Meter,
    usage: Usage,
    simulator_cpu: Duration,
    started: Instant,
}

impl<'a> Watch<'a> {
    pub async fn start(stage: &'a Stage, meter: Meter) -> Result<Self> {
        tokio::time::sleep(BREATH).await;
        let (usage, simulator_cpu) = (meter.usage()?, stage.simulator.meter().cpu()?);
        Ok(Self {
            stage,
            meter,
            usage,
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
        let used = self.meter.usage()?.since(&self.usage);
        let simulator_cpu = self
            .stage
            .simulator
            .meter()
            .cpu()?
            .saturating_sub(self.simulator_cpu);
        Ok(Round {
            messages,
            seconds: complete_at.duration_since(self.started).as_secs_f64(),
            cpu_seconds: used.cpu.as_secs_f64(),
            simulator_cpu_seconds: simulator_cpu.as_secs_f64(),
            written: used.written,
            switches: used.switches,
        })
    }
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
            written: 8_000_000,
            switches: 20_000,
        };
        assert_eq!(
            (round.per_second(), round.cpu_ms_per_1000()),
            (2000.0, 250.0)
        );
        assert_eq!((round.cpu_ms(), round.kb_written()), (0.25, 2.0));
        assert_eq!(round.switches_each(), 5.0);
    }
}
