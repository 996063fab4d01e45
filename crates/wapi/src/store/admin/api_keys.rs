//! API keys: their metadata, and a hash of each.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::model::access::KeyAccess;
use crate::store::db::{self, Connection, Row};
use crate::store::events::reported::ReportedChange;
use crate::store::writer::StoreChange;
use crate::store::{AccessSince, ApiKeyStore, NewEvent, StoreError, to_timestamp};

/// SHA-256 of a key.
pub type ApiKeyHash = [u8; 32];

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub id: String,
    /// The last characters of the key.
    pub hint: String,
    pub name: String,
    pub rights: KeyAccess,
    /// The life since when the key covers each of its sessions; `None`: it was never recorded.
    pub since: Option<BTreeMap<String, AccessSince>>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

impl ApiKeyStore<'_> {
    /// Returns all keys, oldest first.
    pub async fn list_api_keys(self) -> Result<Vec<ApiKey>, StoreError> {
        Ok(self
            .list_hashed_api_keys()
            .await?
            .into_iter()
            .map(|(_, key)| key)
            .collect())
    }

    /// Returns all keys with their hashes, oldest first.
    pub async fn list_hashed_api_keys(self) -> Result<Vec<(ApiKeyHash, ApiKey)>, StoreError> {
        let rows = db::query("SELECT * FROM api_keys ORDER BY created_at, id")
            .fetch_all(&self.store.readers)
            .await?;
        rows.iter()
            .map(|row| Ok((hash_from_row(row)?, key_from_row(row)?)))
            .collect()
    }

    /// Adds a key. This and the removal record the event that reports them, if one is given.
    pub async fn add_api_key(
        self,
        key: ApiKey,
        hash: ApiKeyHash,
        event: Option<NewEvent>,
    ) -> Result<(), StoreError> {
        let change = AddApiKey { key, hash };
        self.store
            .writer
            .apply_change(ReportedChange { change, event })
            .await
    }

    pub async fn remove_api_key(self, id: &str, event: Option<NewEvent>) -> Result<(), StoreError> {
        let change = RemoveApiKey { id: id.to_owned() };
        self.store
            .writer
            .apply_change(ReportedChange { change, event })
            .await
    }

    /// Records the lives since when a key covers its sessions.
    pub async fn set_api_key_lives(
        self,
        id: &str,
        since: BTreeMap<String, AccessSince>,
    ) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(SetApiKeyLives {
                id: id.to_owned(),
                since,
            })
            .await
    }

    /// Saves the times when keys were last used; keys that no longer exist are skipped.
    pub async fn record_api_key_uses(
        self,
        uses: Vec<(String, Timestamp)>,
    ) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(RecordApiKeyUses { uses })
            .await
    }
}

fn hash_from_row(row: &Row) -> Result<ApiKeyHash, StoreError> {
    row.get::<Vec<u8>, _>("hash")
        .try_into()
        .map_err(|_| StoreError("the hash of a key has another length".into()))
}

fn key_from_row(row: &Row) -> Result<ApiKey, StoreError> {
    let unreadable =
        |error| StoreError(format!("the sessions of a key cannot be read: {error}").into());
    let sessions = row.get::<Option<&str>, _>("sessions");
    // Scopes that an older program does not know are not granted.
    let scopes = row
        .get::<&str, _>("scopes")
        .split(',')
        .filter_map(|word| word.parse().ok())
        .collect();
    Ok(ApiKey {
        id: row.get("id"),
        hint: row.get("hint"),
        name: row.get("name"),
        rights: KeyAccess {
            scopes,
            sessions: sessions
                .map(serde_json::from_str)
                .transpose()
                .map_err(unreadable)?,
        },
        since: row
            .get::<Option<&str>, _>("lives")
            .map(since_from_json)
            .transpose()
            .map_err(unreadable)?,
        created_at: to_timestamp(row.get("created_at")),
        expires_at: row.get::<Option<i64>, _>("expires_at").map(to_timestamp),
        last_used_at: row.get::<Option<i64>, _>("last_used_at").map(to_timestamp),
    })
}

/// Serializes a life as its number, and `After(n)` as the negative number `-1 - n`.
fn since_to_json(since: &BTreeMap<String, AccessSince>) -> String {
    let number = |since: &AccessSince| match since {
        AccessSince::Always => None,
        AccessSince::Life(life) => Some(*life),
        AccessSince::After(newest) => Some(-1 - *newest),
    };
    let numbers: BTreeMap<&str, Option<i64>> = since
        .iter()
        .map(|(name, since)| (name.as_str(), number(since)))
        .collect();
    serde_json::to_string(&numbers).expect("names and numbers are JSON")
}

fn since_from_json(text: &str) -> Result<BTreeMap<String, AccessSince>, serde_json::Error> {
    let since = |number: Option<i64>| match number {
        None => AccessSince::Always,
        Some(number @ 0..) => AccessSince::Life(number),
        Some(number) => AccessSince::After(-1 - number),
    };
    let numbers: BTreeMap<String, Option<i64>> = serde_json::from_str(text)?;
    Ok(numbers
        .into_iter()
        .map(|(name, number)| (name, since(number)))
        .collect())
}

struct SetApiKeyLives {
    id: String,
    since: BTreeMap<String, AccessSince>,
}

impl StoreChange for SetApiKeyLives {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        let sql = db::query("UPDATE api_keys SET lives = $1 WHERE id = $2")
            .bind(since_to_json(&self.since))
            .bind(&self.id);
        sql.execute(connection).await.map(drop)
    }
}

struct AddApiKey {
    key: ApiKey,
    hash: ApiKeyHash,
}

impl StoreChange for AddApiKey {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        let sql = "INSERT INTO api_keys (id, hash, hint, name, scopes, sessions, created_at, expires_at, lives) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let ApiKey {
            id,
            hint,
            name,
            rights,
            since,
            created_at,
            expires_at,
            ..
        } = &self.key;
        let scopes: Vec<_> = rights.scopes.iter().map(|scope| scope.into_str()).collect();
        let json = |names: &BTreeSet<String>| {
            serde_json::to_string(names).expect("a list of texts is JSON")
        };
        let query = db::query(sql)
            .bind(id)
            .bind(&self.hash[..])
            .bind(hint)
            .bind(name)
            .bind(scopes.join(","));
        let query = query
            .bind(rights.sessions.as_ref().map(json))
            .bind(created_at.as_millisecond());
        query
            .bind(expires_at.map(Timestamp::as_millisecond))
            .bind(since.as_ref().map(since_to_json))
            .execute(connection)
            .await?;
        Ok(())
    }
}

struct RemoveApiKey {
    id: String,
}

impl StoreChange for RemoveApiKey {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        db::query("DELETE FROM api_keys WHERE id = $1")
            .bind(&self.id)
            .execute(connection)
            .await?;
        Ok(())
    }
}

struct RecordApiKeyUses {
    uses: Vec<(String, Timestamp)>,
}

impl StoreChange for RecordApiKeyUses {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        for (id, at) in &self.uses {
            let sql = db::query("UPDATE api_keys SET last_used_at = $1 WHERE id = $2")
                .bind(at.as_millisecond());
            sql.bind(id).execute(&mut *connection).await?;
        }
        Ok(())
    }
}
