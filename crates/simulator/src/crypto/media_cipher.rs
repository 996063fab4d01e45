//! Media: the cipher that phones use for files, and the encrypted files on the media host.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::AtomicUsize;

use aes::Aes256;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::model::media_reference::MediaReference;

/// A truncated MAC ends every encrypted file.
const MAC_LENGTH: usize = 10;

/// A file that is ready for upload.
pub(crate) struct PreparedFile {
    pub(crate) encrypted: Vec<u8>,
    pub(crate) media_key: [u8; 32],
    pub(crate) file_sha256: Vec<u8>,
    pub(crate) file_enc_sha256: Vec<u8>,
}

/// The three keys of one file, expanded from its media key and its kind.
struct MediaKeys {
    iv: [u8; 16],
    cipher: [u8; 32],
    mac: [u8; 32],
}

impl MediaKeys {
    fn from_media_key(media_key: &[u8], kind: &str) -> anyhow::Result<Self> {
        // The key derivation treats a sticker as an image.
        let info = match kind {
            "image" | "sticker" => "WhatsApp Image Keys",
            "video" => "WhatsApp Video Keys",
            "audio" => "WhatsApp Audio Keys",
            "md-app-state" => "WhatsApp App State Keys",
            "md-msg-hist" => "WhatsApp History Keys",
            _ => "WhatsApp Document Keys",
        };
        let mut expanded = [0u8; 112];
        Hkdf::<Sha256>::new(None, media_key)
            .expand(info.as_bytes(), &mut expanded)
            .map_err(|error| anyhow::anyhow!("expanding a media key: {error}"))?;
        let [mut iv, mut cipher, mut mac] = [[0u8; 32]; 3];
        iv[..16].copy_from_slice(&expanded[..16]);
        cipher.copy_from_slice(&expanded[16..48]);
        mac.copy_from_slice(&expanded[48..80]);
        Ok(Self {
            iv: iv[..16].try_into()?,
            cipher,
            mac,
        })
    }

    fn mac_of(&self, ciphertext: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.mac)
            .context("an HMAC key of any length is valid")?;
        mac.update(&self.iv);
        mac.update(ciphertext);
        Ok(mac.finalize().into_bytes()[..MAC_LENGTH].to_vec())
    }
}

/// Encrypts a file under a fresh media key.
pub(crate) fn encrypt_file(kind: &str, plaintext: &[u8]) -> anyhow::Result<PreparedFile> {
    encrypt_file_with(rand::random(), kind, plaintext)
}

/// Encrypts a file under a given media key: the same file gives the same bytes.
pub(crate) fn encrypt_file_with(
    media_key: [u8; 32],
    kind: &str,
    plaintext: &[u8],
) -> anyhow::Result<PreparedFile> {
    let keys = MediaKeys::from_media_key(&media_key, kind)?;
    let mut encrypted = cbc::Encryptor::<Aes256>::new(&keys.cipher.into(), &keys.iv.into())
        .encrypt_padded_vec::<Pkcs7>(plaintext);
    encrypted.extend_from_slice(&keys.mac_of(&encrypted)?);
    let file_enc_sha256 = Sha256::digest(&encrypted).to_vec();
    Ok(PreparedFile {
        encrypted,
        media_key,
        file_sha256: Sha256::digest(plaintext).to_vec(),
        file_enc_sha256,
    })
}

/// Decrypts a downloaded file and checks both hashes, the MAC and the length against its message.
pub(crate) fn decrypt_file(
    reference: &MediaReference,
    encrypted: &[u8],
) -> anyhow::Result<Vec<u8>> {
    if reference.media_key.is_empty() {
        return check_public_file(reference, encrypted);
    }
    ensure!(
        Sha256::digest(encrypted)[..] == reference.file_enc_sha256[..],
        "the encrypted file has another SHA-256"
    );
    let keys = MediaKeys::from_media_key(&reference.media_key, reference.kind)?;
    let end = encrypted
        .len()
        .checked_sub(MAC_LENGTH)
        .context("the encrypted file is too short for its MAC")?;
    ensure!(
        keys.mac_of(&encrypted[..end])? == encrypted[end..],
        "the encrypted file's MAC is wrong"
    );
    let plaintext = cbc::Decryptor::<Aes256>::new(&keys.cipher.into(), &keys.iv.into())
        .decrypt_padded_vec::<Pkcs7>(&encrypted[..end])
        .map_err(|error| anyhow::anyhow!("the file's padding is wrong: {error}"))?;
    ensure!(
        Sha256::digest(&plaintext)[..] == reference.file_sha256[..],
        "the file has another SHA-256"
    );
    ensure!(
        plaintext.len() as u64 == reference.file_length,
        "the file has another length"
    );
    Ok(plaintext)
}

/// A public file, as newsletter posts have it: not encrypted, and stored under the hash of the file
/// itself.
pub(crate) fn prepare_public_file(bytes: &[u8]) -> PreparedFile {
    let hash = Sha256::digest(bytes).to_vec();
    PreparedFile {
        encrypted: bytes.to_vec(),
        media_key: [0; 32],
        file_sha256: hash.clone(),
        file_enc_sha256: hash,
    }
}

/// Checks a public file against its message.
fn check_public_file(reference: &MediaReference, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    ensure!(
        reference.file_enc_sha256.is_empty(),
        "a file without a key is not encrypted, and has one hash"
    );
    ensure!(
        Sha256::digest(bytes)[..] == reference.file_sha256[..],
        "the file has another SHA-256"
    );
    ensure!(
        bytes.len() as u64 == reference.file_length,
        "the file has another length"
    );
    Ok(bytes.to_vec())
}

/// How many bytes the host stores; the oldest files make room.
const CAPACITY: usize = 256 * 1024 * 1024;

#[derive(Default)]
struct HostedFile {
    bytes: Vec<u8>,
    complete: bool,
    /// How often the file has expired. Each upload after that has another address.
    expired: u32,
}

#[derive(Default)]
struct HostedFiles {
    by_token: HashMap<String, HostedFile>,
    oldest_first: VecDeque<String>,
    bytes: usize,
}

impl HostedFiles {
    fn make_room(&mut self) {
        while self.bytes > CAPACITY && self.oldest_first.len() > 1 {
            let Some(oldest) = self.oldest_first.pop_front() else {
                return;
            };
            let freed = self
                .by_token
                .remove(&oldest)
                .map_or(0, |upload| upload.bytes.len());
            self.bytes -= freed;
        }
    }
}

/// The files on the host, by the token in their address.
#[derive(Default)]
pub(crate) struct MediaStore {
    files: Mutex<HostedFiles>,
    /// Bytes received over HTTP.
    pub(crate) received: AtomicUsize,
    /// Number of download requests.
    pub(crate) downloads: AtomicUsize,
}

/// The progress of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UploadProgress {
    Nothing,
    Partial(usize),
    Complete,
}

impl MediaStore {
    pub(crate) fn upload_progress(&self, token: &str) -> UploadProgress {
        match self.files.lock().by_token.get(token) {
            None => UploadProgress::Nothing,
            Some(upload) if upload.complete => UploadProgress::Complete,
            Some(upload) => UploadProgress::Partial(upload.bytes.len()),
        }
    }

    /// Writes bytes at an offset; bytes after the offset are dropped. Fails if the offset leaves a
    /// gap.
    pub(crate) fn write_bytes(
        &self,
        token: &str,
        offset: usize,
        bytes: &[u8],
    ) -> anyhow::Result<()> {
        let mut files = self.files.lock();
        let files = &mut *files;
        if !files.by_token.contains_key(token) {
            files.oldest_first.push_back(token.to_owned());
        }
        let upload = files.by_token.entry(token.to_owned()).or_default();
        let here = upload.bytes.len();
        ensure!(
            offset <= here,
            "the upload goes on at {offset}, but only {here} bytes are here"
        );
        upload.bytes.truncate(offset);
        upload.bytes.extend_from_slice(bytes);
        upload.complete = false;
        files.bytes = files.bytes - here + upload.bytes.len();
        files.make_room();
        Ok(())
    }

    /// Uploads a whole file at once; returns its address.
    pub(crate) fn upload_file(&self, sealed: &PreparedFile) -> anyhow::Result<String> {
        let token = file_token(&sealed.file_enc_sha256);
        self.write_bytes(&token, 0, &sealed.encrypted)?;
        self.complete_upload(&token);
        Ok(self.direct_path(&token))
    }

    /// Removes a file. Returns `false` if there is no such file.
    pub(crate) fn remove_file(&self, token: &str) -> bool {
        let mut files = self.files.lock();
        let Some(removed) = files.by_token.remove(token) else {
            return false;
        };
        files.bytes -= removed.bytes.len();
        files.oldest_first.retain(|known| known != token);
        true
    }

    /// Expires all files, as WhatsApp does after some weeks.
    pub(crate) fn expire_files(&self) {
        let mut files = self.files.lock();
        files.bytes = 0;
        for upload in files.by_token.values_mut() {
            *upload = HostedFile {
                expired: upload.expired + 1,
                ..HostedFile::default()
            };
        }
    }

    /// The address of a file below the host. The query is there because one client appends
    /// `&hash=…` to it blindly.
    pub(crate) fn direct_path(&self, token: &str) -> String {
        let expired = self
            .files
            .lock()
            .by_token
            .get(token)
            .map_or(0, |upload| upload.expired);
        format!(
            "/v/t62/{token}?ccb=11-4&oh={}&oe=7fffffff",
            url_signature(expired)
        )
    }

    /// Marks the file under this token as whole.
    pub(crate) fn complete_upload(&self, token: &str) {
        if let Some(upload) = self.files.lock().by_token.get_mut(token) {
            upload.complete = true;
        }
    }

    pub(crate) fn get(&self, token: &str) -> Option<Vec<u8>> {
        let files = self.files.lock();
        files
            .by_token
            .get(token)
            .filter(|upload| upload.complete)
            .map(|upload| upload.bytes.clone())
    }

    /// Returns the file if `oh` is that of its current address.
    pub(crate) fn get_signed(&self, token: &str, oh: &str) -> Option<Vec<u8>> {
        let expired = self.files.lock().by_token.get(token)?.expired;
        self.get(token).filter(|_| url_signature(expired) == oh)
    }

    /// Returns the file behind a `direct_path`.
    pub(crate) fn get_by_path(&self, direct_path: &str) -> Option<Vec<u8>> {
        let (token, query) = direct_path.strip_prefix("/v/t62/")?.split_once('?')?;
        let oh = query
            .split('&')
            .find_map(|parameter| parameter.strip_prefix("oh="))?;
        self.get_signed(token, oh)
    }
}

/// The token a file is uploaded under: the hash of its encrypted bytes.
pub(crate) fn file_token(file_enc_sha256: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(file_enc_sha256)
}

fn url_signature(expired: u32) -> String {
    format!("simulated{expired}")
}

#[cfg(test)]
mod tests {
    use crate::crypto::media_cipher::*;

    fn sealed_image(bytes: &[u8]) -> (PreparedFile, MediaReference) {
        let sealed = encrypt_file("image", bytes).unwrap();
        let reference = MediaReference {
            kind: "image",
            media_key: sealed.media_key.to_vec(),
            file_sha256: sealed.file_sha256.clone(),
            file_enc_sha256: sealed.file_enc_sha256.clone(),
            file_length: bytes.len() as u64,
            ..MediaReference::default()
        };
        (sealed, reference)
    }

    #[test]
    fn a_file_comes_back_and_no_changed_byte_is_accepted() {
        let (sealed, reference) = sealed_image(b"a picture");
        assert_eq!(
            decrypt_file(&reference, &sealed.encrypted).unwrap(),
            b"a picture"
        );
        for index in 0..sealed.encrypted.len() {
            let mut changed = sealed.encrypted.clone();
            changed[index] ^= 1;
            assert!(decrypt_file(&reference, &changed).is_err(), "byte {index}");
        }
    }

    #[test]
    fn an_upload_goes_on_where_it_stopped() {
        let store = MediaStore::default();
        store.write_bytes("t", 0, b"one ").unwrap();
        assert_eq!(store.upload_progress("t"), UploadProgress::Partial(4));
        assert!(store.write_bytes("t", 9, b"gap").is_err());
        store.write_bytes("t", 4, b"two").unwrap();
        assert_eq!(
            store.get("t"),
            None,
            "an upload that is not over is not a file"
        );
        store.complete_upload("t");
        assert_eq!(store.get("t").unwrap(), b"one two");
    }
}
