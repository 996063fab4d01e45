//! The pace of a session in its sender: the messages that count are read from the store.

use jiff::Timestamp;

use super::super::outbox::COUNTED;
use super::{MessageSender, RETRY_PAUSE};
use crate::model::send_hold::Pacing;

impl MessageSender {
    /// Applies the session's pace. Messages that left before count.
    pub(super) async fn take_pacing(&mut self, pacing: Pacing) {
        self.outbox.set_pacing(pacing);
        self.load_departures().await;
        self.watch_writers();
    }

    /// Counts the messages of the day anew, if that failed a while ago.
    pub(super) async fn load_departures_if_due(&mut self) {
        let uptime = self.deps.clock.uptime();
        if self.departures_due.is_some_and(|due| due <= uptime) {
            Box::pin(self.load_departures()).await;
        }
    }

    async fn load_departures(&mut self) {
        self.departures_due = None;
        let pacing = self.session.pacing();
        if !pacing.delays() {
            return;
        }
        let now = self.deps.clock.now();
        let since = now.saturating_sub(COUNTED).unwrap_or(Timestamp::MIN);
        let counts_new_chats = pacing.new_chats_per_day.is_some();
        let (outbox, life) = (self.deps.store.outbox(), self.session.life());
        match outbox
            .departures_since(&life, since, counts_new_chats)
            .await
        {
            Ok(found) => self.outbox.load_departures(found, self.outbox_clock()),
            Err(error) => {
                tracing::warn!(session = %self.session.name, %error, "failed to count the messages of the day; they wait");
                self.departures_due = Some(self.deps.clock.uptime() + RETRY_PAUSE);
            }
        }
    }
}
