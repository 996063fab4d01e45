//! Connect links: their metadata, and a hash of each token.

use jiff::Timestamp;

use crate::store::db::{self, Connection, Row};
use crate::store::writer::StoreChange;
use crate::store::{ConnectLinkStore, StoreError, to_timestamp};

/// SHA-256 of a token.
pub type ConnectTokenHash = [u8; 32];

/// How long a link is listed after it has expired, in milliseconds.
const LISTED_MS: i64 = 30 * 24 * 3600 * 1000;

/// A link with which the owner of a phone links one session, without its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectLink {
    pub id: String,
    pub session: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// When a phone linked the session.
    pub used_at: Option<Timestamp>,
}

impl ConnectLinkStore<'_> {
    /// Saves a link, and forgets those that expired long ago.
    pub async fn add_connect_link(
        self,
        link: ConnectLink,
        hash: ConnectTokenHash,
    ) -> Result<(), StoreError> {
        let writer = &self.store.writer;
        writer.apply_change(AddConnectLink { link, hash }).await
    }

    /// Returns the links of a session, oldest first.
    pub async fn list_connect_links(self, session: &str) -> Result<Vec<ConnectLink>, StoreError> {
        let sql = "SELECT * FROM connect_links WHERE session = $1 ORDER BY created_at, id";
        let rows = db::query(sql)
            .bind(session)
            .fetch_all(&self.store.readers)
            .await?;
        Ok(rows.iter().map(link_from_row).collect())
    }

    /// Returns the link with this token.
    pub async fn find_connect_link(
        self,
        hash: ConnectTokenHash,
    ) -> Result<Option<ConnectLink>, StoreError> {
        let row = db::query("SELECT * FROM connect_links WHERE hash = $1")
            .bind(&hash[..])
            .fetch_optional(&self.store.readers)
            .await?;
        Ok(row.as_ref().map(link_from_row))
    }

    /// Removes a link of a session. Returns whether there was one.
    pub async fn remove_connect_link(self, session: &str, id: &str) -> Result<bool, StoreError> {
        let (session, id) = (session.to_owned(), id.to_owned());
        let writer = &self.store.writer;
        writer.apply_change(RemoveConnectLink { session, id }).await
    }

    /// Records that a phone has linked the session, which ends the links created until then. A
    /// session without open links costs no write.
    pub async fn use_connect_links(
        self,
        session: &str,
        linked_at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "SELECT 1 FROM connect_links WHERE session = $1 AND used_at IS NULL";
        let open = db::query(sql).bind(session);
        if open.fetch_optional(&self.store.readers).await?.is_none() {
            return Ok(());
        }
        let session = session.to_owned();
        let writer = &self.store.writer;
        writer
            .apply_change(UseConnectLinks { session, linked_at })
            .await
    }
}

fn link_from_row(row: &Row) -> ConnectLink {
    ConnectLink {
        id: row.get("id"),
        session: row.get("session"),
        created_at: to_timestamp(row.get("created_at")),
        expires_at: to_timestamp(row.get("expires_at")),
        used_at: row.get::<Option<i64>, _>("used_at").map(to_timestamp),
    }
}

struct AddConnectLink {
    link: ConnectLink,
    hash: ConnectTokenHash,
}

impl StoreChange for AddConnectLink {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<(), db::Error> {
        db::query("DELETE FROM connect_links WHERE expires_at < $1")
            .bind(now.as_millisecond() - LISTED_MS)
            .execute(&mut *connection)
            .await?;
        let sql = "INSERT INTO connect_links (id, hash, session, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)";
        db::query(sql)
            .bind(&self.link.id)
            .bind(&self.hash[..])
            .bind(&self.link.session)
            .bind(self.link.created_at.as_millisecond())
            .bind(self.link.expires_at.as_millisecond())
            .execute(connection)
            .await
            .map(drop)
    }
}

struct RemoveConnectLink {
    session: String,
    id: String,
}

impl StoreChange for RemoveConnectLink {
    type Answer = bool;

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<bool, db::Error> {
        let sql = "DELETE FROM connect_links WHERE session = $1 AND id = $2";
        let removed = db::query(sql)
            .bind(&self.session)
            .bind(&self.id)
            .execute(connection)
            .await?;
        Ok(removed.rows_affected() > 0)
    }
}

struct UseConnectLinks {
    session: String,
    linked_at: Timestamp,
}

impl StoreChange for UseConnectLinks {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        let sql = "UPDATE connect_links SET used_at = $1 \
                   WHERE session = $2 AND used_at IS NULL AND expires_at > $1 AND created_at <= $1";
        db::query(sql)
            .bind(self.linked_at.as_millisecond())
            .bind(&self.session)
            .execute(connection)
            .await
            .map(drop)
    }
}
