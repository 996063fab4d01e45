//! Chats, contacts and messages as they are now, kept from what happens, for callers to look at.
//!
//! What happens is in the events; here it is read once more, off the way of messages, and written down in the shape in which it is
//! looked at. Nothing of it is in memory.

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

/// How long whoever looks waits for what has just happened.
const CATCHING_UP: Duration = Duration::from_secs(2);

/// What the operator decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Nothing is kept.
    Off,
    /// Messages are kept for so long after they were written.
    For(Duration),
    Forever,
}

/// History is off, so there is nothing to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no history is kept")]
pub struct IsOff;

/// A handle; cheap to clone.
#[derive(Clone)]
pub struct History {
    inner: Arc<Inner>,
}

struct Inner {
    policy: Policy,
    /// Also there if history is off and was not always: sessions that are deleted are deleted from it, too.
    kept: Option<Kept>,
    store: Store,
    clock: Clock,
    /// Up to which event everything is kept.
    progress: watch::Sender<i64>,
    /// Somebody waits for it.
    hurry: Notify,
    /// How many sessions were forgotten.
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
            // A database that knows of later events was kept beside another one.
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

    /// How long messages are kept; `None`: for ever.
    pub fn keeps_for(&self) -> Option<Duration> {
        if let Policy::For(age) = self.inner.policy {
            Some(age)
        } else {
            None
        }
    }

    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        self.kept().is_ok()
    }

    /// What is kept, with all that has happened until now; at the very least, until a moment ago.
    pub async fn look(&self) -> Result<&Kept, IsOff> {
        let kept = self.kept()?;
        if let Ok(newest) = self.inner.store.newest_event().await {
            self.wait_until(newest).await;
        }
        Ok(kept)
    }

    /// What somebody was called last, as far as it is written down already.
    pub async fn names_of(&self, session: &Life, id: &str) -> Option<Names> {
        self.kept().ok()?.names_of(session, id).await.ok().flatten()
    }

    /// Takes in what a phone tells of the time before. It becomes no event; doing it again changes nothing, and what is kept already
    /// stays, since it is newer. With history off, nothing happens.
    pub async fn import(&self, session: &Life, imports: &Imports) -> Result<(), StoreError> {
        let Ok(kept) = self.kept() else { return Ok(()) };
        // A phone may tell of what has just happened, too, and that is not of the time before.
        self.wait_until(self.inner.store.newest_event().await?)
            .await;
        kept.import(session, imports).await
    }

    /// How often sessions were forgotten in this run; whoever remembers something of sessions has to begin anew when there are more.
    pub fn forgotten(&self) -> u64 {
        self.inner.forgotten.load(Ordering::Relaxed)
    }

    /// Forgets everything of a session that was deleted, whatever accounts it was linked to.
    pub async fn forget(&self, session: &str) -> Result<(), StoreError> {
        self.forget_lives(&self.inner.store.lives().of(session))
            .await
    }

    /// The same of some lives alone.
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

    /// For the very end of the program.
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

    /// Not for long: who is far behind is no worse than who asks a little later.
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
