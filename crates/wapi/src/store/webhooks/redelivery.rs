//! Deliveries that a caller asks for: one event to one endpoint, and everything that was given up.

use jiff::Timestamp;

use super::delivery_log::{self, IS_VISIBLE};
use super::endpoints::EventSubscriber;
use super::open::cursor;
use super::{deliveries, endpoints};
use crate::store::db::{self, Connection, Row};
use crate::store::writer::StoreChange;
use crate::store::{DeliveryStore, StoreError};

/// Deliveries that are resent in one transaction.
const RESEND_BATCH: i64 = 200;
/// Events that are counted at once.
const COUNT_BATCH: i64 = 5_000;

/// The outcome of sending one event to one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventDelivery {
    NoEndpoint,
    /// There is no such event, or retention has removed its body, or its life has ended.
    NoEvent,
    /// The event is about no session, and the endpoint's address ends with one.
    NoSession,
    /// The delivery that is attempted.
    Due(i64),
}

impl DeliveryStore<'_> {
    /// Sends one event to one endpoint at once, whatever the endpoint subscribes to. A delivery of
    /// this event that waits is attempted instead of a new one.
    pub async fn deliver_event(
        self,
        endpoint: &str,
        event: &str,
    ) -> Result<EventDelivery, StoreError> {
        self.store
            .writer
            .apply_change(DeliverEvent {
                endpoint: endpoint.to_owned(),
                event: event.to_owned(),
            })
            .await
    }

    /// Returns the number of events from `from` to before `to` that a replay would send an endpoint.
    pub async fn count_replayable(
        self,
        endpoint: &str,
        from: i64,
        to: i64,
    ) -> Result<u64, StoreError> {
        // What waits in memory is not counted either.
        self.write_open_rows().await?;
        let mut question = self.store.api_readers.acquire().await?;
        let all = endpoints::load_subscribers(&mut question).await?;
        let Some(endpoint) = all.iter().find(|it| it.id == endpoint) else {
            return Ok(0);
        };
        let (mut position, mut count) = (from, 0);
        while position < to {
            let upto = to.min(position.saturating_add(COUNT_BATCH));
            let found = find_replayable(&mut question, endpoint, position, upto).await?;
            count += found.len() as u64;
            position = upto;
        }
        Ok(count)
    }

    /// Gives a row to each delivery that waits in memory at this moment.
    pub(in crate::store) async fn write_open_rows(self) -> Result<(), StoreError> {
        self.store.writer.apply_change(WriteRows).await
    }

    /// Returns the newest delivery there is.
    pub async fn newest_delivery(self) -> Result<i64, StoreError> {
        let mut question = self.store.api_readers.acquire().await?;
        Ok(cursor::load_last_id(&mut question).await?)
    }

    /// Resends some of an endpoint's deliveries that were given up, after one and up to another.
    /// Returns their number, and the delivery to continue after; `None` at the end.
    pub async fn resend_dead(
        self,
        endpoint: &str,
        after: i64,
        upto: i64,
    ) -> Result<(u64, Option<i64>), StoreError> {
        self.store
            .writer
            .apply_change(ResendDead {
                endpoint: endpoint.to_owned(),
                after,
                upto,
            })
            .await
    }
}

/// Returns the events from position `from` to before `upto` that are replayed to an endpoint: those
/// that it subscribes to and that do not wait for it already.
pub(super) async fn find_replayable(
    connection: &mut Connection,
    endpoint: &EventSubscriber,
    from: i64,
    upto: i64,
) -> Result<Vec<Row>, db::Error> {
    // Events of lives that have ended are not sent again. Waiting deliveries are sent anyway. Of
    // events without a body, retention has left only enough to recognise a duplicate.
    let sql = "SELECT seq, name, chat, type FROM events e WHERE NOT EXISTS (SELECT 1 FROM lives l WHERE l.life = e.session AND l.to_at IS NOT NULL) \
               AND seq >= $1 AND seq < $2 AND body <> '' \
               AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event = e.seq AND d.endpoint = $3 AND d.state = 'waiting') \
               ORDER BY seq";
    let query = db::query(sql).bind(from).bind(upto).bind(&endpoint.id);
    let mut rows = query.fetch_all(connection).await?;
    rows.retain(|row| endpoint.is_subscribed_to(row.get("name"), row.get("chat"), row.get("type")));
    Ok(rows)
}

/// Changes nothing, but that deliveries in memory get rows.
struct WriteRows;

impl StoreChange for WriteRows {
    type Answer = ();

    fn needs_rows(&self) -> bool {
        true
    }

    async fn write(&self, _: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        Ok(())
    }
}

struct DeliverEvent {
    endpoint: String,
    event: String,
}

impl StoreChange for DeliverEvent {
    type Answer = EventDelivery;

    fn needs_rows(&self) -> bool {
        true
    }

    async fn write(
        &self,
        connection: &mut Connection,
        now: Timestamp,
    ) -> Result<EventDelivery, db::Error> {
        let all = endpoints::load_subscribers(connection).await?;
        let Some(endpoint) = all.iter().find(|it| it.id == self.endpoint) else {
            return Ok(EventDelivery::NoEndpoint);
        };
        let sql = "SELECT seq, name, chat FROM events e WHERE id = $1 AND body <> '' \
                   AND NOT EXISTS (SELECT 1 FROM lives l WHERE l.life = e.session AND l.to_at IS NOT NULL)";
        let event = db::query(sql)
            .bind(&self.event)
            .fetch_optional(&mut *connection)
            .await?;
        let Some(event) = event else {
            return Ok(EventDelivery::NoEvent);
        };
        let (seq, session, chat) = (event.get("seq"), event.get("name"), event.get("chat"));
        if endpoint.is_per_session && str::is_empty(session) {
            return Ok(EventDelivery::NoSession);
        }
        let sql = "SELECT id FROM deliveries WHERE event = $1 AND endpoint = $2 AND state = 'waiting' LIMIT 1";
        let waiting: Option<i64> = db::query_scalar(sql)
            .bind(seq)
            .bind(&self.endpoint)
            .fetch_optional(&mut *connection)
            .await?;
        let delivery = match waiting {
            Some(delivery) => delivery,
            None => {
                deliveries::enqueue_delivery(connection, seq, endpoint, session, chat, now).await?
            }
        };
        // A caller that asks for one event does not wait for the others of its chat.
        deliveries::park_delivery(connection, delivery, now).await?;
        delivery_log::resend_delivery(connection, &self.endpoint, delivery, now).await?;
        Ok(EventDelivery::Due(delivery))
    }
}

struct ResendDead {
    endpoint: String,
    after: i64,
    upto: i64,
}

impl StoreChange for ResendDead {
    type Answer = (u64, Option<i64>);

    fn needs_rows(&self) -> bool {
        true
    }

    async fn write(
        &self,
        connection: &mut Connection,
        now: Timestamp,
    ) -> Result<(u64, Option<i64>), db::Error> {
        // The text is a constant.
        let sql = format!(
            "SELECT id FROM deliveries d INDEXED BY deliveries_dead WHERE endpoint = $1 AND id > $2 AND id <= $3 \
             AND d.state = 'dead' {IS_VISIBLE} ORDER BY id LIMIT $4"
        );
        let dead: Vec<i64> = db::query_scalar(sql)
            .bind(&self.endpoint)
            .bind(self.after)
            .bind(self.upto)
            .bind(RESEND_BATCH)
            .fetch_all(&mut *connection)
            .await?;
        let mut resent = 0;
        for delivery in &dead {
            let is_resent =
                delivery_log::resend_delivery(connection, &self.endpoint, *delivery, now).await?;
            resent += u64::from(is_resent);
        }
        let is_full = i64::try_from(dead.len()).is_ok_and(|count| count == RESEND_BATCH);
        Ok((resent, dead.last().copied().filter(|_| is_full)))
    }
}
