//! Commit errors: the reasons why a transaction was not saved.

use crate::store::StoreError;
use crate::store::db;

/// SQLite's error code when the disk does not sync: `SQLITE_IOERR_FSYNC`.
const FSYNC_FAILED: &str = "1034";

/// The reason why a transaction was not saved.
pub(super) enum CommitError {
    /// The transaction could not be begun or committed: all its changes fail.
    Database(StoreError),
    /// The transaction is written completely but not synced: it may or may not survive a crash.
    Unsynced(StoreError),
    /// One of its statements failed: other changes may succeed.
    Change(StoreError),
    /// One of its changes panicked, which says nothing about the others or the disk.
    Panic,
}

impl CommitError {
    pub fn from_database(error: db::Error) -> Self {
        Self::Database(error.into())
    }

    /// Classifies an error of the COMMIT statement.
    pub fn from_commit(error: db::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        if code.is_some_and(|code| code == FSYNC_FAILED) {
            Self::Unsynced(error.into())
        } else {
            Self::from_database(error)
        }
    }

    pub fn into_store_error(self) -> StoreError {
        match self {
            Self::Database(error) | Self::Unsynced(error) | Self::Change(error) => error,
            Self::Panic => StoreError::new("an internal error of the gateway"),
        }
    }
}
