//! The history: chats, contacts and messages in their current state, derived from events.
//!
//! Events are the source; this read model reads them again, off the path of messages, and stores
//! them in the shape that callers query. Nothing of it is held in memory.

mod mutations;
mod projection;
mod retention;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::sync::{Notify, watch};

use crate::config::HistoryPolicy;
use crate::model::event::PersonNames;
use crate::store::history::HistoryImport;
use crate::store::{HistoryStore, Life, Store, StoreError};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;

/// Longest time that a caller waits for the read model to catch up.
const CATCHING_UP: Duration = Duration::from_secs(2);

/// The history is off, so there is nothing to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the history is off")]
pub struct HistoryOffError;

/// Handle of the history; cheap to clone.
#[derive(Clone)]
pub struct History {
    inner: Arc<HistoryInner>,
}

struct HistoryInner {
    policy: HistoryPolicy,
    store: Store,
    clock: Clock,
    /// Sequence number of the last event that is recorded. Readers that wait have a receiver.
    progress: watch::Sender<i64>,
    /// Signals that a reader begins to wait.
    wake: Notify,
    /// Number of forgotten sessions.
    forgotten_count: AtomicU64,
}

impl History {
    /// Starts to follow the events, unless the history is off.
    pub async fn start(
        policy: HistoryPolicy,
        store: Store,
        clock: Clock,
        lifecycle: &Lifecycle,
    ) -> Result<Self> {
        let inner = HistoryInner {
            policy,
            store,
            clock,
            progress: watch::Sender::default(),
            wake: Notify::new(),
            forgotten_count: AtomicU64::new(0),
        };
        let history = Self {
            inner: Arc::new(inner),
        };
        if history.is_enabled() {
            let done = history.inner.store.history().processed_seq().await?;
            history.inner.store.events().hold_events_after(done);
            history.inner.progress.send_replace(done);
            lifecycle.spawn(history.clone().follow_events(lifecycle.clone()));
        }
        lifecycle.spawn(history.clone().run_cleanup(lifecycle.clone()));
        Ok(history)
    }

    /// Returns the retention time of messages; `None`: without limit.
    pub fn retention_time(&self) -> Option<Duration> {
        if let HistoryPolicy::For(age) = self.inner.policy {
            Some(age)
        } else {
            None
        }
    }

    /// Returns whether the history is recorded.
    pub fn is_enabled(&self) -> bool {
        self.inner.policy != HistoryPolicy::Off
    }

    /// Returns the history with everything that has happened until now, or at least until a moment
    /// ago.
    pub async fn current(&self) -> Result<HistoryStore<'_>, HistoryOffError> {
        let kept = self.if_enabled().ok_or(HistoryOffError)?;
        self.wait_for_seq(self.inner.store.events().newest_position())
            .await;
        Ok(kept)
    }

    /// Returns the last recorded names of a person.
    pub async fn find_names(&self, session: &Life, id: &str) -> Option<PersonNames> {
        let found = self.if_enabled()?.find_names(session, id).await;
        found.ok().flatten()
    }

    /// Returns the last recorded names of those of these people who are contacts, by id.
    pub async fn find_names_of(
        &self,
        session: &Life,
        ids: &[&str],
    ) -> HashMap<String, PersonNames> {
        let Some(kept) = self.if_enabled() else {
            return HashMap::new();
        };
        let found = kept.find_names_of(session, ids).await;
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, "failed to look up the names of people");
            HashMap::new()
        })
    }

    /// Imports a history sync. It creates no events, and repeating it changes nothing; data that is
    /// already there is newer and stays. Does nothing when the history is off.
    pub async fn import_history(
        &self,
        session: &Life,
        imports: &HistoryImport,
    ) -> Result<(), StoreError> {
        let Some(kept) = self.if_enabled() else {
            return Ok(());
        };
        // A phone may also send messages that have just arrived; these are not history and come as
        // events.
        self.wait_for_seq(self.inner.store.events().newest_position())
            .await;
        kept.import_history(session, imports).await
    }

    /// Returns how many sessions were forgotten in this run; caches of session data must be dropped
    /// when the number grows.
    pub fn forgotten_count(&self) -> u64 {
        self.inner.forgotten_count.load(Ordering::Relaxed)
    }

    /// Forgets all data of a deleted session, of every account it was linked to.
    pub async fn forget_session(&self, session: &str) -> Result<(), StoreError> {
        self.forget_lives(&self.inner.store.lives().lives_of(session))
            .await
    }

    /// Forgets all data of these lives only. Also when the history is off, for it may have been on
    /// until a moment ago.
    pub async fn forget_lives(&self, lives: &[Life]) -> Result<(), StoreError> {
        self.inner.forgotten_count.fetch_add(1, Ordering::Relaxed);
        self.inner.store.history().forget_lives(lives).await?;
        self.inner.wake.notify_one();
        Ok(())
    }

    fn if_enabled(&self) -> Option<HistoryStore<'_>> {
        self.is_enabled().then(|| self.inner.store.history())
    }

    /// Waits until event `seq` is recorded, but not for long: an answer that is a little behind is
    /// no worse than one to a question asked a little earlier.
    async fn wait_for_seq(&self, seq: i64) {
        let mut progress = self.inner.progress.subscribe();
        if *progress.borrow_and_update() >= seq {
            return;
        }
        self.inner.wake.notify_one();
        let _ = self
            .inner
            .clock
            .timeout(CATCHING_UP, progress.wait_for(|done| *done >= seq))
            .await;
    }
}

#[cfg(test)]
mod tests;
