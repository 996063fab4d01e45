//! Sessions that cannot save their keys, and the reasons, for the health check.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

/// Failures of all sessions; cheap to clone.
#[derive(Clone, Default)]
pub(in crate::whatsapp) struct WriteFailures(Arc<FailureRegistry>);

#[derive(Default)]
struct FailureRegistry {
    /// Reasons by the number of a session's link.
    reasons: Mutex<BTreeMap<u64, String>>,
    links: AtomicU64,
}

/// Failure of one link; cleared when dropped.
pub(in crate::whatsapp) struct LinkFailure {
    all: WriteFailures,
    link: u64,
}

impl WriteFailures {
    /// Creates an entry for one link.
    pub fn register_link(&self) -> LinkFailure {
        LinkFailure {
            all: self.clone(),
            link: self.0.links.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Returns a reason and the number of sessions with a failure. A health check need not know
    /// which.
    pub fn describe_failures(&self) -> Option<String> {
        let reasons = self.lock_reasons();
        let reason = reasons.values().next()?;
        Some(match reasons.len() {
            1 => format!("{reason} (one session)"),
            count => format!("{reason} ({count} sessions)"),
        })
    }

    fn lock_reasons(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.0.reasons.lock()
    }
}

impl LinkFailure {
    pub fn set_failure(&self, reason: &str) {
        self.all.lock_reasons().insert(self.link, reason.to_owned());
    }

    pub fn clear_failure(&self) {
        self.all.lock_reasons().remove(&self.link);
    }
}

impl Drop for LinkFailure {
    fn drop(&mut self) {
        self.clear_failure();
    }
}

#[cfg(test)]
mod tests {
    use crate::whatsapp::device_store::write_failures::*;

    #[test]
    fn what_is_wrong_is_told_until_it_ends_or_its_link_does() {
        let troubles = WriteFailures::default();
        let (one, other) = (troubles.register_link(), troubles.register_link());
        assert_eq!(troubles.describe_failures(), None);
        one.set_failure("it is slow");
        other.set_failure("it is full");
        assert_eq!(
            troubles.describe_failures().as_deref(),
            Some("it is slow (2 sessions)")
        );
        one.clear_failure();
        assert_eq!(
            troubles.describe_failures().as_deref(),
            Some("it is full (one session)")
        );
        drop(other);
        assert_eq!(troubles.describe_failures(), None);
    }
}
