//! Endpoint health: broken or gone endpoints, as opposed to poisoned events. Pure.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::concurrency::MAX_PER_DESTINATION;
use crate::store::{DisabledReason, WakePolicy};

/// Consecutive failures after which a destination gets one post at a time, until one is accepted.
const FAILURES_TO_NARROW: u32 = 3;
/// Consecutive failures an endpoint must have before it is disabled, however long they take to
/// accumulate.
const FAILURES_TO_DISABLE: u32 = 10;
/// Length of an outage that makes chats wait for long; after it, all of them are tried at once.
const LONG_OUTAGE: Duration = Duration::from_secs(60);

/// Health of each destination since the program started.
#[derive(Default)]
pub(super) struct HealthTracker {
    destinations: HashMap<String, DestinationHealth>,
}

#[derive(Default)]
struct DestinationHealth {
    last_success: Option<Timestamp>,
    /// Since the last success.
    failing_since: Option<Timestamp>,
    failures: u32,
}

impl HealthTracker {
    /// Records an accepted post. Returns the start of the outage it ends, if any.
    pub fn record_success(&mut self, destination: &str, now: Timestamp) -> Option<Timestamp> {
        let destination = self.destination_mut(destination);
        destination.last_success = Some(now);
        destination.failures = 0;
        destination.failing_since.take()
    }

    pub fn record_failure(&mut self, destination: &str, now: Timestamp) {
        let destination = self.destination_mut(destination);
        destination.failing_since.get_or_insert(now);
        destination.failures = destination.failures.saturating_add(1);
    }

    /// Whether any post was accepted at this time or later.
    pub fn has_worked_since(&self, destination: &str, since: Timestamp) -> bool {
        self.destinations
            .get(destination)
            .and_then(|destination| destination.last_success)
            .is_some_and(|last| last >= since)
    }

    /// Returns the number of concurrent posts allowed. A destination that is down or hangs gets one
    /// at a time.
    pub fn max_posts(&self, destination: &str) -> usize {
        let is_doubtful = self
            .destinations
            .get(destination)
            .is_some_and(|destination| destination.failures >= FAILURES_TO_NARROW);
        if is_doubtful { 1 } else { MAX_PER_DESTINATION }
    }

    fn destination_mut(&mut self, destination: &str) -> &mut DestinationHealth {
        if !self.destinations.contains_key(destination) {
            self.destinations
                .insert(destination.to_owned(), DestinationHealth::default());
        }
        self.destinations
            .get_mut(destination)
            .expect("it was put there")
    }
}

/// Returns the waiting chats to wake when an endpoint works again.
pub(super) fn chats_to_wake(since: Timestamp, now: Timestamp) -> WakePolicy {
    if has_lasted(since, now, LONG_OUTAGE) {
        WakePolicy::AtOnce
    } else {
        WakePolicy::AsPlanned
    }
}

/// State of an endpoint after a failed attempt, including that attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct EndpointRecord {
    /// The status of the response, if there was one.
    pub status: Option<u16>,
    pub failing_since: Timestamp,
    pub failures: u32,
}

/// Returns the reason to disable an endpoint: it reports that it is gone, or has accepted nothing
/// for as long as the operator allows.
pub(super) fn disable_reason(
    record: EndpointRecord,
    now: Timestamp,
    allowed: Duration,
) -> Option<DisabledReason> {
    let is_hopeless =
        record.failures >= FAILURES_TO_DISABLE && has_lasted(record.failing_since, now, allowed);
    match record.status {
        Some(410) => Some(DisabledReason::Gone),
        _ if is_hopeless => Some(DisabledReason::Failing),
        _ => None,
    }
}

fn has_lasted(since: Timestamp, now: Timestamp, length: Duration) -> bool {
    now.duration_since(since)
        >= jiff::SignedDuration::try_from(length).unwrap_or(jiff::SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_gate_that_fails_is_asked_by_one_at_a_time_until_it_takes_something() {
        let mut health = HealthTracker::default();
        for second in 1..=3 {
            assert_eq!(health.max_posts("hook"), 16);
            health.record_failure("hook", at(second));
        }
        assert_eq!(
            (health.max_posts("hook"), health.max_posts("other")),
            (1, 16)
        );
        assert_eq!(health.record_success("hook", at(9)), Some(at(1)));
        assert_eq!(health.max_posts("hook"), 16);
        assert_eq!(health.record_success("hook", at(10)), None);
        assert!(
            health.has_worked_since("hook", at(10)) && !health.has_worked_since("hook", at(11))
        );
    }

    #[test]
    fn an_endpoint_is_disabled_when_it_is_gone_or_has_failed_often_and_for_long() {
        const ALLOWED: Duration = Duration::from_secs(1_000);
        let record = |status, failures| EndpointRecord {
            status,
            failing_since: at(0),
            failures,
        };
        for (record, now, expected) in [
            (record(Some(410), 1), 0, Some(DisabledReason::Gone)),
            (record(Some(500), 10), 1_000, Some(DisabledReason::Failing)),
            (record(None, 10), 1_000, Some(DisabledReason::Failing)),
            (record(None, 9), 9_999, None),
            (record(None, 99), 999, None),
        ] {
            assert_eq!(
                disable_reason(record, at(now), ALLOWED),
                expected,
                "{record:?} at {now}"
            );
        }
    }

    #[test]
    fn chats_are_woken_after_an_outage_and_not_after_a_hiccup() {
        assert_eq!(
            (chats_to_wake(at(0), at(59)), chats_to_wake(at(0), at(60))),
            (WakePolicy::AsPlanned, WakePolicy::AtOnce)
        );
    }
}
