//! Messages to groups: what one costs that many members get. Each account has a group of its own of each size.

use anyhow::Result;
use serde::Serialize;

use super::round::Rounds;
use super::sending;
use crate::floor::Sends;
use crate::simulator::Account;
use crate::stage::{Load, Stage, Who};

/// Copies of the messages of one round, at most about; phones open each, on the same cores.
const COPIES: usize = 8_000;
const FEWEST: usize = 64;

/// Groups of one size.
#[derive(Clone, Debug, Serialize)]
pub struct Sized {
    /// The sender is one of them.
    pub members: usize,
    pub rounds: Rounds,
}

/// All sizes, one after the other; the sides take turns.
pub async fn measure(stage: &Stage, load: &mut Load) -> Result<Vec<Sized>> {
    let sizes = &stage.options.members;
    let largest = sizes.iter().copied().max().unwrap_or(1);
    let phones = stage.simulator.accounts("Member", largest - 1).await?;
    let mut measured = Vec::with_capacity(sizes.len());
    for &members in sizes {
        measured.push(Sized {
            members,
            rounds: size(stage, load, &phones[..members - 1]).await?,
        });
    }
    Ok(measured)
}

async fn size(stage: &Stage, load: &mut Load, others: &[Account]) -> Result<Rounds> {
    let members = others.len() + 1;
    let mut of_side = Vec::new();
    for who in stage.turns(0) {
        of_side.push((who, groups(stage, load.accounts(who), others).await?));
    }
    let of = |who: Who| {
        let side = of_side.iter().find(|(side, _)| *side == who);
        side.map_or(Vec::new(), |(_, groups)| groups.clone())
    };
    let what = format!("sent to a group of {members}");
    let count = (COPIES / members).max(FEWEST);
    let mut rounds = Rounds::default();
    // The first round hands out keys, and is not counted.
    for round in 0..=stage.options.rounds {
        for who in stage.turns(round) {
            let sends = Sends {
                to: of(who),
                count,
                in_flight: stage.options.in_flight,
                label: format!("group-{members}-{round}"),
            };
            let sent = sending::turn(stage, load, who, &sends).await?;
            if round > 0 {
                rounds.add(&what, who, sent);
            }
        }
    }
    Ok(rounds)
}

/// For each account the address of a group that it has founded.
async fn groups(
    stage: &Stage,
    accounts: &[Account],
    others: &[Account],
) -> Result<Vec<Vec<String>>> {
    let mut founded = Vec::with_capacity(accounts.len());
    for account in accounts {
        founded.push(vec![stage.simulator.group(account, others).await?]);
    }
    Ok(founded)
}
