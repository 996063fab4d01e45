//! The start with a master key, or without: it is recognised, and the rows are brought to what the
//! settings say.

use anyhow::{Context, Result, bail};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Executor, Row};

use super::data_keys::{self, DataKeys};
use super::envelope::{Binding, EnvelopeKey};
use super::{Sealer, rows};
use crate::system::master_key::{MasterKey, MasterKeys, SealPolicy};

/// First byte of the proof; it says nothing, since the master key has no number.
const BY_MASTER_KEY: u8 = 1;

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
    connection: &mut SqliteConnection,
    keys: Option<&MasterKeys>,
) -> Result<()> {
    let sql =
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'master_key')";
    if sqlx::query_scalar(sql).fetch_one(&mut *connection).await? {
        recognise(connection, keys).await?;
    }
    Ok(())
}

/// Makes SQLite overwrite with zeros what a connection deletes, until [`open_sealer`]. The steps of
/// the schema rewrite plain values, too, so this comes before them.
pub(in crate::store) async fn erase_deleted(
    connection: &mut SqliteConnection,
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
    connection: &mut SqliteConnection,
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
    let Ok(known) = DataKeys::load(stored, &master) else {
        bail!(
            "its data keys were changed, or are sealed with another master key; restore it from a backup"
        );
    };
    let sealer = Sealer::new(keys, known);
    match (keys.policy, recognised) {
        (SealPolicy::Keys, None) => {
            let sql = "INSERT INTO master_key (one, proof, is_complete) VALUES (1, $1, 0)";
            let query = sqlx::query(sql).bind(master.seal(BY_MASTER_KEY, &proof_binding(), b""));
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
    connection: &mut SqliteConnection,
    keys: Option<&MasterKeys>,
) -> Result<Option<Recognised>> {
    let sql = "SELECT proof, is_complete FROM master_key";
    let Some(row) = sqlx::query(sql).fetch_optional(connection).await? else {
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
    connection: &mut SqliteConnection,
    old: &MasterKey,
    new: &EnvelopeKey,
) -> Result<()> {
    let old = EnvelopeKey::new(old.bytes());
    let mut transaction = connection.begin().await?;
    let stored = data_keys::load_keys(&mut transaction).await?;
    let count = stored.len();
    let rewrapped = stored
        .into_iter()
        .map(|key| data_keys::rewrap_key(key, &old, new))
        .collect::<Option<Vec<_>>>()
        .context("its data keys were changed; restore it from a backup")?;
    data_keys::insert_keys(&mut transaction, &rewrapped).await?;
    let sql = "UPDATE master_key SET proof = $1";
    let query = sqlx::query(sql).bind(new.seal(BY_MASTER_KEY, &proof_binding(), b""));
    query.execute(&mut *transaction).await?;
    transaction.commit().await?;
    tracing::info!(data_keys = count, "the database has the new master key");
    // Copies that the former key opens would stay in it. A program that reads keeps them there for a
    // while longer.
    empty_log(connection).await.map(drop)
}

async fn seal_all(connection: &mut SqliteConnection, sealer: &Sealer) -> Result<()> {
    let rewritten = rows::rewrite_rows(connection, sealer)
        .await
        .context("sealing its keys")?;
    connection.execute("PRAGMA incremental_vacuum").await?;
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
    tracing::info!(
        values = rewritten.values,
        "sealed the keys in the database; what it had before may have left traces in free parts of the file, which \
         VACUUM removes: docs/operations/encryption.md"
    );
    Ok(())
}

/// Takes the seal off all rows. The master key stays until the files have followed.
async fn unseal_all(connection: &mut SqliteConnection, sealer: &Sealer) -> Result<()> {
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
    Ok(())
}

/// Empties the write-ahead log, which has pages as they were. Returns whether it is empty: a program
/// that reads the database keeps it.
async fn empty_log(connection: &mut SqliteConnection) -> Result<bool> {
    let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(connection)
        .await?;
    let is_busy: i64 = row.try_get("busy")?;
    Ok(is_busy == 0)
}
