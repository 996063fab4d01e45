//! A clock that runs as clocks do, and can be pushed forward.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::watch;
use wapi::system::clock::TimeSource;

/// How long work takes that nothing holds up, on a busy machine.
const WORK: Duration = Duration::from_secs(1);

/// The real time plus what the test added.
#[derive(Clone)]
pub struct TestClock {
    started: Instant,
    began: Timestamp,
    pushed: Arc<watch::Sender<Duration>>,
}

impl TestClock {
    pub fn new() -> Self {
        let pushed = Arc::new(watch::Sender::new(Duration::ZERO));
        Self {
            started: Instant::now(),
            began: Timestamp::now(),
            pushed,
        }
    }

    /// Whoever sleeps now has slept this much longer.
    pub fn push(&self, by: Duration) {
        self.pushed.send_modify(|pushed| *pushed += by);
    }
}

impl TimeSource for TestClock {
    fn now(&self) -> Timestamp {
        self.began + self.uptime()
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed() + *self.pushed.borrow()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        let wake_at = self.uptime().saturating_add(duration);
        Box::pin(async move {
            let mut pushes = clock.pushed.subscribe();
            loop {
                let left = wake_at.saturating_sub(clock.uptime());
                if left.is_zero() {
                    break;
                }
                tokio::select! {
                    () = tokio::time::sleep(left) => {}
                    _ = pushes.changed() => {}
                }
            }
        })
    }

    fn time_limit(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let passed = self.sleep(duration);
        Box::pin(async move {
            tokio::join!(passed, tokio::time::sleep(duration.min(WORK)));
        })
    }
}
