//! Deliveries without a row in the delivery log: those that wait in memory, and those that were accepted
//! at once.

use std::collections::HashMap;

use jiff::Timestamp;

use super::delivery_log::{DeliveryRecord, DeliveryState};
use super::open::WaitingDelivery;
use super::open::accepted::{self, AcceptedDelivery};
use crate::store::db::{self, Connection, QueryBuilder};
use crate::store::{DeliveryStore, StoreError, to_timestamp};

impl DeliveryStore<'_> {
    /// Removes some of the deliveries without a row that were accepted before this time; returns
    /// whether there are more.
    pub async fn remove_accepted(self, before: Timestamp) -> Result<bool, StoreError> {
        self.store
            .writer
            .apply_change(accepted::RemoveAccepted(before))
            .await
    }
}

/// Returns up to `limit` accepted deliveries to an endpoint without a row, the newest first, with
/// ids in a window; `unsaved` are those in memory.
pub(super) async fn list_accepted(
    connection: &mut Connection,
    (endpoint, from, to): (&str, i64, i64),
    limit: usize,
    unsaved: Vec<AcceptedDelivery>,
) -> Result<Vec<DeliveryRecord>, db::Error> {
    let mut all = accepted::load_accepted(connection, endpoint, (from, to)).await?;
    all.extend(unsaved);
    all.sort_by_key(|it| std::cmp::Reverse(it.delivery));
    all.dedup_by_key(|it| it.delivery);
    without_rows(connection, (endpoint, from, to), &mut all).await?;
    let mut records = Vec::new();
    // Some are hidden, so as many as a page has may not fill it.
    for some in all.chunks(limit.max(1)) {
        records.extend(load_records(connection, some).await?);
        if records.len() >= limit {
            break;
        }
    }
    Ok(records)
}

/// Returns accepted deliveries as the log shows them, without those of ended lives and those whose
/// event retention has removed.
async fn load_records(
    connection: &mut Connection,
    accepted: &[AcceptedDelivery],
) -> Result<Vec<DeliveryRecord>, db::Error> {
    let mut sql = QueryBuilder::new(
        "SELECT seq, id, type, name, created_at FROM events e WHERE body <> '' AND NOT EXISTS \
         (SELECT 1 FROM lives l WHERE l.life = e.session AND l.to_at IS NOT NULL) AND seq IN ",
    );
    sql.push_tuples(accepted, |mut row, it| {
        row.push_bind(it.seq);
    });
    let rows = sql.build().fetch_all(connection).await?;
    let events: HashMap<i64, _> = rows.iter().map(|row| (row.get("seq"), row)).collect();
    let records = accepted.iter().filter_map(|it| {
        let event = events.get(&it.seq)?;
        Some(DeliveryRecord {
            id: it.delivery,
            event: event.get("id"),
            kind: event.get("type"),
            session: event.get("name"),
            state: DeliveryState::Delivered.into_str().to_owned(),
            attempts: 1,
            created_at: to_timestamp(event.get("created_at")),
            settled_at: Some(it.at),
            due_at: None,
            failed_attempts: Vec::new(),
        })
    });
    Ok(records.collect())
}

/// Leaves out those that were sent again, and have a row since.
async fn without_rows(
    connection: &mut Connection,
    (endpoint, from, to): (&str, i64, i64),
    accepted: &mut Vec<AcceptedDelivery>,
) -> Result<(), db::Error> {
    let sql = "SELECT id FROM deliveries WHERE id >= $1 AND id < $2 AND endpoint = $3";
    let query = db::query_scalar(sql).bind(from).bind(to).bind(endpoint);
    let rows: std::collections::HashSet<i64> =
        query.fetch_all(connection).await?.into_iter().collect();
    accepted.retain(|it| !rows.contains(&it.delivery));
    Ok(())
}

/// Returns a delivery that waits in memory as the log shows it.
pub(super) fn record_waiting(waiting: WaitingDelivery) -> DeliveryRecord {
    let WaitingDelivery { due, due_at } = waiting;
    DeliveryRecord {
        id: due.delivery,
        session: due.session.name().to_owned(),
        event: due.event,
        kind: due.kind,
        state: DeliveryState::Waiting.into_str().to_owned(),
        attempts: 0,
        created_at: due.created_at,
        settled_at: None,
        due_at,
        failed_attempts: Vec::new(),
    }
}

/// Writes the row of a delivery that was accepted without one, as if it had always had it; nothing if
/// there is no such delivery, or retention has removed its event.
pub(super) async fn restore_row(
    connection: &mut Connection,
    endpoint: &str,
    delivery: i64,
) -> Result<(), db::Error> {
    let range = (delivery, delivery.saturating_add(1));
    let found = accepted::load_accepted(connection, endpoint, range).await?;
    let Some(accepted) = found.first() else {
        return Ok(());
    };
    let sql = "INSERT INTO deliveries (id, event, endpoint, session, chat, state, attempts, created_at, settled_at) \
               SELECT $1, seq, $2, name, chat, 'delivered', 1, created_at, $3 FROM events WHERE seq = $4 AND body <> '' \
               ON CONFLICT DO NOTHING";
    let query = db::query(sql)
        .bind(delivery)
        .bind(endpoint)
        .bind(accepted.at.as_millisecond());
    query.bind(accepted.seq).execute(connection).await?;
    Ok(())
}
