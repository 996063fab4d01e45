//! Secrets of messages, with which changes of them and votes are read.

use std::collections::HashMap;

use async_trait::async_trait;
use whatsapp_rust::wacore::store::error::Result;
use whatsapp_rust::wacore::store::traits::{
    MsgSecretEntry, MsgSecretStore, merge_msg_secret_expiry, merge_msg_secret_message_ts,
};

use crate::store::{EngineRow, RowChange, RowKind};
use crate::whatsapp::device_store::values::{decode_secret, encode_secret, join_key, put_numbered};
use crate::whatsapp::device_store::{EngineStore, SECRETS_GATHERING};

#[async_trait]
impl MsgSecretStore for EngineStore {
    async fn put_msg_secrets(&self, entries: Vec<MsgSecretEntry>) -> Result<usize> {
        if entries.is_empty() {
            return Ok(0);
        }
        self.clock.sleep(SECRETS_GATHERING).await;
        let _turn = self.merging.lock().await;
        let key = |entry: &MsgSecretEntry| join_key([&*entry.chat, &*entry.sender, &*entry.msg_id]);
        let keys: Vec<_> = entries.iter().map(key).collect();
        let before = self.rows.find_many(RowKind::Secret, &keys).await?;
        let times = |row: EngineRow| {
            let (_, message_ts) = decode_secret(&row.value)?;
            Some((row.key, (row.extra, message_ts)))
        };
        let mut known: HashMap<_, _> = before.into_iter().filter_map(times).collect();
        let mut changes = Vec::with_capacity(entries.len());
        for (key, entry) in keys.into_iter().zip(&entries) {
            let (mut expires_at, mut message_ts) = (entry.expires_at, entry.message_ts);
            if let Some((known_expiry, known_ts)) = known.get(&key) {
                expires_at = merge_msg_secret_expiry(*known_expiry, expires_at);
                message_ts = merge_msg_secret_message_ts(*known_ts, message_ts);
            }
            let value = encode_secret(&entry.secret, message_ts);
            known.insert(key.clone(), (expires_at, message_ts));
            changes.push(put_numbered(RowKind::Secret, key, expires_at, value));
        }
        self.write(changes).await?;
        Ok(entries.len())
    }

    async fn get_msg_secret(
        &self,
        chat: &str,
        sender: &str,
        msg_id: &str,
    ) -> Result<Option<Vec<u8>>> {
        let found = self.get_msg_secret_with_ts(chat, sender, msg_id).await?;
        Ok(found.map(|(secret, _)| secret))
    }

    async fn get_msg_secret_with_ts(
        &self,
        chat: &str,
        sender: &str,
        msg_id: &str,
    ) -> Result<Option<(Vec<u8>, i64)>> {
        let key = join_key([chat, sender, msg_id]);
        let value = self.rows.find(RowKind::Secret, &key).await?;
        let secret = value.and_then(|value| decode_secret(&value));
        Ok(secret.map(|(secret, message_ts)| (secret.to_vec(), message_ts)))
    }

    async fn delete_expired_msg_secrets(&self, cutoff_timestamp: i64) -> Result<u32> {
        let _turn = self.merging.lock().await;
        let change = RowChange::Expire(RowKind::Secret, cutoff_timestamp);
        let gone = self.rows.write(vec![change]).await?;
        Ok(u32::try_from(gone).unwrap_or(u32::MAX))
    }
}
