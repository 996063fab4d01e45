//! What the engine learns of other devices, groups, and contacts; sent messages, for retries; and
//! received ones on their way to becoming events.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use whatsapp_rust::wacore::store::error::Result;
use whatsapp_rust::wacore::store::traits::{
    DeviceListRecord, LidPnMappingEntry, PendingInboundKey, PendingInboundRow, ProtocolStore,
    TcTokenEntry,
};

use crate::model::event::MessageKey;
use crate::store::{EngineRow, KeyRange, RowChange, RowKind, SentPayload};
use crate::whatsapp::device_store::values::{
    LidMapping, decode_or_forget, encode, join_key, keys_of, last_part, put, put_numbered,
};
use crate::whatsapp::device_store::{EngineStore, database_error};
use crate::whatsapp::send::own_phone_retries::is_answering_own_phone;

/// Before a LID, in the key of its mapping.
const LID: &str = "lid";
/// Before a number and each of its LIDs, in a key without a value.
const NUMBER: &str = "pn";

#[async_trait]
impl ProtocolStore for EngineStore {
    async fn get_sender_key_devices(&self, group_jid: &str) -> Result<Vec<(String, bool)>> {
        let rows = self.rows.list(RowKind::SenderKeyDevice, keys_of(group_jid));
        let device = |row: EngineRow| (last_part(&row.key).to_owned(), row.extra != 0);
        Ok(rows.await?.into_iter().map(device).collect())
    }

    async fn set_sender_key_status(&self, group_jid: &str, entries: &[(&str, bool)]) -> Result<()> {
        let row = |(device, has_key): &(&str, bool)| {
            let key = join_key([group_jid, device]);
            put_numbered(RowKind::SenderKeyDevice, key, (*has_key).into(), [])
        };
        self.write(entries.iter().map(row).collect()).await
    }

    async fn clear_sender_key_devices(&self, group_jid: &str) -> Result<()> {
        let change = RowChange::DeleteRange(RowKind::SenderKeyDevice, keys_of(group_jid));
        self.write(vec![change]).await
    }

    async fn delete_sender_key_device_rows(&self, device_jids: &[&str]) -> Result<()> {
        let rows = self.rows.list(RowKind::SenderKeyDevice, KeyRange::ALL);
        let rows = rows.await?.into_iter();
        let gone = rows.filter(|row| device_jids.contains(&last_part(&row.key)));
        let delete = |row: EngineRow| RowChange::Delete(row.kind, row.key);
        self.write(gone.map(delete).collect()).await
    }

    async fn clear_all_sender_key_devices(&self) -> Result<()> {
        let change = RowChange::DeleteRange(RowKind::SenderKeyDevice, KeyRange::ALL);
        self.write(vec![change]).await
    }

    async fn get_lid_mapping(&self, lid: &str) -> Result<Option<LidPnMappingEntry>> {
        let key = join_key([LID, lid]);
        let mapping = self.rows.find(RowKind::LidMapping, &key).await?;
        let mapping = mapping.and_then(|it| decode_or_forget(RowKind::LidMapping, &it));
        Ok(mapping.map(|mapping: LidMapping| mapping.into_entry(lid)))
    }

    /// Returns the LID that was updated last.
    async fn get_pn_mapping(&self, phone: &str) -> Result<Option<LidPnMappingEntry>> {
        let range = keys_of(&join_key([NUMBER, phone]));
        let rows = self.rows.list(RowKind::LidMapping, range).await?;
        // Of several with the same time, the first, as the list is in order.
        let newest = rows.iter().rev().max_by_key(|row| row.extra);
        match newest {
            Some(row) => self.get_lid_mapping(last_part(&row.key)).await,
            None => Ok(None),
        }
    }

    async fn put_lid_mapping(&self, entry: &LidPnMappingEntry) -> Result<()> {
        self.put_lid_mappings(std::slice::from_ref(entry)).await
    }

    async fn put_lid_mappings(&self, entries: &[LidPnMappingEntry]) -> Result<()> {
        let _turn = self.merging.lock().await;
        let key = |entry: &LidPnMappingEntry| join_key([LID, &entry.lid]);
        let keys: Vec<_> = entries.iter().map(key).collect();
        let rows = self.rows.find_many(RowKind::LidMapping, &keys).await?;
        let mapping = |row: EngineRow| {
            let mapping: LidMapping = decode_or_forget(RowKind::LidMapping, &row.value)?;
            Some((row.key, (mapping.phone_number, mapping.created_at)))
        };
        let mut known: HashMap<_, _> = rows.into_iter().filter_map(mapping).collect();
        let mut changes = Vec::with_capacity(2 * entries.len());
        for (key, entry) in keys.into_iter().zip(entries) {
            let mut created_at = entry.created_at;
            if let Some((phone, known_since)) = known.get(&key) {
                created_at = *known_since;
                if *phone != entry.phone_number {
                    let former = join_key([NUMBER, phone, &entry.lid]);
                    changes.push(RowChange::Delete(RowKind::LidMapping, former));
                }
            }
            known.insert(key, (entry.phone_number.clone(), created_at));
            changes.extend(map_lid(entry, created_at)?);
        }
        self.write(changes).await
    }

    async fn get_all_lid_mappings(&self) -> Result<Vec<LidPnMappingEntry>> {
        let rows = self.rows.list(RowKind::LidMapping, keys_of(LID)).await?;
        let entry = |row: EngineRow| {
            let mapping: LidMapping = decode_or_forget(RowKind::LidMapping, &row.value)?;
            Some(mapping.into_entry(last_part(&row.key)))
        };
        Ok(rows.into_iter().filter_map(entry).collect())
    }

    async fn save_base_key(&self, address: &str, message_id: &str, base_key: &[u8]) -> Result<()> {
        let key = join_key([address, message_id]);
        self.write(vec![put(RowKind::BaseKey, key, base_key)]).await
    }

    async fn has_same_base_key(
        &self,
        address: &str,
        message_id: &str,
        current_base_key: &[u8],
    ) -> Result<bool> {
        let key = join_key([address, message_id]);
        let saved = self.rows.find(RowKind::BaseKey, &key).await?;
        Ok(saved.as_deref() == Some(current_base_key))
    }

    async fn delete_base_key(&self, address: &str, message_id: &str) -> Result<()> {
        let key = join_key([address, message_id]);
        self.delete(RowKind::BaseKey, &key).await
    }

    async fn update_device_list(&self, record: DeviceListRecord) -> Result<()> {
        self.update_device_lists(vec![record]).await
    }

    async fn update_device_lists(&self, records: Vec<DeviceListRecord>) -> Result<()> {
        let mut changes = Vec::with_capacity(records.len());
        for record in records {
            let value = encode(&record)?;
            changes.push(put(RowKind::DeviceList, record.user, value));
        }
        self.write(changes).await
    }

    async fn get_devices(&self, user: &str) -> Result<Option<DeviceListRecord>> {
        let record = self.rows.find(RowKind::DeviceList, user).await?;
        Ok(record.and_then(|record| decode_or_forget(RowKind::DeviceList, &record)))
    }

    async fn delete_devices(&self, user: &str) -> Result<()> {
        self.delete(RowKind::DeviceList, user).await
    }

    async fn get_group_metadata(&self, group_jid: &str) -> Result<Option<Vec<u8>>> {
        self.rows.find(RowKind::Group, group_jid).await
    }

    async fn put_group_metadata(&self, group_jid: &str, blob: &[u8]) -> Result<()> {
        self.write(vec![put(RowKind::Group, group_jid, blob)]).await
    }

    async fn delete_group_metadata(&self, group_jid: &str) -> Result<()> {
        self.delete(RowKind::Group, group_jid).await
    }

    async fn get_tc_token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        let version = match self.token_cache.find_token(jid) {
            Ok(known) => return Ok(known),
            Err(version) => version,
        };
        let token = self.read_token(jid).await?;
        self.token_cache.remember_token(jid, token.clone(), version);
        Ok(token)
    }

    async fn put_tc_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        let _turn = self.merging.lock().await;
        self.write_token(jid, entry).await
    }

    async fn delete_tc_token(&self, jid: &str) -> Result<()> {
        let _turn = self.merging.lock().await;
        let change = RowChange::Delete(RowKind::TrustToken, jid.to_owned());
        self.change_tokens(vec![change]).await
    }

    async fn get_all_tc_token_jids(&self) -> Result<Vec<String>> {
        let rows = self.rows.list(RowKind::TrustToken, KeyRange::ALL).await?;
        Ok(rows.into_iter().map(|row| row.key).collect())
    }

    async fn delete_expired_tc_tokens(&self, token_cutoff: i64, sender_cutoff: i64) -> Result<u32> {
        let _turn = self.merging.lock().await;
        let rows = self.rows.list(RowKind::TrustToken, KeyRange::ALL).await?;
        let is_over = |row: &EngineRow| {
            let Some(token) = decode_or_forget::<TcTokenEntry>(row.kind, &row.value) else {
                return true;
            };
            (token.token.is_empty() || token.token_timestamp < token_cutoff)
                && token.sender_timestamp.is_none_or(|at| at < sender_cutoff)
        };
        let gone = rows.into_iter().filter(is_over);
        let gone: Vec<_> = gone
            .map(|row| RowChange::Delete(row.kind, row.key))
            .collect();
        let count = gone.len();
        self.change_tokens(gone).await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Never sets the time back.
    async fn touch_tc_token_sender_timestamp(
        &self,
        jid: &str,
        sender_timestamp: i64,
    ) -> Result<()> {
        let _turn = self.merging.lock().await;
        let entry = match self.read_token(jid).await? {
            Some(known) => TcTokenEntry {
                sender_timestamp: known.sender_timestamp.max(Some(sender_timestamp)),
                ..known
            },
            None => TcTokenEntry {
                token: Vec::new(),
                token_timestamp: sender_timestamp,
                sender_timestamp: Some(sender_timestamp),
            },
        };
        self.write_token(jid, &entry).await
    }

    /// Keeps a token that is newer.
    async fn store_received_tc_token(
        &self,
        jid: &str,
        token: &[u8],
        token_timestamp: i64,
    ) -> Result<()> {
        let _turn = self.merging.lock().await;
        let known = self.read_token(jid).await?;
        let is_newer = |known: &TcTokenEntry| {
            !known.token.is_empty() && known.token_timestamp > token_timestamp
        };
        if known.as_ref().is_some_and(is_newer) {
            return Ok(());
        }
        let entry = TcTokenEntry {
            token: token.to_vec(),
            token_timestamp,
            sender_timestamp: known.and_then(|known| known.sender_timestamp),
        };
        self.write_token(jid, &entry).await
    }

    /// Skips copies sent again to the own phone: they are wrapped for it and are not the
    /// payload that left.
    async fn store_sent_message(
        &self,
        chat_jid: &str,
        message_id: &str,
        payload: &[u8],
    ) -> Result<()> {
        if is_answering_own_phone() {
            return Ok(());
        }
        self.save_payload(chat_jid, message_id, payload).await
    }

    /// Leaves the payload in the store: the engine puts back each payload it takes, and a crash
    /// in between would lose it.
    async fn take_sent_message(&self, chat_jid: &str, message_id: &str) -> Result<Option<Vec<u8>>> {
        if is_answering_own_phone() {
            return Ok(None);
        }
        self.store
            .outbox()
            .find_payload(&self.session.current_life(), chat_jid, message_id)
            .await
            .map_err(database_error)
    }

    async fn delete_expired_sent_messages(&self, cutoff_timestamp: i64) -> Result<u32> {
        let before = Timestamp::from_second(cutoff_timestamp).unwrap_or(Timestamp::UNIX_EPOCH);
        let gone = self
            .store
            .outbox()
            .delete_payloads(&self.session.current_life(), before)
            .await
            .map_err(database_error)?;
        Ok(u32::try_from(gone).unwrap_or(u32::MAX))
    }

    async fn store_pending_inbound(
        &self,
        chat: &str,
        sender: &str,
        id: &str,
        message: &[u8],
    ) -> Result<()> {
        self.store_pending_inbound_batch(&[PendingInboundRow {
            chat,
            sender,
            id,
            message,
        }])
        .await
    }

    async fn get_pending_inbound(
        &self,
        chat: &str,
        sender: &str,
        id: &str,
    ) -> Result<Option<Vec<u8>>> {
        self.find_decrypted(buffer_key(PendingInboundKey { chat, sender, id }))
            .await
    }

    async fn delete_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<()> {
        self.delete_pending_inbound_batch(&[PendingInboundKey { chat, sender, id }])
            .await
    }

    /// Expires nothing: messages left behind become events.
    async fn delete_expired_pending_inbound(&self, _: i64) -> Result<u32> {
        Ok(0)
    }

    async fn store_pending_inbound_batch(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
        let opened = |row: &PendingInboundRow<'_>| {
            let PendingInboundRow {
                chat,
                sender,
                id,
                message,
            } = *row;
            (
                buffer_key(PendingInboundKey { chat, sender, id }),
                message.to_vec(),
            )
        };
        let messages: Vec<_> = rows.iter().map(opened).collect();
        if let Some(missing) = self.missing.get() {
            messages
                .iter()
                .for_each(|(key, _)| missing.forget_stanza(key));
        }
        self.decrypted.add_messages(messages.into_iter());
        Ok(())
    }

    async fn delete_pending_inbound_batch(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
        self.decrypted
            .remove_messages(keys.iter().copied().map(buffer_key).collect())
            .await
            .map_err(database_error)
    }
}

impl EngineStore {
    async fn read_token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        let token = self.rows.find(RowKind::TrustToken, jid).await?;
        Ok(token.and_then(|token| decode_or_forget(RowKind::TrustToken, &token)))
    }

    async fn write_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        let row = put(RowKind::TrustToken, jid, encode(entry)?);
        self.change_tokens(vec![row]).await
    }

    /// Changes tokens and clears the cache.
    async fn change_tokens(&self, changes: Vec<RowChange>) -> Result<()> {
        let changed = self.write(changes).await;
        self.token_cache.clear_tokens();
        changed
    }

    /// Saves the payload of a sent message in the store's next commit instead of one of its own.
    async fn save_payload(&self, chat: &str, id: &str, message: &[u8]) -> Result<()> {
        let (session, chat, id) = (self.session.current_life(), chat.to_owned(), id.to_owned());
        let payload = SentPayload {
            session,
            chat,
            id,
            message: message.to_vec(),
        };
        self.store
            .outbox()
            .save_payload(payload)
            .await
            .map_err(database_error)
    }
}

/// Returns the two rows of a mapping.
pub(in crate::whatsapp::device_store) fn map_lid(
    entry: &LidPnMappingEntry,
    created_at: i64,
) -> Result<[RowChange; 2]> {
    let LidPnMappingEntry {
        lid, phone_number, ..
    } = entry;
    let value = encode(&LidMapping {
        phone_number: phone_number.clone(),
        created_at,
        updated_at: entry.updated_at,
        learning_source: entry.learning_source.clone(),
    })?;
    let reverse = join_key([NUMBER, phone_number, lid]);
    Ok([
        put(RowKind::LidMapping, join_key([LID, lid]), value),
        put_numbered(RowKind::LidMapping, reverse, entry.updated_at, []),
    ])
}

fn buffer_key(key: PendingInboundKey<'_>) -> MessageKey {
    MessageKey {
        chat: key.chat.to_owned(),
        sender: key.sender.to_owned(),
        id: key.id.to_owned(),
    }
}
