//! Database writer: a single task that takes changes, saves as many as are waiting in one
//! transaction, and answers after the disk sync.

mod commands;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{Notify, mpsc, oneshot, watch};

pub(super) use self::commands::EmptyWrite;
pub(super) use self::commands::StoreChange;
use self::commands::{PendingChange, WriteCommand};
use super::admin::activity::notes::{self, WaitingActivity};
use super::commit_error::CommitError;
use super::events::log;
use super::lives::registry::{self, LifeRegistry, UnsavedLife};
use super::outbox::resend_cache;
use super::webhooks::endpoints::EventSubscriber;
use super::webhooks::ready_queue::{CommitEffects, ReadyDeliveries, ReadyQueue};
use super::webhooks::{deliveries, endpoints};
use super::{NewEvent, SentPayload, SettledDelivery, StoreError, stopping_error};
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

/// A handle on the writer; cheap to clone.
#[derive(Clone)]
pub(super) struct DatabaseWriter {
    commands: mpsc::Sender<WriteCommand>,
    shared: Arc<WriterState>,
}

#[derive(Default)]
struct WriterState {
    changed: Notify,
    commits: watch::Sender<()>,
    write_error: Mutex<Option<StoreError>>,
    ready_queue: Mutex<ReadyQueue>,
    activity: Mutex<WaitingActivity>,
}

impl WriterState {
    fn lock_ready_queue(&self) -> MutexGuard<'_, ReadyQueue> {
        self.ready_queue.lock()
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
        connection: SqliteConnection,
        lives: Arc<LifeRegistry>,
        clock: Clock,
        meters: Arc<GatewayMetrics>,
        lifecycle: &Lifecycle,
    ) -> Self {
        let (commands, incoming) = mpsc::channel(QUEUE_CAPACITY);
        let shared = Arc::<WriterState>::default();
        let task = WriterTask {
            connection,
            lives,
            clock,
            meters,
            lifecycle: lifecycle.clone(),
            shared: Arc::clone(&shared),
            subscribers: None,
            last_begun: Duration::ZERO,
            last_change_count: 0,
        };
        lifecycle.spawn(task.run(incoming));
        Self { commands, shared }
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
        self.send_command(|done| {
            WriteCommand::Change(Box::new(PendingChange {
                change,
                answer: None,
                done,
            }))
        })
        .await
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

    /// Takes the deliveries that have become due since the last call.
    pub fn take_ready(&self) -> ReadyDeliveries {
        self.shared.lock_ready_queue().take()
    }

    pub fn watch_commits(&self) -> watch::Receiver<()> {
        self.shared.commits.subscribe()
    }

    pub fn write_error(&self) -> Option<StoreError> {
        self.shared.write_error()
    }
}

struct WriterTask {
    connection: SqliteConnection,
    lives: Arc<LifeRegistry>,
    clock: Clock,
    meters: Arc<GatewayMetrics>,
    lifecycle: Lifecycle,
    shared: Arc<WriterState>,
    /// A cache of the rows, until a change may concern them.
    subscribers: Option<Vec<EventSubscriber>>,
    /// The start of the last commit, on the clock's uptime.
    last_begun: Duration,
    /// The number of its changes with a waiting caller.
    last_change_count: usize,
}

impl WriterTask {
    /// Runs until the program stops, and saves the changes queued before that.
    async fn run(mut self, mut incoming: mpsc::Receiver<WriteCommand>) {
        let lifecycle = self.lifecycle.clone();
        let mut orders = Vec::with_capacity(MAX_BATCH);
        loop {
            let is_in_trouble = self.shared.write_error().is_some();
            self.pace_commits(incoming.len()).await;
            tokio::select! {
                biased;
                count = incoming.recv_many(&mut orders, MAX_BATCH) => match count {
                    0 => break,
                    _ => self.save_commands(&mut orders).await,
                },
                () = lifecycle.await_stop() => break,
                // There may be nothing to save for a while, and readiness should not wait for that.
                () = self.clock.sleep(PROBE_INTERVAL), if is_in_trouble => self.probe_disk().await,
            }
        }
        let _ = self.connection.close().await;
    }

    /// Pauses if the last commit began only just now, and it had many changes or many are waiting.
    /// A change after a quiet moment, or alone, does not wait.
    async fn pace_commits(&self, waiting: usize) {
        if self.last_change_count.max(waiting) < LOAD_THRESHOLD {
            return;
        }
        let rest = (self.last_begun + COMMIT_PACE).saturating_sub(self.clock.uptime());
        if !rest.is_zero() {
            self.clock.sleep(rest).await;
        }
    }

    /// Saves all changes together; if one of them fails, each on its own, so that the others
    /// succeed.
    async fn save_commands(&mut self, orders: &mut Vec<WriteCommand>) {
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
        self.shared.commits.send_replace(());
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
        self.commit(&mut [WriteCommand::Change(Box::new(PendingChange {
            change: EmptyWrite,
            answer: None,
            done,
        }))])
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
        let started = self.clock.uptime();
        self.last_begun = started;
        self.last_change_count = orders
            .iter()
            .filter(|order| order.as_payload().is_none())
            .count();
        // Takes the write lock at once: a transaction that starts with a read could fail later,
        // when another process holds the lock.
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut self.connection)
            .await
            .map_err(CommitError::from_database)?;
        // A panic fails only its change; the writer serves all callers.
        let mut effects = CommitEffects::default();
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
            outcome = sqlx::query("COMMIT")
                .execute(&mut self.connection)
                .await
                .map(drop)
                .map_err(CommitError::from_commit);
        }
        if outcome.is_err() {
            // Fails if SQLite has rolled back already, which is fine.
            let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
            self.meters.failed_commits.inc();
            self.shared.activity.lock().take_back(activity);
            // The commit may have reached the disk all the same.
            effects = CommitEffects {
                is_queue_stale: true,
                ..CommitEffects::default()
            };
            self.subscribers = None;
        } else {
            self.lives.mark_saved(change);
            self.meters.commit_changes.observe(orders.len() as f64);
            self.meters
                .commit_seconds
                .observe(self.clock.uptime().saturating_sub(started).as_secs_f64());
        }
        self.shared.lock_ready_queue().apply_commit(effects);
        outcome
    }

    async fn write_changes(
        &mut self,
        orders: &mut [WriteCommand],
        begun: &[UnsavedLife],
        activity: &WaitingActivity,
        effects: &mut CommitEffects,
    ) -> Result<(), sqlx::Error> {
        let (connection, now) = (&mut self.connection, self.clock.now());
        // First, so that every life exists before its data.
        registry::save_lives(connection, begun).await?;
        if !activity.is_empty() {
            notes::write_notes(connection, activity).await?;
        }
        let (mut appended, mut settled) = (Vec::new(), Vec::new());
        // First, so that later queries find the payloads.
        resend_cache::insert_payloads(
            connection,
            &orders
                .iter()
                .filter_map(WriteCommand::as_payload)
                .collect::<Vec<_>>(),
            now,
        )
        .await?;
        for order in orders {
            match order {
                WriteCommand::Append(events, _) => appended.extend(&*events),
                WriteCommand::Settle(outcome, _) => settled.push(&*outcome),
                WriteCommand::Payload(_) => {}
                WriteCommand::Change(change) => {
                    change.write(connection, now).await?;
                    effects.is_queue_stale |= change.invalidates_ready_queue();
                }
            }
        }
        if effects.is_queue_stale {
            self.subscribers = None;
        }
        if !appended.is_empty() {
            let subscribers = match &mut self.subscribers {
                Some(known) => known,
                unknown => unknown.insert(endpoints::load_subscribers(connection).await?),
            };
            log::append_events(connection, &appended, subscribers, now, effects).await?;
        }
        deliveries::settle_deliveries(connection, &settled, now, effects).await?;
        if effects.is_queue_stale {
            // A failed attempt counts against its endpoint.
            self.subscribers = None;
        }
        Ok(())
    }
}
