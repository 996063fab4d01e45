//! Recent events in memory, for readers that are up to date: the feed and the history. The writer adds
//! those of each commit.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::feed::{EventFilter, StoredEvent};
use crate::store::lives::registry::LifeRegistry;
use crate::store::{Life, StoreError, stopping_error};

/// The most events kept.
const MAX_EVENTS: usize = 1_000;
/// The size limit of the events in bytes; a single larger event still fits.
const MAX_BYTES: usize = 4 * 1024 * 1024;

pub(in crate::store) struct RecentEvents {
    buffer: Mutex<EventBuffer>,
    readers: Arc<AtomicUsize>,
    /// The position of the newest event.
    newest: watch::Sender<i64>,
}

/// All events after `from` and up to `newest`.
struct EventBuffer {
    events: VecDeque<Arc<StoredEvent>>,
    bytes: usize,
    from: i64,
    newest: i64,
}

impl EventBuffer {
    fn push(&mut self, saved: Arc<StoredEvent>) {
        self.bytes += saved.body.len();
        self.newest = saved.seq;
        self.events.push_back(saved);
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
    newest: watch::Receiver<i64>,
    readers: Arc<AtomicUsize>,
}

impl FeedWaiter {
    /// Completes once an event was saved since the last call.
    pub async fn wait_for_events(&mut self) -> Result<(), StoreError> {
        self.newest.changed().await.map_err(|_| stopping_error())
    }

    /// Makes the next wait return at once.
    pub fn mark_changed(&mut self) {
        self.newest.mark_changed();
    }
}

impl Drop for FeedWaiter {
    fn drop(&mut self) {
        self.readers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl RecentEvents {
    /// Begins after the newest event.
    pub fn new(newest: i64) -> Self {
        let buffer = EventBuffer {
            events: VecDeque::new(),
            bytes: 0,
            from: newest,
            newest,
        };
        Self {
            buffer: Mutex::new(buffer),
            readers: Arc::default(),
            newest: watch::Sender::new(newest),
        }
    }

    /// Adds the events of a commit, in order.
    pub fn push(&self, events: Vec<StoredEvent>) {
        let Some(newest) = events.last().map(|last| last.seq) else {
            return;
        };
        {
            let mut buffer = self.buffer.lock();
            let events = events.into_iter().map(Arc::new);
            events.for_each(|event| buffer.push(event));
        }
        self.newest.send_replace(newest);
    }

    /// Forgets the events of a life that is purged.
    pub fn forget_life(&self, life: &Life) {
        let mut buffer = self.buffer.lock();
        buffer
            .events
            .retain(|event| event.session.id() != life.id());
        buffer.bytes = buffer.events.iter().map(|event| event.body.len()).sum();
    }

    /// Returns the position of the newest event; 0 if there has never been one.
    pub fn newest_position(&self) -> i64 {
        *self.newest.borrow()
    }

    /// Returns a receiver of the position of the newest event.
    pub fn watch_newest(&self) -> watch::Receiver<i64> {
        self.newest.subscribe()
    }

    /// Returns up to `limit` events after a position, and the position up to which there are no
    /// others; `None` if older events are needed.
    pub fn find_events_after(
        &self,
        seq: i64,
        wanted: &EventFilter,
        lives: &LifeRegistry,
        limit: usize,
    ) -> Option<(Vec<Arc<StoredEvent>>, i64)> {
        let shown = wanted.resolve_lives(lives);
        let buffer = self.buffer.lock();
        if seq < buffer.from {
            return None;
        }
        let start = buffer.events.partition_point(|event| event.seq <= seq);
        let events = buffer
            .events
            .range(start..)
            .filter(|event| shown.is_match(event, lives));
        let events: Vec<_> = events.take(limit).cloned().collect();
        let upto = match events.last() {
            Some(last) if events.len() == limit => last.seq,
            _ => buffer.newest.max(seq),
        };
        Some((events, upto))
    }

    pub fn register_reader(&self) -> FeedWaiter {
        self.readers.fetch_add(1, Ordering::SeqCst);
        FeedWaiter {
            newest: self.newest.subscribe(),
            readers: Arc::clone(&self.readers),
        }
    }

    pub fn count_readers(&self) -> usize {
        self.readers.load(Ordering::SeqCst)
    }
}
