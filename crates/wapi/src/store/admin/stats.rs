//! Statistics of the database for monitoring.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::store::db;
use crate::store::{Life, Store, StoreError, to_timestamp};

/// How often the waiting deliveries are counted at most, until none of them has moved meanwhile.
const COUNT_ATTEMPTS: usize = 3;

/// The statistics at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Events saved since the program started, by type.
    pub events: BTreeMap<String, u64>,
    /// The position up to which events were counted.
    counted_upto: Option<i64>,
    /// Waiting deliveries, by endpoint.
    pub waiting: BTreeMap<String, u64>,
    /// The creation time of the oldest waiting delivery.
    pub oldest_waiting: Option<Timestamp>,
    /// Accepted messages without a final state, by session.
    pub open: BTreeMap<String, u64>,
    /// Decrypted messages that are not events yet.
    pub pending: u64,
    /// Bytes of the database in use, and bytes that could be released.
    pub used_bytes: u64,
    pub free_bytes: u64,
}

/// How many of a session's last events are of each type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastEventCounts {
    pub counts: BTreeMap<String, u64>,
    /// The time of the first of them.
    pub since: Option<Timestamp>,
}

impl Store {
    /// Counts events from here on.
    pub(in crate::store) async fn start_event_count(&self) {
        self.stats.lock().await.counted_upto = Some(self.recent.newest_position());
    }

    /// Counts the last events of a session by type, `most` of them. Answered from the index of
    /// events by session alone.
    pub async fn count_last_events(
        &self,
        life: &Life,
        most: i64,
    ) -> Result<LastEventCounts, StoreError> {
        let sql = "SELECT type, count(*) AS count, min(seq) AS first FROM \
                   (SELECT seq, type FROM events WHERE body <> '' AND session = $1 ORDER BY seq DESC LIMIT $2) \
                   GROUP BY type";
        let rows = db::query(sql).bind(life.id()).bind(most);
        let rows = rows.fetch_all(&self.background).await?;
        let counts = rows
            .iter()
            .map(|row| (row.get("type"), to_count(row.get("count"))))
            .collect();
        let first: Option<i64> = rows.iter().map(|row| row.get("first")).min();
        let since = db::query_scalar("SELECT created_at FROM events WHERE seq = $1")
            .bind(first)
            .fetch_optional(&self.background)
            .await?;
        Ok(LastEventCounts {
            counts,
            since: since.map(to_timestamp),
        })
    }

    /// Returns the current statistics. Visits each waiting delivery and each event since the last
    /// call, on connections without urgent work; one caller at a time.
    pub async fn load_stats(&self) -> Result<StoreStats, StoreError> {
        let mut numbers = self.stats.lock().await;
        self.meters().statistics_reads.inc();
        self.count_events(&mut numbers).await?;
        self.count_deliveries(&mut numbers).await?;
        // Answered from the index of open messages alone.
        let sql = "SELECT session, count(*) AS count FROM messages WHERE settled_at IS NULL GROUP BY session";
        let rows = db::query(sql).fetch_all(&self.background).await?;
        numbers.open = BTreeMap::new();
        for row in &rows {
            let Some(life) = self.lives.find_life(row.get("session")) else {
                continue;
            };
            *numbers.open.entry(life.name().to_owned()).or_default() += to_count(row.get("count"));
        }
        let pending = db::query_scalar("SELECT count(*) FROM pending")
            .fetch_one(&self.background)
            .await?;
        numbers.pending = to_count(pending);
        (numbers.used_bytes, numbers.free_bytes) = self.database_size().await?;
        Ok(numbers.clone())
    }

    /// Returns the events saved since the program started, by type. Visits only those since the last
    /// call.
    pub async fn load_event_counts(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut numbers = self.stats.lock().await;
        self.count_events(&mut numbers).await?;
        Ok(numbers.events.clone())
    }

    /// Returns the bytes of the database in use, and the bytes that could be released.
    pub async fn database_size(&self) -> Result<(u64, u64), StoreError> {
        let scalar = async |sql| {
            Ok::<i64, StoreError>(db::query_scalar(sql).fetch_one(&self.background).await?)
        };
        let page = scalar("PRAGMA page_size").await?;
        let (pages, free) = (
            scalar("PRAGMA page_count").await?,
            scalar("PRAGMA freelist_count").await?,
        );
        let bytes = |pages: i64| u64::try_from(pages * page).unwrap_or_default();
        Ok((bytes(pages - free), bytes(free)))
    }

    /// Counts the new events only, and adds them to the previous counts.
    async fn count_events(&self, numbers: &mut StoreStats) -> Result<(), StoreError> {
        let newest = self.recent.newest_position();
        let sql =
            "SELECT type, count(*) AS count FROM events WHERE seq > $1 AND seq <= $2 GROUP BY type";
        let counted = numbers.counted_upto.unwrap_or(newest);
        for row in db::query(sql)
            .bind(counted)
            .bind(newest)
            .fetch_all(&self.background)
            .await?
        {
            *numbers.events.entry(row.get("type")).or_default() += to_count(row.get("count"));
        }
        numbers.counted_upto = Some(newest);
        Ok(())
    }

    async fn count_deliveries(&self, numbers: &mut StoreStats) -> Result<(), StoreError> {
        // What gets its row between the two readings would be counted by neither. Where rows are written all
        // the time, an approximate count is better than none.
        for _ in 0..COUNT_ATTEMPTS {
            let before = self.writer.lock_open().writings();
            self.count_deliveries_once(numbers).await?;
            if self.writer.lock_open().writings() == before {
                break;
            }
        }
        Ok(())
    }

    async fn count_deliveries_once(&self, numbers: &mut StoreStats) -> Result<(), StoreError> {
        // Answered from the index of waiting deliveries alone.
        let sql = "SELECT endpoint, count(*) AS count, min(id) AS oldest FROM deliveries WHERE state = 'waiting' \
                   GROUP BY endpoint";
        let rows = db::query(sql).fetch_all(&self.background).await?;
        let endpoints = db::query_scalar("SELECT id FROM endpoints WHERE deleted_at IS NULL")
            .fetch_all(&self.background)
            .await?;
        numbers.waiting = endpoints.into_iter().map(|id| (id, 0)).collect();
        numbers.waiting.extend(
            rows.iter()
                .map(|row| (row.get("endpoint"), to_count(row.get("count")))),
        );
        let oldest = match rows.iter().map(|row| row.get::<i64, _>("oldest")).min() {
            Some(oldest) => {
                let sql = db::query_scalar("SELECT created_at FROM deliveries WHERE id = $1")
                    .bind(oldest);
                sql.fetch_optional(&self.background)
                    .await?
                    .map(to_timestamp)
            }
            None => None,
        };
        let (open, oldest_open) = self.writer.lock_open().count();
        for (endpoint, count) in open {
            *numbers.waiting.entry(endpoint).or_default() += count;
        }
        numbers.oldest_waiting = oldest.into_iter().chain(oldest_open).min();
        Ok(())
    }
}

/// Converts a count, which is never negative.
fn to_count(count: i64) -> u64 {
    count.try_into().unwrap_or_default()
}
