//! A connection to SQLite whose statements run in the thread that asks: for the writer, which has a thread
//! of its own. On the way through another thread, a statement costs two changes of threads.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Batch, CachedStatement, ToSql};
use sqlx::error::{DatabaseError, ErrorKind};

use super::Error;
use super::value::{Value, ValueKind};

/// Prepared statements that are kept, as many as by other connections.
const KEPT_STATEMENTS: usize = 100;

/// The connection.
pub(super) struct InlineConnection(rusqlite::Connection);

/// A value as it is in the database. A text that is no UTF-8 is found when it is read, and then costs only
/// its column.
pub(super) enum Stored {
    Null,
    Integer(i64),
    Real,
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Stored {
    /// What it is, for errors: the value itself may be a secret.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Integer(_) => "an integer",
            Self::Real => "a real number",
            Self::Text(_) => "a text",
            Self::Blob(_) => "bytes",
        }
    }
}

impl From<ValueRef<'_>> for Stored {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(_) => Self::Real,
            ValueRef::Text(text) => Self::Text(text.to_owned()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_owned()),
        }
    }
}

/// A row of an answer.
pub(in crate::store) struct InlineRow {
    columns: Arc<[Box<str>]>,
    values: Vec<Stored>,
}

impl InlineRow {
    /// Returns the place of a column.
    pub fn index(&self, column: &str) -> Result<usize, Error> {
        let found = self.columns.iter().position(|name| **name == *column);
        found.ok_or_else(|| Error::ColumnNotFound(column.to_owned()))
    }

    /// Returns a value.
    pub(super) fn value(&self, index: usize) -> Result<&Stored, Error> {
        let len = self.values.len();
        let value = self.values.get(index);
        value.ok_or(Error::ColumnIndexOutOfBounds { index, len })
    }
}

impl InlineConnection {
    pub fn new(connection: rusqlite::Connection) -> Self {
        connection.set_prepared_statement_cache_capacity(KEPT_STATEMENTS);
        Self(connection)
    }

    /// Runs statements without values; returns the number of rows that the last one has changed.
    pub fn run(&self, sql: &str) -> Result<u64, Error> {
        let mut statements = Batch::new(&self.0, sql);
        while let Some(mut statement) = statements.next().map_err(into_error)? {
            let mut rows = statement.raw_query();
            while rows.next().map_err(into_error)?.is_some() {}
        }
        Ok(self.0.changes())
    }

    /// Runs a statement; returns the number of rows that it has changed.
    pub fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error> {
        let mut statement = self.prepare(sql, values)?;
        let mut rows = statement.raw_query();
        while rows.next().map_err(into_error)?.is_some() {}
        Ok(self.0.changes())
    }

    /// Runs a statement, and returns its rows, at most so many of them.
    pub fn fetch(
        &self,
        sql: &str,
        values: &[Value<'_>],
        most: usize,
    ) -> Result<Vec<InlineRow>, Error> {
        let mut statement = self.prepare(sql, values)?;
        let columns: Arc<[Box<str>]> = statement
            .column_names()
            .into_iter()
            .map(Box::from)
            .collect();
        let (mut found, mut rows) = (Vec::new(), statement.raw_query());
        while found.len() < most
            && let Some(row) = rows.next().map_err(into_error)?
        {
            let value = |index| row.get_ref(index).map(Stored::from);
            let values = (0..columns.len()).map(value).collect::<Result<_, _>>();
            found.push(InlineRow {
                columns: Arc::clone(&columns),
                values: values.map_err(into_error)?,
            });
        }
        Ok(found)
    }

    /// Closes it.
    pub fn close(self) -> Result<(), Error> {
        self.0.close().map_err(|(_, error)| into_error(error))
    }

    fn prepare(&self, sql: &str, values: &[Value<'_>]) -> Result<CachedStatement<'_>, Error> {
        let mut statement = self.0.prepare_cached(sql).map_err(into_error)?;
        for index in 1..=statement.parameter_count() {
            // `$2` is the second value wherever it stands; `?` is the next one, in a text that has only such.
            let name = statement.parameter_name(index);
            let number = name.and_then(|name| name.strip_prefix('$')?.parse().ok());
            let value = values.get(number.unwrap_or(index) - 1);
            let value = value.unwrap_or(&Value::Null(ValueKind::Int));
            let bound = statement.raw_bind_parameter(index, value);
            bound.map_err(into_error)?;
        }
        Ok(statement)
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null(_) => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// SQLite's error, in the form of those of other connections.
#[derive(Debug)]
struct InlineError {
    code: i32,
    message: String,
}

impl fmt::Display for InlineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(code: {}) {}", self.code, self.message)
    }
}

impl StdError for InlineError {}

impl DatabaseError for InlineError {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.to_string().into())
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }
}

pub(super) fn into_error(error: rusqlite::Error) -> Error {
    match error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            let code = failure.extended_code;
            let message = message.unwrap_or_else(|| failure.to_string());
            Error::Database(Box::new(InlineError { code, message }))
        }
        other => Error::Decode(other.into()),
    }
}
