//! Delivery worker: finds due deliveries, attempts them, and saves their outcomes. All its state is
//! in the store, so it continues after a restart.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::deliverer::{Deliverer, Tried};
use super::slots::{GIVES_WAY, OF_A_GATE, Place, Slots, Slow};
use crate::clock::Clock;
use crate::descriptors;
use crate::lifecycle::Lifecycle;
use crate::store::{Due, Fresh, Head, Settled, Store};

/// Longest pause between two polls, in case a wake-up is missed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Pause before a failed database is asked again.
const STORE_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    store: Store,
    deliverer: Arc<Deliverer>,
    clock: Clock,
    lifecycle: Lifecycle,
    /// Deliveries whose outcome has been saved since the last poll.
    settled: Mutex<Vec<i64>>,
    freed: Notify,
    /// Per delivery, cancels a post in order to free its slot.
    bells: Mutex<HashMap<i64, CancellationToken>>,
}

impl Worker {
    pub fn new(
        store: Store,
        deliverer: Arc<Deliverer>,
        clock: Clock,
        lifecycle: Lifecycle,
    ) -> Self {
        Self {
            store,
            deliverer,
            clock,
            lifecycle,
            settled: Mutex::default(),
            freed: Notify::new(),
            bells: Mutex::default(),
        }
    }

    /// Runs until the soft stop. Attempts under way are then finished by their own tasks.
    pub async fn run(self: Arc<Self>) {
        let mut round = Round::new();
        while !self.lifecycle.is_stopping() {
            let pause = match self.start_what_is_due(&mut round).await {
                Ok(pause) => pause.min(self.make_room(&mut round)),
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "deliveries cannot be read");
                    STORE_PAUSE
                }
            };
            // Both notifications keep a call that came before anybody waited.
            tokio::select! {
                () = self.lifecycle.stopping() => break,
                () = self.store.changed() => {}
                () = self.freed.notified() => {}
                () = self.clock.sleep(pause) => {}
            }
        }
    }

    /// Starts as many attempts as there are slots for. Returns the time until more will be due.
    async fn start_what_is_due(self: &Arc<Self>, round: &mut Round) -> Result<Duration> {
        // Before the query, never after it: its result may be older than a settlement, and would
        // start that delivery again.
        for settled in lock(&self.settled).drain(..) {
            round.slots.free(settled);
        }
        let Fresh { due, is_incomplete } = self.store.fresh();
        round.must_ask |= is_incomplete;
        for due in due {
            match self.take(round, &Head::from(&due)) {
                Place::Taken => self.spawn(due),
                Place::UnderWay => {}
                Place::Full | Place::Crowded => round.must_ask = true,
            }
        }
        let uptime = self.clock.uptime();
        if !round.must_ask && uptime < round.ask_at {
            return Ok(round.ask_at.saturating_sub(uptime));
        }
        // Until the query has succeeded.
        round.must_ask = true;
        let (pause, is_all) = self.ask(round).await?;
        round.must_ask = !is_all;
        round.ask_at = uptime + pause;
        Ok(pause)
    }

    /// Starts due deliveries from the database, as far as there are slots. Returns the time until
    /// more will be due, and whether all found a slot.
    async fn ask(self: &Arc<Self>, round: &mut Round) -> Result<(Duration, bool)> {
        let now = self.clock.now();
        let heads = self.store.heads_due(now, OF_A_GATE).await?;
        let (mut fresh, mut of_gates) = (Vec::new(), HashMap::<&str, usize>::new());
        let mut is_all = true;
        for head in &heads {
            // With this many, there may be more behind them.
            let count = of_gates.entry(&head.gate).or_default();
            *count += 1;
            is_all &= *count < OF_A_GATE;
            match self.take(round, head) {
                Place::Taken => fresh.push(head.delivery),
                Place::UnderWay => {}
                Place::Full | Place::Crowded => is_all = false,
            }
        }
        let started = self.start(&fresh).await;
        for delivery in fresh {
            if !started
                .as_ref()
                .is_ok_and(|started| started.contains(&delivery))
            {
                round.slots.free(delivery);
            }
        }
        started?;
        let next = self.store.next_due(now).await?;
        let until = next.map(|next| {
            next.duration_since(now)
                .try_into()
                .unwrap_or(Duration::ZERO)
        });
        Ok((until.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN), is_all))
    }

    fn take(&self, round: &mut Round, head: &Head) -> Place {
        let place = round
            .slots
            .take(head, self.deliverer.width(&head.gate), self.clock.uptime());
        round.is_crowded |= place == Place::Crowded;
        place
    }

    /// If an endpoint has no slot because others have all, cancels a slow post of theirs. Returns
    /// the time until this should be checked again.
    fn make_room(&self, round: &mut Round) -> Duration {
        if !std::mem::take(&mut round.is_crowded) {
            return LOOK_AGAIN;
        }
        match round.slots.slow(self.clock.uptime()) {
            Some(Slow::Later(later)) => later,
            Some(Slow::Gives(delivery)) => {
                lock(&self.bells)
                    .get(&delivery)
                    .inspect(|bell| bell.cancel());
                GIVES_WAY
            }
            None => GIVES_WAY,
        }
    }

    /// Starts these deliveries. Returns those that were still waiting.
    async fn start(self: &Arc<Self>, fresh: &[i64]) -> Result<Vec<i64>> {
        let mut due = self.store.load_due(fresh).await?;
        due.sort_by_key(|due| fresh.iter().position(|id| *id == due.delivery));
        let started = due.iter().map(|due| due.delivery).collect();
        due.into_iter().for_each(|due| self.spawn(due));
        Ok(started)
    }

    fn spawn(self: &Arc<Self>, due: Due) {
        let (worker, bell) = (Arc::clone(self), CancellationToken::new());
        lock(&self.bells).insert(due.delivery, bell.clone());
        self.lifecycle
            .spawn(async move { worker.attempt(due, &bell).await });
    }

    async fn attempt(&self, due: Due, bell: &CancellationToken) {
        // Freed in any case; otherwise the chat would wait until the next start of the program.
        let _slot = Slot {
            worker: self,
            delivery: due.delivery,
        };
        let Tried { outcome, disabled } = match AssertUnwindSafe(self.deliverer.deliver(&due, bell))
            .catch_unwind()
            .await
        {
            Ok(tried) => tried,
            Err(_) => {
                tracing::error!(
                    event = due.event,
                    "an attempt panicked; the line before says where"
                );
                self.deliverer.after_a_panic(&due)
            }
        };
        let settled = Settled {
            delivery: due.delivery,
            outcome,
        };
        // An accepted event must not be posted again because of a short database failure.
        while let Err(error) = self.store.settle(settled.clone()).await {
            tracing::error!(event = due.event, %error, "what became of a delivery cannot be saved");
            if self
                .lifecycle
                .unless_stopping(self.clock.sleep(STORE_PAUSE))
                .await
                .is_none()
            {
                return;
            }
        }
        if let Some(reason) = disabled {
            self.deliverer.disable(&due, reason).await;
        }
    }
}

/// State kept between polls.
struct Round {
    slots: Slots,
    /// More may be due than the ready queue contained.
    must_ask: bool,
    /// A delivery was turned away because others have all slots.
    is_crowded: bool,
    /// Uptime at which a delivery that waits for its time will be due.
    ask_at: Duration,
}

impl Round {
    fn new() -> Self {
        let slots = Slots::of(descriptors::now());
        Self {
            slots,
            must_ask: true,
            is_crowded: false,
            ask_at: Duration::ZERO,
        }
    }
}

/// A slot among the posts under way.
struct Slot<'a> {
    worker: &'a Worker,
    delivery: i64,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        lock(&self.worker.bells).remove(&self.delivery);
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
    use crate::seen::{Folder, Seen};
    use crate::store::{Life, NewEvent};

    /// A clock that breaks when somebody waits, as the poster does for its deadline.
    struct Fragile(Clock, Arc<AtomicBool>);

    impl Time for Fragile {
        fn now(&self) -> Timestamp {
            self.0.now()
        }

        fn uptime(&self) -> Duration {
            self.0.uptime()
        }

        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            assert!(!self.1.load(Ordering::SeqCst), "broken on purpose");
            self.0.sleep(duration)
        }
    }

    fn event(id: &str) -> NewEvent {
        NewEvent {
            id: format!("evt_{id}"),
            session: Life::test(1, "shop"),
            chat: "ann".to_owned(),
            message: Some(MessageKey {
                chat: "ann".to_owned(),
                sender: "ann".to_owned(),
                id: id.to_owned(),
            }),
            kind: "message.received",
            body: "{}".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_panic_in_an_attempt_is_a_failed_attempt_and_its_slot_is_free_again() {
        crate::app::install_crypto();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("wapi.db"), Clock::system())
            .await
            .unwrap();
        store
            .put_endpoint("hook", "http://127.0.0.1:1/", &[])
            .await
            .unwrap();
        store.append(vec![event("1"), event("2")]).await.unwrap();
        let (is_broken, lifecycle) = (Arc::new(AtomicBool::new(true)), Lifecycle::new());
        let clock = Clock::new(Fragile(Clock::system(), Arc::clone(&is_broken)));
        let id = Folder::open(folder.path(), Clock::system().now()).unwrap();
        let deliverer = Deliverer {
            store: store.clone(),
            poster: Poster::new(Environment::Prod, guard::Targets::All, clock.clone()).unwrap(),
            targets: Targets::new(store.clone(), None),
            seen: Seen::open(None, id, clock.clone(), lifecycle.clone())
                .await
                .unwrap(),
            clock: clock.clone(),
            disable_after: Duration::MAX,
            health: Mutex::default(),
        };
        let worker = Arc::new(Worker::new(
            store.clone(),
            Arc::new(deliverer),
            clock,
            lifecycle.clone(),
        ));
        let mut round = Round::new();
        worker.start_what_is_due(&mut round).await.unwrap();
        worker.freed.notified().await;
        assert_eq!(*lock(&worker.settled), [1]);
        let (told, _) = store.deliveries("hook", None, i64::MAX, 10).await.unwrap();
        let first = &told[1];
        assert_eq!((first.attempts, first.state.as_str()), (1, "waiting"));
        assert!(
            first.failed[0].error.contains("gateway itself failed"),
            "{first:?}"
        );
        assert!(
            first.due_at.unwrap() > Clock::system().now(),
            "it is tried again later"
        );
        worker.start_what_is_due(&mut round).await.unwrap();
        let again = store.heads_due(Timestamp::MAX, OF_A_GATE).await.unwrap();
        assert!(
            again.len() == 1
                && round.slots.take(&again[0], OF_A_GATE, Duration::ZERO) == Place::Taken,
            "its slot is free"
        );
        let finish = lifecycle
            .finish(&Clock::system(), Duration::from_secs(5))
            .await;
        assert_eq!((finish.dropped, finish.panicked), (0, 0));
    }
}
