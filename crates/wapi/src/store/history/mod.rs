//! The history's own database: chats, contacts and messages as callers query them.
//!
//! It is a projection: missing data that follows from events is read again. But a history sync
//! comes only once, and a forgotten session must stay forgotten; so each commit is synced. The
//! commits are large, and delay no other database.

mod batch;
mod changes;
mod chats;
mod contacts;
mod import;
mod merging;
mod migration_to_lives;
mod mutation;
mod removal;
mod search;
mod tokenizer;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, MutexGuard};

use super::events::retention;
use super::read_pool::ReadPool;
use super::{BUSY_TIMEOUT, CHECKPOINT_PAGES, StoreError, migrations};
use crate::system::durable_files;

pub use chats::{OldestMessage, StoredChat};
pub use import::{HistoryImport, ImportedChat};
pub use migration_to_lives::{NameAssignment, UnassignedName};
pub use mutation::{
    ChangeTarget, HistoryChange, HistoryMutation, MessageProgress, NewHistoryMessage,
};
pub use search::{HistoryCursor, PageAnchor, StoredMessage, StoredReaction};

/// The migrations, oldest first. A released one is never changed; corrections are new migrations.
const STEPS: [&str; 4] = [
    include_str!("../../../../../migrations/history/0001_start.sql"),
    include_str!("../../../../../migrations/history/0002_lives.sql"),
    include_str!("../../../../../migrations/history/0003_names.sql"),
    include_str!("../../../../../migrations/history/0004_usernames.sql"),
];
/// Connections for callers' queries. However many callers there are, the gateway does not wait for
/// them.
const BROWSERS: u32 = 2;
/// Connections for the gateway itself.
const READERS: u32 = 1;
/// Bytes of messages in a page; exceeded only by a single larger message.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The history database; cheap to clone.
#[derive(Clone)]
pub struct HistoryDb {
    readers: SqlitePool,
    browsers: ReadPool,
    writer: Arc<Mutex<HistoryWriter>>,
}

struct HistoryWriter {
    connection: SqliteConnection,
    /// A transaction was begun and has not ended.
    is_open: bool,
}

impl HistoryDb {
    /// Opens or creates the database, and migrates its tables. Fails if a newer version wrote it.
    pub async fn open(file: &Path) -> Result<Self> {
        durable_files::create_file(file)
            .await
            .with_context(|| format!("making {}", file.display()))?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("temp_store", "memory")
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
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
        let pool = |max_connections| {
            SqlitePoolOptions::new()
                .max_connections(max_connections)
                .connect_lazy_with(options.clone())
        };
        let (readers, browsers) = (pool(READERS), ReadPool::new(pool(BROWSERS)));
        Ok(Self {
            readers,
            browsers,
            writer: Arc::new(Mutex::new(HistoryWriter {
                connection,
                is_open: false,
            })),
        })
    }

    /// Returns the sequence number of the last processed event.
    pub async fn processed_seq(&self) -> Result<i64, StoreError> {
        let mut writer = self.writer.lock().await;
        Ok(sqlx::query_scalar("SELECT seq FROM progress")
            .fetch_one(&mut writer.connection)
            .await?)
    }

    /// Checkpoints the write-ahead log into the file and closes the database.
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

    /// Begins a transaction. One that was abandoned in the middle is rolled back by the next.
    async fn begin(&self) -> Result<HistoryTransaction<'_>, sqlx::Error> {
        let mut writer = self.writer.lock().await;
        if writer.is_open {
            // SQLite may have rolled it back already.
            let _ = sqlx::query("ROLLBACK")
                .execute(&mut writer.connection)
                .await;
        }
        writer.is_open = true;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut writer.connection)
            .await?;
        Ok(HistoryTransaction(writer))
    }
}

/// A transaction.
struct HistoryTransaction<'a>(MutexGuard<'a, HistoryWriter>);

impl HistoryTransaction<'_> {
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
