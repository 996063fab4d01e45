//! Sessions that do nothing: their memory after a restart, how soon they are online, and what they cost while nothing happens.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use serde::Serialize;

use crate::gateway::Gateway;
use crate::process::Memory;
use crate::simulator::Account;
use crate::stage::Stage;

/// Sessions that are linked at the same time.
const LINKED_AT_ONCE: usize = 8;
/// How long after the last login memory is read, so that what a login leaves to do is done.
const SETTLED: Duration = Duration::from_secs(5);
/// The data folder.
const ROOT: &str = "idle";

/// What was found.
#[derive(Debug, Serialize)]
pub struct Idle {
    /// The process before there is any session.
    pub empty: Memory,
    pub standings: Vec<Standing>,
}

/// A gateway with so many sessions, some seconds after it was started on them.
#[derive(Debug, Serialize)]
pub struct Standing {
    pub sessions: usize,
    pub memory: Memory,
    /// From the start of the program until all were online.
    pub online_after_seconds: f64,
    /// While nothing happens, in percent of one core; only measured when asked for, with the most sessions.
    pub cpu_percent: Option<f64>,
}

/// Grows the number of sessions, and starts the gateway anew each time. `with_cpu` takes its time.
pub async fn measure(stage: &Stage, with_cpu: bool) -> Result<Idle> {
    let mut idle = Idle {
        empty: empty(stage).await?,
        standings: Vec::new(),
    };
    let (mut accounts, mut sessions) = (Vec::new(), Vec::new());
    let most = stage.options.idle_sessions.last().copied();
    for &count in &stage.options.idle_sessions {
        eprintln!("linking {} sessions more", count - sessions.len());
        let fresh = stage
            .simulator
            .accounts("Idle", count - accounts.len())
            .await?;
        let names: Vec<String> = (accounts.len()..count)
            .map(|index| format!("idle-{index:04}"))
            .collect();
        link(stage, &names, &fresh).await?;
        accounts.extend(fresh);
        sessions.extend(names);
        let standing =
            restarted(stage, &sessions, &accounts, with_cpu && Some(count) == most).await?;
        eprintln!("{standing:?}");
        idle.standings.push(standing);
    }
    Ok(idle)
}

async fn empty(stage: &Stage) -> Result<Memory> {
    let gateway = stage.gateway(ROOT).await?;
    tokio::time::sleep(SETTLED).await;
    let memory = gateway.meter().memory()?;
    gateway.stop().await?;
    Ok(memory)
}

async fn link(stage: &Stage, names: &[String], accounts: &[Account]) -> Result<()> {
    let gateway = stage.gateway(ROOT).await?;
    let pairs: Vec<_> = names.iter().zip(accounts).collect();
    for some in pairs.chunks(LINKED_AT_ONCE) {
        let linking = some
            .iter()
            .map(|(name, account)| gateway.pair(name, account, &stage.simulator));
        try_join_all(linking)
            .await
            .context("linking idle sessions")?;
    }
    gateway.stop().await
}

/// Starts the gateway on its saved sessions and looks at it.
async fn restarted(
    stage: &Stage,
    sessions: &[String],
    accounts: &[Account],
    with_cpu: bool,
) -> Result<Standing> {
    let gateway = stage.gateway(ROOT).await?;
    let patience = stage.options.patience();
    // The simulator knows it of all with one question; the gateway's own word is what counts, and is asked for once.
    stage
        .simulator
        .all_are_connected(accounts, patience)
        .await?;
    gateway.all_are_online(sessions, patience).await?;
    let online_after_seconds = gateway.age().as_secs_f64();
    tokio::time::sleep(SETTLED).await;
    let memory = gateway.meter().memory()?;
    let cpu_percent = match with_cpu {
        true => Some(cpu_percent(&gateway, stage.options.idle_seconds).await?),
        false => None,
    };
    gateway.stop().await?;
    Ok(Standing {
        sessions: sessions.len(),
        memory,
        online_after_seconds,
        cpu_percent,
    })
}

/// The CPU that the gateway uses in this time, in percent of one core.
pub async fn cpu_percent(gateway: &Gateway, seconds: f64) -> Result<f64> {
    let (meter, started) = (gateway.meter(), Instant::now());
    let before = meter.cpu()?;
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    let used = meter.cpu()?.saturating_sub(before);
    Ok(used.as_secs_f64() / started.elapsed().as_secs_f64() * 100.0)
}
