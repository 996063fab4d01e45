//! The report: one table for people, and all numbers as JSON.

use anyhow::{Context, Result};
use serde::Serialize;

use crate::arguments::Options;
use crate::measure::{Alone, Carried, Files, Idle, Latency, Round, Rounds, Sized, Watched};
use crate::numbers::{Percentiles, median, ratio};

/// What was measured; what was not is empty.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub received: Rounds,
    pub sent: Rounds,
    pub alone: Option<Alone>,
    pub groups: Vec<Sized>,
    pub latency: Option<Latency>,
    pub media: Option<Files>,
    pub watched: Option<Watched>,
    pub idle: Option<Idle>,
}

/// One line of the table.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    pub what: String,
    pub gateway: Option<f64>,
    pub floor: Option<f64>,
    /// The gateway in units of the floor.
    pub ratio: Option<f64>,
    pub goal: Option<Goal>,
}

/// What a number may be at most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Goal {
    pub is: f64,
    pub at_most: f64,
}

impl Row {
    pub fn new(what: impl Into<String>, gateway: Option<f64>) -> Self {
        Self {
            what: what.into(),
            gateway,
            ..Self::default()
        }
    }

    fn with_goal(mut self, at_most: f64) -> Self {
        self.goal = self.gateway.map(|is| Goal { is, at_most });
        self
    }

    /// A number of both sides, by their rounds.
    fn of_rounds(what: &str, rounds: &Rounds, number: fn(&Round) -> f64) -> Self {
        let [ours, theirs] = [&rounds.gateway, &rounds.floor]
            .map(|side| side.iter().map(number).collect::<Vec<_>>());
        let ratio = ratio(&ours, &theirs);
        Self {
            what: what.to_owned(),
            gateway: median(ours),
            floor: median(theirs),
            ratio,
            goal: None,
        }
    }

    pub fn with_goal_for_ratio(mut self, at_most: f64) -> Self {
        self.goal = self.ratio.map(|is| Goal { is, at_most });
        self
    }
}

impl Report {
    /// Prints the table, and writes the JSON where the caller wants it.
    pub fn publish(&self, options: &Options) -> Result<()> {
        let rows = self.rows();
        println!("\n{}", table(&rows));
        println!("{}", conditions(options));
        if let Some(file) = &options.json {
            let all = serde_json::json!({"conditions": conditions(options), "rows": rows, "measured": self});
            let text = serde_json::to_string_pretty(&all)? + "\n";
            std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
        }
        Ok(())
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (word, rounds, goal) in [("received", &self.received, 0.7), ("sent", &self.sent, 1.2)] {
            if !rounds.gateway.is_empty() || !rounds.floor.is_empty() {
                let cost = Row::of_rounds(
                    &format!("{word}: CPU ms per 1,000"),
                    rounds,
                    Round::cpu_ms_per_1000,
                );
                rows.push(cost.with_goal_for_ratio(goal));
                rows.push(Row::of_rounds(
                    &format!("{word}: messages a second"),
                    rounds,
                    Round::per_second,
                ));
            }
        }
        rows.extend(self.alone.iter().flat_map(alone));
        rows.extend(self.groups.iter().flat_map(groups));
        rows.extend(self.media.iter().flat_map(media));
        rows.extend(self.watched.iter().flat_map(Watched::rows));
        rows.extend(self.latency.iter().flat_map(latency));
        rows.extend(self.idle.iter().flat_map(idle));
        rows
    }
}

fn alone(alone: &Alone) -> Vec<Row> {
    let what = |number: &str| format!("one session, one at a time: {number}");
    let (took, sync) = (Percentiles::medians(&alone.took), alone.sync());
    let half = Row::new(what("half of the sends, ms"), took.map(|took| took.p50));
    vec![
        Row::of_rounds(&what("messages a second"), &alone.rounds, Round::per_second),
        // A send is two commits and the keys, each of which waits for the disk.
        sync.map_or(half.clone(), |sync| half.with_goal(2.0 + 3.0 * sync)),
        Row::new(what("p99, ms"), took.map(|took| took.p99)),
        Row::new("one fdatasync in the same minute: ms", sync),
    ]
}

fn groups(of: &Sized) -> Vec<Row> {
    let what = |number: &str| format!("sent to a group of {}: {number}", of.members);
    let a_second = Row::of_rounds(&what("messages a second"), &of.rounds, Round::per_second);
    let copies = |side: Option<f64>| side.map(|messages| messages * (of.members - 1) as f64);
    let copies = Row {
        what: what("members reached a second"),
        gateway: copies(a_second.gateway),
        floor: copies(a_second.floor),
        ..Row::default()
    };
    vec![
        Row::of_rounds(
            &what("CPU ms per 1,000"),
            &of.rounds,
            Round::cpu_ms_per_1000,
        ),
        a_second,
        copies,
    ]
}

fn media(files: &Files) -> Vec<Row> {
    let mut rows = Vec::new();
    for (word, rounds) in [("in", &files.received), ("out", &files.sent)] {
        let of = |number: fn(&Carried) -> f64| median(rounds.iter().map(number));
        rows.push(Row::new(
            format!("files {word}: MB a second"),
            of(Carried::mb_per_second),
        ));
        rows.push(Row::new(
            format!("files {word}: CPU ms per MB"),
            of(Carried::cpu_ms_per_mb),
        ));
    }
    let large = &files.large;
    let what = |number: &str| format!("a document of {} MiB out: {number}", large.mib);
    rows.push(Row::new(
        what("MB a second"),
        Some(large.carried.mb_per_second()),
    ));
    rows.push(Row::new(
        what("resident at most, MiB"),
        Some(large.peak_kib as f64 / 1024.0),
    ));
    rows.push(
        Row::new(
            what("grown by at most, MiB"),
            Some(large.grown_kib() as f64 / 1024.0),
        )
        .with_goal(64.0),
    );
    rows
}

fn latency(latency: &Latency) -> Vec<Row> {
    let medians = Percentiles::medians(&latency.rounds);
    let at = |what: &str, of: fn(Percentiles) -> f64| {
        Row::new(format!("on the way: {what}, ms"), medians.map(of))
    };
    let late = median(latency.simulator_late_ms.iter().map(|late| late.p99));
    vec![
        Row::new(
            "at half of the maximum rate: messages a second",
            Some(latency.per_second),
        ),
        at("half of the messages", |p| p.p50),
        at("p99", |p| p.p99).with_goal(25.0),
        at("p99.9", |p| p.p999),
        Row::new("of it the simulator's own lateness: p99, ms", late),
        Row::of_rounds(
            "received at that rate: CPU ms per 1,000",
            &latency.cost,
            Round::cpu_ms_per_1000,
        ),
    ]
}

fn idle(idle: &Idle) -> Vec<Row> {
    let mib = |kib: u64| kib as f64 / 1024.0;
    let mut rows = vec![Row::new(
        "resident, no session: MiB",
        Some(mib(idle.empty.resident)),
    )];
    for standing in &idle.standings {
        let what = format!("resident, {} idle sessions: MiB", standing.sessions);
        rows.push(Row::new(what, Some(mib(standing.memory.resident))));
    }
    for pair in idle.standings.windows(2) {
        let more = (pair[1].sessions - pair[0].sessions) as f64;
        let grown = mib(pair[1].memory.resident) - mib(pair[0].memory.resident);
        let what = format!(
            "each session from {} to {}: MiB",
            pair[0].sessions, pair[1].sessions
        );
        rows.push(Row::new(what, Some(grown / more)).with_goal(0.6));
    }
    for standing in &idle.standings {
        let row = Row::new(
            format!("{} sessions online after: s", standing.sessions),
            Some(standing.online_after_seconds),
        );
        // The goal is for 500; fewer are sooner there.
        rows.push(if standing.sessions == 500 {
            row.with_goal(20.0)
        } else {
            row
        });
        if let Some(percent) = standing.cpu_percent {
            let row = Row::new(
                format!("{} idle sessions: % of a core", standing.sessions),
                Some(percent),
            );
            rows.push(if standing.sessions == 500 {
                row.with_goal(20.0)
            } else {
                row
            });
        }
    }
    rows
}

fn conditions(options: &Options) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let version = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let arguments: Vec<String> = std::env::args().skip(1).map(quoted).collect();
    format!(
        "Medians of {} rounds of {} messages, {} sessions with {} chats each; {cores} cores for everything, Linux {}.\n\
         Again: cargo bench-load {}",
        options.rounds,
        options.messages,
        options.sessions,
        options.chats,
        version.trim(),
        arguments.join(" ")
    )
}

/// As a shell takes it for one word.
fn quoted(argument: String) -> String {
    if argument.contains(' ') {
        format!("{argument:?}")
    } else {
        argument
    }
}

/// The rows, their numbers below each other.
fn table(rows: &[Row]) -> String {
    let number = |value: Option<f64>| value.map_or(String::new(), shown);
    let mut lines = vec![["", "gateway", "floor", "ratio", "goal", ""].map(str::to_owned)];
    for row in rows {
        let goal = row.goal.map_or(String::new(), |goal| {
            format!("≤ {}", (goal.at_most * 100.0).round() / 100.0)
        });
        let verdict = row.goal.map_or("", |goal| {
            if goal.is <= goal.at_most {
                "reached"
            } else {
                "missed"
            }
        });
        let ratio = row
            .ratio
            .map_or(String::new(), |ratio| format!("{ratio:.2}"));
        lines.push([
            row.what.clone(),
            number(row.gateway),
            number(row.floor),
            ratio,
            goal,
            verdict.to_owned(),
        ]);
    }
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |cells: &[String; 6]| {
        let [what, rest @ ..] = cells;
        let rest = rest
            .iter()
            .zip(&widths[1..])
            .map(|(cell, &width)| format!("  {cell:>width$}"));
        let first = format!("{what:<width$}", width = widths[0]);
        (first + &rest.collect::<String>()).trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

/// Three digits or so.
fn shown(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::idle::Standing;
    use crate::measure::media::Large;
    use crate::process::Memory;

    fn round(cpu_seconds: f64) -> Round {
        Round {
            messages: 1000,
            seconds: 0.5,
            cpu_seconds,
            simulator_cpu_seconds: 0.1,
        }
    }

    #[test]
    fn the_table_shows_both_sides_their_ratio_and_whether_the_goal_is_reached() {
        let rounds = |gateway, floor| Rounds {
            gateway: vec![round(gateway)],
            floor: vec![round(floor)],
        };
        let report = Report {
            received: rounds(0.1, 0.2),
            sent: rounds(0.5, 0.25),
            ..Report::default()
        };
        let expected = "                             gateway  floor  ratio   goal
received: CPU ms per 1,000       100    200   0.50  ≤ 0.7  reached
received: messages a second     2000   2000   1.00
sent: CPU ms per 1,000           500    250   2.00  ≤ 1.2   missed
sent: messages a second         2000   2000   1.00
";
        assert_eq!(table(&report.rows()), expected);
    }

    #[test]
    fn files_are_told_in_bytes_and_a_large_one_by_what_memory_it_takes() {
        let carried = |seconds| Carried {
            bytes: 100_000_000,
            seconds,
            cpu_seconds: 0.5,
            simulator_cpu_seconds: 0.1,
        };
        let large = Large {
            mib: 500,
            carried: carried(4.0),
            resident_kib: 30 * 1024,
            peak_kib: 50 * 1024,
        };
        let media = Files {
            received: vec![carried(0.5), carried(1.0), carried(2.0)],
            sent: Vec::new(),
            large,
        };
        let rows = Report {
            media: Some(media),
            ..Report::default()
        }
        .rows();
        let of = |what: &str| rows.iter().find(|row| row.what == what).unwrap();
        assert_eq!(of("files in: MB a second").gateway, Some(100.0));
        assert_eq!(of("files in: CPU ms per MB").gateway, Some(5.0));
        assert_eq!(of("files out: MB a second").gateway, None);
        assert_eq!(
            of("a document of 500 MiB out: MB a second").gateway,
            Some(25.0)
        );
        assert_eq!(
            of("a document of 500 MiB out: resident at most, MiB").gateway,
            Some(50.0)
        );
        let grown = of("a document of 500 MiB out: grown by at most, MiB");
        assert_eq!(
            grown.goal,
            Some(Goal {
                is: 20.0,
                at_most: 64.0
            })
        );
    }

    #[test]
    fn a_lone_send_may_take_as_long_as_the_disk_takes_three_times_and_two_milliseconds() {
        let took = Percentiles {
            p50: 3.0,
            p99: 9.0,
            p999: 9.0,
            max: 9.0,
        };
        let alone = Alone {
            rounds: Rounds::default(),
            took: vec![took],
            sync_ms: vec![0.5, 0.1, 0.2],
        };
        let rows = Report {
            alone: Some(alone),
            ..Report::default()
        }
        .rows();
        let goal = rows.iter().find_map(|row| row.goal).unwrap();
        assert_eq!((goal.is, (goal.at_most * 1000.0).round()), (3.0, 2600.0));
    }

    #[test]
    fn without_a_floor_there_is_no_ratio_and_no_verdict() {
        let received = Rounds {
            gateway: vec![round(0.1)],
            floor: Vec::new(),
        };
        let rows = Report {
            received,
            ..Report::default()
        }
        .rows();
        assert_eq!(
            (rows[0].gateway, rows[0].floor, rows[0].ratio, rows[0].goal),
            (Some(100.0), None, None, None)
        );
    }

    #[test]
    fn memory_of_a_session_is_what_more_of_them_add() {
        let memory = |mib: u64| Memory {
            resident: mib * 1024,
            anonymous: 0,
        };
        let standing = |sessions, mib| Standing {
            sessions,
            memory: memory(mib),
            online_after_seconds: 1.0,
            cpu_percent: (sessions == 500).then_some(30.0),
        };
        let idle = Idle {
            empty: memory(20),
            standings: vec![standing(10, 30), standing(210, 130), standing(500, 304)],
        };
        let rows = Report {
            idle: Some(idle),
            ..Report::default()
        }
        .rows();
        let of = |what: &str| {
            rows.iter()
                .find(|row| row.what == what)
                .and_then(|row| row.goal)
                .unwrap()
        };
        assert_eq!(of("each session from 10 to 210: MiB").is, 0.5);
        assert_eq!(
            of("each session from 210 to 500: MiB"),
            Goal {
                is: 0.6,
                at_most: 0.6
            }
        );
        assert_eq!(
            of("500 idle sessions: % of a core"),
            Goal {
                is: 30.0,
                at_most: 20.0
            }
        );
    }
}
