//! The one writer: takes changes from everybody, saves as many as are there in one transaction, and answers after the disk has it.

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

/// Changes that may wait for the writer. When so many do, whoever brings one waits.
const ROOM: usize = 4_096;
/// Changes in one transaction at most.
const AT_ONCE: usize = 512;
/// From the beginning of one commit to that of the next, at least, where many wait: more changes share the cost of each. Measured: with
/// 4 ms instead of none, a received message takes a tenth less CPU.
const PACE: Duration = Duration::from_millis(3);
/// So many changes at a time are many. Whoever sends one message after the other brings two at most, its own and what became of the
/// one before, and would wait for nobody's company.
const MANY: usize = 4;
/// How often the writer tries by itself while nothing can be saved.
const PROBE: Duration = Duration::from_secs(1);
/// How long the writer rests after a failure, so that a full disk is not asked a thousand times a second.
const REST: Duration = Duration::from_millis(100);
/// How long whoever has brought a change waits at most to learn that it failed, where it may still be found after a crash.
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

    /// Returns once it is under way.
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

    /// Completes when something was saved. A change that came just before is not missed.
    pub async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// What has become due since the last call.
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
    /// As they are in the database, until something is changed that may concern them.
    subscribers: Option<Vec<Subscriber>>,
    /// When the last commit began, on the clock's uptime.
    last_begun: Duration,
    /// How many changes it had that somebody waits for.
    last_had: usize,
}

impl Task {
    /// Works until it is told to stop and has saved what was brought before that.
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
                // Nobody may have anything to save for a while, and readiness should not wait for them.
                () = self.clock.sleep(PROBE), if is_in_trouble => self.probe().await,
            }
        }
        let _ = self.connection.close().await;
    }

    /// Rests when the last commit has only just begun, and it had many changes or as many wait. Whoever comes after a quiet moment, or
    /// alone, does not wait.
    async fn keep_pace(&self, waiting: usize) {
        if self.last_had.max(waiting) < MANY {
            return;
        }
        let rest = (self.last_begun + PACE).saturating_sub(self.clock.uptime());
        if !rest.is_zero() {
            self.clock.sleep(rest).await;
        }
    }

    /// Saves all together; if one of them is at fault, one by one, so that it does not take the others with it.
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

    /// A write that changes nothing, to see whether writing works again.
    async fn probe(&mut self) {
        let outcome = self.touch().await;
        self.shared
            .set_trouble(outcome.map_err(Failure::into_error).err());
    }

    /// Writes without changing anything: the first page of the file always, whatever is in the tables.
    async fn touch(&mut self) -> Result<(), Failure> {
        let (done, _) = oneshot::channel();
        self.commit(&mut [Order::Other(Box::new(Asked {
            change: Touch,
            answer: None,
            done,
        }))])
        .await
    }

    /// One transaction. If it failed, the next program does not find it either.
    ///
    /// A transaction that could not be synced stands whole in SQLite's log. Were the program killed
    /// now, the next one would carry it out, although its caller was told that it failed and may
    /// have asked again. So another one is written over it before anybody is told. Where that does
    /// not succeed within [`DOUBT`] the caller is told all the same, and the doubt stays.
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

    /// One transaction, on the disk when this returns.
    ///
    /// Written out instead of left to the library: SQLite rolls back by itself when the disk is full, and the library would miscount.
    async fn commit(&mut self, orders: &mut [Order]) -> Result<(), Failure> {
        let started = self.clock.uptime();
        self.last_begun = started;
        self.last_had = orders
            .iter()
            .filter(|order| order.payload().is_none())
            .count();
        // The lock for writing is taken at once: a transaction that starts with a question could find it taken later and fail.
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut self.connection)
            .await
            .map_err(Failure::database)?;
        // A change that panics is one that failed; the writer is everybody's.
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
            // Fails when SQLite has done it already, and then there is nothing to do.
            let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
            self.meters.failed_commits.add(1);
            // Whether it reached the disk all the same is not known.
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
        // First, so that nothing is of a life that nobody knows.
        lives::save(connection, begun).await?;
        let (mut appended, mut settled) = (Vec::new(), Vec::new());
        // First, so that whoever asks for one finds it.
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
            // A failed attempt is counted against its endpoint.
            self.subscribers = None;
        }
        Ok(())
    }
}
