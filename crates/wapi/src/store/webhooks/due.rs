//! Due deliveries, looked up by destination, so that a million waiting for one hide none of
//! another.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::open::log_reader::message_key;
use crate::model::event::MessageKey;
use crate::store::db::{self, Pool, QueryBuilder, Row};
use crate::store::{DeliveryStore, Life, StoreError, to_timestamp};

/// The head of a lane that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueHead {
    pub delivery: i64,
    pub endpoint: String,
    /// An endpoint, or its URL for one session: the unit that is slow or broken on its own.
    pub destination: String,
    due_at: i64,
}

db::from_row!(QueueHead { delivery = "head", endpoint, destination = "gate", due_at });

impl From<&DueDelivery> for QueueHead {
    fn from(due: &DueDelivery) -> Self {
        let (endpoint, destination) = (due.endpoint.clone(), due.destination.clone());
        Self {
            delivery: due.delivery,
            endpoint,
            destination,
            due_at: due.created_at.as_millisecond(),
        }
    }
}

impl QueueHead {
    /// Returns the head of an open lane.
    pub(in crate::store) fn for_open(due: &DueDelivery, due_at: Timestamp) -> Self {
        Self {
            due_at: due_at.as_millisecond(),
            ..Self::from(due)
        }
    }

    /// Returns a head that has always been due.
    #[cfg(test)]
    pub fn new(delivery: i64, endpoint: &str, destination: &str) -> Self {
        Self {
            delivery,
            endpoint: endpoint.to_owned(),
            destination: destination.to_owned(),
            due_at: 0,
        }
    }
}

/// A delivery that is due: the oldest one waiting in its lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueDelivery {
    pub delivery: i64,
    /// Attempts since the last resend, or since the endpoint was last enabled.
    pub attempts: u32,
    /// When the delivery was created.
    pub created_at: Timestamp,
    /// The times of the first and the last failed attempt.
    pub first_failed_at: Option<Timestamp>,
    pub last_failed_at: Option<Timestamp>,
    /// Before this time the delivery itself is not retried; the one behind it may be.
    pub retry_at: Option<Timestamp>,
    pub endpoint: String,
    /// Fields of the endpoint; see [`crate::store::Endpoint`].
    pub endpoint_version: i64,
    pub endpoint_failing_since: Option<Timestamp>,
    pub endpoint_failures: u32,
    pub destination: String,
    pub session: Life,
    pub chat: String,
    /// The message that the event is about, if there is one.
    pub message: Option<MessageKey>,
    /// The type, id and envelope of the event.
    pub kind: String,
    pub event: String,
    pub body: Arc<str>,
    /// Whether the delivery is parked.
    pub is_parked: bool,
    /// Whether the delivery was requested again.
    pub is_resent: bool,
}

/// The longest retry delay. A time further ahead comes from a wrong system clock, and is due.
pub(in crate::store) const MAX_RETRY_DELAY: SignedDuration = SignedDuration::from_hours(30);

impl DueDelivery {
    /// Returns the time until which the delivery itself must wait; `None`: it may be tried now.
    pub fn blocked_until(&self, now: Timestamp) -> Option<Timestamp> {
        let longest = now
            .saturating_add(MAX_RETRY_DELAY)
            .unwrap_or(Timestamp::MAX);
        self.retry_at.filter(|at| *at > now && *at <= longest)
    }
}

/// The destinations of all lanes, found by index jumps from one to the next, however many lanes
/// each has.
const DESTINATIONS: &str = "WITH RECURSIVE gates (gate) AS ( \
       SELECT min(gate) FROM lanes \
       UNION ALL \
       SELECT (SELECT min(l.gate) FROM lanes l WHERE l.gate > gates.gate) FROM gates WHERE gates.gate IS NOT NULL \
     ), enabled (gate) AS ( \
       SELECT g.gate FROM gates g CROSS JOIN endpoints p ON p.id = (SELECT l.endpoint FROM lanes l WHERE l.gate = g.gate LIMIT 1) \
       WHERE g.gate IS NOT NULL AND p.disabled_at IS NULL \
     ) ";

const SELECT_DUE: &str = "SELECT d.id, d.attempts - d.forgiven AS attempts, d.created_at, d.first_failed_at, d.last_failed_at, d.aside, \
     d.resent, l.retry_at, l.gate, d.endpoint, p.version, p.failing_since, p.failures, d.session AS name, d.chat, e.session, \
     e.message_chat, e.sender, e.message_id, e.type, e.id AS event, e.body \
     FROM deliveries d JOIN events e ON e.seq = d.event JOIN endpoints p ON p.id = d.endpoint ";

impl DeliveryStore<'_> {
    /// Returns up to `each` heads of due lanes per enabled destination, longest due first.
    pub async fn find_due_heads(
        self,
        now: Timestamp,
        each: usize,
    ) -> Result<Vec<QueueHead>, StoreError> {
        // First: a delivery that gets its row meanwhile is in both, and not in neither.
        let mut heads = self.store.writer.lock_open().heads(each);
        let rows = query_heads(&self.store.readers, now, each).await?;
        let open: HashSet<i64> = heads.iter().map(|head| head.delivery).collect();
        heads.extend(rows.into_iter().filter(|it| !open.contains(&it.delivery)));
        heads.sort_by_key(|head| (head.due_at, head.delivery));
        Ok(heads)
    }

    /// Loads those of these deliveries that still head their lanes, in any order.
    pub async fn load_due_deliveries(
        self,
        deliveries: &[i64],
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let mut due = self.store.writer.lock_open().load(deliveries);
        let rest = deliveries
            .iter()
            .filter(|id| due.iter().all(|due| due.delivery != **id));
        let rest: Vec<i64> = rest.copied().collect();
        due.extend(query_due(&self.store.readers, &rest).await?);
        Ok(due)
    }

    /// Returns up to `limit` due deliveries, one for each chat, longest due first.
    #[cfg(test)]
    pub async fn due_deliveries(
        self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let mut heads = self.find_due_heads(now, limit).await?;
        heads.truncate(limit);
        let ids: Vec<i64> = heads.iter().map(|head| head.delivery).collect();
        let mut due = self.load_due_deliveries(&ids).await?;
        due.sort_by_key(|due| ids.iter().position(|id| *id == due.delivery));
        Ok(due)
    }

    /// Returns the delivery that waits behind this one.
    pub async fn find_next_in_lane(
        self,
        due: &DueDelivery,
    ) -> Result<Option<DueDelivery>, StoreError> {
        Ok(query_next_in_lane(&self.store.readers, due).await?)
    }

    /// Returns the time at which the next delivery that is not due yet becomes due.
    pub async fn next_due_time(self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(query_next_due(&self.store.readers, now).await?)
    }
}

async fn query_heads(
    pool: &Pool,
    now: Timestamp,
    each: usize,
) -> Result<Vec<QueueHead>, db::Error> {
    let mut sql = QueryBuilder::new(DESTINATIONS);
    sql.push(
        "SELECT l.head, l.endpoint, l.gate, l.due_at FROM enabled g CROSS JOIN lanes l ON l.head IN \
         (SELECT * FROM (SELECT n.head FROM lanes n WHERE n.gate = g.gate AND n.due_at <= ",
    );
    // SQLite replans for each value of a plain LIMIT parameter, but not of an expression.
    let each = i64::try_from(each).unwrap_or(i64::MAX);
    sql.push_bind(now.as_millisecond())
        .push(" ORDER BY n.due_at, n.head LIMIT ")
        .push_bind(each);
    sql.push(" + 0) UNION ALL SELECT * FROM (SELECT n.head FROM lanes n WHERE n.gate = g.gate AND n.due_at > ");
    sql.push_bind(
        now.saturating_add(MAX_RETRY_DELAY)
            .unwrap_or(Timestamp::MAX)
            .as_millisecond(),
    );
    sql.push(" ORDER BY n.due_at, n.head LIMIT ")
        .push_bind(each)
        .push(" + 0))");
    let mut heads: Vec<QueueHead> = sql.build_query_as().fetch_all(pool).await?;
    heads.sort_by_key(|head| (head.due_at, head.delivery));
    Ok(heads)
}

async fn query_next_due(pool: &Pool, now: Timestamp) -> Result<Option<Timestamp>, db::Error> {
    let mut sql = QueryBuilder::new(DESTINATIONS);
    sql.push("SELECT min((SELECT min(l.due_at) FROM lanes l WHERE l.gate = g.gate AND l.due_at > ");
    sql.push_bind(now.as_millisecond())
        .push(")) FROM enabled g");
    let next: Option<i64> = sql.build_query_scalar().fetch_one(pool).await?;
    Ok(next.map(to_timestamp))
}

async fn query_due(pool: &Pool, deliveries: &[i64]) -> Result<Vec<DueDelivery>, db::Error> {
    if deliveries.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = QueryBuilder::new(SELECT_DUE);
    sql.push("JOIN lanes l ON l.head = d.id WHERE d.id IN ")
        .push_tuples(deliveries, |mut row, id| {
            row.push_bind(id);
        });
    Ok(sql
        .build()
        .fetch_all(pool)
        .await?
        .iter()
        .map(due_from_row)
        .collect())
}

async fn query_next_in_lane(
    pool: &Pool,
    head: &DueDelivery,
) -> Result<Option<DueDelivery>, db::Error> {
    let mut sql = QueryBuilder::new(SELECT_DUE);
    sql.push("JOIN lanes l ON l.head = ")
        .push_bind(head.delivery);
    sql.push(" WHERE d.state = 'waiting' AND d.aside = 0 AND d.endpoint = ")
        .push_bind(&head.endpoint);
    sql.push(" AND d.session = ")
        .push_bind(head.session.name())
        .push(" AND d.chat = ")
        .push_bind(&head.chat);
    sql.push(" AND d.id > ")
        .push_bind(head.delivery)
        .push(" ORDER BY d.id LIMIT 1");
    Ok(sql
        .build()
        .fetch_optional(pool)
        .await?
        .as_ref()
        .map(due_from_row))
}

fn due_from_row(row: &Row) -> DueDelivery {
    let maybe = |column| row.get::<Option<i64>, _>(column).map(to_timestamp);
    let count = |column| u32::try_from(row.get::<i64, _>(column)).unwrap_or(u32::MAX);
    DueDelivery {
        delivery: row.get("id"),
        attempts: count("attempts"),
        created_at: to_timestamp(row.get("created_at")),
        first_failed_at: maybe("first_failed_at"),
        last_failed_at: maybe("last_failed_at"),
        retry_at: Some(row.get("retry_at"))
            .filter(|at| *at > 0)
            .map(to_timestamp),
        endpoint: row.get("endpoint"),
        endpoint_version: row.get("version"),
        endpoint_failing_since: maybe("failing_since"),
        endpoint_failures: count("failures"),
        destination: row.get("gate"),
        session: Life::from_parts(row.get("session"), row.get("name")),
        chat: row.get("chat"),
        message: message_key(row),
        kind: row.get("type"),
        event: row.get("event"),
        body: row.get::<&str, _>("body").into(),
        is_parked: row.get::<i64, _>("aside") != 0,
        is_resent: row.get::<i64, _>("resent") != 0,
    }
}

#[cfg(test)]
mod tests;
