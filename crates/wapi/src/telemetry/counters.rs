//! Counters of the running program, read by `GET /metrics`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

/// The prefix of all metric names.
pub const NAMESPACE: &str = "wapi";

/// All counts that are kept where they occur. Figures of the database and the sessions are queried
/// there.
#[derive(Debug)]
pub struct GatewayMetrics {
    /// Delivery attempts: accepted, failed and to be retried, and given up.
    pub delivered: Counter,
    pub failed: Counter,
    pub dead: Counter,
    /// Seconds from the moment a message was saved to the moment a webhook accepted it.
    pub lag: Histogram,
    /// Changes in one commit.
    pub commit_changes: Histogram,
    /// Seconds of one commit, its disk sync included.
    pub commit_seconds: Histogram,
    pub failed_commits: Counter,
    /// Events removed by retention.
    pub removed_events: Counter,
    /// Reads of the statistics of the database.
    pub statistics_reads: Counter,
    registry: Registry,
}

/// Counts of the connections of callers since the start.
#[derive(Debug)]
pub struct ConnectionMetrics {
    pub let_in: Counter,
    /// Refused because all connections were busy.
    pub refused: Counter,
    /// Displaced by a newer connection.
    pub displaced: Counter,
    /// Closed after exceeding a time limit.
    pub late: Counter,
    registry: Registry,
}

/// The label of a counter that is kept for each outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

impl GatewayMetrics {
    /// Returns the counts and histograms for the page of metrics.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

impl Default for GatewayMetrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(NAMESPACE);
        let [delivered, failed, dead] = register_outcomes(
            &mut registry,
            "deliveries",
            "Attempts to deliver since the start, by outcome",
            ["delivered", "failed", "dead"],
        );
        let lag = Histogram::new([
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 3_600.0,
            86_400.0,
        ]);
        let commit_changes =
            Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0]);
        let commit_seconds = Histogram::new([
            0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0,
        ]);
        Self {
            delivered,
            failed,
            dead,
            lag: register_metric(
                &mut registry,
                "delivery_lag_seconds",
                "Time from saving a message to its acceptance by a webhook",
                lag,
            ),
            commit_changes: register_metric(
                &mut registry,
                "commit_changes",
                "Changes that shared a commit",
                commit_changes,
            ),
            commit_seconds: register_metric(
                &mut registry,
                "commit_seconds",
                "Time of a commit, its disk sync included",
                commit_seconds,
            ),
            failed_commits: register_metric(
                &mut registry,
                "failed_commits",
                "Commits that could not be saved",
                Counter::default(),
            ),
            removed_events: register_metric(
                &mut registry,
                "removed_events",
                "Events that retention has removed",
                Counter::default(),
            ),
            statistics_reads: register_metric(
                &mut registry,
                "statistics_reads",
                "Reads of the statistics of the database, for this page and for the dashboard",
                Counter::default(),
            ),
            registry,
        }
    }
}

impl ConnectionMetrics {
    /// Returns the counts for the page of metrics.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

impl Default for ConnectionMetrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(NAMESPACE);
        let [let_in, refused, displaced, late] = register_outcomes(
            &mut registry,
            "connections",
            "Connections since the start, by outcome",
            ["let_in", "refused", "displaced", "late"],
        );
        Self {
            let_in,
            refused,
            displaced,
            late,
            registry,
        }
    }
}

/// Registers a family with one counter for each outcome. The counters are looked up here, once:
/// an increment is then a single atomic addition.
fn register_outcomes<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    outcomes: [&'static str; N],
) -> [Counter; N] {
    let family = Family::<OutcomeLabel, Counter>::default();
    registry.register(name, help, family.clone());
    outcomes.map(|outcome| family.get_or_create_owned(&OutcomeLabel { outcome }))
}

/// Registers a metric. The registry appends `_total` to names of counters, and a full stop to the
/// help.
fn register_metric<M: Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    registry.register(name, help, metric.clone());
    metric
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::prometheus_text;

    use crate::telemetry::counters::*;

    /// The page with its samples in order: the library keeps labels in a hash map.
    fn sorted_lines(registry: &Registry) -> String {
        let mut page = String::new();
        prometheus_text::encode(&mut page, registry).unwrap();
        let mut lines: Vec<_> = page.lines().map(str::to_owned).collect();
        lines.sort();
        lines.join("\n")
    }

    #[test]
    fn names_and_bounds_are_those_that_dashboards_ask_for() {
        let metrics = GatewayMetrics::default();
        metrics.failed.inc_by(2);
        for value in [0.001, 0.005, 0.006, 99_999.0] {
            metrics.lag.observe(value);
        }
        metrics.commit_seconds.observe(0.000_25);
        let page = sorted_lines(&metrics.registry);
        let expected = "\
# HELP wapi_deliveries_total Attempts to deliver since the start, by outcome.
# HELP wapi_delivery_lag_seconds Time from saving a message to its acceptance by a webhook.
# HELP wapi_failed_commits_total Commits that could not be saved.
# HELP wapi_removed_events_total Events that retention has removed.
# TYPE wapi_commit_changes histogram
# TYPE wapi_commit_seconds histogram
# TYPE wapi_deliveries_total counter
# TYPE wapi_delivery_lag_seconds histogram
# TYPE wapi_failed_commits_total counter
# TYPE wapi_removed_events_total counter
wapi_commit_seconds_bucket{le=\"0.00025\"} 1
wapi_commit_seconds_bucket{le=\"+Inf\"} 1
wapi_commit_changes_bucket{le=\"512\"} 0
wapi_deliveries_total{outcome=\"delivered\"} 0
wapi_deliveries_total{outcome=\"failed\"} 2
wapi_delivery_lag_seconds_bucket{le=\"0.005\"} 2
wapi_delivery_lag_seconds_bucket{le=\"86400\"} 3
wapi_delivery_lag_seconds_bucket{le=\"+Inf\"} 4
wapi_delivery_lag_seconds_count 4
wapi_delivery_lag_seconds_sum 99999.012
wapi_failed_commits_total 0";
        for line in expected.lines() {
            assert!(page.lines().any(|it| it == line), "{line}\n\n{page}");
        }
        let page = sorted_lines(&ConnectionMetrics::default().registry);
        let expected = "\
# HELP wapi_connections_total Connections since the start, by outcome.
# TYPE wapi_connections_total counter
wapi_connections_total{outcome=\"displaced\"} 0
wapi_connections_total{outcome=\"late\"} 0
wapi_connections_total{outcome=\"let_in\"} 0
wapi_connections_total{outcome=\"refused\"} 0";
        assert_eq!(page, expected);
    }
}
