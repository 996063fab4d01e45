//! Medians, percentiles and ratios. Pure.

use std::time::Duration;

use serde::Serialize;

/// The middle one, or the mean of the two in the middle. `None` of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// The median of what each round of one side was in units of the other side's round next to it: what disturbs the machine for a
/// while disturbs both.
pub fn ratio(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs))
}

/// How long things took, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Percentiles {
    /// By the nearest rank: a value that was measured, at or below which lies that share of all. `None` of nothing.
    pub fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let at = |per_mille: usize| {
            let rank = (times.len() * per_mille).div_ceil(1000).max(1);
            times.get(rank - 1).map(|time| time.as_secs_f64() * 1000.0)
        };
        Some(Self {
            p50: at(500)?,
            p99: at(990)?,
            p999: at(999)?,
            max: at(1000)?,
        })
    }

    /// Each percentile's median over several rounds.
    pub fn medians(rounds: &[Self]) -> Option<Self> {
        let of = |percentile: fn(&Self) -> f64| median(rounds.iter().map(percentile));
        Some(Self {
            p50: of(|p| p.p50)?,
            p99: of(|p| p.p99)?,
            p999: of(|p| p.p999)?,
            max: of(|p| p.max)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([]), None);
    }

    #[test]
    fn a_ratio_compares_rounds_that_were_next_to_each_other() {
        // The machine was slow in the second round of both.
        assert_eq!(
            ratio(&[50.0, 150.0, 60.0], &[100.0, 300.0, 100.0]),
            Some(0.5)
        );
        assert_eq!(ratio(&[1.0], &[]), None);
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let times = (1..=1000).rev().map(Duration::from_millis).collect();
        assert_eq!(
            Percentiles::of(times),
            Some(Percentiles {
                p50: 500.0,
                p99: 990.0,
                p999: 999.0,
                max: 1000.0
            })
        );
        let one = Percentiles::of(vec![Duration::from_millis(7)]).unwrap();
        assert_eq!((one.p50, one.p999), (7.0, 7.0));
        assert_eq!(Percentiles::of(Vec::new()), None);
    }

    #[test]
    fn one_bad_round_does_not_decide() {
        let round = |p99| Percentiles {
            p50: 1.0,
            p99,
            p999: 9.0,
            max: 9.0,
        };
        assert_eq!(
            Percentiles::medians(&[round(2.0), round(80.0), round(3.0)])
                .unwrap()
                .p99,
            3.0
        );
    }
}
