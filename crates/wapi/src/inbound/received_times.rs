//! Times of the last message received in each life of a session, and the chats of new ones for those
//! who watch.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::store::Life;

/// Chats that may wait for their watcher. Of further ones it learns only that there were some.
const WRITERS_LIMIT: usize = 1_024;

/// A chat in which somebody writes, as its watcher learns of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrittenChat {
    One(String),
    /// There were too many to name them.
    Any,
}

/// The watch over the chats of a life.
#[derive(Debug)]
pub struct WriterWatch {
    chats: mpsc::Receiver<String>,
    has_missed: Arc<AtomicBool>,
}

impl WriterWatch {
    /// Waits for the next chat; `None` once another watch has replaced this one.
    pub async fn next_chat(&mut self) -> Option<WrittenChat> {
        if self.has_missed.swap(false, Ordering::Relaxed) {
            return Some(WrittenChat::Any);
        }
        self.chats.recv().await.map(WrittenChat::One)
    }
}

/// The other end of a watch.
#[derive(Debug)]
struct WriterReports {
    chats: mpsc::Sender<String>,
    has_missed: Arc<AtomicBool>,
}

/// The times, by life id.
#[derive(Debug, Default)]
pub struct ReceivedTimes {
    times: Mutex<HashMap<i64, Timestamp>>,
    writers: Mutex<HashMap<i64, WriterReports>>,
}

impl ReceivedTimes {
    /// Returns the time of the last received message, in this run or an earlier one.
    pub fn last_time(&self, life: &Life) -> Option<Timestamp> {
        self.times.lock().get(&life.id()).copied()
    }

    /// Adds the times of an earlier run, by life id.
    pub fn add_saved(&self, saved: impl IntoIterator<Item = (i64, Timestamp)>) {
        let mut times = self.times.lock();
        for (life, at) in saved {
            record_later(&mut times, life, at);
        }
    }

    /// Forgets the time of a life.
    pub fn forget_time(&self, life: &Life) {
        self.times.lock().remove(&life.id());
    }

    /// Returns the chats of the messages that a life receives from now on, until the receiver is
    /// dropped or replaced.
    pub fn watch_writers(&self, life: &Life) -> WriterWatch {
        let (sender, chats) = mpsc::channel(WRITERS_LIMIT);
        let has_missed = Arc::<AtomicBool>::default();
        let reports = WriterReports {
            chats: sender,
            has_missed: Arc::clone(&has_missed),
        };
        self.writers.lock().insert(life.id(), reports);
        WriterWatch { chats, has_missed }
    }

    /// Whether somebody watches the chats of a life.
    pub(super) fn has_watcher(&self, life: &Life) -> bool {
        self.writers.lock().contains_key(&life.id())
    }

    /// Reports the chats of new messages.
    pub(super) fn report_writers(&self, life: &Life, chats: Vec<String>) {
        let mut writers = self.writers.lock();
        let Some(watcher) = writers.get(&life.id()) else {
            return;
        };
        for chat in chats {
            // A full channel is read before long, and the flag with it.
            if watcher.chats.try_send(chat).is_err() {
                watcher.has_missed.store(true, Ordering::Relaxed);
            }
        }
        if watcher.chats.is_closed() {
            writers.remove(&life.id());
        }
    }

    pub(super) fn record_time(&self, life: &Life, at: Timestamp) {
        record_later(&mut self.times.lock(), life.id(), at);
    }
}

fn record_later(times: &mut HashMap<i64, Timestamp>, life: i64, at: Timestamp) {
    let last = times.entry(life).or_insert(at);
    *last = at.max(*last);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_crowd_that_writes_at_once_is_not_forgotten() {
        let (times, life) = (ReceivedTimes::default(), Life::for_test(1, "shop"));
        let mut watch = times.watch_writers(&life);
        let crowd = (0..=WRITERS_LIMIT).map(|number| number.to_string());
        times.report_writers(&life, crowd.collect());
        assert_eq!(watch.next_chat().await, Some(WrittenChat::Any));
        let first = WrittenChat::One("0".to_owned());
        assert_eq!(watch.next_chat().await, Some(first));
    }
}
