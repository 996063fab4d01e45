//! The calls that are compared.

use std::collections::BTreeMap;
use std::sync::Arc;

use whatsapp_rust::bytes::Bytes;
use whatsapp_rust::wacore::appstate::hash::HashState;
use whatsapp_rust::wacore::appstate::processor::AppStateMutationMAC;
use whatsapp_rust::wacore::store::traits::{
    AppStateSyncKey, Backend, DeviceInfo, DeviceListRecord, LidPnMappingEntry, MsgSecretEntry,
    TcTokenEntry,
};

/// Some begin alike, to be told apart.
const NAMES: [&str; 5] = [
    "1@lid",
    "1:2@lid",
    "10:2@lid",
    "1@s.whatsapp.net",
    "1:2@lid.0",
];

/// A name of [`NAMES`], by its number.
type Name = usize;

/// A call to a store; each number stands for a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    PutIdentity(Name, u8),
    PutIdentities(Name, Name, u8),
    LoadIdentity(Name),
    DeleteIdentity(Name),
    PutSession(Name, u8),
    PutSessions(Name, Name, u8),
    GetSession(Name),
    DeleteSession(Name),
    HasStateForUser(Name),
    StorePreKey(u32, u8, bool),
    StorePreKeys(u32, u8),
    LoadPreKeys(u32),
    MarkUploaded(u32),
    RemovePreKey(u32),
    MaxPreKey,
    StoreSignedPreKey(u32, u8),
    LoadSignedPreKeys(u32),
    RemoveSignedPreKey(u32),
    PutSenderKey(Name, u8),
    PutSenderKeys(Name, Name, u8),
    GetSenderKey(Name),
    DeleteSenderKey(Name),
    SetSyncKey(u8, u8),
    GetSyncKey(u8),
    LatestSyncKey,
    SetVersion(Name, u8),
    GetVersion(Name),
    PutMacs(Name, u8, u8),
    GetMacs(Name, u8),
    DeleteMacs(Name, u8),
    ClearMacs(Name),
    SetSenderKeyStatus(Name, Name, bool),
    GetSenderKeyDevices(Name),
    ClearSenderKeyDevices(Name),
    DeleteSenderKeyDevices(Name),
    ClearAllSenderKeyDevices,
    PutLidMapping(Name, Name),
    GetLidMapping(Name),
    GetPnMapping(Name),
    AllLidMappings,
    SaveBaseKey(Name, Name, u8),
    HasSameBaseKey(Name, Name, u8),
    DeleteBaseKey(Name, Name),
    UpdateDevices(Name, u8),
    GetDevices(Name),
    DeleteDevices(Name),
    PutGroup(Name, u8),
    GetGroup(Name),
    DeleteGroup(Name),
    PutToken(Name, u8, u8),
    ReceiveToken(Name, u8),
    TouchToken(Name, u8),
    GetToken(Name),
    DeleteToken(Name),
    TokenNames,
    ExpireTokens(u8, u8),
    PutSecrets(Name, Name, u8, u8),
    GetSecret(Name, Name),
    ExpireSecrets(u8),
}

impl Call {
    /// Whether the engine's own stores answer differently: the one in memory knows the last app-state
    /// key and number by the order of the calls, and the one of files by what the entries say.
    pub fn is_disputed(self) -> bool {
        matches!(
            self,
            Self::LatestSyncKey
                | Self::GetPnMapping(_)
                | Self::GetLidMapping(_)
                | Self::AllLidMappings
        )
    }

    /// Makes the call, which is the `time`th, and returns the answer.
    pub async fn make(self, to: &dyn Backend, time: i64) -> String {
        match self.try_make(to, time).await {
            Ok(answer) => answer,
            Err(error) => format!("failed: {error}"),
        }
    }

    async fn try_make(
        self,
        to: &dyn Backend,
        time: i64,
    ) -> whatsapp_rust::wacore::store::error::Result<String> {
        use Call::*;
        let name = |at: Name| NAMES[at % NAMES.len()];
        let shared = |at: Name| Arc::<str>::from(name(at));
        let record = |value: u8| Bytes::from(vec![value; usize::from(value)]);
        let index = |value: u8| [value; 32];
        let answer = match self {
            PutIdentity(at, value) => shown(to.put_identity(name(at), [value; 32]).await?),
            PutIdentities(one, other, value) => {
                let batch = [(shared(one), [value; 32]), (shared(other), [!value; 32])];
                shown(to.put_identities_batch(&batch).await?)
            }
            LoadIdentity(at) => shown(to.load_identity(name(at)).await?),
            DeleteIdentity(at) => shown(to.delete_identity(name(at)).await?),
            PutSession(at, value) => shown(to.put_session(name(at), &record(value)).await?),
            PutSessions(one, other, value) => {
                let batch = [
                    (shared(one), record(value)),
                    (shared(other), record(!value)),
                ];
                shown(to.put_sessions_batch(&batch).await?)
            }
            GetSession(at) => shown((
                to.get_session(name(at)).await?,
                to.has_session(name(at)).await?,
            )),
            DeleteSession(at) => shown(to.delete_session(name(at)).await?),
            HasStateForUser(at) => {
                let user = name(at).split(['@', ':']).next().unwrap_or_default();
                shown(to.has_signal_state_for_user(user).await?)
            }
            StorePreKey(id, value, uploaded) => {
                shown(to.store_prekey(id, &record(value), uploaded).await?)
            }
            StorePreKeys(id, value) => {
                let batch = [(id, record(value)), (id + 1, record(!value))];
                shown(to.store_prekeys_batch(&batch, false).await?)
            }
            LoadPreKeys(id) => {
                let mut batch = to.load_prekeys_batch(&[id, id + 1, id + 2]).await?;
                batch.sort_unstable();
                shown((to.load_prekey(id).await?, batch))
            }
            MarkUploaded(id) => shown(to.mark_prekeys_uploaded(&[id, id + 1]).await?),
            RemovePreKey(id) => shown(to.remove_prekey(id).await?),
            MaxPreKey => shown(to.get_max_prekey_id().await?),
            StoreSignedPreKey(id, value) => {
                shown(to.store_signed_prekey(id, &record(value)).await?)
            }
            LoadSignedPreKeys(id) => {
                let mut all = to.load_all_signed_prekeys().await?;
                all.sort_unstable();
                shown((to.load_signed_prekey(id).await?, all))
            }
            RemoveSignedPreKey(id) => shown(to.remove_signed_prekey(id).await?),
            PutSenderKey(at, value) => shown(to.put_sender_key(name(at), &record(value)).await?),
            PutSenderKeys(one, other, value) => {
                let batch = [
                    (shared(one), record(value)),
                    (shared(other), record(!value)),
                ];
                shown(to.put_sender_keys_batch(&batch).await?)
            }
            GetSenderKey(at) => shown(to.get_sender_key(name(at)).await?),
            DeleteSenderKey(at) => shown(to.delete_sender_key(name(at)).await?),
            SetSyncKey(id, value) => {
                let key = AppStateSyncKey {
                    key_data: vec![value; 32],
                    fingerprint: vec![value],
                    timestamp: time,
                };
                shown(to.set_sync_key(&[id, 7], key).await?)
            }
            GetSyncKey(id) => shown(to.get_sync_key(&[id, 7]).await?),
            LatestSyncKey => shown(to.get_latest_sync_key_id().await?),
            SetVersion(at, value) => {
                let state = HashState {
                    version: value.into(),
                    hash: [value; 128],
                    ..HashState::default()
                };
                shown(to.set_version(name(at), state).await?)
            }
            GetVersion(at) => shown(to.get_version(name(at)).await?),
            PutMacs(at, mac, value) => {
                let entry = |index_mac: [u8; 32]| AppStateMutationMAC {
                    index_mac: index_mac.to_vec(),
                    value_mac: vec![value; 32],
                };
                let batch = [entry(index(mac)), entry(index(mac.wrapping_add(1)))];
                shown(to.put_mutation_macs(name(at), 1, &batch).await?)
            }
            GetMacs(at, mac) => {
                let asked = [index(mac), index(mac.wrapping_add(1))];
                let found = to.get_mutation_macs(name(at), &asked).await?;
                let found: BTreeMap<_, _> = found.into_iter().collect();
                shown((to.get_mutation_mac(name(at), &index(mac)).await?, found))
            }
            DeleteMacs(at, mac) => {
                let macs = [index(mac).to_vec()];
                shown(to.delete_mutation_macs(name(at), &macs).await?)
            }
            ClearMacs(at) => shown(to.clear_mutation_macs(name(at)).await?),
            SetSenderKeyStatus(group, device, has_key) => {
                let entries = [(name(device), has_key), (name(device + 1), !has_key)];
                shown(to.set_sender_key_status(name(group), &entries).await?)
            }
            GetSenderKeyDevices(group) => {
                let mut devices = to.get_sender_key_devices(name(group)).await?;
                devices.sort_unstable();
                shown(devices)
            }
            ClearSenderKeyDevices(group) => shown(to.clear_sender_key_devices(name(group)).await?),
            DeleteSenderKeyDevices(at) => {
                shown(to.delete_sender_key_device_rows(&[name(at)]).await?)
            }
            ClearAllSenderKeyDevices => shown(to.clear_all_sender_key_devices().await?),
            PutLidMapping(lid, phone) => {
                let entry = LidPnMappingEntry {
                    lid: name(lid).to_owned(),
                    phone_number: name(phone).to_owned(),
                    created_at: time,
                    updated_at: time,
                    learning_source: "usync".to_owned(),
                };
                shown(to.put_lid_mapping(&entry).await?)
            }
            GetLidMapping(lid) => shown(to.get_lid_mapping(name(lid)).await?),
            GetPnMapping(phone) => shown(to.get_pn_mapping(name(phone)).await?),
            AllLidMappings => {
                let mut all = to.get_all_lid_mappings().await?;
                all.sort_unstable_by(|one, other| one.lid.cmp(&other.lid));
                shown(all)
            }
            SaveBaseKey(at, id, value) => {
                shown(to.save_base_key(name(at), name(id), &record(value)).await?)
            }
            HasSameBaseKey(at, id, value) => shown(
                to.has_same_base_key(name(at), name(id), &record(value))
                    .await?,
            ),
            DeleteBaseKey(at, id) => shown(to.delete_base_key(name(at), name(id)).await?),
            UpdateDevices(at, value) => {
                let list = DeviceListRecord {
                    user: name(at).to_owned(),
                    devices: vec![DeviceInfo::new(value.into(), Some(value.into()))],
                    timestamp: time,
                    phash: Some(format!("2:{value}")),
                    raw_id: (value % 2 == 0).then_some(value.into()),
                };
                shown(to.update_device_list(list).await?)
            }
            GetDevices(at) => shown(to.get_devices(name(at)).await?),
            DeleteDevices(at) => shown(to.delete_devices(name(at)).await?),
            PutGroup(at, value) => shown(to.put_group_metadata(name(at), &record(value)).await?),
            GetGroup(at) => shown(to.get_group_metadata(name(at)).await?),
            DeleteGroup(at) => shown(to.delete_group_metadata(name(at)).await?),
            PutToken(at, token, sent) => {
                let entry = TcTokenEntry {
                    token: record(token).to_vec(),
                    token_timestamp: token.into(),
                    sender_timestamp: (sent > 0).then_some(sent.into()),
                };
                shown(to.put_tc_token(name(at), &entry).await?)
            }
            ReceiveToken(at, token) => {
                let bytes = record(token);
                shown(
                    to.store_received_tc_token(name(at), &bytes, token.into())
                        .await?,
                )
            }
            TouchToken(at, sent) => shown(
                to.touch_tc_token_sender_timestamp(name(at), sent.into())
                    .await?,
            ),
            GetToken(at) => shown(to.get_tc_token(name(at)).await?),
            DeleteToken(at) => shown(to.delete_tc_token(name(at)).await?),
            TokenNames => {
                let mut names = to.get_all_tc_token_jids().await?;
                names.sort_unstable();
                shown(names)
            }
            ExpireTokens(token, sent) => shown(
                to.delete_expired_tc_tokens(token.into(), sent.into())
                    .await?,
            ),
            PutSecrets(at, id, secret, expires) => {
                let entry = |expires_at: u8| MsgSecretEntry {
                    chat: shared(at),
                    sender: shared(at + 1),
                    msg_id: shared(id),
                    secret: [secret; 32],
                    expires_at: expires_at.into(),
                    message_ts: (expires % 3).into(),
                };
                let batch = vec![entry(expires), entry(expires / 2)];
                shown(to.put_msg_secrets(batch).await?)
            }
            GetSecret(at, id) => {
                let (chat, sender, id) = (name(at), name(at + 1), name(id));
                shown((
                    to.get_msg_secret(chat, sender, id).await?,
                    to.get_msg_secret_with_ts(chat, sender, id).await?,
                ))
            }
            ExpireSecrets(at) => shown(to.delete_expired_msg_secrets(at.into()).await?),
        };
        Ok(answer)
    }
}

fn shown(answer: impl std::fmt::Debug) -> String {
    format!("{answer:?}")
}
