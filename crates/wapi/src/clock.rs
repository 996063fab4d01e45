//! The only place that reads the time or waits for it, so that tests can bring their own.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

/// What a clock must be able to do. The gateway has [`System`]; tests bring one they can push forward.
pub trait Time: Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> Timestamp;
    /// Time since some fixed moment; never goes back, whatever happens to the time of day.
    fn uptime(&self) -> Duration;
    /// Completes once `duration` has passed.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// A handle on a [`Time`]; cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Time>);

/// The deadline given to [`Clock::timeout`] passed first.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
pub struct TimedOut(pub Duration);

impl Clock {
    pub fn new(time: impl Time) -> Self {
        Self(Arc::new(time))
    }

    /// The machine's own clock.
    pub fn system() -> Self {
        Self::new(System::new())
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
    pub async fn timeout<F: Future>(&self, limit: Duration, work: F) -> Result<F::Output, TimedOut> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.sleep(limit) => Err(TimedOut(limit)),
        }
    }
}

/// The machine's clock.
struct System {
    started: tokio::time::Instant,
}

#[expect(clippy::disallowed_methods, reason = "this is the one place where time is read")]
impl System {
    fn new() -> Self {
        Self { started: tokio::time::Instant::now() }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place where time is read")]
impl Time for System {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
