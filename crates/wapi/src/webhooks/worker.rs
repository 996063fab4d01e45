//! Finds what is due, has it tried, and saves what became of it. All it knows is in the store, so it goes on where the last run ended.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures_util::FutureExt;
use tokio::sync::Notify;

use super::deliverer::{Deliverer, Tried};
use super::slots::{OF_A_GATE, Slots};
use crate::clock::Clock;
use crate::lifecycle::Lifecycle;
use crate::store::{Due, Settled, Store};

/// How long to rest at most before looking again, should a wake-up ever be missed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How long to wait before asking a database that failed again.
const STORE_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    store: Store,
    deliverer: Arc<Deliverer>,
    clock: Clock,
    lifecycle: Lifecycle,
    /// Deliveries whose outcome has been saved since the last look.
    settled: Mutex<Vec<i64>>,
    freed: Notify,
}

impl Worker {
    pub fn new(store: Store, deliverer: Arc<Deliverer>, clock: Clock, lifecycle: Lifecycle) -> Self {
        Self { store, deliverer, clock, lifecycle, settled: Mutex::default(), freed: Notify::new() }
    }

    /// Works until the soft stop. Attempts under way then are finished by their own tasks.
    pub async fn run(self: Arc<Self>) {
        let mut slots = Slots::default();
        while !self.lifecycle.is_stopping() {
            let pause = match self.start_what_is_due(&mut slots).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "deliveries cannot be read");
                    STORE_PAUSE
                }
            };
            // Both wake-ups keep a call that came before anybody waited.
            tokio::select! {
                () = self.lifecycle.stopping() => break,
                () = self.store.changed() => {}
                () = self.freed.notified() => {}
                () = self.clock.sleep(pause) => {}
            }
        }
    }

    /// Starts as many attempts as there is room for; how long nothing will be due.
    async fn start_what_is_due(self: &Arc<Self>, slots: &mut Slots) -> Result<Duration> {
        // Before the question, never after it: the answer may be from before a delivery was settled, and would start it again.
        for settled in lock(&self.settled).drain(..) {
            slots.free(settled);
        }
        let now = self.clock.now();
        let heads = self.store.heads_due(now, OF_A_GATE).await?;
        let fresh = heads.into_iter().filter(|head| slots.take(head, self.deliverer.width(&head.gate)));
        let fresh: Vec<i64> = fresh.map(|head| head.delivery).collect();
        let started = self.start(&fresh).await;
        for delivery in fresh {
            if !started.as_ref().is_ok_and(|started| started.contains(&delivery)) {
                slots.free(delivery);
            }
        }
        started?;
        let next = self.store.next_due(now).await?;
        let until = next.map(|next| next.duration_since(now).try_into().unwrap_or(Duration::ZERO));
        Ok(until.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN))
    }

    /// Starts these; the ones that are still waiting.
    async fn start(self: &Arc<Self>, fresh: &[i64]) -> Result<Vec<i64>> {
        let mut due = self.store.load_due(fresh).await?;
        due.sort_by_key(|due| fresh.iter().position(|id| *id == due.delivery));
        let started = due.iter().map(|due| due.delivery).collect();
        for due in due {
            let worker = Arc::clone(self);
            self.lifecycle.spawn(async move { worker.attempt(due).await });
        }
        Ok(started)
    }

    async fn attempt(&self, due: Due) {
        // Given back whatever happens, or the chat would wait until the next start of the program.
        let _slot = Slot { worker: self, delivery: due.delivery };
        let Tried { outcome, disabled } = match AssertUnwindSafe(self.deliverer.deliver(&due)).catch_unwind().await {
            Ok(tried) => tried,
            Err(_) => {
                tracing::error!(event = due.event, "an attempt panicked; the line before says where");
                self.deliverer.after_a_panic(&due)
            }
        };
        let settled = Settled { delivery: due.delivery, outcome };
        // What was taken must not be tried again because the database was away for a moment.
        while let Err(error) = self.store.settle(settled.clone()).await {
            tracing::error!(event = due.event, %error, "what became of a delivery cannot be saved");
            if self.lifecycle.unless_stopping(self.clock.sleep(STORE_PAUSE)).await.is_none() {
                return;
            }
        }
        if let Some(reason) = disabled {
            self.deliverer.disable(&due, reason).await;
        }
    }
}

/// A place among the posts under way.
struct Slot<'a> {
    worker: &'a Worker,
    delivery: i64,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        lock(&self.worker.settled).push(self.delivery);
        self.worker.freed.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::future::BoxFuture;
    use jiff::Timestamp;

    use super::super::attempt::Poster;
    use super::super::target::Targets;
    use super::*;
    use crate::clock::Time;
    use crate::config::Environment;
    use crate::event::MessageKey;
    use crate::guard;
    use crate::seen::Seen;
    use crate::store::NewEvent;

    /// A clock that breaks when somebody wants to know how long something takes, which the poster does.
    struct Fragile(Clock, Arc<AtomicBool>);

    impl Time for Fragile {
        fn now(&self) -> Timestamp {
            self.0.now()
        }

        fn uptime(&self) -> Duration {
            assert!(!self.1.load(Ordering::SeqCst), "broken on purpose");
            self.0.uptime()
        }

        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            self.0.sleep(duration)
        }
    }

    fn event(id: &str) -> NewEvent {
        NewEvent {
            id: format!("evt_{id}"),
            session: "shop".to_owned(),
            chat: "ann".to_owned(),
            message: Some(MessageKey { chat: "ann".to_owned(), sender: "ann".to_owned(), id: id.to_owned() }),
            kind: "message.received",
            body: "{}".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_panic_in_an_attempt_is_a_failed_attempt_and_its_slot_is_free_again() {
        crate::app::install_crypto();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("wapi.db"), Clock::system()).await.unwrap();
        store.put_endpoint("hook", "http://127.0.0.1:1/", &[]).await.unwrap();
        store.append(vec![event("1"), event("2")]).await.unwrap();
        let (is_broken, lifecycle) = (Arc::new(AtomicBool::new(true)), Lifecycle::new());
        let clock = Clock::new(Fragile(Clock::system(), Arc::clone(&is_broken)));
        let deliverer = Deliverer {
            store: store.clone(),
            poster: Poster::new(Environment::Prod, guard::Targets::All, clock.clone()).unwrap(),
            targets: Targets::new(store.clone(), None),
            seen: Seen::open(None, clock.clone(), lifecycle.clone()).await.unwrap(),
            clock: clock.clone(),
            disable_after: Duration::MAX,
            health: Mutex::default(),
        };
        let worker = Arc::new(Worker::new(store.clone(), Arc::new(deliverer), clock, lifecycle.clone()));
        let mut slots = Slots::default();
        worker.start_what_is_due(&mut slots).await.unwrap();
        worker.freed.notified().await;
        assert_eq!(*lock(&worker.settled), [1]);
        let (told, _) = store.deliveries("hook", None, i64::MAX, 10).await.unwrap();
        let first = &told[1];
        assert_eq!((first.attempts, first.state.as_str()), (1, "waiting"));
        assert!(first.failed[0].error.contains("gateway itself failed"), "{first:?}");
        assert!(first.due_at.unwrap() > Clock::system().now(), "it is tried again later");
        worker.start_what_is_due(&mut slots).await.unwrap();
        let again = store.heads_due(Timestamp::MAX, OF_A_GATE).await.unwrap();
        assert!(again.len() == 1 && slots.take(&again[0], OF_A_GATE), "its slot is free");
        let finish = lifecycle.finish(&Clock::system(), Duration::from_secs(5)).await;
        assert_eq!((finish.dropped, finish.panicked), (0, 0));
    }
}
