//! The app-state collections of an account (archived chats, contacts, labels, …): versions and encrypted patches, which only the
//! account's own devices can read.

use std::collections::HashMap;

use anyhow::Context;
use wacore_appstate::decode::decode_record;
use wacore_appstate::keys::expand_app_state_keys;
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp as wa;

use crate::phone::Phone;

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
