//! Changes to webhook endpoints: create, update, rotate keys, delete.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::endpoints::{with_headers_place, with_key_place};
use crate::store::db::{self, Connection, QueryBuilder};
use crate::store::events::reported::ReportedChange;
use crate::store::sealing::Sealer;
use crate::store::writer::StoreChange;
use crate::store::{DisabledReason, NewEvent, StoreError, WebhookStore};

/// A new endpoint.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    pub id: String,
    pub url: String,
    pub session: Option<String>,
    pub types: Vec<String>,
    pub headers: BTreeMap<String, String>,
    /// The key that signs its posts.
    pub secret: String,
}

/// An update of an endpoint; fields that are `None` keep their values.
#[derive(Debug, Clone, Default)]
pub struct EndpointUpdate {
    pub url: Option<String>,
    /// `Some(None)`: all sessions.
    pub session: Option<Option<String>>,
    pub types: Option<Vec<String>>,
    pub headers: Option<BTreeMap<String, String>>,
    pub state: Option<EndpointState>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// Waiting deliveries are due at once, and their retry schedule starts anew.
    Enabled,
    /// New events wait.
    Disabled,
}

impl WebhookStore<'_> {
    /// Creates an endpoint. This and the other changes record the event that reports them, if one is
    /// given.
    pub async fn create_endpoint(
        self,
        endpoint: NewEndpoint,
        event: Option<NewEvent>,
    ) -> Result<(), StoreError> {
        let change = ReportedChange {
            change: CreateEndpoint {
                endpoint,
                sealer: self.store.sealer.clone(),
            },
            event,
        };
        self.store.writer.apply_change(change).await
    }

    /// Sets whether the endpoints without a decision keep their addresses, wherever they lead, and
    /// returns the ids and URLs of these endpoints.
    pub async fn keep_addresses(self, keep: bool) -> Result<Vec<(String, String)>, StoreError> {
        self.store.writer.apply_change(KeepAddresses(keep)).await
    }

    /// Updates an endpoint. Returns false if there is no such endpoint.
    pub async fn update_endpoint(
        self,
        id: &str,
        change: EndpointUpdate,
        event: Option<NewEvent>,
    ) -> Result<bool, StoreError> {
        let change = UpdateEndpoint {
            id: id.to_owned(),
            update: change,
            sealer: self.store.sealer.clone(),
        };
        self.store
            .writer
            .apply_change(ReportedChange { change, event })
            .await
    }

    /// Deletes an endpoint; its waiting deliveries are dropped later by [`Self::drop_abandoned_deliveries`].
    /// Returns false if there is no such endpoint.
    pub async fn delete_endpoint(
        self,
        id: &str,
        event: Option<NewEvent>,
    ) -> Result<bool, StoreError> {
        let change = DeleteEndpoint(id.to_owned());
        self.store
            .writer
            .apply_change(ReportedChange { change, event })
            .await
    }

    /// Drops up to `limit` waiting deliveries of deleted endpoints, and returns their number.
    pub async fn drop_abandoned_deliveries(self, limit: u32) -> Result<u64, StoreError> {
        self.store
            .writer
            .apply_change(DropAbandonedDeliveries(limit))
            .await
    }

    /// Signs with this secret from now on, and until `old_until` with the former ones, too. Returns
    /// false if there is no such endpoint.
    pub async fn rotate_secret(
        self,
        id: &str,
        secret: &str,
        old_until: Timestamp,
        event: Option<NewEvent>,
    ) -> Result<bool, StoreError> {
        let change = RotateSecret {
            id: id.to_owned(),
            secret: secret.to_owned(),
            old_until,
            sealer: self.store.sealer.clone(),
        };
        self.store
            .writer
            .apply_change(ReportedChange { change, event })
            .await
    }
}

/// Returns headers as they are stored: they may hold secrets.
fn seal_headers(
    sealer: &Sealer,
    endpoint: &str,
    headers: &BTreeMap<String, String>,
) -> Result<String, StoreError> {
    let json = serde_json::to_string(headers).expect("texts are always JSON");
    with_headers_place(endpoint, |place| sealer.seal_text(place, json))
}

struct CreateEndpoint {
    endpoint: NewEndpoint,
    sealer: Sealer,
}

impl StoreChange for CreateEndpoint {
    type Answer = ();

    fn needs_rows(&self) -> bool {
        true
    }

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<(), db::Error> {
        let sql = "INSERT INTO endpoints (id, url, session, types, headers, created_at, keeps_address) \
             VALUES ($1, $2, $3, $4, $5, $6, 0)";
        let Self { endpoint, sealer } = self;
        let query = db::query(sql)
            .bind(&endpoint.id)
            .bind(&endpoint.url)
            .bind(endpoint.session.as_deref().unwrap_or_default());
        let query = query
            .bind(endpoint.types.join(","))
            .bind(seal_headers(sealer, &endpoint.id, &endpoint.headers)?)
            .bind(now.as_millisecond());
        query.execute(&mut *connection).await?;
        add_signing_key(connection, sealer, &endpoint.id, &endpoint.secret, now).await
    }
}

async fn add_signing_key(
    connection: &mut Connection,
    sealer: &Sealer,
    endpoint: &str,
    secret: &str,
    now: Timestamp,
) -> Result<(), db::Error> {
    let known = db::query("SELECT secret, created_at FROM endpoint_keys WHERE endpoint = $1")
        .bind(endpoint)
        .fetch_all(&mut *connection)
        .await?;
    for row in known {
        // Two envelopes of one secret differ, so the database cannot tell. One that is damaged is no
        // other's, and must not keep an endpoint from a new one.
        let Ok(stored) = row.try_get::<String, _>("secret") else {
            continue;
        };
        let text = with_key_place(endpoint, row.get("created_at"), |place| {
            sealer.open_text(place, stored.clone())
        });
        if text.is_ok_and(|text| text == secret) {
            db::query("DELETE FROM endpoint_keys WHERE endpoint = $1 AND secret = $2")
                .bind(endpoint)
                .bind(stored)
                .execute(&mut *connection)
                .await?;
        }
    }
    let sealed = with_key_place(endpoint, now.as_millisecond(), |place| {
        sealer.seal_text(place, secret.to_owned())
    })?;
    let sql = "INSERT INTO endpoint_keys (endpoint, secret, created_at) VALUES ($1, $2, $3)";
    db::query(sql)
        .bind(endpoint)
        .bind(sealed)
        .bind(now.as_millisecond())
        .execute(connection)
        .await?;
    Ok(())
}

/// Decides about the endpoints that were created before the egress policy checked their addresses.
struct KeepAddresses(bool);

impl StoreChange for KeepAddresses {
    type Answer = Vec<(String, String)>;

    async fn write(
        &self,
        connection: &mut Connection,
        _: Timestamp,
    ) -> Result<Self::Answer, db::Error> {
        let sql = "UPDATE endpoints SET keeps_address = $1, version = version + 1 \
                   WHERE keeps_address IS NULL AND per_session = 0 RETURNING id, url";
        let rows = db::query(sql)
            .bind(i64::from(self.0))
            .fetch_all(connection)
            .await?;
        Ok(rows
            .iter()
            .map(|row| (row.get("id"), row.get("url")))
            .collect())
    }
}

struct UpdateEndpoint {
    id: String,
    update: EndpointUpdate,
    sealer: Sealer,
}

impl StoreChange for UpdateEndpoint {
    type Answer = bool;

    fn needs_rows(&self) -> bool {
        true
    }

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<bool, db::Error> {
        let EndpointUpdate {
            url,
            session,
            types,
            headers,
            state,
        } = &self.update;
        let mut sql = QueryBuilder::new("UPDATE endpoints SET version = version + 1");
        if let Some(url) = url {
            sql.push(", keeps_address = 0, url = ").push_bind(url);
        }
        if let Some(session) = session {
            sql.push(", session = ")
                .push_bind(session.as_deref().unwrap_or_default());
        }
        if let Some(types) = types {
            sql.push(", types = ").push_bind(types.join(","));
        }
        if let Some(headers) = headers {
            sql.push(", headers = ")
                .push_bind(seal_headers(&self.sealer, &self.id, headers)?);
        }
        sql.push(" WHERE deleted_at IS NULL AND id = ")
            .push_bind(&self.id);
        if sql.build().execute(&mut *connection).await?.rows_affected() == 0 {
            return Ok(false);
        }
        match state {
            Some(EndpointState::Enabled) => enable_endpoint(connection, &self.id, now).await?,
            Some(EndpointState::Disabled) => disable_endpoint(connection, &self.id, now).await?,
            None => {}
        }
        Ok(true)
    }
}

async fn disable_endpoint(
    connection: &mut Connection,
    id: &str,
    now: Timestamp,
) -> Result<(), db::Error> {
    let sql = "UPDATE endpoints SET disabled_at = $1, disabled_reason = $2 WHERE id = $3 AND disabled_at IS NULL";
    let query = db::query(sql)
        .bind(now.as_millisecond())
        .bind(DisabledReason::Requested.into_str());
    query.bind(id).execute(connection).await?;
    Ok(())
}

/// Enables a disabled endpoint and clears its failures.
async fn enable_endpoint(
    connection: &mut Connection,
    id: &str,
    now: Timestamp,
) -> Result<(), db::Error> {
    let sql = "UPDATE endpoints SET disabled_at = NULL, disabled_reason = NULL, failing_since = NULL, failures = 0 \
               WHERE id = $1 AND disabled_at IS NOT NULL";
    if db::query(sql)
        .bind(id)
        .execute(&mut *connection)
        .await?
        .rows_affected()
        == 0
    {
        return Ok(());
    }
    let sql = "UPDATE deliveries SET forgiven = attempts, first_failed_at = NULL, last_failed_at = NULL \
               WHERE id IN (SELECT head FROM lanes WHERE endpoint = $1)";
    db::query(sql).bind(id).execute(&mut *connection).await?;
    let sql = "UPDATE lanes SET due_at = $1, retry_at = 0, probe_from = 0 WHERE endpoint = $2";
    db::query(sql)
        .bind(now.as_millisecond())
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

struct DeleteEndpoint(String);

impl StoreChange for DeleteEndpoint {
    type Answer = bool;

    fn needs_rows(&self) -> bool {
        true
    }

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<bool, db::Error> {
        let sql = "UPDATE endpoints SET deleted_at = $1, headers = '{}', version = version + 1 WHERE id = $2 AND deleted_at IS NULL";
        let query = db::query(sql).bind(now.as_millisecond()).bind(&self.0);
        if query.execute(&mut *connection).await?.rows_affected() == 0 {
            return Ok(false);
        }
        for sql in [
            "DELETE FROM lanes WHERE endpoint = $1",
            "DELETE FROM endpoint_keys WHERE endpoint = $1",
        ] {
            db::query(sql)
                .bind(&self.0)
                .execute(&mut *connection)
                .await?;
        }
        Ok(true)
    }
}

struct DropAbandonedDeliveries(u32);

impl StoreChange for DropAbandonedDeliveries {
    type Answer = u64;

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<u64, db::Error> {
        let sql = "UPDATE deliveries SET state = 'dropped', settled_at = $1 WHERE id IN (SELECT d.id FROM endpoints p \
                   CROSS JOIN deliveries d ON d.endpoint = p.id AND d.state = 'waiting' WHERE p.deleted_at IS NOT NULL LIMIT $2)";
        let query = db::query(sql)
            .bind(now.as_millisecond())
            .bind(i64::from(self.0));
        Ok(query.execute(connection).await?.rows_affected())
    }
}

struct RotateSecret {
    id: String,
    secret: String,
    old_until: Timestamp,
    sealer: Sealer,
}

impl StoreChange for RotateSecret {
    type Answer = bool;

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<bool, db::Error> {
        let sql = "UPDATE endpoints SET version = version + 1 WHERE id = $1 AND deleted_at IS NULL";
        if db::query(sql)
            .bind(&self.id)
            .execute(&mut *connection)
            .await?
            .rows_affected()
            == 0
        {
            return Ok(false);
        }
        let sql = "DELETE FROM endpoint_keys WHERE endpoint = $1 AND expires_at <= $2";
        db::query(sql)
            .bind(&self.id)
            .bind(now.as_millisecond())
            .execute(&mut *connection)
            .await?;
        // A key that already has an expiry time is not prolonged by another rotation.
        let sql =
            "UPDATE endpoint_keys SET expires_at = $1 WHERE endpoint = $2 AND expires_at IS NULL";
        db::query(sql)
            .bind(self.old_until.as_millisecond())
            .bind(&self.id)
            .execute(&mut *connection)
            .await?;
        add_signing_key(connection, &self.sealer, &self.id, &self.secret, now).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
