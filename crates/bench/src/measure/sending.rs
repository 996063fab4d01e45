//! Messages to phones: from HTTP to the server's ack, and from the floor's engine to the ack.

use std::time::Instant;

use anyhow::{Context, Result};

use super::round::{Round, Rounds, Watch};
use crate::floor::Sends;
use crate::stage::{FloorSide, GatewaySide, Load, Stage, Who};

/// All rounds; the sides take turns.
pub async fn measure(stage: &Stage, load: &mut Load) -> Result<Rounds> {
    let mut rounds = Rounds::default();
    for round in 0..stage.options.rounds {
        let sends = sends(stage, load, &format!("out-{round}"), stage.options.messages);
        for who in stage.turns(round) {
            rounds.add("sent", who, turn(stage, load, who, &sends).await?);
        }
    }
    Ok(rounds)
}

/// The same load on whatever sides there are, for its effect.
pub async fn all(stage: &Stage, load: &mut Load, label: &str, count: usize) -> Result<()> {
    let sends = sends(stage, load, label, count);
    for who in stage.turns(0) {
        turn(stage, load, who, &sends).await?;
    }
    Ok(())
}

/// These messages by this side.
pub async fn turn(stage: &Stage, load: &mut Load, who: Who, sends: &Sends) -> Result<Round> {
    if let Some(side) = load.gateway(who) {
        return gateway(stage, side, sends).await;
    }
    let side = load
        .floor(who)
        .context("a side takes a turn that is not there")?;
    floor(stage, side, sends).await
}

pub fn sends(stage: &Stage, load: &Load, label: &str, count: usize) -> Sends {
    let chats: Vec<_> = load
        .contacts
        .iter()
        .map(|contact| contact.jid.clone())
        .collect();
    let (to, in_flight) = (vec![chats; load.size], stage.options.in_flight);
    Sends {
        to,
        count,
        in_flight,
        label: label.to_owned(),
    }
}

async fn gateway(stage: &Stage, side: &GatewaySide, sends: &Sends) -> Result<Round> {
    let watch = Watch::start(stage, side.gateway.meter()).await?;
    side.send(sends, stage).await?;
    watch
        .stop(sends.count, Instant::now(), &side.accounts)
        .await
}

async fn floor(stage: &Stage, side: &mut FloorSide, sends: &Sends) -> Result<Round> {
    let watch = Watch::start(stage, side.floor.meter()).await?;
    side.floor
        .send(sends.clone(), stage.options.patience())
        .await?;
    watch
        .stop(sends.count, Instant::now(), &side.accounts)
        .await
}
