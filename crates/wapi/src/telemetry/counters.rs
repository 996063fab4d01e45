//! Counters of the running program, read by `GET /metrics`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// All counts that are kept where they occur. Figures of the database and the sessions are queried
/// there.
#[derive(Debug)]
pub struct GatewayMetrics {
    /// Delivery attempts: accepted, failed and to be retried, and given up.
    pub delivered: Counter,
    pub failed: Counter,
    pub dead: Counter,
    /// Seconds from the moment a message was saved to the moment a webhook accepted it.
    pub lag: Histogram<15>,
    /// Changes in one commit.
    pub commit_changes: Histogram<10>,
    /// Seconds of one commit, its disk sync included.
    pub commit_seconds: Histogram<12>,
    pub failed_commits: Counter,
    /// Events removed by retention.
    pub removed_events: Counter,
}

impl Default for GatewayMetrics {
    fn default() -> Self {
        Self {
            delivered: Counter::default(),
            failed: Counter::default(),
            dead: Counter::default(),
            lag: Histogram::new([
                0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0,
                3_600.0, 86_400.0,
            ]),
            commit_changes: Histogram::new([
                1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0,
            ]),
            commit_seconds: Histogram::new([
                0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0,
            ]),
            failed_commits: Counter::default(),
            removed_events: Counter::default(),
        }
    }
}

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A distribution of values over buckets.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: [f64; N],
    /// One for each bound, and one for larger values.
    counts: Vec<AtomicU64>,
    /// In millionths, so that it can be an atomic.
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    fn new(bounds: [f64; N]) -> Self {
        Self {
            bounds,
            counts: (0..=N).map(|_| AtomicU64::default()).collect(),
            sum: AtomicU64::default(),
        }
    }

    pub fn observe(&self, value: f64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "no sum of ours is that large"
        )]
        self.sum
            .fetch_add((value.max(0.0) * 1e6) as u64, Ordering::Relaxed);
    }

    pub fn observe_time(&self, time: Duration) {
        self.observe(time.as_secs_f64());
    }

    /// Returns cumulative counts per bound, the total count, and the sum of all values.
    pub fn read(&self) -> (Vec<(f64, u64)>, u64, f64) {
        let counts = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let mut total = 0;
        let mut cumulative = counts.map(|count| {
            total += count;
            total
        });
        let buckets = self.bounds.into_iter().zip(cumulative.by_ref()).collect();
        let all = cumulative.next().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "it is a measurement")]
        let sum = self.sum.load(Ordering::Relaxed) as f64 / 1e6;
        (buckets, all, sum)
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::counters::*;

    #[test]
    fn a_histogram_counts_what_is_at_most_as_large_as_each_bound() {
        let histogram = Histogram::new([1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 99.0] {
            histogram.observe(value);
        }
        assert_eq!(histogram.read(), (vec![(1.0, 2), (2.0, 3)], 4, 102.0));
    }
}
