//! Connections.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Executor, Sqlite};

use super::Error;
use super::query::Changes;

/// A connection, of its own or of a pool.
pub struct Connection {
    kind: Kind,
    /// A transaction was left without an end.
    is_left: bool,
}

enum Kind {
    Own(SqliteConnection),
    Pooled(PoolConnection<Sqlite>),
}

impl From<SqliteConnection> for Connection {
    fn from(own: SqliteConnection) -> Self {
        let kind = Kind::Own(own);
        Self {
            kind,
            is_left: false,
        }
    }
}

impl From<PoolConnection<Sqlite>> for Connection {
    fn from(pooled: PoolConnection<Sqlite>) -> Self {
        let kind = Kind::Pooled(pooled);
        Self {
            kind,
            is_left: false,
        }
    }
}

impl Connection {
    /// Returns SQLite's connection, outside of any transaction that was left.
    pub(super) async fn lite(&mut self) -> Result<&mut SqliteConnection, Error> {
        if self.is_left {
            // SQLite may have rolled it back already, or never begun it.
            match self.raw().execute("ROLLBACK").await {
                Ok(_) | Err(Error::Database(_)) => self.is_left = false,
                Err(error) => return Err(error),
            }
        }
        Ok(self.raw())
    }

    fn raw(&mut self) -> &mut SqliteConnection {
        match &mut self.kind {
            Kind::Own(connection) => connection,
            Kind::Pooled(connection) => connection,
        }
    }

    /// Runs statements without values, whose texts are constants, or built from constants.
    pub async fn execute(&mut self, sql: impl Into<String>) -> Result<Changes, Error> {
        let sql = sqlx::AssertSqlSafe(sql.into());
        let connection = self.lite().await?;
        let done = connection.execute(sqlx::raw_sql(sql)).await?;
        Ok(Changes(done.rows_affected()))
    }

    /// Begins a transaction that writes. There is none in another.
    pub async fn begin(&mut self) -> Result<Transaction<'_>, Error> {
        Transaction::begin(self, "BEGIN IMMEDIATE").await
    }

    /// Begins a transaction that reads the same state throughout.
    pub async fn begin_reading(&mut self) -> Result<Transaction<'_>, Error> {
        Transaction::begin(self, "BEGIN").await
    }

    /// Lets `is_wanted` end a statement that runs: it is asked again and again, and returns false to
    /// end it.
    pub async fn check_while_running(
        &mut self,
        steps: i32,
        is_wanted: impl Fn() -> bool + Send + 'static,
    ) -> Result<(), Error> {
        let mut handle = self.raw().lock_handle().await?;
        handle.set_progress_handler(steps, is_wanted);
        Ok(())
    }

    /// Closes it.
    pub async fn close(self) -> Result<(), Error> {
        match self.kind {
            Kind::Own(connection) => sqlx::Connection::close(connection).await,
            Kind::Pooled(connection) => connection.close().await,
        }
    }
}

/// A transaction. Unless it is committed, the next statement of the connection rolls it back; a connection
/// of a pool is closed.
pub struct Transaction<'c>(Option<&'c mut Connection>);

impl<'c> Transaction<'c> {
    async fn begin(connection: &'c mut Connection, sql: &'static str) -> Result<Self, Error> {
        // Also if nobody waits for the answer any more, it may have begun.
        let mut transaction = Self(Some(connection));
        transaction.execute(sql).await?;
        Ok(transaction)
    }

    pub async fn commit(mut self) -> Result<(), Error> {
        self.execute("COMMIT").await?;
        self.0 = None;
        Ok(())
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0.as_ref().expect("it has not ended")
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.0.as_mut().expect("it has not ended")
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.0 {
            connection.is_left = true;
            // The next one to take it from its pool would not know.
            if let Kind::Pooled(pooled) = &mut connection.kind {
                pooled.close_on_drop();
            }
        }
    }
}
