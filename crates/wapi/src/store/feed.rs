//! What happened, to be read from any point on.

use sqlx::sqlite::{Sqlite, SqlitePool};
use sqlx::{QueryBuilder, Row};

use super::{Store, StoreError};

/// What a reader wants to see. Empty lists stand for everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub types: Vec<String>,
    pub session: Option<String>,
}

/// An event as it was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Its place among all events; never goes backwards.
    pub seq: i64,
    pub id: String,
    /// The envelope as JSON.
    pub body: String,
}

impl Store {
    /// Up to `limit` events after a place, oldest first, and the place to go on from: that of the last one, or, when there are no more,
    /// that of the newest event of any kind.
    pub async fn events_after(&self, seq: i64, wanted: &Wanted, limit: usize) -> Result<(Vec<Saved>, i64), StoreError> {
        // Asked first: what comes in between is found the next time.
        let newest = newest(&self.readers).await?;
        let events = after(&self.readers, seq, wanted, limit).await?;
        let next = match events.last() {
            Some(last) if events.len() == limit => last.seq,
            Some(last) => last.seq.max(newest),
            None => seq.max(newest),
        };
        Ok((events, next))
    }
}

/// Up to `limit` events after `seq`, oldest first.
async fn after(pool: &SqlitePool, seq: i64, wanted: &Wanted, limit: usize) -> Result<Vec<Saved>, sqlx::Error> {
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT seq, id, body FROM events WHERE seq > ");
    sql.push_bind(seq);
    if let Some(session) = &wanted.session {
        sql.push(" AND session = ").push_bind(session);
    }
    if !wanted.types.is_empty() {
        sql.push(" AND type IN ");
        sql.push_tuples(&wanted.types, |mut row, name| {
            row.push_bind(name);
        });
    }
    sql.push(" ORDER BY seq LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let rows = sql.build().fetch_all(pool).await?;
    let saved = |row: &sqlx::sqlite::SqliteRow| Saved { seq: row.get("seq"), id: row.get("id"), body: row.get("body") };
    Ok(rows.iter().map(saved).collect())
}

/// The place of the newest event; 0 when there is none.
async fn newest(pool: &SqlitePool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT COALESCE(max(seq), 0) FROM events").fetch_one(pool).await
}
