//! Sender keys of a phone: it encrypts a group message once for everybody with its own, and
//! decrypts others' messages with theirs.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use wacore_libsignal::protocol::error::Result as SignalResult;
use wacore_libsignal::protocol::{
    SenderKeyDistributionMessage, SenderKeyName, SenderKeyRecord, SenderKeyStore,
    create_sender_key_distribution_message, group_decrypt, group_encrypt,
    process_sender_key_distribution_message,
};

use crate::crypto::signal_protocol::{Ciphertext, pad_plaintext, run_now, unpad_plaintext};
use crate::model::ids::DeviceId;

/// The name of a phone's own key. It is never on the wire.
const OWN_NAME: &str = "own";

/// The sender keys one phone has.
#[derive(Default)]
pub(crate) struct SenderKeys {
    records: MemorySenderKeys,
    /// Devices that have this phone's key of a group.
    shared: HashMap<String, HashSet<DeviceId>>,
}

impl SenderKeys {
    /// Returns those of the given devices that do not have this phone's key of the group.
    pub(crate) fn devices_without_key(&self, group: &str, devices: &[DeviceId]) -> Vec<DeviceId> {
        let known = self.shared.get(group);
        devices
            .iter()
            .filter(|device| !known.is_some_and(|known| known.contains(device)))
            .cloned()
            .collect()
    }

    /// Records that a device gets the key.
    pub(crate) fn mark_shared(&mut self, group: &str, device: DeviceId) {
        self.shared
            .entry(group.to_owned())
            .or_default()
            .insert(device);
    }

    /// Records that a device does not have the key.
    pub(crate) fn mark_unshared(&mut self, group: &str, device: &DeviceId) {
        if let Some(known) = self.shared.get_mut(group) {
            known.remove(device);
        }
    }

    /// Discards the own key after a member has left, who must not be able to decrypt later
    /// messages: the next message is encrypted with a new key.
    pub(crate) fn rotate_key(&mut self, group: &str) {
        self.shared.remove(group);
        self.records.0.remove(key_name(group, OWN_NAME).cache_key());
    }

    /// The distribution message that a device needs to decrypt this phone's messages from now on.
    pub(crate) fn distribution_message(&mut self, group: &str) -> anyhow::Result<Vec<u8>> {
        let mut rng = rand::rng();
        let own = key_name(group, OWN_NAME);
        let message = run_now(create_sender_key_distribution_message(
            &own,
            &mut self.records,
            &mut rng,
        ))?;
        Ok(message.as_ref().to_vec())
    }

    pub(crate) fn encrypt(&mut self, group: &str, plaintext: &[u8]) -> anyhow::Result<Ciphertext> {
        let mut rng = rand::rng();
        let sealed = run_now(group_encrypt(
            &mut self.records,
            &key_name(group, OWN_NAME),
            &pad_plaintext(plaintext),
            &mut rng,
        ))
        .context("sealing a group message")?;
        Ok(Ciphertext {
            kind: "skmsg",
            bytes: sealed.serialized().to_vec(),
        })
    }

    /// Stores another device's key; `sender` is the name its Signal session is kept under.
    pub(crate) fn learn_key(
        &mut self,
        group: &str,
        sender: &str,
        distribution: &[u8],
    ) -> anyhow::Result<()> {
        let distribution = SenderKeyDistributionMessage::try_from(distribution)
            .map_err(|error| anyhow!("a distribution of a sender key: {error}"))?;
        let theirs = key_name(group, sender);
        run_now(process_sender_key_distribution_message(
            &theirs,
            &distribution,
            &mut self.records,
        ))?;
        Ok(())
    }

    pub(crate) fn decrypt(
        &mut self,
        group: &str,
        sender: &str,
        bytes: &[u8],
    ) -> anyhow::Result<Vec<u8>> {
        let opened = run_now(group_decrypt(
            bytes,
            &mut self.records,
            &key_name(group, sender),
        ))
        .with_context(|| format!("opening a group message of {sender}"))?;
        unpad_plaintext(opened)
    }

    /// Deletes the keys of others, as on a newly set up phone: their group messages cannot be
    /// decrypted until they share their keys again.
    pub(crate) fn forget_other_keys(&mut self, group: &str) {
        let own = key_name(group, OWN_NAME).cache_key().to_owned();
        let prefix = format!("{group}:");
        self.records
            .0
            .retain(|name, _| *name == own || !name.starts_with(&prefix));
    }
}

fn key_name(group: &str, sender: &str) -> SenderKeyName {
    SenderKeyName::from_parts(group, sender)
}

#[derive(Default)]
struct MemorySenderKeys(HashMap<String, SenderKeyRecord>);

#[async_trait]
impl SenderKeyStore for MemorySenderKeys {
    async fn store_sender_key(
        &mut self,
        name: &SenderKeyName,
        record: SenderKeyRecord,
    ) -> SignalResult<()> {
        self.0.insert(name.cache_key().to_owned(), record);
        Ok(())
    }

    async fn load_sender_key(&self, name: &SenderKeyName) -> SignalResult<Option<SenderKeyRecord>> {
        Ok(self.0.get(name.cache_key()).cloned())
    }
}

#[cfg(test)]
mod tests {
    use crate::crypto::sender_keys::*;

    const GROUP: &str = "120363@g.us";

    #[test]
    fn whoever_has_the_key_opens_what_comes_after_and_a_changed_byte_is_refused() {
        let (mut alice, mut bob) = (SenderKeys::default(), SenderKeys::default());
        let key = alice.distribution_message(GROUP).unwrap();
        let early = alice.encrypt(GROUP, b"one").unwrap();
        assert!(
            bob.decrypt(GROUP, "alice", &early.bytes).is_err(),
            "he has no key yet"
        );
        bob.learn_key(GROUP, "alice", &key).unwrap();
        assert_eq!(bob.decrypt(GROUP, "alice", &early.bytes).unwrap(), b"one");
        let mut next = alice.encrypt(GROUP, b"two").unwrap();
        next.bytes[20] ^= 1;
        assert!(bob.decrypt(GROUP, "alice", &next.bytes).is_err());
    }

    #[test]
    fn after_a_rotation_the_old_key_opens_nothing() {
        let (mut alice, mut bob) = (SenderKeys::default(), SenderKeys::default());
        bob.learn_key(GROUP, "alice", &alice.distribution_message(GROUP).unwrap())
            .unwrap();
        let device = DeviceId {
            number: "2".into(),
            device: 0,
        };
        alice.mark_shared(GROUP, device.clone());
        assert!(
            alice
                .devices_without_key(GROUP, std::slice::from_ref(&device))
                .is_empty()
        );
        alice.rotate_key(GROUP);
        assert_eq!(
            alice.devices_without_key(GROUP, std::slice::from_ref(&device)),
            [device]
        );
        alice.distribution_message(GROUP).unwrap();
        let sealed = alice.encrypt(GROUP, b"secret").unwrap();
        assert!(bob.decrypt(GROUP, "alice", &sealed.bytes).is_err());
    }
}
