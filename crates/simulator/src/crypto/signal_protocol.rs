//! A phone's Signal keys and sessions, in memory, and the two operations on them: encrypt for a
//! device, decrypt from one.

use std::collections::HashMap;

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use futures_util::FutureExt;
use wacore_libsignal::protocol::error::Result as SignalResult;
use wacore_libsignal::protocol::{
    CiphertextMessage, DeviceId, Direction, GenericSignedPreKey, IdentityChange, IdentityKey,
    IdentityKeyPair, IdentityKeyStore, KeyPair, PreKeyBundle, PreKeyId, PreKeyRecord,
    PreKeySignalMessage, PreKeyStore, ProtocolAddress, PublicKey, SessionRecord, SessionStore,
    SignalMessage, SignalProtocolError, SignedPreKeyId, SignedPreKeyRecord, SignedPreKeyStore,
    Timestamp, UsePQRatchet, message_decrypt, message_encrypt, process_prekey_bundle,
};

use crate::model::device::{KeyBundle, SignedPreKey};

/// How many of its newest one-time prekeys a phone keeps.
const KEPT_PREKEYS: u32 = 5_000;

/// An encrypted payload and its `<enc type>`.
#[derive(Clone, Debug)]
pub(crate) struct Ciphertext {
    pub(crate) kind: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// The Signal side of one phone.
pub(crate) struct SignalStore {
    identities: MemoryIdentities,
    sessions: MemorySessions,
    prekeys: MemoryPreKeys,
    signed_prekey: OwnSignedPreKey,
}

impl SignalStore {
    pub(crate) fn generate() -> anyhow::Result<Self> {
        let mut rng = rand::rng();
        let own = IdentityKeyPair::generate(&mut rng);
        let registration_id = rand::random::<u32>() & 0x3fff;
        let key = KeyPair::generate(&mut rng);
        let signature = own
            .private_key()
            .calculate_signature(&key.public_key.serialize(), &mut rng)
            .map_err(|error| anyhow!("signing a prekey: {error}"))?
            .to_vec();
        Ok(Self {
            identities: MemoryIdentities {
                own,
                registration_id,
                known: HashMap::new(),
            },
            sessions: MemorySessions::default(),
            prekeys: MemoryPreKeys::default(),
            signed_prekey: OwnSignedPreKey {
                id: 1,
                key,
                signature,
            },
        })
    }

    pub(crate) fn identity_key_pair(&self) -> &IdentityKeyPair {
        &self.identities.own
    }

    /// This phone's own bundle, with a fresh one-time prekey each time: a phone never runs out.
    pub(crate) fn own_bundle(&mut self) -> KeyBundle {
        let (id, public) = self.prekeys.generate();
        KeyBundle {
            registration_id: self.identities.registration_id,
            identity_key: self.identities.own.public_key().public_key_bytes().to_vec(),
            signed_prekey: self.signed_prekey.public_part(),
            prekey: Some((id, public)),
            device_identity: None,
        }
    }

    pub(crate) fn has_session(&self, user: &str, device: u16) -> bool {
        self.sessions
            .records
            .contains_key(protocol_address(user, device).as_str())
    }

    /// Opens a new session with a device from its bundle; the ratchet archives an older session.
    pub(crate) fn start_session(
        &mut self,
        user: &str,
        device: u16,
        bundle: &KeyBundle,
    ) -> anyhow::Result<()> {
        let address = protocol_address(user, device);
        let identity =
            IdentityKey::new(PublicKey::from_djb_public_key_bytes(&bundle.identity_key)?);
        let prekey = match &bundle.prekey {
            Some((id, public)) => Some((
                PreKeyId::from(*id),
                PublicKey::from_djb_public_key_bytes(public)?,
            )),
            None => None,
        };
        let bundle = PreKeyBundle::new(
            bundle.registration_id,
            DeviceId::from(u32::from(device)),
            prekey,
            SignedPreKeyId::from(bundle.signed_prekey.id),
            PublicKey::from_djb_public_key_bytes(&bundle.signed_prekey.public)?,
            bundle.signed_prekey.signature.clone(),
            identity,
        )?;
        let mut rng = rand::rng();
        let (sessions, identities) = (&mut self.sessions, &mut self.identities);
        run_now(process_prekey_bundle(
            &address,
            sessions,
            identities,
            &bundle,
            &mut rng,
            UsePQRatchet::No,
        ))?;
        Ok(())
    }

    pub(crate) fn encrypt(
        &mut self,
        user: &str,
        device: u16,
        plaintext: &[u8],
    ) -> anyhow::Result<Ciphertext> {
        let address = protocol_address(user, device);
        let padded = pad_plaintext(plaintext);
        let message = run_now(message_encrypt(
            &padded,
            &address,
            &mut self.sessions,
            &mut self.identities,
        ))
        .with_context(|| format!("encrypting for {address}"))?;
        let kind = match message {
            CiphertextMessage::PreKeySignalMessage(_) => "pkmsg",
            _ => "msg",
        };
        Ok(Ciphertext {
            kind,
            bytes: message.serialize().to_vec(),
        })
    }

    pub(crate) fn decrypt(
        &mut self,
        user: &str,
        device: u16,
        kind: &str,
        bytes: &[u8],
    ) -> anyhow::Result<Vec<u8>> {
        let address = protocol_address(user, device);
        let message = match kind {
            "pkmsg" => {
                CiphertextMessage::PreKeySignalMessage(PreKeySignalMessage::try_from(bytes)?)
            }
            "msg" => CiphertextMessage::SignalMessage(SignalMessage::try_from(bytes)?),
            other => return Err(anyhow!("an <enc> of type {other} is not for a phone")),
        };
        let mut rng = rand::rng();
        let decrypted = run_now(message_decrypt(
            &message,
            &address,
            &mut self.sessions,
            &mut self.identities,
            &mut self.prekeys,
            &self.signed_prekey,
            &mut rng,
            UsePQRatchet::No,
        ))
        .with_context(|| format!("decrypting from {address}"))?;
        if let Some(id) = decrypted.consumed_prekey_id {
            self.prekeys.keys.remove(&u32::from(id));
        }
        unpad_plaintext(decrypted.plaintext)
    }
}

/// Runs a future of the Signal library. The stores below are in memory, so it is ready at the first
/// poll.
pub(crate) fn run_now<T>(future: impl Future<Output = SignalResult<T>>) -> SignalResult<T> {
    future
        .now_or_never()
        .expect("a Signal store in memory never waits")
}

fn protocol_address(user: &str, device: u16) -> ProtocolAddress {
    ProtocolAddress::new(user, DeviceId::from(u32::from(device)))
}

/// The name that the session with a device is kept under.
pub(crate) fn session_name(user: &str, device: u16) -> String {
    protocol_address(user, device).as_str().to_owned()
}

/// WhatsApp pads every plaintext with 1–16 bytes that each hold their own count.
pub(crate) fn pad_plaintext(plaintext: &[u8]) -> Vec<u8> {
    let count = rand::random_range(1..=16u8);
    let mut padded = Vec::with_capacity(plaintext.len() + usize::from(count));
    padded.extend_from_slice(plaintext);
    padded.resize(plaintext.len() + usize::from(count), count);
    padded
}

pub(crate) fn unpad_plaintext(mut padded: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let count = usize::from(*padded.last().context("an empty plaintext")?);
    let start = padded
        .len()
        .checked_sub(count)
        .filter(|_| (1..=16).contains(&count))
        .context("wrong padding")?;
    if padded[start..]
        .iter()
        .any(|&byte| usize::from(byte) != count)
    {
        return Err(anyhow!("wrong padding"));
    }
    padded.truncate(start);
    Ok(padded)
}

struct MemoryIdentities {
    own: IdentityKeyPair,
    registration_id: u32,
    known: HashMap<String, IdentityKey>,
}

#[async_trait]
impl IdentityKeyStore for MemoryIdentities {
    async fn get_identity_key_pair(&self) -> SignalResult<IdentityKeyPair> {
        Ok(self.own.clone())
    }

    async fn get_local_registration_id(&self) -> SignalResult<u32> {
        Ok(self.registration_id)
    }

    async fn save_identity(
        &mut self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
    ) -> SignalResult<IdentityChange> {
        Ok(
            match self.known.insert(address.as_str().to_owned(), *identity) {
                Some(former) if former != *identity => IdentityChange::ReplacedExisting,
                _ => IdentityChange::NewOrUnchanged,
            },
        )
    }

    /// Phones trust on first use and accept a changed key, as WhatsApp's do.
    async fn is_trusted_identity(
        &self,
        _: &ProtocolAddress,
        _: &IdentityKey,
        _: Direction,
    ) -> SignalResult<bool> {
        Ok(true)
    }

    async fn get_identity(&self, address: &ProtocolAddress) -> SignalResult<Option<IdentityKey>> {
        Ok(self.known.get(address.as_str()).copied())
    }
}

#[derive(Default)]
struct MemorySessions {
    records: HashMap<String, SessionRecord>,
}

#[async_trait]
impl SessionStore for MemorySessions {
    async fn load_session(&self, address: &ProtocolAddress) -> SignalResult<Option<SessionRecord>> {
        Ok(self.records.get(address.as_str()).cloned())
    }

    async fn has_session(&self, address: &ProtocolAddress) -> SignalResult<bool> {
        Ok(self.records.contains_key(address.as_str()))
    }

    async fn store_session(
        &mut self,
        address: &ProtocolAddress,
        record: SessionRecord,
    ) -> SignalResult<()> {
        self.records.insert(address.as_str().to_owned(), record);
        Ok(())
    }
}

#[derive(Default)]
struct MemoryPreKeys {
    keys: HashMap<u32, KeyPair>,
    last: u32,
}

impl MemoryPreKeys {
    fn generate(&mut self) -> (u32, Vec<u8>) {
        self.last = self.last % 0x00ff_ffff + 1;
        let key = KeyPair::generate(&mut rand::rng());
        let public = key.public_key.public_key_bytes().to_vec();
        self.keys.insert(self.last, key);
        // Bundles that were taken and never used would pile up.
        self.keys.remove(&self.last.saturating_sub(KEPT_PREKEYS));
        (self.last, public)
    }
}

#[async_trait]
impl PreKeyStore for MemoryPreKeys {
    async fn get_pre_key(&self, id: PreKeyId) -> SignalResult<PreKeyRecord> {
        let key = self
            .keys
            .get(&u32::from(id))
            .ok_or(SignalProtocolError::InvalidPreKeyId)?;
        Ok(PreKeyRecord::new(id, key))
    }

    async fn save_pre_key(&mut self, id: PreKeyId, record: &PreKeyRecord) -> SignalResult<()> {
        self.keys.insert(u32::from(id), record.key_pair()?);
        Ok(())
    }

    async fn remove_pre_key(&mut self, id: PreKeyId) -> SignalResult<()> {
        self.keys.remove(&u32::from(id));
        Ok(())
    }
}

struct OwnSignedPreKey {
    id: u32,
    key: KeyPair,
    signature: Vec<u8>,
}

impl OwnSignedPreKey {
    fn public_part(&self) -> SignedPreKey {
        SignedPreKey {
            id: self.id,
            public: self.key.public_key.public_key_bytes().to_vec(),
            signature: self.signature.clone(),
        }
    }
}

#[async_trait]
impl SignedPreKeyStore for OwnSignedPreKey {
    async fn get_signed_pre_key(&self, id: SignedPreKeyId) -> SignalResult<SignedPreKeyRecord> {
        if u32::from(id) != self.id {
            return Err(SignalProtocolError::InvalidSignedPreKeyId);
        }
        Ok(SignedPreKeyRecord::new(
            id,
            Timestamp::from_epoch_millis(0),
            &self.key,
            &self.signature,
        ))
    }

    async fn save_signed_pre_key(
        &mut self,
        _: SignedPreKeyId,
        _: &SignedPreKeyRecord,
    ) -> SignalResult<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::crypto::signal_protocol::*;

    impl SignalStore {
        /// Copies the sessions, as a backup does.
        pub(crate) fn sessions_as_they_are(&self) -> HashMap<String, SessionRecord> {
            self.sessions.records.clone()
        }

        pub(crate) fn go_back_to(&mut self, sessions: HashMap<String, SessionRecord>) {
            self.sessions.records = sessions;
        }
    }

    fn talk(alice: &mut SignalStore, bob: &mut SignalStore, text: &[u8]) -> Vec<u8> {
        let sealed = alice.encrypt("bob", 0, text).unwrap();
        bob.decrypt("alice", 0, sealed.kind, &sealed.bytes).unwrap()
    }

    #[test]
    fn two_phones_talk_and_a_changed_byte_is_refused() {
        let (mut alice, mut bob) = (
            SignalStore::generate().unwrap(),
            SignalStore::generate().unwrap(),
        );
        alice.start_session("bob", 0, &bob.own_bundle()).unwrap();
        assert_eq!(talk(&mut alice, &mut bob, b"one"), b"one");
        assert_eq!(talk(&mut alice, &mut bob, b"two"), b"two");
        // Once Bob has answered, every byte of a message is authenticated.
        let answer = bob.encrypt("alice", 0, b"three").unwrap();
        for index in 0..answer.bytes.len() {
            let mut changed = answer.bytes.clone();
            changed[index] ^= 1;
            assert!(
                alice.decrypt("bob", 0, answer.kind, &changed).is_err(),
                "byte {index}"
            );
        }
        assert_eq!(
            alice.decrypt("bob", 0, answer.kind, &answer.bytes).unwrap(),
            b"three"
        );
    }

    #[test]
    fn a_bundle_with_a_wrong_signature_opens_no_session() {
        let (mut alice, mut bob) = (
            SignalStore::generate().unwrap(),
            SignalStore::generate().unwrap(),
        );
        let mut bundle = bob.own_bundle();
        bundle.signed_prekey.signature[5] ^= 1;
        assert!(alice.start_session("bob", 0, &bundle).is_err());
    }

    #[test]
    fn padding_is_checked_whole() {
        assert_eq!(unpad_plaintext(pad_plaintext(b"text")).unwrap(), b"text");
        assert!(unpad_plaintext(vec![1, 2, 3, 3, 2, 3]).is_err());
        assert!(unpad_plaintext(vec![0]).is_err());
        assert!(unpad_plaintext(vec![17; 17]).is_err());
    }
}
