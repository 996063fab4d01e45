//! Time of the last message that came in all the way: received, decrypted, and accepted.

use std::time::Duration;

use tokio::sync::watch;

/// The time, as uptime of the gateway's clock; `None` before the first.
#[derive(Default)]
pub(in crate::whatsapp) struct LastInbound(watch::Sender<Option<Duration>>);

impl LastInbound {
    pub fn record_time(&self, now: Duration) {
        self.0.send_replace(Some(now));
    }

    pub fn last_time(&self) -> Option<Duration> {
        *self.0.borrow()
    }

    /// Completes when a message has come in at this time or later.
    pub async fn wait_since(&self, moment: Duration) {
        let mut moments = self.0.subscribe();
        // This struct owns the sender, so waiting cannot fail.
        let _ = moments
            .wait_for(|last| last.is_some_and(|last| last >= moment))
            .await;
    }
}
