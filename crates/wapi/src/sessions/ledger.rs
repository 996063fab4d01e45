//! Writes down what became of sent messages, many in one go: what WhatsApp and the recipients said, and with it the events of that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::identity;
use crate::lifecycle::Lifecycle;
use crate::store::{Judged, Outcomes, Receipt, Store, Verdict};

/// Entries in one transaction at most.
const AT_ONCE: usize = 256;
/// Receipts that may wait to be written. They come at most once anyhow; a disk that is full must not fill the memory, too.
const RECEIPTS: usize = 50_000;
/// Between two tries to write.
const PAUSE: Duration = Duration::from_secs(1);

/// A handle; cheap to clone.
#[derive(Clone)]
pub(super) struct Ledger {
    entries: mpsc::UnboundedSender<Entry>,
    receipts: Arc<AtomicUsize>,
}

enum Entry {
    /// With those who want to know once it is on the disk.
    Judged(Judged, Vec<oneshot::Sender<Verdict>>),
    Receipt(Receipt),
    /// Somebody waits until what came before is on the disk.
    Drain(oneshot::Sender<()>),
}

impl Ledger {
    /// Starts the task that writes.
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

    /// Writes a verdict down and then tells those who wait for it. What cannot be written before the program ends is found out again
    /// by the next run, which asks WhatsApp again.
    pub fn judge(&self, judged: Judged, waiting: Vec<oneshot::Sender<Verdict>>) {
        let _ = self.entries.send(Entry::Judged(judged, waiting));
    }

    /// Writes a receipt down, unless too many wait for that.
    pub fn receipt(&self, receipt: Receipt) {
        if self.receipts.fetch_add(1, Ordering::Relaxed) < RECEIPTS {
            let _ = self.entries.send(Entry::Receipt(receipt));
        } else {
            self.receipts.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Completes when what was brought so far is on the disk, or the program ends.
    pub async fn drained(&self) {
        let (done, drained) = oneshot::channel();
        if self.entries.send(Entry::Drain(done)).is_ok() {
            // Whoever dropped it is ending.
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
                // What came before the end is written.
                () = self.lifecycle.stopping() => break,
            }
        }
    }

    /// Their one id; in a chat of two it is the chat's.
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
        // Together, since those who were not known before have to be written down.
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
            // Whoever waits no more need not know.
            let _ = done.send(());
        }
        for (waiter, verdict) in waiting {
            // Whoever waited may have given up.
            let _ = waiter.send(verdict);
        }
    }
}
