//! The projection: follows the events in batches and records their changes.

use std::collections::BTreeSet;
use std::time::Duration;

use super::mutations::ReadEvent;
use super::{History, mutations};
use crate::store::EventFilter;
use crate::store::StoreError;
use crate::store::history::HistoryMutation;
use crate::system::lifecycle::Lifecycle;

/// Events read at a time, and so held in memory.
const AT_ONCE: usize = 250;
/// Time to gather more events before a batch is written: each changes the same pages as the one before.
/// A reader that waits cuts it short.
const GATHERING: Duration = Duration::from_secs(1);
/// Pause between two full batches, so that more urgent work gets its turn.
const PAUSE: Duration = Duration::from_millis(5);
/// Pause before a failed batch is tried again.
const REST: Duration = Duration::from_secs(1);

impl History {
    /// Follows the events until the program stops. The next start reads the rest.
    pub(super) async fn follow_events(self, lifecycle: Lifecycle) {
        let mut newest = self.inner.store.events().watch_newest();
        let wanted = EventFilter {
            types: mutations::TYPES.map(str::to_owned).to_vec(),
            ..EventFilter::default()
        };
        let working = async {
            loop {
                self.catch_up(&wanted).await;
                tokio::select! {
                    changed = newest.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        tokio::select! {
                            () = self.inner.clock.sleep(GATHERING) => {}
                            () = self.await_reader() => {}
                        }
                        newest.mark_unchanged();
                    }
                    () = self.inner.wake.notified() => {}
                }
            }
        };
        lifecycle.unless_stopping(working).await.unwrap_or(());
    }

    /// Reads until there are no more events.
    async fn catch_up(&self, wanted: &EventFilter) {
        let mut is_failing = false;
        loop {
            match self.read_batch(wanted).await {
                Ok(true) => self.inner.clock.sleep(PAUSE).await,
                Ok(false) => return,
                Err(error) => {
                    if !is_failing {
                        tracing::warn!(%error, "the history falls behind: failed to save events; trying again");
                    }
                    is_failing = true;
                    self.inner.clock.sleep(REST).await;
                }
            }
        }
    }

    /// Completes once a reader waits. A wake-up alone would not do: another wait may have taken it.
    async fn await_reader(&self) {
        if self.inner.progress.receiver_count() == 0 {
            self.inner.wake.notified().await;
        }
    }

    /// Reads one batch; returns whether there may be more.
    async fn read_batch(&self, wanted: &EventFilter) -> Result<bool, StoreError> {
        let done = *self.inner.progress.borrow();
        let (events, position, is_last) = self
            .inner
            .store
            .events()
            .read_events_after(done, wanted, AT_ONCE)
            .await?;
        if position == done {
            return Ok(false);
        }
        let events: Vec<ReadEvent> = events
            .iter()
            .filter_map(|event| ReadEvent::parse(event))
            .collect();
        let ours: BTreeSet<_> = events
            .iter()
            .filter_map(mutations::own_message_key)
            .collect();
        let mut sent = self
            .inner
            .store
            .events()
            .find_sent_contents(&Vec::from_iter(ours))
            .await?;
        let steps: Vec<HistoryMutation> = events
            .into_iter()
            .flat_map(|event| mutations::event_mutations(event, &mut sent))
            .collect();
        if !steps.is_empty() {
            let history = self.inner.store.history();
            let written = history.write_mutations(steps, position, self.await_reader());
            written.await?;
        }
        self.inner.store.events().hold_events_after(position);
        self.inner.progress.send_replace(position);
        Ok(!is_last)
    }
}
