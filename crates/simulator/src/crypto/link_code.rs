//! Link codes: the phone's side of pairing by code, from a typed code to a shared secret.

use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use anyhow::{Context, anyhow, ensure};
use ctr::Ctr128BE;
use hkdf::Hkdf;
use hmac::Hmac;
use sha2::Sha256;
use tokio::sync::oneshot;
use wacore_libsignal::crypto::aes_256_gcm_decrypt;
use wacore_libsignal::protocol::{IdentityKeyPair, KeyPair, PublicKey};

use crate::model::ids::{DeviceId, PairingError};

const STRETCH_ROUNDS: u32 = 131_072;
const SALT_LENGTH: usize = 32;
const IV_LENGTH: usize = 16;

/// The data of a client that requests pairing by code.
pub(crate) struct LinkCode {
    /// The phone number it wants to be linked to, in digits.
    pub(crate) number: String,
    /// The reference the server gave it.
    pub(crate) reference: Vec<u8>,
    /// Its ephemeral key, encrypted with the code: 32 bytes of salt, 16 of IV, 32 of key.
    pub(crate) wrapped_ephemeral: Vec<u8>,
    /// The code that was typed on the phone, if any.
    pub(crate) typed: Option<TypedCode>,
}

/// The phone's state after a code was typed.
pub(crate) struct TypedCode {
    pub(crate) phone_ephemeral: KeyPair,
    /// The companion's ephemeral public key, decrypted with that code.
    pub(crate) companion_ephemeral: [u8; 32],
    /// Receives the outcome of the pairing; dropped when the client goes away or requests a new
    /// code.
    pub(crate) done: oneshot::Sender<Result<DeviceId, PairingError>>,
}

/// Encrypts or decrypts a key in place with AES-256-CTR under the stretched code.
fn apply_code_cipher(code: &str, salt: &[u8], iv: &[u8], key: &mut [u8]) -> anyhow::Result<()> {
    let mut stretched = [0u8; 32];
    pbkdf2::pbkdf2::<Hmac<Sha256>>(code.as_bytes(), salt, STRETCH_ROUNDS, &mut stretched)
        .map_err(|_| anyhow!("stretching a link code"))?;
    Ctr128BE::<Aes256>::new_from_slices(&stretched, iv)?.apply_keystream(key);
    Ok(())
}

/// Decrypts the companion's ephemeral key with the code. A wrong code gives a wrong key, which only
/// shows later.
pub(crate) fn unwrap_ephemeral(code: &str, wrapped: &[u8]) -> anyhow::Result<[u8; 32]> {
    ensure!(
        wrapped.len() == SALT_LENGTH + IV_LENGTH + 32,
        "a wrapped ephemeral key has 80 bytes, not {}",
        wrapped.len()
    );
    let mut key: [u8; 32] = wrapped[SALT_LENGTH + IV_LENGTH..].try_into()?;
    apply_code_cipher(
        code,
        &wrapped[..SALT_LENGTH],
        &wrapped[SALT_LENGTH..SALT_LENGTH + IV_LENGTH],
        &mut key,
    )?;
    Ok(key)
}

/// Encrypts the phone's ephemeral key with the code: salt ‖ IV ‖ ciphertext.
pub(crate) fn wrap_ephemeral(code: &str, public: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (salt, iv): ([u8; SALT_LENGTH], [u8; IV_LENGTH]) = (rand::random(), rand::random());
    let mut key = public.to_vec();
    apply_code_cipher(code, &salt, &iv, &mut key)?;
    Ok([&salt[..], &iv[..], &key[..]].concat())
}

/// Decrypts the key bundle of `companion_finish` and derives the secret both sides now share, with
/// which pair-success is sealed. Fails if the code was wrong or the bundle is not for this phone.
pub(crate) fn derive_adv_secret(
    phone: &IdentityKeyPair,
    phone_ephemeral: &KeyPair,
    companion_ephemeral: &[u8; 32],
    companion_identity: &[u8],
    wrapped_bundle: &[u8],
) -> anyhow::Result<[u8; 32]> {
    let companion_ephemeral = PublicKey::from_djb_public_key_bytes(companion_ephemeral)?;
    let ephemeral_shared = phone_ephemeral.calculate_agreement(&companion_ephemeral)?;
    ensure!(
        wrapped_bundle.len() > 32 + 12 + 16,
        "the key bundle is too short"
    );
    let (salt, rest) = wrapped_bundle.split_at(32);
    let (iv, sealed) = rest.split_at(12);
    let key = expand_key(
        Some(salt),
        &ephemeral_shared,
        b"link_code_pairing_key_bundle_encryption_key",
    )?;
    let mut bundle = Vec::new();
    aes_256_gcm_decrypt(&key, iv.try_into()?, b"", sealed, &mut bundle)
        .map_err(|_| anyhow!("the key bundle does not open"))?;
    ensure!(
        bundle.len() == 96,
        "the key bundle has {} bytes instead of 96",
        bundle.len()
    );
    ensure!(
        bundle[..32] == *companion_identity,
        "the key bundle names another companion"
    );
    ensure!(
        bundle[32..64] == *phone.public_key().public_key_bytes(),
        "the key bundle names another phone"
    );
    let companion = PublicKey::from_djb_public_key_bytes(companion_identity)?;
    let identity_shared = phone.private_key().calculate_agreement(&companion)?;
    expand_key(
        None,
        &[&ephemeral_shared[..], &identity_shared, &bundle[64..]].concat(),
        b"adv_secret",
    )
}

fn expand_key(salt: Option<&[u8]>, secret: &[u8], info: &[u8]) -> anyhow::Result<[u8; 32]> {
    let mut key = [0u8; 32];
    Hkdf::<Sha256>::new(salt, secret)
        .expand(info, &mut key)
        .ok()
        .context("expanding 32 bytes never fails")?;
    Ok(key)
}
