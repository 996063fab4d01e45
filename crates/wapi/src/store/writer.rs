//! The one writer: takes changes from everybody, saves as many as are there in one transaction, and answers after the disk has it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::{NewEvent, Settled, StoreError, deliveries, events};
use crate::clock::Clock;
use crate::lifecycle::Lifecycle;

/// Changes that may wait for the writer. When so many do, whoever brings one waits.
const ROOM: usize = 4_096;
/// Changes in one transaction at most.
const AT_ONCE: usize = 512;
/// How long the writer rests after a failure, so that a full disk is not asked a thousand times a second.
const REST: Duration = Duration::from_millis(100);

/// One thing to save.
enum Change {
    Endpoint { id: String, url: String },
    Append(Vec<NewEvent>),
    Settle(Settled),
}

struct Order {
    change: Change,
    done: oneshot::Sender<Result<(), StoreError>>,
}

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
}

impl Shared {
    fn set_trouble(&self, trouble: Option<StoreError>) {
        let mut current = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*current, &trouble) {
            (None, Some(error)) => tracing::error!(%error, "nothing can be saved; WhatsApp keeps what comes in"),
            (Some(_), None) => tracing::info!("saving works again"),
            _ => {}
        }
        *current = trouble;
    }
}

impl Writer {
    pub fn start(connection: SqliteConnection, clock: Clock, lifecycle: &Lifecycle) -> Self {
        let (orders, incoming) = mpsc::channel(ROOM);
        let shared = Arc::<Shared>::default();
        let task = Task { connection, clock, shared: Arc::clone(&shared) };
        lifecycle.spawn(task.run(incoming, lifecycle.clone()));
        Self { orders, shared }
    }

    pub async fn put_endpoint(&self, id: &str, url: &str) -> Result<(), StoreError> {
        self.order(Change::Endpoint { id: id.to_owned(), url: url.to_owned() }).await
    }

    pub async fn append(&self, events: Vec<NewEvent>) -> Result<(), StoreError> {
        self.order(Change::Append(events)).await
    }

    pub async fn settle(&self, settled: Settled) -> Result<(), StoreError> {
        self.order(Change::Settle(settled)).await
    }

    async fn order(&self, change: Change) -> Result<(), StoreError> {
        let ended = || StoreError("the program is ending".into());
        let (done, answer) = oneshot::channel();
        self.orders.send(Order { change, done }).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Completes when something was saved. A change that came just before is not missed.
    pub async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    pub fn commits(&self) -> watch::Receiver<()> {
        self.shared.commits.subscribe()
    }

    pub fn trouble(&self) -> Option<StoreError> {
        self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Task {
    connection: SqliteConnection,
    clock: Clock,
    shared: Arc<Shared>,
}

impl Task {
    /// Works until it is told to stop and has saved what was brought before that.
    async fn run(mut self, mut incoming: mpsc::Receiver<Order>, lifecycle: Lifecycle) {
        let mut orders = Vec::with_capacity(AT_ONCE);
        loop {
            let count = tokio::select! {
                biased;
                count = incoming.recv_many(&mut orders, AT_ONCE) => count,
                () = lifecycle.stopping() => break,
            };
            if count == 0 {
                break;
            }
            self.save(&mut orders).await;
        }
        let _ = self.connection.close().await;
    }

    /// Saves all together; if that fails, one by one, so that one impossible change does not take the others with it.
    async fn save(&mut self, orders: &mut Vec<Order>) {
        let changes: Vec<&Change> = orders.iter().map(|order| &order.change).collect();
        match self.commit(&changes).await {
            Ok(()) => {
                self.shared.set_trouble(None);
                for order in orders.drain(..) {
                    let _ = order.done.send(Ok(()));
                }
            }
            Err(error) if orders.len() == 1 => {
                self.shared.set_trouble(Some(error.clone()));
                for order in orders.drain(..) {
                    let _ = order.done.send(Err(error.clone()));
                }
                self.clock.sleep(REST).await;
            }
            Err(_) => {
                for order in orders.drain(..) {
                    let outcome = self.commit(&[&order.change]).await;
                    self.shared.set_trouble(outcome.clone().err());
                    let _ = order.done.send(outcome);
                }
            }
        }
        self.shared.changed.notify_one();
        self.shared.commits.send_replace(());
    }

    /// One transaction, on the disk when this returns.
    async fn commit(&mut self, changes: &[&Change]) -> Result<(), StoreError> {
        let now = self.clock.now();
        // The lock for writing is taken at once: a transaction that starts with a question could find it taken later and fail.
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let (mut appended, mut settled) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Endpoint { id, url } => deliveries::put_endpoint(&mut transaction, id, url, now).await?,
                Change::Append(events) => appended.extend(events),
                Change::Settle(outcome) => settled.push(outcome),
            }
        }
        let inserted = events::insert(&mut transaction, &appended, now).await?;
        deliveries::insert(&mut transaction, &inserted, now).await?;
        deliveries::settle(&mut transaction, &settled, now).await?;
        Ok(transaction.commit().await?)
    }
}
