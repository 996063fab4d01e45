//! The measurements, one after the other, on one stage.

mod alone;
mod groups;
mod growth;
pub mod idle;
mod latency;
pub mod media;
mod receiving;
mod round;
mod sending;
mod sizes;
mod watcher;
mod watching;

use anyhow::{Result, ensure};

use crate::arguments::{Command, Options};
use crate::report::Report;
use crate::stage::{Load, Stage};

pub use alone::Alone;
pub use groups::Sized;
pub use growth::Grown;
pub use idle::Idle;
pub use latency::Latency;
pub use media::{Carried, Files};
pub use round::{Round, Rounds};
pub use sizes::OfSize;
pub use watching::Watched;

/// Idle sessions of `--huge`.
const HUGE: usize = 10_000;

/// Runs what is asked for and prints the report.
pub async fn run(command: Command, mut options: Options) -> Result<()> {
    if options.huge {
        options.idle_sessions = vec![HUGE];
    }
    check(&options)?;
    let stage = Stage::set(options).await?;
    let mut report = Report::default();
    let wants = |this: fn(&Command) -> bool| matches!(command, Command::All) || this(&command);
    if matches!(command, Command::Sizes) {
        report.sizes = sizes::measure(&stage).await?;
    } else if matches!(command, Command::Growth) {
        report.grown = Some(growth::measure(&stage).await?);
    } else if !matches!(command, Command::Memory | Command::Start) {
        let mut load = Load::set(&stage, stage.options.sessions).await?;
        warm_up(&stage, &mut load).await?;
        if wants(|command| matches!(command, Command::In | Command::Latency)) {
            report.received = receiving::measure(&stage, &mut load).await?;
        }
        if wants(|command| matches!(command, Command::Latency)) && stage.options.runs_gateway() {
            report.latency = Some(latency::at_half(&stage, &mut load, &report.received).await?);
        }
        if wants(|command| matches!(command, Command::Paced)) {
            report.paced = Some(latency::paced(&stage, &mut load).await?);
        }
        if wants(|command| matches!(command, Command::Out)) {
            report.sent = sending::measure(&stage, &mut load).await?;
        }
        if wants(|command| matches!(command, Command::Alone)) {
            report.alone = Some(alone::measure(&stage, &mut load).await?);
        }
        if wants(|command| matches!(command, Command::Groups)) {
            report.groups = groups::measure(&stage, &mut load).await?;
        }
        if wants(|command| matches!(command, Command::Media)) {
            report.media = media::measure(&stage, &load).await?;
        }
        if matches!(command, Command::Watchers) {
            report.watched = watching::measure(&stage, &load).await?;
        }
        load.stop().await?;
    }
    if wants(|command| matches!(command, Command::Memory | Command::Start))
        && stage.options.runs_gateway()
    {
        report.idle =
            Some(idle::measure(&stage, wants(|command| matches!(command, Command::Start))).await?);
    }
    stage.simulator.stop().await?;
    report.publish(&stage.options)
}

fn check(options: &Options) -> Result<()> {
    let growing = options
        .idle_sessions
        .windows(2)
        .all(|pair| pair[0] < pair[1]);
    ensure!(
        growing && !options.idle_sessions.is_empty(),
        "--idle-sessions must be numbers that grow, as in 10,200,500"
    );
    ensure!(
        options.members.iter().all(|members| *members > 1),
        "--members must be numbers from 2 on, as in 8,64,256"
    );
    ensure!(
        !options.sizes.is_empty() && options.sizes.iter().all(|size| *size > 0),
        "--sizes must be numbers from 1 on, as in 8,1,100"
    );
    ensure!(options.pace > 0.0, "--pace must be above 0");
    for (name, number) in [
        ("sessions", options.sessions),
        ("chats", options.chats),
        ("messages", options.messages),
        ("rounds", options.rounds),
        ("in-flight", options.in_flight),
        ("large-mib", options.large_mib),
        ("events", usize::try_from(options.events)?),
    ] {
        ensure!(number > 0, "--{name} must be at least 1");
    }
    Ok(())
}

/// What only the first messages cost, keys, sessions, connections, is over before anything is measured. Both ways and back: a Signal
/// session is complete when both sides have heard of each other.
async fn warm_up(stage: &Stage, load: &mut Load) -> Result<()> {
    let count = (load.size * stage.options.chats * 4).max(stage.options.messages / 10);
    eprintln!("warming up with {count} messages each way");
    receiving::all(stage, load, "warm-in", count).await?;
    sending::all(stage, load, "warm-out", count).await?;
    receiving::all(stage, load, "warm-in-again", count).await?;
    Ok(())
}
