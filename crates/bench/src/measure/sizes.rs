//! As `in`, by turns with several numbers of sessions: what is shared by many, and what one alone pays. Each number has processes of
//! its own, which do nothing while another is measured.

use anyhow::Result;
use serde::Serialize;

use super::receiving;
use super::round::Rounds;
use crate::stage::{Load, Stage};

/// The load of so many sessions.
#[derive(Clone, Debug, Serialize)]
pub struct OfSize {
    pub sessions: usize,
    pub rounds: Rounds,
}

/// All numbers and sides take turns.
pub async fn measure(stage: &Stage) -> Result<Vec<OfSize>> {
    let mut loads = Vec::new();
    for &sessions in &stage.options.sizes {
        eprintln!("linking {sessions} sessions of each side");
        let mut load = Load::set(stage, sessions).await?;
        super::warm_up(stage, &mut load).await?;
        let of_size = OfSize {
            sessions,
            rounds: Rounds::default(),
        };
        loads.push((load, of_size));
    }
    for round in 0..stage.options.rounds {
        for (load, of_size) in &mut loads {
            let label = format!("in-{}-{round}", of_size.sessions);
            let what = format!("received with {} sessions", of_size.sessions);
            receiving::turns(stage, load, &label, &what, &mut of_size.rounds).await?;
        }
    }
    let mut measured = Vec::new();
    for (load, of_size) in loads {
        load.stop().await?;
        measured.push(of_size);
    }
    Ok(measured)
}
