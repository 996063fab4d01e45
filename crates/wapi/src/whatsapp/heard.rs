//! When something last came in all the way: over the wire, opened, and taken over.

use std::time::Duration;

use tokio::sync::watch;

/// The moment, as uptime of the gateway's clock; `None` before the first.
#[derive(Default)]
pub(super) struct Heard(watch::Sender<Option<Duration>>);

impl Heard {
    pub fn note(&self, now: Duration) {
        self.0.send_replace(Some(now));
    }

    pub fn last(&self) -> Option<Duration> {
        *self.0.borrow()
    }

    /// Completes when something came in at this moment or later.
    pub async fn since(&self, moment: Duration) {
        let mut moments = self.0.subscribe();
        // The sender is in our hands.
        let _ = moments
            .wait_for(|last| last.is_some_and(|last| last >= moment))
            .await;
    }
}
