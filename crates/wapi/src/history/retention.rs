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
            if !self.is_enabled() {
                // Whoever has turned it off by mistake has a moment to turn it on again.
                self.inner.clock.sleep(EVERY).await;
            }
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
        let kept = self.inner.store.history();
        let mut removed = false;
        while kept.remove_forgotten(WINDOW).await? > 0 {
            removed = true;
            self.inner.clock.sleep(PAUSE).await;
        }
        Ok(removed)
    }

    pub(super) async fn remove_expired(&self, now: Timestamp) -> Result<(), StoreError> {
        let kept = self.inner.store.history();
        match self.inner.policy {
            HistoryPolicy::Off => kept.forget_all().await?,
            HistoryPolicy::For(age) => {
                let before = now.checked_sub(age).unwrap_or(Timestamp::MIN);
                while kept.remove_before(before, WINDOW).await? > 0 {
                    self.inner.clock.sleep(PAUSE).await;
                }
            }
            HistoryPolicy::Forever => {}
        }
        self.remove_forgotten().await.map(drop)
    }
}
