//! How long a message is on its way from the simulator's timetable to the webhook: at half of the maximum rate, and at a pace so slow
//! that each comes alone.

use anyhow::{Context, Result};
use serde::Serialize;

use super::receiving::{self, Pace};
use super::round::Rounds;
use crate::numbers::{Percentiles, median};
use crate::receiver::Tally;
use crate::simulator::Lateness;
use crate::stage::{Load, Stage, Who};

/// A few rounds of half of the maximum rate: a hiccup of the machine in one of them does not decide.
const ROUNDS: usize = 3;

/// What the rounds came to.
#[derive(Debug, Default, Serialize)]
pub struct Latency {
    pub per_second: f64,
    /// Of each round, in milliseconds.
    pub rounds: Vec<Percentiles>,
    /// Of the gateway that the other is compared with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub against: Vec<Percentiles>,
    /// How late the simulator was in each; the percentiles contain it.
    pub simulator_late_ms: Vec<Lateness>,
    /// The cost at this rate.
    pub cost: Rounds,
}

/// Half as fast as the gateway can be: by these rounds, unless the caller has said how fast.
pub async fn at_half(stage: &Stage, load: &mut Load, received: &Rounds) -> Result<Latency> {
    let fastest = median(received.gateway.iter().map(super::Round::per_second));
    let half = fastest.map(|fastest| fastest / 2.0);
    let per_second = stage
        .options
        .rate
        .or(half)
        .context("it is not known how fast the gateway is")?;
    rounds(
        stage,
        load,
        ("half", "received at half of the rate"),
        per_second,
        ROUNDS,
    )
    .await
}

/// So slowly that each message comes alone.
pub async fn paced(stage: &Stage, load: &mut Load) -> Result<Latency> {
    let options = &stage.options;
    let (pace, count) = (options.pace, options.rounds);
    rounds(stage, load, ("paced", "received at a pace"), pace, count).await
}

/// By a timetable that waits for nobody; the sides take turns. `label` is a word for the messages and one for people.
async fn rounds(
    stage: &Stage,
    load: &mut Load,
    (label, what): (&str, &str),
    per_second: f64,
    rounds: usize,
) -> Result<Latency> {
    let count = ((per_second * stage.options.latency_seconds) as usize).max(1);
    let mut latency = Latency {
        per_second,
        ..Latency::default()
    };
    for round in 0..rounds {
        let pace = Pace {
            label: &format!("{label}-{round}"),
            count,
            per_second: Some(per_second),
        };
        for who in stage.turns(round) {
            let received = receiving::turn(stage, load, who, pace).await?;
            latency.cost.add(what, who, received.round);
            if let Some((tally, lateness)) = received.posted {
                latency.note(who, tally, lateness);
            }
        }
    }
    Ok(latency)
}

impl Latency {
    fn note(&mut self, who: Who, tally: Tally, lateness: Lateness) {
        if let Some(percentiles) = Percentiles::of(tally.on_the_way) {
            let Percentiles {
                p50,
                p99,
                p999,
                max,
            } = percentiles;
            eprintln!(
                "  on the way for {p50:.1} ms, p99 {p99:.1}, p99.9 {p999:.1}, at most {max:.1}"
            );
            match who {
                Who::Against => self.against.push(percentiles),
                _ => self.rounds.push(percentiles),
            }
        }
        self.simulator_late_ms.push(lateness);
    }
}
