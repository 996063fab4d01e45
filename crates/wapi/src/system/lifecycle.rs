//! Tasks of the program, and their end: a soft stop asks, a hard stop drops.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::system::clock::Clock;

/// Spawns and counts tasks; cheap to clone.
///
/// A *soft stop* asks every task to finish its current work. After the grace period, the *hard
/// stop* drops the remaining tasks at their next await.
#[derive(Clone, Default)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
    /// Trackers of the parent and its ancestors: none of them ends before its children.
    ancestors: Arc<[TaskTracker]>,
    panics: Arc<AtomicUsize>,
}

/// Result of [`Lifecycle::finish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinishReport {
    /// Tasks that were dropped because they outlived the grace period.
    pub dropped: usize,
    /// Tasks that panicked while the program ran.
    pub panicked: usize,
}

impl FinishReport {
    /// Adds both results.
    pub fn merge_with(self, other: Self) -> Self {
        Self {
            dropped: self.dropped + other.dropped,
            panicked: self.panicked + other.panicked,
        }
    }
}

impl Lifecycle {
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `task` until it ends or the hard stop comes. A panic is counted and stays inside the
    /// task.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that spawns, and it tracks"
    )]
    pub fn spawn(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        tokio::spawn(self.track(task))
    }

    /// Runs `task` as [`Lifecycle::spawn`] does, on a thread of its own, which it may block. Fails if there
    /// cannot be one more thread.
    pub fn spawn_on_thread(
        &self,
        name: &str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let (runtime, task) = (tokio::runtime::Handle::current(), self.track(task));
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(move || runtime.block_on(task)).map(drop)
    }

    /// Counts a task and its panic, and lets the hard stop drop it.
    fn track(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (hard, panics) = (self.hard.clone(), Arc::clone(&self.panics));
        let counted: Vec<_> = self.ancestors.iter().map(TaskTracker::token).collect();
        // The state of a task can be tens of kilobytes. Each layer around it would move it on the
        // way to the runtime, and have room for it twice.
        let task = Box::pin(task);
        self.tasks.track_future(async move {
            let _counted = counted;
            hard.run_until_cancelled(catch_panic(&panics, task)).await;
        })
    }

    /// Runs `work`; `None` when it panicked, which is counted.
    pub fn catch_panic<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        catch_panic(&self.panics, work)
    }

    /// Creates a group of tasks that can be awaited on its own, that stops with this one at the
    /// latest, and that this one waits for.
    pub fn child(&self) -> Self {
        Self {
            soft: self.soft.child_token(),
            hard: self.hard.child_token(),
            tasks: TaskTracker::new(),
            ancestors: self
                .ancestors
                .iter()
                .chain([&self.tasks])
                .cloned()
                .collect(),
            panics: Arc::clone(&self.panics),
        }
    }

    /// Begins the soft stop.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// Drops, at their next await, all remaining tasks.
    pub fn abort(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Is dropped here if the hard stop has begun. For tasks that block their thread, and would come to no
    /// await that waits.
    pub async fn end_if_aborted(&self) {
        if self.hard.is_cancelled() {
            std::future::pending().await
        }
    }

    pub fn is_stopping(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Completes when the soft stop begins.
    pub async fn await_stop(&self) {
        self.soft.cancelled().await;
    }

    /// Runs `work` unless the soft stop comes first.
    pub fn unless_stopping<F: Future>(&self, work: F) -> impl Future<Output = Option<F::Output>> {
        self.soft.run_until_cancelled(work)
    }

    /// Soft stop, then at most `grace` of waiting, then the hard stop. Returns when no task is
    /// left.
    pub async fn finish(&self, clock: &Clock, grace: Duration) -> FinishReport {
        self.stop();
        self.tasks.close();
        let dropped = match clock.timeout(grace, self.tasks.wait()).await {
            Ok(()) => 0,
            Err(_) => self.tasks.len(),
        };
        self.abort();
        self.tasks.wait().await;
        FinishReport {
            dropped,
            panicked: self.panics.load(Ordering::Relaxed),
        }
    }
}

/// No `async fn`, nor are the methods that take work: that would have room for the work twice, as it
/// is given and as it runs.
fn catch_panic<T>(
    panics: &AtomicUsize,
    work: impl Future<Output = T>,
) -> impl Future<Output = Option<T>> {
    AssertUnwindSafe(work).catch_unwind().map(|done| {
        if done.is_err() {
            panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!("a task panicked; the line before says where");
        }
        done.ok()
    })
}

/// Runs blocking or long computing work on a thread of its own; `None` when it panicked. It cannot
/// be dropped, so it must end by itself, and soon.
pub async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// Signals that ask the program to end: Ctrl-C and SIGTERM.
pub struct StopSignals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl StopSignals {
    /// From now on such a signal does not end the program by itself.
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Completes at the next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// SIGHUP, the signal to reload changed files.
pub struct HangupSignals(tokio::signal::unix::Signal);

impl HangupSignals {
    /// From now on SIGHUP does not end the program.
    pub fn listen() -> std::io::Result<Self> {
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).map(Self)
    }

    /// Completes at the next signal.
    pub async fn next(&mut self) {
        self.0.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use crate::system::lifecycle::*;

    #[tokio::test]
    async fn a_task_that_ignores_the_soft_stop_is_dropped_by_the_hard_one() {
        let lifecycle = Lifecycle::new();
        lifecycle.spawn(std::future::pending());
        let polite = lifecycle.clone();
        lifecycle.spawn(async move { polite.await_stop().await });
        let finish = lifecycle
            .finish(&Clock::system(), Duration::from_millis(20))
            .await;
        assert_eq!(
            finish,
            FinishReport {
                dropped: 1,
                panicked: 0
            }
        );
    }

    #[tokio::test]
    async fn a_layer_has_room_for_its_work_once() {
        let (lifecycle, state) = (Lifecycle::new(), [7_u8; 4096]);
        let work = async || {
            tokio::task::yield_now().await;
            state.len()
        };
        let size = size_of_val(&work());
        assert!(size_of_val(&lifecycle.catch_panic(work())) < size + 512);
        assert!(size_of_val(&lifecycle.unless_stopping(work())) < 2 * size + 512);
        assert_eq!(lifecycle.catch_panic(work()).await, Some(4096));
    }

    #[tokio::test]
    async fn nobody_ends_before_their_children_have_had_their_time() {
        let lifecycle = Lifecycle::new();
        let (child, grandchild) = (lifecycle.child(), lifecycle.child().child());
        for family in [child, grandchild] {
            let asked = family.clone();
            family.spawn(async move {
                asked.await_stop().await;
                // Work in progress, which a hard stop would cut off.
                Clock::system().sleep(Duration::from_millis(50)).await;
                asked.spawn(async {});
                panic!("it got to its end");
            });
        }
        let finish = lifecycle
            .finish(&Clock::system(), Duration::from_secs(20))
            .await;
        assert_eq!(
            finish,
            FinishReport {
                dropped: 0,
                panicked: 2
            }
        );
    }

    #[tokio::test]
    async fn a_task_on_a_thread_ends_and_panics_as_others_do() {
        let lifecycle = Lifecycle::new();
        let (busy, polite) = (lifecycle.clone(), lifecycle.clone());
        let endless = async move {
            loop {
                std::thread::yield_now();
                busy.end_if_aborted().await;
            }
        };
        lifecycle.spawn_on_thread("busy", endless).unwrap();
        let ending = async move { polite.await_stop().await };
        lifecycle.spawn_on_thread("polite", ending).unwrap();
        let panicking = async { panic!("on purpose") };
        lifecycle.spawn_on_thread("panics", panicking).unwrap();
        let finish = lifecycle
            .finish(&Clock::system(), Duration::from_millis(200))
            .await;
        let (dropped, panicked) = (1, 1);
        assert_eq!(finish, FinishReport { dropped, panicked });
    }

    #[tokio::test]
    async fn a_panic_is_counted_and_hurts_nobody_else() {
        let lifecycle = Lifecycle::new();
        lifecycle.spawn(async { panic!("on purpose") });
        let finish = lifecycle
            .finish(&Clock::system(), Duration::from_secs(5))
            .await;
        assert_eq!(
            finish,
            FinishReport {
                dropped: 0,
                panicked: 1
            }
        );
    }
}
