//! Outcome writer: saves the outcomes and receipts of sent messages in batches, together with their
//! events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::identity;
use crate::lifecycle::Lifecycle;
use crate::store::{Judged, Outcomes, Receipt, Store, Verdict};

/// Maximum number of entries per transaction.
const AT_ONCE: usize = 256;
/// Maximum number of receipts waiting to be written. Receipts are delivered at most once anyway,
/// and a full disk must not fill the memory, too.
const RECEIPTS: usize = 50_000;
/// Pause between two attempts to write.
const PAUSE: Duration = Duration::from_secs(1);

/// A handle; cheap to clone.
#[derive(Clone)]
pub(super) struct Ledger {
    entries: mpsc::UnboundedSender<Entry>,
    receipts: Arc<AtomicUsize>,
}

enum Entry {
    /// An outcome, with the waiters to notify once it is on disk.
    Judged(Judged, Vec<oneshot::Sender<Verdict>>),
    Receipt(Receipt),
    /// Notified once all earlier entries are on disk.
    Drain(oneshot::Sender<()>),
}

impl Ledger {
    /// Starts the writer task.
    pub fn start(store: Store, clock: Clock, lifecycle: &Lifecycle) -> Self {
        let (entries, incoming) = mpsc::unbounded_channel();
        let receipts = Arc::<AtomicUsize>::default();
        let task = Task {
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
    pub fn judge(&self, judged: Judged, waiting: Vec<oneshot::Sender<Verdict>>) {
        let _ = self.entries.send(Entry::Judged(judged, waiting));
    }

    /// Saves a receipt, unless too many are waiting.
    pub fn receipt(&self, receipt: Receipt) {
        if self.receipts.fetch_add(1, Ordering::Relaxed) < RECEIPTS {
            let _ = self.entries.send(Entry::Receipt(receipt));
        } else {
            self.receipts.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Completes when all entries so far are on disk, or the program ends.
    pub async fn drained(&self) {
        let (done, drained) = oneshot::channel();
        if self.entries.send(Entry::Drain(done)).is_ok() {
            // A dropped sender means that the program is ending.
            let _ = drained.await;
        }
    }
}

struct Task {
    store: Store,
    clock: Clock,
    lifecycle: Lifecycle,
    receipts: Arc<AtomicUsize>,
}

impl Task {
    async fn run(self, mut incoming: mpsc::UnboundedReceiver<Entry>) {
        let mut entries = Vec::with_capacity(AT_ONCE);
        loop {
            tokio::select! {
                biased;
                _ = incoming.recv_many(&mut entries, AT_ONCE) => self.write(&mut entries).await,
                // Entries received before the end are written.
                () = self.lifecycle.stopping() => break,
            }
        }
    }

    /// Resolves the recipient to their stable id; in a chat of two it is the chat's.
    async fn name(&self, receipt: &mut Receipt) {
        if !receipt.is_one_of_many {
            return;
        }
        if let Err(error) =
            identity::mention(&self.store, &receipt.session, &mut receipt.from).await
        {
            tracing::debug!(%error, "who a recipient is cannot be looked up");
        }
    }

    async fn write(&self, entries: &mut Vec<Entry>) {
        let (mut outcomes, mut waiting, mut drained) =
            (Outcomes::default(), Vec::new(), Vec::new());
        for entry in entries.drain(..) {
            match entry {
                Entry::Judged(judged, waiters) => {
                    waiting.extend(
                        waiters
                            .into_iter()
                            .map(|waiter| (waiter, judged.verdict.clone())),
                    );
                    outcomes.judged.push(judged);
                }
                Entry::Receipt(receipt) => outcomes.receipts.push(receipt),
                Entry::Drain(done) => drained.push(done),
            }
        }
        // Concurrently, since unknown recipients have to be written to the database.
        join_all(
            outcomes
                .receipts
                .iter_mut()
                .map(|receipt| self.name(receipt)),
        )
        .await;
        self.receipts
            .fetch_sub(outcomes.receipts.len(), Ordering::Relaxed);
        while let Err(error) = self.store.record_outcomes(outcomes.clone()).await {
            tracing::debug!(%error, "what became of messages cannot be written down yet");
            if self
                .lifecycle
                .unless_stopping(self.clock.sleep(PAUSE))
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
        for (waiter, verdict) in waiting {
            // The waiter may have given up.
            let _ = waiter.send(verdict);
        }
    }
}
