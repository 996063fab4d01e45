//! Webhook endpoints: rows, and the events each subscribes to.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Gateway;
use super::error::Problem;
use super::extract::{Fields, FieldsOrNothing};
use super::query::Query;
use crate::ids;
use crate::sessions::SessionName;
use crate::store::{Endpoint, EndpointChange, EndpointState, NewEndpoint, StoreError};
use crate::webhooks::{self, ORIGINAL, SigningKey, rules};

/// Shown instead of a header's value, which may be a password.
const HIDDEN: &str = "********";

/// A webhook as shown to callers.
#[derive(Debug, Serialize)]
pub struct WebhookInfo {
    /// `original` for the one in the operator's settings.
    id: String,
    /// Address of the posts; the session's name is appended to the original's.
    url: String,
    /// `null`: all sessions.
    session: Option<String>,
    /// `null`: all types.
    types: Option<Vec<String>>,
    /// Headers of every post; the values are hidden.
    headers: BTreeMap<String, &'static str>,
    /// While false, nothing is posted and events wait.
    enabled: bool,
    /// Why it is disabled.
    disabled: Option<DisabledInfo>,
    /// Start of the current failures; `null` when the last delivery succeeded.
    #[serde(serialize_with = "crate::stamp::optional")]
    failing_since: Option<Timestamp>,
    /// Failed attempts since then.
    failures: u32,
    #[serde(serialize_with = "crate::stamp::serialize")]
    created_at: Timestamp,
}

#[derive(Debug, Serialize)]
pub struct DisabledInfo {
    /// `asked`: a caller disabled it. `gone`: it answered 410. `failing`: it failed for too long.
    reason: &'static str,
    #[serde(serialize_with = "crate::stamp::serialize")]
    since: Timestamp,
}

impl From<Endpoint> for WebhookInfo {
    fn from(endpoint: Endpoint) -> Self {
        let Endpoint {
            id,
            url,
            session,
            types,
            headers,
            disabled,
            failing_since,
            failures,
            created_at,
            ..
        } = endpoint;
        Self {
            id,
            url: rules::shown(&url),
            session,
            types: Some(types).filter(|types| !types.is_empty()),
            headers: headers.into_keys().map(|name| (name, HIDDEN)).collect(),
            enabled: disabled.is_none(),
            disabled: disabled.map(|it| DisabledInfo {
                reason: it.reason.word(),
                since: it.since,
            }),
            failing_since,
            failures,
            created_at,
        }
    }
}

/// All webhooks, oldest first.
#[derive(Debug, Serialize)]
pub struct WebhookList {
    webhooks: Vec<WebhookInfo>,
}

/// A created webhook.
#[derive(Debug, Serialize)]
pub struct NewWebhook {
    #[serde(flatten)]
    info: WebhookInfo,
    /// Verifies its posts, as in Standard Webhooks. Shown only once.
    secret: String,
}

/// A new secret.
#[derive(Debug, Serialize)]
pub struct NewSecret {
    /// Shown only once.
    secret: String,
    /// Until then the former secret signs, too.
    #[serde(serialize_with = "crate::stamp::serialize")]
    former_until: Timestamp,
}

/// Result of a test post.
#[derive(Debug, Serialize)]
pub struct TestResult {
    /// Whether this would have counted as delivered: a 2xx.
    taken: bool,
    error: Option<String>,
    /// Status of the answer; `null` when there was none.
    status: Option<u16>,
    /// First KiB of its body.
    answer: Option<String>,
    /// Milliseconds.
    took_ms: u64,
}

/// `GET /v1/webhooks`: lists webhooks.
pub async fn list(
    State(gateway): State<Gateway>,
    query: Query,
) -> Result<Json<WebhookList>, Problem> {
    query.done()?;
    let webhooks = gateway
        .store
        .endpoints()
        .await
        .map_err(unsaved)?
        .into_iter()
        .map(WebhookInfo::from)
        .collect();
    Ok(Json(WebhookList { webhooks }))
}

/// `GET /v1/webhooks/{id}`: shows a webhook.
pub async fn show(
    State(gateway): State<Gateway>,
    query: Query,
    Path(id): Path<String>,
) -> Result<Json<WebhookInfo>, Problem> {
    query.done()?;
    Ok(Json(find(&gateway, &id).await?.into()))
}

/// `POST /v1/webhooks` `{url, session?, types?, headers?, secret?}`: creates a webhook; 201 with
/// its secret.
pub async fn make(
    State(gateway): State<Gateway>,
    query: Query,
    mut fields: Fields,
) -> Result<Response, Problem> {
    query.done()?;
    let url = fields.parsed("url", |text| {
        rules::address(text, gateway.webhooks.allowed())
    });
    let session = fields
        .optional_text("session")
        .and_then(|name| fields.judged("session", session(name)));
    let types = fields
        .optional_texts("types")
        .and_then(|names| fields.judged("types", types(names)));
    let headers = fields.optional_object("headers").unwrap_or_default();
    let headers = fields.judged("headers", merged(BTreeMap::new(), headers));
    let secret = secret(&mut fields);
    fields.refuse_unknown();
    let read = url.zip(headers).map(|(url, headers)| NewEndpoint {
        id: ids::webhook_id(),
        url: url.into(),
        session,
        types: types.unwrap_or_default(),
        headers,
        secret: secret.clone(),
    });
    let endpoint = fields.done(read)?;
    let id = endpoint.id.clone();
    gateway
        .store
        .create_endpoint(endpoint)
        .await
        .map_err(unsaved)?;
    let made = NewWebhook {
        info: find(&gateway, &id).await?.into(),
        secret,
    };
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(made),
    )
        .into_response())
}

/// `PATCH /v1/webhooks/{id}` `{url?, session?, types?, headers?, enabled?}`: changes the given
/// fields. `null` stands for all sessions or all types, and removes a header.
pub async fn change(
    State(gateway): State<Gateway>,
    query: Query,
    Path(id): Path<String>,
    mut fields: Fields,
) -> Result<Json<WebhookInfo>, Problem> {
    query.done()?;
    let before = find(&gateway, &id).await?;
    let is_given = |name| fields.is_given(name);
    let (session_given, types_given) = (is_given("session"), is_given("types"));
    if id == ORIGINAL
        && ["url", "session", "types", "headers"]
            .into_iter()
            .any(is_given)
    {
        return Err(Problem::OriginalWebhook);
    }
    let url = fields.is_given("url").then(|| {
        fields.parsed("url", |text| {
            rules::address(text, gateway.webhooks.allowed())
        })
    });
    let session = fields
        .optional_text("session")
        .and_then(|name| fields.judged("session", session(name)));
    let types = fields
        .optional_texts("types")
        .and_then(|names| fields.judged("types", types(names)));
    let headers = fields.optional_object("headers");
    let headers = headers.and_then(|given| fields.judged("headers", merged(before.headers, given)));
    let enabled = fields.optional_flag("enabled");
    fields.refuse_unknown();
    let change = EndpointChange {
        url: url.flatten().map(String::from),
        session: session_given.then_some(session),
        types: types_given.then(|| types.unwrap_or_default()),
        headers,
        state: enabled.map(|enabled| {
            if enabled {
                EndpointState::Enabled
            } else {
                EndpointState::Disabled
            }
        }),
    };
    apply(&gateway, &id, fields.done(Some(change))?).await
}

/// `POST /v1/webhooks/{id}/enable`: resumes deliveries with the events that waited.
pub async fn enable(
    State(gateway): State<Gateway>,
    query: Query,
    Path(id): Path<String>,
    FieldsOrNothing(mut fields): FieldsOrNothing,
) -> Result<Json<WebhookInfo>, Problem> {
    query.done()?;
    fields.refuse_unknown();
    fields.done(Some(()))?;
    let change = EndpointChange {
        state: Some(EndpointState::Enabled),
        ..EndpointChange::default()
    };
    apply(&gateway, &id, change).await
}

/// `DELETE /v1/webhooks/{id}`: removes a webhook and its waiting deliveries; 204.
pub async fn remove(
    State(gateway): State<Gateway>,
    query: Query,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    query.done()?;
    if id == ORIGINAL {
        return Err(Problem::OriginalWebhook);
    }
    match gateway.webhooks.delete(&id).await.map_err(unsaved)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::NoWebhook),
    }
}

/// `POST /v1/webhooks/{id}/rotate-secret` `{secret?}`: replaces the secret; both sign for a day.
pub async fn rotate_secret(
    State(gateway): State<Gateway>,
    query: Query,
    Path(id): Path<String>,
    FieldsOrNothing(mut fields): FieldsOrNothing,
) -> Result<Response, Problem> {
    query.done()?;
    if id == ORIGINAL {
        return Err(Problem::OriginalWebhook);
    }
    let secret = secret(&mut fields);
    fields.refuse_unknown();
    let secret = fields.done(Some(secret))?;
    let rotated = gateway
        .webhooks
        .rotate(&id, &secret)
        .await
        .map_err(unsaved)?;
    let former_until = rotated.ok_or(Problem::NoWebhook)?;
    let made = NewSecret {
        secret,
        former_until,
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(made)).into_response())
}

/// `POST /v1/webhooks/{id}/test` `{session?}`: posts an event of the type `webhook.test` and
/// returns the result.
pub async fn test(
    State(gateway): State<Gateway>,
    query: Query,
    Path(id): Path<String>,
    FieldsOrNothing(mut fields): FieldsOrNothing,
) -> Result<Json<TestResult>, Problem> {
    query.done()?;
    let endpoint = find(&gateway, &id).await?;
    let named = fields
        .optional_text("session")
        .and_then(|name| fields.judged("session", session(name)));
    fields.refuse_unknown();
    let session = fields
        .done(Some(named))?
        .or(endpoint.session.clone())
        .unwrap_or_else(|| "test".to_owned());
    let tested = gateway
        .webhooks
        .test(endpoint, &session)
        .await
        .map_err(|error| {
            tracing::error!(
                webhook = id,
                error = format!("{error:#}"),
                "a webhook cannot be tested"
            );
            Problem::Internal
        })?;
    let took_ms = u64::try_from(tested.took.as_millis()).unwrap_or(u64::MAX);
    let webhooks::Tested {
        error,
        status,
        answer,
        ..
    } = tested;
    Ok(Json(TestResult {
        taken: error.is_none(),
        error,
        status,
        answer,
        took_ms,
    }))
}

async fn apply(
    gateway: &Gateway,
    id: &str,
    change: EndpointChange,
) -> Result<Json<WebhookInfo>, Problem> {
    if !gateway
        .store
        .change_endpoint(id, change)
        .await
        .map_err(unsaved)?
    {
        return Err(Problem::NoWebhook);
    }
    Ok(Json(find(gateway, id).await?.into()))
}

pub(super) async fn find(gateway: &Gateway, id: &str) -> Result<Endpoint, Problem> {
    gateway
        .store
        .endpoint(id)
        .await
        .map_err(unsaved)?
        .ok_or(Problem::NoWebhook)
}

pub(super) fn unsaved(error: StoreError) -> Problem {
    tracing::error!(%error, "webhooks cannot be read or changed");
    Problem::NotReady {
        detail: "the database does not answer as it should; try again in a moment".to_owned(),
    }
}

/// The session need not exist yet.
fn session(name: String) -> Result<String, String> {
    SessionName::parse(&name)
        .map(|_| name)
        .map_err(|error| error.to_string())
}

fn types(names: Vec<String>) -> Result<Vec<String>, String> {
    if names.is_empty() {
        return Err("is empty; leave it out to be told of everything".to_owned());
    }
    rules::types(names)
}

/// Returns the given secret, or a new one.
fn secret(fields: &mut Fields) -> String {
    let given = fields.optional_text("secret");
    let given =
        given.and_then(|text| fields.judged("secret", SigningKey::parse(&text).map(|_| text)));
    given.unwrap_or_else(webhooks::new_secret)
}

/// Merges headers: each given one is set, or removed by `null`.
fn merged(
    mut headers: BTreeMap<String, String>,
    given: Map<String, Value>,
) -> Result<BTreeMap<String, String>, String> {
    for (name, value) in given {
        let name = name.to_ascii_lowercase();
        match value {
            Value::String(value) => drop(headers.insert(name, value)),
            Value::Null => drop(headers.remove(&name)),
            _ => return Err(format!("has a value for `{name}` that is not a text")),
        }
    }
    rules::headers(headers)
}
