//! Device store of a session, as the engine sees it: rows in the gateway's own database, except for
//! messages on their way to becoming events.
//!
//! What the engine writes is in the store's commits, together with what other sessions write at that
//! moment, and on the disk when the write returns. Only keys that messages are encrypted and
//! decrypted with go there a moment later; see [`KeyBuffer`]. A message that the engine has decrypted
//! stays in memory while the inbox saves it, and the key that decrypted it waits for that, or goes to
//! the disk in one transaction with it; see [`DecryptedBuffer`].
//!
//! Before a phone has linked the device, nothing of it is on the disk: a crash costs a QR code that
//! nobody has scanned. Linking makes the session's file, and then the rows; see
//! [`EngineStore::save_device`] and [`open`].

pub mod conversion;
mod credentials;
mod decrypted_buffer;
mod essential_keys;
pub mod key_barrier;
mod key_buffer;
pub mod missing_messages;
mod open;
pub mod recovery;
mod rows;
mod traits;
mod trust_tokens;
mod values;
pub mod write_failures;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use whatsapp_rust::wacore::store::Device;
use whatsapp_rust::wacore::store::error::{Result, StoreError};

use super::connection::readiness::AppStateKeys;
use crate::model::event::MessageKey;
use crate::store::session_file::{self, SavedDevice};
use crate::store::{DeviceLife, RowChange, RowKind, Store};
use crate::system::clock::Clock;
use crate::system::durable_files;
use crate::system::lifecycle::run_blocking;

use credentials::{CredentialsDigest, DEVICE_KEY};
pub(super) use decrypted_buffer::DecryptedBuffer;
use essential_keys::{FieldPath, RecordDigests};
use key_buffer::{KeyBuffer, KeyWeight};
use missing_messages::MissingMessages;
use rows::DeviceRows;
use trust_tokens::TokenCache;

/// Time for which the engine's buffer of message secrets gathers, so that one write takes many. The
/// engine reads from the buffer first, and accepts its loss in a crash: without its secret, a vote
/// on a poll cannot be read.
const SECRETS_GATHERING: Duration = Duration::from_millis(100);

/// A turn to save the device.
type SavingTurn = tokio::sync::OwnedMutexGuard<()>;

/// The engine's storage for one session.
pub(super) struct EngineStore {
    session: DeviceLife,
    rows: Arc<DeviceRows>,
    keys: Arc<KeyBuffer>,
    record_digests: RecordDigests,
    /// Held while rows are read, and changed according to what they say.
    merging: tokio::sync::Mutex<()>,
    /// Held while the device is saved.
    saving: Arc<tokio::sync::Mutex<()>>,
    /// The session's file.
    file: PathBuf,
    /// What the file says.
    file_digest: Mutex<Option<CredentialsDigest>>,
    /// Whether the session leaves through a proxy of its own.
    has_own_proxy: AtomicBool,
    /// Whether file and rows say which account the device is linked to.
    knows_account: AtomicBool,
    decrypted: Arc<DecryptedBuffer>,
    /// Set before the connection is made.
    missing: OnceLock<Arc<MissingMessages>>,
    token_cache: TokenCache,
    app_state_keys: AppStateKeys,
    store: Store,
    clock: Clock,
}

impl EngineStore {
    /// Returns the flag that says whether the phone has shared the account's app-state keys.
    pub fn app_state_keys(&self) -> AppStateKeys {
        self.app_state_keys.clone()
    }

    /// Sets who is asked about messages that were decrypted before.
    pub fn set_missing_messages(&self, missing: Arc<MissingMessages>) {
        // A second call would be for a second client, which has a store of its own.
        let _ = self.missing.set(missing);
    }

    /// Returns the decrypted form of a message that WhatsApp delivers again; `None` if the message
    /// was saved. An error keeps the engine from acknowledging it.
    async fn find_decrypted(&self, key: MessageKey) -> Result<Option<Vec<u8>>> {
        let found = self
            .decrypted
            .find_message(&key)
            .await
            .map_err(database_error)?;
        if let (None, Some(missing)) = (&found, self.missing.get()) {
            let is_missing = missing.request_if_missing(&key).await;
            if is_missing.map_err(|error| StoreError::Database(error.into()))? {
                return Err(StoreError::Validation("asked the sender again".to_owned()));
            }
        }
        Ok(found)
    }

    /// Saves the account that the device is linked to, unless it is saved already. Does nothing
    /// before pairing.
    pub async fn save_account(&self, device: &Device) -> Result<()> {
        let is_known = || device.pn.is_none() || self.knows_account.load(Ordering::Acquire);
        if is_known() {
            return Ok(());
        }
        let turn = self.begin_saving().await;
        // Somebody else may have saved a later state of it meanwhile.
        if is_known() {
            return Ok(());
        }
        self.save_in_turn(device, turn).await
    }

    /// Returns when everything that a frame may rest on is on the disk. After an error it may not be.
    pub async fn secure_keys(&self) -> Result<()> {
        self.keys.save_essential().await?;
        self.rows.check_disk().await
    }

    /// Refuses to save anything from now on, for the end of the link: whatever the engine still does
    /// must not bring back a device that is removed, nor mix with the next link. Returns once nothing
    /// is being saved.
    pub async fn close(&self) {
        self.rows.refuse_writes();
        self.keys.hurry();
        drop(self.begin_saving().await);
        self.rows.wait_for_writes().await;
    }

    /// Returns when all keys that the engine has handed over are on the disk.
    pub async fn save_keys(&self) -> Result<()> {
        self.keys.save_all().await
    }

    /// Returns the reason why nothing can be written.
    pub fn write_error(&self) -> Option<String> {
        self.store.write_error().map(|error| error.to_string())
    }

    /// Returns whether the session's file says that it leaves through a proxy of its own.
    pub fn has_own_proxy(&self) -> bool {
        self.has_own_proxy.load(Ordering::Acquire)
    }

    /// Notes in the session's file, or for the time when there is one, whether the session leaves
    /// through a proxy of its own.
    pub async fn note_own_proxy(&self, has_own: bool) -> Result<()> {
        let turn = self.begin_saving().await;
        self.has_own_proxy.store(has_own, Ordering::Release);
        self.rows.check_open()?;
        let saved = session_file::read_file(&self.file, self.store.sealer()).await;
        match saved.map_err(|reason| StoreError::Connection(reason.into()))? {
            Some(saved) => self
                .write_file(saved.life, saved.device, turn)
                .await
                .map(drop),
            None => Ok(()),
        }
    }

    /// Saves the device. One that a phone has linked is first in the session's file, whose presence
    /// says that the session is linked, and then in the rows: without them it logs in with new keys.
    async fn save_device(&self, device: &Device) -> Result<()> {
        let turn = self.begin_saving().await;
        self.save_in_turn(device, turn).await
    }

    async fn begin_saving(&self) -> SavingTurn {
        Arc::clone(&self.saving).lock_owned().await
    }

    async fn save_in_turn(&self, device: &Device, mut turn: SavingTurn) -> Result<()> {
        self.rows.check_open()?;
        let value = credentials::encode_device(device)?;
        let row = values::put(RowKind::Device, DEVICE_KEY, value.clone());
        if device.pn.is_none() {
            return self.write(vec![row]).await;
        }
        let life = self.session.link_account(credentials::account_of(device)?);
        let digest = credentials::digest_credentials(device)?;
        if *self.file_digest.lock() != Some(digest) {
            turn = self.write_file(life.id(), value, turn).await?;
            *self.file_digest.lock() = Some(digest);
        }
        self.rows.link(life, vec![row]).await?;
        drop(turn);
        // The engine learns its parts one after the other.
        let is_whole = device.account.is_some();
        self.knows_account.store(is_whole, Ordering::Release);
        Ok(())
    }

    /// Replaces the file, unless the link ends meanwhile. The turn lasts until that is done, even if the
    /// caller does not wait for it.
    async fn write_file(&self, life: i64, device: Vec<u8>, turn: SavingTurn) -> Result<SavingTurn> {
        let saved = SavedDevice {
            life,
            has_own_proxy: self.has_own_proxy(),
            device,
        };
        let (file, rows) = (self.file.clone(), Arc::clone(&self.rows));
        let sealer = self.store.sealer().clone();
        let writing = move || {
            let draft = session_file::write_draft(&file, &saved, &sealer)?;
            match rows.check_open() {
                Ok(()) => durable_files::rename_file_blocking(&draft, &file)?,
                Err(ended) => {
                    std::fs::remove_file(draft)?;
                    return Err(ended);
                }
            }
            Ok(turn)
        };
        let written = run_blocking(writing).await;
        written.unwrap_or_else(|| Err(StoreError::Validation("writing the file failed".to_owned())))
    }

    /// Makes changes, which are on the disk on return.
    async fn write(&self, changes: Vec<RowChange>) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        self.rows.write(changes).await.map(drop)
    }

    async fn delete(&self, kind: RowKind, key: &str) -> Result<()> {
        self.write(vec![RowChange::Delete(kind, key.to_owned())])
            .await
    }

    /// Hands over records with the keys of all messages decrypted so far. No frame waits for what is
    /// only in their `lossy` fields.
    ///
    /// # Errors
    ///
    /// When the last change could not be saved, and these cannot, either: the engine holds back what
    /// tells WhatsApp that a key was taken over.
    async fn put_records<'a>(
        &self,
        kind: RowKind,
        lossy: &[FieldPath],
        records: impl Iterator<Item = (&'a str, &'a [u8])> + Clone + Send,
    ) -> Result<()> {
        let moved = self.decrypted.advanced_count();
        let changed = self.record_digests.find_changes(records.clone(), lossy);
        let weight = match changed.is_empty() {
            true => KeyWeight::Lossy,
            false => KeyWeight::Essential,
        };
        let row = |(name, record): (&str, &[u8])| values::row(kind, name, 0, record);
        self.keys.put(records.map(row).collect(), weight);
        self.record_digests.remember_records(changed);
        if self.rows.has_failed() {
            self.keys.save_all().await?;
        }
        self.decrypted.record_written_keys(moved);
        Ok(())
    }

    /// Deletes a key. It is gone from the disk on return: whoever had it must not read on.
    async fn delete_key(&self, kind: RowKind, key: String) -> Result<()> {
        self.keys.delete(kind, key);
        self.keys.save_all().await
    }
}

fn database_error(error: crate::store::StoreError) -> StoreError {
    StoreError::Database(Box::new(error))
}

#[cfg(test)]
mod tests;
