//! The app-state collections of an account (archived chats, contacts, labels, …): versions and encrypted patches, which only the
//! account's own devices can read.

use std::collections::HashMap;

use anyhow::{Context, ensure};
use wacore_appstate::decode::decode_record;
use wacore_appstate::encode::encode_record;
use wacore_appstate::hash::{HashState, generate_patch_mac};
use wacore_appstate::keys::{ExpandedAppStateKeys, expand_app_state_keys};
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp as wa;

use crate::phone::Phone;
use crate::stanza::iq::appstate::tell_others;

/// All collections of one account, by name.
#[derive(Default)]
pub(crate) struct Collections {
    patches: HashMap<String, Vec<Vec<u8>>>,
}

/// What became of an uploaded patch.
pub(crate) enum Upload {
    /// It is the collection's new version.
    Accepted,
    /// The client did not know the newest version; it must take the missing patches first.
    Conflict,
    /// It is no `SyncdPatch`.
    Malformed,
}

impl Collections {
    /// The newest version; 0 for a collection nobody has written to.
    pub(crate) fn version(&self, name: &str) -> u64 {
        self.patches.get(name).map_or(0, |patches| patches.len() as u64)
    }

    /// The patches after a version, oldest first.
    pub(crate) fn after(&self, name: &str, version: u64) -> Vec<Vec<u8>> {
        let patches = self.patches.get(name).map_or(&[][..], Vec::as_slice);
        patches.iter().skip(usize::try_from(version).unwrap_or(usize::MAX)).cloned().collect()
    }

    /// Takes a patch made on top of `base`. The server fills in the patch's version: clients leave it out.
    pub(crate) fn upload(&mut self, name: &str, base: u64, patch: &[u8]) -> Upload {
        if base != self.version(name) {
            return Upload::Conflict;
        }
        let Ok(mut patch) = wa::SyncdPatch::decode_from_slice(patch) else {
            return Upload::Malformed;
        };
        patch.version = MessageField::some(wa::SyncdVersion { version: Some(base + 1) });
        self.patches.entry(name.to_owned()).or_default().push(patch.encode_to_vec());
        Upload::Accepted
    }
}

impl Phone {
    /// What the account's devices wrote into a collection, as the phone decrypts it: the index of each entry, oldest first, such as
    /// `["deleteMessageForMe", CHAT, ID, "1", "0"]`.
    pub fn app_state(&self, collection: &str) -> anyhow::Result<Vec<Vec<String>>> {
        let key = self.with_handset(|handset| handset.app_state_key().clone());
        let keys = key.key_data.as_option().and_then(|data| data.key_data.as_deref()).map(expand_app_state_keys);
        let keys = keys.context("the phone has a key")?;
        let patches = {
            let world = self.server.world.lock();
            world.account(&self.number).context("no such account")?.app_state.after(collection, 0)
        };
        let mut indexes = Vec::new();
        for patch in patches {
            for mutation in wa::SyncdPatch::decode_from_slice(&patch)?.mutations {
                let record = mutation.record.as_option().context("a mutation has a record")?;
                let key_id = record.key_id.as_option().and_then(|id| id.id.clone()).unwrap_or_default();
                let operation = mutation.operation.and_then(|operation| operation.as_known()).unwrap_or_default();
                indexes.push(decode_record(operation, record, &keys, &key_id, true)?.0.index);
            }
        }
        Ok(indexes)
    }
}

impl Phone {
    /// Writes an entry into a collection, as a phone does when its owner stars or archives something, and tells the linked devices.
    /// `version`: of the schema of this kind of entry.
    pub(crate) fn writes_app_state(
        &self,
        collection: &str,
        index: &[&str],
        value: &wa::SyncActionValue,
        version: i32,
    ) -> anyhow::Result<()> {
        let key = self.with_handset(|handset| handset.app_state_key().clone());
        let data = key.key_data.as_option().and_then(|data| data.key_data.clone()).context("the phone has a key")?;
        let key_id = key.key_id.as_option().and_then(|id| id.key_id.clone()).unwrap_or_default();
        let keys = expand_app_state_keys(&data);
        let index = serde_json::to_vec(index)?;
        let set = wa::syncd_mutation::SyncdOperation::SET;
        let (mutation, _) = encode_record(set, &index, value, &keys, &key_id, &rand::random(), version);
        let uploaded = {
            let mut world = self.server.world.lock();
            let state = &mut world.account_mut(&self.number).context("no such account")?.app_state;
            let base = state.version(collection);
            let patch = on_top(state.after(collection, 0), mutation, collection, &keys, key_id)?;
            matches!(state.upload(collection, base, &patch.encode_to_vec()), Upload::Accepted)
        };
        ensure!(uploaded, "the server did not take a patch of {collection}");
        tell_others(&self.server, &self.id(0), collection);
        Ok(())
    }
}

/// A patch with one more entry after all those before it: what authenticates it covers the whole collection.
fn on_top(
    before: Vec<Vec<u8>>,
    mutation: wa::SyncdMutation,
    collection: &str,
    keys: &ExpandedAppStateKeys,
    key_id: Vec<u8>,
) -> anyhow::Result<wa::SyncdPatch> {
    let version = before.len() as u64 + 1;
    let mut state = HashState { version, ..HashState::default() };
    let mut values: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    let mut add = |mutations: &[wa::SyncdMutation]| -> anyhow::Result<()> {
        state.update_hash(mutations, |index, _| Ok(values.get(index).cloned())).1?;
        for mutation in mutations {
            let Some(record) = mutation.record.as_option() else { continue };
            let index = record.index.as_option().and_then(|index| index.blob.clone()).unwrap_or_default();
            let value = record.value.as_option().and_then(|value| value.blob.clone()).unwrap_or_default();
            values.insert(index, value[value.len().saturating_sub(32)..].to_vec());
        }
        Ok(())
    };
    for patch in before {
        add(&wa::SyncdPatch::decode_from_slice(&patch)?.mutations)?;
    }
    add(std::slice::from_ref(&mutation))?;
    let mut patch = wa::SyncdPatch {
        mutations: vec![mutation],
        snapshot_mac: Some(state.generate_snapshot_mac(collection, &keys.snapshot_mac)),
        key_id: MessageField::some(wa::KeyId { id: Some(key_id) }),
        device_index: Some(0),
        ..Default::default()
    };
    patch.patch_mac = Some(generate_patch_mac(&patch, collection, &keys.patch_mac, version));
    Ok(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_numbered_by_the_server_and_a_stale_one_is_a_conflict() {
        let mut collections = Collections::default();
        let patch = wa::SyncdPatch { device_index: Some(1), ..Default::default() }.encode_to_vec();
        assert!(matches!(collections.upload("regular", 0, &patch), Upload::Accepted));
        assert!(matches!(collections.upload("regular", 0, &patch), Upload::Conflict));
        assert_eq!(collections.version("regular"), 1);
        let stored = wa::SyncdPatch::decode_from_slice(&collections.after("regular", 0)[0]).unwrap();
        assert_eq!(stored.version.as_option().unwrap().version, Some(1));
        assert!(collections.after("regular", 1).is_empty());
    }
}
