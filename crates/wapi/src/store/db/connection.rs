//! Connections.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Executor, Sqlite};

use super::Error;
use super::inline::InlineConnection;
use super::query::Changes;

/// A connection, of its own or of a pool.
pub struct Connection {
    kind: Kind,
    /// A transaction was left without an end.
    is_left: bool,
}

/// What it is on.
pub(super) enum Kind {
    Own(SqliteConnection),
    Pooled(PoolConnection<Sqlite>),
    Inline(InlineConnection),
}

/// What runs a statement.
pub(super) enum Runner<'c> {
    Lite(&'c mut SqliteConnection),
    Inline(&'c mut InlineConnection),
}

impl Connection {
    pub(super) fn new(kind: Kind) -> Self {
        let is_left = false;
        Self { kind, is_left }
    }

    /// Returns what runs a statement, outside of any transaction that was left.
    pub(super) async fn runner(&mut self) -> Result<Runner<'_>, Error> {
        if self.is_left {
            // SQLite may have rolled it back already, or never begun it.
            match run(self.raw(), "ROLLBACK".to_owned()).await {
                Ok(_) | Err(Error::Database(_)) => self.is_left = false,
                Err(error) => return Err(error),
            }
        }
        Ok(self.raw())
    }

    fn raw(&mut self) -> Runner<'_> {
        match &mut self.kind {
            Kind::Own(connection) => Runner::Lite(connection),
            Kind::Pooled(connection) => Runner::Lite(connection),
            Kind::Inline(connection) => Runner::Inline(connection),
        }
    }

    /// Runs statements without values, whose texts are constants, or built from constants.
    pub async fn execute(&mut self, sql: impl Into<String>) -> Result<Changes, Error> {
        run(self.runner().await?, sql.into()).await
    }

    /// Begins a transaction that writes. There is none in another.
    pub async fn begin(&mut self) -> Result<Transaction<'_>, Error> {
        Transaction::begin(self, "BEGIN IMMEDIATE").await
    }

    /// Begins a transaction that reads the same state throughout.
    pub async fn begin_reading(&mut self) -> Result<Transaction<'_>, Error> {
        Transaction::begin(self, "BEGIN").await
    }

    /// Lets `is_wanted` end a statement that runs in another thread: it is asked again and again, and
    /// returns false to end it.
    pub async fn check_while_running(
        &mut self,
        steps: i32,
        is_wanted: impl Fn() -> bool + Send + 'static,
    ) -> Result<(), Error> {
        let Runner::Lite(connection) = self.raw() else {
            unreachable!("statements of this connection run in the thread that asks");
        };
        let mut handle = connection.lock_handle().await?;
        handle.set_progress_handler(steps, is_wanted);
        Ok(())
    }

    /// Closes it.
    pub async fn close(self) -> Result<(), Error> {
        match self.kind {
            Kind::Own(connection) => sqlx::Connection::close(connection).await,
            Kind::Pooled(connection) => connection.close().await,
            Kind::Inline(connection) => connection.close(),
        }
    }
}

async fn run(runner: Runner<'_>, sql: String) -> Result<Changes, Error> {
    Ok(Changes(match runner {
        Runner::Inline(connection) => connection.run(&sql)?,
        Runner::Lite(connection) => {
            let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
            connection.execute(sql).await?.rows_affected()
        }
    }))
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
