//! Recent events in memory, for readers that are up to date: each commit is read once for all of
//! them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use sqlx::sqlite::SqlitePool;
use tokio::sync::watch;

use super::feed::{self, EventFilter, StoredEvent};
use crate::store::lives::registry::LifeRegistry;
use crate::store::{StoreError, stopping_error};
use crate::system::lifecycle::Lifecycle;

/// The most events kept.
const MAX_EVENTS: usize = 1_000;
/// The size limit of the events in bytes; a single larger event still fits.
const MAX_BYTES: usize = 4 * 1024 * 1024;

pub(in crate::store) struct RecentEvents {
    buffer: Mutex<EventBuffer>,
    readers: Arc<AtomicUsize>,
    /// Readers that wait for a commit at this moment.
    waiting: Arc<AtomicUsize>,
    /// Notifies readers after the newest commit was read.
    commit_signal: watch::Sender<()>,
}

/// All events after `from` and up to `newest_position`.
#[derive(Default)]
struct EventBuffer {
    events: VecDeque<Arc<StoredEvent>>,
    bytes: usize,
    from: i64,
    newest: i64,
    /// Set while there are commits that were not read: nobody waited for them.
    is_behind: bool,
}

impl EventBuffer {
    /// Drops everything: readers then use the database.
    fn reset(&mut self, at: i64) {
        *self = Self {
            from: at,
            newest: at,
            ..Self::default()
        };
    }

    fn push(&mut self, saved: StoredEvent) {
        self.bytes += saved.body.len();
        self.events.push_back(Arc::new(saved));
        while self.events.len() > MAX_EVENTS || (self.bytes > MAX_BYTES && self.events.len() > 1) {
            let Some(oldest) = self.events.pop_front() else {
                break;
            };
            self.bytes -= oldest.body.len();
            self.from = oldest.seq;
        }
    }
}

/// A registered reader; counted until it is dropped.
pub(in crate::store) struct FeedWaiter {
    commit_signal: watch::Receiver<()>,
    readers: Arc<AtomicUsize>,
    waiting: Arc<AtomicUsize>,
}

/// Counts a reader for as long as it waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn count(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl FeedWaiter {
    /// Completes once something was saved since the last call.
    pub async fn wait_for_commit(&mut self) -> Result<(), StoreError> {
        let _waiting = Waiting::count(&self.waiting);
        self.commit_signal
            .changed()
            .await
            .map_err(|_| stopping_error())
    }

    /// Makes the next wait return at once.
    pub fn mark_changed(&mut self) {
        self.commit_signal.mark_changed();
    }
}

impl Drop for FeedWaiter {
    fn drop(&mut self) {
        self.readers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl RecentEvents {
    /// Follows `watch_commits` while there are readers.
    pub fn start(
        chores: SqlitePool,
        lives: Arc<LifeRegistry>,
        commits: watch::Receiver<()>,
        lifecycle: &Lifecycle,
    ) -> Arc<Self> {
        let tail = Arc::new(Self {
            buffer: Mutex::default(),
            readers: Arc::default(),
            waiting: Arc::default(),
            commit_signal: watch::Sender::new(()),
        });
        lifecycle.spawn(Arc::clone(&tail).run(chores, lives, commits, lifecycle.clone()));
        tail
    }

    async fn run(
        self: Arc<Self>,
        chores: SqlitePool,
        lives: Arc<LifeRegistry>,
        mut commits: watch::Receiver<()>,
        lifecycle: Lifecycle,
    ) {
        while let Some(Ok(())) = lifecycle.unless_stopping(commits.changed()).await {
            // A new reader starts with the database.
            if self.count_readers() == 0 {
                continue;
            }
            // Readers that are busy, or rest, go on with the database. Under load a page that shows a part of
            // the events never waits, and must not make the gateway read all of them.
            if self.waiting.load(Ordering::SeqCst) == 0 {
                self.buffer.lock().is_behind = true;
            } else if let Err(error) = self.read_commits(&chores, &lives).await {
                tracing::warn!(%error, "failed to read the newest events ahead");
                self.buffer.lock().reset(i64::MAX);
            }
            self.commit_signal.send_replace(());
        }
    }

    async fn read_commits(
        &self,
        chores: &SqlitePool,
        lives: &LifeRegistry,
    ) -> Result<(), sqlx::Error> {
        let (newest, known) = (
            feed::newest_position(chores).await?,
            self.buffer.lock().newest,
        );
        // Readers that far behind use the database.
        let is_far = known > newest || newest - known > MAX_EVENTS as i64;
        let mut position = if is_far {
            newest - MAX_EVENTS as i64
        } else {
            known
        };
        if is_far {
            self.buffer.lock().reset(position);
        }
        let mut connection = chores.acquire().await?;
        while position < newest {
            let page = feed::read_page_after(
                &mut connection,
                position,
                &EventFilter::default(),
                lives,
                2 * MAX_EVENTS,
            )
            .await?;
            position = page.upto;
            let mut recent = self.buffer.lock();
            page.events.into_iter().for_each(|event| recent.push(event));
            recent.newest = position;
        }
        self.buffer.lock().is_behind = false;
        Ok(())
    }

    /// Returns up to `limit` events after a position, and the newest position; `None` if older
    /// events are needed.
    pub fn find_events_after(
        &self,
        seq: i64,
        wanted: &EventFilter,
        lives: &LifeRegistry,
        limit: usize,
    ) -> Option<(Vec<Arc<StoredEvent>>, i64)> {
        let recent = self.buffer.lock();
        if recent.is_behind || seq < recent.from {
            return None;
        }
        let start = recent.events.partition_point(|event| event.seq <= seq);
        let shown = wanted.resolve_lives(lives);
        let events = recent
            .events
            .range(start..)
            .filter(|event| shown.is_match(event, lives));
        Some((events.take(limit).cloned().collect(), recent.newest))
    }

    pub fn register_reader(&self) -> FeedWaiter {
        self.readers.fetch_add(1, Ordering::SeqCst);
        FeedWaiter {
            commit_signal: self.commit_signal.subscribe(),
            readers: Arc::clone(&self.readers),
            waiting: Arc::clone(&self.waiting),
        }
    }

    pub fn count_readers(&self) -> usize {
        self.readers.load(Ordering::SeqCst)
    }
}
