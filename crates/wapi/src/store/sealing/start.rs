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

/// The master key, as the database knows it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Recognised {
    /// The database has never been sealed, or is not any more.
    Unknown,
    Current {
        is_complete: bool,
    },
    /// By its former key.
    Old,
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
    match (recognised, &keys.old) {
        (Recognised::Old, Some(old)) => change_master_key(connection, old, &master).await?,
        (Recognised::Unknown, _) if keys.policy == SealPolicy::Keys => {
            let sql = "INSERT INTO master_key (one, proof, is_complete) VALUES (1, $1, 0)";
            let query = sqlx::query(sql).bind(master.seal(BY_MASTER_KEY, &proof_binding(), b""));
            query.execute(&mut *connection).await?;
        }
        _ => {}
    }
    let stored = data_keys::load_keys(connection).await?;
    let Ok(known) = DataKeys::load(stored, &master) else {
        bail!("its data keys were changed; restore it from a backup");
    };
    let sealer = Sealer::new(keys, known);
    match (keys.policy, recognised) {
        (SealPolicy::Keys, Recognised::Current { is_complete: true }) => {}
        (SealPolicy::Keys, _) => seal_all(connection, &sealer).await?,
        (SealPolicy::Unseal, Recognised::Unknown) => {}
        (SealPolicy::Unseal, _) => unseal_all(connection, &sealer).await?,
    }
    Ok(sealer)
}

async fn recognise(
    connection: &mut SqliteConnection,
    keys: Option<&MasterKeys>,
) -> Result<Recognised> {
    let sql = "SELECT proof, is_complete FROM master_key";
    let Some(row) = sqlx::query(sql).fetch_optional(connection).await? else {
        return Ok(Recognised::Unknown);
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
    if is_right(&keys.current) {
        let is_complete = row.get::<i64, _>("is_complete") == 1;
        return Ok(Recognised::Current { is_complete });
    }
    match &keys.old {
        Some(old) if is_right(old) => Ok(Recognised::Old),
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
    tracing::info!(
        data_keys = count,
        "the database has the new master key; the former one is no longer needed for it"
    );
    Ok(())
}

async fn seal_all(connection: &mut SqliteConnection, sealer: &Sealer) -> Result<()> {
    // Plain values must not stay behind in the free space of the file.
    let setting: i64 = sqlx::query_scalar("PRAGMA secure_delete")
        .fetch_one(&mut *connection)
        .await?;
    connection.execute("PRAGMA secure_delete = ON").await?;
    let count = rows::rewrite_rows(connection, sealer)
        .await
        .context("sealing its keys")?;
    connection
        .execute("UPDATE master_key SET is_complete = 1")
        .await?;
    // A pragma takes no parameters; the number is not user input.
    let setting = sqlx::AssertSqlSafe(format!("PRAGMA secure_delete = {setting}"));
    connection.execute(setting).await?;
    if count > 0 {
        connection.execute("PRAGMA incremental_vacuum").await?;
        tracing::info!(values = count, "sealed the keys in the database");
    }
    empty_log(connection).await
}

async fn unseal_all(connection: &mut SqliteConnection, sealer: &Sealer) -> Result<()> {
    // If this is interrupted and not wanted any more, what is plain is sealed again.
    connection
        .execute("UPDATE master_key SET is_complete = 0")
        .await?;
    let count = rows::rewrite_rows(connection, sealer)
        .await
        .context("taking the seal off its keys")?;
    let mut transaction = connection.begin().await?;
    transaction.execute("DELETE FROM data_keys").await?;
    transaction.execute("DELETE FROM master_key").await?;
    transaction.commit().await?;
    tracing::info!(
        values = count,
        "took the seal off the keys in the database; the master key is no longer needed for it"
    );
    Ok(())
}

/// Empties the write-ahead log, which has pages as they were.
async fn empty_log(connection: &mut SqliteConnection) -> Result<()> {
    connection
        .execute("PRAGMA wal_checkpoint(TRUNCATE)")
        .await?;
    Ok(())
}
