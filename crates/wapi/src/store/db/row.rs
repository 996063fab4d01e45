//! Rows of answers.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Row as _};

use super::Error;
use crate::store::to_timestamp;

/// A row of an answer.
pub struct Row(pub(super) SqliteRow);

/// The name of a column, or its place.
pub trait Column: Copy {
    fn index(self, row: &SqliteRow) -> Result<usize, Error>;
}

impl Column for &str {
    fn index(self, row: &SqliteRow) -> Result<usize, Error> {
        ColumnIndex::index(&self, row)
    }
}

impl Column for usize {
    fn index(self, _: &SqliteRow) -> Result<usize, Error> {
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
        let index = column.index(&self.0)?;
        T::from_column(self, index)
    }
}

/// What can be read from a column.
pub trait FromColumn<'r>: Sized {
    fn from_column(row: &'r Row, index: usize) -> Result<Self, Error>;
}

macro_rules! from_columns {
    ($($type:ty),*) => {$(
        impl<'r> FromColumn<'r> for $type {
            fn from_column(row: &'r Row, index: usize) -> Result<Self, Error> {
                row.0.try_get(index)
            }
        }

        impl<'r> FromColumn<'r> for Option<$type> {
            fn from_column(row: &'r Row, index: usize) -> Result<Self, Error> {
                row.0.try_get(index)
            }
        }
    )*};
}

from_columns!(i64, bool, String, &'r str, Vec<u8>, &'r [u8]);

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl FromColumn<'_> for $type {
            fn from_column(row: &Row, index: usize) -> Result<Self, Error> {
                let number = i64::from_column(row, index)?;
                number.try_into().map_err(|error| out_of_range(index, error))
            }
        }

        impl FromColumn<'_> for Option<$type> {
            fn from_column(row: &Row, index: usize) -> Result<Self, Error> {
                let number = Option::<i64>::from_column(row, index)?;
                let number = number.map(TryInto::try_into).transpose();
                number.map_err(|error| out_of_range(index, error))
            }
        }
    )*};
}

numbers!(u32, i32, u16, u8);

fn out_of_range(index: usize, error: std::num::TryFromIntError) -> Error {
    Error::ColumnDecode {
        index: index.to_string(),
        source: error.into(),
    }
}

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
