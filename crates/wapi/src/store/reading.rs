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
    /// Up to `limit` events after a place, oldest first, and the place up to which there are no others. Costs those who follow the feed
    /// nothing.
    pub async fn events_after(&self, seq: i64, wanted: &Wanted, limit: usize) -> Result<(Vec<Saved>, i64), StoreError> {
        // Asked first: what comes in between is found the next time.
        let newest = feed::newest(&self.browsers).await?;
        let events = feed::after(&self.browsers, seq, wanted, &self.lives, limit).await?;
        let place = match events.last() {
            Some(last) if events.len() == limit => last.seq,
            Some(last) => last.seq.max(newest),
            None => newest,
        };
        Ok((events, place))
    }

    /// What these messages said, by session and id, of those that were sent through here.
    pub async fn sent_contents(
        &self,
        messages: &[(Life, String)],
    ) -> Result<HashMap<(i64, String), Message>, StoreError> {
        if messages.is_empty() {
            return Ok(HashMap::new());
        }
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT session, id, content FROM messages WHERE (session, id) IN (");
        sql.push_values(messages, |mut row, (session, id)| {
            row.push_bind(session.id()).push_bind(id);
        });
        let rows = sql.push(")").build().fetch_all(&self.browsers).await?;
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
    pub(super) async fn removable_before(&self, before: Timestamp) -> Result<Timestamp, StoreError> {
        let sql = "SELECT created_at FROM events WHERE seq > $1 ORDER BY seq LIMIT 1";
        let query = sqlx::query_scalar(sql).bind(self.removable());
        let oldest: Option<i64> = query.fetch_optional(&self.browsers).await?;
        Ok(oldest.map_or(before, |oldest| time(oldest).min(before)))
    }
}
