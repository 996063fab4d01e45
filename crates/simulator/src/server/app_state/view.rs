//! App state on a phone: its keys and collections, read patch by patch with every MAC checked.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail, ensure};
use wacore_appstate::decode::decode_record;
use wacore_appstate::encode::encode_record;
use wacore_appstate::hash::{HashState, generate_patch_mac};
use wacore_appstate::keys::{ExpandedAppStateKeys, expand_app_state_keys};
use wacore_appstate::{AppStateError, process_patch};
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::syncd_mutation::SyncdOperation;

use super::corruption::{corrupt_entry, corrupt_mac};
use super::{PatchOutcome, index_mac, operation_of};
use crate::model::faults::Corruption;
use crate::model::ids::{DeviceId, PhoneNumber};
use crate::server::Server;
use crate::server::phone_state::PhoneState;
use crate::server::stanza::iq;
use crate::server::stanza::messages::phone_message;

/// One entry of a collection.
#[derive(Clone, Debug)]
pub(crate) struct AppStateEntry {
    /// The path that identifies the entry, such as `["archive", CHAT]`.
    pub(crate) index: Vec<String>,
    pub(crate) value: wa::SyncActionValue,
    value_mac: Vec<u8>,
    key_id: Vec<u8>,
    schema: i32,
}

/// A pending write of one entry.
#[derive(Clone)]
pub(crate) struct AppStateChange {
    pub(crate) index: Vec<String>,
    /// The version of the action's schema.
    pub(crate) schema: i32,
    /// `None` removes the entry.
    pub(crate) value: Option<wa::SyncActionValue>,
}

/// A phone's knowledge of its account's app state.
pub(crate) struct AppState {
    /// Oldest first; the phone writes with the last.
    keys: Vec<wa::message::AppStateSyncKey>,
    views: HashMap<String, CollectionView>,
    corruption: Option<Corruption>,
}

#[derive(Default)]
struct CollectionView {
    state: HashState,
    /// By index MAC.
    entries: HashMap<Vec<u8>, AppStateEntry>,
    /// Indexes of entries that were written or removed, oldest first.
    written: Vec<Vec<String>>,
    /// A patch could not be read; later patches cannot be read either.
    is_broken: bool,
}

type KeyLookup = Result<Arc<ExpandedAppStateKeys>, AppStateError>;

impl AppState {
    pub(crate) fn new(corruption: Option<Corruption>) -> Self {
        let mut new = Self {
            keys: Vec::new(),
            views: HashMap::new(),
            corruption,
        };
        new.rotate_key();
        new
    }

    /// Makes a new key and uses it for all writes from now on.
    pub(crate) fn rotate_key(&mut self) {
        // The id holds the device that made it (0) and the key's epoch.
        let last = self.keys.last().and_then(|key| {
            key.key_id.as_option()?.key_id.as_deref()?[2..]
                .try_into()
                .ok()
        });
        let epoch = last.map_or_else(|| u32::from(rand::random::<u16>()), u32::from_be_bytes) + 1;
        let id = [&[0, 0], &epoch.to_be_bytes()[..]].concat();
        let current_index = Some(self.keys.len() as u32);
        self.keys.push(wa::message::AppStateSyncKey {
            key_id: MessageField::some(wa::message::AppStateSyncKeyId { key_id: Some(id) }),
            key_data: MessageField::some(wa::message::AppStateSyncKeyData {
                key_data: Some(rand::random::<[u8; 32]>().to_vec()),
                fingerprint: MessageField::some(wa::message::AppStateSyncKeyFingerprint {
                    raw_id: Some(rand::random()),
                    current_index,
                    device_indexes: vec![0],
                }),
                timestamp: Some(now_ms()),
            }),
        });
    }

    /// The message that shares all of the phone's keys, as with a device that was just linked.
    pub(crate) fn key_share_message(&self) -> wa::Message {
        build_key_share(self.keys.clone())
    }

    /// The message that shares the keys a device has asked for; an unknown key comes without data.
    pub(crate) fn requested_keys_message(
        &self,
        request: &wa::message::AppStateSyncKeyRequest,
    ) -> wa::Message {
        let one = |asked: &wa::message::AppStateSyncKeyId| {
            let known = self
                .keys
                .iter()
                .find(|key| key.key_id.as_option() == Some(asked));
            known
                .cloned()
                .unwrap_or_else(|| wa::message::AppStateSyncKey {
                    key_id: MessageField::some(asked.clone()),
                    ..Default::default()
                })
        };
        build_key_share(request.key_ids.iter().map(one).collect())
    }

    /// Returns the entries of a collection, unordered. One may occur under an old and the new key.
    pub(crate) fn entries(&self, collection: &str) -> impl Iterator<Item = &AppStateEntry> {
        self.views
            .get(collection)
            .into_iter()
            .flat_map(|view| view.entries.values())
    }

    /// Returns the indexes that were written to a collection or removed from it, oldest first.
    pub(crate) fn written_indexes(&self, collection: &str) -> Vec<Vec<String>> {
        self.views
            .get(collection)
            .map(|view| view.written.clone())
            .unwrap_or_default()
    }

    /// A whole collection in plaintext; `None` if nothing was written or a patch could not be read.
    pub(crate) fn recovery_snapshot(&self, collection: &str) -> Option<wa::SyncdSnapshotRecovery> {
        let view = self.views.get(collection).filter(|view| !view.is_broken)?;
        let record = |entry: &AppStateEntry| wa::SyncdPlainTextRecord {
            value: MessageField::some(wa::SyncActionData {
                index: serde_json::to_vec(&entry.index).ok(),
                value: MessageField::some(entry.value.clone()),
                padding: Some(Vec::new()),
                version: Some(entry.schema),
            }),
            key_id: Some(entry.key_id.clone()),
            mac: Some(entry.value_mac.clone()),
        };
        Some(wa::SyncdSnapshotRecovery {
            version: MessageField::some(wa::SyncdVersion {
                version: Some(view.state.version),
            }),
            collection_name: Some(collection.to_owned()),
            mutation_records: view.entries.values().map(record).collect(),
            collection_lthash: Some(view.state.hash.to_vec()),
        })
    }

    /// The newest version that was read.
    fn newest_version(&self, collection: &str) -> u64 {
        self.views
            .get(collection)
            .map_or(0, |view| view.state.version)
    }

    /// Finds and expands the key with this id, which the server relays without checking it.
    fn find_key(&self, id: &[u8]) -> KeyLookup {
        let of_id = |key: &&wa::message::AppStateSyncKey| {
            key.key_id.as_option().and_then(|id| id.key_id.as_deref()) == Some(id)
        };
        let key = self
            .keys
            .iter()
            .find(of_id)
            .ok_or(AppStateError::KeyNotFound)?;
        let data = key
            .key_data
            .as_option()
            .and_then(|data| data.key_data.as_deref());
        data.map(|data| Arc::new(expand_app_state_keys(data)))
            .ok_or(AppStateError::KeyNotFound)
    }

    fn newest_key(&self) -> anyhow::Result<(Vec<u8>, Arc<ExpandedAppStateKeys>)> {
        let newest = self
            .keys
            .last()
            .and_then(|key| key.key_id.as_option()?.key_id.clone())
            .context("it has a key")?;
        let keys = self.find_key(&newest)?;
        Ok((newest, keys))
    }

    /// Applies the next patch of a collection. Fails on a patch that WhatsApp's apps would refuse.
    fn apply_patch(&mut self, collection: &str, patch: &wa::SyncdPatch) -> anyhow::Result<()> {
        let mut view = self.views.remove(collection).unwrap_or_default();
        if view.is_broken {
            self.views.insert(collection.to_owned(), view);
            return Ok(());
        }
        let outcome = self.apply_to_view(&mut view, collection, patch);
        view.is_broken = outcome.is_err();
        self.views.insert(collection.to_owned(), view);
        let version = patch.version.version.unwrap_or(0);
        outcome.with_context(|| format!("app state, {collection} version {version}"))
    }

    fn apply_to_view(
        &self,
        view: &mut CollectionView,
        collection: &str,
        patch: &wa::SyncdPatch,
    ) -> anyhow::Result<()> {
        let known = |index: &[u8]| Ok(view.entries.get(index).map(|entry| entry.value_mac.clone()));
        // Patches that this phone corrupts on purpose are for other clients to detect.
        let is_checked = !self.corruption.is_some_and(Corruption::is_of_app_state);
        process_patch(
            patch,
            &mut view.state,
            |id| self.find_key(id),
            known,
            is_checked,
            collection,
        )?;
        ensure!(!view.state.mac_mismatch_fatal, "the snapshot MAC is wrong");
        ensure!(
            patch.patch_mac.is_some() && patch.snapshot_mac.is_some(),
            "it has no MAC"
        );
        let mut sets = Vec::new();
        for mutation in &patch.mutations {
            let index = index_mac(mutation)
                .context("an entry has an index")?
                .to_vec();
            match operation_of(mutation) {
                SyncdOperation::REMOVE => view
                    .written
                    .extend(view.entries.remove(&index).map(|entry| entry.index)),
                SyncdOperation::SET => {
                    sets.push((index, self.decrypt_entry(mutation, is_checked)?))
                }
            }
        }
        view.written
            .extend(sets.iter().map(|(_, entry)| entry.index.clone()));
        view.entries.extend(sets);
        Ok(())
    }

    fn decrypt_entry(
        &self,
        mutation: &wa::SyncdMutation,
        is_checked: bool,
    ) -> anyhow::Result<AppStateEntry> {
        let record = mutation
            .record
            .as_option()
            .context("an entry has a record")?;
        let key_id = record
            .key_id
            .as_option()
            .and_then(|id| id.id.clone())
            .context("an entry names its key")?;
        let keys = self.find_key(&key_id)?;
        let (read, macs) =
            decode_record(operation_of(mutation), record, &keys, &key_id, is_checked)?;
        Ok(AppStateEntry {
            index: read.index,
            value: read.action_value.unwrap_or_default(),
            value_mac: macs.value_mac,
            key_id,
            schema: 1,
        })
    }

    /// Builds a patch on top of the newest version that was read; returns that version with it.
    fn build_patch(
        &self,
        collection: &str,
        changes: &[AppStateChange],
    ) -> anyhow::Result<(u64, wa::SyncdPatch)> {
        let (key_id, keys) = self.newest_key()?;
        let nothing = CollectionView::default();
        let view = self.views.get(collection).unwrap_or(&nothing);
        ensure!(
            !view.is_broken,
            "{collection} holds a patch that the phone could not read"
        );
        let mut mutations = Vec::new();
        for change in changes {
            mutations.extend(self.build_mutations(view, change, &key_id, &keys)?);
        }
        if let Some(mutation) = mutations.last_mut() {
            corrupt_entry(mutation, self.corruption);
        }
        let mut state = view.state.clone();
        state.version += 1;
        let known =
            |index: &[u8], _| Ok(view.entries.get(index).map(|entry| entry.value_mac.clone()));
        state.update_hash(&mutations, known).1?;
        let mut snapshot_mac = state.generate_snapshot_mac(collection, &keys.snapshot_mac);
        corrupt_mac(
            &mut snapshot_mac,
            self.corruption == Some(Corruption::AppStateSnapshotMac),
        );
        let mut patch = wa::SyncdPatch {
            mutations,
            snapshot_mac: Some(snapshot_mac),
            key_id: MessageField::some(wa::KeyId { id: Some(key_id) }),
            device_index: Some(0),
            ..Default::default()
        };
        let mut patch_mac = generate_patch_mac(&patch, collection, &keys.patch_mac, state.version);
        corrupt_mac(
            &mut patch_mac,
            self.corruption == Some(Corruption::AppStatePatchMac),
        );
        patch.patch_mac = Some(patch_mac);
        Ok((view.state.version, patch))
    }

    /// Returns the mutations of one change: the new entry, and removals of it under older keys.
    fn build_mutations(
        &self,
        view: &CollectionView,
        change: &AppStateChange,
        key_id: &[u8],
        keys: &ExpandedAppStateKeys,
    ) -> anyhow::Result<Vec<wa::SyncdMutation>> {
        let index = serde_json::to_vec(&change.index)?;
        let mut mutations = Vec::new();
        for entry in view
            .entries
            .values()
            .filter(|entry| entry.index == change.index)
        {
            if entry.key_id != key_id || change.value.is_none() {
                let (keys, id) = (self.find_key(&entry.key_id)?, &entry.key_id);
                let (schema, remove) = (entry.schema, SyncdOperation::REMOVE);
                mutations.push(
                    encode_record(
                        remove,
                        &index,
                        &entry.value,
                        &keys,
                        id,
                        &rand::random(),
                        schema,
                    )
                    .0,
                );
            }
        }
        if let Some(value) = &change.value {
            let set = SyncdOperation::SET;
            mutations.push(
                encode_record(
                    set,
                    &index,
                    value,
                    keys,
                    key_id,
                    &rand::random(),
                    change.schema,
                )
                .0,
            );
        }
        Ok(mutations)
    }
}

fn build_key_share(keys: Vec<wa::message::AppStateSyncKey>) -> wa::Message {
    wa::Message {
        protocol_message: MessageField::some(wa::message::ProtocolMessage {
            r#type: Some(wa::message::protocol_message::Type::APP_STATE_SYNC_KEY_SHARE),
            app_state_sync_key_share: MessageField::some(wa::message::AppStateSyncKeyShare {
                keys,
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn now_ms() -> i64 {
    crate::wire::unix_time_ms()
}

/// Lets the phone read the new patches of a collection. An unreadable patch counts as a failure.
pub(crate) fn catch_up(server: &Server, number: &PhoneNumber, collection: &str) {
    let Some(phone_state) = server
        .world
        .lock()
        .account(number)
        .map(|account| account.phone_state.clone())
    else {
        return;
    };
    read_new_patches(server, number, &mut phone_state.lock(), collection);
}

fn read_new_patches(
    server: &Server,
    number: &PhoneNumber,
    phone_state: &mut PhoneState,
    collection: &str,
) {
    let known = phone_state.app_state.newest_version(collection);
    let patches = {
        let world = server.world.lock();
        world
            .account(number)
            .map(|account| account.app_state.patches_after(collection, known))
            .unwrap_or_default()
    };
    for patch in patches {
        let patch = wa::SyncdPatch::decode_from_slice(&patch)
            .expect("the server takes nothing but patches");
        if let Err(error) = phone_state.app_state.apply_patch(collection, &patch) {
            phone_state.record_failure(format!("{error:#}"));
        }
    }
}

/// Writes to a collection as the phone, after all patches from its linked devices; notifies them.
pub(crate) fn write_changes(
    server: &Server,
    number: &PhoneNumber,
    collection: &str,
    changes: &[AppStateChange],
) -> anyhow::Result<()> {
    let phone_state = server
        .world
        .lock()
        .account(number)
        .context("no such account")?
        .phone_state
        .clone();
    let version = {
        let mut phone_state = phone_state.lock();
        loop {
            read_new_patches(server, number, &mut phone_state, collection);
            let (base, patch) = phone_state.app_state.build_patch(collection, changes)?;
            let mut world = server.world.lock();
            let account = world.account_mut(number).context("no such account")?;
            match account
                .app_state
                .upload_patch(collection, base, &patch.encode_to_vec())
            {
                PatchOutcome::Accepted => break base + 1,
                PatchOutcome::Conflict => {}
                PatchOutcome::Malformed => bail!("the phone made no patch"),
            }
        }
    };
    catch_up(server, number, collection);
    let phone = DeviceId {
        number: number.clone(),
        device: 0,
    };
    iq::app_state::notify_other_devices(server, &phone, &[(collection.to_owned(), version)]);
    server.changed.notify_waiters();
    Ok(())
}

/// Sends the phone's keys to all devices it has linked.
pub(crate) fn share_keys(server: &Arc<Server>, number: &PhoneNumber) -> anyhow::Result<()> {
    let (phone_state, devices) = {
        let world = server.world.lock();
        let account = world
            .account(number)
            .ok_or_else(|| anyhow!("no such account"))?;
        (
            account.phone_state.clone(),
            account.linked_devices().collect::<Vec<_>>(),
        )
    };
    let share = phone_state.lock().app_state.key_share_message();
    devices
        .iter()
        .try_for_each(|device| phone_message::send_to_own_device(server, device, &share))
}
