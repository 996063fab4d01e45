//! Event reader for projections of the log, which holds events back from removal until they are
//! read.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::feed::{self, EventFilter, StoredEvent};
use crate::model::message::Message;
use crate::store::db::{self, QueryBuilder, Row};
use crate::store::{EventStore, Life, StoreError, to_timestamp};

impl EventStore<'_> {
    /// Returns up to `limit` events after a position, oldest first, the position up to which there
    /// are no others, and whether these are all. Uses no connections of the feed; recent events are
    /// in memory.
    pub async fn read_events_after(
        self,
        seq: i64,
        wanted: &EventFilter,
        limit: usize,
    ) -> Result<(Vec<Arc<StoredEvent>>, i64, bool), StoreError> {
        let recent = self
            .store
            .recent
            .find_events_after(seq, wanted, &self.store.lives, limit);
        if let Some((events, upto)) = recent {
            let is_last = events.len() < limit;
            return Ok((events, upto, is_last));
        }
        let mut connection = self.store.background.acquire().await?;
        let page =
            feed::read_page_after(&mut connection, seq, wanted, &self.store.lives, limit).await?;
        let events = page.events.into_iter().map(Arc::new).collect();
        Ok((events, page.upto, page.is_last))
    }

    /// Returns the contents of those of these messages that were sent through the gateway, by
    /// session and id.
    pub async fn find_sent_contents(
        self,
        messages: &[(Life, String)],
    ) -> Result<HashMap<(i64, String), Message>, StoreError> {
        if messages.is_empty() {
            return Ok(HashMap::new());
        }
        let mut sql =
            QueryBuilder::new("SELECT session, id, content FROM messages WHERE (session, id) IN (");
        sql.push_values(messages, |mut row, (session, id)| {
            row.push_bind(session.id()).push_bind(id);
        });
        let rows = sql
            .push(")")
            .build()
            .fetch_all(&self.store.background)
            .await?;
        let content = |row: &Row| {
            let message = serde_json::from_str(row.get("content")).ok()?;
            Some(((row.get("session"), row.get("id")), message))
        };
        Ok(rows.iter().filter_map(content).collect())
    }

    /// Keeps the events after this position, and the data they refer to, from being removed.
    pub fn hold_events_after(self, seq: i64) {
        self.store.held_after.store(seq, Ordering::Release);
    }

    /// Returns the position up to which events may be removed.
    pub(in crate::store) fn removable_position(self) -> i64 {
        self.store.held_after.load(Ordering::Acquire)
    }

    /// Returns the time of the oldest event that retention has left.
    pub async fn oldest_time(self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT created_at FROM events WHERE body <> '' ORDER BY seq LIMIT 1";
        let query = db::query_scalar(sql);
        let oldest: Option<i64> = query.fetch_optional(&self.store.background).await?;
        Ok(oldest.map(to_timestamp))
    }

    /// Returns the time before which settled data may be removed: no older than `before`, nor than
    /// any event held back.
    pub(in crate::store) async fn removable_time(
        self,
        before: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let sql = "SELECT created_at FROM events WHERE seq > $1 ORDER BY seq LIMIT 1";
        let query = db::query_scalar(sql).bind(self.removable_position());
        let oldest: Option<i64> = query.fetch_optional(&self.store.background).await?;
        Ok(oldest.map_or(before, |oldest| to_timestamp(oldest).min(before)))
    }
}
