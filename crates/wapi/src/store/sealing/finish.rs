//! The end of what a master key has begun at start, once the session files have followed the rows.

use std::sync::atomic::Ordering;

use jiff::Timestamp;

use crate::store::db::{self, Connection};
use crate::store::writer::StoreChange;
use crate::store::{Store, StoreError};
use crate::system::master_key::SealPolicy;

impl Store {
    /// Says which keys are no longer needed, now that the session files are as the master key asks;
    /// forgets the master key if the seal was taken off. `failed` files could not be read or written,
    /// and may need each of the keys.
    pub async fn finish_sealing(&self, failed: u64) -> Result<(), StoreError> {
        let Some(state) = &self.sealer.0 else {
            return Ok(());
        };
        if failed > 0 {
            tracing::warn!(
                files = failed,
                "session files could not be brought to what the master key asks, so no setting of a key may be taken \
                 away; the next start tries again"
            );
            return Ok(());
        }
        if state.policy == SealPolicy::Unseal && self.writer.apply_change(ForgetMasterKey).await? {
            match state.left_sealed.load(Ordering::Relaxed) {
                0 => tracing::info!("took the seal off; the master key is no longer needed"),
                values => tracing::warn!(
                    values,
                    "took the seal off; the master key is no longer needed. Damaged values stay sealed, and cannot be \
                     opened with any key"
                ),
            }
        }
        if state.old.is_some() {
            tracing::info!("the former master key is no longer needed; take its setting away");
        }
        Ok(())
    }
}

/// Nothing is sealed any more.
struct ForgetMasterKey;

impl StoreChange for ForgetMasterKey {
    /// Whether there was one.
    type Answer = bool;

    fn concerns_deliveries(_: &bool) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<bool, db::Error> {
        connection.execute("DELETE FROM data_keys").await?;
        let forgotten = connection.execute("DELETE FROM master_key").await?;
        Ok(forgotten.rows_affected() > 0)
    }
}
