//! A session's saved state as the engine sees it: a file of its own, but for messages on their way to becoming events.
//!
//! The engine's own store would write each message to the session's file before it asks us to save it, and delete it afterwards: two
//! more synced commits for every message. Here such a message stays in memory while the inbox saves it, and the key that opened it
//! waits for that; see [`Opened`].

mod opened;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use whatsapp_rust::bytes::Bytes;
use whatsapp_rust::store::SqliteStore;
use whatsapp_rust::wacore::appstate::hash::HashState;
use whatsapp_rust::wacore::appstate::processor::AppStateMutationMAC;
use whatsapp_rust::wacore::reporting_token::MESSAGE_SECRET_SIZE;
use whatsapp_rust::wacore::stats::StorageResourceReport;
use whatsapp_rust::wacore::store::Device;
use whatsapp_rust::wacore::store::error::{Result, StoreError};
use whatsapp_rust::wacore::store::traits::{
    AppStateSyncKey, AppSyncStore, DeviceListRecord, DeviceStore, LidPnMappingEntry, MsgSecretEntry, MsgSecretStore,
    PendingInboundKey, PendingInboundRow, ProtocolStore, SignalStore, TcTokenEntry,
};

use crate::event::MessageKey;

pub(super) use opened::Opened;

/// What the engine keeps a session in.
pub(super) struct Backend {
    file: SqliteStore,
    opened: Arc<Opened>,
}

impl Backend {
    pub fn new(file: SqliteStore, opened: Arc<Opened>) -> Self {
        Self { file, opened }
    }

    /// A key must not be on the disk before what it opened is.
    async fn after_what_was_opened(&self, write: impl Future<Output = Result<()>> + Send) -> Result<()> {
        self.opened.save().await.map_err(database)?;
        write.await
    }

    /// The same for a write after which the keys of what was opened until now are on the disk.
    async fn keep_keys(&self, write: impl Future<Output = Result<()>> + Send) -> Result<()> {
        let moved = self.opened.moved();
        self.after_what_was_opened(write).await?;
        self.opened.keep_keys(moved);
        Ok(())
    }
}

fn database(error: crate::store::StoreError) -> StoreError {
    StoreError::Database(Box::new(error))
}

/// Passes calls of one of the engine's traits on to the session's file, but for those written out.
macro_rules! pass_on {
    (
        impl $trait:ident {
            $(async fn $name:ident(&self $(, $argument:ident: $type:ty)*) -> $answer:ty;)*
        }
        $(but { $($own:tt)* })?
    ) => {
        #[async_trait]
        impl $trait for Backend {
            $(async fn $name(&self $(, $argument: $type)*) -> $answer {
                self.file.$name($($argument),*).await
            })*
            $($($own)*)?
        }
    };
}

pass_on! {
    impl SignalStore {
        async fn put_identity(&self, address: &str, key: [u8; 32]) -> Result<()>;
        async fn put_identities_batch(&self, identities: &[(Arc<str>, [u8; 32])]) -> Result<()>;
        async fn load_identity(&self, address: &str) -> Result<Option<[u8; 32]>>;
        async fn delete_identity(&self, address: &str) -> Result<()>;
        async fn get_session(&self, address: &str) -> Result<Option<Bytes>>;
        async fn has_session(&self, address: &str) -> Result<bool>;
        async fn has_signal_state_for_user(&self, user: &str) -> Result<bool>;
        async fn store_prekey(&self, id: u32, record: &[u8], uploaded: bool) -> Result<()>;
        async fn store_prekeys_batch(&self, keys: &[(u32, Bytes)], uploaded: bool) -> Result<()>;
        async fn load_prekey(&self, id: u32) -> Result<Option<Bytes>>;
        async fn load_prekeys_batch(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>>;
        async fn mark_prekeys_uploaded(&self, ids: &[u32]) -> Result<()>;
        async fn get_max_prekey_id(&self) -> Result<u32>;
        async fn store_signed_prekey(&self, id: u32, record: &[u8]) -> Result<()>;
        async fn load_signed_prekey(&self, id: u32) -> Result<Option<Vec<u8>>>;
        async fn load_all_signed_prekeys(&self) -> Result<Vec<(u32, Vec<u8>)>>;
        async fn remove_signed_prekey(&self, id: u32) -> Result<()>;
        async fn get_sender_key(&self, address: &str) -> Result<Option<Vec<u8>>>;
    } but {
        async fn put_session(&self, address: &str, session: &[u8]) -> Result<()> {
            self.keep_keys(self.file.put_session(address, session)).await
        }

        async fn put_sessions_batch(&self, sessions: &[(Arc<str>, Bytes)]) -> Result<()> {
            self.keep_keys(self.file.put_sessions_batch(sessions)).await
        }

        async fn delete_session(&self, address: &str) -> Result<()> {
            self.after_what_was_opened(self.file.delete_session(address)).await
        }

        async fn remove_prekey(&self, id: u32) -> Result<()> {
            self.after_what_was_opened(self.file.remove_prekey(id)).await
        }

        async fn put_sender_key(&self, address: &str, record: &[u8]) -> Result<()> {
            self.keep_keys(self.file.put_sender_key(address, record)).await
        }

        async fn put_sender_keys_batch(&self, sender_keys: &[(Arc<str>, Bytes)]) -> Result<()> {
            self.keep_keys(self.file.put_sender_keys_batch(sender_keys)).await
        }

        async fn delete_sender_key(&self, address: &str) -> Result<()> {
            self.after_what_was_opened(self.file.delete_sender_key(address)).await
        }
    }
}

pass_on! {
    impl AppSyncStore {
        async fn get_sync_key(&self, key_id: &[u8]) -> Result<Option<AppStateSyncKey>>;
        async fn set_sync_key(&self, key_id: &[u8], key: AppStateSyncKey) -> Result<()>;
        async fn get_version(&self, name: &str) -> Result<HashState>;
        async fn set_version(&self, name: &str, state: HashState) -> Result<()>;
        async fn put_mutation_macs(&self, name: &str, version: u64, mutations: &[AppStateMutationMAC]) -> Result<()>;
        async fn get_mutation_mac(&self, name: &str, index_mac: &[u8]) -> Result<Option<Vec<u8>>>;
        async fn get_mutation_macs(&self, name: &str, index_macs: &[[u8; 32]]) -> Result<HashMap<[u8; 32], Vec<u8>>>;
        async fn delete_mutation_macs(&self, name: &str, index_macs: &[Vec<u8>]) -> Result<()>;
        async fn clear_mutation_macs(&self, name: &str) -> Result<()>;
        async fn get_latest_sync_key_id(&self) -> Result<Option<Vec<u8>>>;
    }
}

pass_on! {
    impl ProtocolStore {
        async fn get_sender_key_devices(&self, group_jid: &str) -> Result<Vec<(String, bool)>>;
        async fn set_sender_key_status(&self, group_jid: &str, entries: &[(&str, bool)]) -> Result<()>;
        async fn clear_sender_key_devices(&self, group_jid: &str) -> Result<()>;
        async fn delete_sender_key_device_rows(&self, device_jids: &[&str]) -> Result<()>;
        async fn clear_all_sender_key_devices(&self) -> Result<()>;
        async fn get_lid_mapping(&self, lid: &str) -> Result<Option<LidPnMappingEntry>>;
        async fn get_pn_mapping(&self, phone: &str) -> Result<Option<LidPnMappingEntry>>;
        async fn put_lid_mapping(&self, entry: &LidPnMappingEntry) -> Result<()>;
        async fn put_lid_mappings(&self, entries: &[LidPnMappingEntry]) -> Result<()>;
        async fn get_all_lid_mappings(&self) -> Result<Vec<LidPnMappingEntry>>;
        async fn save_base_key(&self, address: &str, message_id: &str, base_key: &[u8]) -> Result<()>;
        async fn has_same_base_key(&self, address: &str, message_id: &str, current_base_key: &[u8]) -> Result<bool>;
        async fn delete_base_key(&self, address: &str, message_id: &str) -> Result<()>;
        async fn update_device_list(&self, record: DeviceListRecord) -> Result<()>;
        async fn update_device_lists(&self, records: Vec<DeviceListRecord>) -> Result<()>;
        async fn get_devices(&self, user: &str) -> Result<Option<DeviceListRecord>>;
        async fn delete_devices(&self, user: &str) -> Result<()>;
        async fn get_group_metadata(&self, group_jid: &str) -> Result<Option<Vec<u8>>>;
        async fn put_group_metadata(&self, group_jid: &str, blob: &[u8]) -> Result<()>;
        async fn delete_group_metadata(&self, group_jid: &str) -> Result<()>;
        async fn get_tc_token(&self, jid: &str) -> Result<Option<TcTokenEntry>>;
        async fn put_tc_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()>;
        async fn delete_tc_token(&self, jid: &str) -> Result<()>;
        async fn get_all_tc_token_jids(&self) -> Result<Vec<String>>;
        async fn delete_expired_tc_tokens(&self, token_cutoff: i64, sender_cutoff: i64) -> Result<u32>;
        async fn touch_tc_token_sender_timestamp(&self, jid: &str, sender_timestamp: i64) -> Result<()>;
        async fn store_received_tc_token(&self, jid: &str, token: &[u8], token_timestamp: i64) -> Result<()>;
        async fn store_sent_message(&self, chat_jid: &str, message_id: &str, payload: &[u8]) -> Result<()>;
        async fn take_sent_message(&self, chat_jid: &str, message_id: &str) -> Result<Option<Vec<u8>>>;
        async fn delete_expired_sent_messages(&self, cutoff_timestamp: i64) -> Result<u32>;
    } but {
        async fn store_pending_inbound(&self, chat: &str, sender: &str, id: &str, message: &[u8]) -> Result<()> {
            self.store_pending_inbound_batch(&[PendingInboundRow { chat, sender, id, message }]).await
        }

        async fn get_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<Option<Vec<u8>>> {
            self.opened.find(&key(PendingInboundKey { chat, sender, id })).await.map_err(database)
        }

        async fn delete_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<()> {
            self.delete_pending_inbound_batch(&[PendingInboundKey { chat, sender, id }]).await
        }

        /// Nothing expires: what is left behind becomes events.
        async fn delete_expired_pending_inbound(&self, _: i64) -> Result<u32> {
            Ok(0)
        }

        async fn store_pending_inbound_batch(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
            let opened = |row: &PendingInboundRow<'_>| {
                let PendingInboundRow { chat, sender, id, message } = *row;
                (key(PendingInboundKey { chat, sender, id }), message.to_vec())
            };
            self.opened.add(rows.iter().map(opened));
            Ok(())
        }

        async fn delete_pending_inbound_batch(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
            self.opened.remove(keys.iter().copied().map(key).collect()).await.map_err(database)
        }
    }
}

fn key(key: PendingInboundKey<'_>) -> MessageKey {
    MessageKey { chat: key.chat.to_owned(), sender: key.sender.to_owned(), id: key.id.to_owned() }
}

pass_on! {
    impl DeviceStore {
        async fn save(&self, device: &Device) -> Result<()>;
        async fn load(&self) -> Result<Option<Device>>;
        async fn exists(&self) -> Result<bool>;
        async fn create(&self) -> Result<i32>;
        async fn snapshot_db(&self, name: &str, extra_content: Option<&[u8]>) -> Result<()>;
        async fn resource_report(&self) -> StorageResourceReport;
    }
}

pass_on! {
    impl MsgSecretStore {
        async fn put_msg_secret(&self, chat: &str, sender: &str, msg_id: &str, secret: &[u8; MESSAGE_SECRET_SIZE]) -> Result<()>;
        async fn put_msg_secrets(&self, entries: Vec<MsgSecretEntry>) -> Result<usize>;
        async fn get_msg_secret(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<Vec<u8>>>;
        async fn get_msg_secret_with_ts(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<(Vec<u8>, i64)>>;
        async fn delete_expired_msg_secrets(&self, cutoff_timestamp: i64) -> Result<u32>;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tempfile::TempDir;

    use super::*;
    use crate::clock::Clock;
    use crate::store::Store;

    struct Session {
        backend: Backend,
        opened: Arc<Opened>,
        store: Store,
        _folder: TempDir,
    }

    async fn session() -> Session {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let store = Store::open(&path("wapi.db"), Clock::system()).await.unwrap();
        let opened = Arc::new(Opened::new("shop", store.clone()));
        let file = SqliteStore::new(path("shop.db").to_str().unwrap()).await.unwrap();
        Session { backend: Backend::new(file, Arc::clone(&opened)), opened, store, _folder: folder }
    }

    const BOB: &str = "1:2@lid";

    fn named(id: &str) -> MessageKey {
        MessageKey { chat: BOB.to_owned(), sender: BOB.to_owned(), id: id.to_owned() }
    }

    impl Session {
        async fn opens(&self, id: &str) {
            self.backend.store_pending_inbound(BOB, BOB, id, id.as_bytes()).await.unwrap();
        }

        async fn moves_the_key_on(&self) -> Result<()> {
            self.backend.put_session("bob.0", b"key").await
        }

        async fn on_disk(&self) -> Vec<String> {
            let left = self.store.left_behind(jiff::Timestamp::MAX, 10).await.unwrap();
            left.into_iter().map(|left| left.key.id).collect()
        }
    }

    #[tokio::test]
    async fn a_key_is_not_written_before_what_it_opened_is_safe() {
        let session = session().await;
        session.opens("1").await;
        assert_eq!(session.on_disk().await, [""; 0], "nobody needs it there yet");
        session.moves_the_key_on().await.unwrap();
        assert_eq!(session.on_disk().await, ["1"]);
        session.opened.hand_over(vec![named("1")]).taken();
        session.backend.delete_pending_inbound(BOB, BOB, "1").await.unwrap();
        assert_eq!(session.on_disk().await, [""; 0]);
    }

    #[tokio::test]
    async fn a_message_that_became_an_event_was_never_written_twice() {
        let session = session().await;
        session.opens("1").await;
        session.opened.hand_over(vec![named("1")]).taken();
        session.moves_the_key_on().await.unwrap();
        session.backend.delete_pending_inbound(BOB, BOB, "1").await.unwrap();
        assert_eq!(session.on_disk().await, [""; 0]);
        assert_eq!(session.backend.get_pending_inbound(BOB, BOB, "1").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_key_waits_for_the_inbox_and_saves_what_the_inbox_refuses() {
        let session = session().await;
        session.opens("1").await;
        let handover = session.opened.hand_over(vec![named("1")]);
        let moving = session.moves_the_key_on();
        tokio::pin!(moving);
        assert!(futures_util::poll!(&mut moving).is_pending());
        drop(handover);
        moving.await.unwrap();
        assert_eq!(session.on_disk().await, ["1"]);
        assert_eq!(session.backend.get_pending_inbound(BOB, BOB, "1").await.unwrap(), Some(b"1".to_vec()));
    }

    #[tokio::test]
    async fn a_key_stays_where_it_was_while_nothing_can_be_saved() {
        let session = session().await;
        session.store.close().await;
        session.opens("1").await;
        session.moves_the_key_on().await.unwrap_err();
        assert_eq!(session.backend.get_session("bob.0").await.unwrap(), None);
        assert_eq!(session.backend.get_pending_inbound(BOB, BOB, "1").await.unwrap(), Some(b"1".to_vec()));
    }
}
