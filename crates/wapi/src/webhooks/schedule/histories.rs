//! Random histories of a delivery, checked against the guarantees of its schedule.

use proptest::prelude::*;

use super::*;

/// The circumstances of one failing attempt.
#[derive(Debug, Clone)]
struct FailingAttempt {
    is_about_the_event: bool,
    retry_after: Option<u64>,
    endpoint_works: bool,
    dice: f64,
    /// Delay of the attempt after its due time: the program may have been down.
    late: u64,
}

fn failing_attempt() -> impl Strategy<Value = FailingAttempt> {
    let retry_after = prop_oneof![2 => Just(None), 1 => (0..40 * HOUR).prop_map(Some)];
    (
        any::<bool>(),
        retry_after,
        any::<bool>(),
        0.0..1.0,
        prop_oneof![0..3_u64, 0..5 * HOUR],
    )
        .prop_map(
            |(is_about_the_event, retry_after, endpoint_works, dice, late)| FailingAttempt {
                is_about_the_event,
                retry_after,
                endpoint_works,
                dice,
                late,
            },
        )
}

/// A step without `Retry-After` whose attempt is made in time.
fn plain_attempt() -> impl Strategy<Value = FailingAttempt> {
    failing_attempt().prop_map(|step| FailingAttempt {
        retry_after: None,
        late: 0,
        ..step
    })
}

fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// The state of a delivery before its next attempt.
struct DeliveryModel {
    now: Timestamp,
    failing_since: Timestamp,
    is_parked: bool,
}

impl DeliveryModel {
    fn new() -> Self {
        Self {
            now: Timestamp::UNIX_EPOCH,
            failing_since: Timestamp::UNIX_EPOCH,
            is_parked: false,
        }
    }

    /// Makes one failing attempt, as the worker would. Returns `None` if it was the last.
    fn fail_attempt(
        &mut self,
        attempts: u32,
        step: &FailingAttempt,
    ) -> Result<Option<Timestamp>, TestCaseError> {
        let failure = PostFailure {
            error: "it answered 500".into(),
            is_about_the_event: step.is_about_the_event,
            retry_after: step.retry_after.map(Duration::from_secs),
        };
        let (failing_since, is_aside, endpoint_works) =
            (self.failing_since, self.is_parked, step.endpoint_works);
        let standing = DeliveryStanding {
            attempts,
            failing_since,
            is_parked: is_aside,
            endpoint_works,
        };
        let due_at = match outcome_after(failure, standing, self.now, step.dice) {
            DeliveryOutcome::Delivered => {
                return Err(TestCaseError::fail("it failed, and is called delivered"));
            }
            DeliveryOutcome::Dead { .. } => {
                self.check_death(step)?;
                return Ok(None);
            }
            DeliveryOutcome::Skipped { .. } => {
                return Err(TestCaseError::fail("nothing waits behind it"));
            }
            DeliveryOutcome::Blocked { retry_at, .. } => {
                prop_assert!(
                    !step.endpoint_works && !self.is_parked,
                    "it holds its chat without need"
                );
                retry_at
            }
            DeliveryOutcome::Retry { due_at, .. } => {
                self.check_wait(step, due_at)?;
                due_at
            }
            DeliveryOutcome::Parked { due_at, .. } => {
                self.check_parking(step)?;
                self.is_parked = true;
                due_at
            }
        };
        Ok(Some(due_at))
    }

    /// A chat waits only for an endpoint that accepts nothing else, or up to the patience limit.
    fn check_wait(&self, step: &FailingAttempt, due_at: Timestamp) -> Result<(), TestCaseError> {
        let waits = seconds_between(self.failing_since, due_at);
        let is_bound = step.endpoint_works && !self.is_parked;
        prop_assert!(
            !is_bound || waits < CHAT_PATIENCE.as_secs_f64(),
            "its chat waits {waits} s while the endpoint works"
        );
        Ok(())
    }

    /// During a total outage, only events rejected themselves are given up.
    fn check_death(&self, step: &FailingAttempt) -> Result<(), TestCaseError> {
        let is_to_blame = step.endpoint_works || step.is_about_the_event || self.is_parked;
        prop_assert!(is_to_blame, "it was given up in an outage");
        Ok(())
    }

    /// The order is given up once, and never because of an outage.
    fn check_parking(&self, step: &FailingAttempt) -> Result<(), TestCaseError> {
        prop_assert!(!self.is_parked, "it steps aside twice");
        prop_assert!(
            step.endpoint_works || step.is_about_the_event,
            "order was given up in an outage"
        );
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_pause_is_as_planned_or_as_wished_and_the_end_comes_at_the_end(
        steps in prop::collection::vec(failing_attempt(), RETRY_PAUSES.len() + 1),
    ) {
        let mut delivery = DeliveryModel::new();
        for (attempts, step) in (1..).zip(&steps) {
            let due_at = delivery.fail_attempt(attempts, step)?;
            let is_held = !(delivery.is_parked || step.endpoint_works || step.is_about_the_event);
            let Some(&planned) = RETRY_PAUSES.get(attempts as usize - 1) else {
                prop_assert_eq!(due_at.is_some(), is_held, "attempt {} is the last, but in an outage", attempts);
                break;
            };
            let Some(due_at) = due_at else { return Err(TestCaseError::fail(format!("dead after {attempts} attempts"))) };
            let pause = seconds_between(delivery.now, due_at);
            let retry_after = step.retry_after.unwrap_or(0).min(MAX_RETRY_AFTER.as_secs()) as f64;
            let (least, most) = (planned as f64 * 0.8, planned as f64 * 1.2);
            prop_assert!(pause >= least.max(retry_after) - 0.001, "{} s after {} attempts, wished {}", pause, attempts, retry_after);
            prop_assert!(pause <= most.max(retry_after) + 0.001, "{} s after {} attempts, wished {}", pause, attempts, retry_after);
            delivery.now = due_at + jiff::SignedDuration::from_secs(step.late as i64);
        }
    }

    #[test]
    fn whatever_the_dice_say_it_is_tried_for_about_three_days(
        steps in prop::collection::vec(plain_attempt(), RETRY_PAUSES.len()),
    ) {
        let mut delivery = DeliveryModel::new();
        for (attempts, step) in (1..).zip(&steps) {
            let due_at = delivery.fail_attempt(attempts, step)?;
            delivery.now = due_at.ok_or_else(|| TestCaseError::fail("dead before its time"))?;
        }
        let days = seconds_between(Timestamp::UNIX_EPOCH, delivery.now) / (24 * HOUR) as f64;
        prop_assert!((2.5..3.8).contains(&days), "{} days", days);
    }
}
