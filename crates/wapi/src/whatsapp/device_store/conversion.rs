//! Conversion of the database that an earlier version kept for each session, into rows and a session
//! file. It begins anew until the file is there; only then does the database no longer stand for the
//! session.

use std::path::Path;

use whatsapp_rust::store::{SqliteStore, SqliteStoreConfig, Synchronous};
use whatsapp_rust::wacore::store::error::{Result, StoreError};
use whatsapp_rust::wacore::store::traits::{AppSyncStore, DeviceStore, ProtocolStore};

use super::credentials::{self, DEVICE_KEY};
use super::rows::DeviceRows;
use super::traits::protocol::map_lid;
use super::values::{encode, encode_secret, parse_hex, put, put_numbered};
use super::{Store, database_error};
use crate::store::database_file::{self, OldRow};
use crate::store::session_file::{self, SavedDevice, SessionFile};
use crate::store::{DeviceLife, RowChange, RowKind};

/// Rows written in one commit.
const BATCH_ROWS: usize = 500;
/// The name under which the database has a version if the session leaves through a proxy of its own.
const OWN_PROXY: &str = "wapi:own-proxy";
/// The kinds of rows whose values are the same in both.
const SAME_KINDS: [RowKind; 10] = [
    RowKind::Identity,
    RowKind::Session,
    RowKind::PreKey,
    RowKind::SignedPreKey,
    RowKind::SenderKey,
    RowKind::Mac,
    RowKind::SenderKeyDevice,
    RowKind::BaseKey,
    RowKind::Group,
    RowKind::Secret,
];

/// Fails if a database stands for the session: without its keys, a device would be a new one.
pub(super) async fn refuse_unconverted(file: &Path) -> Result<()> {
    match database_file::inspect_file(&file.with_extension("db")).await {
        SessionFile::Absent | SessionFile::NeverPaired => Ok(()),
        _ => Err(StoreError::Validation(
            "the database of an earlier version has not been converted".to_owned(),
        )),
    }
}

/// Moves the state of a linked device from a database of its own, unless that is done. Returns
/// whether there is such a database, which is no longer needed.
///
/// # Errors
///
/// Also if the session has a file already, of another device.
pub(in crate::whatsapp) async fn convert_database(
    session: &DeviceLife,
    file: &Path,
    store: &Store,
) -> Result<bool> {
    let database = file.with_extension("db");
    if database_file::inspect_file(&database).await != SessionFile::Paired {
        return Ok(false);
    }
    let saved = session_file::read_file(file, store.sealer()).await;
    let saved = saved.map_err(|reason| StoreError::Connection(reason.into()))?;
    let path = database
        .to_str()
        .ok_or_else(|| StoreError::Connection("the data folder's path is not UTF-8".into()))?;
    // Opening it brings it up to date.
    let config = SqliteStoreConfig {
        synchronous: Synchronous::Full,
        ..SqliteStoreConfig::default()
    };
    let old = SqliteStore::with_config(path, config).await?;
    let device = old.load().await?;
    let device = device.ok_or_else(|| StoreError::Validation("there is no device".to_owned()))?;
    if let Some(saved) = saved {
        let in_file = credentials::decode_device(&saved.device)?;
        return match credentials::is_same_device(&in_file, &device) {
            true => Ok(true),
            false => Err(StoreError::Validation(
                "it has the files of two devices, .session and .db; move away that of the one that is no longer linked"
                    .to_owned(),
            )),
        };
    }
    let life = session.link_account(credentials::account_of(&device)?);
    let (table, rows) = (
        store.engine_rows(),
        DeviceRows::linked(life.clone(), store.clone()),
    );
    // The device is written last: where its row is, all others have been moved, and may have advanced.
    let moved = rows.find(RowKind::Device, DEVICE_KEY).await?;
    let moved = moved.filter(|row| {
        let row = credentials::decode_device(row);
        row.is_ok_and(|row| credentials::is_same_device(&row, &device))
    });
    let value = match moved {
        Some(value) => value,
        None => {
            table.close(life).await.map_err(database_error)?;
            move_rows(session, &rows, &old, &database).await?;
            let value = credentials::encode_device(&device)?;
            write_all(&rows, vec![put(RowKind::Device, DEVICE_KEY, value.clone())]).await?;
            value
        }
    };
    let saved = SavedDevice {
        life: life.id(),
        has_own_proxy: old.get_version(OWN_PROXY).await?.version > 0,
        device: value,
    };
    session_file::write_file(file, &saved, store.sealer()).await?;
    tracing::info!(
        session = session.name(),
        "moved the keys of an earlier version into the database"
    );
    Ok(true)
}

/// Moves all rows but the device's own.
async fn move_rows(
    session: &DeviceLife,
    rows: &DeviceRows,
    old: &SqliteStore,
    database: &Path,
) -> Result<()> {
    let mut skipped = 0;
    for kind in SAME_KINDS {
        let all = database_file::read_rows(database, kind).await;
        let all = all.map_err(database_error)?;
        let count = all.len();
        let changes: Vec<_> = all
            .into_iter()
            .filter_map(|row| copy_row(kind, row))
            .collect();
        skipped += count - changes.len();
        write_all(rows, changes).await?;
    }
    if skipped > 0 {
        tracing::warn!(
            session = session.name(),
            skipped,
            "left out message secrets of an earlier version that are damaged: votes on these polls cannot be read"
        );
    }
    write_all(rows, read_learnt(old, database).await?).await
}

async fn write_all(rows: &DeviceRows, changes: Vec<RowChange>) -> Result<()> {
    for changes in changes.chunks(BATCH_ROWS) {
        rows.write(changes.to_vec()).await?;
    }
    Ok(())
}

/// Returns the row as the table has it; `None` for a secret that is damaged, which nothing rests on.
fn copy_row(kind: RowKind, row: OldRow) -> Option<RowChange> {
    let value = match kind {
        RowKind::Secret => encode_secret(&row.value.try_into().ok()?, row.at),
        _ => row.value,
    };
    Some(put_numbered(kind, row.key, row.extra, value))
}

/// Reads what the engine has in a form of its own.
async fn read_learnt(old: &SqliteStore, database: &Path) -> Result<Vec<RowChange>> {
    let mut changes = Vec::new();
    for row in read_keys(database, RowKind::SyncKey).await? {
        let id = parse_hex(&row.key).unwrap_or_default();
        if let Some(key) = old.get_sync_key(&id).await? {
            changes.push(put(RowKind::SyncKey, row.key, encode(&key)?));
        }
    }
    for row in read_keys(database, RowKind::Version).await? {
        let version = old.get_version(&row.key).await?;
        if row.key != OWN_PROXY {
            changes.push(put(RowKind::Version, row.key, encode(&version)?));
        }
    }
    for row in read_keys(database, RowKind::DeviceList).await? {
        // One that is damaged is asked for again.
        if let Ok(Some(list)) = old.get_devices(&row.key).await {
            changes.push(put(RowKind::DeviceList, row.key, encode(&list)?));
        }
    }
    for row in read_keys(database, RowKind::TrustToken).await? {
        if let Some(token) = old.get_tc_token(&row.key).await? {
            changes.push(put(RowKind::TrustToken, row.key, encode(&token)?));
        }
    }
    for entry in old.get_all_lid_mappings().await? {
        changes.extend(map_lid(&entry, entry.created_at)?);
    }
    Ok(changes)
}

async fn read_keys(database: &Path, kind: RowKind) -> Result<Vec<OldRow>> {
    let rows = database_file::read_rows(database, kind).await;
    rows.map_err(database_error)
}
