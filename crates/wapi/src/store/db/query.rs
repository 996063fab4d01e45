//! Statements.

use std::borrow::Cow;

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite};

use super::Error;
use super::connection::{Connection, Runner};
use super::pool::Pool;
use super::row::{FromColumn, FromRow, Row};
use super::value::{IntoValue, Value};

/// A statement with its values.
#[must_use = "a statement does nothing until it is run"]
pub struct Query<'q> {
    sql: Cow<'static, str>,
    values: Vec<Value<'q>>,
}

/// A statement whose rows are read into `T`.
#[must_use = "a statement does nothing until it is run"]
pub struct QueryAs<'q, T> {
    query: Query<'q>,
    read: fn(&Row) -> Result<T, Error>,
}

/// What a statement has changed.
#[derive(Debug, Clone, Copy)]
pub struct Changes(pub(super) u64);

impl Changes {
    /// Returns the number of rows.
    pub const fn rows_affected(self) -> u64 {
        self.0
    }
}

/// Returns a statement. Its text has `$1` for the first value; it is a constant, or built from constants.
pub fn query<'q>(sql: impl Into<Cow<'static, str>>) -> Query<'q> {
    Query {
        sql: sql.into(),
        values: Vec::new(),
    }
}

/// Returns a statement whose rows are read into `T`.
pub fn query_as<'q, T: FromRow>(sql: impl Into<Cow<'static, str>>) -> QueryAs<'q, T> {
    query(sql).read_by(T::from_row)
}

/// Returns a statement of which the first column is read.
pub fn query_scalar<'q, T>(sql: impl Into<Cow<'static, str>>) -> QueryAs<'q, T>
where
    T: for<'r> FromColumn<'r>,
{
    query(sql).read_by(|row| row.try_get(0))
}

/// Where a statement is run: a connection, or any of a pool.
pub enum Target<'c> {
    Connection(&'c mut Connection),
    Pool(&'c Pool),
}

impl<'c> From<&'c mut Connection> for Target<'c> {
    fn from(connection: &'c mut Connection) -> Self {
        Self::Connection(connection)
    }
}

impl<'c> From<&'c Pool> for Target<'c> {
    fn from(pool: &'c Pool) -> Self {
        Self::Pool(pool)
    }
}

/// Runs `$run` with what runs statements of `$target`.
macro_rules! on {
    ($target:expr, |$runner:ident| $run:expr) => {
        match $target.into() {
            Target::Connection(connection) => {
                let $runner = connection.runner().await?;
                $run
            }
            Target::Pool(pool) => {
                let mut connection = pool.acquire().await?;
                let $runner = connection.runner().await?;
                $run
            }
        }
    };
}

impl<'q> Query<'q> {
    pub(super) fn from_parts(sql: String, values: Vec<Value<'q>>) -> Self {
        let sql = sql.into();
        Self { sql, values }
    }

    pub(super) fn read_by<T>(self, read: fn(&Row) -> Result<T, Error>) -> QueryAs<'q, T> {
        QueryAs { query: self, read }
    }

    /// Adds the next value.
    pub fn bind(mut self, value: impl IntoValue<'q>) -> Self {
        self.values.push(value.into_value());
        self
    }

    /// Runs it.
    pub async fn execute<'c>(self, target: impl Into<Target<'c>>) -> Result<Changes, Error> {
        on!(target, |runner| match runner {
            Runner::Inline(connection) => {
                Ok(Changes(connection.execute(&self.sql, &self.values)?))
            }
            Runner::Lite(connection) => {
                let done = self.into_lite().execute(connection).await?;
                Ok(Changes(done.rows_affected()))
            }
        })
    }

    /// Runs it, and returns all rows.
    pub async fn fetch_all<'c>(self, target: impl Into<Target<'c>>) -> Result<Vec<Row>, Error> {
        on!(target, |runner| match runner {
            Runner::Inline(connection) => {
                let rows = connection.fetch(&self.sql, &self.values, usize::MAX)?;
                Ok(rows.into_iter().map(Row::Inline).collect())
            }
            Runner::Lite(connection) => {
                let rows = self.into_lite().fetch_all(connection).await?;
                Ok(rows.into_iter().map(Row::Lite).collect())
            }
        })
    }

    /// Runs it, and returns the first row; fails if there is none.
    pub async fn fetch_one<'c>(self, target: impl Into<Target<'c>>) -> Result<Row, Error> {
        let row = self.fetch_optional(target).await?;
        row.ok_or(Error::RowNotFound)
    }

    /// Runs it, and returns the first row.
    pub async fn fetch_optional<'c>(
        self,
        target: impl Into<Target<'c>>,
    ) -> Result<Option<Row>, Error> {
        on!(target, |runner| match runner {
            Runner::Inline(connection) => {
                let rows = connection.fetch(&self.sql, &self.values, 1)?;
                Ok(rows.into_iter().next().map(Row::Inline))
            }
            Runner::Lite(connection) => {
                let row = self.into_lite().fetch_optional(connection).await?;
                Ok(row.map(Row::Lite))
            }
        })
    }

    /// Runs it, and returns the rows as they come; all at once if it runs in the thread that asks.
    pub fn fetch<'c>(self, connection: &'c mut Connection) -> BoxStream<'c, Result<Row, Error>>
    where
        'q: 'c,
    {
        let rows = async move {
            Ok::<_, Error>(match connection.runner().await? {
                Runner::Inline(connection) => {
                    let rows = connection.fetch(&self.sql, &self.values, usize::MAX)?;
                    stream::iter(rows).map(|row| Ok(Row::Inline(row))).boxed()
                }
                Runner::Lite(connection) => {
                    let rows = self.into_lite().fetch(connection);
                    rows.map_ok(Row::Lite).boxed()
                }
            })
        };
        stream::once(rows).try_flatten().boxed()
    }

    /// Runs it, and reads the rows as they come, so that not all are in memory, unless it runs in the thread
    /// that asks.
    async fn read_all<'c, T>(
        self,
        target: impl Into<Target<'c>>,
        read: impl Fn(&Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut found = Vec::new();
        on!(target, |runner| match runner {
            Runner::Inline(connection) => {
                for row in connection.fetch(&self.sql, &self.values, usize::MAX)? {
                    found.push(read(&Row::Inline(row))?);
                }
            }
            Runner::Lite(connection) => {
                let mut rows = self.into_lite().fetch(connection);
                while let Some(row) = rows.try_next().await? {
                    found.push(read(&Row::Lite(row))?);
                }
            }
        });
        Ok(found)
    }

    fn into_lite(self) -> sqlx::query::Query<'q, Sqlite, SqliteArguments> {
        // Texts are constants, or built from constants.
        let mut query = match self.sql {
            Cow::Borrowed(sql) => sqlx::query(sql),
            Cow::Owned(sql) => sqlx::query(AssertSqlSafe(sql)),
        };
        for value in self.values {
            query = match value {
                Value::Null(_) => query.bind(None::<i64>),
                Value::Int(number) => query.bind(number),
                Value::Text(Cow::Borrowed(text)) => query.bind(text),
                Value::Text(Cow::Owned(text)) => query.bind(text),
                Value::Blob(Cow::Borrowed(bytes)) => query.bind(bytes),
                Value::Blob(Cow::Owned(bytes)) => query.bind(bytes),
            };
        }
        query
    }
}

impl<'q, T> QueryAs<'q, T> {
    /// Adds the next value.
    pub fn bind(mut self, value: impl IntoValue<'q>) -> Self {
        self.query = self.query.bind(value);
        self
    }

    /// Runs it, and reads all rows.
    pub async fn fetch_all<'c>(self, target: impl Into<Target<'c>>) -> Result<Vec<T>, Error> {
        self.query.read_all(target, self.read).await
    }

    /// Runs it, and reads the first row; fails if there is none.
    pub async fn fetch_one<'c>(self, target: impl Into<Target<'c>>) -> Result<T, Error> {
        (self.read)(&self.query.fetch_one(target).await?)
    }

    /// Runs it, and reads the first row.
    pub async fn fetch_optional<'c>(
        self,
        target: impl Into<Target<'c>>,
    ) -> Result<Option<T>, Error> {
        let row = self.query.fetch_optional(target).await?;
        row.as_ref().map(self.read).transpose()
    }

    /// Runs it, and reads the rows as they come.
    pub fn fetch<'c>(self, connection: &'c mut Connection) -> BoxStream<'c, Result<T, Error>>
    where
        'q: 'c,
        T: Send + 'c,
    {
        let (rows, read) = (self.query.fetch(connection), self.read);
        rows.map(move |row| read(&row?)).boxed()
    }
}
