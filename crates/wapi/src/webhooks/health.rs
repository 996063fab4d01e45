//! When each endpoint last took something: tells a broken endpoint from a poisoned event. Pure.

use std::collections::HashMap;

use jiff::Timestamp;

/// The last success of each endpoint since the program started.
#[derive(Default)]
pub(super) struct Health {
    last_success: HashMap<String, Timestamp>,
}

impl Health {
    pub fn succeeded(&mut self, endpoint: &str, now: Timestamp) {
        self.last_success.insert(endpoint.to_owned(), now);
    }

    /// Whether the endpoint took anything at this time or later.
    pub fn has_worked_since(&self, endpoint: &str, since: Timestamp) -> bool {
        self.last_success.get(endpoint).is_some_and(|last| *last >= since)
    }
}
