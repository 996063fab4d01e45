//! Cleanup of the history: expired messages, and the data of deleted sessions.

use std::time::Duration;

use jiff::Timestamp;

use super::History;
use crate::config::HistoryPolicy;
use crate::store::StoreError;
use crate::system::lifecycle::Lifecycle;

/// Interval between two checks for expired messages.
const EVERY: Duration = Duration::from_secs(600);
/// Messages removed in one step; this many keep the writer busy for some milliseconds.
const WINDOW: u32 = 300;
/// Pause between two steps.
const PAUSE: Duration = Duration::from_millis(20);

impl History {
    pub(super) async fn run_cleanup(self, lifecycle: Lifecycle) {
        let working = async {
            loop {
                if let Err(error) = self.remove_expired(self.inner.clock.now()).await {
                    tracing::warn!(%error, "failed to remove old messages from the history; trying again later");
                }
                self.inner.clock.sleep(EVERY).await;
            }
        };
        lifecycle.unless_stopping(working).await;
    }

    /// Removes the messages of forgotten sessions; returns whether there were any.
    pub async fn remove_forgotten(&self) -> Result<bool, StoreError> {
        let Some(kept) = &self.inner.db else {
            return Ok(false);
        };
        let mut removed = false;
        while kept.remove_forgotten(WINDOW).await? > 0 {
            removed = true;
            self.inner.clock.sleep(PAUSE).await;
        }
        Ok(removed)
    }

    pub(super) async fn remove_expired(&self, now: Timestamp) -> Result<(), StoreError> {
        let Some(kept) = &self.inner.db else {
            return Ok(());
        };
        let mut removed = self.remove_forgotten().await?;
        if let HistoryPolicy::For(age) = self.inner.policy {
            let before = now.checked_sub(age).unwrap_or(Timestamp::MIN);
            while kept.remove_before(before, WINDOW).await? > 0 {
                removed = true;
                self.inner.clock.sleep(PAUSE).await;
            }
        }
        if removed {
            kept.shrink_file().await?;
        }
        Ok(())
    }
}
