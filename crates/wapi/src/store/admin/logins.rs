//! Logins of the dashboard: a hash of each cookie, and the key that it stands for.

use jiff::Timestamp;

use crate::store::db::{self, Connection, Row};
use crate::store::writer::StoreChange;
use crate::store::{LoginStore, StoreError, to_timestamp};

/// SHA-256 of a login's token, and of the token together with its key's hash.
pub type LoginHash = [u8; 32];

/// A login, without its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLogin {
    /// Id of the key that was shown.
    pub key_id: String,
    /// Hash of the token and the key's hash: it fits no other key.
    pub binding: LoginHash,
    pub created_at: Timestamp,
    /// When the key was typed last; the beginning of time if it never was.
    pub shown_at: Timestamp,
    /// Accurate to the minute.
    pub seen_at: Timestamp,
}

impl LoginStore<'_> {
    pub async fn find_login(self, hash: &LoginHash) -> Result<Option<StoredLogin>, StoreError> {
        let row = db::query("SELECT * FROM logins WHERE hash = $1")
            .bind(&hash[..])
            .fetch_optional(&self.store.readers)
            .await?;
        row.as_ref().map(login_from_row).transpose()
    }

    /// Returns the part of cookies' names that distinguishes this gateway's.
    pub async fn load_cookie_mark(self) -> Result<String, StoreError> {
        let mark = db::query_scalar("SELECT mark FROM cookie_mark");
        Ok(mark.fetch_one(&self.store.readers).await?)
    }

    /// Saves a login, and forgets those that were created or seen last before these times.
    pub async fn add_login(
        self,
        hash: LoginHash,
        login: StoredLogin,
        created_before: Timestamp,
        seen_before: Timestamp,
    ) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(AddLogin {
                hash,
                login,
                created_before,
                seen_before,
            })
            .await
    }

    /// Records that a login was used.
    pub async fn record_login_use(self, hash: LoginHash, at: Timestamp) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(RecordLoginTime {
                sql: "UPDATE logins SET seen_at = $1 WHERE hash = $2",
                hash,
                at,
            })
            .await
    }

    /// Records that the key of a login was typed again.
    pub async fn record_shown_key(self, hash: LoginHash, at: Timestamp) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(RecordLoginTime {
                sql: "UPDATE logins SET shown_at = $1 WHERE hash = $2",
                hash,
                at,
            })
            .await
    }

    pub async fn remove_login(self, hash: LoginHash) -> Result<(), StoreError> {
        self.store.writer.apply_change(RemoveLogin { hash }).await
    }
}

fn login_from_row(row: &Row) -> Result<StoredLogin, StoreError> {
    let binding = row.get::<Vec<u8>, _>("binding").try_into();
    Ok(StoredLogin {
        key_id: row.get("key_id"),
        binding: binding
            .map_err(|_| StoreError("the binding of a login has another length".into()))?,
        created_at: to_timestamp(row.get("created_at")),
        shown_at: to_timestamp(
            row.get::<Option<i64>, _>("shown_at")
                .unwrap_or_else(|| row.get("created_at")),
        ),
        seen_at: to_timestamp(row.get("seen_at")),
    })
}

struct AddLogin {
    hash: LoginHash,
    login: StoredLogin,
    created_before: Timestamp,
    seen_before: Timestamp,
}

impl StoreChange for AddLogin {
    type Answer = ();

    fn concerns_deliveries(_: &()) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<(), db::Error> {
        // Somebody has entered: no link is needed any more, now or after this login has ended.
        db::query("UPDATE login_links SET used_at = $1 WHERE used_at IS NULL")
            .bind(now.as_millisecond())
            .execute(&mut *connection)
            .await?;
        db::query("DELETE FROM logins WHERE created_at < $1 OR seen_at < $2")
            .bind(self.created_before.as_millisecond())
            .bind(self.seen_before.as_millisecond())
            .execute(&mut *connection)
            .await?;
        let sql = "INSERT INTO logins (hash, key_id, binding, created_at, seen_at, shown_at) \
                   VALUES ($1, $2, $3, $4, $5, $6)";
        db::query(sql)
            .bind(&self.hash[..])
            .bind(&self.login.key_id)
            .bind(&self.login.binding[..])
            .bind(self.login.created_at.as_millisecond())
            .bind(self.login.seen_at.as_millisecond())
            .bind(self.login.shown_at.as_millisecond())
            .execute(connection)
            .await
            .map(drop)
    }
}

/// Sets a time of a login.
struct RecordLoginTime {
    sql: &'static str,
    hash: LoginHash,
    at: Timestamp,
}

impl StoreChange for RecordLoginTime {
    type Answer = ();

    fn concerns_deliveries(_: &()) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        db::query(self.sql)
            .bind(self.at.as_millisecond())
            .bind(&self.hash[..])
            .execute(connection)
            .await
            .map(drop)
    }
}

struct RemoveLogin {
    hash: LoginHash,
}

impl StoreChange for RemoveLogin {
    type Answer = ();

    fn concerns_deliveries(_: &()) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        db::query("DELETE FROM logins WHERE hash = $1")
            .bind(&self.hash[..])
            .execute(connection)
            .await
            .map(drop)
    }
}
