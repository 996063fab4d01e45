//! Delivery worker: finds due deliveries, attempts them, and saves their outcomes. All its state is
//! in the store, so it continues after a restart.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::concurrency::{MAX_PER_DESTINATION, PostSlots, SlotAdmission, SlotRelease, YIELD_AFTER};
use super::deliverer::{AttemptResult, EventDeliverer};
use crate::store::{DueDelivery, QueueHead, ReadyDeliveries, SettledDelivery, Store};
use crate::system::clock::Clock;
use crate::system::descriptors;
use crate::system::lifecycle::Lifecycle;

/// Longest pause between two polls, in case a wake-up is missed.
const POLL_INTERVAL: Duration = Duration::from_secs(30);
/// Pause before a failed database is asked again.
const STORE_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct DeliveryWorker {
    store: Store,
    deliverer: Arc<EventDeliverer>,
    clock: Clock,
    lifecycle: Lifecycle,
    /// Deliveries whose outcome has been saved since the last poll.
    settled: Mutex<Vec<i64>>,
    freed: Notify,
    /// Per delivery, cancels a post in order to free its slot.
    cancel_tokens: Mutex<HashMap<i64, CancellationToken>>,
}

impl DeliveryWorker {
    pub fn new(
        store: Store,
        deliverer: Arc<EventDeliverer>,
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
            cancel_tokens: Mutex::default(),
        }
    }

    /// Runs until the soft stop. Attempts under way are then finished by their own tasks.
    pub async fn run(self: Arc<Self>) {
        let mut poll_state = PollState::new();
        while !self.lifecycle.is_stopping() {
            let pause = match self.start_due(&mut poll_state).await {
                Ok(pause) => pause.min(self.make_room(&mut poll_state)),
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "failed to read deliveries");
                    STORE_PAUSE
                }
            };
            // Both notifications keep a call that came before anybody waited.
            tokio::select! {
                () = self.lifecycle.await_stop() => break,
                () = self.store.wait_for_commit() => {}
                () = self.freed.notified() => {}
                () = self.clock.sleep(pause) => {}
            }
        }
    }

    /// Starts as many attempts as there are slots for. Returns the time until more will be due.
    async fn start_due(self: &Arc<Self>, poll_state: &mut PollState) -> Result<Duration> {
        // Before the query, never after it: its result may be older than a settlement, and would
        // start that delivery again.
        for settled in self.settled.lock().drain(..) {
            poll_state.slots.free_slot(settled);
        }
        let ReadyDeliveries { due, is_incomplete } = self.store.deliveries().take_ready();
        poll_state.must_poll |= is_incomplete;
        for due in due {
            match self.take_slot(poll_state, &QueueHead::from(&due)) {
                SlotAdmission::Admitted => self.spawn_attempt(due),
                SlotAdmission::UnderWay => {}
                SlotAdmission::Full | SlotAdmission::Crowded => poll_state.must_poll = true,
            }
        }
        let uptime = self.clock.uptime();
        if !poll_state.must_poll && uptime < poll_state.poll_at {
            return Ok(poll_state.poll_at.saturating_sub(uptime));
        }
        // Until the query has succeeded.
        poll_state.must_poll = true;
        let (pause, is_all) = self.poll_store(poll_state).await?;
        poll_state.must_poll = !is_all;
        poll_state.poll_at = uptime + pause;
        Ok(pause)
    }

    /// Starts due deliveries from the database, as far as there are slots. Returns the time until
    /// more will be due, and whether all found a slot.
    async fn poll_store(self: &Arc<Self>, poll_state: &mut PollState) -> Result<(Duration, bool)> {
        let now = self.clock.now();
        let heads = self
            .store
            .deliveries()
            .find_due_heads(now, MAX_PER_DESTINATION)
            .await?;
        let (mut fresh, mut of_gates) = (Vec::new(), HashMap::<&str, usize>::new());
        let mut is_all = true;
        for head in &heads {
            // With this many, there may be more behind them.
            let count = of_gates.entry(&head.destination).or_default();
            *count += 1;
            is_all &= *count < MAX_PER_DESTINATION;
            match self.take_slot(poll_state, head) {
                SlotAdmission::Admitted => fresh.push(head.delivery),
                SlotAdmission::UnderWay => {}
                SlotAdmission::Full | SlotAdmission::Crowded => is_all = false,
            }
        }
        let started = self.start_deliveries(&fresh).await;
        for delivery in fresh {
            if !started
                .as_ref()
                .is_ok_and(|started| started.contains(&delivery))
            {
                poll_state.slots.free_slot(delivery);
            }
        }
        started?;
        let next = self.store.deliveries().next_due_time(now).await?;
        let until = next.map(|next| {
            next.duration_since(now)
                .try_into()
                .unwrap_or(Duration::ZERO)
        });
        Ok((until.unwrap_or(POLL_INTERVAL).min(POLL_INTERVAL), is_all))
    }

    fn take_slot(&self, poll_state: &mut PollState, head: &QueueHead) -> SlotAdmission {
        let admission = poll_state.slots.take_slot(
            head,
            self.deliverer.max_posts(&head.destination),
            self.clock.uptime(),
        );
        poll_state.is_crowded |= admission == SlotAdmission::Crowded;
        admission
    }

    /// If an endpoint has no slot because others have all, cancels a slow post of theirs. Returns
    /// the time until this should be checked again.
    fn make_room(&self, poll_state: &mut PollState) -> Duration {
        if !std::mem::take(&mut poll_state.is_crowded) {
            return POLL_INTERVAL;
        }
        match poll_state.slots.release_slow(self.clock.uptime()) {
            Some(SlotRelease::Later(later)) => later,
            Some(SlotRelease::Now(delivery)) => {
                self.cancel_tokens
                    .lock()
                    .get(&delivery)
                    .inspect(|cancel_token| cancel_token.cancel());
                YIELD_AFTER
            }
            None => YIELD_AFTER,
        }
    }

    /// Starts these deliveries. Returns those that were still waiting.
    async fn start_deliveries(self: &Arc<Self>, fresh: &[i64]) -> Result<Vec<i64>> {
        let mut due = self.store.deliveries().load_due_deliveries(fresh).await?;
        due.sort_by_key(|due| fresh.iter().position(|id| *id == due.delivery));
        let started = due.iter().map(|due| due.delivery).collect();
        due.into_iter().for_each(|due| self.spawn_attempt(due));
        Ok(started)
    }

    fn spawn_attempt(self: &Arc<Self>, due: DueDelivery) {
        let (worker, cancel_token) = (Arc::clone(self), CancellationToken::new());
        self.cancel_tokens
            .lock()
            .insert(due.delivery, cancel_token.clone());
        self.lifecycle
            .spawn(async move { worker.run_attempt(due, &cancel_token).await });
    }

    async fn run_attempt(&self, due: DueDelivery, cancel_token: &CancellationToken) {
        // Freed in any case; otherwise the chat would wait until the next start of the program.
        let _slot = SlotGuard {
            worker: self,
            delivery: due.delivery,
        };
        let AttemptResult { outcome, disabled } =
            match AssertUnwindSafe(self.deliverer.attempt_delivery(&due, cancel_token))
                .catch_unwind()
                .await
            {
                Ok(tried) => tried,
                Err(_) => {
                    tracing::error!(
                        event = due.event,
                        "an attempt panicked; the line before says where"
                    );
                    self.deliverer.panic_outcome(&due)
                }
            };
        let settled = SettledDelivery {
            delivery: due.delivery,
            outcome,
        };
        // An accepted event must not be posted again because of a short database failure.
        while let Err(error) = self
            .store
            .deliveries()
            .settle_delivery(settled.clone())
            .await
        {
            tracing::error!(event = due.event, %error, "failed to save the outcome of a delivery");
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
            self.deliverer.disable_endpoint(&due, reason).await;
        }
    }
}

/// State kept between polls.
struct PollState {
    slots: PostSlots,
    /// More may be due than was handed out.
    must_poll: bool,
    /// A delivery was turned away because others have all slots.
    is_crowded: bool,
    /// Uptime at which a delivery that waits for its time will be due.
    poll_at: Duration,
}

impl PollState {
    fn new() -> Self {
        let slots = PostSlots::for_descriptors(descriptors::current_limit());
        Self {
            slots,
            must_poll: true,
            is_crowded: false,
            poll_at: Duration::ZERO,
        }
    }
}

/// A slot among the posts under way.
struct SlotGuard<'a> {
    worker: &'a DeliveryWorker,
    delivery: i64,
}

impl Drop for SlotGuard<'_> {
    fn drop(&mut self) {
        self.worker.cancel_tokens.lock().remove(&self.delivery);
        self.worker.settled.lock().push(self.delivery);
        self.worker.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::future::BoxFuture;
    use jiff::Timestamp;

    use super::super::attempt::EventPoster;
    use super::*;
    use crate::config::Environment;
    use crate::model::event::MessageKey;
    use crate::net::egress;
    use crate::store::{Life, NewEvent};
    use crate::system::clock::TimeSource;
    use crate::webhooks::dedup::{FolderId, ForwardedSet};
    use crate::webhooks::destination::DestinationCache;

    /// A clock that breaks when somebody waits, as the poster does for its deadline.
    struct FragileClock(Clock, Arc<AtomicBool>);

    impl TimeSource for FragileClock {
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
            session: Life::for_test(1, "shop"),
            chat: "ann".to_owned(),
            message: Some(MessageKey {
                chat: "ann".to_owned(),
                sender: "ann".to_owned(),
                id: id.to_owned(),
            }),
            kind: "message.received",
            body: "{}".to_owned(),
            facts: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_panic_in_an_attempt_is_a_failed_attempt_and_its_slot_is_free_again() {
        crate::net::tls::install_crypto();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("wapi.db"), Clock::system())
            .await
            .unwrap();
        store
            .webhooks()
            .save_endpoint("hook", "http://127.0.0.1:1/", &[])
            .await
            .unwrap();
        store
            .events()
            .append_events(vec![event("1"), event("2")])
            .await
            .unwrap();
        let (is_broken, lifecycle) = (Arc::new(AtomicBool::new(true)), Lifecycle::new());
        let clock = Clock::new(FragileClock(Clock::system(), Arc::clone(&is_broken)));
        let id = FolderId::open(folder.path(), Clock::system().now()).unwrap();
        let deliverer = EventDeliverer {
            store: store.clone(),
            poster: EventPoster::new(Environment::Prod, egress::EgressPolicy::All, clock.clone())
                .unwrap(),
            targets: DestinationCache::new(store.clone(), None),
            forwarded: ForwardedSet::open(None, id, clock.clone(), lifecycle.clone())
                .await
                .unwrap(),
            clock: clock.clone(),
            disable_after: Duration::MAX,
            health: Mutex::default(),
        };
        let worker = Arc::new(DeliveryWorker::new(
            store.clone(),
            Arc::new(deliverer),
            clock,
            lifecycle.clone(),
        ));
        let mut poll_state = PollState::new();
        worker.start_due(&mut poll_state).await.unwrap();
        worker.freed.notified().await;
        assert_eq!(*worker.settled.lock(), [1]);
        let (due, _) = store
            .deliveries()
            .list_deliveries("hook", None, i64::MAX, 10)
            .await
            .unwrap();
        let first = &due[1];
        assert_eq!((first.attempts, first.state.as_str()), (1, "waiting"));
        assert!(
            first.failed_attempts[0]
                .error
                .contains("gateway failed during the attempt"),
            "{first:?}"
        );
        assert!(
            first.due_at.unwrap() > Clock::system().now(),
            "it is tried again later"
        );
        worker.start_due(&mut poll_state).await.unwrap();
        let again = store
            .deliveries()
            .find_due_heads(Timestamp::MAX, MAX_PER_DESTINATION)
            .await
            .unwrap();
        assert!(
            again.len() == 1
                && poll_state
                    .slots
                    .take_slot(&again[0], MAX_PER_DESTINATION, Duration::ZERO)
                    == SlotAdmission::Admitted,
            "its slot is free"
        );
        let finish = lifecycle
            .finish(&Clock::system(), Duration::from_secs(5))
            .await;
        assert_eq!((finish.dropped, finish.panicked), (0, 0));
    }
}
