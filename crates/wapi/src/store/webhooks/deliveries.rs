//! Webhook deliveries: one event owed to one endpoint, and the outcome of its attempts.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use sqlx::sqlite::{Sqlite, SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row};

use super::endpoints::{self, EventSubscriber};
use super::ready_queue::CommitEffects;
use super::redelivery;
use crate::store::events::log::{InsertedEvent, MAX_ROWS};
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

/// Inserts one delivery of each event for each of these endpoints that subscribes to it, at the end
/// of its chat's lane.
pub(in crate::store) async fn insert_deliveries(
    connection: &mut SqliteConnection,
    events: &[InsertedEvent<'_>],
    endpoints: &[EventSubscriber],
    now: Timestamp,
    effects: &mut CommitEffects,
) -> Result<(), sqlx::Error> {
    let pairs = events
        .iter()
        .flat_map(|event| endpoints.iter().map(move |endpoint| (event, endpoint)));
    let wanted = pairs.filter(|(InsertedEvent { event, .. }, endpoint)| {
        endpoint.is_subscribed_to(event.session.name(), &event.chat, event.kind)
    });
    let wanted: Vec<_> = wanted.collect();
    let new = wanted.iter().map(|(event, endpoint)| NewDelivery {
        event: event.seq,
        endpoint,
        session: event.event.session.name(),
        chat: &event.event.chat,
        resent: 0,
    });
    let new: Vec<_> = new.collect();
    let placed = enqueue_deliveries(connection, &new, now).await?;
    effects.is_queue_stale |= placed.has_moved_lanes;
    for ((event, endpoint), delivery) in wanted.into_iter().zip(placed.deliveries) {
        if endpoint.is_enabled {
            effects.inserted.push((
                endpoint.due_delivery(event.event, delivery, now),
                placed.heads.contains(&delivery),
            ));
        }
    }
    Ok(())
}

/// Creates new deliveries to an endpoint of the events it subscribes to from position `from` to
/// before `upto`, and returns their number.
pub(in crate::store) async fn replay_events(
    connection: &mut SqliteConnection,
    endpoint: &str,
    from: i64,
    upto: i64,
    now: Timestamp,
) -> Result<u64, sqlx::Error> {
    let all = endpoints::load_subscribers(connection).await?;
    let Some(endpoint) = all.iter().find(|subscriber| subscriber.id == endpoint) else {
        return Ok(0);
    };
    let wanted = redelivery::find_replayable(connection, endpoint, from, upto).await?;
    let effects: Vec<_> = wanted
        .iter()
        .map(|row| NewDelivery {
            event: row.get("seq"),
            endpoint,
            session: row.get("name"),
            chat: row.get("chat"),
            resent: 1,
        })
        .collect();
    enqueue_deliveries(connection, &effects, now).await?;
    Ok(effects.len() as u64)
}

/// Creates one delivery, which is due whatever the endpoint subscribes to, and returns it.
pub(super) async fn enqueue_delivery(
    connection: &mut SqliteConnection,
    event: i64,
    endpoint: &EventSubscriber,
    session: &str,
    chat: &str,
    now: Timestamp,
) -> Result<i64, sqlx::Error> {
    let new = NewDelivery {
        event,
        endpoint,
        session,
        chat,
        resent: 1,
    };
    let placed = enqueue_deliveries(connection, &[new], now).await?;
    placed
        .deliveries
        .first()
        .copied()
        .ok_or(sqlx::Error::RowNotFound)
}

struct NewDelivery<'a> {
    event: i64,
    endpoint: &'a EventSubscriber,
    session: &'a str,
    chat: &'a str,
    resent: i64,
}

/// The positions of new deliveries in their lanes.
#[derive(Default)]
struct PlacedDeliveries {
    /// Their ids, in the order of the input.
    deliveries: Vec<i64>,
    /// The deliveries that are the heads of their lanes.
    heads: HashSet<i64>,
    /// The due time of an existing lane has changed.
    has_moved_lanes: bool,
}

/// Inserts deliveries, each at the end of its chat's lane.
async fn enqueue_deliveries(
    connection: &mut SqliteConnection,
    effects: &[NewDelivery<'_>],
    now: Timestamp,
) -> Result<PlacedDeliveries, sqlx::Error> {
    let mut placed = PlacedDeliveries::default();
    for effects in effects.chunks(MAX_ROWS) {
        let sql = "INSERT INTO deliveries (event, endpoint, session, chat, resent, created_at) ";
        let mut sql = QueryBuilder::<Sqlite>::new(sql);
        sql.push_values(effects, |mut row, new| {
            row.push_bind(new.event)
                .push_bind(&new.endpoint.id)
                .push_bind(new.session)
                .push_bind(new.chat);
            row.push_bind(new.resent).push_bind(now.as_millisecond());
        });
        sql.push(" RETURNING id, event, endpoint");
        let rows = sql.build().fetch_all(&mut *connection).await?;
        let id = |row: &SqliteRow| {
            (
                (row.get::<i64, _>("event"), row.get::<String, _>("endpoint")),
                row.get::<i64, _>("id"),
            )
        };
        let ids: HashMap<_, _> = rows.iter().map(id).collect();
        let made = effects
            .iter()
            .filter_map(|new| Some((new, *ids.get(&(new.event, new.endpoint.id.clone()))?)));
        let made: Vec<_> = made.collect();
        let heads = open_lanes(connection, &made, now).await?;
        placed.deliveries.extend(made.iter().map(|(_, id)| *id));
        let own: HashSet<i64> = made.into_iter().map(|(_, id)| id).collect();
        placed.has_moved_lanes |= !heads.is_subset(&own);
        placed.heads.extend(heads);
    }
    Ok(placed)
}

/// Creates missing lanes for new deliveries, in their order. Returns the heads of the lanes that
/// were created or have a new due time.
async fn open_lanes(
    connection: &mut SqliteConnection,
    made: &[(&NewDelivery<'_>, i64)],
    now: Timestamp,
) -> Result<HashSet<i64>, sqlx::Error> {
    let sql = "INSERT INTO lanes (endpoint, session, chat, aside, gate, head, due_at) ";
    let mut sql = QueryBuilder::<Sqlite>::new(sql);
    sql.push_values(made, |mut row, (new, delivery)| {
        row.push_bind(&new.endpoint.id)
            .push_bind(new.session)
            .push_bind(new.chat)
            .push_bind(0);
        row.push_bind(new.endpoint.destination(new.session))
            .push_bind(delivery)
            .push_bind(now.as_millisecond());
    });
    // An existing lane has an older head. A lane that has been waiting for that head for long may
    // try the new delivery as a probe.
    sql.push(
        " ON CONFLICT (endpoint, session, chat, aside) DO UPDATE SET due_at = \
         CASE WHEN lanes.probe_from > excluded.due_at THEN lanes.probe_from ELSE excluded.due_at END \
         WHERE lanes.probe_from > 0 AND lanes.due_at > lanes.probe_from RETURNING head",
    );
    Ok(sql
        .build_query_scalar()
        .fetch_all(connection)
        .await?
        .into_iter()
        .collect())
}

impl DeliveryStore<'_> {
    /// Saves the outcome of an attempt and advances the chat's lane.
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
        self.store.writer.settle_delivery(settled).await?;
        if let Some(counter) = counter {
            counter.inc();
        }
        Ok(())
    }
}

/// Saves the outcomes of attempts: first each delivery, then the lanes whose heads have left.
pub(in crate::store) async fn settle_deliveries(
    connection: &mut SqliteConnection,
    settled: &[&SettledDelivery],
    now: Timestamp,
    effects: &mut CommitEffects,
) -> Result<(), sqlx::Error> {
    effects.is_queue_stale |= settled
        .iter()
        .any(|settled| settled.outcome != DeliveryOutcome::Delivered);
    let mut gone = Vec::with_capacity(settled.len());
    let mut taken = Vec::with_capacity(settled.len());
    for SettledDelivery { delivery, outcome } in settled {
        match outcome {
            DeliveryOutcome::Delivered => taken.push(*delivery),
            DeliveryOutcome::Retry { error, due_at } => {
                record_failure(connection, *delivery, error, now).await?;
                let sql =
                    "UPDATE lanes SET due_at = $1, retry_at = 0, probe_from = 0 WHERE head = $2";
                sqlx::query(sql)
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
                park_delivery(connection, *delivery, *due_at).await?;
                taken.push(*by);
            }
            DeliveryOutcome::Parked { error, due_at } => {
                record_failure(connection, *delivery, error, now).await?;
                park_delivery(connection, *delivery, *due_at).await?;
            }
            DeliveryOutcome::Dead { error } => {
                record_failure(connection, *delivery, error, now).await?;
                let sql = sqlx::query(
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
        let mut sql = QueryBuilder::<Sqlite>::new(sql);
        sql.push_bind(now.as_millisecond())
            .push(" WHERE state = 'waiting' AND id IN ");
        sql.push_tuples(taken, |mut id, delivery| {
            id.push_bind(delivery);
        });
        sql.build().execute(&mut *connection).await?;
    }
    gone.extend(taken);
    effects.new_heads = advance_lanes(connection, &gone, now).await?;
    effects.settled = gone;
    Ok(())
}

async fn record_optional_failure(
    connection: &mut SqliteConnection,
    delivery: i64,
    failed_with: Option<&AttemptFailure>,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    match failed_with {
        Some(error) => record_failure(connection, delivery, error, now).await,
        None => Ok(()),
    }
}

async fn record_failure(
    connection: &mut SqliteConnection,
    delivery: i64,
    failed: &AttemptFailure,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let sql = "UPDATE deliveries SET attempts = attempts + 1, last_error = $1, last_failed_at = $2, \
               first_failed_at = COALESCE(first_failed_at, $2) WHERE id = $3 AND state = 'waiting'";
    let query = sqlx::query(sql)
        .bind(&failed.error)
        .bind(now.as_millisecond())
        .bind(delivery);
    if query.execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(());
    }
    let sql = "INSERT INTO attempts (delivery, number, error, status, answer, at) \
               SELECT id, attempts, $1, $2, $3, $4 FROM deliveries WHERE id = $5";
    let query = sqlx::query(sql)
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
    connection: &mut SqliteConnection,
    head: i64,
    retry_at: Timestamp,
    probe_from: Timestamp,
) -> Result<(), sqlx::Error> {
    let soonest = retry_at.min(probe_from);
    let sql = "UPDATE lanes SET retry_at = $1, probe_from = $2, due_at = CASE WHEN EXISTS (SELECT 1 FROM deliveries d \
               WHERE d.endpoint = lanes.endpoint AND d.session = lanes.session AND d.chat = lanes.chat \
               AND d.aside = lanes.aside AND d.state = 'waiting' AND d.id > lanes.head) THEN $3 ELSE $1 END WHERE head = $4";
    let query = sqlx::query(sql)
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
pub(in crate::store) async fn park_delivery(
    connection: &mut SqliteConnection,
    delivery: i64,
    due_at: Timestamp,
) -> Result<(), sqlx::Error> {
    let sql = "UPDATE deliveries SET aside = id WHERE id = $1 AND aside = 0 AND state = 'waiting'";
    let moved = sqlx::query(sql)
        .bind(delivery)
        .execute(&mut *connection)
        .await?;
    if moved.rows_affected() == 0 {
        // It is parked already: after an uncertain commit the caller may save the same outcome
        // twice.
        return Ok(());
    }
    // The deliveries behind it are due at once.
    advance_lanes(connection, &[delivery], Timestamp::UNIX_EPOCH).await?;
    sqlx::query(
        "INSERT INTO lanes (endpoint, session, chat, aside, gate, head, due_at) \
         SELECT d.endpoint, d.session, d.chat, d.aside, \
                CASE WHEN p.per_session = 1 THEN p.id || '/' || d.session ELSE p.id END, d.id, $1 \
         FROM deliveries d JOIN endpoints p ON p.id = d.endpoint WHERE d.id = $2 AND p.deleted_at IS NULL",
    )
    .bind(due_at.as_millisecond())
    .bind(delivery)
    .execute(connection)
    .await?;
    Ok(())
}

/// Advances the lanes whose heads are done to their next delivery, due at once, and deletes lanes
/// that are empty. Returns the new heads.
pub(in crate::store) async fn advance_lanes(
    connection: &mut SqliteConnection,
    gone: &[i64],
    now: Timestamp,
) -> Result<Vec<i64>, sqlx::Error> {
    let mut next = Vec::with_capacity(gone.len());
    for gone in gone.chunks(MAX_ROWS) {
        let mut sql = QueryBuilder::<Sqlite>::new(
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
    if next.contains(&0) {
        sqlx::query("DELETE FROM lanes WHERE head = 0")
            .execute(connection)
            .await?;
    }
    next.retain(|head| *head > 0);
    Ok(next)
}
