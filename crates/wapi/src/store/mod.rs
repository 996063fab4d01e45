//! The only room with SQL: what must not be lost, and the saved sessions.
//!
//! Everything goes through one writer that commits many changes at once ([`writer`]), so that a disk sync is shared by all sessions
//! that have something to save at the moment. Whoever asks for a change is answered after the sync.

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

/// How long SQLite waits for another process that holds the file.
const BUSY: Duration = Duration::from_secs(5);
/// How large the write-ahead log grows before it is copied into the file, in pages of 4 KiB: seldom enough that pages written again
/// and again are copied once.
const LOG_PAGES: &str = "4000";
/// How long closing may take.
const CLOSING: Duration = Duration::from_secs(10);
/// Connections for questions; the writer has one of its own.
const READERS: u32 = 2;
/// Connections for what the gateway does beside: the history, retention, the numbers.
const CHORES: u32 = 2;
/// Connections for callers who look around: the feed, the lists. However many they are, the gateway does not wait for them.
const BROWSERS: u32 = 2;

/// Why something could not be saved or read. Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the database failed: {0}")]
pub struct StoreError(Arc<str>);

impl StoreError {
    /// Something else than a statement went wrong.
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
        // SQLite's words say what it did; an operator asks what to do.
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
    /// Events after this place are still to be read.
    held: Arc<AtomicI64>,
    remembered: Arc<Remembered>,
    /// The same of those who were only mentioned.
    mentioned: Arc<Remembered>,
    /// A family of its own: the writer ends after everybody who has something to save.
    tasks: Lifecycle,
    clock: Clock,
}

impl Store {
    /// Opens the database or makes it, and brings its tables up to date. One that a newer program wrote is refused.
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
            // A statement that touches many rows can be undone from memory as well as from a file.
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

    /// Saves what was brought so far and closes the file. For the very end of the program.
    pub async fn close(&self) -> Finish {
        // The writer's is the last connection then, and takes the log of changes into the file.
        self.readers.close().await;
        self.chores.close().await;
        self.browsers.close().await;
        self.tasks.finish(&self.clock, CLOSING).await
    }

    /// Rings at every commit from now on.
    pub fn commits(&self) -> watch::Receiver<()> {
        self.writer.commits()
    }

    /// Completes when something was saved that may be due.
    pub async fn changed(&self) {
        self.writer.changed().await;
    }

    /// What is counted while the program runs.
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// What is wrong, while nothing can be saved.
    pub fn trouble(&self) -> Option<StoreError> {
        self.writer.trouble()
    }
}

/// The times in the database are ours, so they are in range.
fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
