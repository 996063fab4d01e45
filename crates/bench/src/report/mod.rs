//! The report: one table for people, and all numbers as JSON.

mod row;
mod rows;
mod table;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::arguments::Options;
use crate::measure::{Alone, Files, Grown, Idle, Latency, OfSize, Rounds, Sized, Watched};

pub use row::Row;
use table::table;

/// What was measured; what was not is empty.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub received: Rounds,
    pub sizes: Vec<OfSize>,
    pub paced: Option<Latency>,
    pub sent: Rounds,
    pub alone: Option<Alone>,
    pub groups: Vec<Sized>,
    pub latency: Option<Latency>,
    pub media: Option<Files>,
    pub watched: Option<Watched>,
    pub grown: Option<Grown>,
    pub idle: Option<Idle>,
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
        let mut all = rows::rounds("received", &self.received, Some(0.9));
        all.extend(self.sizes.iter().flat_map(rows::sizes));
        all.extend(self.paced.iter().flat_map(rows::paced));
        all.extend(rows::rounds("sent", &self.sent, Some(1.0)));
        all.extend(self.alone.iter().flat_map(rows::alone));
        all.extend(self.groups.iter().flat_map(rows::groups));
        all.extend(self.media.iter().flat_map(rows::media));
        all.extend(self.watched.iter().flat_map(Watched::rows));
        all.extend(self.grown.iter().flat_map(rows::grown));
        all.extend(self.latency.iter().flat_map(rows::latency));
        all.extend(self.idle.iter().flat_map(rows::idle));
        all
    }
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

#[cfg(test)]
mod tests {
    use super::row::Goal;
    use super::*;
    use crate::measure::Carried;
    use crate::measure::idle::{Side, Standing};
    use crate::measure::media::Large;
    use crate::measure::{Round, Rounds};
    use crate::numbers::Percentiles;
    use crate::process::Memory;

    fn round(cpu_seconds: f64) -> Round {
        Round {
            messages: 1000,
            seconds: 0.5,
            cpu_seconds,
            simulator_cpu_seconds: 0.1,
            written: 4_000_000,
            switches: 30_000,
        }
    }

    #[test]
    fn the_table_shows_both_sides_their_ratio_and_whether_the_goal_is_reached() {
        let rounds = |gateway, floor| Rounds {
            gateway: vec![round(gateway)],
            floor: vec![round(floor)],
            ..Rounds::default()
        };
        let report = Report {
            received: rounds(0.1, 0.2),
            sent: rounds(0.5, 0.25),
            ..Report::default()
        };
        let expected = "                             gateway  floor  ratio   goal
received: CPU ms per 1,000       100    200   0.50  ≤ 0.9  reached
received: messages a second     2000   2000   1.00
sent: CPU ms per 1,000           500    250   2.00    ≤ 1   missed
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
    fn a_lone_send_may_take_as_long_as_the_disk_takes_twice_and_a_bit() {
        let took = Percentiles {
            p50: 3.0,
            p99: 9.0,
            p999: 9.0,
            max: 9.0,
        };
        let alone = Alone {
            rounds: Rounds::default(),
            took: vec![took],
            took_against: Vec::new(),
            sync_ms: vec![0.5, 0.1, 0.2],
        };
        let rows = Report {
            alone: Some(alone),
            ..Report::default()
        }
        .rows();
        let goal = rows.iter().find_map(|row| row.goal).unwrap();
        assert_eq!((goal.is, (goal.at_most * 1000.0).round()), (3.0, 1900.0));
    }

    #[test]
    fn without_a_floor_there_is_no_ratio_and_no_verdict() {
        let received = Rounds {
            gateway: vec![round(0.1)],
            ..Rounds::default()
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
    fn one_message_at_a_time_is_told_by_message() {
        let cost = Rounds {
            gateway: vec![round(2.0)],
            floor: vec![round(0.5)],
            against: vec![round(4.0)],
        };
        let paced = Latency {
            per_second: 150.0,
            cost,
            ..Latency::default()
        };
        let rows = Report {
            paced: Some(paced),
            ..Report::default()
        }
        .rows();
        let of = |what: &str| rows.iter().find(|row| row.what == what).unwrap();
        let cpu = of("paced at 150/s: CPU ms a message");
        assert_eq!((cpu.gateway, cpu.ratio), (Some(2.0), Some(4.0)));
        assert_eq!((cpu.against, cpu.to_against), (Some(4.0), Some(0.5)));
        assert_eq!(
            of("paced at 150/s: kB written a message").gateway,
            Some(4.0)
        );
        let switches = of("paced at 150/s: context switches a message");
        assert_eq!(
            switches.goal,
            Some(Goal {
                is: 30.0,
                at_most: 20.0
            })
        );
    }

    #[test]
    fn one_session_alone_may_cost_more_than_one_of_many() {
        let goal = |sessions| {
            let of_size = OfSize {
                sessions,
                rounds: Rounds {
                    gateway: vec![round(0.1)],
                    floor: vec![round(0.1)],
                    ..Rounds::default()
                },
            };
            rows::sizes(&of_size)[0].goal.unwrap().at_most
        };
        assert_eq!([goal(1), goal(8), goal(100)], [1.5, 0.9, 0.9]);
    }

    #[test]
    fn memory_of_a_session_is_what_more_of_them_add() {
        let memory = |mib: u64| Memory {
            resident: mib * 1024,
            anonymous: 0,
        };
        let standing = |sessions, mib, descriptors| Standing {
            sessions,
            memory: memory(mib),
            descriptors,
            online_after_seconds: 1.0,
            cpu_percent: (sessions == 500).then_some(30.0),
            talk: None,
        };
        let side = |more: u64| Side {
            empty: memory(20),
            standings: vec![
                standing(10, 30, 60),
                standing(210, 130 + more, 860),
                standing(500, 304, 2020),
            ],
        };
        let rows = Report {
            idle: Some(Idle {
                gateway: side(0),
                against: Some(side(100)),
            }),
            ..Report::default()
        }
        .rows();
        let of = |what: &str| rows.iter().find(|row| row.what == what).unwrap();
        let memory = of("each session from 10 to 210: MiB");
        assert_eq!((memory.goal.unwrap().is, memory.against), (0.5, Some(1.0)));
        let descriptors = of("each session from 10 to 210: descriptors");
        assert_eq!(descriptors.gateway, Some(4.0));
        let goal = |is, at_most| Some(Goal { is, at_most });
        assert_eq!(
            of("each session from 210 to 500: MiB").goal,
            goal(0.6, 0.33)
        );
        assert_eq!(of("500 idle sessions: % of a core").goal, goal(30.0, 20.0));
        assert_eq!(of("500 sessions online after: s").goal, goal(1.0, 5.0));
        assert_eq!(of("210 sessions online after: s").goal, None);
    }
}
