//! Keys and sessions of Signal.

use std::sync::Arc;

use async_trait::async_trait;
use whatsapp_rust::bytes::Bytes;
use whatsapp_rust::wacore::store::error::{Result, StoreError};
use whatsapp_rust::wacore::store::traits::SignalStore;

use crate::store::{KeyRange, RowChange, RowKind};
use crate::whatsapp::device_store::essential_keys::{
    LOSSY_SENDER_KEY_FIELDS, LOSSY_SESSION_FIELDS,
};
use crate::whatsapp::device_store::values::{id_key, parse_id, put, row};
use crate::whatsapp::device_store::{EngineStore, KeyWeight};

#[async_trait]
impl SignalStore for EngineStore {
    async fn put_identity(&self, address: &str, key: [u8; 32]) -> Result<()> {
        let rows = vec![row(RowKind::Identity, address, 0, key)];
        self.keys.put(rows, KeyWeight::Essential);
        Ok(())
    }

    async fn put_identities_batch(&self, identities: &[(Arc<str>, [u8; 32])]) -> Result<()> {
        let identity =
            |(address, key): &(Arc<str>, [u8; 32])| row(RowKind::Identity, &**address, 0, *key);
        let rows = identities.iter().map(identity).collect();
        self.keys.put(rows, KeyWeight::Essential);
        Ok(())
    }

    async fn load_identity(&self, address: &str) -> Result<Option<[u8; 32]>> {
        let key = self.keys.find(RowKind::Identity, address).await?;
        let length = |key: Vec<u8>| StoreError::Validation(format!("a key of {} bytes", key.len()));
        key.map(|key| key.try_into().map_err(length)).transpose()
    }

    async fn delete_identity(&self, address: &str) -> Result<()> {
        self.delete_key(RowKind::Identity, address.to_owned()).await
    }

    async fn get_session(&self, address: &str) -> Result<Option<Bytes>> {
        let session = self.keys.find(RowKind::Session, address).await?;
        Ok(session.map(Bytes::from))
    }

    async fn put_session(&self, address: &str, session: &[u8]) -> Result<()> {
        let records = [(address, session)].into_iter();
        self.put_records(RowKind::Session, LOSSY_SESSION_FIELDS, records)
            .await
    }

    async fn put_sessions_batch(&self, sessions: &[(Arc<str>, Bytes)]) -> Result<()> {
        let records = sessions.iter().map(|(name, record)| (&**name, &**record));
        self.put_records(RowKind::Session, LOSSY_SESSION_FIELDS, records)
            .await
    }

    async fn delete_session(&self, address: &str) -> Result<()> {
        self.record_digests
            .forget_record(address, LOSSY_SESSION_FIELDS);
        self.delete_key(RowKind::Session, address.to_owned()).await
    }

    async fn has_session(&self, address: &str) -> Result<bool> {
        let found = self.keys.find(RowKind::Session, address).await?;
        Ok(found.is_some())
    }

    async fn has_signal_state_for_user(&self, user: &str) -> Result<bool> {
        for kind in [RowKind::Session, RowKind::Identity] {
            for start in [format!("{user}@"), format!("{user}:")] {
                let range = KeyRange::starting_with(&start);
                if self.keys.has_any(kind, range).await? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn store_prekey(&self, id: u32, record: &[u8], uploaded: bool) -> Result<()> {
        let rows = vec![row(RowKind::PreKey, id_key(id), uploaded.into(), record)];
        self.keys.put(rows, KeyWeight::Essential);
        self.keys.save_all().await
    }

    async fn store_prekeys_batch(&self, keys: &[(u32, Bytes)], uploaded: bool) -> Result<()> {
        let key = |(id, record): &(u32, Bytes)| {
            row(
                RowKind::PreKey,
                id_key(*id),
                uploaded.into(),
                record.to_vec(),
            )
        };
        let rows = keys.iter().map(key).collect();
        self.keys.put(rows, KeyWeight::Essential);
        self.keys.save_all().await
    }

    async fn load_prekey(&self, id: u32) -> Result<Option<Bytes>> {
        let key = self.keys.find(RowKind::PreKey, &id_key(id)).await?;
        Ok(key.map(Bytes::from))
    }

    async fn load_prekeys_batch(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>> {
        let keys: Vec<_> = ids.iter().copied().map(id_key).collect();
        let rows = self.keys.find_many(RowKind::PreKey, &keys).await?;
        let loaded = rows
            .into_iter()
            .filter_map(|row| Some((parse_id(&row.key)?, row.value.into())));
        Ok(loaded.collect())
    }

    async fn mark_prekeys_uploaded(&self, ids: &[u32]) -> Result<()> {
        self.keys.save_all().await?;
        let mark = |id: &u32| RowChange::SetExtra(RowKind::PreKey, id_key(*id), 1);
        self.write(ids.iter().map(mark).collect()).await
    }

    async fn remove_prekey(&self, id: u32) -> Result<()> {
        self.keys.delete(RowKind::PreKey, id_key(id));
        Ok(())
    }

    async fn get_max_prekey_id(&self) -> Result<u32> {
        let last = self.keys.last_key(RowKind::PreKey).await?;
        Ok(last.as_deref().and_then(parse_id).unwrap_or(0))
    }

    async fn store_signed_prekey(&self, id: u32, record: &[u8]) -> Result<()> {
        let row = put(RowKind::SignedPreKey, id_key(id), record);
        self.write(vec![row]).await
    }

    async fn load_signed_prekey(&self, id: u32) -> Result<Option<Vec<u8>>> {
        self.rows.find(RowKind::SignedPreKey, &id_key(id)).await
    }

    async fn load_all_signed_prekeys(&self) -> Result<Vec<(u32, Vec<u8>)>> {
        let rows = self.rows.list(RowKind::SignedPreKey, KeyRange::ALL).await?;
        let loaded = rows
            .into_iter()
            .filter_map(|row| Some((parse_id(&row.key)?, row.value)));
        Ok(loaded.collect())
    }

    async fn remove_signed_prekey(&self, id: u32) -> Result<()> {
        self.delete(RowKind::SignedPreKey, &id_key(id)).await
    }

    async fn put_sender_key(&self, address: &str, record: &[u8]) -> Result<()> {
        let records = [(address, record)].into_iter();
        self.put_records(RowKind::SenderKey, LOSSY_SENDER_KEY_FIELDS, records)
            .await
    }

    async fn put_sender_keys_batch(&self, sender_keys: &[(Arc<str>, Bytes)]) -> Result<()> {
        let records = sender_keys
            .iter()
            .map(|(name, record)| (&**name, &**record));
        self.put_records(RowKind::SenderKey, LOSSY_SENDER_KEY_FIELDS, records)
            .await
    }

    async fn get_sender_key(&self, address: &str) -> Result<Option<Vec<u8>>> {
        self.keys.find(RowKind::SenderKey, address).await
    }

    async fn delete_sender_key(&self, address: &str) -> Result<()> {
        self.record_digests
            .forget_record(address, LOSSY_SENDER_KEY_FIELDS);
        self.delete_key(RowKind::SenderKey, address.to_owned())
            .await
    }
}
