//! What this process remembers by itself: the last messages, up to a bound.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// WhatsApp repeats a message within minutes, if at all. So many take about 20 MiB and are hours of the busiest traffic.
const CAPACITY: usize = 100_000;

/// A set that forgets its oldest members when it is full.
pub(super) struct Memory {
    capacity: usize,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    known: HashSet<Arc<str>>,
    by_age: VecDeque<Arc<str>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::of(CAPACITY)
    }
}

impl Memory {
    fn of(capacity: usize) -> Self {
        Self { capacity, keys: Mutex::default() }
    }

    /// Whether the key was not there yet.
    pub fn insert(&self, key: &str) -> bool {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let key: Arc<str> = key.into();
        if !keys.known.insert(Arc::clone(&key)) {
            return false;
        }
        keys.by_age.push_back(key);
        if keys.by_age.len() > self.capacity
            && let Some(oldest) = keys.by_age.pop_front()
        {
            keys.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_new_once_and_the_oldest_is_forgotten_first() {
        let memory = Memory::of(2);
        assert!(memory.insert("a") && memory.insert("b"));
        assert!(!memory.insert("a"));
        assert!(memory.insert("c"));
        assert!(memory.insert("a"), "the oldest was not forgotten");
        assert!(!memory.insert("c"), "a newer one was forgotten");
    }
}
