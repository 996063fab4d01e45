//! How long a message is on its way from the simulator's timetable to the webhook, at half of the maximum rate.

use anyhow::{Context, Result};
use serde::Serialize;

use super::receiving::{self, Pace, Received};
use super::round::{Rounds, gateway_first, tell};
use crate::numbers::{Percentiles, median};
use crate::simulator::Lateness;
use crate::stage::{Load, Stage};

/// A few rounds: a hiccup of the machine in one of them does not decide.
const ROUNDS: usize = 3;

/// What the rounds came to.
#[derive(Debug, Default, Serialize)]
pub struct Latency {
    pub per_second: f64,
    /// Of each round, in milliseconds.
    pub rounds: Vec<Percentiles>,
    /// How late the simulator was in each; the percentiles contain it.
    pub simulator_late_ms: Vec<Lateness>,
    /// The cost at this rate.
    pub cost: Rounds,
}

/// Half as fast as the gateway can be: by these rounds, unless the caller has said how fast.
pub async fn measure(stage: &Stage, load: &mut Load, received: &Rounds) -> Result<Latency> {
    let fastest = median(received.gateway.iter().map(super::Round::per_second));
    let half = fastest.map(|fastest| fastest / 2.0);
    let per_second = stage
        .options
        .rate
        .or(half)
        .context("it is not known how fast the gateway is")?;
    let count = ((per_second * stage.options.latency_seconds) as usize).max(1);
    let mut latency = Latency {
        per_second,
        ..Latency::default()
    };
    for round in 0..ROUNDS {
        let pace = Pace {
            label: &format!("paced-{round}"),
            count,
            per_second: Some(per_second),
        };
        for gateways_turn in [gateway_first(round), !gateway_first(round)] {
            match (gateways_turn, &load.gateway, &mut load.floor) {
                (true, Some(side), _) => {
                    latency.note(receiving::gateway(stage, side, &load.contacts, pace).await?)
                }
                (false, _, Some(side)) => {
                    let cost = receiving::floor(stage, side, &load.contacts, pace).await?;
                    tell("received at half of the rate", "floor", &cost);
                    latency.cost.floor.push(cost);
                }
                _ => {}
            }
        }
    }
    Ok(latency)
}

impl Latency {
    fn note(&mut self, received: Received) {
        tell("received at half of the rate", "gateway", &received.round);
        if let Some(percentiles) = Percentiles::of(received.tally.on_the_way) {
            let Percentiles {
                p50,
                p99,
                p999,
                max,
            } = percentiles;
            eprintln!(
                "  on the way for {p50:.1} ms, p99 {p99:.1}, p99.9 {p999:.1}, at most {max:.1}"
            );
            self.rounds.push(percentiles);
        }
        self.simulator_late_ms.push(received.lateness);
        self.cost.gateway.push(received.round);
    }
}
