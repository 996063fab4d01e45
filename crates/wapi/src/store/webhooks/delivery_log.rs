//! Delivery log of webhooks: deliveries with their attempts, resend, replay.

use jiff::Timestamp;
use strum::{EnumString, IntoStaticStr, VariantNames};

use super::open::accepted::AcceptedDelivery;
use super::open::{WaitingDelivery, cursor};
use super::{deliveries, unrowed};
use crate::store::db::{self, Connection, FromRow, QueryBuilder};
use crate::store::writer::StoreChange;
use crate::store::{DeliveryStore, StoreError};

/// Deliveries scanned per page, of any endpoint: bounds its cost, however few of them match.
const SCAN_LIMIT: i64 = 10_000;
/// Hides deliveries of ended lives, except those that still wait: these are sent as planned.
pub(super) const IS_VISIBLE: &str = " AND (d.state = 'waiting' OR NOT EXISTS \
    (SELECT 1 FROM events e JOIN lives l ON l.life = e.session WHERE e.seq = d.event AND l.to_at IS NOT NULL))";
/// Events replayed in one transaction.
const REPLAY_BATCH: i64 = 500;

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum DeliveryState {
    Waiting,
    Delivered,
    Dead,
}

/// One event owed to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    pub id: i64,
    pub event: String,
    pub kind: String,
    /// Empty for events of the whole gateway.
    pub session: String,
    pub state: String,
    pub attempts: i64,
    pub created_at: Timestamp,
    pub settled_at: Option<Timestamp>,
    /// For the head of a lane: the time of its next attempt.
    pub due_at: Option<Timestamp>,
    /// The failed attempts, oldest first.
    pub failed_attempts: Vec<FailedAttempt>,
}

db::from_row!(DeliveryRecord {
    id, event, kind = "type", session, state, attempts, created_at, settled_at, due_at
} else { failed_attempts });

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    pub number: i64,
    pub at: Timestamp,
    pub error: String,
    pub status: Option<i64>,
    /// The beginning of the response body.
    pub answer: Option<String>,
}

db::from_row!(FailedAttempt {
    number,
    at,
    error,
    status,
    answer
});

impl DeliveryStore<'_> {
    /// Returns up to `limit` deliveries to an endpoint older than `before`, newest first, and the
    /// `before` of the next page, or `None` at the end. A page may be short before the end, too.
    pub async fn list_deliveries(
        self,
        endpoint: &str,
        state: Option<DeliveryState>,
        before: i64,
        limit: usize,
    ) -> Result<(Vec<DeliveryRecord>, Option<i64>), StoreError> {
        let mut question = self.store.api_readers.acquire().await?;
        let newest = cursor::load_last_id(&mut question).await?;
        let before = before.min(newest.saturating_add(1));
        // First: what is saved meanwhile is in both, and not in neither.
        let window = (first_scanned(before), before);
        let open = { self.store.writer.lock_open() }.list(endpoint, window, limit);
        // All of it of one moment.
        let mut question = question.begin_reading().await?;
        let page = query_page(&mut question, endpoint, state, before, limit, open).await?;
        question.commit().await?;
        Ok(page)
    }

    /// Makes a delivery due at once; a settled one gets a lane of its own. Returns false if the
    /// endpoint has no such delivery.
    pub async fn resend_delivery(self, endpoint: &str, delivery: i64) -> Result<bool, StoreError> {
        self.store
            .writer
            .apply_change(ResendDelivery {
                endpoint: endpoint.to_owned(),
                delivery,
            })
            .await
    }

    /// Returns the position of the first event that was saved at this time or later.
    pub async fn position_at(self, at: Timestamp) -> Result<i64, StoreError> {
        let mut question = self.store.api_readers.acquire().await?;
        Ok(find_position(&mut question, at).await?)
    }

    /// Sends an endpoint again the events from `from` to before `to` that it subscribes to and that
    /// do not wait already, behind the waiting deliveries of each chat. Returns the number of
    /// events, and the position to continue from, which is `to` at the end.
    pub async fn replay_events(
        self,
        endpoint: &str,
        from: i64,
        to: i64,
    ) -> Result<(u64, i64), StoreError> {
        let upto = to.min(from.saturating_add(REPLAY_BATCH));
        let deliveries = self
            .store
            .writer
            .apply_change(ReplayEvents {
                endpoint: endpoint.to_owned(),
                from,
                upto,
            })
            .await?;
        Ok((deliveries, upto))
    }
}

/// The lowest id that a page scans.
fn first_scanned(before: i64) -> i64 {
    before.saturating_sub(SCAN_LIMIT).max(0)
}

async fn query_page(
    connection: &mut Connection,
    endpoint: &str,
    state: Option<DeliveryState>,
    before: i64,
    limit: usize,
    (waiting, accepted): (Vec<WaitingDelivery>, Vec<AcceptedDelivery>),
) -> Result<(Vec<DeliveryRecord>, Option<i64>), db::Error> {
    let (index, floor) = match state {
        // Dead deliveries have an index of their own: they are few among millions.
        Some(DeliveryState::Dead) => (
            "INDEXED BY deliveries_dead",
            find_dead_floor(connection, endpoint, before).await?,
        ),
        _ => ("NOT INDEXED", first_scanned(before)),
    };
    // The text is a constant; only a literal state makes SQLite use the partial index.
    let condition = match state {
        Some(state) => format!("= '{}'", state.into_str()),
        None => "<> 'dropped'".to_owned(),
    };
    let sql = format!(
        "SELECT d.id, e.id AS event, e.type, d.session, d.state, d.attempts, d.created_at, d.settled_at, \
         (SELECT due_at FROM lanes WHERE head = d.id) AS due_at \
         FROM deliveries d {index} CROSS JOIN events e ON e.seq = d.event \
         WHERE d.endpoint = $1 AND d.id >= $2 AND d.id < $3 AND d.state {condition} {IS_VISIBLE} ORDER BY d.id DESC LIMIT $4"
    );
    let query = db::query_as(sql).bind(endpoint).bind(floor).bind(before);
    let query = query.bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let mut found: Vec<DeliveryRecord> = query.fetch_all(&mut *connection).await?;
    attach_attempts(connection, &mut found).await?;
    let window = (endpoint, floor, before);
    if matches!(state, None | Some(DeliveryState::Delivered)) {
        found.extend(unrowed::list_accepted(connection, window, limit, accepted).await?);
    }
    if matches!(state, None | Some(DeliveryState::Waiting)) {
        found.extend(waiting.into_iter().map(unrowed::record_waiting));
    }
    found.sort_by_key(|delivery| std::cmp::Reverse(delivery.id));
    // A delivery that has just got its row is found twice.
    found.dedup_by_key(|delivery| delivery.id);
    found.truncate(limit);
    let next = match found.last() {
        Some(last) if found.len() == limit => Some(last.id),
        _ => Some(floor),
    };
    Ok((found, next.filter(|next| *next > 1)))
}

/// Returns the oldest dead delivery to scan for a page; 0 if all of them are scanned.
async fn find_dead_floor(
    connection: &mut Connection,
    endpoint: &str,
    before: i64,
) -> Result<i64, db::Error> {
    let sql = "SELECT id FROM deliveries INDEXED BY deliveries_dead WHERE endpoint = $1 AND id < $2 AND state = 'dead' \
               ORDER BY id DESC LIMIT 1 OFFSET $3";
    let query = db::query_scalar(sql)
        .bind(endpoint)
        .bind(before)
        .bind(SCAN_LIMIT - 1);
    Ok(query.fetch_optional(connection).await?.unwrap_or(0))
}

async fn attach_attempts(
    connection: &mut Connection,
    deliveries: &mut [DeliveryRecord],
) -> Result<(), db::Error> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let mut sql = QueryBuilder::new(
        "SELECT delivery, number, at, error, status, answer FROM attempts WHERE delivery IN ",
    );
    sql.push_tuples(&*deliveries, |mut row, delivery| {
        row.push_bind(delivery.id);
    });
    for row in sql
        .push(" ORDER BY delivery, number")
        .build()
        .fetch_all(connection)
        .await?
    {
        let id: i64 = row.get("delivery");
        let Some(delivery) = deliveries.iter_mut().find(|delivery| delivery.id == id) else {
            continue;
        };
        delivery
            .failed_attempts
            .push(FailedAttempt::from_row(&row)?);
    }
    Ok(())
}

struct ResendDelivery {
    endpoint: String,
    delivery: i64,
}

impl StoreChange for ResendDelivery {
    type Answer = bool;

    fn needs_rows(&self) -> bool {
        true
    }

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<bool, db::Error> {
        resend_delivery(connection, &self.endpoint, self.delivery, now).await
    }
}

/// Makes a delivery due at once; see [`DeliveryStore::resend_delivery`].
pub(super) async fn resend_delivery(
    connection: &mut Connection,
    endpoint: &str,
    delivery: i64,
    now: Timestamp,
) -> Result<bool, db::Error> {
    unrowed::restore_row(connection, endpoint, delivery).await?;
    // The text is a constant.
    let sql = format!(
        "UPDATE deliveries AS d SET resent = 1, forgiven = attempts, first_failed_at = NULL, last_failed_at = NULL \
         WHERE id = $1 AND endpoint = $2 AND state <> 'dropped' {IS_VISIBLE} RETURNING state"
    );
    let query = db::query_scalar::<String>(sql)
        .bind(delivery)
        .bind(endpoint);
    let Some(state) = query.fetch_optional(&mut *connection).await? else {
        return Ok(false);
    };
    if state != DeliveryState::Waiting.into_str() {
        let sql =
            "UPDATE deliveries SET state = 'waiting', settled_at = NULL, aside = 0 WHERE id = $1";
        db::query(sql)
            .bind(delivery)
            .execute(&mut *connection)
            .await?;
        deliveries::park_delivery(connection, delivery, now).await?;
    }
    // A delivery that waits for its next attempt is due now; one behind another keeps its place.
    let sql = "UPDATE lanes SET due_at = $1, retry_at = 0 WHERE head = $2";
    db::query(sql)
        .bind(now.as_millisecond())
        .bind(delivery)
        .execute(connection)
        .await?;
    Ok(true)
}

struct ReplayEvents {
    endpoint: String,
    from: i64,
    /// Exclusive.
    upto: i64,
}

impl StoreChange for ReplayEvents {
    type Answer = u64;

    fn needs_rows(&self) -> bool {
        true
    }

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<u64, db::Error> {
        deliveries::replay_events(connection, &self.endpoint, self.from, self.upto, now).await
    }
}

/// A binary search: positions and times increase together, unless the clock was set back.
async fn find_position(connection: &mut Connection, at: Timestamp) -> Result<i64, db::Error> {
    let newest: i64 = db::query_scalar("SELECT COALESCE(max(seq), 0) FROM events")
        .fetch_one(&mut *connection)
        .await?;
    // All events before `low` are older; `high` and all after it are not.
    let (mut low, mut high) = (1, newest + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let sql = "SELECT seq, created_at FROM events WHERE seq >= $1 ORDER BY seq LIMIT 1";
        match db::query(sql)
            .bind(middle)
            .fetch_optional(&mut *connection)
            .await?
        {
            Some(row) if row.get::<i64, _>("created_at") < at.as_millisecond() => {
                low = row.get::<i64, _>("seq") + 1
            }
            _ => high = middle,
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests;
