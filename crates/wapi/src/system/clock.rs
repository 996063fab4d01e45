//! The clock: the only place that reads the time or waits for it, so that tests can replace it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// Source of time. The gateway uses [`SystemClock`]; tests bring one they can advance.
pub trait TimeSource: Send + Sync + 'static {
    /// Returns the time of day.
    fn now(&self) -> Timestamp;
    /// Returns the time since some fixed moment; never goes back, even when the time of day does.
    fn uptime(&self) -> Duration;
    /// Completes once `duration` has passed.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
    /// Completes once work under way has had `duration`. Differs from [`sleep`](Self::sleep) only for a
    /// clock that tests push forward: a push must not make work late that is under way.
    fn time_limit(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.sleep(duration)
    }
}

/// A handle on a [`TimeSource`]; cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn TimeSource>);

/// The deadline given to [`Clock::timeout`] passed first.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
pub struct TimeoutError(pub Duration);

impl Clock {
    pub fn new(time: impl TimeSource) -> Self {
        Self(Arc::new(time))
    }

    /// The machine's own clock.
    pub fn system() -> Self {
        Self::new(SystemClock::new())
    }

    pub fn now(&self) -> Timestamp {
        self.0.now()
    }

    pub fn uptime(&self) -> Duration {
        self.0.uptime()
    }

    pub fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration)
    }

    /// Waits for `work`, but no longer than `limit`.
    pub async fn timeout<F: Future>(
        &self,
        limit: Duration,
        work: F,
    ) -> Result<F::Output, TimeoutError> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.0.time_limit(limit) => Err(TimeoutError(limit)),
        }
    }
}

/// The machine's clock. Its time of day is checked for jumps: see [`SmoothedTime`].
struct SystemClock {
    started: tokio::time::Instant,
    smoothed: Mutex<SmoothedTime>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place where time is read"
)]
impl SystemClock {
    fn new() -> Self {
        Self {
            started: tokio::time::Instant::now(),
            smoothed: Mutex::new(SmoothedTime::starting_at(Timestamp::now())),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place where time is read"
)]
impl TimeSource for SystemClock {
    fn now(&self) -> Timestamp {
        let (reported, uptime) = (Timestamp::now(), self.uptime());
        let (now, step) = self.smoothed.lock().update(reported, uptime);
        if let Some(step) = step {
            tracing::warn!(
                seconds = step.as_secs(),
                "the system clock was set to another time; following it"
            );
        }
        now
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Largest deviation from the expected time of day that is accepted at once.
const MAX_DEVIATION: SignedDuration = SignedDuration::from_secs(2);
/// How long a jump of the time of day must last before it is followed.
const JUMP_CONFIRMATION: Duration = Duration::from_secs(30);

/// A time of day that anyone may set, smoothed: it does not go back by itself, and a jump is
/// followed once it has lasted. A jump of a few seconds, in which everything would be due, expired
/// or dated years ahead, is never seen.
struct SmoothedTime {
    /// Assumed time of day when the uptime was zero.
    start: Timestamp,
    last: Timestamp,
    /// A suspected jump: its size, and the uptime when it was first seen.
    suspected_jump: Option<(SignedDuration, Duration)>,
}

impl SmoothedTime {
    fn starting_at(now: Timestamp) -> Self {
        Self {
            start: now,
            last: now,
            suspected_jump: None,
        }
    }

    /// Returns the effective time of day, and the size of a jump that is followed from now on.
    fn update(
        &mut self,
        reported: Timestamp,
        uptime: Duration,
    ) -> (Timestamp, Option<SignedDuration>) {
        let expected = self.start.saturating_add(uptime).unwrap_or(Timestamp::MAX);
        let off = reported.duration_since(expected);
        if off.abs() <= MAX_DEVIATION {
            (self.suspected_jump, self.last) = (None, self.last.max(reported));
            self.start = self.last.saturating_sub(uptime).unwrap_or(Timestamp::MIN);
            return (self.last, None);
        }
        let seen = match self.suspected_jump {
            Some((jump, seen)) if (off - jump).abs() <= MAX_DEVIATION => seen,
            _ => uptime,
        };
        if uptime.saturating_sub(seen) >= JUMP_CONFIRMATION {
            *self = Self::starting_at(reported);
            self.start = reported.saturating_sub(uptime).unwrap_or(Timestamp::MIN);
            return (reported, Some(off));
        }
        (self.suspected_jump, self.last) = (Some((off, seen)), self.last.max(expected));
        (self.last, None)
    }
}

#[cfg(test)]
mod tests {
    use crate::system::clock::*;

    /// Returns the times that a day derives from pairs of uptime and clock time, all in seconds
    /// since the start.
    fn followed(reported: &[(u64, i64)]) -> Vec<i64> {
        let began = Timestamp::from_second(1_800_000_000).unwrap();
        let mut day = SmoothedTime::starting_at(began);
        let mut at = |(uptime, reported): &(u64, i64)| {
            let reported = began + SignedDuration::from_secs(*reported);
            day.update(reported, Duration::from_secs(*uptime))
                .0
                .duration_since(began)
                .as_secs()
        };
        reported.iter().map(&mut at).collect()
    }

    #[test]
    fn a_time_of_day_that_is_wrong_for_seconds_is_not_seen_in_either_direction() {
        for jump in [30 * 86_400, -30 * 86_400, 3_600, -10] {
            assert_eq!(
                followed(&[(1, 1), (2, 2 + jump), (20, 20 + jump), (25, 25), (26, 26)]),
                [1, 2, 20, 25, 26],
                "{jump}"
            );
            // Wrong by turns.
            let by_turns = followed(&[
                (1, 1 + jump),
                (20, 20 - jump),
                (40, 40 + jump),
                (60, 60 - jump),
                (80, 80),
            ]);
            assert_eq!(by_turns, [1, 20, 40, 60, 80], "{jump}");
        }
    }

    #[test]
    fn a_time_of_day_that_was_set_anew_is_followed_once_it_has_lasted() {
        for jump in [86_400, -86_400] {
            let reported = [
                (10, 10 + jump),
                (39, 39 + jump),
                (41, 41 + jump),
                (50, 50 + jump),
            ];
            assert_eq!(
                followed(&reported),
                [10, 39, 41 + jump, 50 + jump],
                "{jump}"
            );
        }
    }

    #[test]
    fn small_corrections_are_followed_and_nothing_goes_back() {
        assert_eq!(
            followed(&[(10, 11), (20, 22), (30, 33), (40, 42), (41, 42)]),
            [11, 22, 33, 42, 42]
        );
        assert!(followed(&[(10, 10), (11, 9), (12, 10), (13, 13)]).is_sorted());
    }
}
