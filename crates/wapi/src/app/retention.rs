//! Retention of events: old ones are removed, and the database is kept within its size.

use std::time::Duration;

use jiff::Timestamp;

use crate::config::RetentionPolicy;
use crate::sessions::SessionFiles;
use crate::store::{DEDUP_PERIOD, KEY_LIFETIME, RetentionLimits, Store, StoreError};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;

/// Interval between sweeps.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);
/// Interval at which counts of reads reach the disk.
const ACTIVITY_INTERVAL: Duration = Duration::from_secs(30);
/// Events per step: this many keep the writer busy for a few milliseconds. Fewer per step where no
/// more than necessary may go.
const STEP_SIZE: u16 = 300;
const SMALL_STEP_SIZE: u16 = 50;
/// Pause between two steps, in which the writer serves urgent changes.
const STEP_PAUSE: Duration = Duration::from_millis(20);
/// Free bytes that may stay in the file, as new events need them soon: the larger of a fixed size
/// and a share of the used bytes.
const MAX_FREE_BYTES: u64 = 1024 * 1024;
const MAX_FREE_SHARE: u64 = 4;
/// Size to which a database that grew too large is reduced, in percent of the limit.
const TARGET_PERCENT: u64 = 90;

/// Applies the policy until the program stops. Files of former devices are kept as long as their
/// events.
pub async fn enforce_retention(
    retention: RetentionPolicy,
    store: Store,
    files: SessionFiles,
    clock: Clock,
    lifecycle: Lifecycle,
) {
    while lifecycle
        .unless_stopping(clock.sleep(SWEEP_INTERVAL))
        .await
        .is_some()
    {
        let before = clock
            .now()
            .checked_sub(retention.events)
            .unwrap_or(Timestamp::UNIX_EPOCH);
        match files.remove_old_files(before).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed old files of former devices"),
            Err(error) => {
                tracing::warn!(%error, "failed to remove old files of former devices; trying again later")
            }
        }
        let sweep = RetentionSweep {
            retention,
            store: &store,
            clock: &clock,
        };
        if let Some(Err(error)) = lifecycle.unless_stopping(sweep.run(clock.now())).await {
            tracing::warn!(%error, "failed to remove old events; trying again later");
        }
    }
}

/// Saves the notes of activity that no change takes along, until the program stops.
pub async fn keep_saving_activity(store: Store, clock: Clock, lifecycle: Lifecycle) {
    while lifecycle
        .unless_stopping(clock.sleep(ACTIVITY_INTERVAL))
        .await
        .is_some()
    {
        if let Err(error) = store.activity().save_notes().await {
            tracing::warn!(%error, "failed to save activity; trying again later");
        }
    }
}

/// One run over everything.
struct RetentionSweep<'a> {
    retention: RetentionPolicy,
    store: &'a Store,
    clock: &'a Clock,
}

impl RetentionSweep<'_> {
    async fn run(&self, now: Timestamp) -> Result<(), StoreError> {
        let before = |age: Duration| now.checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH);
        self.store.resume_purge().await?;
        let (events, known) = (
            before(self.retention.events),
            before(self.retention.events.max(DEDUP_PERIOD)),
        );
        self.remove_messages(now - KEY_LIFETIME, events).await?;
        let (activity, age) = (self.store.activity(), before(self.retention.activity));
        while activity.remove_old_activity(age, STEP_SIZE).await? >= u64::from(STEP_SIZE) {
            self.clock.sleep(STEP_PAUSE).await;
        }
        let cut = RetentionLimits {
            events,
            dead: before(self.retention.dead),
            dedup: known,
            now,
        };
        let removed = self.remove_events(cut, STEP_SIZE, u64::MAX).await?;
        let inbound = self.store.inbound();
        while inbound
            .forget_eventless(before(DEDUP_PERIOD), STEP_SIZE)
            .await?
            > 0
        {
            self.clock.sleep(STEP_PAUSE).await;
        }
        let mut early = 0;
        if self.log_size().await? > self.retention.size {
            // Nothing waits for these events, so they may be removed early.
            let enough = self.retention.size / 100 * TARGET_PERCENT;
            early = self
                .remove_events(
                    RetentionLimits { events: now, ..cut },
                    SMALL_STEP_SIZE,
                    enough,
                )
                .await?;
            self.warn_if_too_large().await?;
        }
        if removed + early > 0 {
            tracing::info!(removed, early, "removed old events");
        }
        let mut accepted = cut.events;
        if early > 0 {
            let oldest = self.store.events().oldest_time().await?;
            accepted = accepted.max(oldest.unwrap_or(now));
        }
        while self.store.deliveries().remove_accepted(accepted).await? {
            self.clock.sleep(STEP_PAUSE).await;
        }
        // The last records of a former life may just have been removed.
        self.store.drop_abandoned_lives().await?;
        self.shrink_database().await
    }

    /// Removes events, oldest first, until the rest is too young or no more than `enough` bytes are
    /// used. Returns the number removed.
    async fn remove_events(
        &self,
        cut: RetentionLimits,
        window: u16,
        enough: u64,
    ) -> Result<u64, StoreError> {
        let (mut position, mut removed) = (Some(0), 0);
        while let Some(after) = position {
            let done = self
                .store
                .events()
                .remove_old_events(after, window, cut)
                .await?;
            (position, removed) = (done.next, removed + done.removed);
            if enough < u64::MAX && self.log_size().await? <= enough {
                break;
            }
            if done.removed > 0 {
                self.clock.sleep(STEP_PAUSE).await;
            }
        }
        Ok(removed)
    }

    /// Removes idempotency keys, and sent messages, which are kept as long as their events.
    async fn remove_messages(
        &self,
        keys: Timestamp,
        messages: Timestamp,
    ) -> Result<(), StoreError> {
        let outbox = self.store.outbox();
        while outbox
            .remove_old_messages(keys, messages, STEP_SIZE)
            .await?
            > 0
        {
            self.clock.sleep(STEP_PAUSE).await;
        }
        Ok(())
    }

    /// Returns the used bytes of the database without the history, which has a retention of its own.
    async fn log_size(&self) -> Result<u64, StoreError> {
        let used = self.store.database_size().await?.0;
        Ok(used.saturating_sub(self.store.history().size().await?))
    }

    async fn warn_if_too_large(&self) -> Result<(), StoreError> {
        let used = self.log_size().await?;
        if used > self.retention.size {
            tracing::warn!(
                used,
                limit = self.retention.size,
                "the database is too large, but its events have pending deliveries"
            );
        }
        Ok(())
    }

    async fn shrink_database(&self) -> Result<(), StoreError> {
        loop {
            let (used, free) = self.store.database_size().await?;
            if free <= MAX_FREE_BYTES.max(used / MAX_FREE_SHARE) {
                return Ok(());
            }
            self.store.events().shrink_file().await?;
            self.clock.sleep(STEP_PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::app::retention::*;
    use crate::config::RetentionPolicy;
    use crate::model::event::MessageKey;
    use crate::model::message::Message;
    use crate::store::history::{HistoryImport, NewHistoryMessage};
    use crate::store::{DeliveryOutcome, EventFilter, Life, NewEvent, SettledDelivery};

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const RETENTION: RetentionPolicy = RetentionPolicy {
        events: DAY.saturating_mul(30),
        dead: DAY.saturating_mul(90),
        activity: DAY.saturating_mul(90),
        size: u64::MAX,
    };

    /// A store with one endpoint, and a folder that lives as long.
    async fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("wapi.db"), Clock::system())
            .await
            .unwrap();
        store
            .webhooks()
            .save_endpoint("hook", "http://127.0.0.1/", &[])
            .await
            .unwrap();
        (store, folder)
    }

    async fn sweep(store: &Store, retention: RetentionPolicy, later: Duration) {
        let clock = Clock::system();
        RetentionSweep {
            retention,
            store,
            clock: &clock,
        }
        .run(clock.now() + later)
        .await
        .unwrap();
    }

    fn message(id: &str, body: &str) -> NewEvent {
        NewEvent {
            id: format!("evt_{id}_{}", rand::random::<u32>()),
            session: Life::for_test(1, "shop"),
            chat: format!("chat {id}"),
            message: Some(MessageKey {
                chat: "ann".to_owned(),
                sender: "ann".to_owned(),
                id: id.to_owned(),
            }),
            kind: "message.received",
            body: format!("{{\"n\":\"{body}\"}}"),
            facts: Vec::new(),
        }
    }

    /// Saves an event and records the outcome of its delivery.
    async fn record_delivery(store: &Store, event: NewEvent, outcome: DeliveryOutcome) {
        let chat = event.chat.clone();
        store.events().append_events(vec![event]).await.unwrap();
        let due = store
            .deliveries()
            .due_deliveries(Timestamp::MAX, 1_000)
            .await
            .unwrap();
        let delivery = due.iter().find(|due| due.chat == chat).unwrap().delivery;
        store
            .deliveries()
            .settle_delivery(SettledDelivery { delivery, outcome })
            .await
            .unwrap();
    }

    /// Returns the bodies of all events that the feed still has.
    async fn kept(store: &Store) -> Vec<String> {
        let saved = store
            .events()
            .open_reader(0, EventFilter::default())
            .read_page(10_000)
            .await
            .unwrap();
        saved.iter().map(|saved| saved.body.to_string()).collect()
    }

    fn dead() -> DeliveryOutcome {
        DeliveryOutcome::Dead {
            error: "500".into(),
        }
    }

    #[tokio::test]
    async fn what_is_old_goes_and_what_is_waited_for_stays() {
        let (store, _folder) = store().await;
        record_delivery(
            &store,
            message("1", "delivered"),
            DeliveryOutcome::Delivered,
        )
        .await;
        store
            .events()
            .append_events(vec![message("2", "waiting")])
            .await
            .unwrap();
        record_delivery(&store, message("3", "dead"), dead()).await;
        let of_session = NewEvent {
            message: None,
            kind: "session.status",
            ..message("4", "status")
        };
        record_delivery(&store, of_session, DeliveryOutcome::Delivered).await;
        sweep(&store, RETENTION, DAY * 29).await;
        assert_eq!(kept(&store).await.len(), 4);
        sweep(&store, RETENTION, DAY * 31).await;
        assert_eq!(
            kept(&store).await,
            [r#"{"n":"waiting"}"#, r#"{"n":"dead"}"#]
        );
        sweep(&store, RETENTION, DAY * 91).await;
        assert_eq!(kept(&store).await, [r#"{"n":"waiting"}"#]);
        let due = store
            .deliveries()
            .due_deliveries(Timestamp::MAX, 10)
            .await
            .unwrap();
        assert_eq!(due.len(), 1, "what waits is still delivered");
    }

    /// A time of day that is wrong as long as it is shifted.
    #[derive(Default, Clone)]
    struct Astray(std::sync::Arc<std::sync::atomic::AtomicI64>);

    impl crate::system::clock::TimeSource for Astray {
        fn now(&self) -> Timestamp {
            let off = self.0.load(std::sync::atomic::Ordering::Relaxed);
            Clock::system().now() + jiff::SignedDuration::from_secs(off)
        }

        fn uptime(&self) -> Duration {
            Duration::ZERO
        }

        fn sleep(&self, _: Duration) -> futures_util::future::BoxFuture<'static, ()> {
            Box::pin(async {})
        }
    }

    #[tokio::test]
    async fn an_event_from_the_future_does_not_keep_what_came_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let time = Astray::default();
        let store = Store::open(&folder.path().join("wapi.db"), Clock::new(time.clone()))
            .await
            .unwrap();
        store
            .webhooks()
            .save_endpoint("hook", "http://127.0.0.1/", &["message.received"])
            .await
            .unwrap();
        record_delivery(&store, message("1", "before"), DeliveryOutcome::Delivered).await;
        time.0
            .store(400 * 24 * 3_600, std::sync::atomic::Ordering::Relaxed);
        record_delivery(&store, message("2", "astray"), DeliveryOutcome::Delivered).await;
        time.0.store(0, std::sync::atomic::Ordering::Relaxed);
        record_delivery(&store, message("3", "after"), DeliveryOutcome::Delivered).await;
        sweep(&store, RETENTION, DAY * 31).await;
        assert_eq!(kept(&store).await, [r#"{"n":"astray"}"#]);
        sweep(&store, RETENTION, DAY * 432).await;
        assert_eq!(kept(&store).await, [""; 0]);
    }

    #[tokio::test]
    async fn a_message_that_comes_again_is_recognised_for_45_days_and_places_are_never_given_out_twice()
     {
        let (store, folder) = store().await;
        record_delivery(&store, message("1", "once"), DeliveryOutcome::Delivered).await;
        sweep(&store, RETENTION, DAY * 44).await;
        store
            .events()
            .append_events(vec![message("1", "again")])
            .await
            .unwrap();
        assert_eq!(
            store
                .deliveries()
                .due_deliveries(Timestamp::MAX, 10)
                .await
                .unwrap(),
            []
        );
        assert_eq!(kept(&store).await, [""; 0]);
        sweep(&store, RETENTION, DAY * 46).await;
        store.close().await;
        let store = Store::open(&folder.path().join("wapi.db"), Clock::system())
            .await
            .unwrap();
        let before = store.events().newest_position();
        assert!(before >= 1, "a reader's place outlives what it read");
        record_delivery(&store, message("1", "anew"), DeliveryOutcome::Delivered).await;
        assert!(store.events().newest_position() > before);
        assert_eq!(kept(&store).await, [r#"{"n":"anew"}"#]);
    }

    #[tokio::test]
    async fn a_database_that_is_too_large_loses_its_oldest_events_and_its_file_shrinks() {
        let (store, folder) = store().await;
        let file = folder.path().join("wapi.db");
        let large = |number: usize| message(&format!("{number:03}"), &"x".repeat(10_000));
        store
            .events()
            .append_events((0..600).map(large).collect())
            .await
            .unwrap();
        let settle = |due: crate::store::DueDelivery| {
            let settled = SettledDelivery {
                delivery: due.delivery,
                outcome: DeliveryOutcome::Delivered,
            };
            let store = &store;
            async move { store.deliveries().settle_delivery(settled).await.unwrap() }
        };
        let due = store
            .deliveries()
            .due_deliveries(Timestamp::MAX, 1_000)
            .await
            .unwrap();
        futures_util::future::join_all(due.into_iter().map(settle)).await;
        store
            .events()
            .append_events(vec![NewEvent {
                chat: "late".to_owned(),
                ..large(600)
            }])
            .await
            .unwrap();
        let before = store.database_size().await.unwrap().0;
        assert!(before > 6_000_000, "{before}");
        sweep(
            &store,
            RetentionPolicy {
                size: 3_000_000,
                ..RETENTION
            },
            Duration::from_secs(1),
        )
        .await;
        let (used, free) = store.database_size().await.unwrap();
        assert!(
            used <= 3_000_000 && free <= MAX_FREE_BYTES,
            "{used} and {free}"
        );
        assert!(kept(&store).await.len() > 100, "no more went than had to");
        store.close().await;
        let size = std::fs::metadata(&file).unwrap().len();
        assert!(
            size <= 3_000_000 + MAX_FREE_BYTES,
            "the file has {size} bytes"
        );
    }

    #[tokio::test]
    async fn a_large_history_takes_no_event_away() {
        let (store, _folder) = store().await;
        record_delivery(&store, message("1", "delivered"), DeliveryOutcome::Delivered).await;
        let text = |number: i64| NewHistoryMessage {
            chat: "375440000001@s.whatsapp.net".to_owned(),
            id: number.to_string(),
            from: None,
            at: Timestamp::from_second(number).unwrap(),
            // Each character has two bytes.
            message: Message::from_text("ў".repeat(5_000)),
            is_in_log: false,
            status: None,
            reactions: Vec::new(),
        };
        let import = HistoryImport {
            messages: (0..500).map(text).collect(),
            ..HistoryImport::default()
        };
        let (history, life) = (store.history(), Life::for_test(1, "shop"));
        history.import_history(&life, &import).await.unwrap();
        assert!(store.database_size().await.unwrap().0 > 5_000_000);
        let retention = RetentionPolicy {
            size: 1_000_000,
            ..RETENTION
        };
        sweep(&store, retention, DAY).await;
        assert_eq!(kept(&store).await, [r#"{"n":"delivered"}"#]);
    }

    #[tokio::test]
    async fn what_is_waited_for_stays_however_large_it_is() {
        let (store, _folder) = store().await;
        for number in 0..50 {
            store
                .events()
                .append_events(vec![message(&number.to_string(), &"x".repeat(10_000))])
                .await
                .unwrap();
        }
        sweep(
            &store,
            RetentionPolicy {
                size: 1,
                ..RETENTION
            },
            DAY,
        )
        .await;
        assert_eq!(kept(&store).await.len(), 50);
    }
}
