//! Media cleanup: removes old files, and the oldest ones when there are too many.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use super::Media;

/// Interval between two cleanups.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(600);
/// Files per step.
const STEP_SIZE: u32 = 100;
/// Leftovers per round, and the failures after which the rest waits for the next round.
const MAX_LEFTOVERS: u32 = 1000;
const MAX_FAILURES: usize = 3;
/// Minimum time for which removed files are remembered: a message that WhatsApp delivers again
/// brings its file again.
const MIN_REMEMBERED: Duration = Duration::from_secs(45 * 24 * 3600);

/// Enforces the policy until the program stops.
pub async fn run_media_cleanup(media: Media) {
    let (clock, lifecycle) = (media.inner.clock.clone(), media.inner.lifecycle.clone());
    while lifecycle
        .unless_stopping(clock.sleep(CLEANUP_INTERVAL))
        .await
        .is_some()
    {
        if let Some(Err(error)) = lifecycle
            .unless_stopping(media.remove_expired(clock.now()))
            .await
        {
            tracing::warn!(
                error = format!("{error:#}"),
                "failed to remove old files; trying again later"
            );
        }
    }
}

impl Media {
    /// Removes expired files. Files of undelivered events and unsent messages stay, whatever their
    /// age and size.
    pub(super) async fn remove_expired(&self, now: Timestamp) -> Result<()> {
        let policy = self.inner.policy;
        let before = |age: Duration| now.checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH);
        self.remove_leftovers().await?;
        let mut removed = 0;
        while self
            .remove_old_files(before(policy.keep_for), STEP_SIZE, &mut removed)
            .await?
        {}
        while self.inner.store.media().media_size().await? > policy.keep_size {
            // Few at a time, to remove no more than necessary.
            if !self
                .remove_old_files(now, STEP_SIZE / 20, &mut removed)
                .await?
            {
                tracing::warn!(
                    limit = policy.keep_size,
                    "the files exceed the size limit, but pending messages need them"
                );
                break;
            }
        }
        if removed > 0 {
            tracing::info!(removed, "removed old files");
        }
        while self
            .inner
            .store
            .media()
            .delete_media_records(before(policy.keep_for.max(MIN_REMEMBERED)), STEP_SIZE)
            .await?
            > 0
        {}
        Ok(())
    }

    /// Removes unreferenced content now, without waiting for the next round.
    pub async fn remove_leftovers_now(&self) {
        if let Err(error) = self.remove_leftovers().await {
            tracing::warn!(
                error = format!("{error:#}"),
                "failed to remove unreferenced files; trying again later"
            );
        }
    }

    /// Removes content whose earlier removal failed, unless it has come in again.
    async fn remove_leftovers(&self) -> Result<()> {
        let mut failures = 0;
        for sha256 in self
            .inner
            .store
            .media()
            .find_media_leftovers(MAX_LEFTOVERS)
            .await?
        {
            let _placing = self.inner.placing.write().await;
            if let Err(error) = self.drop_content(&sha256).await {
                failures += 1;
                tracing::warn!(
                    error = format!("{error:#}"),
                    "failed again to remove an unreferenced file"
                );
                if failures == MAX_FAILURES {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Removes up to `step` files older than a time. Returns whether there were any.
    async fn remove_old_files(
        &self,
        before: Timestamp,
        step: u32,
        removed: &mut u64,
    ) -> Result<bool> {
        let old = self
            .inner
            .store
            .media()
            .find_expired_media(before, step)
            .await?;
        for (id, sha256) in &old {
            let _placing = self.inner.placing.write().await;
            self.inner.store.media().mark_media_removed(id).await?;
            self.drop_content(sha256).await?;
            *removed += 1;
        }
        Ok(!old.is_empty())
    }
}
