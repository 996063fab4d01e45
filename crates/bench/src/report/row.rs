//! One line of the report. Pure.

use serde::Serialize;

use crate::measure::{Round, Rounds};
use crate::numbers::{Percentiles, median, ratio};

/// One line of the table.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    pub what: String,
    pub gateway: Option<f64>,
    pub floor: Option<f64>,
    /// The gateway in units of the floor.
    pub ratio: Option<f64>,
    /// The gateway that the other is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<f64>,
    /// The gateway in units of that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_against: Option<f64>,
    pub goal: Option<Goal>,
}

/// What a number may be at most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Goal {
    pub is: f64,
    pub at_most: f64,
}

impl Row {
    pub fn new(what: impl Into<String>, gateway: Option<f64>) -> Self {
        Self {
            what: what.into(),
            gateway,
            ..Self::default()
        }
    }

    /// A number of both gateways that was measured once of each, or of which there is a median.
    pub fn of_both(what: impl Into<String>, gateway: Option<f64>, against: Option<f64>) -> Self {
        let to_against = gateway.zip(against).map(|(ours, theirs)| ours / theirs);
        Self {
            against,
            to_against,
            ..Self::new(what, gateway)
        }
    }

    /// A number of all sides, by their rounds.
    pub fn of_rounds(what: &str, rounds: &Rounds, number: fn(&Round) -> f64) -> Self {
        let [ours, theirs, others] = [&rounds.gateway, &rounds.floor, &rounds.against]
            .map(|side| side.iter().map(number).collect::<Vec<_>>());
        Self {
            what: what.to_owned(),
            ratio: ratio(&ours, &theirs),
            to_against: ratio(&ours, &others),
            gateway: median(ours),
            floor: median(theirs),
            against: median(others),
            goal: None,
        }
    }

    /// A percentile of both gateways, the median over their rounds.
    pub fn of_percentiles(
        what: &str,
        [ours, theirs]: [&[Percentiles]; 2],
        number: fn(Percentiles) -> f64,
    ) -> Self {
        let [ours, theirs] = [ours, theirs].map(|side| Percentiles::medians(side).map(number));
        Self::of_both(what, ours, theirs)
    }

    pub fn with_goal(mut self, at_most: f64) -> Self {
        self.goal = self.gateway.map(|is| Goal { is, at_most });
        self
    }

    pub fn with_goal_for_ratio(mut self, at_most: f64) -> Self {
        self.goal = self.ratio.map(|is| Goal { is, at_most });
        self
    }
}
