//! Opening of a session's file.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use whatsapp_rust::store::{SqliteStore, SqliteStoreConfig, Synchronous};
use whatsapp_rust::wacore::store::error::{Result, StoreError};
use whatsapp_rust::wacore::store::traits::AppSyncStore;

use super::{AppStateKeys, DecryptedBuffer, EngineStore, FileSync};
use crate::store::{DeviceLife, Store};
use crate::system::clock::Clock;

/// SQLite's page cache for each session, in KiB. A session's file is small and rarely read.
const PAGE_CACHE_KIB: u32 = 64;

impl EngineStore {
    /// Opens a session's file, or creates it.
    pub async fn open(
        session: DeviceLife,
        file: &Path,
        opened: Arc<DecryptedBuffer>,
        store: Store,
        clock: Clock,
    ) -> Result<Self> {
        let path = file
            .to_str()
            .ok_or_else(|| StoreError::Connection("the data folder's path is not UTF-8".into()))?;
        // `FileSync` syncs the writes that promises rest on, many at a time.
        let config = SqliteStoreConfig {
            synchronous: Synchronous::Normal,
            cache_size_kib: PAGE_CACHE_KIB,
            ..SqliteStoreConfig::default()
        };
        let synced = Arc::new(FileSync::new(file));
        let (tokens, essences) = Default::default();
        let file = SqliteStore::with_config(path, config).await?;
        let keys = AppStateKeys::new(file.get_latest_sync_key_id().await?.is_some());
        let knows_account = AtomicBool::new(false);
        Ok(Self {
            session,
            file,
            file_sync: synced,
            record_digests: essences,
            knows_account,
            decrypted: opened,
            missing: OnceLock::new(),
            token_cache: tokens,
            app_state_keys: keys,
            store,
            clock,
        })
    }

    /// Replaces the disk with one of the test's own.
    #[cfg(test)]
    pub fn with_sync_log(
        self,
        sync_log: impl Fn(&Path) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            file_sync: Arc::new(self.file_sync.with_sync_log(sync_log)),
            ..self
        }
    }
}
