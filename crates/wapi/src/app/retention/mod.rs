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
mod tests;
