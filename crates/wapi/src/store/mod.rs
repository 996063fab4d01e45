//! SQLite store of the gateway: the event log, deliveries, messages, and saved sessions. No other
//! module contains SQL.
//!
//! All changes go through a single writer that commits many at once ([`writer`]), so that sessions
//! with changes at the same moment share a disk sync. Callers are answered after the sync.

pub mod kept;
pub mod session_file;

mod abandoned;
mod api_keys;
mod cutting;
mod deliveries;
mod due;
mod endpoint_changes;
mod endpoints;
mod events;
mod failure;
mod feed;
mod fresh;
mod history;
mod identities;
mod life;
mod lives;
mod media;
mod media_retention;
mod messages;
mod migrations;
mod newsletters;
mod numbers;
mod outcomes;
mod past;
mod payloads;
mod pending;
mod polls;
mod purging;
mod questions;
mod reading;
mod reads;
mod retention;
mod sent;
mod sessions;
mod settled;
mod tail;
mod timers;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use sqlx::ConnectOptions;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use tokio::sync::watch;

use crate::clock::Clock;
use crate::durable;
use crate::lifecycle::{Finish, Lifecycle};
use crate::meters::Meters;

pub use api_keys::{ApiKey, KeyHash};
pub use deliveries::{Failed, Outcome, Settled};
pub use due::{Due, Head};
pub use endpoint_changes::{EndpointChange, EndpointState, NewEndpoint};
pub use endpoints::{DisableEndpoint, Disabled, DisabledReason, Endpoint, Wake};
pub use events::NewEvent;
pub use feed::{Lived, Reader, Saved, Wanted};
pub use fresh::Fresh;
pub use history::{Delivery, DeliveryState, FailedAttempt};
use identities::Remembered;
pub use life::{Life, Lifeline, Since};
pub use lives::Lives;
pub use media::{MediaFacts, MediaRecord, MediaState, NewMedia};
pub use messages::{
    Acceptance, Accepted, Departure, IdempotencyKey, KEY_LIFETIME, NewMessage, OpenMessage, Place,
    Rewording,
};
pub use numbers::Numbers;
pub use outcomes::{CANCELLED, Judged, Outcomes, Receipt, ReceiptKind, Verdict};
pub use past::{Past, Reached, Stage};
pub use payloads::Payload;
pub use pending::Pending;
pub use polls::{Ballot, Poll};
use questions::Questions;
pub use reads::Unread;
pub use retention::{Cut, Window};
pub use sent::{Progress, Quoted, SentMessage};
pub use sessions::{Leave, Ordered, Stop};
use tail::Tail;
pub use timers::Timer;
use timers::Timers;
use writer::Writer;

/// The time SQLite waits for another process that holds the file.
const BUSY: Duration = Duration::from_secs(5);
/// The size at which the write-ahead log is copied into the file, in pages of 4 KiB: seldom enough
/// that pages rewritten many times are copied once.
const LOG_PAGES: &str = "4000";
/// The time limit for closing.
const CLOSING: Duration = Duration::from_secs(10);
/// Connections for urgent reads; the writer has one of its own.
const READERS: u32 = 2;
/// Connections for background work: the history, retention, statistics.
const CHORES: u32 = 2;
/// Connections for API reads: the feed, lists. The gateway itself never waits for them.
const BROWSERS: u32 = 2;

/// The database failed to save or read. Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the database failed: {0}")]
pub struct StoreError(Arc<str>);

impl StoreError {
    /// Wraps an error that is not from a statement.
    pub fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string().into())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let said = error.to_string();
        let code = error
            .as_database_error()
            .and_then(|error| error.code())
            .and_then(|code| code.parse::<i32>().ok());
        // SQLite reports its own view; operators need advice.
        let advice = match code.map(|code| code & 0xff) {
            Some(5 | 6) => "another program holds it; end that one",
            Some(8) => {
                "it cannot be written; look at the rights of the data folder, and whether its disk is read-only"
            }
            Some(10) => "its disk does not read or write; look at the system's log",
            Some(11 | 26) => "its file is damaged; end the program and restore it from a copy",
            Some(13) => "its disk is full; make room",
            Some(14) => {
                "its file cannot be opened; look at the data folder, and at how many files may be open"
            }
            _ => return Self(said.into()),
        };
        Self(format!("{advice} ({said})").into())
    }
}

fn ended() -> StoreError {
    StoreError("the program is ending".into())
}

/// The database of the gateway; cheap to clone.
#[derive(Clone)]
pub struct Store {
    readers: SqlitePool,
    chores: SqlitePool,
    browsers: Questions,
    writer: Writer,
    tail: Arc<Tail>,
    lives: Arc<Lives>,
    timers: Arc<Timers>,
    numbers: Arc<tokio::sync::Mutex<Numbers>>,
    meters: Arc<Meters>,
    /// Events after this position are not read yet and must not be removed.
    held: Arc<AtomicI64>,
    remembered: Arc<Remembered>,
    /// Ids of persons who were only mentioned.
    mentioned: Arc<Remembered>,
    /// A group of its own, since the writer stops after all tasks that save something.
    tasks: Lifecycle,
    clock: Clock,
}

impl Store {
    /// Opens or creates the database, and migrates its schema. Refuses a database that a newer
    /// version wrote.
    pub async fn open(file: &Path, clock: Clock) -> Result<Self> {
        Self::open_with(
            SqliteConnectOptions::new().synchronous(SqliteSynchronous::Full),
            file,
            clock,
        )
        .await
    }

    async fn open_with(options: SqliteConnectOptions, file: &Path, clock: Clock) -> Result<Self> {
        durable::make_file(file)
            .await
            .with_context(|| format!("making {}", file.display()))?;
        let options = options
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(BUSY)
            .foreign_keys(true)
            // The rollback of a large statement needs no file.
            .pragma("temp_store", "memory")
            .pragma("wal_autocheckpoint", LOG_PAGES)
            .disable_statement_logging();
        let name = file.display();
        let mut connection = options
            .connect()
            .await
            .with_context(|| format!("opening {name}"))?;
        retention::make_shrinkable(&mut connection)
            .await
            .with_context(|| format!("preparing {name}"))?;
        migrations::run(&mut connection)
            .await
            .with_context(|| format!("preparing {name}"))?;
        let timers = Arc::new(
            Timers::load(&mut connection)
                .await
                .with_context(|| format!("reading {name}"))?,
        );
        let lives = Lives::load(&mut connection, clock.clone())
            .await
            .with_context(|| format!("reading {name}"))?;
        let lives = Arc::new(lives);
        let options = options.read_only(true);
        let pool = |most| {
            SqlitePoolOptions::new()
                .max_connections(most)
                .connect_lazy_with(options.clone())
        };
        let (readers, chores, browsers) =
            (pool(READERS), pool(CHORES), Questions::new(pool(BROWSERS)));
        let tasks = Lifecycle::new();
        let meters = Arc::<Meters>::default();
        let writer = Writer::start(
            connection,
            Arc::clone(&lives),
            clock.clone(),
            Arc::clone(&meters),
            &tasks,
        );
        let tail = Tail::start(chores.clone(), Arc::clone(&lives), writer.commits(), &tasks);
        let (numbers, held) = (Arc::default(), Arc::new(AtomicI64::new(i64::MAX)));
        let (remembered, mentioned) = Default::default();
        let store = Self {
            readers,
            chores,
            browsers,
            writer,
            tail,
            lives,
            timers,
            numbers,
            meters,
            held,
            remembered,
            mentioned,
            tasks,
            clock,
        };
        store.start_counting().await?;
        Ok(store)
    }

    /// Saves pending changes and closes the file, at the end of the program.
    pub async fn close(&self) -> Finish {
        // The writer's connection is then the last one, and checkpoints the write-ahead log.
        self.readers.close().await;
        self.chores.close().await;
        self.browsers.close().await;
        self.tasks.finish(&self.clock, CLOSING).await
    }

    /// Returns a receiver that is notified of every commit from now on.
    pub fn commits(&self) -> watch::Receiver<()> {
        self.writer.commits()
    }

    /// Completes after a commit that may have made deliveries due.
    pub async fn changed(&self) {
        self.writer.changed().await;
    }

    /// Returns the counters of the running program.
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Returns the current error while nothing can be saved.
    pub fn trouble(&self) -> Option<StoreError> {
        self.writer.trouble()
    }
}

/// Converts milliseconds from the database, which are always in range.
fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
