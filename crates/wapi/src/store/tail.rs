//! Recent events in memory, for readers that are up to date: each commit is read once for all of
//! them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::sqlite::SqlitePool;
use tokio::sync::watch;

use super::feed::{self, Saved, Wanted};
use super::lives::Lives;
use super::{StoreError, ended};
use crate::lifecycle::Lifecycle;

/// The most events kept.
const MOST: usize = 1_000;
/// The size limit of the events in bytes; a single larger event still fits.
const MOST_BYTES: usize = 4 * 1024 * 1024;

pub(super) struct Tail {
    recent: Mutex<Recent>,
    readers: Arc<AtomicUsize>,
    /// Notifies readers after the newest commit was read.
    bell: watch::Sender<()>,
}

/// All events after `from` and up to `newest`.
#[derive(Default)]
struct Recent {
    events: VecDeque<Arc<Saved>>,
    bytes: usize,
    from: i64,
    newest: i64,
}

impl Recent {
    /// Drops everything: readers then use the database.
    fn restart(&mut self, at: i64) {
        *self = Self {
            from: at,
            newest: at,
            ..Self::default()
        };
    }

    fn push(&mut self, saved: Saved) {
        self.bytes += saved.body.len();
        self.events.push_back(Arc::new(saved));
        while self.events.len() > MOST || (self.bytes > MOST_BYTES && self.events.len() > 1) {
            let Some(oldest) = self.events.pop_front() else {
                break;
            };
            self.bytes -= oldest.body.len();
            self.from = oldest.seq;
        }
    }
}

/// A registered reader; counted until it is dropped.
pub(super) struct Waiting {
    bell: watch::Receiver<()>,
    readers: Arc<AtomicUsize>,
}

impl Waiting {
    /// Completes once something was saved since the last call.
    pub async fn changed(&mut self) -> Result<(), StoreError> {
        self.bell.changed().await.map_err(|_| ended())
    }

    /// Makes the next wait return at once.
    pub fn look_again(&mut self) {
        self.bell.mark_changed();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.readers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Tail {
    /// Follows `commits` while there are readers.
    pub fn start(
        chores: SqlitePool,
        lives: Arc<Lives>,
        commits: watch::Receiver<()>,
        lifecycle: &Lifecycle,
    ) -> Arc<Self> {
        let (readers, bell) = (Arc::default(), watch::Sender::new(()));
        let tail = Arc::new(Self {
            recent: Mutex::default(),
            readers,
            bell,
        });
        lifecycle.spawn(Arc::clone(&tail).run(chores, lives, commits, lifecycle.clone()));
        tail
    }

    async fn run(
        self: Arc<Self>,
        chores: SqlitePool,
        lives: Arc<Lives>,
        mut commits: watch::Receiver<()>,
        lifecycle: Lifecycle,
    ) {
        while let Some(Ok(())) = lifecycle.unless_stopping(commits.changed()).await {
            // A new reader starts with the database.
            if self.readers() == 0 {
                continue;
            }
            if let Err(error) = self.read(&chores, &lives).await {
                tracing::warn!(%error, "the newest events cannot be read ahead");
                self.lock().restart(i64::MAX);
            }
            self.bell.send_replace(());
        }
    }

    async fn read(&self, chores: &SqlitePool, lives: &Lives) -> Result<(), sqlx::Error> {
        let (newest, known) = (feed::newest(chores).await?, self.lock().newest);
        // Readers that far behind use the database.
        let is_far = known > newest || newest - known > MOST as i64;
        let mut place = if is_far { newest - MOST as i64 } else { known };
        if is_far {
            self.lock().restart(place);
        }
        let mut connection = chores.acquire().await?;
        while place < newest {
            let page =
                feed::after(&mut connection, place, &Wanted::default(), lives, 2 * MOST).await?;
            place = page.upto;
            let mut recent = self.lock();
            page.events.into_iter().for_each(|event| recent.push(event));
            recent.newest = place;
        }
        Ok(())
    }

    /// Returns up to `limit` events after a position, and the newest position; `None` if older
    /// events are needed.
    pub fn after(
        &self,
        seq: i64,
        wanted: &Wanted,
        lives: &Lives,
        limit: usize,
    ) -> Option<(Vec<Arc<Saved>>, i64)> {
        let recent = self.lock();
        if seq < recent.from {
            return None;
        }
        let start = recent.events.partition_point(|event| event.seq <= seq);
        let shown = wanted.now(lives);
        let events = recent
            .events
            .range(start..)
            .filter(|event| shown.takes(event, lives));
        Some((events.take(limit).cloned().collect(), recent.newest))
    }

    pub fn wait(&self) -> Waiting {
        self.readers.fetch_add(1, Ordering::SeqCst);
        Waiting {
            bell: self.bell.subscribe(),
            readers: Arc::clone(&self.readers),
        }
    }

    pub fn readers(&self) -> usize {
        self.readers.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
