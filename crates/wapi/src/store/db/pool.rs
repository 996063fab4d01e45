//! Ways to the database: connections, and pools of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::OpenFlags;
use sqlx::ConnectOptions;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::connection::Kind;
use super::inline::{self, InlineConnection};
use super::{Connection, Error};

/// A file of SQLite, and how it is opened. Each commit is on the disk before it is answered.
#[derive(Debug, Clone)]
pub struct LiteFile {
    file: PathBuf,
    options: SqliteConnectOptions,
    /// Settings of each connection.
    settings: Vec<(&'static str, &'static str)>,
    patience: Duration,
}

impl LiteFile {
    /// A file that is there.
    pub fn new(file: impl AsRef<Path>) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .synchronous(SqliteSynchronous::Full);
        Self {
            file: file.as_ref().to_owned(),
            options: options.disable_statement_logging(),
            settings: vec![("synchronous", "FULL")],
            patience: Duration::from_secs(5),
        }
    }

    /// A database in memory, of one connection.
    #[cfg(test)]
    pub fn in_memory() -> Self {
        let file = Self::new(":memory:");
        let options = file.options.in_memory(true);
        Self { options, ..file }
    }

    /// Makes the file if it is missing.
    #[cfg(test)]
    pub fn create(self) -> Self {
        self.map(|options| options.create_if_missing(true))
    }

    /// Writes nothing.
    pub fn read_only(self) -> Self {
        self.map(|options| options.read_only(true))
    }

    /// Nothing else writes to it meanwhile, so it is not locked.
    pub fn immutable(self) -> Self {
        self.map(|options| options.immutable(true))
    }

    /// Nobody else opens it meanwhile.
    #[cfg(test)]
    pub fn exclusive(self) -> Self {
        self.map(|options| options.locking_mode(sqlx::sqlite::SqliteLockingMode::Exclusive))
    }

    /// Keeps a write-ahead log.
    pub fn with_log(self) -> Self {
        self.map(|options| options.journal_mode(SqliteJournalMode::Wal))
    }

    /// Waits this long for another process that holds the file.
    pub fn patient(mut self, time: Duration) -> Self {
        self.patience = time;
        self.map(|options| options.busy_timeout(time))
    }

    /// Holds references between tables, or not.
    pub fn with_references(self, are_held: bool) -> Self {
        self.with("foreign_keys", if are_held { "ON" } else { "OFF" })
    }

    /// Sets one of SQLite's settings.
    pub fn with(mut self, setting: &'static str, value: &'static str) -> Self {
        self.settings.push((setting, value));
        self.map(|options| options.pragma(setting, value))
    }

    fn map(self, change: impl FnOnce(SqliteConnectOptions) -> SqliteConnectOptions) -> Self {
        let options = change(self.options);
        Self { options, ..self }
    }

    /// Opens a connection whose statements run in the thread that asks, to a file that is there and has been
    /// prepared by another connection.
    pub fn connect_inline(&self) -> Result<Connection, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = rusqlite::Connection::open_with_flags(&self.file, flags);
        let connection = opened.map_err(inline::into_error)?;
        let waiting = connection.busy_timeout(self.patience);
        waiting.map_err(inline::into_error)?;
        let connection = InlineConnection::new(connection);
        for (setting, value) in &self.settings {
            connection.run(&format!("PRAGMA {setting} = {value}"))?;
        }
        Ok(Connection::new(Kind::Inline(connection)))
    }

    /// Opens a connection.
    pub async fn connect(&self) -> Result<Connection, Error> {
        let connection = self.options.connect().await?;
        Ok(Connection::new(Kind::Own(connection)))
    }

    /// Returns a pool of up to this many connections, opened when they are needed.
    pub fn pool(&self, connections: u32) -> Pool {
        let options = SqlitePoolOptions::new().max_connections(connections);
        Pool(options.connect_lazy_with(self.options.clone()))
    }
}

/// Connections for queries; cheap to clone.
#[derive(Clone)]
pub struct Pool(SqlitePool);

impl Pool {
    /// Returns a connection, as soon as one is free.
    pub async fn acquire(&self) -> Result<Connection, Error> {
        let connection = self.0.acquire().await?;
        Ok(Connection::new(Kind::Pooled(connection)))
    }

    /// Closes all connections, after those that are in use.
    pub async fn close(&self) {
        self.0.close().await;
    }
}
