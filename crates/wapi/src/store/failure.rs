//! Why a transaction was not saved.

use super::StoreError;

/// Why a transaction was not saved.
pub(super) enum Failure {
    /// It could not be begun or committed: all changes fare the same.
    Database(StoreError),
    /// One of its statements failed: another change may succeed.
    Change(StoreError),
    /// One of them panicked, which says nothing of the others, nor of the disk.
    Panic,
}

impl Failure {
    pub fn database(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }

    pub fn into_error(self) -> StoreError {
        match self {
            Self::Database(error) | Self::Change(error) => error,
            Self::Panic => StoreError::new("an error of the gateway's own"),
        }
    }
}
