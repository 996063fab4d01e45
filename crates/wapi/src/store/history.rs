//! Delivery log of webhooks: deliveries with their attempts, resend, replay.

use jiff::Timestamp;
use sqlx::sqlite::{Sqlite, SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row};

use super::writer::Change;
use super::{Store, StoreError, deliveries, time};

/// Deliveries scanned per page, of any endpoint: bounds its cost, however few of them match.
const WINDOW: i64 = 10_000;
/// Hides deliveries of ended lives, except those that still wait: these are sent as planned.
const IS_SHOWN: &str = " AND (d.state = 'waiting' OR NOT EXISTS \
    (SELECT 1 FROM events e JOIN lives l ON l.life = e.session WHERE e.seq = d.event AND l.to_at IS NOT NULL))";
/// Events replayed in one transaction.
const AT_ONCE: i64 = 500;

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    Waiting,
    Delivered,
    Dead,
}

impl DeliveryState {
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::Dead];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// One event owed to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
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
    pub failed: Vec<FailedAttempt>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    pub number: i64,
    pub at: Timestamp,
    pub error: String,
    pub status: Option<i64>,
    /// The beginning of the response body.
    pub answer: Option<String>,
}

impl Store {
    /// Returns up to `limit` deliveries to an endpoint older than `before`, newest first, and the
    /// `before` of the next page, or `None` at the end. A page may be short before the end, too.
    pub async fn deliveries(
        &self,
        endpoint: &str,
        state: Option<DeliveryState>,
        before: i64,
        limit: usize,
    ) -> Result<(Vec<Delivery>, Option<i64>), StoreError> {
        let mut question = self.browsers.ask().await?;
        Ok(page(&mut question, endpoint, state, before, limit).await?)
    }

    /// Makes a delivery due at once; a settled one gets a lane of its own. Returns false if the
    /// endpoint has no such delivery.
    pub async fn resend(&self, endpoint: &str, delivery: i64) -> Result<bool, StoreError> {
        self.writer
            .change(Resend {
                endpoint: endpoint.to_owned(),
                delivery,
            })
            .await
    }

    /// Returns the position of the first event that was saved at this time or later.
    pub async fn place_of(&self, at: Timestamp) -> Result<i64, StoreError> {
        let mut question = self.browsers.ask().await?;
        Ok(place_of(&mut question, at).await?)
    }

    /// Sends an endpoint again the events from `from` to before `to` that it subscribes to and that
    /// do not wait already, behind the waiting deliveries of each chat. Returns the number of
    /// events, and the position to continue from, which is `to` at the end.
    pub async fn replay(
        &self,
        endpoint: &str,
        from: i64,
        to: i64,
    ) -> Result<(u64, i64), StoreError> {
        let upto = to.min(from.saturating_add(AT_ONCE));
        let told = self
            .writer
            .change(Replay {
                endpoint: endpoint.to_owned(),
                from,
                upto,
            })
            .await?;
        Ok((told, upto))
    }
}

async fn page(
    connection: &mut SqliteConnection,
    endpoint: &str,
    state: Option<DeliveryState>,
    before: i64,
    limit: usize,
) -> Result<(Vec<Delivery>, Option<i64>), sqlx::Error> {
    let newest: i64 = sqlx::query_scalar("SELECT COALESCE(max(id), 0) FROM deliveries")
        .fetch_one(&mut *connection)
        .await?;
    let before = before.min(newest.saturating_add(1));
    let (index, floor) = match state {
        // Dead deliveries have an index of their own: they are few among millions.
        Some(DeliveryState::Dead) => (
            "INDEXED BY deliveries_dead",
            dead_from(connection, endpoint, before).await?,
        ),
        _ => ("NOT INDEXED", before.saturating_sub(WINDOW).max(0)),
    };
    // The text is a constant; only a literal state makes SQLite use the partial index.
    let condition = match state {
        Some(state) => format!("= '{}'", state.word()),
        None => "<> 'dropped'".to_owned(),
    };
    let sql = format!(
        "SELECT d.id, e.id AS event, e.type, d.session, d.state, d.attempts, d.created_at, d.settled_at, \
         (SELECT due_at FROM lanes WHERE head = d.id) AS due_at \
         FROM deliveries d {index} CROSS JOIN events e ON e.seq = d.event \
         WHERE d.endpoint = $1 AND d.id >= $2 AND d.id < $3 AND d.state {condition} {IS_SHOWN} ORDER BY d.id DESC LIMIT $4"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(endpoint)
        .bind(floor)
        .bind(before);
    let query = query.bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let mut found: Vec<Delivery> = query
        .fetch_all(&mut *connection)
        .await?
        .iter()
        .map(delivery)
        .collect();
    attach_attempts(connection, &mut found).await?;
    let next = match found.last() {
        Some(last) if found.len() == limit => Some(last.id),
        _ => Some(floor),
    };
    Ok((found, next.filter(|next| *next > 1)))
}

/// Returns the oldest dead delivery to scan for a page; 0 if all of them are scanned.
async fn dead_from(
    connection: &mut SqliteConnection,
    endpoint: &str,
    before: i64,
) -> Result<i64, sqlx::Error> {
    let sql = "SELECT id FROM deliveries INDEXED BY deliveries_dead WHERE endpoint = $1 AND id < $2 AND state = 'dead' \
               ORDER BY id DESC LIMIT 1 OFFSET $3";
    let query = sqlx::query_scalar(sql)
        .bind(endpoint)
        .bind(before)
        .bind(WINDOW - 1);
    Ok(query.fetch_optional(connection).await?.unwrap_or(0))
}

fn delivery(row: &SqliteRow) -> Delivery {
    let maybe = |column| row.get::<Option<i64>, _>(column).map(time);
    Delivery {
        id: row.get("id"),
        event: row.get("event"),
        kind: row.get("type"),
        session: row.get("session"),
        state: row.get("state"),
        attempts: row.get("attempts"),
        created_at: time(row.get("created_at")),
        settled_at: maybe("settled_at"),
        due_at: maybe("due_at"),
        failed: Vec::new(),
    }
}

async fn attach_attempts(
    connection: &mut SqliteConnection,
    deliveries: &mut [Delivery],
) -> Result<(), sqlx::Error> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let mut sql = QueryBuilder::<Sqlite>::new(
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
        let (number, at, error) = (row.get("number"), time(row.get("at")), row.get("error"));
        delivery.failed.push(FailedAttempt {
            number,
            at,
            error,
            status: row.get("status"),
            answer: row.get("answer"),
        });
    }
    Ok(())
}

struct Resend {
    endpoint: String,
    delivery: i64,
}

impl Change for Resend {
    type Answer = bool;

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<bool, sqlx::Error> {
        // The text is a constant.
        let sql = sqlx::AssertSqlSafe(format!(
            "UPDATE deliveries AS d SET resent = 1, forgiven = attempts, first_failed_at = NULL, last_failed_at = NULL \
             WHERE id = $1 AND endpoint = $2 AND state <> 'dropped' {IS_SHOWN} RETURNING state"
        ));
        let query = sqlx::query_scalar::<_, String>(sql)
            .bind(self.delivery)
            .bind(&self.endpoint);
        let Some(state) = query.fetch_optional(&mut *connection).await? else {
            return Ok(false);
        };
        if state != DeliveryState::Waiting.word() {
            let sql = "UPDATE deliveries SET state = 'waiting', settled_at = NULL, aside = 0 WHERE id = $1";
            sqlx::query(sql)
                .bind(self.delivery)
                .execute(&mut *connection)
                .await?;
            deliveries::step_aside(connection, self.delivery, now).await?;
        }
        // A delivery that waits for its next attempt is due now; one behind another keeps its
        // place.
        let sql = "UPDATE lanes SET due_at = $1, retry_at = 0 WHERE head = $2";
        sqlx::query(sql)
            .bind(now.as_millisecond())
            .bind(self.delivery)
            .execute(connection)
            .await?;
        Ok(true)
    }
}

struct Replay {
    endpoint: String,
    from: i64,
    /// Exclusive.
    upto: i64,
}

impl Change for Replay {
    type Answer = u64;

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<u64, sqlx::Error> {
        deliveries::tell_again(connection, &self.endpoint, self.from, self.upto, now).await
    }
}

/// A binary search: positions and times increase together, unless the clock was set back.
async fn place_of(connection: &mut SqliteConnection, at: Timestamp) -> Result<i64, sqlx::Error> {
    let newest: i64 = sqlx::query_scalar("SELECT COALESCE(max(seq), 0) FROM events")
        .fetch_one(&mut *connection)
        .await?;
    // All events before `low` are older; `high` and all after it are not.
    let (mut low, mut high) = (1, newest + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let sql = "SELECT seq, created_at FROM events WHERE seq >= $1 ORDER BY seq LIMIT 1";
        match sqlx::query(sql)
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
mod tests {
    use super::super::tests::{due, event, settle, soon, store};
    use super::super::{Failed, NewEvent, Outcome};
    use super::*;

    async fn states(store: &Store, state: Option<DeliveryState>) -> Vec<(String, i64)> {
        let (page, _) = store
            .deliveries("hook", state, i64::MAX, 100)
            .await
            .unwrap();
        page.into_iter()
            .map(|delivery| (delivery.state, delivery.attempts))
            .collect()
    }

    #[tokio::test]
    async fn deliveries_are_listed_page_by_page_with_what_was_answered() {
        let (store, _folder) = store().await;
        store
            .append((0..5).map(|chat| event(&chat.to_string(), "1")).collect())
            .await
            .unwrap();
        let error = Failed {
            error: "it answered 400".to_owned(),
            status: Some(400),
            answer: Some("no!".to_owned()),
        };
        settle(&store, "0", Outcome::Dead { error }).await;
        settle(&store, "1", Outcome::Delivered).await;
        let dead = store
            .deliveries("hook", Some(DeliveryState::Dead), i64::MAX, 10)
            .await
            .unwrap();
        let FailedAttempt {
            number,
            status,
            answer,
            ..
        } = &dead.0[0].failed[0];
        assert_eq!(
            (dead.0.len(), *number, *status, answer.as_deref(), dead.1),
            (1, 1, Some(400), Some("no!"), None)
        );
        let mut seen = Vec::new();
        let mut before = Some(i64::MAX);
        while let Some(place) = before {
            let (page, next) = store.deliveries("hook", None, place, 2).await.unwrap();
            seen.extend(page.into_iter().map(|delivery| delivery.id));
            before = next;
        }
        assert_eq!(seen, [5, 4, 3, 2, 1]);
        assert_eq!(states(&store, Some(DeliveryState::Waiting)).await.len(), 3);
        assert_eq!(
            store
                .deliveries("nobody", None, i64::MAX, 10)
                .await
                .unwrap()
                .0,
            []
        );
    }

    #[tokio::test]
    async fn what_is_dead_or_delivered_can_be_sent_again_and_has_a_whole_schedule() {
        let (store, _folder) = store().await;
        store
            .append(vec![event("a", "1"), event("a", "2"), event("a", "3")])
            .await
            .unwrap();
        settle(
            &store,
            "a",
            Outcome::Dead {
                error: "400".into(),
            },
        )
        .await;
        settle(&store, "a", Outcome::Delivered).await;
        for delivery in [1, 2] {
            assert!(store.resend("hook", delivery).await.unwrap());
        }
        let again = store.due(soon(), 10).await.unwrap();
        let mut told: Vec<_> = again
            .iter()
            .map(|due| (due.delivery, due.attempts, due.is_aside, due.is_resent))
            .collect();
        told.sort_unstable();
        assert_eq!(
            told,
            [(1, 0, true, true), (2, 0, true, true), (3, 0, false, false)]
        );
        assert!(store.resend("hook", 3).await.unwrap());
        assert_eq!(
            store.due(soon(), 10).await.unwrap().len(),
            3,
            "one that waits is not there twice"
        );
        assert!(
            !store.resend("other", 1).await.unwrap() && !store.resend("hook", 9).await.unwrap()
        );
        assert_eq!(
            states(&store, None).await,
            [
                ("waiting".to_owned(), 0),
                ("waiting".to_owned(), 1),
                ("waiting".to_owned(), 1)
            ]
        );
    }

    #[tokio::test]
    async fn a_replay_tells_what_is_wanted_again_in_order() {
        let (store, _folder) = store().await;
        store
            .append(vec![
                event("a", "1"),
                event("a", "2"),
                NewEvent {
                    kind: "message.sent",
                    ..event("a", "3")
                },
            ])
            .await
            .unwrap();
        for _ in 0..3 {
            settle(&store, "a", Outcome::Delivered).await;
        }
        store
            .put_endpoint("hook", "http://127.0.0.1/", &["message.received"])
            .await
            .unwrap();
        store
            .put_endpoint("new", "http://127.0.0.1/", &[])
            .await
            .unwrap();
        assert_eq!(store.replay("hook", 1, 4).await.unwrap(), (2, 4));
        assert_eq!(store.replay("new", 2, 3).await.unwrap(), (1, 3));
        let mut told: Vec<_> = due(&store).await;
        assert_eq!(told.len(), 2, "one chat each");
        told.sort();
        assert_eq!(
            told,
            [
                ("a".to_owned(), "1".to_owned()),
                ("a".to_owned(), "2".to_owned())
            ]
        );
        assert_eq!(
            store.replay("hook", 1, 4).await.unwrap(),
            (0, 4),
            "what waits is told anyway"
        );
        assert_eq!(store.replay("nobody", 1, 4).await.unwrap(), (0, 4));
    }

    #[tokio::test]
    async fn a_time_is_a_place_among_events() {
        let (store, _folder) = store().await;
        assert!(
            store.place_of(soon()).await.unwrap() <= 1,
            "before whatever comes"
        );
        for number in 0..5 {
            store
                .append(vec![event("a", &number.to_string())])
                .await
                .unwrap();
        }
        let times: Vec<i64> = sqlx::query_scalar("SELECT created_at FROM events ORDER BY seq")
            .fetch_all(&store.readers)
            .await
            .unwrap();
        let place = times.iter().position(|at| *at == times[3]).unwrap() as i64 + 1;
        assert_eq!(store.place_of(time(times[3])).await.unwrap(), place);
        assert_eq!(store.place_of(soon()).await.unwrap(), 6);
        let first = store.place_of(Timestamp::UNIX_EPOCH).await.unwrap();
        assert!(first <= 1, "{first}");
    }
}
