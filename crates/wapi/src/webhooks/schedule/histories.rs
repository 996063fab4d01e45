//! Random histories of a delivery, checked against the guarantees of its schedule.

use proptest::prelude::*;

use super::*;

/// The circumstances of one failing attempt.
#[derive(Debug, Clone)]
struct Step {
    is_about_the_event: bool,
    wish: Option<u64>,
    endpoint_works: bool,
    dice: f64,
    /// Delay of the attempt after its due time: the program may have been down.
    late: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let wish = prop_oneof![2 => Just(None), 1 => (0..40 * HOUR).prop_map(Some)];
    (
        any::<bool>(),
        wish,
        any::<bool>(),
        0.0..1.0,
        prop_oneof![0..3_u64, 0..5 * HOUR],
    )
        .prop_map(
            |(is_about_the_event, wish, endpoint_works, dice, late)| Step {
                is_about_the_event,
                wish,
                endpoint_works,
                dice,
                late,
            },
        )
}

/// A step without `Retry-After` whose attempt is made in time.
fn plain_step() -> impl Strategy<Value = Step> {
    step().prop_map(|step| Step {
        wish: None,
        late: 0,
        ..step
    })
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// The state of a delivery before its next attempt.
struct Delivery {
    now: Timestamp,
    failing_since: Timestamp,
    is_aside: bool,
}

impl Delivery {
    fn new() -> Self {
        Self {
            now: Timestamp::UNIX_EPOCH,
            failing_since: Timestamp::UNIX_EPOCH,
            is_aside: false,
        }
    }

    /// Makes one failing attempt, as the worker would. Returns `None` if it was the last.
    fn fails(&mut self, attempts: u32, step: &Step) -> Result<Option<Timestamp>, TestCaseError> {
        let failure = Failure {
            error: "it answered 500".into(),
            is_about_the_event: step.is_about_the_event,
            retry_after: step.wish.map(Duration::from_secs),
        };
        let (failing_since, is_aside, endpoint_works) =
            (self.failing_since, self.is_aside, step.endpoint_works);
        let standing = Standing {
            attempts,
            failing_since,
            is_aside,
            endpoint_works,
        };
        let due_at = match after(failure, standing, self.now, step.dice) {
            Outcome::Delivered => {
                return Err(TestCaseError::fail("it failed, and is called delivered"));
            }
            Outcome::Dead { .. } => {
                self.may_die(step)?;
                return Ok(None);
            }
            Outcome::Overtaken { .. } => {
                return Err(TestCaseError::fail("nothing waits behind it"));
            }
            Outcome::Hold { retry_at, .. } => {
                prop_assert!(
                    !step.endpoint_works && !self.is_aside,
                    "it holds its chat without need"
                );
                retry_at
            }
            Outcome::Again { due_at, .. } => {
                self.may_wait(step, due_at)?;
                due_at
            }
            Outcome::Aside { due_at, .. } => {
                self.may_step_aside(step)?;
                self.is_aside = true;
                due_at
            }
        };
        Ok(Some(due_at))
    }

    /// A chat waits only for an endpoint that accepts nothing else, or up to the patience limit.
    fn may_wait(&self, step: &Step, due_at: Timestamp) -> Result<(), TestCaseError> {
        let waits = seconds(self.failing_since, due_at);
        let is_bound = step.endpoint_works && !self.is_aside;
        prop_assert!(
            !is_bound || waits < PATIENCE.as_secs_f64(),
            "its chat waits {waits} s while the endpoint works"
        );
        Ok(())
    }

    /// During a total outage, only events rejected themselves are given up.
    fn may_die(&self, step: &Step) -> Result<(), TestCaseError> {
        let is_to_blame = step.endpoint_works || step.is_about_the_event || self.is_aside;
        prop_assert!(is_to_blame, "it was given up in an outage");
        Ok(())
    }

    /// The order is given up once, and never because of an outage.
    fn may_step_aside(&self, step: &Step) -> Result<(), TestCaseError> {
        prop_assert!(!self.is_aside, "it steps aside twice");
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
        steps in prop::collection::vec(step(), PAUSES.len() + 1),
    ) {
        let mut delivery = Delivery::new();
        for (attempts, step) in (1..).zip(&steps) {
            let due_at = delivery.fails(attempts, step)?;
            let is_held = !(delivery.is_aside || step.endpoint_works || step.is_about_the_event);
            let Some(&planned) = PAUSES.get(attempts as usize - 1) else {
                prop_assert_eq!(due_at.is_some(), is_held, "attempt {} is the last, but in an outage", attempts);
                break;
            };
            let Some(due_at) = due_at else { return Err(TestCaseError::fail(format!("dead after {attempts} attempts"))) };
            let pause = seconds(delivery.now, due_at);
            let wish = step.wish.unwrap_or(0).min(LONGEST_WISH.as_secs()) as f64;
            let (least, most) = (planned as f64 * 0.8, planned as f64 * 1.2);
            prop_assert!(pause >= least.max(wish) - 0.001, "{} s after {} attempts, wished {}", pause, attempts, wish);
            prop_assert!(pause <= most.max(wish) + 0.001, "{} s after {} attempts, wished {}", pause, attempts, wish);
            delivery.now = due_at + jiff::SignedDuration::from_secs(step.late as i64);
        }
    }

    #[test]
    fn whatever_the_dice_say_it_is_tried_for_about_three_days(
        steps in prop::collection::vec(plain_step(), PAUSES.len()),
    ) {
        let mut delivery = Delivery::new();
        for (attempts, step) in (1..).zip(&steps) {
            let due_at = delivery.fails(attempts, step)?;
            delivery.now = due_at.ok_or_else(|| TestCaseError::fail("dead before its time"))?;
        }
        let days = seconds(Timestamp::UNIX_EPOCH, delivery.now) / (24 * HOUR) as f64;
        prop_assert!((2.5..3.8).contains(&days), "{} days", days);
    }
}
