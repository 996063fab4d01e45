//! API keys: their metadata, and a hash of each.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::writer::Change;
use super::{Since, Store, StoreError, time};
use crate::keys::{Rights, Scope};

/// SHA-256 of a key.
pub type KeyHash = [u8; 32];

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub id: String,
    /// The last characters of the key.
    pub hint: String,
    pub name: String,
    pub rights: Rights,
    /// The life since when the key covers each of its sessions; `None`: it was never recorded.
    pub since: Option<BTreeMap<String, Since>>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

impl Store {
    /// Returns all keys, oldest first.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        Ok(self
            .api_keys_by_hash()
            .await?
            .into_iter()
            .map(|(_, key)| key)
            .collect())
    }

    /// Returns all keys with their hashes, oldest first.
    pub async fn api_keys_by_hash(&self) -> Result<Vec<(KeyHash, ApiKey)>, StoreError> {
        let rows = sqlx::query("SELECT * FROM api_keys ORDER BY created_at, id")
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| Ok((hash(row)?, key(row)?))).collect()
    }

    pub async fn add_api_key(&self, key: ApiKey, hash: KeyHash) -> Result<(), StoreError> {
        self.writer.change(Add { key, hash }).await
    }

    pub async fn remove_api_key(&self, id: &str) -> Result<(), StoreError> {
        self.writer.change(Remove { id: id.to_owned() }).await
    }

    /// Records the lives since when a key covers its sessions.
    pub async fn set_api_key_lives(
        &self,
        id: &str,
        since: BTreeMap<String, Since>,
    ) -> Result<(), StoreError> {
        self.writer
            .change(SetLives {
                id: id.to_owned(),
                since,
            })
            .await
    }

    /// Saves the times when keys were last used; keys that no longer exist are skipped.
    pub async fn note_api_key_uses(
        &self,
        uses: Vec<(String, Timestamp)>,
    ) -> Result<(), StoreError> {
        self.writer.change(NoteUses { uses }).await
    }
}

fn hash(row: &SqliteRow) -> Result<KeyHash, StoreError> {
    row.get::<Vec<u8>, _>("hash")
        .try_into()
        .map_err(|_| StoreError("the hash of a key has another length".into()))
}

fn key(row: &SqliteRow) -> Result<ApiKey, StoreError> {
    let unreadable =
        |error| StoreError(format!("the sessions of a key cannot be read: {error}").into());
    let sessions = row.get::<Option<&str>, _>("sessions");
    // Scopes that an older program does not know are not granted.
    let scopes = row
        .get::<&str, _>("scopes")
        .split(',')
        .filter_map(Scope::parse)
        .collect();
    Ok(ApiKey {
        id: row.get("id"),
        hint: row.get("hint"),
        name: row.get("name"),
        rights: Rights {
            scopes,
            sessions: sessions
                .map(serde_json::from_str)
                .transpose()
                .map_err(unreadable)?,
        },
        since: row
            .get::<Option<&str>, _>("lives")
            .map(dated)
            .transpose()
            .map_err(unreadable)?,
        created_at: time(row.get("created_at")),
        expires_at: row.get::<Option<i64>, _>("expires_at").map(time),
        last_used_at: row.get::<Option<i64>, _>("last_used_at").map(time),
    })
}

/// Serializes a life as its number, and `After(n)` as the negative number `-1 - n`.
fn written(since: &BTreeMap<String, Since>) -> String {
    let number = |since: &Since| match since {
        Since::Ever => None,
        Since::Life(life) => Some(*life),
        Since::After(newest) => Some(-1 - *newest),
    };
    let numbers: BTreeMap<&str, Option<i64>> = since
        .iter()
        .map(|(name, since)| (name.as_str(), number(since)))
        .collect();
    serde_json::to_string(&numbers).expect("names and numbers are JSON")
}

fn dated(text: &str) -> Result<BTreeMap<String, Since>, serde_json::Error> {
    let since = |number: Option<i64>| match number {
        None => Since::Ever,
        Some(number @ 0..) => Since::Life(number),
        Some(number) => Since::After(-1 - number),
    };
    let numbers: BTreeMap<String, Option<i64>> = serde_json::from_str(text)?;
    Ok(numbers
        .into_iter()
        .map(|(name, number)| (name, since(number)))
        .collect())
}

struct SetLives {
    id: String,
    since: BTreeMap<String, Since>,
}

impl Change for SetLives {
    type Answer = ();

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        _: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let sql = sqlx::query("UPDATE api_keys SET lives = $1 WHERE id = $2")
            .bind(written(&self.since))
            .bind(&self.id);
        sql.execute(connection).await.map(drop)
    }
}

struct Add {
    key: ApiKey,
    hash: KeyHash,
}

impl Change for Add {
    type Answer = ();

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        _: Timestamp,
    ) -> Result<(), sqlx::Error> {
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
        let scopes: Vec<_> = rights.scopes.iter().map(|scope| scope.word()).collect();
        let json = |names: &BTreeSet<String>| {
            serde_json::to_string(names).expect("a list of texts is JSON")
        };
        let query = sqlx::query(sql)
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
            .bind(since.as_ref().map(written))
            .execute(connection)
            .await?;
        Ok(())
    }
}

struct Remove {
    id: String,
}

impl Change for Remove {
    type Answer = ();

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        _: Timestamp,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM api_keys WHERE id = $1")
            .bind(&self.id)
            .execute(connection)
            .await?;
        Ok(())
    }
}

struct NoteUses {
    uses: Vec<(String, Timestamp)>,
}

impl Change for NoteUses {
    type Answer = ();

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        _: Timestamp,
    ) -> Result<(), sqlx::Error> {
        for (id, at) in &self.uses {
            let sql = sqlx::query("UPDATE api_keys SET last_used_at = $1 WHERE id = $2")
                .bind(at.as_millisecond());
            sql.bind(id).execute(&mut *connection).await?;
        }
        Ok(())
    }
}
