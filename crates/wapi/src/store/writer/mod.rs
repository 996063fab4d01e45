//! Database writer: a single task that takes changes, saves as many as are waiting in one
//! transaction, and answers after the disk sync.

mod orders;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{Notify, mpsc, oneshot, watch};

pub(super) use self::orders::Change;
use self::orders::{Asked, Order, Touch};
use super::endpoints::Subscriber;
use super::failure::Failure;
use super::fresh::{Fresh, News, Turns};
use super::lives::{self, Lives, Unsaved};
use super::{
    NewEvent, Payload, Settled, StoreError, deliveries, ended, endpoints, events, payloads,
};
use crate::clock::Clock;
use crate::lifecycle::Lifecycle;
use crate::meters::Meters;

/// The capacity of the queue of changes; callers wait while it is full.
const ROOM: usize = 4_096;
/// The most changes in one transaction.
const AT_ONCE: usize = 512;
/// The minimum time between the beginnings of two commits under load: more changes share the cost
/// of each. Measured: with 4 ms instead of none, a received message takes a tenth less CPU.
const PACE: Duration = Duration::from_millis(3);
/// The number of simultaneous changes that counts as load. A caller that sends messages one after
/// the other has at most two, the message and the outcome of the previous one, and would wait in
/// vain for others to join.
const MANY: usize = 4;
/// The interval of the writer's own attempts while nothing can be saved.
const PROBE: Duration = Duration::from_secs(1);
/// The pause after a failure, so that a full disk is not tried a thousand times a second.
const REST: Duration = Duration::from_millis(100);
/// The longest time until a caller learns of a failed change that may still be found after a crash.
const DOUBT: Duration = Duration::from_secs(20);

/// A handle on the writer; cheap to clone.
#[derive(Clone)]
pub(super) struct Writer {
    orders: mpsc::Sender<Order>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    changed: Notify,
    commits: watch::Sender<()>,
    trouble: Mutex<Option<StoreError>>,
    turns: Mutex<Turns>,
}

impl Shared {
    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> Option<StoreError> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_trouble(&self, trouble: Option<StoreError>) {
        let mut current = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*current, &trouble) {
            (None, Some(error)) => {
                tracing::error!(%error, "nothing can be saved; WhatsApp keeps what comes in")
            }
            (Some(_), None) => tracing::info!("saving works again"),
            _ => {}
        }
        *current = trouble;
    }
}

impl Writer {
    pub fn start(
        connection: SqliteConnection,
        lives: Arc<Lives>,
        clock: Clock,
        meters: Arc<Meters>,
        lifecycle: &Lifecycle,
    ) -> Self {
        let (orders, incoming) = mpsc::channel(ROOM);
        let shared = Arc::<Shared>::default();
        let task = Task {
            connection,
            lives,
            clock,
            meters,
            lifecycle: lifecycle.clone(),
            shared: Arc::clone(&shared),
            subscribers: None,
            last_begun: Duration::ZERO,
            last_had: 0,
        };
        lifecycle.spawn(task.run(incoming));
        Self { orders, shared }
    }

    pub async fn append(&self, events: Vec<NewEvent>) -> Result<(), StoreError> {
        self.order(|done| Order::Append(events, done)).await
    }

    pub async fn settle(&self, settled: Settled) -> Result<(), StoreError> {
        self.order(|done| Order::Settle(settled, done)).await
    }

    /// Returns once the payload is queued.
    pub async fn keep_payload(&self, payload: Payload) -> Result<(), StoreError> {
        self.orders
            .send(Order::Payload(payload))
            .await
            .map_err(|_| ended())
    }

    pub async fn change<C: Change>(&self, change: C) -> Result<C::Answer, StoreError> {
        self.order(|done| {
            Order::Other(Box::new(Asked {
                change,
                answer: None,
                done,
            }))
        })
        .await
    }

    async fn order<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Order,
    ) -> Result<T, StoreError> {
        let (done, answer) = oneshot::channel();
        self.orders.send(order(done)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Completes after a commit. One just before the call is not missed.
    pub async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// Takes the deliveries that have become due since the last call.
    pub fn fresh(&self) -> Fresh {
        self.shared.turns().take()
    }

    pub fn commits(&self) -> watch::Receiver<()> {
        self.shared.commits.subscribe()
    }

    pub fn trouble(&self) -> Option<StoreError> {
        self.shared.trouble()
    }
}

struct Task {
    connection: SqliteConnection,
    lives: Arc<Lives>,
    clock: Clock,
    meters: Arc<Meters>,
    lifecycle: Lifecycle,
    shared: Arc<Shared>,
    /// A cache of the rows, until a change may concern them.
    subscribers: Option<Vec<Subscriber>>,
    /// The start of the last commit, on the clock's uptime.
    last_begun: Duration,
    /// The number of its changes with a waiting caller.
    last_had: usize,
}

impl Task {
    /// Runs until the program stops, and saves the changes queued before that.
    async fn run(mut self, mut incoming: mpsc::Receiver<Order>) {
        let lifecycle = self.lifecycle.clone();
        let mut orders = Vec::with_capacity(AT_ONCE);
        loop {
            let is_in_trouble = self.shared.trouble().is_some();
            self.keep_pace(incoming.len()).await;
            tokio::select! {
                biased;
                count = incoming.recv_many(&mut orders, AT_ONCE) => match count {
                    0 => break,
                    _ => self.save(&mut orders).await,
                },
                () = lifecycle.stopping() => break,
                // There may be nothing to save for a while, and readiness should not wait for that.
                () = self.clock.sleep(PROBE), if is_in_trouble => self.probe().await,
            }
        }
        let _ = self.connection.close().await;
    }

    /// Pauses if the last commit began only just now, and it had many changes or many are waiting.
    /// A change after a quiet moment, or alone, does not wait.
    async fn keep_pace(&self, waiting: usize) {
        if self.last_had.max(waiting) < MANY {
            return;
        }
        let rest = (self.last_begun + PACE).saturating_sub(self.clock.uptime());
        if !rest.is_zero() {
            self.clock.sleep(rest).await;
        }
    }

    /// Saves all changes together; if one of them fails, each on its own, so that the others
    /// succeed.
    async fn save(&mut self, orders: &mut Vec<Order>) {
        match self.commit_or_undo(orders).await {
            Err(Failure::Change(_) | Failure::Panic) if orders.len() > 1 => {
                for order in orders.drain(..) {
                    let mut alone = vec![order];
                    let outcome = self.commit_or_undo(&mut alone).await;
                    self.answer(&mut alone, outcome);
                }
            }
            outcome => {
                let has_failed = outcome.is_err();
                self.answer(orders, outcome);
                if has_failed {
                    self.clock.sleep(REST).await;
                }
            }
        }
        self.shared.changed.notify_one();
        self.shared.commits.send_replace(());
    }

    fn answer(&self, orders: &mut Vec<Order>, outcome: Result<(), Failure>) {
        let is_about_the_disk = !matches!(outcome, Err(Failure::Panic));
        let outcome = outcome.map_err(Failure::into_error);
        if is_about_the_disk {
            self.shared.set_trouble(outcome.clone().err());
        }
        for order in orders.drain(..) {
            order.answer(outcome.clone());
        }
    }

    /// Tests with an empty write whether saving works again.
    async fn probe(&mut self) {
        let outcome = self.touch().await;
        self.shared
            .set_trouble(outcome.map_err(Failure::into_error).err());
    }

    /// Writes without changing any data: always the first page of the file, whichever tables exist.
    async fn touch(&mut self) -> Result<(), Failure> {
        let (done, _) = oneshot::channel();
        self.commit(&mut [Order::Other(Box::new(Asked {
            change: Touch,
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
    /// If that does not succeed within [`DOUBT`], they are answered all the same, and the outcome
    /// stays uncertain.
    async fn commit_or_undo(&mut self, orders: &mut [Order]) -> Result<(), Failure> {
        let outcome = self.commit(orders).await;
        let Err(Failure::Unsynced(error)) = &outcome else {
            return outcome;
        };
        self.shared.set_trouble(Some(error.clone()));
        let until = self.clock.uptime() + DOUBT;
        while self.touch().await.is_err() && self.clock.uptime() < until {
            self.clock.sleep(REST).await;
        }
        outcome
    }

    /// Runs one transaction, which is on the disk on return.
    ///
    /// Uses explicit statements instead of the library's transactions: SQLite rolls back on its own
    /// when the disk is full, and the library would lose count.
    async fn commit(&mut self, orders: &mut [Order]) -> Result<(), Failure> {
        let started = self.clock.uptime();
        self.last_begun = started;
        self.last_had = orders
            .iter()
            .filter(|order| order.payload().is_none())
            .count();
        // Takes the write lock at once: a transaction that starts with a read could fail later,
        // when another process holds the lock.
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut self.connection)
            .await
            .map_err(Failure::database)?;
        // A panic fails only its change; the writer serves all callers.
        let mut news = News::default();
        let (begun, change) = self.lives.unsaved();
        let mut outcome = match self
            .lifecycle
            .clone()
            .caught(self.write(orders, &begun, &mut news))
            .await
        {
            Some(written) => written.map_err(|error| Failure::Change(error.into())),
            None => Err(Failure::Panic),
        };
        if outcome.is_ok() {
            outcome = sqlx::query("COMMIT")
                .execute(&mut self.connection)
                .await
                .map(drop)
                .map_err(Failure::commit);
        }
        if outcome.is_err() {
            // Fails if SQLite has rolled back already, which is fine.
            let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
            self.meters.failed_commits.add(1);
            // The commit may have reached the disk all the same.
            news = News {
                is_unusual: true,
                ..News::default()
            };
            self.subscribers = None;
        } else {
            self.lives.saved(change);
            self.meters.commit_changes.observe(orders.len() as f64);
            self.meters
                .commit_seconds
                .observe_time(self.clock.uptime().saturating_sub(started));
        }
        self.shared.turns().follow(news);
        outcome
    }

    async fn write(
        &mut self,
        orders: &mut [Order],
        begun: &[Unsaved],
        news: &mut News,
    ) -> Result<(), sqlx::Error> {
        let (connection, now) = (&mut self.connection, self.clock.now());
        // First, so that every life exists before its data.
        lives::save(connection, begun).await?;
        let (mut appended, mut settled) = (Vec::new(), Vec::new());
        // First, so that later queries find the payloads.
        payloads::keep(
            connection,
            &orders.iter().filter_map(Order::payload).collect::<Vec<_>>(),
            now,
        )
        .await?;
        for order in orders {
            match order {
                Order::Append(events, _) => appended.extend(&*events),
                Order::Settle(outcome, _) => settled.push(&*outcome),
                Order::Payload(_) => {}
                Order::Other(asked) => {
                    asked.write(connection, now).await?;
                    news.is_unusual |= asked.moves_lanes();
                }
            }
        }
        if news.is_unusual {
            self.subscribers = None;
        }
        if !appended.is_empty() {
            let subscribers = match &mut self.subscribers {
                Some(known) => known,
                unknown => unknown.insert(endpoints::subscribers(connection).await?),
            };
            events::append(connection, &appended, subscribers, now, news).await?;
        }
        deliveries::settle(connection, &settled, now, news).await?;
        if news.is_unusual {
            // A failed attempt counts against its endpoint.
            self.subscribers = None;
        }
        Ok(())
    }
}
