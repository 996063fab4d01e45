//! ADV signatures: how an account vouches for its linked devices and their keys.

use anyhow::{Context, anyhow};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wacore_libsignal::protocol::{IdentityKeyPair, PublicKey};
use waproto::buffa::Message;
use waproto::whatsapp as wa;

use crate::model::faults::Corruption;
use crate::wire::unix_time;

// Two leading bytes keep the purposes of the signatures apart.
const ACCOUNT_SIGNATURE: [u8; 2] = [6, 0];
const DEVICE_SIGNATURE: [u8; 2] = [6, 1];
const KEY_INDEX_LIST_SIGNATURE: [u8; 2] = [6, 2];

/// Returns the `<device-identity>` of pair-success: the account's signed statement that the device
/// is its own, under an HMAC with the secret that only the QR (or the link code) carried.
pub(crate) fn sign_device_identity(
    account: &IdentityKeyPair,
    device_key: &[u8],
    key_index: u32,
    adv_secret: &[u8],
    corruption: Option<Corruption>,
) -> anyhow::Result<Vec<u8>> {
    let inner = wa::ADVDeviceIdentity {
        raw_id: Some(raw_id(account)),
        timestamp: Some(unix_time()),
        key_index: Some(key_index),
        ..Default::default()
    }
    .encode_to_vec();
    let mut account_signature = sign_parts(account, &[&ACCOUNT_SIGNATURE, &inner, device_key])?;
    if corruption == Some(Corruption::AccountSignature) {
        account_signature[7] ^= 1;
    }
    let details = wa::ADVSignedDeviceIdentity {
        details: Some(inner),
        account_signature_key: Some(account.public_key().public_key_bytes().to_vec()),
        account_signature: Some(account_signature),
        ..Default::default()
    }
    .encode_to_vec();
    let mut hmac =
        Hmac::<Sha256>::new_from_slice(adv_secret).context("an HMAC key of any length is valid")?;
    hmac.update(&details);
    let mut hmac = hmac.finalize().into_bytes().to_vec();
    if corruption == Some(Corruption::PairingHmac) {
        hmac[3] ^= 1;
    }
    let sealed = wa::ADVSignedDeviceIdentityHMAC {
        details: Some(details),
        hmac: Some(hmac),
        ..Default::default()
    };
    Ok(sealed.encode_to_vec())
}

/// Checks the identity that a client signed in answer, and returns it as other devices receive it,
/// with the account's key. Returns `None` if a signature is missing or wrong.
pub(crate) fn accept_device_signature(
    signed: &[u8],
    account_key: &[u8],
    device_key: &[u8],
) -> Option<Vec<u8>> {
    let mut identity = wa::ADVSignedDeviceIdentity::decode_from_slice(signed).ok()?;
    let details = identity.details.as_deref()?;
    let device_message = [&DEVICE_SIGNATURE, details, device_key, account_key].concat();
    let account_message = [&ACCOUNT_SIGNATURE, details, device_key].concat();
    let device = PublicKey::from_djb_public_key_bytes(device_key).ok()?;
    let account = PublicKey::from_djb_public_key_bytes(account_key).ok()?;
    let valid = device.verify_signature(&device_message, identity.device_signature.as_deref()?)
        && account.verify_signature(&account_message, identity.account_signature.as_deref()?);
    // Some clients leave the account's key out of their answer; others need it to check the
    // identity.
    identity.account_signature_key = Some(account_key.to_vec());
    valid.then(|| identity.encode_to_vec())
}

/// Returns the `<key-index-list>` of a device listing: the valid linked devices, signed by the
/// account.
pub(crate) fn sign_key_index_list(
    account: &IdentityKeyPair,
    newest: u32,
    valid: Vec<u32>,
    corruption: Option<Corruption>,
) -> anyhow::Result<Vec<u8>> {
    let details = wa::ADVKeyIndexList {
        raw_id: Some(raw_id(account)),
        timestamp: Some(unix_time()),
        // Devices with a higher index are newer than this list, so it must not fall when the newest
        // is removed.
        current_index: Some(newest),
        valid_indexes: valid,
        ..Default::default()
    }
    .encode_to_vec();
    let mut signature = sign_parts(account, &[&KEY_INDEX_LIST_SIGNATURE, &details])?;
    if corruption == Some(Corruption::KeyIndexListSignature) {
        signature[11] ^= 1;
    }
    let signed = wa::ADVSignedKeyIndexList {
        details: Some(details),
        account_signature: Some(signature),
        ..Default::default()
    };
    Ok(signed.encode_to_vec())
}

fn sign_parts(account: &IdentityKeyPair, parts: &[&[u8]]) -> anyhow::Result<Vec<u8>> {
    let signature = account
        .private_key()
        .calculate_signature(&parts.concat(), &mut rand::rng());
    Ok(signature
        .map_err(|error| anyhow!("signing for an account: {error}"))?
        .to_vec())
}

/// A number that changes when the account registers again. It is derived from the account's key, so
/// it is stable for one phone.
fn raw_id(account: &IdentityKeyPair) -> u32 {
    let key = account.public_key().public_key_bytes();
    u32::from_be_bytes([key[0], key[1], key[2], key[3]])
}

#[cfg(test)]
mod tests {
    use crate::crypto::adv::*;
    use wacore_libsignal::protocol::KeyPair;

    fn account() -> IdentityKeyPair {
        IdentityKeyPair::generate(&mut rand::rng())
    }

    /// Signs pair-success as a client does: it adds its own signature.
    fn signed_by_device(
        account: &IdentityKeyPair,
        device: &KeyPair,
    ) -> wa::ADVSignedDeviceIdentity {
        let device_key = device.public_key.public_key_bytes();
        let sealed = sign_device_identity(account, device_key, 1, &[7; 32], None).unwrap();
        let sealed = wa::ADVSignedDeviceIdentityHMAC::decode_from_slice(&sealed).unwrap();
        let mut identity =
            wa::ADVSignedDeviceIdentity::decode_from_slice(&sealed.details.unwrap()).unwrap();
        let details = identity.details.as_deref().unwrap();
        let message = [
            &DEVICE_SIGNATURE,
            details,
            device_key,
            account.public_key().public_key_bytes(),
        ]
        .concat();
        identity.device_signature = Some(
            device
                .calculate_signature(&message, &mut rand::rng())
                .unwrap()
                .to_vec(),
        );
        identity
    }

    #[test]
    fn a_device_is_accepted_with_both_signatures_and_with_neither_changed() {
        let (account, device) = (account(), KeyPair::generate(&mut rand::rng()));
        let (account_key, device_key) = (
            account.public_key().public_key_bytes(),
            device.public_key.public_key_bytes(),
        );
        let identity = signed_by_device(&account, &device);
        assert!(
            accept_device_signature(&identity.encode_to_vec(), account_key, device_key).is_some()
        );
        let mut forged = identity.clone();
        forged.device_signature.as_mut().unwrap()[20] ^= 1;
        assert_eq!(
            accept_device_signature(&forged.encode_to_vec(), account_key, device_key),
            None
        );
        let mut forged = identity.clone();
        forged.account_signature.as_mut().unwrap()[20] ^= 1;
        assert_eq!(
            accept_device_signature(&forged.encode_to_vec(), account_key, device_key),
            None
        );
        let mut unsigned = identity;
        unsigned.device_signature = None;
        assert_eq!(
            accept_device_signature(&unsigned.encode_to_vec(), account_key, device_key),
            None
        );
    }

    #[test]
    fn the_list_of_valid_devices_is_signed_by_the_account() {
        let account = account();
        let genuine = |list: &[u8]| {
            let list = wa::ADVSignedKeyIndexList::decode_from_slice(list).unwrap();
            let message = [&KEY_INDEX_LIST_SIGNATURE, list.details.as_deref().unwrap()].concat();
            account
                .public_key()
                .verify_signature(&message, list.account_signature.as_deref().unwrap())
        };
        assert!(genuine(
            &sign_key_index_list(&account, 3, vec![1, 3], None).unwrap()
        ));
        assert!(!genuine(
            &sign_key_index_list(
                &account,
                3,
                vec![1, 3],
                Some(Corruption::KeyIndexListSignature)
            )
            .unwrap()
        ));
    }
}
