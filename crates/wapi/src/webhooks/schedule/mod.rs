//! Retry schedule of a delivery, and the decision that its chat no longer waits for it. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::store::{AttemptFailure, DeliveryOutcome};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Pause after each failed attempt, in seconds: about three days in total.
const RETRY_PAUSES: [u64; 10] = [
    5,
    MINUTE,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
];
/// The longest `Retry-After` that is honoured.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * HOUR);
/// Time a chat waits for a failing delivery while its endpoint accepts others.
pub(super) const CHAT_PATIENCE: Duration = Duration::from_secs(10 * MINUTE);

/// A failed attempt.
#[derive(Debug, Clone)]
pub(super) struct PostFailure {
    pub error: AttemptFailure,
    /// Whether the endpoint rejected this particular event, such as with a 400 or 422, and not the
    /// address, the time or us.
    pub is_about_the_event: bool,
    /// The endpoint's `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// The state of the delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeliveryStanding {
    /// Attempts so far, including this one.
    pub attempts: u32,
    /// Time of the first failed attempt; now, if this is the first.
    pub failing_since: Timestamp,
    pub is_parked: bool,
    /// Whether the endpoint has accepted another event since this one last failed.
    pub endpoint_works: bool,
}

/// Returns the outcome of a failed attempt. `dice` in 0..1 spreads simultaneous failures over ±20
/// %.
pub(super) fn outcome_after(
    failure: PostFailure,
    standing: DeliveryStanding,
    now: Timestamp,
    dice: f64,
) -> DeliveryOutcome {
    let PostFailure {
        error,
        is_about_the_event,
        retry_after,
    } = failure;
    let DeliveryStanding {
        attempts,
        failing_since,
        is_parked: is_aside,
        endpoint_works,
    } = standing;
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    // While nothing at all is accepted, the event is not at fault, and giving it up would help
    // nobody.
    let is_to_blame = is_about_the_event || endpoint_works || is_aside;
    let pause = match RETRY_PAUSES.get(index) {
        None if is_to_blame => return DeliveryOutcome::Dead { error },
        pause => *pause.unwrap_or(&RETRY_PAUSES[RETRY_PAUSES.len() - 1]),
    };
    let pause = Duration::from_secs(pause).mul_f64(0.8 + 0.4 * dice);
    let pause = pause.max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER));
    let due_at = time_after(now, pause);
    let would_wait = due_at.duration_since(failing_since);
    let has_waited =
        would_wait >= jiff::SignedDuration::try_from(CHAT_PATIENCE).unwrap_or_default();
    match (is_about_the_event, endpoint_works) {
        _ if is_aside => DeliveryOutcome::Retry { error, due_at },
        // The endpoint is up and has rejected this particular event.
        (true, works) if works || has_waited => DeliveryOutcome::Parked { error, due_at },
        (false, true) if has_waited => DeliveryOutcome::Parked { error, due_at },
        // Nothing else is accepted either, perhaps because there is nothing else. Only the
        // deliveries behind it can show whether the endpoint is down, so that the order must be
        // kept, or the event is poisoned.
        (false, false) if has_waited => DeliveryOutcome::Blocked {
            error: Some(error),
            retry_at: due_at,
            probe_from: time_after(now, CHAT_PATIENCE),
        },
        _ => DeliveryOutcome::Retry { error, due_at },
    }
}

pub(super) fn time_after(now: Timestamp, pause: Duration) -> Timestamp {
    now.saturating_add(pause).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod histories;

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> PostFailure {
        PostFailure {
            error: "it answered 500".into(),
            is_about_the_event: false,
            retry_after: None,
        }
    }

    fn standing(attempts: u32) -> DeliveryStanding {
        DeliveryStanding {
            attempts,
            failing_since: at(0),
            is_parked: false,
            endpoint_works: false,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn again_at(outcome: DeliveryOutcome) -> Timestamp {
        match outcome {
            DeliveryOutcome::Retry { due_at, .. }
            | DeliveryOutcome::Blocked {
                retry_at: due_at, ..
            } => due_at,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_goes_on_for_about_three_days_and_then_ends() {
        let mut now = at(0);
        for attempts in 1..=10 {
            now = again_at(outcome_after(failure(), standing(attempts), now, 0.5));
        }
        let hours = now.as_second() / 3600;
        assert!((70..80).contains(&hours), "{hours} hours");
        let works = DeliveryStanding {
            endpoint_works: true,
            ..standing(11)
        };
        assert!(matches!(
            outcome_after(failure(), works, now, 0.5),
            DeliveryOutcome::Dead { .. }
        ));
        let aside = DeliveryStanding {
            is_parked: true,
            ..standing(11)
        };
        assert!(matches!(
            outcome_after(failure(), aside, now, 0.5),
            DeliveryOutcome::Dead { .. }
        ));
        let pause = again_at(outcome_after(failure(), standing(11), now, 0.5)).duration_since(now);
        assert_eq!(
            pause.as_hours(),
            24,
            "nothing is given up while nothing is taken"
        );
    }

    #[test]
    fn pauses_are_spread_and_a_wish_is_honoured_within_bounds() {
        let due = |retry_after: Option<u64>, dice| {
            let failure = PostFailure {
                retry_after: retry_after.map(Duration::from_secs),
                ..failure()
            };
            again_at(outcome_after(failure, standing(1), at(0), dice)).as_millisecond()
        };
        assert_eq!((due(None, 0.0), due(None, 1.0)), (4_000, 6_000));
        assert_eq!(due(Some(120), 0.5), 120_000);
        assert_eq!(due(Some(1), 0.5), 5_000, "never sooner than planned");
        assert_eq!(due(Some(1_000_000), 0.5), 24 * 3_600_000);
    }

    #[test]
    fn a_poisoned_event_leaves_its_chat_and_a_broken_endpoint_keeps_the_order() {
        let poisoned = PostFailure {
            is_about_the_event: true,
            ..failure()
        };
        let works = DeliveryStanding {
            endpoint_works: true,
            ..standing(1)
        };
        assert!(matches!(
            outcome_after(poisoned.clone(), works, at(1), 0.5),
            DeliveryOutcome::Parked { .. }
        ));
        assert!(
            matches!(
                outcome_after(poisoned.clone(), standing(1), at(1), 0.5),
                DeliveryOutcome::Retry { .. }
            ),
            "nothing works there"
        );
        assert!(
            matches!(
                outcome_after(poisoned, standing(1), at(600), 0.5),
                DeliveryOutcome::Parked { .. }
            ),
            "it alone was judged"
        );
        assert!(matches!(
            outcome_after(failure(), standing(1), at(500), 0.5),
            DeliveryOutcome::Retry { .. }
        ));
        match outcome_after(failure(), standing(4), at(600), 0.5) {
            DeliveryOutcome::Blocked {
                retry_at,
                probe_from,
                ..
            } => assert_eq!((retry_at, probe_from), (at(2400), at(1200))),
            other => panic!("an outage keeps order, but others are asked: {other:?}"),
        }
        assert!(
            matches!(
                outcome_after(failure(), works, at(1), 0.5),
                DeliveryOutcome::Retry { .. }
            ),
            "it may pass"
        );
        assert!(
            matches!(
                outcome_after(failure(), works, at(600), 0.5),
                DeliveryOutcome::Parked { .. }
            ),
            "its chat has waited enough"
        );
        let aside = DeliveryStanding {
            is_parked: true,
            ..works
        };
        assert!(matches!(
            outcome_after(failure(), aside, at(600), 0.5),
            DeliveryOutcome::Retry { .. }
        ));
    }
}
