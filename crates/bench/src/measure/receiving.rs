//! Messages from phones: to the webhook, and to the floor's hook.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::round::{Round, Rounds, Watch, gateway_first};
use crate::receiver::Tally;
use crate::simulator::{Account, Burst, Lateness};
use crate::stage::{FloorSide, GatewaySide, Load, Stage};

/// All rounds; both sides take turns.
pub async fn measure(stage: &Stage, load: &mut Load) -> Result<Rounds> {
    let mut rounds = Rounds::default();
    for round in 0..stage.options.rounds {
        let label = format!("in-{round}");
        for gateways_turn in [gateway_first(round), !gateway_first(round)] {
            match (gateways_turn, &load.gateway, &mut load.floor) {
                (true, Some(side), _) => {
                    let pace = Pace {
                        label: &label,
                        count: stage.options.messages,
                        per_second: None,
                    };
                    let received = gateway(stage, side, &load.contacts, pace).await?;
                    super::round::tell("received", "gateway", &received.round);
                    rounds.gateway.push(received.round);
                }
                (false, _, Some(side)) => {
                    let pace = Pace {
                        label: &label,
                        count: stage.options.messages,
                        per_second: None,
                    };
                    let received = floor(stage, side, &load.contacts, pace).await?;
                    super::round::tell("received", "floor", &received);
                    rounds.floor.push(received);
                }
                _ => {}
            }
        }
    }
    Ok(rounds)
}

/// The same load on whatever sides there are, for its effect.
pub async fn both(stage: &Stage, load: &mut Load, label: &str, count: usize) -> Result<()> {
    let pace = Pace {
        label,
        count,
        per_second: None,
    };
    if let Some(side) = &load.gateway {
        gateway(stage, side, &load.contacts, pace).await?;
    }
    if let Some(side) = &mut load.floor {
        floor(stage, side, &load.contacts, pace).await?;
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

/// What the gateway made of a burst.
pub struct Received {
    pub round: Round,
    pub tally: Tally,
    pub lateness: Lateness,
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
        tally,
        lateness,
    })
}

/// One burst to the floor.
pub async fn floor(
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
