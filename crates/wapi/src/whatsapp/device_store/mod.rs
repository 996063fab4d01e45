//! Device store of a session, as the engine sees it: a file per session, except for messages on
//! their way to becoming events.
//!
//! The engine's own store would write each message to the session's file before the engine asks the
//! gateway to save it, and delete it afterwards: two more synced commits per message. Here such a
//! message stays in memory while the inbox saves it, and the key that decrypted it waits for that;
//! see [`DecryptedBuffer`]. The file is synced only before a promise rests on it; see [`FileSync`].
//!
//! Where possible, the engine's writes for each message it sends are avoided, too: see
//! [`EngineStore::save_payload`], [`TokenCache`] and [`SECRETS_GATHERING`].

mod decrypted_buffer;
mod essential_keys;
pub mod key_barrier;
pub mod missing_messages;
mod open;
pub mod recovery;
mod synced;
mod trust_tokens;
pub mod write_failures;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use whatsapp_rust::bytes::Bytes;
use whatsapp_rust::store::SqliteStore;
use whatsapp_rust::wacore::appstate::hash::HashState;
use whatsapp_rust::wacore::appstate::processor::AppStateMutationMAC;
use whatsapp_rust::wacore::reporting_token::MESSAGE_SECRET_SIZE;
use whatsapp_rust::wacore::stats::StorageResourceReport;
use whatsapp_rust::wacore::store::Device;
use whatsapp_rust::wacore::store::error::{Result, StoreError};
use whatsapp_rust::wacore::store::traits::{
    AppStateSyncKey, AppSyncStore, DeviceListRecord, DeviceStore, LidPnMappingEntry,
    MsgSecretEntry, MsgSecretStore, PendingInboundKey, PendingInboundRow, ProtocolStore,
    SignalStore, TcTokenEntry,
};

use super::connection::readiness::AppStateKeys;
use super::send::own_phone_retries::is_answering_own_phone;
use crate::model::event::MessageKey;
use crate::store::{DeviceLife, SentPayload, Store};
use crate::system::clock::Clock;

pub(super) use decrypted_buffer::DecryptedBuffer;
use essential_keys::{
    ChangedRecords, LOSSY_SENDER_KEY_FIELDS, LOSSY_SESSION_FIELDS, RecordDigests,
};
use missing_messages::MissingMessages;
pub(super) use synced::FileSync;
use trust_tokens::TokenCache;

/// Time for which the engine's buffer of message secrets gathers, so that one write takes many. The
/// engine reads from the buffer first, and accepts its loss in a crash: without its secret, a vote
/// on a poll cannot be read.
const SECRETS_GATHERING: Duration = Duration::from_millis(100);

/// The engine's storage for one session.
pub(super) struct EngineStore {
    session: DeviceLife,
    file: SqliteStore,
    file_sync: Arc<FileSync>,
    record_digests: RecordDigests,
    /// Whether the file says which account the device is linked to.
    knows_account: AtomicBool,
    decrypted: Arc<DecryptedBuffer>,
    /// Set before the connection is made.
    missing: OnceLock<Arc<MissingMessages>>,
    token_cache: TokenCache,
    app_state_keys: AppStateKeys,
    store: Store,
    clock: Clock,
}

impl EngineStore {
    /// Returns the flag that says whether the phone has shared the account's app-state keys.
    pub fn app_state_keys(&self) -> AppStateKeys {
        self.app_state_keys.clone()
    }

    /// Returns the sync state of the session's file.
    pub fn file_sync(&self) -> &Arc<FileSync> {
        &self.file_sync
    }

    /// Sets who is asked about messages that were decrypted before.
    pub fn set_missing_messages(&self, missing: Arc<MissingMessages>) {
        // A second call would be for a second client, which has a store of its own.
        let _ = self.missing.set(missing);
    }

    /// Returns the decrypted form of a message that WhatsApp delivers again; `None` if the message
    /// was saved. An error keeps the engine from acknowledging it.
    async fn find_decrypted(&self, key: MessageKey) -> Result<Option<Vec<u8>>> {
        let found = self
            .decrypted
            .find_message(&key)
            .await
            .map_err(database_error)?;
        if let (None, Some(missing)) = (&found, self.missing.get()) {
            let is_missing = missing.request_if_missing(&key).await;
            if is_missing.map_err(|error| StoreError::Database(error.into()))? {
                return Err(StoreError::Validation("asked the sender again".to_owned()));
            }
        }
        Ok(found)
    }

    /// Saves the account that the device is linked to, unless the file has it already. Does nothing
    /// before pairing.
    pub async fn save_account(&self, device: &Device) -> Result<()> {
        if device.pn.is_none() || self.knows_account.load(Ordering::Acquire) {
            Ok(())
        } else {
            self.save(device).await
        }
    }

    /// Changes the file and records the change as not synced. [`FileSync::sync`] syncs it on demand.
    async fn write<T>(&self, change: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let changed = change.await;
        self.file_sync.record_write(
            changed
                .as_ref()
                .err()
                .map(|error| error as &dyn std::fmt::Display),
        );
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

    /// Changes the tokens in the file and clears the cache.
    async fn change_tokens<T>(&self, change: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let changed = change.await;
        self.token_cache.clear_tokens();
        changed
    }

    /// Writes after saving all decrypted messages: a key must not reach the disk before the message
    /// it decrypted.
    async fn write_after_decrypted(
        &self,
        write: impl Future<Output = Result<()>> + Send,
    ) -> Result<()> {
        self.decrypted
            .save_messages()
            .await
            .map_err(database_error)?;
        self.write(write).await
    }

    /// Like [`Self::write_after_decrypted`], for a write that puts the keys of all messages
    /// decrypted so far into the file. If `changed` is empty, nothing waits for a sync of the write.
    async fn write_keys(
        &self,
        changed: ChangedRecords,
        write: impl Future<Output = Result<()>> + Send,
    ) -> Result<()> {
        let moved = self.decrypted.advanced_count();
        self.decrypted
            .save_messages()
            .await
            .map_err(database_error)?;
        if changed.is_empty() {
            write.await?;
        } else {
            self.write(write).await?;
            self.record_digests.remember_records(changed);
        }
        self.decrypted.record_written_keys(moved);
        Ok(())
    }
}

fn database_error(error: crate::store::StoreError) -> StoreError {
    StoreError::Database(Box::new(error))
}

/// Forwards methods of one of the engine's traits to the session's file: first the queries and the
/// writes of data that can be learnt again, then the changes that promises may rest on, then the
/// methods written out.
macro_rules! pass_on {
    (
        impl $trait:ident {
            $(async fn $name:ident(&self $(, $argument:ident: $type:ty)*) -> $answer:ty;)*
        }
        $(changing {
            $(async fn $change:ident(&self $(, $given:ident: $kind:ty)*) -> $outcome:ty;)*
        })?
        $(but { $($own:tt)* })?
    ) => {
        #[async_trait]
        impl $trait for EngineStore {
            $(async fn $name(&self $(, $argument: $type)*) -> $answer {
                self.file.$name($($argument),*).await
            })*
            $($(async fn $change(&self $(, $given: $kind)*) -> $outcome {
                self.write(self.file.$change($($given),*)).await
            })*)?
            $($($own)*)?
        }
    };
}

pass_on! {
    impl SignalStore {
        async fn load_identity(&self, address: &str) -> Result<Option<[u8; 32]>>;
        async fn get_session(&self, address: &str) -> Result<Option<Bytes>>;
        async fn has_session(&self, address: &str) -> Result<bool>;
        async fn has_signal_state_for_user(&self, user: &str) -> Result<bool>;
        async fn load_prekey(&self, id: u32) -> Result<Option<Bytes>>;
        async fn load_prekeys_batch(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>>;
        async fn get_max_prekey_id(&self) -> Result<u32>;
        async fn load_signed_prekey(&self, id: u32) -> Result<Option<Vec<u8>>>;
        async fn load_all_signed_prekeys(&self) -> Result<Vec<(u32, Vec<u8>)>>;
        async fn get_sender_key(&self, address: &str) -> Result<Option<Vec<u8>>>;
    } changing {
        async fn put_identity(&self, address: &str, key: [u8; 32]) -> Result<()>;
        async fn put_identities_batch(&self, identities: &[(Arc<str>, [u8; 32])]) -> Result<()>;
        async fn delete_identity(&self, address: &str) -> Result<()>;
        async fn store_prekey(&self, id: u32, record: &[u8], uploaded: bool) -> Result<()>;
        async fn store_prekeys_batch(&self, keys: &[(u32, Bytes)], uploaded: bool) -> Result<()>;
        async fn mark_prekeys_uploaded(&self, ids: &[u32]) -> Result<()>;
        async fn store_signed_prekey(&self, id: u32, record: &[u8]) -> Result<()>;
        async fn remove_signed_prekey(&self, id: u32) -> Result<()>;
    } but {
        async fn put_session(&self, address: &str, session: &[u8]) -> Result<()> {
            let changed = self.record_digests.find_changes([(address, session)].into_iter(), LOSSY_SESSION_FIELDS);
            self.write_keys(changed, self.file.put_session(address, session)).await
        }

        async fn put_sessions_batch(&self, sessions: &[(Arc<str>, Bytes)]) -> Result<()> {
            let changed = self.record_digests.find_changes(sessions.iter().map(|(name, record)| (&**name, &**record)), LOSSY_SESSION_FIELDS);
            self.write_keys(changed, self.file.put_sessions_batch(sessions)).await
        }

        async fn delete_session(&self, address: &str) -> Result<()> {
            self.record_digests.forget_record(address, LOSSY_SESSION_FIELDS);
            self.write_after_decrypted(self.file.delete_session(address)).await
        }

        async fn remove_prekey(&self, id: u32) -> Result<()> {
            self.write_after_decrypted(self.file.remove_prekey(id)).await
        }

        async fn put_sender_key(&self, address: &str, record: &[u8]) -> Result<()> {
            let changed = self.record_digests.find_changes([(address, record)].into_iter(), LOSSY_SENDER_KEY_FIELDS);
            self.write_keys(changed, self.file.put_sender_key(address, record)).await
        }

        async fn put_sender_keys_batch(&self, sender_keys: &[(Arc<str>, Bytes)]) -> Result<()> {
            let changed = self.record_digests.find_changes(sender_keys.iter().map(|(name, record)| (&**name, &**record)), LOSSY_SENDER_KEY_FIELDS);
            self.write_keys(changed, self.file.put_sender_keys_batch(sender_keys)).await
        }

        async fn delete_sender_key(&self, address: &str) -> Result<()> {
            self.record_digests.forget_record(address, LOSSY_SENDER_KEY_FIELDS);
            self.write_after_decrypted(self.file.delete_sender_key(address)).await
        }
    }
}

pass_on! {
    impl AppSyncStore {
        async fn get_sync_key(&self, key_id: &[u8]) -> Result<Option<AppStateSyncKey>>;
        async fn get_version(&self, name: &str) -> Result<HashState>;
        async fn get_mutation_mac(&self, name: &str, index_mac: &[u8]) -> Result<Option<Vec<u8>>>;
        async fn get_mutation_macs(&self, name: &str, index_macs: &[[u8; 32]]) -> Result<HashMap<[u8; 32], Vec<u8>>>;
        async fn get_latest_sync_key_id(&self) -> Result<Option<Vec<u8>>>;
    } changing {
        async fn set_version(&self, name: &str, state: HashState) -> Result<()>;
        async fn put_mutation_macs(&self, name: &str, version: u64, mutations: &[AppStateMutationMAC]) -> Result<()>;
        async fn delete_mutation_macs(&self, name: &str, index_macs: &[Vec<u8>]) -> Result<()>;
        async fn clear_mutation_macs(&self, name: &str) -> Result<()>;
    } but {
        async fn set_sync_key(&self, key_id: &[u8], key: AppStateSyncKey) -> Result<()> {
            self.write(self.file.set_sync_key(key_id, key)).await?;
            self.app_state_keys.mark_shared();
            Ok(())
        }
    }
}

pass_on! {
    impl ProtocolStore {
        async fn get_sender_key_devices(&self, group_jid: &str) -> Result<Vec<(String, bool)>>;
        async fn get_lid_mapping(&self, lid: &str) -> Result<Option<LidPnMappingEntry>>;
        async fn get_pn_mapping(&self, phone: &str) -> Result<Option<LidPnMappingEntry>>;
        async fn put_lid_mapping(&self, entry: &LidPnMappingEntry) -> Result<()>;
        async fn put_lid_mappings(&self, entries: &[LidPnMappingEntry]) -> Result<()>;
        async fn get_all_lid_mappings(&self) -> Result<Vec<LidPnMappingEntry>>;
        async fn has_same_base_key(&self, address: &str, message_id: &str, current_base_key: &[u8]) -> Result<bool>;
        async fn update_device_list(&self, record: DeviceListRecord) -> Result<()>;
        async fn update_device_lists(&self, records: Vec<DeviceListRecord>) -> Result<()>;
        async fn get_devices(&self, user: &str) -> Result<Option<DeviceListRecord>>;
        async fn delete_devices(&self, user: &str) -> Result<()>;
        async fn get_group_metadata(&self, group_jid: &str) -> Result<Option<Vec<u8>>>;
        async fn put_group_metadata(&self, group_jid: &str, blob: &[u8]) -> Result<()>;
        async fn delete_group_metadata(&self, group_jid: &str) -> Result<()>;
        async fn get_all_tc_token_jids(&self) -> Result<Vec<String>>;
    } changing {
        async fn set_sender_key_status(&self, group_jid: &str, entries: &[(&str, bool)]) -> Result<()>;
        async fn clear_sender_key_devices(&self, group_jid: &str) -> Result<()>;
        async fn delete_sender_key_device_rows(&self, device_jids: &[&str]) -> Result<()>;
        async fn clear_all_sender_key_devices(&self) -> Result<()>;
        async fn save_base_key(&self, address: &str, message_id: &str, base_key: &[u8]) -> Result<()>;
        async fn delete_base_key(&self, address: &str, message_id: &str) -> Result<()>;
    } but {
        async fn get_tc_token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
            let version = match self.token_cache.find_token(jid) {
                Ok(known) => return Ok(known),
                Err(version) => version,
            };
            let token = self.file.get_tc_token(jid).await?;
            self.token_cache.remember_token(jid, token.clone(), version);
            Ok(token)
        }

        async fn put_tc_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
            self.change_tokens(self.file.put_tc_token(jid, entry)).await
        }

        async fn delete_tc_token(&self, jid: &str) -> Result<()> {
            self.change_tokens(self.file.delete_tc_token(jid)).await
        }

        async fn delete_expired_tc_tokens(&self, token_cutoff: i64, sender_cutoff: i64) -> Result<u32> {
            self.change_tokens(self.file.delete_expired_tc_tokens(token_cutoff, sender_cutoff)).await
        }

        async fn touch_tc_token_sender_timestamp(&self, jid: &str, sender_timestamp: i64) -> Result<()> {
            self.change_tokens(self.file.touch_tc_token_sender_timestamp(jid, sender_timestamp)).await
        }

        async fn store_received_tc_token(&self, jid: &str, token: &[u8], token_timestamp: i64) -> Result<()> {
            self.change_tokens(self.file.store_received_tc_token(jid, token, token_timestamp)).await
        }

        /// Skips copies sent again to the own phone: they are wrapped for it and are not the
        /// payload that left.
        async fn store_sent_message(&self, chat_jid: &str, message_id: &str, payload: &[u8]) -> Result<()> {
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
            self.store.outbox().find_payload(&self.session.current_life(), chat_jid, message_id).await.map_err(database_error)
        }

        async fn delete_expired_sent_messages(&self, cutoff_timestamp: i64) -> Result<u32> {
            let before = Timestamp::from_second(cutoff_timestamp).unwrap_or(Timestamp::UNIX_EPOCH);
            let gone = self.store.outbox().delete_payloads(&self.session.current_life(), before).await.map_err(database_error)?;
            Ok(u32::try_from(gone).unwrap_or(u32::MAX))
        }

        async fn store_pending_inbound(&self, chat: &str, sender: &str, id: &str, message: &[u8]) -> Result<()> {
            self.store_pending_inbound_batch(&[PendingInboundRow { chat, sender, id, message }]).await
        }

        async fn get_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<Option<Vec<u8>>> {
            self.find_decrypted(buffer_key(PendingInboundKey { chat, sender, id })).await
        }

        async fn delete_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<()> {
            self.delete_pending_inbound_batch(&[PendingInboundKey { chat, sender, id }]).await
        }

        /// Expires nothing: messages left behind become events.
        async fn delete_expired_pending_inbound(&self, _: i64) -> Result<u32> {
            Ok(0)
        }

        async fn store_pending_inbound_batch(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
            let opened = |row: &PendingInboundRow<'_>| {
                let PendingInboundRow { chat, sender, id, message } = *row;
                (buffer_key(PendingInboundKey { chat, sender, id }), message.to_vec())
            };
            let messages: Vec<_> = rows.iter().map(opened).collect();
            if let Some(missing) = self.missing.get() {
                messages.iter().for_each(|(key, _)| missing.forget_stanza(key));
            }
            self.decrypted.add_messages(messages.into_iter());
            Ok(())
        }

        async fn delete_pending_inbound_batch(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
            self.decrypted.remove_messages(keys.iter().copied().map(buffer_key).collect()).await.map_err(database_error)
        }
    }
}

fn buffer_key(key: PendingInboundKey<'_>) -> MessageKey {
    MessageKey {
        chat: key.chat.to_owned(),
        sender: key.sender.to_owned(),
        id: key.id.to_owned(),
    }
}

pass_on! {
    impl DeviceStore {
        async fn exists(&self) -> Result<bool>;
        async fn snapshot_db(&self, name: &str, extra_content: Option<&[u8]>) -> Result<()>;
        async fn resource_report(&self) -> StorageResourceReport;
    } changing {
        async fn create(&self) -> Result<i32>;
    } but {
        async fn save(&self, device: &Device) -> Result<()> {
            self.write(self.file.save(device)).await?;
            self.knows_account.store(device.pn.is_some(), Ordering::Release);
            Ok(())
        }

        async fn load(&self) -> Result<Option<Device>> {
            let device = self.file.load().await?;
            self.knows_account.store(device.as_ref().is_some_and(|device| device.pn.is_some()), Ordering::Release);
            Ok(device)
        }
    }
}

pass_on! {
    impl MsgSecretStore {
        async fn put_msg_secret(&self, chat: &str, sender: &str, msg_id: &str, secret: &[u8; MESSAGE_SECRET_SIZE]) -> Result<()>;
        async fn get_msg_secret(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<Vec<u8>>>;
        async fn get_msg_secret_with_ts(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<(Vec<u8>, i64)>>;
        async fn delete_expired_msg_secrets(&self, cutoff_timestamp: i64) -> Result<u32>;
    } but {
        async fn put_msg_secrets(&self, entries: Vec<MsgSecretEntry>) -> Result<usize> {
            self.clock.sleep(SECRETS_GATHERING).await;
            self.file.put_msg_secrets(entries).await
        }
    }
}

#[cfg(test)]
mod tests;
