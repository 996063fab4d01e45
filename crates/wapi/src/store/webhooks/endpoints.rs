//! Webhook endpoints: rows, and which events each subscribes to.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use strum::{EnumString, IntoStaticStr};

use super::open::log_reader::LoggedEvent;
use crate::store::db::{self, Connection, Row};
use crate::store::events::log;
use crate::store::lives::life::GATEWAY_LIFE;
use crate::store::sealing::{SealedPlace, Sealer, UnreadableRows};
use crate::store::writer::StoreChange;
use crate::store::{DueDelivery, NewEvent, StoreError, WebhookStore, to_timestamp};

/// A webhook subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub id: String,
    /// For an endpoint with an address for each session, the common part of the addresses.
    pub url: String,
    pub is_per_session: bool,
    /// The endpoint was created before the egress policy existed, and its address has not changed
    /// since: the address is not checked.
    pub keeps_its_address: bool,
    /// `None`: events of all sessions.
    pub session: Option<String>,
    /// Empty: events of all types.
    pub types: Vec<String>,
    /// Sent with every post; may hold secrets.
    pub headers: BTreeMap<String, String>,
    /// Increases with every change of the endpoint or its keys.
    pub version: i64,
    /// While set, nothing is attempted and events wait.
    pub disabled: Option<DisabledState>,
    /// The time since when no delivery was accepted, and the failed attempts since then.
    pub failing_since: Option<Timestamp>,
    pub failures: u32,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisabledState {
    pub since: Timestamp,
    pub reason: DisabledReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum DisabledReason {
    /// An API request disabled it.
    #[strum(serialize = "asked")]
    Requested,
    /// The endpoint answered 410.
    Gone,
    /// The endpoint has accepted nothing for too long.
    Failing,
}

const SELECT_ENDPOINT: &str = "SELECT id, url, per_session, keeps_address, session, types, headers, version, disabled_at, disabled_reason, \
                        failing_since, failures, created_at FROM endpoints WHERE deleted_at IS NULL ";

impl WebhookStore<'_> {
    /// Saves the URL and event types of an endpoint (no types: all), and creates it if it is new.
    #[cfg(test)]
    pub async fn save_endpoint(
        self,
        id: &str,
        url: &str,
        types: &[&str],
    ) -> Result<(), StoreError> {
        let (id, url, types) = (id.to_owned(), url.to_owned(), types.join(","));
        self.store
            .writer
            .apply_change(SaveEndpoint {
                id,
                url,
                types,
                per_session: 0,
            })
            .await
    }

    /// Returns the secrets of an endpoint, newest first, and their expiry times. Those that cannot be
    /// opened are left out, unless one of them signs without an end: once the others have expired,
    /// posts would be unsigned.
    pub async fn list_signing_keys(
        self,
        id: &str,
    ) -> Result<Vec<(String, Option<Timestamp>)>, StoreError> {
        let sql = "SELECT secret, created_at, expires_at FROM endpoint_keys WHERE endpoint = $1 \
                   ORDER BY created_at DESC";
        let rows = db::query(sql).bind(id).fetch_all(&self.store.readers);
        let (mut keys, mut refused, mut signs_unread) = (Vec::new(), None, false);
        let mut unreadable = UnreadableRows::new("endpoint_keys");
        for row in rows.await? {
            let secret = row.try_get("secret").map_err(StoreError::from);
            let created_at = row.get("created_at");
            let open = |secret| {
                with_key_place(id, created_at, |place| {
                    self.store.sealer.open_text(place, secret)
                })
            };
            let expires_at: Option<i64> = row.get("expires_at");
            match secret.and_then(open) {
                Ok(secret) => keys.push((secret, expires_at.map(to_timestamp))),
                Err(error) => {
                    unreadable.note(id, &error);
                    refused.get_or_insert(error);
                    signs_unread |= expires_at.is_none();
                }
            }
        }
        unreadable.report();
        match refused {
            Some(error) if signs_unread || keys.is_empty() => Err(error),
            _ => Ok(keys),
        }
    }

    /// Saves the URL and event types (no types: all) of an endpoint with an address for each
    /// session, and creates it if it is new. A fault of one of its addresses says nothing about the
    /// others.
    pub async fn save_endpoint_per_session(
        self,
        id: &str,
        url: &str,
        types: &[&str],
    ) -> Result<(), StoreError> {
        let (id, url, types) = (id.to_owned(), url.to_owned(), types.join(","));
        self.store
            .writer
            .apply_change(SaveEndpoint {
                id,
                url,
                types,
                per_session: 1,
            })
            .await
    }

    /// Returns all endpoints whose headers can be opened, oldest first.
    pub async fn list_endpoints(self) -> Result<Vec<Endpoint>, StoreError> {
        let sql = format!("{SELECT_ENDPOINT} ORDER BY created_at, id");
        let rows = db::query(sql).fetch_all(&self.store.readers).await?;
        Ok(readable_endpoints(&rows, &self.store.sealer))
    }

    /// Returns the endpoints that are disabled at the moment, if their headers can be opened.
    pub async fn list_disabled_endpoints(self) -> Result<Vec<Endpoint>, StoreError> {
        let sql = format!("{SELECT_ENDPOINT} AND disabled_at IS NOT NULL ORDER BY created_at, id");
        let rows = db::query(sql).fetch_all(&self.store.readers).await?;
        Ok(readable_endpoints(&rows, &self.store.sealer))
    }

    /// Returns the endpoint with this id, unless it was deleted.
    pub async fn find_endpoint(self, id: &str) -> Result<Option<Endpoint>, StoreError> {
        let query = db::query(format!("{SELECT_ENDPOINT} AND id = $1")).bind(id);
        let row = query.fetch_optional(&self.store.readers).await?;
        row.map(|row| endpoint_from_row(&row, &self.store.sealer))
            .transpose()
    }

    /// Records that an endpoint has accepted a delivery after failures. `wake` says whether chats
    /// that wait for their next attempt, after a long outage, become due at once.
    pub async fn record_endpoint_recovery(
        self,
        id: &str,
        destination: &str,
        wake: WakePolicy,
    ) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(RecordRecovery {
                id: id.to_owned(),
                destination: destination.to_owned(),
                wake,
            })
            .await
    }

    /// Disables an endpoint that is failing, and records the event for the others. Returns false if
    /// it was disabled already, or has recovered meanwhile.
    pub async fn disable_endpoint(self, disable: DisableEndpoint) -> Result<bool, StoreError> {
        self.store.writer.apply_change(disable).await
    }
}

/// The treatment of the chats behind a destination that works again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakePolicy {
    /// They are tried at once.
    AtOnce,
    /// They are tried at their planned times.
    AsPlanned,
}

/// Passes the place of the headers of an endpoint on. They belong to the whole gateway.
pub(in crate::store) fn with_headers_place<T>(
    endpoint: &str,
    work: impl FnOnce(&SealedPlace<'_>) -> T,
) -> T {
    work(&SealedPlace::of_life(
        "endpoints",
        GATEWAY_LIFE,
        &[endpoint],
    ))
}

/// Passes the place of a secret of an endpoint on: a former one is not put in the place of the one
/// that signs now.
pub(in crate::store) fn with_key_place<T>(
    endpoint: &str,
    created_at: i64,
    work: impl FnOnce(&SealedPlace<'_>) -> T,
) -> T {
    let key = [endpoint, &created_at.to_string()];
    work(&SealedPlace::of_life("endpoint_keys", GATEWAY_LIFE, &key))
}

/// Returns the endpoints of rows, without those whose headers cannot be opened.
fn readable_endpoints(rows: &[Row], sealer: &Sealer) -> Vec<Endpoint> {
    let mut unreadable = UnreadableRows::new("endpoints");
    let endpoints = rows
        .iter()
        .filter_map(|row| {
            let id: String = row.get("id");
            unreadable.keep(id, endpoint_from_row(row, sealer))
        })
        .collect();
    unreadable.report();
    endpoints
}

fn endpoint_from_row(row: &Row, sealer: &Sealer) -> Result<Endpoint, StoreError> {
    let reason = |row: &Row| {
        row.get::<Option<&str>, _>("disabled_reason")
            .and_then(|word| word.parse().ok())
            .unwrap_or(DisabledReason::Requested)
    };
    let disabled = row.get::<Option<i64>, _>("disabled_at");
    let id: String = row.get("id");
    let stored = row.try_get("headers")?;
    let headers = with_headers_place(&id, |place| sealer.open_text(place, stored))?;
    Ok(Endpoint {
        id,
        url: row.get("url"),
        is_per_session: row.get::<i64, _>("per_session") == 1,
        keeps_its_address: row.get::<Option<i64>, _>("keeps_address") == Some(1),
        session: Some(row.get::<String, _>("session")).filter(|session| !session.is_empty()),
        types: split_list(row.get("types")),
        headers: serde_json::from_str(&headers).unwrap_or_default(),
        version: row.get("version"),
        disabled: disabled.map(|since| DisabledState {
            since: to_timestamp(since),
            reason: reason(row),
        }),
        failing_since: row.get::<Option<i64>, _>("failing_since").map(to_timestamp),
        failures: u32::try_from(row.get::<i64, _>("failures")).unwrap_or(u32::MAX),
        created_at: to_timestamp(row.get("created_at")),
    })
}

/// Splits a comma-separated list.
fn split_list(text: &str) -> Vec<String> {
    text.split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

struct SaveEndpoint {
    id: String,
    url: String,
    types: String,
    per_session: i64,
}

impl StoreChange for SaveEndpoint {
    type Answer = ();

    fn needs_rows(&self) -> bool {
        true
    }

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<(), db::Error> {
        let sql = "INSERT INTO endpoints (id, url, types, per_session, created_at) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (id) DO UPDATE SET url = excluded.url, types = excluded.types, \
                   per_session = excluded.per_session, version = version + 1";
        let query = db::query(sql)
            .bind(&self.id)
            .bind(&self.url)
            .bind(&self.types)
            .bind(self.per_session);
        query.bind(now.as_millisecond()).execute(connection).await?;
        Ok(())
    }
}

struct RecordRecovery {
    id: String,
    destination: String,
    wake: WakePolicy,
}

impl StoreChange for RecordRecovery {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<(), db::Error> {
        let sql = "UPDATE endpoints SET failing_since = NULL, failures = 0 WHERE id = $1";
        db::query(sql)
            .bind(&self.id)
            .execute(&mut *connection)
            .await?;
        if self.wake == WakePolicy::AtOnce {
            // Parked deliveries failed while the endpoint accepted others, so its recovery says
            // nothing about them.
            let sql = "UPDATE lanes SET due_at = $1, retry_at = 0, probe_from = 0 WHERE gate = $2 AND aside = 0 AND due_at > $1";
            db::query(sql)
                .bind(now.as_millisecond())
                .bind(&self.destination)
                .execute(connection)
                .await?;
        }
        Ok(())
    }
}

/// Disables an endpoint for this reason.
#[derive(Debug, Clone)]
pub struct DisableEndpoint {
    pub id: String,
    pub reason: DisabledReason,
    /// The event for the other endpoints; see [`NewEvent::for_endpoint`].
    pub event: NewEvent,
}

impl StoreChange for DisableEndpoint {
    type Answer = bool;

    fn needs_rows(&self) -> bool {
        true
    }

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<bool, db::Error> {
        let sql = "UPDATE endpoints SET disabled_at = $1, disabled_reason = $2 WHERE id = $3 AND disabled_at IS NULL \
                   AND deleted_at IS NULL AND failing_since IS NOT NULL";
        let query = db::query(sql)
            .bind(now.as_millisecond())
            .bind(self.reason.into_str())
            .bind(&self.id);
        let is_news = query.execute(&mut *connection).await?.rows_affected() > 0;
        if is_news {
            log::record_events(connection, &[&self.event], now).await?;
        }
        Ok(is_news)
    }
}

/// Counts a failed attempt against the endpoint of this delivery.
pub(in crate::store) async fn count_endpoint_failure(
    connection: &mut Connection,
    delivery: i64,
    now: Timestamp,
) -> Result<(), db::Error> {
    let sql = "UPDATE endpoints SET failing_since = COALESCE(failing_since, $1), failures = failures + 1 \
               WHERE id = (SELECT endpoint FROM deliveries WHERE id = $2)";
    db::query(sql)
        .bind(now.as_millisecond())
        .bind(delivery)
        .execute(connection)
        .await?;
    Ok(())
}

/// An endpoint, as far as needed to match events.
pub(in crate::store) struct EventSubscriber {
    pub id: String,
    pub is_per_session: bool,
    /// Empty: all sessions.
    session: String,
    /// Separated by commas. Empty: all types.
    types: String,
    pub is_enabled: bool,
    version: i64,
    failing_since: Option<Timestamp>,
    failures: u32,
}

db::from_row!(EventSubscriber { id, is_per_session = "per_session", session, types, is_enabled, version, failing_since, failures });

impl EventSubscriber {
    /// Returns whether the endpoint subscribes to such an event. No endpoint receives events about
    /// itself: a disabled one would receive the news only after it is enabled again.
    pub fn is_subscribed_to(&self, session: &str, chat: &str, kind: &str) -> bool {
        (self.session.is_empty() || self.session == session)
            && (self.types.is_empty() || self.types.split(',').any(|wanted| wanted == kind))
            && !log::is_about_endpoint(chat, &self.id)
    }

    /// Returns the destination for events of this session, which is slow or broken on its own.
    pub fn destination(&self, session: &str) -> String {
        if self.is_per_session {
            format!("{}/{session}", self.id)
        } else {
            self.id.clone()
        }
    }

    /// Returns the delivery of a new event as the database would load it.
    pub fn due_delivery(&self, event: &LoggedEvent, delivery: i64) -> DueDelivery {
        DueDelivery {
            delivery,
            attempts: 0,
            created_at: to_timestamp(event.created_at),
            first_failed_at: None,
            last_failed_at: None,
            retry_at: None,
            endpoint: self.id.clone(),
            endpoint_version: self.version,
            endpoint_failing_since: self.failing_since,
            endpoint_failures: self.failures,
            destination: self.destination(event.session.name()),
            session: event.session.clone(),
            chat: event.chat.clone(),
            message: event.message.clone(),
            kind: event.kind.clone(),
            event: event.id.clone(),
            body: Arc::clone(&event.body),
            is_parked: false,
            is_resent: false,
        }
    }

    /// Brings what a delivery knows of this endpoint up to date.
    pub fn refresh(&self, due: &mut DueDelivery) {
        due.endpoint_version = self.version;
        due.endpoint_failing_since = self.failing_since;
        due.endpoint_failures = self.failures;
    }
}

pub(in crate::store) async fn load_subscribers(
    connection: &mut Connection,
) -> Result<Vec<EventSubscriber>, db::Error> {
    let sql = "SELECT id, per_session, session, types, disabled_at IS NULL AS is_enabled, version, failing_since, failures \
               FROM endpoints WHERE deleted_at IS NULL";
    db::query_as(sql).fetch_all(connection).await
}
