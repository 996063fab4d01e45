//! SQLite store of the gateway: the event log, deliveries, messages, and saved sessions. No other
//! module contains SQL.
//!
//! All changes go through a single writer that commits many at once ([`writer`]), so that sessions
//! with changes at the same moment share a disk sync. Callers are answered after the sync; only the
//! success of a delivery is saved a moment later ([`webhooks`]).

mod admin;
mod engine_keys;
mod events;
pub mod history;
mod inbound;
mod lives;
mod media;
mod outbox;
mod webhooks;

mod db;
mod handles;
mod migrations;
mod read_pool;
mod sealing;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;

use crate::system::clock::Clock;
use crate::system::durable_files;
use crate::system::lifecycle::{FinishReport, Lifecycle};
use crate::system::master_key::MasterKeys;
use crate::telemetry::counters::GatewayMetrics;
use db::{LiteFile, Pool};

pub use admin::activity::notes::{
    ActivityActor, ActivityDoor, ActivityFacts, ActivityKind, ActivityOutcome,
};
pub use admin::activity::reading::{ActivityFilter, ActivityOrder, ActivityRecord};
pub use admin::api_keys::{ApiKey, ApiKeyHash};
pub use admin::commands::{RemovalMode, SavedSession, StopState};
pub use admin::connect_links::ConnectLink;
pub use admin::logins::{LoginHash, StoredLogin};
pub use admin::session_settings::SettingsChange;
pub use admin::stats::StoreStats;
pub use engine_keys::row::{EngineRow, KeyRange, RowChange, RowKind};
pub use engine_keys::{database_file, session_file};
pub use events::facts::{EventFact, NewVote};
pub use events::feed::{EventFilter, EventReader, LifeFilter, OlderEvents, StoredEvent};
pub use events::log::NewEvent;
use events::recent::RecentEvents;
pub use events::retention::{DEDUP_PERIOD, RetentionLimits};
pub use handles::{
    ActivityStore, ApiKeyStore, ConnectLinkStore, DeliveryStore, EventStore, HistoryStore,
    IdentityStore, InboundStore, LoginStore, MediaStore, OutboxStore, SessionStore, WebhookStore,
};
pub use inbound::history_sync::{StageProgress, SyncProgress, SyncStage};
use inbound::identities::IdentityCache;
pub use inbound::labels::{ChatLabelEntry, LabelChange};
pub use inbound::polls::{PollBallot, StoredPoll};
pub use inbound::undelivered::{PendingMessage, PendingPlace};
pub use inbound::unread::UnreadMessage;
pub use inbound::unreadable::UndecryptedMessage;
pub use lives::life::{AccessSince, DeviceLife, Life};
pub use lives::registry::LifeRegistry;
pub use media::records::{MediaFacts, MediaRecord, MediaState, NewMedia};
pub use outbox::attempts::AttemptMark;
pub use outbox::chat_timers::DisappearingTimer;
use outbox::chat_timers::TimerCache;
pub use outbox::departures::Departure;
pub use outbox::lookup::{RecipientProgress, SentMessage};
pub use outbox::messages::{
    AcceptOutcome, EditOutcome, IdempotencyKey, KEY_LIFETIME, MessageSeq, QueuedMessage,
    SendIntent, SendRequest,
};
pub use outbox::outcomes::{
    CANCELLED, MessageOutcome, OutcomeBatch, Receipt, ReceiptKind, SendOutcome,
};
pub use outbox::quoted::QuotedMessage;
pub use outbox::resend_cache::SentPayload;
use read_pool::ReadPool;
pub use sealing::Sealer;
pub use webhooks::deliveries::{AttemptFailure, DeliveryOutcome, SettledDelivery};
pub use webhooks::delivery_log::{DeliveryRecord, DeliveryState, FailedAttempt};
pub use webhooks::due::{DueDelivery, QueueHead};
pub use webhooks::endpoint_changes::{EndpointState, EndpointUpdate, NewEndpoint};
pub use webhooks::endpoints::{
    DisableEndpoint, DisabledReason, DisabledState, Endpoint, WakePolicy,
};
pub use webhooks::open::ReadyDeliveries;
pub use webhooks::redelivery::EventDelivery;
use writer::DatabaseWriter;

/// The time SQLite waits for another process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The size at which the write-ahead log is copied into the file, in pages of 4 KiB: seldom enough
/// that pages rewritten many times are copied once.
const CHECKPOINT_PAGES: &str = "4000";
/// The time limit for closing.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections for urgent reads; the writer has one of its own.
const READER_CONNECTIONS: u32 = 2;
/// Connections for background work: the history's projection, retention, statistics.
const BACKGROUND_CONNECTIONS: u32 = 2;
/// Connections for API reads: the feed, lists. The gateway itself never waits for them.
const API_CONNECTIONS: u32 = 2;
/// Connections for API reads of the history, apart from the others, since a search may take long.
const HISTORY_CONNECTIONS: u32 = 2;

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

impl From<db::Error> for StoreError {
    fn from(error: db::Error) -> Self {
        let text = error.to_string();
        let code = error
            .as_database_error()
            .and_then(|error| error.code())
            .and_then(|code| code.parse::<i32>().ok());
        // SQLite reports its own view; operators need advice.
        let advice = match code.map(|code| code & 0xff) {
            Some(5 | 6) => "another program has it locked; stop that program",
            Some(8) => {
                "it cannot be written; check the permissions of the data folder, and whether its disk is read-only"
            }
            Some(10) => "its disk fails to read or write; check the system's log",
            Some(11 | 26) => "its file is damaged; stop the program and restore it from a backup",
            Some(13) => "its disk is full; free some space",
            Some(14) => {
                "its file cannot be opened; check the data folder, and the limit of open files"
            }
            _ => return Self(text.into()),
        };
        Self(format!("{advice} ({text})").into())
    }
}

fn stopping_error() -> StoreError {
    StoreError("the program is ending".into())
}

/// The database of the gateway; cheap to clone.
#[derive(Clone)]
pub struct Store {
    readers: Pool,
    background: Pool,
    api_readers: ReadPool,
    history_readers: ReadPool,
    writer: DatabaseWriter,
    recent: Arc<RecentEvents>,
    lives: Arc<LifeRegistry>,
    sealer: Sealer,
    timers: Arc<TimerCache>,
    stats: Arc<tokio::sync::Mutex<StoreStats>>,
    meters: Arc<GatewayMetrics>,
    /// Events after this position are not read yet and must not be removed.
    held_after: Arc<AtomicI64>,
    identity_cache: Arc<IdentityCache>,
    /// Ids of persons who were only mentioned.
    mention_cache: Arc<IdentityCache>,
    /// A group of its own, since the writer stops after all tasks that save something.
    tasks: Lifecycle,
    clock: Clock,
}

impl Store {
    /// Opens or creates a database that is not sealed.
    #[cfg(test)]
    pub async fn open(file: &Path, clock: Clock) -> Result<Self> {
        Self::open_sealed(file, None, clock).await
    }

    /// Opens or creates the database, and migrates its schema. Refuses a database that a newer
    /// version wrote, and one that is sealed without its master key, before anything is written. A
    /// master key seals the keys of sessions, or takes the seal off them.
    pub async fn open_sealed(file: &Path, keys: Option<&MasterKeys>, clock: Clock) -> Result<Self> {
        Self::open_with(LiteFile::new(file), file, keys, clock).await
    }

    /// Returns whether there is a database that has its keys sealed. Writes nothing.
    pub async fn is_sealed(file: &Path) -> Result<bool> {
        if !tokio::fs::try_exists(file).await? {
            return Ok(false);
        }
        let opened = LiteFile::new(file).read_only().connect().await;
        let name = file.display();
        let mut connection = opened.with_context(|| format!("opening {name}"))?;
        let is_sealed = sealing::is_sealed(&mut connection).await;
        connection.close().await?;
        is_sealed.with_context(|| format!("reading {name}"))
    }

    async fn open_with(
        options: LiteFile,
        file: &Path,
        keys: Option<&MasterKeys>,
        clock: Clock,
    ) -> Result<Self> {
        durable_files::create_file(file)
            .await
            .with_context(|| format!("making {}", file.display()))?;
        let options = options
            .with_log()
            .patient(BUSY_TIMEOUT)
            .with_references(true)
            // The rollback of a large statement needs no file.
            .with("temp_store", "memory")
            .with("wal_autocheckpoint", CHECKPOINT_PAGES);
        let name = file.display();
        let mut connection = options
            .connect()
            .await
            .with_context(|| format!("opening {name}"))?;
        sealing::check_master_key(&mut connection, keys)
            .await
            .with_context(|| format!("opening {name}"))?;
        sealing::erase_deleted(&mut connection, keys)
            .await
            .with_context(|| format!("opening {name}"))?;
        events::retention::make_shrinkable(&mut connection)
            .await
            .with_context(|| format!("preparing {name}"))?;
        migrations::run_migrations(&mut connection)
            .await
            .with_context(|| format!("preparing {name}"))?;
        let sealer = sealing::open_sealer(&mut connection, keys)
            .await
            .with_context(|| format!("preparing {name}"))?;
        history::move_history(&mut connection, file).await?;
        let timers = Arc::new(
            TimerCache::load(&mut connection)
                .await
                .with_context(|| format!("reading {name}"))?,
        );
        let lives = LifeRegistry::load(&mut connection, clock.clone())
            .await
            .with_context(|| format!("reading {name}"))?;
        let lives = Arc::new(lives);
        let (open, cursor) = webhooks::open::cursor::open_deliveries(&mut connection)
            .await
            .with_context(|| format!("reading {name}"))?;
        let newest = events::feed::newest_position(&mut connection)
            .await
            .with_context(|| format!("reading {name}"))?;
        let recent = Arc::new(RecentEvents::new(newest));
        // The writer has a thread of its own, in which its statements run. The last connection to be closed
        // would have written the log back, so this one is opened before.
        let writing = options
            .connect_inline()
            .with_context(|| format!("opening {name}"))?;
        connection
            .close()
            .await
            .with_context(|| format!("opening {name}"))?;
        let options = options.read_only();
        let (readers, chores) = (
            options.pool(READER_CONNECTIONS),
            options.pool(BACKGROUND_CONNECTIONS),
        );
        let api_readers = ReadPool::new(options.pool(API_CONNECTIONS));
        let history_readers = ReadPool::new(options.pool(HISTORY_CONNECTIONS));
        let tasks = Lifecycle::new();
        let meters = Arc::<GatewayMetrics>::default();
        let writer = DatabaseWriter::start(
            writing,
            (open, cursor, Arc::clone(&recent)),
            Arc::clone(&lives),
            sealer.clone(),
            clock.clone(),
            Arc::clone(&meters),
            &tasks,
        )
        .context("starting the writer's thread")?;
        let (numbers, held) = (Arc::default(), Arc::new(AtomicI64::new(i64::MAX)));
        let (remembered, mentioned) = Default::default();
        let store = Self {
            readers,
            background: chores,
            api_readers,
            history_readers,
            writer,
            recent,
            lives,
            sealer,
            timers,
            stats: numbers,
            meters,
            held_after: held,
            identity_cache: remembered,
            mention_cache: mentioned,
            tasks,
            clock,
        };
        store.start_event_count().await;
        Ok(store)
    }

    /// Saves pending changes and closes the file, at the end of the program.
    pub async fn close(&self) -> FinishReport {
        if let Err(error) = self.activity().save_notes().await {
            tracing::warn!(%error, "failed to save the last activity");
        }
        // The writer's connection is then the last one, and checkpoints the write-ahead log.
        self.readers.close().await;
        self.background.close().await;
        self.api_readers.close().await;
        self.history_readers.close().await;
        self.tasks.finish(&self.clock, CLOSE_TIMEOUT).await
    }

    /// What seals the keys of sessions, also outside the database.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Completes after a commit that may have made deliveries due.
    pub async fn wait_for_commit(&self) {
        self.writer.wait_for_commit().await;
    }

    /// Returns the counters of the running program.
    pub fn meters(&self) -> &GatewayMetrics {
        &self.meters
    }

    /// Returns the current error while nothing can be saved.
    pub fn write_error(&self) -> Option<StoreError> {
        self.writer.write_error()
    }
}

/// Converts milliseconds from the database, which are always in range.
fn to_timestamp(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
