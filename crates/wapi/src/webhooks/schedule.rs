//! Retry schedule of a delivery, and the decision that its chat no longer waits for it. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::store::{Failed, Outcome};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Pause after each failed attempt, in seconds: about three days in total.
const PAUSES: [u64; 10] = [
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
const LONGEST_WISH: Duration = Duration::from_secs(24 * HOUR);
/// Time a chat waits for a failing delivery while its endpoint accepts others.
pub(super) const PATIENCE: Duration = Duration::from_secs(10 * MINUTE);

/// A failed attempt.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub error: Failed,
    /// Whether the endpoint rejected this particular event, such as with a 400 or 422, and not the
    /// address, the time or us.
    pub is_about_the_event: bool,
    /// The endpoint's `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// The state of the delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// Attempts so far, including this one.
    pub attempts: u32,
    /// Time of the first failed attempt; now, if this is the first.
    pub failing_since: Timestamp,
    pub is_aside: bool,
    /// Whether the endpoint has accepted another event since this one last failed.
    pub endpoint_works: bool,
}

/// Returns the outcome of a failed attempt. `dice` in 0..1 spreads simultaneous failures over ±20
/// %.
pub(super) fn after(failure: Failure, standing: Standing, now: Timestamp, dice: f64) -> Outcome {
    let Failure {
        error,
        is_about_the_event,
        retry_after,
    } = failure;
    let Standing {
        attempts,
        failing_since,
        is_aside,
        endpoint_works,
    } = standing;
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    // While nothing at all is accepted, the event is not at fault, and giving it up would help
    // nobody.
    let is_to_blame = is_about_the_event || endpoint_works || is_aside;
    let pause = match PAUSES.get(index) {
        None if is_to_blame => return Outcome::Dead { error },
        pause => *pause.unwrap_or(&PAUSES[PAUSES.len() - 1]),
    };
    let pause = Duration::from_secs(pause).mul_f64(0.8 + 0.4 * dice);
    let pause = pause.max(retry_after.unwrap_or_default().min(LONGEST_WISH));
    let due_at = later(now, pause);
    let would_wait = due_at.duration_since(failing_since);
    let has_waited = would_wait >= jiff::SignedDuration::try_from(PATIENCE).unwrap_or_default();
    match (is_about_the_event, endpoint_works) {
        _ if is_aside => Outcome::Again { error, due_at },
        // The endpoint is up and has rejected this particular event.
        (true, works) if works || has_waited => Outcome::Aside { error, due_at },
        (false, true) if has_waited => Outcome::Aside { error, due_at },
        // Nothing else is accepted either, perhaps because there is nothing else. Only the
        // deliveries behind it can show whether the endpoint is down, so that the order must be
        // kept, or the event is poisoned.
        (false, false) if has_waited => Outcome::Hold {
            error: Some(error),
            retry_at: due_at,
            probe_from: later(now, PATIENCE),
        },
        _ => Outcome::Again { error, due_at },
    }
}

pub(super) fn later(now: Timestamp, pause: Duration) -> Timestamp {
    now.saturating_add(pause).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod histories;

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Failure {
        Failure {
            error: "it answered 500".into(),
            is_about_the_event: false,
            retry_after: None,
        }
    }

    fn standing(attempts: u32) -> Standing {
        Standing {
            attempts,
            failing_since: at(0),
            is_aside: false,
            endpoint_works: false,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn again_at(outcome: Outcome) -> Timestamp {
        match outcome {
            Outcome::Again { due_at, .. }
            | Outcome::Hold {
                retry_at: due_at, ..
            } => due_at,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_goes_on_for_about_three_days_and_then_ends() {
        let mut now = at(0);
        for attempts in 1..=10 {
            now = again_at(after(failure(), standing(attempts), now, 0.5));
        }
        let hours = now.as_second() / 3600;
        assert!((70..80).contains(&hours), "{hours} hours");
        let works = Standing {
            endpoint_works: true,
            ..standing(11)
        };
        assert!(matches!(
            after(failure(), works, now, 0.5),
            Outcome::Dead { .. }
        ));
        let aside = Standing {
            is_aside: true,
            ..standing(11)
        };
        assert!(matches!(
            after(failure(), aside, now, 0.5),
            Outcome::Dead { .. }
        ));
        let pause = again_at(after(failure(), standing(11), now, 0.5)).duration_since(now);
        assert_eq!(
            pause.as_hours(),
            24,
            "nothing is given up while nothing is taken"
        );
    }

    #[test]
    fn pauses_are_spread_and_a_wish_is_honoured_within_bounds() {
        let due = |wish: Option<u64>, dice| {
            let failure = Failure {
                retry_after: wish.map(Duration::from_secs),
                ..failure()
            };
            again_at(after(failure, standing(1), at(0), dice)).as_millisecond()
        };
        assert_eq!((due(None, 0.0), due(None, 1.0)), (4_000, 6_000));
        assert_eq!(due(Some(120), 0.5), 120_000);
        assert_eq!(due(Some(1), 0.5), 5_000, "never sooner than planned");
        assert_eq!(due(Some(1_000_000), 0.5), 24 * 3_600_000);
    }

    #[test]
    fn a_poisoned_event_leaves_its_chat_and_a_broken_endpoint_keeps_the_order() {
        let poisoned = Failure {
            is_about_the_event: true,
            ..failure()
        };
        let works = Standing {
            endpoint_works: true,
            ..standing(1)
        };
        assert!(matches!(
            after(poisoned.clone(), works, at(1), 0.5),
            Outcome::Aside { .. }
        ));
        assert!(
            matches!(
                after(poisoned.clone(), standing(1), at(1), 0.5),
                Outcome::Again { .. }
            ),
            "nothing works there"
        );
        assert!(
            matches!(
                after(poisoned, standing(1), at(600), 0.5),
                Outcome::Aside { .. }
            ),
            "it alone was judged"
        );
        assert!(matches!(
            after(failure(), standing(1), at(500), 0.5),
            Outcome::Again { .. }
        ));
        match after(failure(), standing(4), at(600), 0.5) {
            Outcome::Hold {
                retry_at,
                probe_from,
                ..
            } => assert_eq!((retry_at, probe_from), (at(2400), at(1200))),
            other => panic!("an outage keeps order, but others are asked: {other:?}"),
        }
        assert!(
            matches!(after(failure(), works, at(1), 0.5), Outcome::Again { .. }),
            "it may pass"
        );
        assert!(
            matches!(after(failure(), works, at(600), 0.5), Outcome::Aside { .. }),
            "its chat has waited enough"
        );
        let aside = Standing {
            is_aside: true,
            ..works
        };
        assert!(matches!(
            after(failure(), aside, at(600), 0.5),
            Outcome::Again { .. }
        ));
    }
}
