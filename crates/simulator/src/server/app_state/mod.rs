//! App-state collections of an account (archived chats, contacts, labels, …) as the server stores
//! them: versions and encrypted patches, which only the account's own devices can read. `view.rs`
//! is how its phone reads and writes them.

mod corruption;
mod view;

use std::collections::{BTreeMap, HashMap};

use anyhow::Context;
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::syncd_mutation::SyncdOperation;

pub(crate) use view::{
    AppState, AppStateChange, AppStateEntry, catch_up, share_keys, write_changes,
};

use crate::crypto::media_cipher::{self, MediaStore};

/// How many patches an answer holds; `has_more_patches` announces more.
const PATCHES_PER_PAGE: usize = 5;
/// The server makes a snapshot after each this many patches. A client that starts from nothing gets
/// the newest snapshot and the patches after it.
const SNAPSHOT_EVERY: usize = 10;

/// All collections of one account, by name.
#[derive(Default)]
pub(crate) struct CollectionStore {
    patches: HashMap<String, Vec<Vec<u8>>>,
}

/// The outcome of a patch upload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PatchOutcome {
    /// The patch is the collection's new version.
    Accepted,
    /// The client did not know the newest version; it must apply the missing patches first.
    Conflict,
    /// The upload is no `SyncdPatch`, or one of its entries lacks a part.
    Malformed,
}

/// Some of the patches after a version, oldest first.
pub(crate) struct PatchPage {
    pub(crate) patches: Vec<Vec<u8>>,
    pub(crate) has_more: bool,
}

impl CollectionStore {
    /// The newest version; 0 for a collection that nobody has written to.
    pub(crate) fn newest_version(&self, name: &str) -> u64 {
        self.all_patches(name).len() as u64
    }

    /// Returns all patches after a version, oldest first.
    pub(crate) fn patches_after(&self, name: &str, version: u64) -> Vec<Vec<u8>> {
        self.all_patches(name)
            .iter()
            .skip(patch_index(version))
            .cloned()
            .collect()
    }

    /// Returns as many patches after a version as one answer holds.
    pub(crate) fn patch_page(&self, name: &str, version: u64) -> PatchPage {
        let mut patches = self.patches_after(name, version);
        let has_more = patches.len() > PATCHES_PER_PAGE;
        patches.truncate(PATCHES_PER_PAGE);
        PatchPage { patches, has_more }
    }

    /// Stores a patch made on top of `base`. The server fills in the patch's version, which clients
    /// leave out. It has none of the account's keys, so only the account's devices can check the
    /// MACs.
    pub(crate) fn upload_patch(&mut self, name: &str, base: u64, patch: &[u8]) -> PatchOutcome {
        if base != self.newest_version(name) {
            return PatchOutcome::Conflict;
        }
        let Some(mut patch) = wa::SyncdPatch::decode_from_slice(patch)
            .ok()
            .filter(is_complete)
        else {
            return PatchOutcome::Malformed;
        };
        patch.version = MessageField::some(wa::SyncdVersion {
            version: Some(base + 1),
        });
        self.patches
            .entry(name.to_owned())
            .or_default()
            .push(patch.encode_to_vec());
        PatchOutcome::Accepted
    }

    /// Encrypts and uploads the newest snapshot of a collection; returns its version and the
    /// encoded reference to it. Returns `None` if the collection is too short to have one.
    pub(crate) fn upload_snapshot(
        &self,
        name: &str,
        media: &MediaStore,
    ) -> anyhow::Result<Option<(u64, Vec<u8>)>> {
        let patches = self.all_patches(name);
        let count = patches.len() - patches.len() % SNAPSHOT_EVERY;
        if count == 0 {
            return Ok(None);
        }
        let snapshot = build_snapshot(&patches[..count])?.encode_to_vec();
        let sealed = media_cipher::encrypt_file("md-app-state", &snapshot)?;
        let reference = wa::ExternalBlobReference {
            media_key: Some(sealed.media_key.to_vec()),
            direct_path: Some(media.upload_file(&sealed)?),
            handle: Some(media_cipher::file_token(&sealed.file_enc_sha256)),
            file_size_bytes: Some(snapshot.len() as u64),
            file_sha256: Some(sealed.file_sha256),
            file_enc_sha256: Some(sealed.file_enc_sha256),
        };
        Ok(Some((count as u64, reference.encode_to_vec())))
    }

    fn all_patches(&self, name: &str) -> &[Vec<u8>] {
        self.patches.get(name).map_or(&[], Vec::as_slice)
    }
}

fn patch_index(version: u64) -> usize {
    usize::try_from(version).unwrap_or(usize::MAX)
}

fn is_complete(patch: &wa::SyncdPatch) -> bool {
    patch
        .mutations
        .iter()
        .all(|mutation| index_mac(mutation).is_some() && mutation.record.value.blob.is_some())
}

/// The index MAC of a mutation: the only thing by which the server can tell entries apart.
fn index_mac(mutation: &wa::SyncdMutation) -> Option<&[u8]> {
    mutation
        .record
        .as_option()?
        .index
        .as_option()?
        .blob
        .as_deref()
}

fn operation_of(mutation: &wa::SyncdMutation) -> SyncdOperation {
    mutation
        .operation
        .and_then(|operation| operation.as_known())
        .unwrap_or_default()
}

/// Returns all entries that are left after these patches. The MAC is that of the last patch, whose
/// author had the keys.
fn build_snapshot(patches: &[Vec<u8>]) -> anyhow::Result<wa::SyncdSnapshot> {
    let mut records = BTreeMap::new();
    let mut last = wa::SyncdPatch::default();
    for patch in patches {
        let patch = wa::SyncdPatch::decode_from_slice(patch)?;
        // Removals come first: one patch may remove an entry and write it again.
        let (removals, sets): (Vec<_>, Vec<_>) = patch
            .mutations
            .iter()
            .partition(|mutation| operation_of(mutation) == SyncdOperation::REMOVE);
        for mutation in removals {
            records.remove(index_mac(mutation).context("an entry has an index")?);
        }
        for mutation in sets {
            let index = index_mac(mutation).context("an entry has an index")?;
            records.insert(
                index.to_vec(),
                mutation
                    .record
                    .as_option()
                    .context("an entry has a record")?
                    .clone(),
            );
        }
        last = patch;
    }
    Ok(wa::SyncdSnapshot {
        version: last.version,
        records: records.into_values().collect(),
        mac: last.snapshot_mac,
        key_id: last.key_id,
    })
}

/// The collection of the account's push name.
pub(crate) const CRITICAL_BLOCK: &str = "critical_block";

/// The collection of mutes, stars and deleted chats.
pub(crate) const REGULAR_HIGH: &str = "regular_high";

#[cfg(test)]
mod tests {
    use crate::server::app_state::*;

    #[test]
    fn patches_are_numbered_by_the_server_and_a_stale_one_is_a_conflict() {
        let mut collections = CollectionStore::default();
        let patch = wa::SyncdPatch {
            device_index: Some(1),
            ..Default::default()
        }
        .encode_to_vec();
        assert_eq!(
            collections.upload_patch("regular", 0, &patch),
            PatchOutcome::Accepted
        );
        assert_eq!(
            collections.upload_patch("regular", 0, &patch),
            PatchOutcome::Conflict
        );
        assert_eq!(collections.newest_version("regular"), 1);
        let stored =
            wa::SyncdPatch::decode_from_slice(&collections.patches_after("regular", 0)[0]).unwrap();
        assert_eq!(stored.version.as_option().unwrap().version, Some(1));
        assert!(collections.patches_after("regular", 1).is_empty());
        assert_eq!(
            collections.upload_patch("regular", 1, b"\xff"),
            PatchOutcome::Malformed
        );
    }

    #[test]
    fn an_answer_holds_some_patches_and_says_that_there_are_more() {
        let mut collections = CollectionStore::default();
        for base in 0..7 {
            assert_eq!(
                collections.upload_patch("regular", base, &[]),
                PatchOutcome::Accepted
            );
        }
        let (first, rest) = (
            collections.patch_page("regular", 0),
            collections.patch_page("regular", 5),
        );
        assert_eq!(
            (
                first.patches.len(),
                first.has_more,
                rest.patches.len(),
                rest.has_more
            ),
            (5, true, 2, false)
        );
    }
}
