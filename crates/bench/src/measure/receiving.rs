//! Messages from phones: to the webhook, and to the floor's hook.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::round::{Round, Rounds, Watch};
use crate::receiver::Tally;
use crate::simulator::{Account, Burst, Lateness};
use crate::stage::{FloorSide, GatewaySide, Load, Stage, Who};

/// All rounds; the sides take turns.
pub async fn measure(stage: &Stage, load: &mut Load) -> Result<Rounds> {
    let mut rounds = Rounds::default();
    for round in 0..stage.options.rounds {
        let label = format!("in-{round}");
        turns(stage, load, &label, "received", &mut rounds).await?;
    }
    Ok(rounds)
}

/// A round as fast as possible: each side once.
pub async fn turns(
    stage: &Stage,
    load: &mut Load,
    label: &str,
    what: &str,
    rounds: &mut Rounds,
) -> Result<()> {
    let pace = Pace {
        label,
        count: stage.options.messages,
        per_second: None,
    };
    // Another side begins each round.
    for who in stage.turns(rounds.gateway.len().max(rounds.floor.len())) {
        rounds.add(what, who, turn(stage, load, who, pace).await?.round);
    }
    Ok(())
}

/// The same load on whatever sides there are, for its effect.
pub async fn all(stage: &Stage, load: &mut Load, label: &str, count: usize) -> Result<()> {
    let pace = Pace {
        label,
        count,
        per_second: None,
    };
    for who in stage.turns(0) {
        turn(stage, load, who, pace).await?;
    }
    Ok(())
}

/// How many messages, and how fast.
#[derive(Clone, Copy)]
pub struct Pace<'a> {
    /// A word of its own for each burst.
    pub label: &'a str,
    pub count: usize,
    /// As fast as possible when there is none.
    pub per_second: Option<f64>,
}

impl<'a> Pace<'a> {
    fn burst(&self, from: &'a [Account], to: &'a [Account]) -> Burst<'a> {
        Burst {
            label: self.label,
            from,
            to,
            count: self.count,
            per_second: self.per_second,
        }
    }
}

/// What a side made of a burst.
pub struct Received {
    pub round: Round,
    /// What came to the webhook, and how late the simulator was; only of a gateway.
    pub posted: Option<(Tally, Lateness)>,
}

/// One burst to this side.
pub async fn turn(stage: &Stage, load: &mut Load, who: Who, pace: Pace<'_>) -> Result<Received> {
    if let Some(side) = load.gateway(who) {
        return gateway(stage, side, &load.contacts, pace).await;
    }
    let contacts = load.contacts.clone();
    let side = load
        .floor(who)
        .context("a side takes a turn that is not there")?;
    let round = floor(stage, side, &contacts, pace).await?;
    Ok(Received {
        round,
        posted: None,
    })
}

/// One burst to the gateway.
pub async fn gateway(
    stage: &Stage,
    side: &GatewaySide,
    contacts: &[Account],
    pace: Pace<'_>,
) -> Result<Received> {
    stage
        .receiver
        .expect(pace.label, pace.count, contacts.len() * side.accounts.len());
    let watch = Watch::start(stage, side.gateway.meter()).await?;
    let lateness = stage
        .simulator
        .burst(pace.burst(contacts, &side.accounts))
        .await?;
    let tally = stage.receiver.complete(stage.options.patience()).await?;
    ensure!(
        tally.out_of_order == 0,
        "{} messages came after later ones of their chat",
        tally.out_of_order
    );
    ensure!(
        tally.repeated == 0,
        "{} messages came more than once",
        tally.repeated
    );
    let round = watch
        .stop(pace.count, tally.complete_at, &side.accounts)
        .await?;
    Ok(Received {
        round,
        posted: Some((tally, lateness)),
    })
}

/// One burst to the floor.
async fn floor(
    stage: &Stage,
    side: &mut FloorSide,
    contacts: &[Account],
    pace: Pace<'_>,
) -> Result<Round> {
    let watch = Watch::start(stage, side.floor.meter()).await?;
    side.floor.expect(pace.count).await?;
    stage
        .simulator
        .burst(pace.burst(contacts, &side.accounts))
        .await?;
    side.floor.received(stage.options.patience()).await?;
    watch.stop(pace.count, Instant::now(), &side.accounts).await
}
