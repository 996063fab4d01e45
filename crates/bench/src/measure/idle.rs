//! Sessions that do nothing: their memory after a restart, how soon they are online, and what they cost while nothing happens.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde::Serialize;

use crate::gateway::Gateway;
use crate::line::Line;
use crate::process::Memory;
use crate::simulator::{Account, Burst};
use crate::stage::{Stage, Who};

/// Sessions that are linked at the same time.
const LINKED_AT_ONCE: usize = 8;
/// How long after the last login memory is read, so that what a login leaves to do is done.
const SETTLED: Duration = Duration::from_secs(5);
/// Lines over which idle sessions send their one message.
const LINES: usize = 16;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Idle {
    pub gateway: Side,
    /// The gateway that the other is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Side>,
}

/// One gateway.
#[derive(Debug, Serialize)]
pub struct Side {
    /// The process before there is any session.
    pub empty: Memory,
    pub standings: Vec<Standing>,
}

/// A gateway with so many sessions, some seconds after it was started on them.
#[derive(Debug, Serialize)]
pub struct Standing {
    pub sessions: usize,
    pub memory: Memory,
    /// Open files and sockets.
    pub descriptors: usize,
    /// From the start of the program until all were online.
    pub online_after_seconds: f64,
    /// While nothing happens, in percent of one core; only measured when asked for, with the most sessions.
    pub cpu_percent: Option<f64>,
    /// One message each, when the sessions are a great many.
    pub talk: Option<Talk>,
}

/// How long it takes until each session had one message.
#[derive(Debug, Serialize)]
pub struct Talk {
    /// From the first that a phone sends to the last at the webhook.
    pub in_seconds: f64,
    /// From the first request until WhatsApp has taken the last.
    pub out_seconds: f64,
}

impl Side {
    /// What each session between two standings adds.
    pub fn growth(&self, place: usize, number: fn(&Standing) -> f64) -> Option<f64> {
        let (fewer, more) = (self.standings.get(place)?, self.standings.get(place + 1)?);
        Some((number(more) - number(fewer)) / (more.sessions - fewer.sessions) as f64)
    }
}

/// Grows the number of sessions, and starts the gateway anew each time. `with_cpu` takes its time.
pub async fn measure(stage: &Stage, with_cpu: bool) -> Result<Idle> {
    let mut sides = Vec::new();
    for who in stage.gateways() {
        sides.push(Growing::new(stage, who).await?);
    }
    let counts = &stage.options.idle_sessions;
    for &count in counts {
        for side in &mut sides {
            side.grow(stage, count).await?;
            let with_cpu = with_cpu && Some(&count) == counts.last();
            let standing = side.restarted(stage, with_cpu).await?;
            eprintln!("{}: {standing:?}", side.who.name());
            side.found.standings.push(standing);
        }
    }
    let mut found = sides.into_iter().map(|side| side.found);
    Ok(Idle {
        gateway: found.next().context("there is no gateway")?,
        against: found.next(),
    })
}

/// A gateway that gets more and more sessions.
struct Growing {
    who: Who,
    /// The data folder.
    root: String,
    accounts: Vec<Account>,
    sessions: Vec<String>,
    found: Side,
}

impl Growing {
    async fn new(stage: &Stage, who: Who) -> Result<Self> {
        let root = format!("idle-{}", who.name().replace(' ', "-"));
        let gateway = stage.start(who, &root).await?;
        tokio::time::sleep(SETTLED).await;
        let empty = gateway.meter().memory()?;
        gateway.stop().await?;
        Ok(Self {
            who,
            root,
            accounts: Vec::new(),
            sessions: Vec::new(),
            found: Side {
                empty,
                standings: Vec::new(),
            },
        })
    }

    /// Links new sessions until there are so many.
    async fn grow(&mut self, stage: &Stage, count: usize) -> Result<()> {
        let before = self.accounts.len();
        let more = count - before;
        eprintln!("linking {more} sessions more to the {}", self.who.name());
        self.accounts
            .extend(stage.simulator.accounts("Idle", more).await?);
        self.sessions
            .extend((before..count).map(|index| format!("idle-{index:05}")));
        let gateway = stage.start(self.who, &self.root).await?;
        let pairs = self.sessions.iter().zip(&self.accounts).skip(before);
        for some in pairs.collect::<Vec<_>>().chunks(LINKED_AT_ONCE) {
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
    async fn restarted(&self, stage: &Stage, with_cpu: bool) -> Result<Standing> {
        let gateway = stage.start(self.who, &self.root).await?;
        let patience = stage.options.patience();
        // The simulator knows it of all with one question; the gateway's own word is what counts, and is asked for once.
        stage
            .simulator
            .all_are_connected(&self.accounts, patience)
            .await?;
        gateway.all_are_online(&self.sessions, patience).await?;
        let online_after_seconds = gateway.age().as_secs_f64();
        tokio::time::sleep(SETTLED).await;
        let (memory, descriptors) = (gateway.meter().memory()?, gateway.meter().descriptors()?);
        let cpu_percent = match with_cpu {
            true => Some(cpu_percent(&gateway, stage.options.idle_seconds).await?),
            false => None,
        };
        let talk = match stage.options.huge {
            true => Some(self.talk(stage, &gateway).await?),
            false => None,
        };
        gateway.stop().await?;
        Ok(Standing {
            sessions: self.sessions.len(),
            memory,
            descriptors,
            online_after_seconds,
            cpu_percent,
            talk,
        })
    }

    /// One message to each session, and one from each.
    async fn talk(&self, stage: &Stage, gateway: &Gateway) -> Result<Talk> {
        let contact = stage.simulator.accounts("Contact", 1).await?;
        let contact = &contact;
        let (label, count) = ("one-each", self.sessions.len());
        stage.receiver.expect(label, count, count);
        let started = Instant::now();
        let burst = Burst {
            label,
            from: contact,
            to: &self.accounts,
            count,
            per_second: None,
        };
        stage.simulator.burst(burst).await?;
        let tally = stage.receiver.complete(stage.options.patience()).await?;
        ensure!(
            tally.repeated == 0,
            "{} messages came twice",
            tally.repeated
        );
        let in_seconds = tally.complete_at.duration_since(started).as_secs_f64();
        let started = Instant::now();
        let share = count.div_ceil(LINES);
        let sending = self.sessions.chunks(share).map(|sessions| async move {
            let mut line = Line::connect(gateway.address).await?;
            for session in sessions {
                let route = stage.options.route;
                route
                    .send(&mut line, session, &contact[0].jid, "Hello")
                    .await?;
            }
            anyhow::Ok(())
        });
        try_join_all(sending).await.context("sending one each")?;
        Ok(Talk {
            in_seconds,
            out_seconds: started.elapsed().as_secs_f64(),
        })
    }
}

/// The CPU that the gateway uses in this time, in percent of one core.
pub async fn cpu_percent(gateway: &Gateway, seconds: f64) -> Result<f64> {
    let (meter, started) = (gateway.meter(), Instant::now());
    let before = meter.cpu()?;
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    let used = meter.cpu()?.saturating_sub(before);
    Ok(used.as_secs_f64() / started.elapsed().as_secs_f64() * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_what_more_sessions_add_to_each() {
        let standing = |sessions, descriptors| Standing {
            sessions,
            memory: Memory {
                resident: 0,
                anonymous: 0,
            },
            descriptors,
            online_after_seconds: 1.0,
            cpu_percent: None,
            talk: None,
        };
        let side = Side {
            empty: standing(0, 0).memory,
            standings: vec![standing(10, 70), standing(20, 110)],
        };
        let growth = |place| side.growth(place, |standing| standing.descriptors as f64);
        assert_eq!((growth(0), growth(1)), (Some(4.0), None));
    }
}
