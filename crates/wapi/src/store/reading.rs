//! Reads events for whoever keeps something of them elsewhere, and keeps the events until they were read.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{QueryBuilder, Row};

use super::feed::{self, Saved, Wanted};
use super::{Life, Store, StoreError, time};
use crate::message::Message;

impl Store {
    /// Up to `limit` events after a place, oldest first, the place up to which there are no others, and whether this was all there was.
    /// Costs those who follow the feed nothing.
    pub async fn events_after(
        &self,
        seq: i64,
        wanted: &Wanted,
        limit: usize,
    ) -> Result<(Vec<Saved>, i64, bool), StoreError> {
        let mut connection = self.chores.acquire().await?;
        let page = feed::after(&mut connection, seq, wanted, &self.lives, limit).await?;
        Ok((page.events, page.upto, page.is_last))
    }

    /// What these messages said, by session and id, of those that were sent through here.
    pub async fn sent_contents(
        &self,
        messages: &[(Life, String)],
    ) -> Result<HashMap<(i64, String), Message>, StoreError> {
        if messages.is_empty() {
            return Ok(HashMap::new());
        }
        let mut sql = QueryBuilder::<Sqlite>::new(
            "SELECT session, id, content FROM messages WHERE (session, id) IN (",
        );
        sql.push_values(messages, |mut row, (session, id)| {
            row.push_bind(session.id()).push_bind(id);
        });
        let rows = sql.push(")").build().fetch_all(&self.chores).await?;
        let content = |row: &SqliteRow| {
            let message = serde_json::from_str(row.get("content")).ok()?;
            Some(((row.get("session"), row.get("id")), message))
        };
        Ok(rows.iter().filter_map(content).collect())
    }

    /// From now on no event after this place is removed, and nothing those events are about.
    pub fn hold_after(&self, seq: i64) {
        self.held.store(seq, Ordering::Release);
    }

    /// Up to which place events may be removed.
    pub(super) fn removable(&self) -> i64 {
        self.held.load(Ordering::Acquire)
    }

    /// What was settled before this may be removed: of events that are held, none is older.
    pub(super) async fn removable_before(
        &self,
        before: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let sql = "SELECT created_at FROM events WHERE seq > $1 ORDER BY seq LIMIT 1";
        let query = sqlx::query_scalar(sql).bind(self.removable());
        let oldest: Option<i64> = query.fetch_optional(&self.chores).await?;
        Ok(oldest.map_or(before, |oldest| time(oldest).min(before)))
    }
}
