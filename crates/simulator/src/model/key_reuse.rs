//! Detection of reused message keys: one counter of a chain must never encrypt two different
//! plaintexts, or both can be read.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use wacore_libsignal::protocol::{PreKeySignalMessage, SenderKeyMessage, SignalMessage};

use crate::model::bounded_list::BoundedList;

/// A hash of the key that encrypted a message: of the device, the chain and the counter.
type KeyHash = u64;

/// The ciphertexts one phone has received, by the keys that encrypted them.
pub(crate) struct ReuseDetector {
    /// The hash of the ciphertext that each key encrypted.
    used: HashMap<KeyHash, u64>,
    order: BoundedList<KeyHash>,
    reused: BoundedList<String>,
    /// Whether a test has read the reused keys: they are no leftovers then.
    is_read: bool,
}

impl ReuseDetector {
    /// Remembers this many messages.
    pub(crate) fn new(kept: usize) -> Self {
        Self {
            used: HashMap::new(),
            order: BoundedList::new(kept),
            reused: BoundedList::new(kept),
            is_read: false,
        }
    }

    /// Records a ciphertext from a device, in a group or (`None`) for this phone alone. A
    /// ciphertext that does not parse is ignored.
    pub(crate) fn record_ciphertext(
        &mut self,
        id: &str,
        sender: &str,
        group: Option<&str>,
        kind: &str,
        bytes: &[u8],
    ) {
        let Some((chain, counter)) = chain_position(kind, bytes) else {
            return;
        };
        let (key, ciphertext) = (
            hash_value(&(sender, group, &chain, counter)),
            hash_value(&bytes),
        );
        match self.used.insert(key, ciphertext) {
            Some(former) if former == ciphertext => {}
            Some(_) => {
                self.reused.push(format!(
                    "{id} from {sender}: chain {chain}, counter {counter}"
                ));
            }
            None => {
                if let Some(oldest) = self.order.push(key) {
                    self.used.remove(&oldest);
                }
            }
        }
    }

    pub(crate) fn read_reused_keys(&mut self) -> Vec<String> {
        self.is_read = true;
        self.reused.iter().cloned().collect()
    }

    /// The reused keys, or nothing if a test has read them before.
    pub(crate) fn unread_reused_keys(&self) -> Vec<String> {
        if self.is_read {
            Vec::new()
        } else {
            self.reused.iter().cloned().collect()
        }
    }
}

/// Returns the chain that encrypted a message, and the message's counter in it.
fn chain_position(kind: &str, bytes: &[u8]) -> Option<(String, u32)> {
    let of = |message: &SignalMessage| {
        (
            hex::encode(message.sender_ratchet_key().serialize()),
            message.counter(),
        )
    };
    match kind {
        "pkmsg" => Some(of(PreKeySignalMessage::try_from(bytes).ok()?.message())),
        "msg" => Some(of(&SignalMessage::try_from(bytes).ok()?)),
        "skmsg" => {
            let message = SenderKeyMessage::try_from(bytes).ok()?;
            Some((message.chain_id().to_string(), message.iteration()))
        }
        _ => None,
    }
}

fn hash_value(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use crate::crypto::sender_keys::SenderKeys;
    use crate::crypto::signal_protocol::SignalStore;
    use crate::model::key_reuse::*;

    #[test]
    fn a_key_that_comes_from_an_older_copy_is_noticed() {
        let (mut alice, mut bob) = (
            SignalStore::generate().unwrap(),
            SignalStore::generate().unwrap(),
        );
        alice.start_session("bob", 0, &bob.own_bundle()).unwrap();
        let mut counters = ReuseDetector::new(100);
        let first = alice.encrypt("bob", 0, b"one").unwrap();
        counters.record_ciphertext("1", "alice", None, first.kind, &first.bytes);
        bob.decrypt("alice", 0, first.kind, &first.bytes).unwrap();
        let answer = bob.encrypt("alice", 0, b"two").unwrap();
        alice.decrypt("bob", 0, answer.kind, &answer.bytes).unwrap();

        let before = alice.sessions_as_they_are();
        let second = alice.encrypt("bob", 0, b"three").unwrap();
        alice.go_back_to(before);
        let third = alice.encrypt("bob", 0, b"four").unwrap();
        for _ in 0..2 {
            counters.record_ciphertext("2", "alice", None, second.kind, &second.bytes);
        }
        assert_eq!(
            counters.unread_reused_keys(),
            [""; 0],
            "what is delivered again is no new message"
        );
        counters.record_ciphertext("3", "alice", None, third.kind, &third.bytes);
        assert_eq!(counters.unread_reused_keys().len(), 1);
        assert!(
            counters.read_reused_keys()[0].starts_with("3 from alice: chain 05"),
            "{:?}",
            counters.read_reused_keys()
        );
        assert_eq!(counters.unread_reused_keys(), [""; 0]);
    }

    #[test]
    fn each_group_and_device_has_chains_of_its_own() {
        let mut counters = ReuseDetector::new(100);
        for (sender, group) in [("alice", "1@g.us"), ("alice", "2@g.us"), ("bob", "1@g.us")] {
            let mut keys = SenderKeys::default();
            keys.distribution_message(group).unwrap();
            let sealed = keys.encrypt(group, b"text").unwrap();
            counters.record_ciphertext("1", sender, Some(group), sealed.kind, &sealed.bytes);
        }
        assert_eq!(counters.unread_reused_keys(), [""; 0]);
    }
}
