//! Chats, contacts and messages as callers look at them, in a database of their own.
//!
//! It is a projection: what follows from events is read again where it is missing. But what a phone told of the time before is told once,
//! and a session that is forgotten must stay so; so each commit is synced. All of them are large, and they hold up nobody else's.

mod batch;
mod changes;
mod chats;
mod contacts;
mod former;
mod found;
mod imported;
mod merging;
mod removal;
mod step;
mod words;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, MutexGuard};

use super::questions::Questions;
use super::{BUSY, LOG_PAGES, StoreError, migrations, retention};
use crate::durable;

pub use chats::KeptChat;
pub use former::{Former, Settled};
pub use found::{Cursor, Found, FoundReaction, Side};
pub use imported::{ImportedChat, Imports};
pub use step::{About, Change, KeptStatus, NewKept, Step};

/// The steps, oldest first. A step that was released is never changed; what it lacks is a new one.
const STEPS: [&str; 3] = [
    include_str!("../../../../../migrations/history/0001_start.sql"),
    include_str!("../../../../../migrations/history/0002_lives.sql"),
    include_str!("../../../../../migrations/history/0003_names.sql"),
];
/// Connections for callers who look. However many they are, the gateway does not wait for them.
const BROWSERS: u32 = 2;
/// Connections for the gateway itself.
const READERS: u32 = 1;
/// Bytes of messages in a page; a few more, should a single one be larger.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// What is kept; cheap to clone.
#[derive(Clone)]
pub struct Kept {
    readers: SqlitePool,
    browsers: Questions,
    writer: Arc<Mutex<Writer>>,
}

struct Writer {
    connection: SqliteConnection,
    /// Somebody began a transaction, and did not come to its end.
    is_open: bool,
}

impl Kept {
    /// Opens the database or makes it, and brings its tables up to date. One that a newer program wrote is refused.
    pub async fn open(file: &Path) -> Result<Self> {
        durable::make_file(file)
            .await
            .with_context(|| format!("making {}", file.display()))?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
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
        migrations::run_steps(&mut connection, &STEPS)
            .await
            .with_context(|| format!("preparing {name}"))?;
        let options = options.read_only(true);
        let pool = |most| {
            SqlitePoolOptions::new()
                .max_connections(most)
                .connect_lazy_with(options.clone())
        };
        let (readers, browsers) = (pool(READERS), Questions::new(pool(BROWSERS)));
        Ok(Self {
            readers,
            browsers,
            writer: Arc::new(Mutex::new(Writer {
                connection,
                is_open: false,
            })),
        })
    }

    /// The place of the newest event that is taken into account.
    pub async fn progress(&self) -> Result<i64, StoreError> {
        let mut writer = self.writer.lock().await;
        Ok(sqlx::query_scalar("SELECT seq FROM progress")
            .fetch_one(&mut writer.connection)
            .await?)
    }

    /// Takes the log of changes into the file. Nothing more is written or read.
    pub async fn close(&self) {
        self.readers.close().await;
        self.browsers.close().await;
        let Ok(mut connection) = SqliteConnectOptions::new().in_memory(true).connect().await else {
            return;
        };
        std::mem::swap(&mut self.writer.lock().await.connection, &mut connection);
        if let Err(error) = connection.close().await {
            tracing::warn!(%error, "the history's database was not closed well; nothing is lost");
        }
    }

    /// Begins a transaction. One that nobody ends, because whoever wrote stopped in the middle, is undone by the next.
    async fn begin(&self) -> Result<Open<'_>, sqlx::Error> {
        let mut writer = self.writer.lock().await;
        if writer.is_open {
            // It may have been undone by SQLite already.
            let _ = sqlx::query("ROLLBACK")
                .execute(&mut writer.connection)
                .await;
        }
        writer.is_open = true;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut writer.connection)
            .await?;
        Ok(Open(writer))
    }
}

/// A transaction.
struct Open<'a>(MutexGuard<'a, Writer>);

impl Open<'_> {
    fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.0.connection
    }

    async fn commit(mut self) -> Result<(), sqlx::Error> {
        sqlx::query("COMMIT")
            .execute(&mut self.0.connection)
            .await?;
        self.0.is_open = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
