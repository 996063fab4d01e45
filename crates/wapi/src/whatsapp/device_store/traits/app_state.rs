//! Keys, versions, and checksums of the app state.

use std::collections::HashMap;

use async_trait::async_trait;
use whatsapp_rust::wacore::appstate::hash::HashState;
use whatsapp_rust::wacore::appstate::processor::AppStateMutationMAC;
use whatsapp_rust::wacore::store::error::Result;
use whatsapp_rust::wacore::store::traits::{AppStateSyncKey, AppSyncStore};

use crate::model::ids::to_hex;
use crate::store::{RowChange, RowKind};
use crate::whatsapp::device_store::EngineStore;
use crate::whatsapp::device_store::values::{
    decode_or_forget, encode, keys_of, mac_key, parse_hex, put,
};

#[async_trait]
impl AppSyncStore for EngineStore {
    async fn get_sync_key(&self, key_id: &[u8]) -> Result<Option<AppStateSyncKey>> {
        let key = self.rows.find(RowKind::SyncKey, &to_hex(key_id)).await?;
        Ok(key.and_then(|key| decode_or_forget(RowKind::SyncKey, &key)))
    }

    async fn set_sync_key(&self, key_id: &[u8], key: AppStateSyncKey) -> Result<()> {
        let row = put(RowKind::SyncKey, to_hex(key_id), encode(&key)?);
        self.write(vec![row]).await?;
        self.app_state_keys.mark_shared();
        Ok(())
    }

    async fn get_version(&self, name: &str) -> Result<HashState> {
        let state = self.rows.find(RowKind::Version, name).await?;
        let state = state.and_then(|state| decode_or_forget(RowKind::Version, &state));
        Ok(state.unwrap_or_default())
    }

    async fn set_version(&self, name: &str, state: HashState) -> Result<()> {
        let row = put(RowKind::Version, name, encode(&state)?);
        self.write(vec![row]).await
    }

    async fn put_mutation_macs(
        &self,
        name: &str,
        _: u64,
        mutations: &[AppStateMutationMAC],
    ) -> Result<()> {
        let row = |mac: &AppStateMutationMAC| {
            put(RowKind::Mac, mac_key(name, &mac.index_mac), &*mac.value_mac)
        };
        self.write(mutations.iter().map(row).collect()).await
    }

    async fn get_mutation_mac(&self, name: &str, index_mac: &[u8]) -> Result<Option<Vec<u8>>> {
        self.rows
            .find(RowKind::Mac, &mac_key(name, index_mac))
            .await
    }

    async fn get_mutation_macs(
        &self,
        name: &str,
        index_macs: &[[u8; 32]],
    ) -> Result<HashMap<[u8; 32], Vec<u8>>> {
        let keys: Vec<_> = index_macs.iter().map(|mac| mac_key(name, mac)).collect();
        let rows = self.rows.find_many(RowKind::Mac, &keys).await?;
        let mut by_key: HashMap<_, _> = rows.into_iter().map(|row| (row.key, row.value)).collect();
        let found = index_macs.iter().zip(&keys);
        Ok(found
            .filter_map(|(mac, key)| Some((*mac, by_key.remove(key)?)))
            .collect())
    }

    async fn delete_mutation_macs(&self, name: &str, index_macs: &[Vec<u8>]) -> Result<()> {
        let delete = |mac: &Vec<u8>| RowChange::Delete(RowKind::Mac, mac_key(name, mac));
        self.write(index_macs.iter().map(delete).collect()).await
    }

    async fn clear_mutation_macs(&self, name: &str) -> Result<()> {
        let change = RowChange::DeleteRange(RowKind::Mac, keys_of(name));
        self.write(vec![change]).await
    }

    async fn get_latest_sync_key_id(&self) -> Result<Option<Vec<u8>>> {
        let last = self.rows.last_key(RowKind::SyncKey).await?;
        Ok(last.as_deref().and_then(parse_hex))
    }
}
