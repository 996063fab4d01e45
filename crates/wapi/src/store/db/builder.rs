//! Statements whose texts depend on how many rows they have.

use std::fmt::{Display, Write};

use super::query::{Query, QueryAs};
use super::row::{FromColumn, FromRow};
use super::value::{IntoValue, Value};

/// A statement in the making.
pub struct QueryBuilder<'q> {
    sql: String,
    values: Vec<Value<'q>>,
}

/// A list in a statement in the making.
pub struct SeparatedList<'b, 'q> {
    builder: &'b mut QueryBuilder<'q>,
    separator: &'static str,
    is_first: bool,
}

impl<'q> QueryBuilder<'q> {
    /// Begins with a text, which is a constant, or built from constants.
    pub fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            values: Vec::new(),
        }
    }

    /// Adds a text: a constant, or a number.
    pub fn push(&mut self, sql: impl Display) -> &mut Self {
        write!(self.sql, "{sql}").expect("a text takes everything");
        self
    }

    /// Adds a value.
    pub fn push_bind(&mut self, value: impl IntoValue<'q>) -> &mut Self {
        self.values.push(value.into_value());
        // SQLite looks numbered ones up by their names, each among all.
        self.sql.push('?');
        self
    }

    /// Adds `VALUES (…), (…)`.
    pub fn push_values<T>(
        &mut self,
        rows: impl IntoIterator<Item = T>,
        mut push_row: impl FnMut(SeparatedList<'_, 'q>, T),
    ) -> &mut Self {
        for (index, row) in rows.into_iter().enumerate() {
            self.push(if index == 0 { "VALUES (" } else { ", (" });
            push_row(self.separated(", "), row);
            self.push(")");
        }
        self
    }

    /// Adds `((…), (…))`.
    pub fn push_tuples<T>(
        &mut self,
        rows: impl IntoIterator<Item = T>,
        mut push_row: impl FnMut(SeparatedList<'_, 'q>, T),
    ) -> &mut Self {
        self.push("(");
        for (index, row) in rows.into_iter().enumerate() {
            self.push(if index == 0 { "(" } else { ", (" });
            push_row(self.separated(", "), row);
            self.push(")");
        }
        self.push(")")
    }

    /// Begins a list.
    pub fn separated(&mut self, separator: &'static str) -> SeparatedList<'_, 'q> {
        SeparatedList {
            builder: self,
            separator,
            is_first: true,
        }
    }

    /// Returns the text so far.
    #[cfg(test)]
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Returns the statement.
    pub fn build(&mut self) -> Query<'q> {
        Query::from_parts(
            std::mem::take(&mut self.sql),
            std::mem::take(&mut self.values),
        )
    }

    /// Returns the statement, whose rows are read into `T`.
    pub fn build_query_as<T: FromRow>(&mut self) -> QueryAs<'q, T> {
        self.build().read_by(T::from_row)
    }

    /// Returns the statement, of which the first column is read.
    pub fn build_query_scalar<T>(&mut self) -> QueryAs<'q, T>
    where
        T: for<'r> FromColumn<'r>,
    {
        self.build().read_by(|row| row.try_get(0))
    }
}

impl<'q> SeparatedList<'_, 'q> {
    fn separate(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.builder.push(self.separator);
        }
    }

    /// Adds a value as the next part of the list.
    pub fn push_bind(&mut self, value: impl IntoValue<'q>) -> &mut Self {
        self.separate();
        self.builder.push_bind(value);
        self
    }
}
