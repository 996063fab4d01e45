//! Sessions that cannot save their keys, and the reasons, for the health check.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Failures of all sessions; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Troubles(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Reasons by the number of a session's link.
    reasons: Mutex<BTreeMap<u64, String>>,
    links: AtomicU64,
}

/// Failure of one link; cleared when dropped.
pub(super) struct Trouble {
    all: Troubles,
    link: u64,
}

impl Troubles {
    /// Creates an entry for one link.
    pub fn of_a_link(&self) -> Trouble {
        Trouble {
            all: self.clone(),
            link: self.0.links.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Returns a reason and the number of sessions with a failure. A health check need not know
    /// which.
    pub fn worst(&self) -> Option<String> {
        let reasons = self.reasons();
        let reason = reasons.values().next()?;
        Some(match reasons.len() {
            1 => format!("{reason} (one session)"),
            count => format!("{reason} ({count} sessions)"),
        })
    }

    fn reasons(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.0
            .reasons
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trouble {
    pub fn begins(&self, reason: &str) {
        self.all.reasons().insert(self.link, reason.to_owned());
    }

    pub fn ends(&self) {
        self.all.reasons().remove(&self.link);
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        self.ends();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_until_it_ends_or_its_link_does() {
        let troubles = Troubles::default();
        let (one, other) = (troubles.of_a_link(), troubles.of_a_link());
        assert_eq!(troubles.worst(), None);
        one.begins("it is slow");
        other.begins("it is full");
        assert_eq!(troubles.worst().as_deref(), Some("it is slow (2 sessions)"));
        one.ends();
        assert_eq!(
            troubles.worst().as_deref(),
            Some("it is full (one session)")
        );
        drop(other);
        assert_eq!(troubles.worst(), None);
    }
}
