//! The database as the store sees it: connections, statements, and rows, in the words of sqlx. The only
//! room that names sqlx and rusqlite.

mod builder;
mod connection;
mod inline;
mod pool;
mod query;
mod row;
mod value;

pub use self::builder::{QueryBuilder, SeparatedList};
pub use self::connection::Connection;
pub use self::pool::{LiteFile, Pool};
pub use self::query::{query, query_as, query_scalar};
#[cfg(test)]
pub use self::row::FromColumn;
pub(in crate::store) use self::row::from_row;
pub use self::row::{FromRow, Row};

/// Why a statement failed.
pub type Error = sqlx::Error;

#[cfg(test)]
mod tests;
