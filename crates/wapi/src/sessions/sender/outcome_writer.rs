//! Outcome writer: saves the outcomes and receipts of sent messages in batches, together with their
//! events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};

use crate::inbound::identity;
use crate::store::{MessageOutcome, OutcomeBatch, Receipt, SendOutcome, Store};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;

/// Maximum number of entries per transaction.
const BATCH_SIZE: usize = 256;
/// Maximum number of receipts waiting to be written. Receipts are delivered at most once anyway,
/// and a full disk must not fill the memory, too.
const MAX_WAITING_RECEIPTS: usize = 50_000;
/// Pause between two attempts to write.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A handle; cheap to clone.
#[derive(Clone)]
pub(in crate::sessions) struct OutcomeWriter {
    entries: mpsc::UnboundedSender<OutcomeEntry>,
    receipts: Arc<AtomicUsize>,
}

enum OutcomeEntry {
    /// An outcome, with the waiters to notify once it is on disk.
    Outcome(MessageOutcome, Vec<oneshot::Sender<SendOutcome>>),
    Receipt(Receipt),
    /// Notified once all earlier entries are on disk.
    Drain(oneshot::Sender<()>),
}

impl OutcomeWriter {
    /// Starts the writer task.
    pub fn start(store: Store, clock: Clock, lifecycle: &Lifecycle) -> Self {
        let (entries, incoming) = mpsc::unbounded_channel();
        let receipts = Arc::<AtomicUsize>::default();
        let task = OutcomeWriterTask {
            store,
            clock,
            lifecycle: lifecycle.clone(),
            receipts: Arc::clone(&receipts),
        };
        lifecycle.spawn(task.run(incoming));
        Self { entries, receipts }
    }

    /// Saves an outcome, then notifies its waiters. An outcome that cannot be written before the
    /// program ends is recovered by the next run, which asks WhatsApp again.
    pub fn record_outcome(
        &self,
        settled: MessageOutcome,
        waiting: Vec<oneshot::Sender<SendOutcome>>,
    ) {
        let _ = self.entries.send(OutcomeEntry::Outcome(settled, waiting));
    }

    /// Saves a receipt, unless too many are waiting.
    pub fn record_receipt(&self, receipt: Receipt) {
        if self.receipts.fetch_add(1, Ordering::Relaxed) < MAX_WAITING_RECEIPTS {
            let _ = self.entries.send(OutcomeEntry::Receipt(receipt));
        } else {
            self.receipts.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Completes when all entries so far are on disk, or the program ends.
    pub async fn wait_until_drained(&self) {
        let (done, drained) = oneshot::channel();
        if self.entries.send(OutcomeEntry::Drain(done)).is_ok() {
            // A dropped sender means that the program is ending.
            let _ = drained.await;
        }
    }
}

struct OutcomeWriterTask {
    store: Store,
    clock: Clock,
    lifecycle: Lifecycle,
    receipts: Arc<AtomicUsize>,
}

impl OutcomeWriterTask {
    async fn run(self, mut incoming: mpsc::UnboundedReceiver<OutcomeEntry>) {
        let mut entries = Vec::with_capacity(BATCH_SIZE);
        loop {
            tokio::select! {
                biased;
                _ = incoming.recv_many(&mut entries, BATCH_SIZE) => self.write_batch(&mut entries).await,
                // Entries received before the end are written.
                () = self.lifecycle.await_stop() => break,
            }
        }
    }

    /// Resolves the recipient to their stable id; in a chat of two it is the chat's.
    async fn resolve_recipient(&self, receipt: &mut Receipt) {
        if !receipt.is_one_of_many {
            return;
        }
        if let Err(error) =
            identity::resolve_mentioned(&self.store, &receipt.session, &mut receipt.from).await
        {
            tracing::debug!(%error, "failed to look up the identity of a recipient");
        }
    }

    async fn write_batch(&self, entries: &mut Vec<OutcomeEntry>) {
        let (mut outcomes, mut waiting, mut drained) =
            (OutcomeBatch::default(), Vec::new(), Vec::new());
        for entry in entries.drain(..) {
            match entry {
                OutcomeEntry::Outcome(settled, waiters) => {
                    waiting.extend(
                        waiters
                            .into_iter()
                            .map(|waiter| (waiter, settled.outcome.clone())),
                    );
                    outcomes.outcomes.push(settled);
                }
                OutcomeEntry::Receipt(receipt) => outcomes.receipts.push(receipt),
                OutcomeEntry::Drain(done) => drained.push(done),
            }
        }
        // Concurrently, since unknown recipients have to be written to the database.
        join_all(
            outcomes
                .receipts
                .iter_mut()
                .map(|receipt| self.resolve_recipient(receipt)),
        )
        .await;
        self.receipts
            .fetch_sub(outcomes.receipts.len(), Ordering::Relaxed);
        while let Err(error) = self.store.outbox().record_outcomes(outcomes.clone()).await {
            tracing::debug!(%error, "failed to save the outcomes of messages; trying again");
            if self
                .lifecycle
                .unless_stopping(self.clock.sleep(RETRY_PAUSE))
                .await
                .is_none()
            {
                return;
            }
        }
        for done in drained {
            // The waiter may have given up.
            let _ = done.send(());
        }
        for (waiter, outcome) in waiting {
            // The waiter may have given up.
            let _ = waiter.send(outcome);
        }
    }
}
