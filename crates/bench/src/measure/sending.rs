//! Messages to phones: from HTTP to the server's ack, and from the floor's engine to the ack.

use std::time::Instant;

use anyhow::Result;

use super::round::{Round, Rounds, Watch, gateway_first, tell};
use crate::floor::Sends;
use crate::stage::{FloorSide, GatewaySide, Load, Stage};

/// All rounds; both sides take turns.
pub async fn measure(stage: &Stage, load: &mut Load) -> Result<Rounds> {
    let mut rounds = Rounds::default();
    for round in 0..stage.options.rounds {
        let sends = sends(stage, load, &format!("out-{round}"), stage.options.messages);
        for gateways_turn in [gateway_first(round), !gateway_first(round)] {
            match (gateways_turn, &load.gateway, &mut load.floor) {
                (true, Some(side), _) => {
                    let sent = gateway(stage, side, &sends).await?;
                    tell("sent", "gateway", &sent);
                    rounds.gateway.push(sent);
                }
                (false, _, Some(side)) => {
                    let sent = floor(stage, side, &sends).await?;
                    tell("sent", "floor", &sent);
                    rounds.floor.push(sent);
                }
                _ => {}
            }
        }
    }
    Ok(rounds)
}

/// The same load on whatever sides there are, for its effect.
pub async fn both(stage: &Stage, load: &mut Load, label: &str, count: usize) -> Result<()> {
    let sends = sends(stage, load, label, count);
    if let Some(side) = &load.gateway {
        gateway(stage, side, &sends).await?;
    }
    if let Some(side) = &mut load.floor {
        floor(stage, side, &sends).await?;
    }
    Ok(())
}

pub fn sends(stage: &Stage, load: &Load, label: &str, count: usize) -> Sends {
    let chats: Vec<_> = load
        .contacts
        .iter()
        .map(|contact| contact.jid.clone())
        .collect();
    let (to, in_flight) = (vec![chats; stage.options.sessions], stage.options.in_flight);
    Sends {
        to,
        count,
        in_flight,
        label: label.to_owned(),
    }
}

pub async fn gateway(stage: &Stage, side: &GatewaySide, sends: &Sends) -> Result<Round> {
    let watch = Watch::start(stage, side.gateway.meter()).await?;
    side.send(sends, stage).await?;
    watch
        .stop(sends.count, Instant::now(), &side.accounts)
        .await
}

pub async fn floor(stage: &Stage, side: &mut FloorSide, sends: &Sends) -> Result<Round> {
    let watch = Watch::start(stage, side.floor.meter()).await?;
    side.floor
        .send(sends.clone(), stage.options.patience())
        .await?;
    watch
        .stop(sends.count, Instant::now(), &side.accounts)
        .await
}
