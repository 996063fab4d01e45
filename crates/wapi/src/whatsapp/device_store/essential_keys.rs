//! Change detection for Signal records: the writes that matter after a crash.
//!
//! Most of the engine's writes only advance a key within the range it has reserved, or store a key
//! that a message was read with. After a crash the engine continues after the reserved range and
//! reads those messages once more. So no frame waits for such a write.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use parking_lot::{Mutex, MutexGuard};
use whatsapp_rust::waproto::buffa::DecodeError;
use whatsapp_rust::waproto::buffa::encoding::{Tag, WireType, decode_varint, skip_field};

/// Path to a field in a record's protobuf, as field numbers from the outside in.
pub(crate) type FieldPath = &'static [u32];

/// Fields of a session with a device that may be lost: the position of the current sending chain,
/// which is reserved ahead (in a field of the engine's own), and the receiving chains.
pub(crate) const LOSSY_SESSION_FIELDS: &[FieldPath] = &[&[1, 6, 3], &[1, 7]];
/// Fields of a group member's sender key that may be lost: the position of its chain, and the keys
/// of skipped messages.
pub(crate) const LOSSY_SENDER_KEY_FIELDS: &[FieldPath] = &[&[1, 2], &[1, 4]];

/// Maximum number of records remembered, 16 bytes each. Above it all are forgotten: each counts as
/// new again, and frames wait for it once more.
const MAX_RECORDS: usize = 4_000;

/// Hash of each record's essential fields, by a hash of its name and kind.
#[derive(Default)]
pub(crate) struct RecordDigests(Mutex<HashMap<u64, u64>>);

/// Records with changed essential fields, to be remembered once they are written.
pub(crate) struct ChangedRecords(Vec<(u64, Option<u64>)>);

impl RecordDigests {
    /// Returns the records with essential fields that differ from the last write. The fields `lost`
    /// may be lost.
    pub fn find_changes<'a>(
        &self,
        records: impl Iterator<Item = (&'a str, &'a [u8])>,
        lost: &[FieldPath],
    ) -> ChangedRecords {
        let known = self.lock();
        let essences =
            records.map(|(name, record)| (hash_name(&(name, lost)), digest_record(record, lost)));
        // A record that cannot be read may hold any change.
        ChangedRecords(
            essences
                .filter(|(name, essence)| essence.is_none() || known.get(name).copied() != *essence)
                .collect(),
        )
    }

    /// Forgets a removed record: another in its place counts as new.
    pub fn forget_record(&self, name: &str, lost: &[FieldPath]) {
        self.lock().remove(&hash_name(&(name, lost)));
    }

    /// Remembers records that have been written.
    pub fn remember_records(&self, changed: ChangedRecords) {
        let mut known = self.lock();
        if known.len() + changed.0.len() > MAX_RECORDS {
            known.clear();
        }
        for (name, essence) in changed.0 {
            match essence {
                Some(essence) => known.insert(name, essence),
                None => known.remove(&name),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
        self.0.lock()
    }
}

impl ChangedRecords {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn hash_name(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// Hashes a record without the fields `lost`; `None` if the record is not a protobuf.
fn digest_record(record: &[u8], lost: &[FieldPath]) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    let lost: Vec<&[u32]> = lost.to_vec();
    digest_fields(record, &lost, &mut hasher).ok()?;
    Some(hasher.finish())
}

fn digest_fields(
    mut bytes: &[u8],
    lost: &[&[u32]],
    hasher: &mut DefaultHasher,
) -> Result<(), DecodeError> {
    while !bytes.is_empty() {
        let field = bytes;
        let tag = Tag::decode(&mut bytes)?;
        let inside: Vec<&[u32]> = lost
            .iter()
            .filter_map(|place| place.strip_prefix(&[tag.field_number()]))
            .collect();
        if tag.wire_type() == WireType::LengthDelimited
            && !inside.is_empty()
            && !inside.contains(&&[][..])
        {
            let length = usize::try_from(decode_varint(&mut bytes)?).unwrap_or(usize::MAX);
            let (content, rest) = bytes
                .split_at_checked(length)
                .ok_or(DecodeError::UnexpectedEof)?;
            hasher.write_u32(tag.field_number());
            digest_fields(content, &inside, hasher)?;
            bytes = rest;
            continue;
        }
        skip_field(tag, &mut bytes)?;
        if inside.is_empty() {
            hasher.write(&field[..field.len() - bytes.len()]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::waproto::buffa::{Message, MessageField};
    use whatsapp_rust::waproto::whatsapp as wa;
    use whatsapp_rust::waproto::whatsapp::session_structure::Chain;
    use whatsapp_rust::waproto::whatsapp::session_structure::chain::ChainKey;

    use crate::whatsapp::device_store::essential_keys::*;

    fn chain(ratchet: u8, index: u32) -> Chain {
        let key = ChainKey {
            index: Some(index),
            key: Some(vec![index as u8; 32].into()),
        };
        Chain {
            sender_ratchet_key: Some(vec![ratchet; 33]),
            chain_key: MessageField::some(key),
            ..Default::default()
        }
    }

    /// Returns a session with its own chain at `index`, `reserved` ahead, and the peer's chain at
    /// `read`.
    fn session(ratchet: u8, index: u32, reserved: u8, read: u32) -> Vec<u8> {
        let current = wa::SessionStructure {
            root_key: Some(vec![ratchet; 32]),
            sender_chain: MessageField::some(chain(ratchet, index)),
            receiver_chains: vec![chain(99, read)],
            ..Default::default()
        };
        let record = wa::RecordStructure {
            current_session: MessageField::some(current),
            ..Default::default()
        };
        let mut bytes = record.encode_to_vec();
        // The engine's own field 100, a varint: the reservation.
        bytes.extend([0xa0, 0x06, reserved]);
        bytes
    }

    fn is_news(essences: &RecordDigests, record: &[u8]) -> bool {
        let changed = essences.find_changes([("bob.0", record)].into_iter(), LOSSY_SESSION_FIELDS);
        let is_news = !changed.is_empty();
        essences.remember_records(changed);
        is_news
    }

    #[test]
    fn only_what_a_promise_rests_on_is_news() {
        let essences = RecordDigests::default();
        assert!(
            is_news(&essences, &session(1, 0, 64, 0)),
            "nobody has seen it"
        );
        assert!(
            !is_news(&essences, &session(1, 30, 64, 0)),
            "it goes on within what is reserved"
        );
        assert!(
            !is_news(&essences, &session(1, 30, 64, 7)),
            "what was read can be read once more"
        );
        assert!(
            is_news(&essences, &session(1, 64, 127, 7)),
            "more is reserved"
        );
        assert!(
            is_news(&essences, &session(2, 0, 127, 8)),
            "the next message is sealed with another chain"
        );
        assert!(!is_news(&essences, &session(2, 1, 127, 9)));
    }

    #[test]
    fn what_comes_in_place_of_what_was_removed_is_news() {
        let essences = RecordDigests::default();
        let record = session(1, 0, 64, 0);
        assert!(is_news(&essences, &record) && !is_news(&essences, &record));
        essences.forget_record("bob.0", LOSSY_SESSION_FIELDS);
        assert!(is_news(&essences, &record));
    }

    #[test]
    fn what_cannot_be_read_is_always_news() {
        let essences = RecordDigests::default();
        for _ in 0..2 {
            assert!(is_news(&essences, b"\xff"));
            assert!(is_news(&essences, &[0x0a, 0xff, 0x01, 0x00]));
        }
    }

    #[test]
    fn however_many_records_there_are_few_are_remembered() {
        let essences = RecordDigests::default();
        for name in 0..=MAX_RECORDS {
            essences.remember_records(ChangedRecords(vec![(name as u64, Some(1))]));
        }
        assert_eq!(essences.lock().len(), 1);
    }
}
