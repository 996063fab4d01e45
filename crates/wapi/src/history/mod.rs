//! The history: chats, contacts and messages in their current state, derived from events.
//!
//! Events are the source; this read model reads them again, off the path of messages, and stores
//! them in the shape that callers query. Nothing of it is held in memory.

mod former;
mod projection;
mod removal;
mod steps;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::event::Names;
use crate::lifecycle::Lifecycle;
use crate::store::kept::{Imports, Kept};
use crate::store::{Life, Store, StoreError};

/// Longest time that a caller waits for the read model to catch up.
const CATCHING_UP: Duration = Duration::from_secs(2);

/// Retention policy for the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Nothing is recorded.
    Off,
    /// Messages are kept for this long after they were written.
    For(Duration),
    Forever,
}

/// The history is off, so there is nothing to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no history is kept")]
pub struct IsOff;

/// Handle of the history; cheap to clone.
#[derive(Clone)]
pub struct History {
    inner: Arc<Inner>,
}

struct Inner {
    policy: Policy,
    /// Also present if the history is off but was on earlier: deleted sessions are deleted from it,
    /// too.
    kept: Option<Kept>,
    store: Store,
    clock: Clock,
    /// Sequence number of the last event that is recorded.
    progress: watch::Sender<i64>,
    /// Signals that a reader waits.
    hurry: Notify,
    /// Number of forgotten sessions.
    forgotten: AtomicU64,
}

impl History {
    /// Opens the database in this folder and starts to follow the events.
    pub async fn open(
        root: &Path,
        policy: Policy,
        store: Store,
        clock: Clock,
        lifecycle: &Lifecycle,
    ) -> Result<Self> {
        let file = root.join("history.db");
        let was_kept = tokio::fs::try_exists(&file)
            .await
            .context("looking for the history's database")?;
        let kept = match policy == Policy::Off && !was_kept {
            true => None,
            false => Some(Kept::open(&file).await?),
        };
        let inner = Inner {
            policy,
            kept,
            store,
            clock,
            progress: watch::Sender::default(),
            hurry: Notify::new(),
            forgotten: AtomicU64::new(0),
        };
        let history = Self {
            inner: Arc::new(inner),
        };
        if let Some(kept) = &history.inner.kept {
            former::settle(kept, &history.inner.store).await?;
        }
        if let Ok(kept) = history.kept() {
            let (done, newest) = (
                kept.progress().await?,
                history.inner.store.newest_event().await?,
            );
            // A database that knows later events was written beside another event log.
            let done = if done > newest {
                kept.start_over().await?
            } else {
                done
            };
            history.read_again(kept, done).await?;
            history.inner.store.hold_after(done);
            history.inner.progress.send_replace(done);
            lifecycle.spawn(history.clone().follow(lifecycle.clone()));
        }
        if history.inner.kept.is_some() {
            lifecycle.spawn(history.clone().keep_to_policy(lifecycle.clone()));
        }
        Ok(history)
    }

    /// Returns the retention time of messages; `None`: without limit.
    pub fn keeps_for(&self) -> Option<Duration> {
        if let Policy::For(age) = self.inner.policy {
            Some(age)
        } else {
            None
        }
    }

    /// Returns whether the history is recorded.
    pub fn is_on(&self) -> bool {
        self.kept().is_ok()
    }

    /// Returns the history with everything that has happened until now, or at least until a moment
    /// ago.
    pub async fn look(&self) -> Result<&Kept, IsOff> {
        let kept = self.kept()?;
        if let Ok(newest) = self.inner.store.newest_event().await {
            self.wait_until(newest).await;
        }
        Ok(kept)
    }

    /// Returns the last recorded names of a person.
    pub async fn names_of(&self, session: &Life, id: &str) -> Option<Names> {
        self.kept().ok()?.names_of(session, id).await.ok().flatten()
    }

    /// Imports a history sync. It creates no events, and repeating it changes nothing; data that is
    /// already there is newer and stays. Does nothing when the history is off.
    pub async fn import(&self, session: &Life, imports: &Imports) -> Result<(), StoreError> {
        let Ok(kept) = self.kept() else { return Ok(()) };
        // A phone may also send messages that have just arrived; these are not history and come as
        // events.
        self.wait_until(self.inner.store.newest_event().await?)
            .await;
        kept.import(session, imports).await
    }

    /// Returns how many sessions were forgotten in this run; caches of session data must be dropped
    /// when the number grows.
    pub fn forgotten(&self) -> u64 {
        self.inner.forgotten.load(Ordering::Relaxed)
    }

    /// Forgets all data of a deleted session, of every account it was linked to.
    pub async fn forget(&self, session: &str) -> Result<(), StoreError> {
        self.forget_lives(&self.inner.store.lives().of(session))
            .await
    }

    /// Forgets all data of these lives only.
    pub async fn forget_lives(&self, lives: &[Life]) -> Result<(), StoreError> {
        self.inner.forgotten.fetch_add(1, Ordering::Relaxed);
        let Some(kept) = &self.inner.kept else {
            return Ok(());
        };
        let newest = self.inner.store.newest_event().await?;
        for life in lives {
            kept.forget(life, newest).await?;
        }
        self.inner.hurry.notify_one();
        Ok(())
    }

    /// Closes the database. For the very end of the program.
    pub async fn close(&self) {
        if let Some(kept) = &self.inner.kept {
            kept.close().await;
        }
    }

    fn kept(&self) -> Result<&Kept, IsOff> {
        self.inner
            .kept
            .as_ref()
            .filter(|_| self.inner.policy != Policy::Off)
            .ok_or(IsOff)
    }

    /// Waits until event `seq` is recorded, but not for long: an answer that is a little behind is
    /// no worse than one to a question asked a little earlier.
    async fn wait_until(&self, seq: i64) {
        let mut progress = self.inner.progress.subscribe();
        if *progress.borrow_and_update() >= seq {
            return;
        }
        self.inner.hurry.notify_one();
        let _ = self
            .inner
            .clock
            .timeout(CATCHING_UP, progress.wait_for(|done| *done >= seq))
            .await;
    }
}

#[cfg(test)]
mod tests;
