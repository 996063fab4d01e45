//! Who is told what, and how far each telling has come.

use jiff::Timestamp;
use sqlx::sqlite::{Sqlite, SqliteConnection, SqlitePool};
use sqlx::{QueryBuilder, Row};

use super::endpoints::{self, Subscriber};
use super::events::{Inserted, ROWS};
use super::{Store, StoreError, time};
use crate::event::MessageKey;

/// A delivery whose time has come: the oldest that waits in its chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub delivery: i64,
    /// How often it was tried.
    pub attempts: u32,
    /// When the event was saved.
    pub created_at: Timestamp,
    /// When it was first tried in vain, and last.
    pub first_failed_at: Option<Timestamp>,
    pub last_failed_at: Option<Timestamp>,
    pub endpoint: String,
    pub url: String,
    pub session: String,
    pub chat: String,
    /// What it is about, if it is about a message.
    pub message: Option<MessageKey>,
    /// The event's type, id and envelope.
    pub kind: String,
    pub event: String,
    pub body: String,
    /// Whether it has stepped out of its chat's order.
    pub is_aside: bool,
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    pub delivery: i64,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Delivered,
    /// It was not; it is tried again at this time, and its chat waits.
    Again { error: String, due_at: Timestamp },
    /// It was not; it goes on by itself, and its chat moves on.
    Aside { error: String, due_at: Timestamp },
    /// It will not be tried again by itself.
    Dead { error: String },
}

/// One delivery of each event for each endpoint that wants it, at the end of its chat's lane.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    events: &[Inserted<'_>],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    let endpoints = endpoints::subscribers(connection).await?;
    let wanted = |event: &Inserted<'_>, endpoint: &Subscriber| endpoint.wants(&event.event.session, event.event.kind);
    let pairs: Vec<_> = events
        .iter()
        .flat_map(|event| endpoints.iter().map(move |endpoint| (event, endpoint)))
        .filter(|(event, endpoint)| wanted(event, endpoint))
        .collect();
    for pairs in pairs.chunks(ROWS) {
        let mut sql =
            QueryBuilder::<Sqlite>::new("INSERT INTO deliveries (event, endpoint, session, chat, created_at) ");
        sql.push_values(pairs, |mut row, (inserted, endpoint)| {
            row.push_bind(inserted.seq).push_bind(&endpoint.id);
            row.push_bind(&inserted.event.session).push_bind(&inserted.event.chat).push_bind(now.as_millisecond());
        });
        sql.push(" RETURNING id, endpoint, session, chat");
        let mut rows = sql.build().fetch_all(&mut *connection).await?;
        rows.sort_by_key(|row| row.get::<i64, _>("id"));
        let mut sql = QueryBuilder::<Sqlite>::new("INSERT INTO lanes (endpoint, session, chat, aside, head, due_at) ");
        sql.push_values(&rows, |mut lane, row| {
            lane.push_bind(row.get::<&str, _>("endpoint")).push_bind(row.get::<&str, _>("session"));
            lane.push_bind(row.get::<&str, _>("chat")).push_bind(0).push_bind(row.get::<i64, _>("id"));
            lane.push_bind(now.as_millisecond());
        });
        // A lane that is there has an older head.
        sql.push(" ON CONFLICT DO NOTHING");
        sql.build().execute(&mut *connection).await?;
    }
    Ok(())
}

impl Store {
    /// Saves what became of an attempt, and what its chat's next one is.
    pub async fn settle(&self, settled: Settled) -> Result<(), StoreError> {
        let counter = match &settled.outcome {
            Outcome::Delivered => &self.meters.delivered,
            Outcome::Again { .. } | Outcome::Aside { .. } => &self.meters.failed,
            Outcome::Dead { .. } => &self.meters.dead,
        };
        self.writer.settle(settled).await?;
        counter.add(1);
        Ok(())
    }

    /// Up to `limit` deliveries that are due, the longest due first; one for each chat.
    pub async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        Ok(due(&self.readers, now, limit).await?)
    }

    /// When the next delivery that is not due yet will be.
    pub async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(next_due(&self.readers, now).await?)
    }
}

async fn due(pool: &SqlitePool, now: Timestamp, limit: usize) -> Result<Vec<Due>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT d.id, d.attempts, d.created_at, d.aside, l.endpoint, p.url, l.session, l.chat, \
                e.message_chat, e.sender, e.message_id, e.type, e.id AS event, e.body, \
                (SELECT min(at) FROM attempts WHERE delivery = d.id) AS first_failed_at, \
                (SELECT max(at) FROM attempts WHERE delivery = d.id) AS last_failed_at \
         FROM lanes l JOIN deliveries d ON d.id = l.head JOIN events e ON e.seq = d.event \
              JOIN endpoints p ON p.id = l.endpoint \
         WHERE l.due_at <= $1 ORDER BY l.due_at, l.head LIMIT $2",
    )
    .bind(now.as_millisecond())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    let due = |row: &sqlx::sqlite::SqliteRow| Due {
        delivery: row.get("id"),
        attempts: u32::try_from(row.get::<i64, _>("attempts")).unwrap_or(u32::MAX),
        created_at: time(row.get("created_at")),
        first_failed_at: row.get::<Option<i64>, _>("first_failed_at").map(time),
        last_failed_at: row.get::<Option<i64>, _>("last_failed_at").map(time),
        endpoint: row.get("endpoint"),
        url: row.get("url"),
        session: row.get("session"),
        chat: row.get("chat"),
        message: message(row),
        kind: row.get("type"),
        event: row.get("event"),
        body: row.get("body"),
        is_aside: row.get::<i64, _>("aside") != 0,
    };
    Ok(rows.iter().map(due).collect())
}

fn message(row: &sqlx::sqlite::SqliteRow) -> Option<MessageKey> {
    let text = |column| row.get::<Option<String>, _>(column);
    Some(MessageKey { chat: text("message_chat")?, sender: text("sender")?, id: text("message_id")? })
}

async fn next_due(pool: &SqlitePool, now: Timestamp) -> Result<Option<Timestamp>, sqlx::Error> {
    let next: Option<i64> = sqlx::query_scalar("SELECT min(due_at) FROM lanes WHERE due_at > $1")
        .bind(now.as_millisecond())
        .fetch_one(pool)
        .await?;
    Ok(next.map(time))
}

/// Saves what became of attempts: first each delivery, then the lanes of those that gave up their place.
pub(super) async fn settle(
    connection: &mut SqliteConnection,
    settled: &[&Settled],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let mut gone = Vec::with_capacity(settled.len());
    let mut taken = Vec::with_capacity(settled.len());
    for Settled { delivery, outcome } in settled {
        match outcome {
            Outcome::Delivered => taken.push(*delivery),
            Outcome::Again { error, due_at } => {
                failed(connection, *delivery, error, now).await?;
                let sql = sqlx::query("UPDATE lanes SET due_at = $1 WHERE head = $2").bind(due_at.as_millisecond());
                sql.bind(delivery).execute(&mut *connection).await?;
            }
            Outcome::Aside { error, due_at } => {
                failed(connection, *delivery, error, now).await?;
                step_aside(connection, *delivery, *due_at).await?;
            }
            Outcome::Dead { error } => {
                failed(connection, *delivery, error, now).await?;
                let sql = sqlx::query(
                    "UPDATE deliveries SET state = 'dead', settled_at = $1 WHERE id = $2 AND state = 'waiting'",
                );
                sql.bind(now.as_millisecond()).bind(delivery).execute(&mut *connection).await?;
                gone.push(*delivery);
            }
        }
    }
    for taken in taken.chunks(ROWS) {
        let sql = "UPDATE deliveries SET state = 'delivered', attempts = attempts + 1, settled_at = ";
        let mut sql = QueryBuilder::<Sqlite>::new(sql);
        sql.push_bind(now.as_millisecond()).push(" WHERE state = 'waiting' AND id IN ");
        sql.push_tuples(taken, |mut id, delivery| {
            id.push_bind(delivery);
        });
        sql.build().execute(&mut *connection).await?;
    }
    gone.extend(taken);
    move_on(connection, &gone, now).await
}

async fn failed(
    connection: &mut SqliteConnection,
    delivery: i64,
    error: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE deliveries SET attempts = attempts + 1, last_error = $1 WHERE id = $2 AND state = 'waiting'")
        .bind(error)
        .bind(delivery)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO attempts (delivery, number, error, at) \
         SELECT id, attempts, $1, $2 FROM deliveries WHERE id = $3 ON CONFLICT DO NOTHING",
    )
    .bind(error)
    .bind(now.as_millisecond())
    .bind(delivery)
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives a delivery a lane of its own; its chat's lane goes on with the next.
async fn step_aside(connection: &mut SqliteConnection, delivery: i64, due_at: Timestamp) -> Result<(), sqlx::Error> {
    let sql = "UPDATE deliveries SET aside = id WHERE id = $1 AND aside = 0 AND state = 'waiting'";
    let moved = sqlx::query(sql).bind(delivery).execute(&mut *connection).await?;
    if moved.rows_affected() == 0 {
        // It was said before: whether a commit was saved is not always known to whoever asked for it.
        return Ok(());
    }
    // Those that waited behind it are due at once.
    move_on(connection, &[delivery], Timestamp::UNIX_EPOCH).await?;
    sqlx::query(
        "INSERT INTO lanes (endpoint, session, chat, aside, head, due_at) \
         SELECT endpoint, session, chat, aside, id, $1 FROM deliveries WHERE id = $2",
    )
    .bind(due_at.as_millisecond())
    .bind(delivery)
    .execute(connection)
    .await?;
    Ok(())
}

/// The lanes whose head is done go on with their next, at once; those without a next are gone.
async fn move_on(connection: &mut SqliteConnection, gone: &[i64], now: Timestamp) -> Result<(), sqlx::Error> {
    for gone in gone.chunks(ROWS) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "UPDATE lanes SET head = COALESCE((SELECT min(d.id) FROM deliveries d WHERE d.endpoint = lanes.endpoint \
             AND d.session = lanes.session AND d.chat = lanes.chat AND d.aside = lanes.aside AND d.state = 'waiting'), 0), \
             due_at = ",
        );
        sql.push_bind(now.as_millisecond()).push(" WHERE head IN ");
        sql.push_tuples(gone, |mut id, delivery| {
            id.push_bind(delivery);
        });
        sql.build().execute(&mut *connection).await?;
    }
    if !gone.is_empty() {
        sqlx::query("DELETE FROM lanes WHERE head = 0").execute(connection).await?;
    }
    Ok(())
}
