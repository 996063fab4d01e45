//! The handshake after a passkey, on the phone's side: from the client's commitment to the secret
//! that seals pair-success.

use anyhow::{Context, anyhow, ensure};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use wacore_libsignal::crypto::aes_256_gcm_decrypt;
use wacore_libsignal::protocol::{KeyPair, PublicKey};
use waproto::buffa::{Enumeration, Message};
use waproto::whatsapp as wa;

/// The digits of codes: Crockford's, without 0.
const CODE_DIGITS: &[u8; 32] = b"123456789ABCDEFGHJKLMNPQRSTVWXYZ";

/// A client's opening: its ephemeral key, and its commitment to a nonce that it shows later.
pub(crate) struct CompanionPrologue {
    identity: Vec<u8>,
    commitment: Vec<u8>,
    public_key: PublicKey,
    device_type: i32,
    pub(crate) reference: String,
}

impl CompanionPrologue {
    pub(crate) fn parse(payload: &[u8]) -> anyhow::Result<Self> {
        let payload = wa::ProloguePayload::decode_from_slice(payload)?;
        let commitment = payload
            .commitment
            .as_option()
            .and_then(|it| it.hash.clone());
        let commitment = commitment.filter(|hash| hash.len() == 32);
        let identity = payload
            .companion_ephemeral_identity
            .context("no ephemeral identity")?;
        let parsed = wa::CompanionEphemeralIdentity::decode_from_slice(&identity)?;
        let public_key = parsed.public_key.context("no ephemeral key")?;
        Ok(Self {
            commitment: commitment.context("no commitment of 32 bytes")?,
            public_key: PublicKey::from_djb_public_key_bytes(&public_key)?,
            device_type: parsed.device_type.context("no device type")?.to_i32(),
            reference: parsed.r#ref.context("no reference")?,
            identity,
        })
    }
}

/// The phone's part: its ephemeral key and its nonce.
pub(crate) struct PhonePart {
    key: KeyPair,
    nonce: [u8; 32],
}

/// The keys of a client, and the secret with which pair-success is sealed for it.
pub(crate) struct PairingSecrets {
    pub(crate) noise_key: Vec<u8>,
    pub(crate) identity_key: Vec<u8>,
    pub(crate) adv_secret: Vec<u8>,
}

impl PhonePart {
    pub(crate) fn generate() -> Self {
        Self {
            key: KeyPair::generate(&mut rand::rng()),
            nonce: rand::random(),
        }
    }

    /// The phone's ephemeral identity, as it is sent to the client.
    pub(crate) fn encode(&self) -> Vec<u8> {
        wa::PrimaryEphemeralIdentity {
            public_key: Some(self.key.public_key.public_key_bytes().to_vec()),
            nonce: Some(self.nonce.to_vec()),
        }
        .encode_to_vec()
    }

    /// Checks the nonce that the client shows against its commitment, and returns the code that
    /// both sides show to their owner.
    pub(crate) fn check_nonce(
        &self,
        companion: &CompanionPrologue,
        nonce: &[u8],
    ) -> anyhow::Result<String> {
        let committed = Sha256::digest([&companion.identity[..], nonce].concat());
        ensure!(
            companion.commitment == *committed,
            "the client committed to another nonce"
        );
        let own_key = self.key.public_key.public_key_bytes();
        let digest = Sha256::digest([nonce, own_key].concat());
        let bits = self.nonce.iter().zip(digest.iter()).take(5);
        let bits = bits.fold(0_u64, |bits, (ours, theirs)| {
            bits << 8 | u64::from(ours ^ theirs)
        });
        let digit = |place: usize| char::from(CODE_DIGITS[(bits >> (5 * place) & 31) as usize]);
        let (left, right): (String, String) = (
            (4..8).rev().map(digit).collect(),
            (0..4).rev().map(digit).collect(),
        );
        Ok(format!("{left}-{right}"))
    }

    /// Decrypts the client's pairing request.
    pub(crate) fn open_request(
        &self,
        companion: &CompanionPrologue,
        sealed: &[u8],
    ) -> anyhow::Result<PairingSecrets> {
        let sealed = wa::EncryptedPairingRequest::decode_from_slice(sealed)?;
        let iv = sealed.iv.context("no IV")?;
        let payload = sealed.encrypted_payload.context("no payload")?;
        let shared = self.key.calculate_agreement(&companion.public_key)?;
        let salt = format!(
            "Companion Pairing {} with ref {}",
            companion.device_type, companion.reference
        );
        let mut key = [0; 32];
        Hkdf::<Sha256>::new(Some(salt.as_bytes()), &shared)
            .expand(b"Pairing Information Encryption Key", &mut key)
            .ok()
            .context("expanding 32 bytes never fails")?;
        let mut opened = Vec::new();
        aes_256_gcm_decrypt(&key, iv.as_slice().try_into()?, b"", &payload, &mut opened)
            .map_err(|_| anyhow!("the pairing request does not open"))?;
        let request = wa::PairingRequest::decode_from_slice(&opened)?;
        let key = |key: Option<Vec<u8>>, name: &str| {
            let key = key.filter(|key| key.len() == 32);
            key.with_context(|| format!("no {name} of 32 bytes"))
        };
        Ok(PairingSecrets {
            noise_key: key(request.companion_public_key, "noise key")?,
            identity_key: key(request.companion_identity_key, "identity key")?,
            adv_secret: key(request.adv_secret, "secret")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_that_the_client_did_not_commit_to_is_refused() {
        let (key, nonce) = (KeyPair::generate(&mut rand::rng()), [3; 32]);
        let identity = wa::CompanionEphemeralIdentity {
            public_key: Some(key.public_key.public_key_bytes().to_vec()),
            device_type: Some(wa::device_props::PlatformType::CHROME),
            r#ref: Some("2@x".to_owned()),
        }
        .encode_to_vec();
        let hash = Sha256::digest([&identity[..], &nonce].concat()).to_vec();
        let payload = wa::ProloguePayload {
            companion_ephemeral_identity: Some(identity),
            commitment: waproto::buffa::MessageField::some(wa::CompanionCommitment {
                hash: Some(hash),
            }),
        };
        let companion = CompanionPrologue::parse(&payload.encode_to_vec()).unwrap();
        let phone = PhonePart::generate();
        let code = phone.check_nonce(&companion, &nonce).unwrap();
        assert_eq!((code.len(), code.find('-')), (9, Some(4)));
        assert!(phone.check_nonce(&companion, &[4; 32]).is_err());
    }
}
