//! Rows of answers.

use std::convert::Infallible;
use std::error::Error as StdError;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Row as _};

use super::Error;
use super::inline::{InlineRow, Stored};
use crate::store::to_timestamp;

/// A row of an answer.
pub enum Row {
    Lite(SqliteRow),
    Inline(InlineRow),
}

/// The name of a column, or its place.
pub trait Column: Copy {
    fn index(self, row: &Row) -> Result<usize, Error>;
}

impl Column for &str {
    fn index(self, row: &Row) -> Result<usize, Error> {
        match row {
            Row::Lite(row) => ColumnIndex::index(&self, row),
            Row::Inline(row) => row.index(self),
        }
    }
}

impl Column for usize {
    fn index(self, _: &Row) -> Result<usize, Error> {
        Ok(self)
    }
}

impl Row {
    /// Returns the value of a column. Panics if there is none, or one of another type: the statement is
    /// wrong then.
    #[track_caller]
    pub fn get<'r, T: FromColumn<'r>, C: Column>(&'r self, column: C) -> T {
        self.try_get(column).expect("the statement has the column")
    }

    /// Returns the value of a column.
    pub fn try_get<'r, T: FromColumn<'r>, C: Column>(&'r self, column: C) -> Result<T, Error> {
        let index = column.index(self)?;
        T::from_column(self, index)
    }
}

/// What can be read from a column.
pub trait FromColumn<'r>: Sized {
    fn from_column(row: &'r Row, index: usize) -> Result<Self, Error>;
}

/// Types that both kinds of connections read, and how the value of an inline one is read.
macro_rules! from_columns {
    ($($type:ty => $value:pat => $read:expr),* $(,)?) => {$(
        impl<'r> FromColumn<'r> for $type {
            fn from_column(row: &'r Row, index: usize) -> Result<Self, Error> {
                let row = match row {
                    Row::Lite(row) => return row.try_get(index),
                    Row::Inline(row) => row,
                };
                match row.value(index)? {
                    $value => $read.map_err(|error| undecoded(index, error)),
                    other => Err(undecoded(index, format!("it is {}", other.kind()))),
                }
            }
        }

        impl<'r> FromColumn<'r> for Option<$type> {
            fn from_column(row: &'r Row, index: usize) -> Result<Self, Error> {
                match row {
                    Row::Lite(row) => row.try_get(index),
                    Row::Inline(inline) => match inline.value(index)? {
                        Stored::Null => Ok(None),
                        _ => <$type>::from_column(row, index).map(Some),
                    },
                }
            }
        }
    )*};
}

from_columns!(
    i64 => Stored::Integer(number) => Ok::<_, Infallible>(*number),
    bool => Stored::Integer(number) => Ok::<_, Infallible>(*number != 0),
    String => Stored::Text(text) => str::from_utf8(text).map(str::to_owned),
    &'r str => Stored::Text(text) => str::from_utf8(text),
    Vec<u8> => Stored::Blob(bytes) | Stored::Text(bytes) => Ok::<_, Infallible>(bytes.clone()),
    &'r [u8] => Stored::Blob(bytes) | Stored::Text(bytes) => Ok::<_, Infallible>(bytes.as_slice()),
);

fn undecoded(index: usize, error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    Error::ColumnDecode {
        index: index.to_string(),
        source: error.into(),
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl FromColumn<'_> for $type {
            fn from_column(row: &Row, index: usize) -> Result<Self, Error> {
                let number = i64::from_column(row, index)?;
                number.try_into().map_err(|error| undecoded(index, error))
            }
        }

        impl FromColumn<'_> for Option<$type> {
            fn from_column(row: &Row, index: usize) -> Result<Self, Error> {
                let number = Option::<i64>::from_column(row, index)?;
                let number = number.map(TryInto::try_into).transpose();
                number.map_err(|error| undecoded(index, error))
            }
        }
    )*};
}

numbers!(u32, i32, u16, u8);

/// Milliseconds since 1970.
impl FromColumn<'_> for Timestamp {
    fn from_column(row: &Row, index: usize) -> Result<Self, Error> {
        i64::from_column(row, index).map(to_timestamp)
    }
}

impl FromColumn<'_> for Option<Timestamp> {
    fn from_column(row: &Row, index: usize) -> Result<Self, Error> {
        let time = Option::<i64>::from_column(row, index)?;
        Ok(time.map(to_timestamp))
    }
}

/// What can be read from a row.
pub trait FromRow: Sized {
    fn from_row(row: &Row) -> Result<Self, Error>;
}

macro_rules! tuples {
    ($(($($type:ident $index:tt),+))*) => {$(
        impl<$($type: for<'r> FromColumn<'r>),+> FromRow for ($($type,)+) {
            fn from_row(row: &Row) -> Result<Self, Error> {
                Ok(($($type::from_column(row, $index)?,)+))
            }
        }
    )*};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}

/// Reads a struct from a row, each field from the column of its name, or of the name behind it; the
/// others have their defaults.
macro_rules! from_row {
    ($type:ident { $($field:ident $(= $column:literal)?),+ } $(else { $($rest:ident),+ })?) => {
        impl $crate::store::db::FromRow for $type {
            fn from_row(row: &$crate::store::db::Row) -> Result<Self, $crate::store::db::Error> {
                Ok(Self {
                    $($field: row.try_get($crate::store::db::from_row!(@ $field $($column)?))?,)+
                    $($($rest: Default::default(),)+)?
                })
            }
        }
    };
    (@ $field:ident) => { stringify!($field) };
    (@ $field:ident $column:literal) => { $column };
}
pub(in crate::store) use from_row;
