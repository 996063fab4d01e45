//! Database writer: a single task, on a thread of its own, that takes changes, saves as many as are waiting in one
//! transaction, and answers after the disk sync.

mod commands;
mod commit_error;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, mpsc, oneshot};

pub(super) use self::commands::EmptyWrite;
use self::commands::{PendingChange, Plain, WriteCommand};
pub(super) use self::commands::{PlainChange, StoreChange};
use self::commit_error::CommitError;
use super::admin::activity::notes::WaitingActivity;
use super::events::recent::RecentEvents;
use super::lives::registry::LifeRegistry;
use super::sealing::Sealer;
use super::webhooks::endpoints::EventSubscriber;
use super::webhooks::open::cursor::LogCursor;
use super::webhooks::open::{CommitEffects, OpenDeliveries, SAVE_DELAY};
use super::{NewEvent, SentPayload, SettledDelivery, StoreError, stopping_error};
use crate::store::db::{self, Connection};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;
use crate::telemetry::counters::GatewayMetrics;

/// The capacity of the queue of changes; callers wait while it is full.
const QUEUE_CAPACITY: usize = 4_096;
/// The most changes in one transaction.
const MAX_BATCH: usize = 512;
/// The minimum time between the beginnings of two commits under load: more changes share the cost
/// of each. Measured: with 4 ms instead of none, a received message takes a tenth less CPU.
const COMMIT_PACE: Duration = Duration::from_millis(3);
/// The number of simultaneous changes that counts as load. A caller that sends messages one after
/// the other has at most two, the message and the outcome of the previous one, and would wait in
/// vain for others to join.
const LOAD_THRESHOLD: usize = 4;
/// The interval of the writer's own attempts while nothing can be saved.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// The pause after a failure, so that a full disk is not tried a thousand times a second.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);
/// The longest time until a caller learns of a failed change that may still be found after a crash.
const UNDO_TIMEOUT: Duration = Duration::from_secs(20);

/// A commit under way for longer is a failure of the disk, as far as callers are concerned.
const COMMIT_LIMIT: Duration = Duration::from_secs(5);

/// A handle on the writer; cheap to clone.
#[derive(Clone)]
pub(super) struct DatabaseWriter {
    commands: mpsc::Sender<WriteCommand>,
    shared: Arc<WriterState>,
    clock: Clock,
}

#[derive(Default)]
struct WriterState {
    changed: Notify,
    /// A delivery was accepted whose success is to be saved.
    accepted: Notify,
    write_error: Mutex<Option<StoreError>>,
    /// Since when the transaction under way has the lock, on the clock's uptime.
    committing_since: Mutex<Option<Duration>>,
    open: Mutex<OpenDeliveries>,
    activity: Mutex<WaitingActivity>,
}

impl WriterState {
    fn lock_open(&self) -> MutexGuard<'_, OpenDeliveries> {
        self.open.lock()
    }

    fn write_error(&self) -> Option<StoreError> {
        self.write_error.lock().clone()
    }

    fn set_write_error(&self, trouble: Option<StoreError>) {
        let mut current = self.write_error.lock();
        match (&*current, &trouble) {
            (None, Some(error)) => {
                tracing::error!(%error, "failed to save data; WhatsApp keeps incoming messages meanwhile")
            }
            (Some(_), None) => tracing::info!("saving works again"),
            _ => {}
        }
        *current = trouble;
    }
}

impl DatabaseWriter {
    pub fn start(
        connection: Connection,
        (open, cursor, recent): (OpenDeliveries, LogCursor, Arc<RecentEvents>),
        lives: Arc<LifeRegistry>,
        sealer: Sealer,
        clock: Clock,
        meters: Arc<GatewayMetrics>,
        lifecycle: &Lifecycle,
    ) -> std::io::Result<Self> {
        let (commands, incoming) = mpsc::channel(QUEUE_CAPACITY);
        let shared = Arc::new(WriterState {
            open: Mutex::new(open),
            ..WriterState::default()
        });
        let task = WriterTask {
            connection,
            cursor,
            lives,
            sealer,
            clock: clock.clone(),
            meters,
            lifecycle: lifecycle.clone(),
            shared: Arc::clone(&shared),
            recent,
            subscribers: None,
            last_begun: Duration::ZERO,
            last_change_count: 0,
            must_save_accepted: false,
            held: Vec::new(),
            held_until: None,
        };
        // Its statements run in the thread that asks.
        lifecycle.spawn_on_thread("writer", task.run(incoming))?;
        Ok(Self {
            commands,
            shared,
            clock,
        })
    }

    pub async fn append_events(&self, events: Vec<NewEvent>) -> Result<(), StoreError> {
        self.send_command(|done| WriteCommand::Append(events, done))
            .await
    }

    pub async fn settle_delivery(&self, settled: SettledDelivery) -> Result<(), StoreError> {
        self.send_command(|done| WriteCommand::Settle(settled, done))
            .await
    }

    /// Returns once the payload is queued.
    pub async fn save_payload(&self, payload: SentPayload) -> Result<(), StoreError> {
        self.commands
            .send(WriteCommand::Payload(payload))
            .await
            .map_err(|_| stopping_error())
    }

    pub async fn apply_change<C: StoreChange>(&self, change: C) -> Result<C::Answer, StoreError> {
        self.send_command(|done| WriteCommand::Change(PendingChange::new(change, done)))
            .await
    }

    pub async fn apply_plain<C: PlainChange>(&self, change: C) -> Result<C::Answer, StoreError> {
        self.apply_change(Plain(change)).await
    }

    /// Applies a change that may wait: the next commit of others takes it along, or one that begins after
    /// [`SAVE_DELAY`]. Returns `None` if `urgent` completes first; the change may be applied all the same,
    /// then before any that is given later.
    pub async fn apply_deferred<C: PlainChange>(
        &self,
        change: C,
        urgent: impl Future<Output = ()>,
    ) -> Result<Option<C::Answer>, StoreError> {
        let applied = self
            .send_command(|done| WriteCommand::Deferred(PendingChange::new(Plain(change), done)));
        tokio::select! {
            biased;
            answer = applied => answer.map(Some),
            () = urgent => Ok(None),
        }
    }

    async fn send_command<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> WriteCommand,
    ) -> Result<T, StoreError> {
        let (done, answer) = oneshot::channel();
        self.commands
            .send(order(done))
            .await
            .map_err(|_| stopping_error())?;
        answer.await.map_err(|_| stopping_error())?
    }

    /// Adds to the notes of activity, which the next commit saves.
    pub fn note_activity(&self, note: impl FnOnce(&mut WaitingActivity)) {
        note(&mut self.shared.activity.lock());
    }

    /// Returns whether notes of activity wait for a commit.
    pub fn has_activity(&self) -> bool {
        !self.shared.activity.lock().is_empty()
    }

    /// Completes after a commit. One just before the call is not missed.
    pub async fn wait_for_commit(&self) {
        self.shared.changed.notified().await;
    }

    pub fn lock_open(&self) -> MutexGuard<'_, OpenDeliveries> {
        self.shared.lock_open()
    }

    /// Settles a delivery without a row that its endpoint has accepted: the next one of the chat is due,
    /// and a commit soon saves that. Returns false if it has a row, or if saving fails or takes long: a
    /// crash would repeat all that is accepted meanwhile.
    pub fn accept_delivery(&self, delivery: i64) -> bool {
        let (now, uptime) = (self.clock.now(), self.clock.uptime());
        let has_trouble = self.write_error().is_some() || self.lock_open().is_saving_late(uptime);
        let is_accepted = !has_trouble && self.lock_open().accept(delivery, now, uptime);
        if is_accepted {
            self.shared.accepted.notify_one();
            self.shared.changed.notify_one();
        }
        is_accepted
    }

    /// Returns why nothing can be saved: the last change failed, or the disk hangs.
    pub fn write_error(&self) -> Option<StoreError> {
        self.shared.write_error().or_else(|| self.find_hang())
    }

    fn find_hang(&self) -> Option<StoreError> {
        let since = *self.shared.committing_since.lock();
        let waited = self.clock.uptime().saturating_sub(since?);
        (waited > COMMIT_LIMIT).then(|| {
            let seconds = waited.as_secs();
            StoreError::new(format!(
                "its disk has not answered for {seconds} s; check the system's log"
            ))
        })
    }
}

struct WriterTask {
    connection: Connection,
    cursor: LogCursor,
    lives: Arc<LifeRegistry>,
    sealer: Sealer,
    clock: Clock,
    meters: Arc<GatewayMetrics>,
    lifecycle: Lifecycle,
    shared: Arc<WriterState>,
    recent: Arc<RecentEvents>,
    /// A cache of the rows, until a change may concern them.
    subscribers: Option<Arc<[EventSubscriber]>>,
    /// The start of the last commit, on the clock's uptime.
    last_begun: Duration,
    /// The number of its changes that were to be saved at once.
    last_change_count: usize,
    /// Not only if it is time.
    must_save_accepted: bool,
    /// Deferred changes, and the uptime until which they wait for others.
    held: Vec<WriteCommand>,
    held_until: Option<Duration>,
}

impl WriterTask {
    /// Runs until the program stops, and saves the changes queued before that.
    async fn run(mut self, mut incoming: mpsc::Receiver<WriteCommand>) {
        let lifecycle = self.lifecycle.clone();
        let mut orders = Vec::with_capacity(MAX_BATCH);
        loop {
            let is_in_trouble = self.shared.write_error().is_some();
            self.pace_commits(incoming.len()).await;
            // When a commit begins by itself.
            let save_at = self.shared.lock_open().save_at();
            let save_at = save_at.filter(|_| !is_in_trouble);
            let commit_at = save_at.into_iter().chain(self.held_until).min();
            let until_commit = commit_at.map(|at| at.saturating_sub(self.clock.uptime()));
            tokio::select! {
                biased;
                count = incoming.recv_many(&mut orders, MAX_BATCH) => match count {
                    0 => break,
                    _ if self.hold_deferred(&mut orders) => {}
                    _ => self.save_commands(&mut orders).await,
                },
                () = lifecycle.await_stop() => break,
                // Begins to wait for the time.
                () = self.shared.accepted.notified(), if save_at.is_none() => {}
                () = self.clock.sleep(until_commit.unwrap_or(SAVE_DELAY)), if commit_at.is_some() => {
                    self.must_save_accepted = true;
                    self.save_commands(&mut orders).await;
                }
                // There may be nothing to save for a while, and readiness should not wait for that.
                () = self.clock.sleep(PROBE_INTERVAL), if is_in_trouble => self.probe_disk().await,
            }
        }
        if !self.held.is_empty() {
            self.save_commands(&mut orders).await;
        }
        self.save_accepted().await;
        let _ = self.connection.close().await;
    }

    /// Saves what was accepted last, at the end.
    async fn save_accepted(&mut self) {
        self.must_save_accepted = true;
        if self.shared.lock_open().save_at().is_some()
            && let Err(error) = self.commit_or_undo(&mut []).await
        {
            let error = error.into_store_error();
            tracing::warn!(%error, "failed to save which events the webhooks have accepted last; they are posted again");
        }
    }

    /// Pauses if the last commit began only just now, and it had many changes or many are waiting.
    /// A change after a quiet moment, or alone, does not wait.
    async fn pace_commits(&mut self, waiting: usize) {
        if self.last_change_count.max(waiting) < LOAD_THRESHOLD {
            return;
        }
        let rest = (self.last_begun + COMMIT_PACE).saturating_sub(self.clock.uptime());
        if !rest.is_zero() {
            self.clock.sleep(rest).await;
        }
    }

    /// Holds these changes back if all of them may wait, and returns whether it does.
    fn hold_deferred(&mut self, orders: &mut Vec<WriteCommand>) -> bool {
        let may_wait = orders.iter().all(WriteCommand::may_wait)
            && self.held.len() + orders.len() <= MAX_BATCH;
        if may_wait {
            self.held.append(orders);
            let until = self.clock.uptime() + SAVE_DELAY;
            self.held_until.get_or_insert(until);
        }
        may_wait
    }

    /// Saves all changes together, with those that are held back; if one of them fails, each on its own,
    /// so that the others succeed.
    async fn save_commands(&mut self, orders: &mut Vec<WriteCommand>) {
        self.last_change_count = orders.iter().filter(|order| order.is_awaited()).count();
        // In the order in which they came.
        orders.splice(0..0, self.held.drain(..));
        self.held_until = None;
        match self.commit_or_undo(orders).await {
            Err(CommitError::Change(_) | CommitError::Panic) if orders.len() > 1 => {
                for order in orders.drain(..) {
                    let mut alone = vec![order];
                    let outcome = self.commit_or_undo(&mut alone).await;
                    self.answer_commands(&mut alone, outcome);
                }
            }
            outcome => {
                let has_failed = outcome.is_err();
                self.answer_commands(orders, outcome);
                if has_failed {
                    self.clock.sleep(FAILURE_PAUSE).await;
                }
            }
        }
        self.shared.changed.notify_one();
    }

    fn answer_commands(&self, orders: &mut Vec<WriteCommand>, outcome: Result<(), CommitError>) {
        let is_about_the_disk = !matches!(outcome, Err(CommitError::Panic));
        let outcome = outcome.map_err(CommitError::into_store_error);
        if is_about_the_disk {
            self.shared.set_write_error(outcome.clone().err());
        }
        for order in orders.drain(..) {
            order.answer(outcome.clone());
        }
    }

    /// Tests with an empty write whether saving works again.
    async fn probe_disk(&mut self) {
        let outcome = self.write_empty().await;
        self.shared
            .set_write_error(outcome.map_err(CommitError::into_store_error).err());
    }

    /// Writes without changing any data: always the first page of the file, whichever tables exist.
    async fn write_empty(&mut self) -> Result<(), CommitError> {
        let (done, _) = oneshot::channel();
        self.commit(&mut [WriteCommand::Change(PendingChange::new(
            Plain(EmptyWrite),
            done,
        ))])
        .await
    }

    /// Runs one transaction. If it fails, no later program finds it on the disk either.
    ///
    /// A transaction that could not be synced is complete in SQLite's log. If the program were
    /// killed now, the next one would apply it, although its caller was answered with an error and
    /// may have tried again. So another transaction overwrites it before the callers are answered.
    /// If that does not succeed within [`UNDO_TIMEOUT`], they are answered all the same, and the outcome
    /// stays uncertain.
    async fn commit_or_undo(&mut self, orders: &mut [WriteCommand]) -> Result<(), CommitError> {
        let outcome = self.commit(orders).await;
        let Err(CommitError::Unsynced(error)) = &outcome else {
            return outcome;
        };
        self.shared.set_write_error(Some(error.clone()));
        let until = self.clock.uptime() + UNDO_TIMEOUT;
        while self.write_empty().await.is_err() && self.clock.uptime() < until {
            self.clock.sleep(FAILURE_PAUSE).await;
        }
        outcome
    }

    /// Runs one transaction, which is on the disk on return.
    ///
    /// Uses explicit statements instead of the library's transactions: SQLite rolls back on its own
    /// when the disk is full, and the library would lose count.
    async fn commit(&mut self, orders: &mut [WriteCommand]) -> Result<(), CommitError> {
        self.lifecycle.end_if_aborted().await;
        let started = self.clock.uptime();
        self.last_begun = started;
        // Takes the write lock at once: a transaction that starts with a read could fail later,
        // when another process holds the lock.
        db::query("BEGIN IMMEDIATE")
            .execute(&mut self.connection)
            .await
            .map_err(CommitError::from_database)?;
        // Who waits for the lock is told of it when that takes too long; from here on, only the disk does.
        *self.shared.committing_since.lock() = Some(self.clock.uptime());
        let outcome = self.transact(started, orders).await;
        *self.shared.committing_since.lock() = None;
        outcome
    }

    /// Runs what follows the beginning of a transaction.
    async fn transact(
        &mut self,
        started: Duration,
        orders: &mut [WriteCommand],
    ) -> Result<(), CommitError> {
        // A panic fails only its change; the writer serves all callers.
        let mut effects = CommitEffects::default();
        let mark = self.cursor.mark();
        let (begun, change) = self.lives.unsaved_lives();
        let activity = std::mem::take(&mut *self.shared.activity.lock());
        let mut outcome = match self
            .lifecycle
            .clone()
            .catch_panic(self.write_changes(orders, &begun, &activity, &mut effects))
            .await
        {
            Some(written) => written.map_err(|error| CommitError::Change(error.into())),
            None => Err(CommitError::Panic),
        };
        if outcome.is_ok() {
            outcome = db::query("COMMIT")
                .execute(&mut self.connection)
                .await
                .map(drop)
                .map_err(CommitError::from_commit);
        }
        self.sealer.end_transaction(outcome.is_ok());
        if outcome.is_err() {
            // Fails if SQLite has rolled back already, which is fine.
            let _ = db::query("ROLLBACK").execute(&mut self.connection).await;
            self.meters.failed_commits.inc();
            self.shared.activity.lock().take_back(activity);
            self.cursor.reset(mark);
            self.subscribers = None;
            self.shared.lock_open().undo_commit();
        } else {
            self.lives.mark_saved(change);
            self.meters.commit_changes.observe(orders.len() as f64);
            self.meters
                .commit_seconds
                .observe(self.clock.uptime().saturating_sub(started).as_secs_f64());
            self.recent.push(std::mem::take(&mut effects.logged));
            self.shared.lock_open().apply_commit(effects, started);
        }
        outcome
    }
}
