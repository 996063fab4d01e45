//! Held messages of a session, with the reason of each, for those who ask.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use crate::model::send_hold::SendHold;

/// The held messages, by id.
#[derive(Debug, Default)]
pub struct HeldMessages(Mutex<HashMap<String, SendHold>>);

impl HeldMessages {
    pub fn insert(&self, id: &str, hold: SendHold) {
        self.0.lock().insert(id.to_owned(), hold);
    }

    pub fn remove(&self, id: &str) {
        self.0.lock().remove(id);
    }

    /// Forgets all, at the start of a sender.
    pub fn clear(&self) {
        self.0.lock().clear();
    }

    /// Returns the reason why a message waits.
    pub fn get(&self, id: &str) -> Option<SendHold> {
        self.0.lock().get(id).copied()
    }

    /// Counts the messages by the reason.
    pub fn count_by_reason(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for hold in self.0.lock().values() {
            *counts.entry(hold.reason.into_str()).or_default() += 1;
        }
        counts
    }
}
