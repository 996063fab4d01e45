//! Webhook deliveries: one event owed to one endpoint, and the outcome of its attempts.

use std::collections::HashMap;

use jiff::Timestamp;

use super::endpoints::{self, EventSubscriber};
use super::open::LaneKey;
use super::redelivery;
use crate::store::db::{self, Connection, QueryBuilder, Row};
use crate::store::events::log::MAX_ROWS;
use crate::store::{DeliveryStore, StoreError};

/// The outcome of one delivery attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledDelivery {
    pub delivery: i64,
    pub outcome: DeliveryOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The endpoint accepted it.
    Delivered,
    /// The attempt failed; the delivery is tried again at `due_at`, and its lane waits.
    Retry {
        error: AttemptFailure,
        due_at: Timestamp,
    },
    /// The attempt failed or was not made; the delivery is tried again at `retry_at` and blocks its
    /// lane until then. From `probe_from` on, the delivery behind it may be tried, also one that
    /// arrives there later.
    Blocked {
        error: Option<AttemptFailure>,
        retry_at: Timestamp,
        probe_from: Timestamp,
    },
    /// The endpoint accepted the delivery `by` that waited behind this one, so this one is parked.
    Skipped {
        error: Option<AttemptFailure>,
        by: i64,
        due_at: Timestamp,
    },
    /// The attempt failed; the delivery is parked, and its lane moves on.
    Parked {
        error: AttemptFailure,
        due_at: Timestamp,
    },
    /// The attempt failed, and no further one is made unless somebody requests it.
    Dead { error: AttemptFailure },
}

/// The reason why an attempt failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttemptFailure {
    pub error: String,
    /// The HTTP status of the response, if there was one, and the beginning of its body.
    pub status: Option<u16>,
    pub answer: Option<String>,
}

impl From<&str> for AttemptFailure {
    fn from(error: &str) -> Self {
        Self {
            error: error.to_owned(),
            ..Self::default()
        }
    }
}

/// Creates new deliveries to an endpoint of the events it subscribes to from position `from` to
/// before `upto`, and returns their number.
pub(in crate::store) async fn replay_events(
    connection: &mut Connection,
    endpoint: &str,
    from: i64,
    upto: i64,
    now: Timestamp,
) -> Result<u64, db::Error> {
    let all = endpoints::load_subscribers(connection).await?;
    let Some(endpoint) = all.iter().find(|subscriber| subscriber.id == endpoint) else {
        return Ok(0);
    };
    let wanted = redelivery::find_replayable(connection, endpoint, from, upto).await?;
    let effects: Vec<_> = wanted
        .iter()
        .map(|row| NewDelivery {
            id: None,
            event: row.get("seq"),
            endpoint: &endpoint.id,
            destination: endpoint.destination(row.get("name")),
            session: row.get("name"),
            chat: row.get("chat"),
            is_resent: true,
            created_at: now,
        })
        .collect();
    enqueue_deliveries(connection, &effects).await?;
    Ok(effects.len() as u64)
}

/// Creates one delivery, which is due whatever the endpoint subscribes to, and returns it.
pub(super) async fn enqueue_delivery(
    connection: &mut Connection,
    event: i64,
    endpoint: &EventSubscriber,
    session: &str,
    chat: &str,
    now: Timestamp,
) -> Result<i64, db::Error> {
    let new = NewDelivery {
        id: None,
        event,
        endpoint: &endpoint.id,
        destination: endpoint.destination(session),
        session,
        chat,
        is_resent: true,
        created_at: now,
    };
    let placed = enqueue_deliveries(connection, &[new]).await?;
    placed
        .deliveries
        .first()
        .copied()
        .ok_or(db::Error::RowNotFound)
}

/// A delivery that gets a row.
pub(super) struct NewDelivery<'a> {
    /// `None`: the next one.
    pub id: Option<i64>,
    pub event: i64,
    pub endpoint: &'a str,
    pub destination: String,
    pub session: &'a str,
    pub chat: &'a str,
    /// Somebody has requested it, whatever became of an earlier one.
    pub is_resent: bool,
    pub created_at: Timestamp,
}

/// New deliveries in their lanes.
#[derive(Default)]
pub(super) struct PlacedDeliveries {
    /// Their ids, in the order of the input.
    pub deliveries: Vec<i64>,
    /// One of them heads its lane, or the due time of an existing lane has changed.
    pub has_due: bool,
}

/// Inserts deliveries, each at the end of its chat's lane.
pub(super) async fn enqueue_deliveries(
    connection: &mut Connection,
    effects: &[NewDelivery<'_>],
) -> Result<PlacedDeliveries, db::Error> {
    let mut placed = PlacedDeliveries::default();
    for effects in effects.chunks(MAX_ROWS) {
        let sql =
            "INSERT INTO deliveries (id, event, endpoint, session, chat, resent, created_at) ";
        let mut sql = QueryBuilder::new(sql);
        sql.push_values(effects, |mut row, new| {
            row.push_bind(new.id)
                .push_bind(new.event)
                .push_bind(new.endpoint)
                .push_bind(new.session)
                .push_bind(new.chat);
            row.push_bind(i64::from(new.is_resent))
                .push_bind(new.created_at.as_millisecond());
        });
        sql.push(" RETURNING id, event, endpoint");
        let rows = sql.build().fetch_all(&mut *connection).await?;
        let id = |row: &Row| {
            (
                (row.get::<i64, _>("event"), row.get::<String, _>("endpoint")),
                row.get::<i64, _>("id"),
            )
        };
        let ids: HashMap<_, _> = rows.iter().map(id).collect();
        let made = effects
            .iter()
            .filter_map(|new| Some((new, *ids.get(&(new.event, new.endpoint.to_owned()))?)));
        let made: Vec<_> = made.collect();
        placed.has_due |= open_lanes(connection, &made).await?;
        placed.deliveries.extend(made.iter().map(|(_, id)| *id));
    }
    Ok(placed)
}

/// Creates missing lanes for new deliveries, in their order. Returns whether lanes were created or
/// have a new due time.
async fn open_lanes(
    connection: &mut Connection,
    made: &[(&NewDelivery<'_>, i64)],
) -> Result<bool, db::Error> {
    let sql = "INSERT INTO lanes (endpoint, session, chat, aside, gate, head, due_at) ";
    let mut sql = QueryBuilder::new(sql);
    sql.push_values(made, |mut row, (new, delivery)| {
        row.push_bind(new.endpoint)
            .push_bind(new.session)
            .push_bind(new.chat)
            .push_bind(0);
        row.push_bind(&new.destination)
            .push_bind(delivery)
            .push_bind(new.created_at.as_millisecond());
    });
    // An existing lane has an older head. A lane that has been waiting for that head for long may
    // try the new delivery as a probe.
    sql.push(
        " ON CONFLICT (endpoint, session, chat, aside) DO UPDATE SET due_at = \
         CASE WHEN lanes.probe_from > excluded.due_at THEN lanes.probe_from ELSE excluded.due_at END \
         WHERE lanes.probe_from > 0 AND lanes.due_at > lanes.probe_from RETURNING head",
    );
    let heads: Vec<i64> = sql.build_query_scalar().fetch_all(connection).await?;
    Ok(!heads.is_empty())
}

impl DeliveryStore<'_> {
    /// Settles a delivery and advances the chat's lane. A success of a delivery without a row is saved
    /// a moment later; every other outcome is on the disk on return.
    pub async fn settle_delivery(self, settled: SettledDelivery) -> Result<(), StoreError> {
        let counter = match &settled.outcome {
            DeliveryOutcome::Delivered | DeliveryOutcome::Skipped { .. } => {
                Some(&self.store.meters.delivered)
            }
            DeliveryOutcome::Retry { .. }
            | DeliveryOutcome::Parked { .. }
            | DeliveryOutcome::Blocked { error: Some(_), .. } => Some(&self.store.meters.failed),
            DeliveryOutcome::Dead { .. } => Some(&self.store.meters.dead),
            DeliveryOutcome::Blocked { error: None, .. } => None,
        };
        let is_accepted = settled.outcome == DeliveryOutcome::Delivered
            && self.store.writer.accept_delivery(settled.delivery);
        if !is_accepted {
            self.store.writer.settle_delivery(settled).await?;
        }
        if let Some(counter) = counter {
            counter.inc();
        }
        Ok(())
    }
}

/// What settled rows leave behind.
#[derive(Default)]
pub(in crate::store) struct SettledRows {
    /// A delivery has become due, or will be at another time.
    pub has_due: bool,
    /// An attempt has failed, which counts against its endpoint.
    pub has_failures: bool,
    /// Chats without a waiting row.
    pub emptied: Vec<LaneKey>,
}

/// Saves the outcomes of attempts of deliveries with rows: first each delivery, then the lanes whose
/// heads have left.
pub(in crate::store) async fn settle_deliveries(
    connection: &mut Connection,
    settled: &[&SettledDelivery],
    now: Timestamp,
) -> Result<SettledRows, db::Error> {
    let mut left = SettledRows {
        has_failures: settled
            .iter()
            .any(|settled| settled.outcome != DeliveryOutcome::Delivered),
        ..SettledRows::default()
    };
    left.has_due = left.has_failures;
    let mut gone = Vec::with_capacity(settled.len());
    let mut taken = Vec::with_capacity(settled.len());
    for SettledDelivery { delivery, outcome } in settled {
        match outcome {
            DeliveryOutcome::Delivered => taken.push(*delivery),
            DeliveryOutcome::Retry { error, due_at } => {
                record_failure(connection, *delivery, error, now).await?;
                let sql =
                    "UPDATE lanes SET due_at = $1, retry_at = 0, probe_from = 0 WHERE head = $2";
                db::query(sql)
                    .bind(due_at.as_millisecond())
                    .bind(delivery)
                    .execute(&mut *connection)
                    .await?;
            }
            DeliveryOutcome::Blocked {
                error,
                retry_at,
                probe_from,
            } => {
                record_optional_failure(connection, *delivery, error.as_ref(), now).await?;
                block_lane(connection, *delivery, *retry_at, *probe_from).await?;
            }
            DeliveryOutcome::Skipped { error, by, due_at } => {
                record_optional_failure(connection, *delivery, error.as_ref(), now).await?;
                left.emptied
                    .extend(park_delivery(connection, *delivery, *due_at).await?);
                taken.push(*by);
            }
            DeliveryOutcome::Parked { error, due_at } => {
                record_failure(connection, *delivery, error, now).await?;
                left.emptied
                    .extend(park_delivery(connection, *delivery, *due_at).await?);
            }
            DeliveryOutcome::Dead { error } => {
                record_failure(connection, *delivery, error, now).await?;
                let sql = db::query(
                    "UPDATE deliveries SET state = 'dead', settled_at = $1 WHERE id = $2 AND state = 'waiting'",
                );
                sql.bind(now.as_millisecond())
                    .bind(delivery)
                    .execute(&mut *connection)
                    .await?;
                gone.push(*delivery);
            }
        }
    }
    for taken in taken.chunks(MAX_ROWS) {
        let sql =
            "UPDATE deliveries SET state = 'delivered', attempts = attempts + 1, settled_at = ";
        let mut sql = QueryBuilder::new(sql);
        sql.push_bind(now.as_millisecond())
            .push(" WHERE state = 'waiting' AND id IN ");
        sql.push_tuples(taken, |mut id, delivery| {
            id.push_bind(delivery);
        });
        sql.build().execute(&mut *connection).await?;
    }
    gone.extend(taken);
    let moved = advance_lanes(connection, &gone, now).await?;
    left.has_due |= moved.has_heads;
    left.emptied.extend(moved.emptied);
    Ok(left)
}

async fn record_optional_failure(
    connection: &mut Connection,
    delivery: i64,
    failed_with: Option<&AttemptFailure>,
    now: Timestamp,
) -> Result<(), db::Error> {
    match failed_with {
        Some(error) => record_failure(connection, delivery, error, now).await,
        None => Ok(()),
    }
}

async fn record_failure(
    connection: &mut Connection,
    delivery: i64,
    failed: &AttemptFailure,
    now: Timestamp,
) -> Result<(), db::Error> {
    let sql = "UPDATE deliveries SET attempts = attempts + 1, last_error = $1, last_failed_at = $2, \
               first_failed_at = COALESCE(first_failed_at, $2) WHERE id = $3 AND state = 'waiting'";
    let query = db::query(sql)
        .bind(&failed.error)
        .bind(now.as_millisecond())
        .bind(delivery);
    if query.execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(());
    }
    let sql = "INSERT INTO attempts (delivery, number, error, status, answer, at) \
               SELECT id, attempts, $1, $2, $3, $4 FROM deliveries WHERE id = $5";
    let query = db::query(sql)
        .bind(&failed.error)
        .bind(failed.status.map(i64::from))
        .bind(&failed.answer);
    query
        .bind(now.as_millisecond())
        .bind(delivery)
        .execute(&mut *connection)
        .await?;
    endpoints::count_endpoint_failure(connection, delivery, now).await
}

/// Blocks a lane until its head may be retried; once a delivery waits behind the head, only until
/// `probe_from`.
async fn block_lane(
    connection: &mut Connection,
    head: i64,
    retry_at: Timestamp,
    probe_from: Timestamp,
) -> Result<(), db::Error> {
    let soonest = retry_at.min(probe_from);
    let sql = "UPDATE lanes SET retry_at = $1, probe_from = $2, due_at = CASE WHEN EXISTS (SELECT 1 FROM deliveries d \
               WHERE d.endpoint = lanes.endpoint AND d.session = lanes.session AND d.chat = lanes.chat \
               AND d.aside = lanes.aside AND d.state = 'waiting' AND d.id > lanes.head) THEN $3 ELSE $1 END WHERE head = $4";
    let query = db::query(sql)
        .bind(retry_at.as_millisecond())
        .bind(probe_from.as_millisecond());
    query
        .bind(soonest.as_millisecond())
        .bind(head)
        .execute(connection)
        .await?;
    Ok(())
}

/// Parks a delivery: moves it to a lane of its own, and lets its chat's lane go on with the next.
/// Returns the chat's lane if nothing is left in it.
pub(in crate::store) async fn park_delivery(
    connection: &mut Connection,
    delivery: i64,
    due_at: Timestamp,
) -> Result<Vec<LaneKey>, db::Error> {
    let sql = "UPDATE deliveries SET aside = id WHERE id = $1 AND aside = 0 AND state = 'waiting'";
    let moved = db::query(sql)
        .bind(delivery)
        .execute(&mut *connection)
        .await?;
    if moved.rows_affected() == 0 {
        // It is parked already: after an uncertain commit the caller may save the same outcome
        // twice.
        return Ok(Vec::new());
    }
    // The deliveries behind it are due at once.
    let moved = advance_lanes(connection, &[delivery], Timestamp::UNIX_EPOCH).await?;
    db::query(
        "INSERT INTO lanes (endpoint, session, chat, aside, gate, head, due_at) \
         SELECT d.endpoint, d.session, d.chat, d.aside, \
                CASE WHEN p.per_session = 1 THEN p.id || '/' || d.session ELSE p.id END, d.id, $1 \
         FROM deliveries d JOIN endpoints p ON p.id = d.endpoint WHERE d.id = $2 AND p.deleted_at IS NULL",
    )
    .bind(due_at.as_millisecond())
    .bind(delivery)
    .execute(connection)
    .await?;
    Ok(moved.emptied)
}

/// Lanes whose heads were done.
#[derive(Default)]
pub(in crate::store) struct AdvancedLanes {
    /// One of them has a new head, which is due.
    pub has_heads: bool,
    /// Chats whose lane had no other delivery, and is deleted.
    pub emptied: Vec<LaneKey>,
}

/// Advances the lanes whose heads are done to their next delivery, due at once, and deletes lanes
/// that are empty.
pub(in crate::store) async fn advance_lanes(
    connection: &mut Connection,
    gone: &[i64],
    now: Timestamp,
) -> Result<AdvancedLanes, db::Error> {
    let mut next = Vec::with_capacity(gone.len());
    for gone in gone.chunks(MAX_ROWS) {
        let mut sql = QueryBuilder::new(
            "UPDATE lanes SET head = COALESCE((SELECT min(d.id) FROM deliveries d WHERE d.endpoint = lanes.endpoint \
             AND d.session = lanes.session AND d.chat = lanes.chat AND d.aside = lanes.aside AND d.state = 'waiting'), 0), \
             retry_at = 0, probe_from = 0, due_at = ",
        );
        sql.push_bind(now.as_millisecond()).push(" WHERE head IN ");
        sql.push_tuples(gone, |mut id, delivery| {
            id.push_bind(delivery);
        });
        sql.push(" RETURNING head");
        next.extend(
            sql.build_query_scalar::<i64>()
                .fetch_all(&mut *connection)
                .await?,
        );
    }
    let mut moved = AdvancedLanes {
        has_heads: next.iter().any(|head| *head > 0),
        ..AdvancedLanes::default()
    };
    if next.contains(&0) {
        let sql = "DELETE FROM lanes WHERE head = 0 RETURNING endpoint, session, chat, aside";
        let deleted: Vec<(String, String, String, i64)> =
            db::query_as(sql).fetch_all(connection).await?;
        let chats = deleted.into_iter().filter(|(.., aside)| *aside == 0);
        moved.emptied = chats
            .map(|(endpoint, session, chat, _)| (endpoint, session, chat))
            .collect();
    }
    Ok(moved)
}
