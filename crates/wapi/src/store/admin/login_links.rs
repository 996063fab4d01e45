//! One-time links to the dashboard: a hash of each, and whether it was used up.

use jiff::Timestamp;

use crate::store::db::{self, Connection};
use crate::store::writer::StoreChange;
use crate::store::{LoginHash, LoginStore, StoreError};

impl LoginStore<'_> {
    /// Adds the link of a gateway that nobody has logged in to, in the place of one that was not
    /// used. Returns false, and adds none, if somebody has logged in.
    pub async fn add_first_link(
        self,
        hash: LoginHash,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.store
            .writer
            .apply_change(AddFirstLink { hash, expires_at })
            .await
    }

    /// Uses a link up. Returns false if there is none, or if it was used or has expired.
    pub async fn use_link(self, hash: LoginHash) -> Result<bool, StoreError> {
        self.store.writer.apply_change(UseLink { hash }).await
    }
}

struct AddFirstLink {
    hash: LoginHash,
    expires_at: Timestamp,
}

impl StoreChange for AddFirstLink {
    type Answer = bool;

    fn concerns_deliveries(_: &bool) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<bool, db::Error> {
        db::query("DELETE FROM login_links WHERE used_at IS NULL")
            .execute(&mut *connection)
            .await?;
        let sql = "INSERT INTO login_links (hash, created_at, expires_at) SELECT $1, $2, $3 \
                   WHERE NOT EXISTS (SELECT 1 FROM login_links) AND NOT EXISTS (SELECT 1 FROM logins)";
        let query = db::query(sql)
            .bind(&self.hash[..])
            .bind(now.as_millisecond())
            .bind(self.expires_at.as_millisecond());
        Ok(query.execute(connection).await?.rows_affected() > 0)
    }
}

struct UseLink {
    hash: LoginHash,
}

impl StoreChange for UseLink {
    type Answer = bool;

    fn concerns_deliveries(_: &bool) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<bool, db::Error> {
        let sql = "UPDATE login_links SET used_at = $1 WHERE hash = $2 AND used_at IS NULL AND expires_at > $1";
        let query = db::query(sql)
            .bind(now.as_millisecond())
            .bind(&self.hash[..]);
        Ok(query.execute(connection).await?.rows_affected() > 0)
    }
}
