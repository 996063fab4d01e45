//! Rows whose values cannot be opened: they are counted and skipped, and stay as they are, so that
//! one of them holds up no other.

use std::fmt::Display;

use crate::store::StoreError;

/// Those that one reading has met.
pub(in crate::store) struct UnreadableRows {
    table: &'static str,
    count: u64,
    /// What the first one belongs to, and its problem.
    first: Option<(String, String)>,
}

impl UnreadableRows {
    /// None, of a table.
    pub fn new(table: &'static str) -> Self {
        Self {
            table,
            count: 0,
            first: None,
        }
    }

    /// Counts a row of this life, or endpoint, or file: its name has nothing of a person.
    pub fn note(&mut self, owner: impl Display, error: &StoreError) {
        self.count += 1;
        self.first
            .get_or_insert_with(|| (owner.to_string(), error.to_string()));
    }

    /// Returns the value, or counts its row.
    pub fn keep<T>(&mut self, owner: impl Display, value: Result<T, StoreError>) -> Option<T> {
        value.inspect_err(|error| self.note(owner, error)).ok()
    }

    /// Returns their number, after a line in the log if there are any: it has their table, and of the
    /// first one what it belongs to and the problem.
    pub fn report(self) -> u64 {
        if let Some((first, error)) = self.first {
            tracing::warn!(
                table = self.table,
                rows = self.count,
                first,
                error,
                "values cannot be opened; they are skipped and stay as they are"
            );
        }
        self.count
    }
}
