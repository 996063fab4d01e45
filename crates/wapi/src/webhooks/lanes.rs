//! One queue for each chat, so that order is kept within a chat and no chat waits for another.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

use crate::event::Event;

/// Session and chat.
pub(super) type Lane = (String, String);
/// An event and the room it takes.
pub(super) type Queued = (Event, OwnedSemaphorePermit);

/// The queues that are not empty, or whose last event is being delivered.
#[derive(Default)]
pub(super) struct Lanes(Mutex<HashMap<Lane, VecDeque<Queued>>>);

impl Lanes {
    /// Adds to a lane; whether nobody works on it yet.
    pub fn push(&self, lane: Lane, event: Queued) -> bool {
        let mut lanes = self.lock();
        let is_new = !lanes.contains_key(&lane);
        lanes.entry(lane).or_default().push_back(event);
        is_new
    }

    /// The next of a lane. `None` ends the lane and with it the work on it.
    pub fn pop(&self, lane: &Lane) -> Option<Queued> {
        let mut lanes = self.lock();
        let next = lanes.get_mut(lane)?.pop_front();
        if next.is_none() {
            lanes.remove(lane);
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Lane, VecDeque<Queued>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
