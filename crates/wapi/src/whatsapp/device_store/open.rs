//! Opening of a device: what the session's file and the rows say of it.
//!
//! | file | rows | |
//! |---|---|---|
//! | yes | yes | the device logs in with its keys |
//! | yes | no, or of another device | it logs in and makes new keys; peers are asked again for what cannot be read |
//! | no | yes | somebody has deleted the file: a new device waits to be linked, and the rows go |
//! | no | no | a new device waits to be linked |

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use whatsapp_rust::wacore::store::Device;
use whatsapp_rust::wacore::store::error::{Result, StoreError};
use whatsapp_rust::wacore::store::traits::AppSyncStore;

use super::conversion;
use super::credentials::{self, CredentialsDigest, DEVICE_KEY};
use super::key_buffer::KeyBuffer;
use super::rows::DeviceRows;
use super::{AppStateKeys, DecryptedBuffer, EngineStore, database_error};
use crate::model::session_name::SessionName;
use crate::store::session_file::{self, SavedDevice};
use crate::store::{DeviceLife, Life, RowKind, Store};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;

impl EngineStore {
    /// Opens the device that the session's file and rows describe, or begins a new one.
    pub async fn open(
        session: DeviceLife,
        file: &Path,
        opened: Arc<DecryptedBuffer>,
        store: Store,
        clock: Clock,
        tasks: &Lifecycle,
    ) -> Result<Self> {
        let saved = read_file(file, &store).await?;
        if saved.is_none() {
            conversion::refuse_unconverted(file).await?;
        }
        let has_own_proxy = saved.as_ref().is_some_and(|saved| saved.has_own_proxy);
        let known = match saved {
            Some(saved) => Some(find_device(&session, file, saved, &store).await?),
            None => {
                for life in store.lives().lives_of(session.name()) {
                    let closing = store.engine_rows().close(&life);
                    closing.await.map_err(database_error)?;
                }
                None
            }
        };
        let is_linked = known.is_some();
        let (rows, file_digest, unsaved) = match known {
            None => (DeviceRows::unlinked(store.clone()), None, None),
            Some(KnownDevice { life, device }) => {
                let rows = DeviceRows::linked(life, store.clone());
                match device {
                    DeviceInFile::Current(digest) => (rows, Some(digest), None),
                    DeviceInFile::Unsaved(device) => (rows, None, Some(device)),
                }
            }
        };
        let rows = Arc::new(rows);
        let keys = KeyBuffer::new(
            Arc::clone(&rows),
            Arc::clone(&opened),
            tasks.clone(),
            clock.clone(),
        );
        let engine = Self {
            session,
            rows,
            keys,
            record_digests: Default::default(),
            merging: tokio::sync::Mutex::default(),
            saving: Arc::default(),
            file: file.to_owned(),
            file_digest: Mutex::new(file_digest),
            has_own_proxy: AtomicBool::new(has_own_proxy),
            knows_account: AtomicBool::new(is_linked),
            decrypted: opened,
            missing: OnceLock::new(),
            token_cache: Default::default(),
            app_state_keys: AppStateKeys::new(false),
            store,
            clock,
        };
        if let Some(device) = unsaved {
            engine.save_device(&device).await?;
        }
        if engine.get_latest_sync_key_id().await?.is_some() {
            engine.app_state_keys.mark_shared();
        }
        Ok(engine)
    }
}

async fn read_file(file: &Path, store: &Store) -> Result<Option<SavedDevice>> {
    let saved = session_file::read_file(file, store.sealer()).await;
    saved.map_err(|error| StoreError::Connection(error.into()))
}

/// A device that a phone has linked.
struct KnownDevice {
    life: Life,
    device: DeviceInFile,
}

/// What to do with the device in the file.
enum DeviceInFile {
    /// The rows are its own.
    Current(CredentialsDigest),
    /// It is to be saved: it begins with new keys, or its row is behind.
    Unsaved(Box<Device>),
}

async fn find_device(
    session: &DeviceLife,
    file: &Path,
    saved: SavedDevice,
    store: &Store,
) -> Result<KnownDevice> {
    let in_file = credentials::decode_device(&saved.device)?;
    let life = session.link_account(credentials::account_of(&in_file)?);
    let rows = DeviceRows::linked(life.clone(), store.clone());
    let device = |device| KnownDevice {
        life: life.clone(),
        device,
    };
    if saved.life == life.id()
        && let Some(row) = rows.find(RowKind::Device, DEVICE_KEY).await?
        && let in_row = credentials::decode_device(&row)?
        && credentials::is_same_device(&in_file, &in_row)
    {
        let digest = credentials::digest_credentials(&in_file)?;
        return Ok(device(
            match digest == credentials::digest_credentials(&in_row)? {
                true => DeviceInFile::Current(digest),
                // The program has ended between the two.
                false => {
                    DeviceInFile::Unsaved(Box::new(credentials::with_learnt(in_file, &in_row)))
                }
            },
        ));
    }
    refuse_copy(session, file, &saved, &in_file, store).await?;
    tracing::warn!(
        session = session.name(),
        "the session's file was found without the database it belongs to; the device logs in with new keys"
    );
    let closing = store.engine_rows().close(life);
    closing.await.map_err(database_error)?;
    let with_new_keys = credentials::with_new_keys(in_file);
    Ok(device(DeviceInFile::Unsaved(Box::new(with_new_keys))))
}

/// Fails if the file is a copy of another session's: two sessions with one device end each other's
/// connections, and each gets a part of the messages.
async fn refuse_copy(
    session: &DeviceLife,
    file: &Path,
    saved: &SavedDevice,
    in_file: &Device,
    store: &Store,
) -> Result<()> {
    let Some(other) = store.lives().find_life(saved.life) else {
        return Ok(());
    };
    let name = SessionName::parse(other.name()).ok();
    let Some(name) = name.filter(|name| name.as_str() != session.name()) else {
        return Ok(());
    };
    let original = file.with_file_name(format!("{}.session", name.file_stem()));
    let is_copy = match read_file(&original, store).await? {
        Some(saved) => {
            credentials::is_same_device(in_file, &credentials::decode_device(&saved.device)?)
        }
        None => false,
    };
    match is_copy {
        true => Err(StoreError::Validation(format!(
            "its file is a copy of that of session {}; remove one of the two",
            name.as_str()
        ))),
        false => Ok(()),
    }
}
