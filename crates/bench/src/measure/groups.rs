//! Messages to groups: what one costs that many members get. Each account has a group of its own of each size.

use anyhow::Result;
use serde::Serialize;

use super::round::{Rounds, gateway_first, tell};
use super::sending;
use crate::floor::Sends;
use crate::simulator::Account;
use crate::stage::{Load, Stage};

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

/// All sizes, one after the other; both sides take turns.
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
    let ours = match &load.gateway {
        Some(side) => groups(stage, &side.accounts, others).await?,
        None => Vec::new(),
    };
    let theirs = match &load.floor {
        Some(side) => groups(stage, &side.accounts, others).await?,
        None => Vec::new(),
    };
    let what = format!("sent to a group of {members}");
    let count = (COPIES / members).max(FEWEST);
    let mut rounds = Rounds::default();
    // The first round hands out keys, and is not counted.
    for round in 0..=stage.options.rounds {
        let sends = |groups: &Vec<Vec<String>>| Sends {
            to: groups.clone(),
            count,
            in_flight: stage.options.in_flight,
            label: format!("group-{members}-{round}"),
        };
        for gateways_turn in [gateway_first(round), !gateway_first(round)] {
            let (side, list, sent) = match (gateways_turn, &load.gateway, &mut load.floor) {
                (true, Some(side), _) => (
                    "gateway",
                    &mut rounds.gateway,
                    sending::gateway(stage, side, &sends(&ours)).await?,
                ),
                (false, _, Some(side)) => (
                    "floor",
                    &mut rounds.floor,
                    sending::floor(stage, side, &sends(&theirs)).await?,
                ),
                _ => continue,
            };
            if round > 0 {
                tell(&what, side, &sent);
                list.push(sent);
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
