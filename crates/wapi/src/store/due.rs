//! Due deliveries, looked up by destination, so that a million waiting for one hide none of
//! another.

use jiff::{SignedDuration, Timestamp};
use sqlx::sqlite::{Sqlite, SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Row};

use super::{Life, Store, StoreError, time};
use crate::event::MessageKey;

/// The head of a lane that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub delivery: i64,
    pub endpoint: String,
    /// An endpoint, or its URL for one session: the unit that is slow or broken on its own.
    pub gate: String,
    due_at: i64,
}

impl From<&Due> for Head {
    fn from(due: &Due) -> Self {
        let (endpoint, gate) = (due.endpoint.clone(), due.gate.clone());
        Self {
            delivery: due.delivery,
            endpoint,
            gate,
            due_at: due.created_at.as_millisecond(),
        }
    }
}

impl Head {
    /// Returns a head that has always been due.
    #[cfg(test)]
    pub fn new(delivery: i64, endpoint: &str, gate: &str) -> Self {
        Self {
            delivery,
            endpoint: endpoint.to_owned(),
            gate: gate.to_owned(),
            due_at: 0,
        }
    }
}

/// A delivery that is due: the oldest one waiting in its lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
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
    /// Fields of the endpoint; see [`super::Endpoint`].
    pub endpoint_version: i64,
    pub endpoint_failing_since: Option<Timestamp>,
    pub endpoint_failures: u32,
    pub gate: String,
    pub session: Life,
    pub chat: String,
    /// The message that the event is about, if there is one.
    pub message: Option<MessageKey>,
    /// The type, id and envelope of the event.
    pub kind: String,
    pub event: String,
    pub body: String,
    /// Whether the delivery is parked.
    pub is_aside: bool,
    /// Whether the delivery was requested again.
    pub is_resent: bool,
}

/// The longest retry delay. A time further ahead comes from a wrong system clock, and is due.
pub(super) const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(30);

impl Due {
    /// Returns the time until which the delivery itself must wait; `None`: it may be tried now.
    pub fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        let longest = now.saturating_add(LONGEST_WAIT).unwrap_or(Timestamp::MAX);
        self.retry_at.filter(|at| *at > now && *at <= longest)
    }
}

/// The destinations of all lanes, found by index jumps from one to the next, however many lanes
/// each has.
const GATES: &str = "WITH RECURSIVE gates (gate) AS ( \
       SELECT min(gate) FROM lanes \
       UNION ALL \
       SELECT (SELECT min(l.gate) FROM lanes l WHERE l.gate > gates.gate) FROM gates WHERE gates.gate IS NOT NULL \
     ), enabled (gate) AS ( \
       SELECT g.gate FROM gates g CROSS JOIN endpoints p ON p.id = (SELECT l.endpoint FROM lanes l WHERE l.gate = g.gate LIMIT 1) \
       WHERE g.gate IS NOT NULL AND p.disabled_at IS NULL \
     ) ";

const DUE: &str = "SELECT d.id, d.attempts - d.forgiven AS attempts, d.created_at, d.first_failed_at, d.last_failed_at, d.aside, \
     d.resent, l.retry_at, l.gate, d.endpoint, p.version, p.failing_since, p.failures, d.session AS name, d.chat, e.session, \
     e.message_chat, e.sender, e.message_id, e.type, e.id AS event, e.body \
     FROM deliveries d JOIN events e ON e.seq = d.event JOIN endpoints p ON p.id = d.endpoint ";

impl Store {
    /// Returns up to `each` heads of due lanes per enabled destination, longest due first.
    pub async fn heads_due(&self, now: Timestamp, each: usize) -> Result<Vec<Head>, StoreError> {
        Ok(heads(&self.readers, now, each).await?)
    }

    /// Loads those of these deliveries that still head their lanes, in any order.
    pub async fn load_due(&self, deliveries: &[i64]) -> Result<Vec<Due>, StoreError> {
        Ok(load(&self.readers, deliveries).await?)
    }

    /// Returns up to `limit` due deliveries, one for each chat, longest due first.
    #[cfg(test)]
    pub async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        let mut heads = self.heads_due(now, limit).await?;
        heads.truncate(limit);
        let ids: Vec<i64> = heads.iter().map(|head| head.delivery).collect();
        let mut due = self.load_due(&ids).await?;
        due.sort_by_key(|due| ids.iter().position(|id| *id == due.delivery));
        Ok(due)
    }

    /// Returns the delivery that waits behind this one.
    pub async fn behind(&self, due: &Due) -> Result<Option<Due>, StoreError> {
        Ok(behind(&self.readers, due).await?)
    }

    /// Returns the time at which the next delivery that is not due yet becomes due.
    pub async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(next_due(&self.readers, now).await?)
    }
}

async fn heads(pool: &SqlitePool, now: Timestamp, each: usize) -> Result<Vec<Head>, sqlx::Error> {
    let mut sql = QueryBuilder::<Sqlite>::new(GATES);
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
        now.saturating_add(LONGEST_WAIT)
            .unwrap_or(Timestamp::MAX)
            .as_millisecond(),
    );
    sql.push(" ORDER BY n.due_at, n.head LIMIT ")
        .push_bind(each)
        .push(" + 0))");
    let rows = sql.build().fetch_all(pool).await?;
    let head = |row: &SqliteRow| Head {
        delivery: row.get("head"),
        endpoint: row.get("endpoint"),
        gate: row.get("gate"),
        due_at: row.get("due_at"),
    };
    let mut heads: Vec<Head> = rows.iter().map(head).collect();
    heads.sort_by_key(|head| (head.due_at, head.delivery));
    Ok(heads)
}

async fn next_due(pool: &SqlitePool, now: Timestamp) -> Result<Option<Timestamp>, sqlx::Error> {
    let mut sql = QueryBuilder::<Sqlite>::new(GATES);
    sql.push("SELECT min((SELECT min(l.due_at) FROM lanes l WHERE l.gate = g.gate AND l.due_at > ");
    sql.push_bind(now.as_millisecond())
        .push(")) FROM enabled g");
    let next: Option<i64> = sql.build_query_scalar().fetch_one(pool).await?;
    Ok(next.map(time))
}

async fn load(pool: &SqlitePool, deliveries: &[i64]) -> Result<Vec<Due>, sqlx::Error> {
    if deliveries.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = QueryBuilder::<Sqlite>::new(DUE);
    sql.push("JOIN lanes l ON l.head = d.id WHERE d.id IN ")
        .push_tuples(deliveries, |mut row, id| {
            row.push_bind(id);
        });
    Ok(sql.build().fetch_all(pool).await?.iter().map(due).collect())
}

async fn behind(pool: &SqlitePool, head: &Due) -> Result<Option<Due>, sqlx::Error> {
    let mut sql = QueryBuilder::<Sqlite>::new(DUE);
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
    Ok(sql.build().fetch_optional(pool).await?.as_ref().map(due))
}

fn due(row: &SqliteRow) -> Due {
    let maybe = |column| row.get::<Option<i64>, _>(column).map(time);
    let count = |column| u32::try_from(row.get::<i64, _>(column)).unwrap_or(u32::MAX);
    Due {
        delivery: row.get("id"),
        attempts: count("attempts"),
        created_at: time(row.get("created_at")),
        first_failed_at: maybe("first_failed_at"),
        last_failed_at: maybe("last_failed_at"),
        retry_at: Some(row.get("retry_at")).filter(|at| *at > 0).map(time),
        endpoint: row.get("endpoint"),
        endpoint_version: row.get("version"),
        endpoint_failing_since: maybe("failing_since"),
        endpoint_failures: count("failures"),
        gate: row.get("gate"),
        session: Life::read(row.get("session"), row.get("name")),
        chat: row.get("chat"),
        message: message(row),
        kind: row.get("type"),
        event: row.get("event"),
        body: row.get("body"),
        is_aside: row.get::<i64, _>("aside") != 0,
        is_resent: row.get::<i64, _>("resent") != 0,
    }
}

fn message(row: &SqliteRow) -> Option<MessageKey> {
    let text = |column| row.get::<Option<String>, _>(column);
    Some(MessageKey {
        chat: text("message_chat")?,
        sender: text("sender")?,
        id: text("message_id")?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{event, settle, soon, store};
    use super::super::{EndpointChange, EndpointState, Failed, NewEvent, Outcome, Settled};
    use super::*;

    fn in_(seconds: i64) -> Timestamp {
        soon() + jiff::SignedDuration::from_secs(seconds)
    }

    /// Returns the message ids of the deliveries due at that time.
    async fn due_at(store: &Store, at: Timestamp) -> Vec<String> {
        let due = store.due(at, 100).await.unwrap();
        due.into_iter().map(|due| due.message.unwrap().id).collect()
    }

    fn hold(retry_in: i64, probe_in: i64) -> Outcome {
        Outcome::Hold {
            error: Some("500".into()),
            retry_at: in_(retry_in),
            probe_from: in_(probe_in),
        }
    }

    #[tokio::test]
    async fn a_crowd_at_one_gate_hides_nobody_at_another() {
        let (store, _folder) = store().await;
        store
            .put_endpoint("hook", "http://127.0.0.1/", &["message.received"])
            .await
            .unwrap();
        store
            .put_endpoint("other", "http://127.0.0.2/", &["message.sent"])
            .await
            .unwrap();
        store
            .put_endpoint_per_session("original", "http://127.0.0.3/", &["message.sent"])
            .await
            .unwrap();
        store
            .append(
                (0..1_000)
                    .map(|chat| event(&chat.to_string(), "1"))
                    .collect(),
            )
            .await
            .unwrap();
        let lives = |name: &str| Life::test(if name == "shop" { 1 } else { 2 }, name);
        let sent = |session: &str| NewEvent {
            kind: "message.sent",
            session: lives(session),
            ..event("a", "2")
        };
        store.append(vec![sent("shop"), sent("bar")]).await.unwrap();
        let heads = store.heads_due(soon(), 16).await.unwrap();
        let of = |gate: &str| heads.iter().filter(|head| head.gate == gate).count();
        assert_eq!(
            (
                of("hook"),
                of("other"),
                of("original/shop"),
                of("original/bar")
            ),
            (16, 2, 1, 1)
        );
        assert_eq!(heads.len(), 20);
    }

    #[tokio::test]
    async fn a_disabled_endpoint_keeps_what_happens_until_it_is_enabled() {
        let (store, _folder) = store().await;
        let state = |state| EndpointChange {
            state: Some(state),
            ..EndpointChange::default()
        };
        store
            .append(vec![event("a", "1"), event("a", "2")])
            .await
            .unwrap();
        settle(
            &store,
            "a",
            Outcome::Again {
                error: "500".into(),
                due_at: in_(9_000),
            },
        )
        .await;
        assert!(
            store
                .change_endpoint("hook", state(EndpointState::Disabled))
                .await
                .unwrap()
        );
        store.append(vec![event("b", "1")]).await.unwrap();
        assert!(due_at(&store, in_(99_000)).await.is_empty());
        assert_eq!(store.next_due(soon()).await.unwrap(), None);
        assert!(
            store
                .change_endpoint("hook", state(EndpointState::Enabled))
                .await
                .unwrap()
        );
        let due = store.due(soon(), 10).await.unwrap();
        let of_a = due.iter().find(|due| due.chat == "a").unwrap();
        assert_eq!(
            (due.len(), of_a.attempts, of_a.first_failed_at),
            (2, 0, None),
            "its schedule begins anew"
        );
        assert!(
            !store
                .change_endpoint("nobody", state(EndpointState::Enabled))
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn what_comes_behind_a_delivery_that_holds_its_chat_is_looked_at_soon() {
        let (store, _folder) = store().await;
        store.append(vec![event("a", "1")]).await.unwrap();
        settle(&store, "a", hold(9_000, 600)).await;
        assert!(
            due_at(&store, in_(8_000)).await.is_empty(),
            "nothing waits behind it"
        );
        store.append(vec![event("a", "2")]).await.unwrap();
        assert!(
            due_at(&store, in_(500)).await.is_empty(),
            "not more often than that"
        );
        let held = store.due(in_(700), 10).await.unwrap().remove(0);
        assert_eq!(held.message.as_ref().unwrap().id, "1");
        assert!(
            held.retry_at.unwrap() > in_(8_000),
            "it is not to be tried itself"
        );
        let behind = store.behind(&held).await.unwrap().unwrap();
        assert_eq!(behind.message.as_ref().unwrap().id, "2");
        store
            .settle(Settled {
                delivery: held.delivery,
                outcome: hold(9_000, 1_200),
            })
            .await
            .unwrap();
        assert!(due_at(&store, in_(1_100)).await.is_empty());
        assert_eq!(
            due_at(&store, in_(1_300)).await,
            ["1"],
            "with something behind it, it is looked at again"
        );

        let outcome = Outcome::Overtaken {
            error: None,
            by: behind.delivery,
            due_at: in_(9_000),
        };
        store
            .settle(Settled {
                delivery: held.delivery,
                outcome,
            })
            .await
            .unwrap();
        store.append(vec![event("a", "3")]).await.unwrap();
        assert_eq!(due_at(&store, soon()).await, ["3"]);
        settle(&store, "a", Outcome::Delivered).await;
        let late = store.due(in_(9_001), 10).await.unwrap();
        assert_eq!(
            (late.len(), late[0].is_aside, late[0].attempts),
            (1, true, 2)
        );
    }

    #[tokio::test]
    async fn what_was_put_off_while_the_time_of_day_was_wrong_is_due() {
        let (store, _folder) = store().await;
        store
            .append(vec![event("a", "1"), event("b", "2"), event("c", "3")])
            .await
            .unwrap();
        let month = 30 * 24 * 3_600;
        settle(
            &store,
            "a",
            Outcome::Again {
                error: "500".into(),
                due_at: in_(month),
            },
        )
        .await;
        settle(&store, "b", hold(month + 60, month)).await;
        settle(
            &store,
            "c",
            Outcome::Again {
                error: "500".into(),
                due_at: in_(24 * 3_600),
            },
        )
        .await;
        let mut due = due_at(&store, soon()).await;
        due.sort();
        assert_eq!(due, ["1", "2"]);
        assert_eq!(
            due_at(&store, in_(month + 120)).await.len(),
            3,
            "when it has come, it is due like any other"
        );
    }

    #[tokio::test]
    async fn an_outage_that_is_over_is_over_for_all_chats() {
        let (store, _folder) = store().await;
        store
            .append(vec![event("a", "1"), event("b", "2"), event("c", "3")])
            .await
            .unwrap();
        let error = || Failed::from("500");
        settle(
            &store,
            "a",
            Outcome::Again {
                error: error(),
                due_at: in_(9_000),
            },
        )
        .await;
        settle(
            &store,
            "b",
            Outcome::Aside {
                error: error(),
                due_at: in_(9_000),
            },
        )
        .await;
        assert_eq!(store.endpoint("hook").await.unwrap().unwrap().failures, 2);
        store
            .endpoint_has_recovered("hook", "hook", super::super::Wake::Nobody)
            .await
            .unwrap();
        assert_eq!(due_at(&store, soon()).await, ["3"]);
        store
            .endpoint_has_recovered("hook", "hook", super::super::Wake::Chats)
            .await
            .unwrap();
        assert_eq!(due_at(&store, soon()).await, ["3", "1"]);
        let endpoint = store.endpoint("hook").await.unwrap().unwrap();
        assert_eq!((endpoint.failures, endpoint.failing_since), (0, None));
    }
}
