//! The start with a master key, or without: it is recognised, and the rows are brought to what the
//! settings say.

use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail};

use super::data_keys::{self, DataKeys};
use super::envelope::{Binding, EnvelopeKey};
use super::rows::RewrittenRows;
use super::{Sealer, rows};
use crate::store::db::{self, Connection};
use crate::system::master_key::{MasterKey, MasterKeys, SealPolicy};

/// First byte of the proof; it says nothing, since the master key has no number.
const BY_MASTER_KEY: u8 = 1;

/// Free pages given back in one transaction.
const FREED_PAGES: u32 = 256;
/// Such transactions after which a line in the log says how many pages are left.
const PROGRESS_STEPS: u64 = 100;

/// What the database knows of the master key.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Recognised {
    /// It has another one until now.
    is_old: bool,
    /// All that is to be sealed is sealed.
    is_complete: bool,
}

/// Refuses to go on with a database that is sealed, without its master key. Writes nothing.
pub(in crate::store) async fn check_master_key(
    connection: &mut Connection,
    keys: Option<&MasterKeys>,
) -> Result<()> {
    if has_table(connection).await? {
        recognise(connection, keys).await?;
    }
    Ok(())
}

/// Returns whether a database has a proof, by which it recognises its master key.
pub(in crate::store) async fn is_sealed(connection: &mut Connection) -> Result<bool> {
    if !has_table(connection).await? {
        return Ok(false);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM master_key)";
    Ok(db::query_scalar(sql).fetch_one(connection).await?)
}

/// One of an earlier version has not the table.
async fn has_table(connection: &mut Connection) -> Result<bool> {
    let sql =
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'master_key')";
    Ok(db::query_scalar(sql).fetch_one(connection).await?)
}

/// Makes SQLite overwrite with zeros what a connection deletes, until [`open_sealer`]. The steps of
/// the schema rewrite plain values, too, so this comes before them.
pub(in crate::store) async fn erase_deleted(
    connection: &mut Connection,
    keys: Option<&MasterKeys>,
) -> Result<()> {
    if keys.is_some() {
        connection.execute("PRAGMA secure_delete = ON").await?;
    }
    Ok(())
}

/// Makes the sealer, once the tables are there. Seals what is plain, changes the master key of what
/// has another one, or takes the seal off.
pub(in crate::store) async fn open_sealer(
    connection: &mut Connection,
    keys: Option<&MasterKeys>,
) -> Result<Sealer> {
    let recognised = recognise(connection, keys).await?;
    let Some(keys) = keys else {
        return Ok(Sealer::none());
    };
    let master = EnvelopeKey::new(keys.current.bytes());
    if let (Some(Recognised { is_old: true, .. }), Some(old)) = (recognised, &keys.old) {
        change_master_key(connection, old, &master).await?;
    }
    let stored = data_keys::load_keys(connection).await?;
    let (known, refused) = DataKeys::load(stored, &master);
    if recognised.is_none() && !refused.is_empty() {
        // Nothing says that the master key is the right one.
        bail!(
            "its data keys were changed, or are sealed with another master key; restore it from a backup"
        );
    }
    for life in refused {
        tracing::error!(
            life,
            "a data key is damaged: what it has sealed cannot be opened, and all else goes on; restore the database \
             from a backup. Otherwise a session is to be linked anew, and a webhook to be given a new secret"
        );
    }
    let sealer = Sealer::new(keys, known);
    match (keys.policy, recognised) {
        (SealPolicy::Keys, None) => {
            let sql = "INSERT INTO master_key (one, proof, is_complete) VALUES (1, $1, 0)";
            let query = db::query(sql).bind(master.seal(BY_MASTER_KEY, &proof_binding(), b""));
            query.execute(&mut *connection).await?;
            seal_all(connection, &sealer).await?;
        }
        (SealPolicy::Keys, Some(found)) if !found.is_complete => {
            seal_all(connection, &sealer).await?;
        }
        (SealPolicy::Keys, Some(_)) | (SealPolicy::Unseal, None) => {}
        (SealPolicy::Unseal, Some(_)) => unseal_all(connection, &sealer).await?,
    }
    // From here on, what is deleted is sealed.
    connection.execute("PRAGMA secure_delete = OFF").await?;
    Ok(sealer)
}

/// Compares the keys with the database's; `None` if it has never been sealed, or is not any more.
async fn recognise(
    connection: &mut Connection,
    keys: Option<&MasterKeys>,
) -> Result<Option<Recognised>> {
    let sql = "SELECT proof, is_complete FROM master_key";
    let Some(row) = db::query(sql).fetch_optional(connection).await? else {
        return Ok(None);
    };
    let Some(keys) = keys else {
        bail!(
            "WAPI_MASTER_KEY is not set, and the keys of sessions are sealed in it: set the master key that they are \
             sealed with, in the way that it was set before. Without it they are lost: docs/operations/encryption.md \
             says how to begin anew"
        );
    };
    let proof: Vec<u8> = row.get("proof");
    let is_right = |key: &MasterKey| {
        let key = EnvelopeKey::new(key.bytes());
        key.open(&proof_binding(), &proof).is_some()
    };
    let is_complete = row.get::<i64, _>("is_complete") == 1;
    let recognised = |is_old| Recognised {
        is_old,
        is_complete,
    };
    if is_right(&keys.current) {
        return Ok(Some(recognised(false)));
    }
    match &keys.old {
        Some(old) if is_right(old) => Ok(Some(recognised(true))),
        Some(_) => bail!(
            "neither WAPI_MASTER_KEY nor WAPI_MASTER_KEY_OLD is the master key that it is sealed with: set the right \
             one as WAPI_MASTER_KEY_OLD"
        ),
        None => bail!(
            "WAPI_MASTER_KEY is not the master key that it is sealed with: set the right one. If the key is to be \
             changed, set the former one as WAPI_MASTER_KEY_OLD"
        ),
    }
}

fn proof_binding() -> Binding {
    Binding::new("wapi master key 1")
}

/// Seals all data keys with another master key, or none.
async fn change_master_key(
    connection: &mut Connection,
    old: &MasterKey,
    new: &EnvelopeKey,
) -> Result<()> {
    let old = EnvelopeKey::new(old.bytes());
    let mut transaction = connection.begin().await?;
    let stored = data_keys::load_keys(&mut transaction).await?;
    // One that is damaged stays as it is.
    let rewrapped: Vec<_> = stored
        .into_iter()
        .filter_map(|key| data_keys::rewrap_key(key, &old, new))
        .collect();
    let count = rewrapped.len();
    data_keys::insert_keys(&mut transaction, &rewrapped).await?;
    let sql = "UPDATE master_key SET proof = $1";
    let query = db::query(sql).bind(new.seal(BY_MASTER_KEY, &proof_binding(), b""));
    query.execute(&mut *transaction).await?;
    transaction.commit().await?;
    tracing::info!(data_keys = count, "the database has the new master key");
    // Copies that the former key opens would stay in it. A program that reads keeps them there for a
    // while longer.
    empty_log(connection).await.map(drop)
}

async fn seal_all(connection: &mut Connection, sealer: &Sealer) -> Result<()> {
    let rewritten = rows::rewrite_rows(connection, sealer)
        .await
        .context("sealing its keys")?;
    if let Err(error) = free_pages(connection).await {
        tracing::warn!(
            values = rewritten.values,
            %error,
            "sealed the keys in the database, but free pages, which may still have them plain, cannot be given back; \
             the next start tries again"
        );
        return Ok(());
    }
    if !empty_log(connection).await? {
        tracing::warn!(
            values = rewritten.values,
            "sealed the keys in the database, but another program reads it, so its log may still have them plain; the \
             next start empties it"
        );
        return Ok(());
    }
    connection
        .execute("UPDATE master_key SET is_complete = 1")
        .await?;
    if rewritten == RewrittenRows::default() {
        tracing::info!("keys that are saved from now on are sealed; there were none before");
        return Ok(());
    }
    tracing::info!(
        values = rewritten.values,
        damaged = rewritten.unreadable,
        "sealed the keys in the database; what it had before may have left traces in free parts of the file, which \
         VACUUM removes: docs/operations/encryption.md"
    );
    Ok(())
}

/// Takes the seal off all rows. The master key stays until the files have followed.
async fn unseal_all(connection: &mut Connection, sealer: &Sealer) -> Result<()> {
    // If this is interrupted and not wanted any more, what is plain is sealed again.
    connection
        .execute("UPDATE master_key SET is_complete = 0")
        .await?;
    let rewritten = rows::rewrite_rows(connection, sealer)
        .await
        .context("taking the seal off its keys")?;
    tracing::info!(
        values = rewritten.values,
        "took the seal off the keys in the database"
    );
    if let Some(state) = &sealer.0 {
        let left = &state.left_sealed;
        left.store(rewritten.unreadable, Ordering::Relaxed);
    }
    Ok(())
}

/// Gives free pages back to the file system, some at a time: they may have values as they were.
async fn free_pages(connection: &mut Connection) -> Result<(), db::Error> {
    let count = "PRAGMA freelist_count";
    let mut left: i64 = db::query_scalar(count).fetch_one(&mut *connection).await?;
    for step in 1_u64.. {
        // A pragma takes no parameters; the number is a constant.
        let sql = format!("PRAGMA incremental_vacuum({FREED_PAGES})");
        db::query(sql).execute(&mut *connection).await?;
        let before = left;
        left = db::query_scalar(count).fetch_one(&mut *connection).await?;
        if left == 0 || left >= before {
            break;
        }
        if step.is_multiple_of(PROGRESS_STEPS) {
            tracing::info!(left, "giving free pages of the database back");
        }
    }
    Ok(())
}

/// Empties the write-ahead log, which has pages as they were. Returns whether it is empty: a program
/// that reads the database keeps it.
async fn empty_log(connection: &mut Connection) -> Result<bool> {
    let row = db::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(connection)
        .await?;
    let is_busy: i64 = row.try_get("busy")?;
    Ok(is_busy == 0)
}
