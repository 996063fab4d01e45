//! Time of the last message that came in all the way: received, decrypted, and accepted.

use std::time::Duration;

use tokio::sync::watch;

/// The time, as uptime of the gateway's clock; `None` before the first.
#[derive(Default)]
pub(super) struct Heard(watch::Sender<Option<Duration>>);

impl Heard {
    pub fn note(&self, now: Duration) {
        self.0.send_replace(Some(now));
    }

    pub fn last(&self) -> Option<Duration> {
        *self.0.borrow()
    }

    /// Completes when a message has come in at this time or later.
    pub async fn since(&self, moment: Duration) {
        let mut moments = self.0.subscribe();
        // This struct owns the sender, so waiting cannot fail.
        let _ = moments
            .wait_for(|last| last.is_some_and(|last| last >= moment))
            .await;
    }
}
