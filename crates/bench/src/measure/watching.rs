//! The cost of open pages of the dashboard: of watchers of the events while messages come, and of overviews while nothing happens.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::idle::cpu_percent;
use super::receiving::{self, Pace};
use super::round::{Round, tell};
use super::watcher::Watchers;
use crate::numbers::{median, ratio};
use crate::report::Row;
use crate::stage::{GatewaySide, Load, Stage};

/// Tabs that follow the events; without any first, for comparison.
const WATCHERS: [usize; 3] = [0, 1, 10];
/// Messages a second of the bursts by a timetable.
const PACE: f64 = 1_000.0;
/// Tabs of the overview while nothing happens.
const OVERVIEWS: usize = 50;
/// What a watcher may cost of the throughput.
const DEAREST: f64 = 0.05;
/// How long after tabs were opened the idle gateway is looked at.
const SETTLED: Duration = Duration::from_secs(3);

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct Watched {
    pub tails: Vec<Tails>,
    /// CPU of the idle gateway in percent of a core, with so many overviews open.
    pub idle: Vec<(usize, f64)>,
}

/// Rounds with so many watchers.
#[derive(Debug, Default, Serialize)]
pub struct Tails {
    pub watchers: usize,
    /// As fast as possible.
    pub fast: Vec<Round>,
    /// By the timetable.
    pub paced: Vec<Round>,
    /// Bytes that each watcher got in a second of the timetable.
    pub bytes_per_second: Vec<f64>,
}

/// All rounds; the numbers of watchers take turns.
pub async fn measure(stage: &Stage, load: &Load) -> Result<Option<Watched>> {
    let Some(side) = &load.gateway else {
        return Ok(None);
    };
    let tails = WATCHERS.map(|watchers| Tails {
        watchers,
        ..Tails::default()
    });
    let mut watched = Watched {
        tails: tails.into(),
        ..Watched::default()
    };
    for round in 0..stage.options.rounds {
        for turn in 0..WATCHERS.len() {
            // Another one is the first in each round.
            let tails = &mut watched.tails[(round + turn) % WATCHERS.len()];
            tails.add_round(stage, load, side, round).await?;
        }
    }
    let address = side.gateway.address;
    for count in [0, OVERVIEWS] {
        let mut tabs = Watchers::open(address, "/dashboard", count).await?;
        tokio::time::sleep(SETTLED).await;
        let percent = cpu_percent(&side.gateway, stage.options.idle_seconds).await?;
        tabs.all_are_open()?;
        eprintln!("idle with {count} overviews open: {percent:.2} % of a core");
        watched.idle.push((count, percent));
    }
    Ok(Some(watched))
}

impl Tails {
    async fn add_round(
        &mut self,
        stage: &Stage,
        load: &Load,
        side: &GatewaySide,
        round: usize,
    ) -> Result<()> {
        let address = side.gateway.address;
        let mut tabs = Watchers::open(address, "/dashboard/events", self.watchers).await?;
        let who = format!("gateway with {} watchers", self.watchers);
        let fast = Pace {
            label: &format!("watched-{}-{round}", self.watchers),
            count: stage.options.messages,
            per_second: None,
        };
        let fast = receiving::gateway(stage, side, &load.contacts, fast).await?;
        tell("received", &who, &fast.round);
        let before = tabs.received();
        let paced = Pace {
            label: &format!("watched-at-a-pace-{}-{round}", self.watchers),
            count: stage.options.messages,
            per_second: Some(PACE),
        };
        let paced = receiving::gateway(stage, side, &load.contacts, paced).await?;
        tell("received at a pace", &who, &paced.round);
        tabs.all_are_open()?;
        if self.watchers > 0 {
            let bytes = (tabs.received() - before) as f64 / self.watchers as f64;
            self.bytes_per_second.push(bytes / paced.round.seconds);
        }
        self.fast.push(fast.round);
        self.paced.push(paced.round);
        Ok(())
    }
}

impl Watched {
    /// The rows of the report; each ratio is to the rounds without watchers.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let Some(alone) = self.tails.iter().find(|tails| tails.watchers == 0) else {
            return rows;
        };
        let row = |what: String, of: &[Round], than: &[Round], number: fn(&Round) -> f64| {
            let [of, than] = [of, than].map(|it| it.iter().map(number).collect::<Vec<_>>());
            Row {
                ratio: ratio(&of, &than),
                ..Row::new(what, median(of))
            }
        };
        for tails in &self.tails {
            let what = |number: &str| format!("{} watchers: {number}", tails.watchers);
            let seconds = what("seconds of a burst");
            let seconds = row(seconds, &tails.fast, &alone.fast, |round| round.seconds);
            rows.push(match tails.watchers {
                1 => seconds.with_goal_for_ratio(1.0 / (1.0 - DEAREST)),
                _ => seconds,
            });
            rows.push(row(
                what("CPU ms per 1,000"),
                &tails.fast,
                &alone.fast,
                Round::cpu_ms_per_1000,
            ));
            rows.push(row(
                what("CPU ms per 1,000, at 1,000/s"),
                &tails.paced,
                &alone.paced,
                Round::cpu_ms_per_1000,
            ));
            if let Some(bytes) = median(tails.bytes_per_second.iter().copied()) {
                let kib = Some(bytes / 1024.0);
                rows.push(Row::new(what("KiB a second to each, at 1,000/s"), kib));
            }
        }
        for (count, percent) in &self.idle {
            let what = format!("idle, {count} overviews open: % of a core");
            rows.push(Row::new(what, Some(*percent)));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watcher_may_cost_a_twentieth_of_the_throughput() {
        let round = |seconds| Round {
            messages: 1000,
            seconds,
            cpu_seconds: seconds / 2.0,
            simulator_cpu_seconds: 0.1,
            written: 0,
            switches: 0,
        };
        let tails = |watchers, seconds: &[f64]| Tails {
            watchers,
            fast: seconds.iter().copied().map(round).collect(),
            paced: seconds.iter().copied().map(round).collect(),
            ..Tails::default()
        };
        let watched = |seconds: &[f64]| Watched {
            tails: vec![tails(0, &[1.0, 2.0, 1.0]), tails(1, seconds)],
            ..Watched::default()
        };
        for (seconds, is_cheap) in [([1.04, 2.08, 1.5], true), ([1.06, 2.12, 1.0], false)] {
            let rows = watched(&seconds).rows();
            let goal = rows.iter().find_map(|row| row.goal).unwrap();
            assert_eq!(goal.is <= goal.at_most, is_cheap, "{goal:?}");
        }
    }
}
