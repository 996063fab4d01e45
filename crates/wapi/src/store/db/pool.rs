//! Ways to the database: connections, and pools of them.

use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::{Connection, Error};

/// A file of SQLite, and how it is opened. Each commit is on the disk before it is answered.
#[derive(Debug, Clone)]
pub struct LiteFile(SqliteConnectOptions);

impl LiteFile {
    /// A file that is there.
    pub fn new(file: impl AsRef<Path>) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .synchronous(SqliteSynchronous::Full);
        Self(options.disable_statement_logging())
    }

    /// A database in memory, of one connection.
    #[cfg(test)]
    pub fn in_memory() -> Self {
        let options = SqliteConnectOptions::new().in_memory(true);
        Self(options.disable_statement_logging())
    }

    /// Makes the file if it is missing.
    #[cfg(test)]
    pub fn create(self) -> Self {
        Self(self.0.create_if_missing(true))
    }

    /// Writes nothing.
    pub fn read_only(self) -> Self {
        Self(self.0.read_only(true))
    }

    /// Nothing else writes to it meanwhile, so it is not locked.
    pub fn immutable(self) -> Self {
        Self(self.0.immutable(true))
    }

    /// Nobody else opens it meanwhile.
    #[cfg(test)]
    pub fn exclusive(self) -> Self {
        Self(
            self.0
                .locking_mode(sqlx::sqlite::SqliteLockingMode::Exclusive),
        )
    }

    /// Keeps a write-ahead log.
    pub fn with_log(self) -> Self {
        Self(self.0.journal_mode(SqliteJournalMode::Wal))
    }

    /// Waits this long for another process that holds the file.
    pub fn patient(self, time: Duration) -> Self {
        Self(self.0.busy_timeout(time))
    }

    /// Holds references between tables, or not.
    pub fn with_references(self, are_held: bool) -> Self {
        Self(self.0.foreign_keys(are_held))
    }

    /// Sets one of SQLite's settings.
    pub fn with(self, setting: &'static str, value: &'static str) -> Self {
        Self(self.0.pragma(setting, value))
    }

    /// Opens a connection.
    pub async fn connect(&self) -> Result<Connection, Error> {
        Ok(self.0.connect().await?.into())
    }

    /// Returns a pool of up to this many connections, opened when they are needed.
    pub fn pool(&self, connections: u32) -> Pool {
        let options = SqlitePoolOptions::new().max_connections(connections);
        Pool(options.connect_lazy_with(self.0.clone()))
    }
}

/// Connections for queries; cheap to clone.
#[derive(Clone)]
pub struct Pool(SqlitePool);

impl Pool {
    /// Returns a connection, as soon as one is free.
    pub async fn acquire(&self) -> Result<Connection, Error> {
        Ok(self.0.acquire().await?.into())
    }

    /// Closes all connections, after those that are in use.
    pub async fn close(&self) {
        self.0.close().await;
    }
}
