//! Why a transaction was not saved.

use super::StoreError;

/// SQLite's code where the disk does not sync: `SQLITE_IOERR_FSYNC`.
const UNSYNCED: &str = "1034";

/// Why a transaction was not saved.
pub(super) enum Failure {
    /// It could not be begun or committed: all changes fare the same.
    Database(StoreError),
    /// It is written whole and not synced: whether it will be found after a crash is not known.
    Unsynced(StoreError),
    /// One of its statements failed: another change may succeed.
    Change(StoreError),
    /// One of them panicked, which says nothing of the others, nor of the disk.
    Panic,
}

impl Failure {
    pub fn database(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }

    /// Of the last word of a transaction.
    pub fn commit(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        if code.is_some_and(|code| code == UNSYNCED) {
            Self::Unsynced(error.into())
        } else {
            Self::database(error)
        }
    }

    pub fn into_error(self) -> StoreError {
        match self {
            Self::Database(error) | Self::Unsynced(error) | Self::Change(error) => error,
            Self::Panic => StoreError::new("an error of the gateway's own"),
        }
    }
}
