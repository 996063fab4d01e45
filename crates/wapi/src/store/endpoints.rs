//! Who is told.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::writer::Change;
use super::{Due, NewEvent, Store, StoreError, events, time};

/// Somebody who is told what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub id: String,
    /// For one with an address for each session, what they have in common.
    pub url: String,
    pub is_per_session: bool,
    /// It was made when every address was open, and not moved since: nobody judges where it leads.
    pub keeps_its_address: bool,
    /// `None`: told of all sessions.
    pub session: Option<String>,
    /// Empty: told of everything.
    pub types: Vec<String>,
    /// Sent along with every post; may hold secrets.
    pub headers: BTreeMap<String, String>,
    /// Another one means that something here, or a key, has changed.
    pub version: i64,
    /// While this is there nothing is tried, and what happens waits.
    pub disabled: Option<Disabled>,
    /// Since when nothing was taken, and how many attempts that were.
    pub failing_since: Option<Timestamp>,
    pub failures: u32,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disabled {
    pub since: Timestamp,
    pub reason: DisabledReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisabledReason {
    /// Somebody said so.
    Asked,
    /// It answered 410.
    Gone,
    /// It has taken nothing for too long.
    Failing,
}

impl DisabledReason {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }

    fn parse(word: &str) -> Self {
        match word {
            "gone" => Self::Gone,
            "failing" => Self::Failing,
            _ => Self::Asked,
        }
    }
}

const ENDPOINT: &str = "SELECT id, url, per_session, keeps_address, session, types, headers, version, disabled_at, disabled_reason, \
                        failing_since, failures, created_at FROM endpoints WHERE deleted_at IS NULL ";

impl Store {
    /// Sets where an endpoint is and which types of events it wants (none named: all); makes it if it is new.
    #[cfg(test)]
    pub async fn put_endpoint(
        &self,
        id: &str,
        url: &str,
        types: &[&str],
    ) -> Result<(), StoreError> {
        let (id, url, types) = (id.to_owned(), url.to_owned(), types.join(","));
        self.writer
            .change(PutEndpoint {
                id,
                url,
                types,
                per_session: 0,
            })
            .await
    }

    /// Sets where an endpoint is that has an address for each session, and which types of events it wants (none named: all); makes it if
    /// it is new. What is wrong with one of its addresses says nothing about another.
    pub async fn put_endpoint_per_session(
        &self,
        id: &str,
        url: &str,
        types: &[&str],
    ) -> Result<(), StoreError> {
        let (id, url, types) = (id.to_owned(), url.to_owned(), types.join(","));
        self.writer
            .change(PutEndpoint {
                id,
                url,
                types,
                per_session: 1,
            })
            .await
    }

    /// Everybody, in the order they were made.
    pub async fn endpoints(&self) -> Result<Vec<Endpoint>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("{ENDPOINT} ORDER BY created_at, id"));
        Ok(sqlx::query(sql)
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(endpoint)
            .collect())
    }

    /// Those that are told nothing at the moment.
    pub async fn disabled_endpoints(&self) -> Result<Vec<Endpoint>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "{ENDPOINT} AND disabled_at IS NOT NULL ORDER BY created_at, id"
        ));
        Ok(sqlx::query(sql)
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(endpoint)
            .collect())
    }

    /// The endpoint of this id, unless it was deleted.
    pub async fn endpoint(&self, id: &str) -> Result<Option<Endpoint>, StoreError> {
        let query = sqlx::query(sqlx::AssertSqlSafe(format!("{ENDPOINT} AND id = $1"))).bind(id);
        Ok(query
            .fetch_optional(&self.readers)
            .await?
            .as_ref()
            .map(endpoint))
    }

    /// An endpoint took something after a time in which it had not. If that time was long, chats that wait for their next attempt
    /// need not wait any longer.
    pub async fn endpoint_has_recovered(
        &self,
        id: &str,
        gate: &str,
        wake: Wake,
    ) -> Result<(), StoreError> {
        self.writer
            .change(Recovered {
                id: id.to_owned(),
                gate: gate.to_owned(),
                wake,
            })
            .await
    }

    /// Stops telling an endpoint, and tells the others why. False when it was not told anyway, or has worked again meanwhile.
    pub async fn disable_endpoint(&self, disable: DisableEndpoint) -> Result<bool, StoreError> {
        self.writer.change(disable).await
    }
}

/// What becomes of the chats behind a gate that works again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// They are tried at once.
    Chats,
    /// They are tried when it was planned.
    Nobody,
}

fn endpoint(row: &SqliteRow) -> Endpoint {
    let reason = |row: &SqliteRow| {
        DisabledReason::parse(
            row.get::<Option<&str>, _>("disabled_reason")
                .unwrap_or_default(),
        )
    };
    let disabled = row.get::<Option<i64>, _>("disabled_at");
    Endpoint {
        id: row.get("id"),
        url: row.get("url"),
        is_per_session: row.get::<i64, _>("per_session") == 1,
        keeps_its_address: row.get::<Option<i64>, _>("keeps_address") == Some(1),
        session: Some(row.get::<String, _>("session")).filter(|session| !session.is_empty()),
        types: list(row.get("types")),
        headers: serde_json::from_str(row.get("headers")).unwrap_or_default(),
        version: row.get("version"),
        disabled: disabled.map(|since| Disabled {
            since: time(since),
            reason: reason(row),
        }),
        failing_since: row.get::<Option<i64>, _>("failing_since").map(time),
        failures: u32::try_from(row.get::<i64, _>("failures")).unwrap_or(u32::MAX),
        created_at: time(row.get("created_at")),
    }
}

/// What [`list`] takes apart.
fn list(text: &str) -> Vec<String> {
    text.split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

struct PutEndpoint {
    id: String,
    url: String,
    types: String,
    per_session: i64,
}

impl Change for PutEndpoint {
    type Answer = ();

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let sql = "INSERT INTO endpoints (id, url, types, per_session, created_at) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (id) DO UPDATE SET url = excluded.url, types = excluded.types, \
                   per_session = excluded.per_session, version = version + 1";
        let query = sqlx::query(sql)
            .bind(&self.id)
            .bind(&self.url)
            .bind(&self.types)
            .bind(self.per_session);
        query.bind(now.as_millisecond()).execute(connection).await?;
        Ok(())
    }
}

struct Recovered {
    id: String,
    gate: String,
    wake: Wake,
}

impl Change for Recovered {
    type Answer = ();

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let sql = "UPDATE endpoints SET failing_since = NULL, failures = 0 WHERE id = $1";
        sqlx::query(sql)
            .bind(&self.id)
            .execute(&mut *connection)
            .await?;
        if self.wake == Wake::Chats {
            // What has stepped aside did so because the endpoint took others, so it learns nothing from one more.
            let sql = "UPDATE lanes SET due_at = $1, retry_at = 0, probe_from = 0 WHERE gate = $2 AND aside = 0 AND due_at > $1";
            sqlx::query(sql)
                .bind(now.as_millisecond())
                .bind(&self.gate)
                .execute(connection)
                .await?;
        }
        Ok(())
    }
}

/// Says why an endpoint is not told any more.
#[derive(Debug, Clone)]
pub struct DisableEndpoint {
    pub id: String,
    pub reason: DisabledReason,
    /// What the others are told; see [`NewEvent::of_endpoint`].
    pub event: NewEvent,
}

impl Change for DisableEndpoint {
    type Answer = bool;

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<bool, sqlx::Error> {
        let sql = "UPDATE endpoints SET disabled_at = $1, disabled_reason = $2 WHERE id = $3 AND disabled_at IS NULL \
                   AND deleted_at IS NULL AND failing_since IS NOT NULL";
        let query = sqlx::query(sql)
            .bind(now.as_millisecond())
            .bind(self.reason.word())
            .bind(&self.id);
        let is_news = query.execute(&mut *connection).await?.rows_affected() > 0;
        if is_news {
            events::record(connection, &[&self.event], now).await?;
        }
        Ok(is_news)
    }
}

/// Counts an attempt in vain against the endpoint of this delivery.
pub(super) async fn has_failed(
    connection: &mut SqliteConnection,
    delivery: i64,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let sql = "UPDATE endpoints SET failing_since = COALESCE(failing_since, $1), failures = failures + 1 \
               WHERE id = (SELECT endpoint FROM deliveries WHERE id = $2)";
    sqlx::query(sql)
        .bind(now.as_millisecond())
        .bind(delivery)
        .execute(connection)
        .await?;
    Ok(())
}

/// Who may want to be told of an event.
pub(super) struct Subscriber {
    pub id: String,
    is_per_session: bool,
    /// Empty: of all sessions.
    session: String,
    /// Separated by commas. Empty: all.
    types: String,
    pub is_enabled: bool,
    version: i64,
    failing_since: Option<Timestamp>,
    failures: u32,
}

impl Subscriber {
    /// Nobody is told of itself: an endpoint that is disabled would learn of it when it is not any more.
    pub fn wants(&self, session: &str, chat: &str, kind: &str) -> bool {
        (self.session.is_empty() || self.session == session)
            && (self.types.is_empty() || self.types.split(',').any(|wanted| wanted == kind))
            && !events::is_about_endpoint(chat, &self.id)
    }

    /// What is slow or broken on its own when it tells of this session.
    pub fn gate(&self, session: &str) -> String {
        if self.is_per_session {
            format!("{}/{session}", self.id)
        } else {
            self.id.clone()
        }
    }

    /// A delivery of a new event as the database will give it.
    pub fn due(&self, event: &NewEvent, delivery: i64, now: Timestamp) -> Due {
        Due {
            delivery,
            attempts: 0,
            created_at: time(now.as_millisecond()),
            first_failed_at: None,
            last_failed_at: None,
            retry_at: None,
            endpoint: self.id.clone(),
            endpoint_version: self.version,
            endpoint_failing_since: self.failing_since,
            endpoint_failures: self.failures,
            gate: self.gate(event.session.name()),
            session: event.session.clone(),
            chat: event.chat.clone(),
            message: event.message.clone(),
            kind: event.kind.to_owned(),
            event: event.id.clone(),
            body: event.body.clone(),
            is_aside: false,
            is_resent: false,
        }
    }
}

pub(super) async fn subscribers(
    connection: &mut SqliteConnection,
) -> Result<Vec<Subscriber>, sqlx::Error> {
    let sql = "SELECT id, per_session, session, types, disabled_at, version, failing_since, failures \
               FROM endpoints WHERE deleted_at IS NULL";
    let rows = sqlx::query(sql).fetch_all(connection).await?;
    let subscriber = |row: &SqliteRow| Subscriber {
        id: row.get("id"),
        is_per_session: row.get::<i64, _>("per_session") == 1,
        session: row.get("session"),
        types: row.get("types"),
        is_enabled: row.get::<Option<i64>, _>("disabled_at").is_none(),
        version: row.get("version"),
        failing_since: row.get::<Option<i64>, _>("failing_since").map(time),
        failures: u32::try_from(row.get::<i64, _>("failures")).unwrap_or(u32::MAX),
    };
    Ok(rows.iter().map(subscriber).collect())
}
