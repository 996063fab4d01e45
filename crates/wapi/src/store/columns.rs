//! Columns in a form of their own, as `FromRow` reads them.

use jiff::Timestamp;

use crate::store::to_timestamp;

/// A time in milliseconds.
#[derive(sqlx::Type)]
#[sqlx(transparent)]
pub(in crate::store) struct TimeColumn(i64);

/// A time in milliseconds, or `NULL`.
#[derive(sqlx::Type)]
#[sqlx(transparent)]
pub(in crate::store) struct OptionalTimeColumn(Option<i64>);

impl From<TimeColumn> for Timestamp {
    fn from(column: TimeColumn) -> Self {
        to_timestamp(column.0)
    }
}

impl From<OptionalTimeColumn> for Option<Timestamp> {
    fn from(column: OptionalTimeColumn) -> Self {
        column.0.map(to_timestamp)
    }
}
