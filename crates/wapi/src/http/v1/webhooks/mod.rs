//! Webhook endpoints: rows, and the events each subscribes to.

mod changes;
pub mod deliveries;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, OptionalJson};
use crate::http::request::query::QueryParameters;
use crate::model::event::WebhookChange;
use crate::model::ids;
use crate::model::session_name::SessionName;
use crate::model::signing_key::SigningKey;
use crate::net::web_address::mask_password;
use crate::store::{Endpoint, EndpointState, EndpointUpdate, NewEndpoint, StoreError};
use crate::webhooks::{self, ORIGINAL_ENDPOINT, validation};

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
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    failing_since: Option<Timestamp>,
    /// Failed attempts since then.
    failures: u32,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    created_at: Timestamp,
}

#[derive(Debug, Serialize)]
pub struct DisabledInfo {
    /// `asked`: a caller disabled it. `gone`: it answered 410. `failing`: it failed for too long.
    reason: &'static str,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
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
            url: mask_password(&url),
            session,
            types: Some(types).filter(|types| !types.is_empty()),
            headers: headers.into_keys().map(|name| (name, HIDDEN)).collect(),
            enabled: disabled.is_none(),
            disabled: disabled.map(|it| DisabledInfo {
                reason: it.reason.into_str(),
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
pub struct CreatedWebhook {
    #[serde(flatten)]
    info: WebhookInfo,
    /// Verifies its posts, as in Standard Webhooks. Shown only once.
    secret: String,
}

/// A new secret.
#[derive(Debug, Serialize)]
pub struct RotatedSecret {
    /// Shown only once.
    secret: String,
    /// Until then the former secret signs, too.
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
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
pub async fn list_webhooks(
    State(gateway): State<Gateway>,
    query: QueryParameters,
) -> Result<Json<WebhookList>, Problem> {
    query.finish()?;
    let webhooks = gateway
        .store
        .webhooks()
        .list_endpoints()
        .await
        .map_err(webhook_problem)?
        .into_iter()
        .map(WebhookInfo::from)
        .collect();
    Ok(Json(WebhookList { webhooks }))
}

/// `GET /v1/webhooks/{id}`: shows a webhook.
pub async fn show_webhook(
    State(gateway): State<Gateway>,
    query: QueryParameters,
    Path(id): Path<String>,
) -> Result<Json<WebhookInfo>, Problem> {
    query.finish()?;
    Ok(Json(find_endpoint(&gateway, &id).await?.into()))
}

/// `POST /v1/webhooks` `{url, session?, types?, headers?, secret?}`: creates a webhook; 201 with
/// its secret.
pub async fn create_webhook(
    State(gateway): State<Gateway>,
    query: QueryParameters,
    fields: JsonFields,
) -> Result<Response, Problem> {
    query.finish()?;
    let made = make_webhook(&gateway, fields).await?;
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(made),
    )
        .into_response())
}

/// Creates the webhook that these fields describe.
pub(in crate::http) async fn make_webhook(
    gateway: &Gateway,
    mut fields: JsonFields,
) -> Result<CreatedWebhook, Problem> {
    let url = fields.parse_required("url", |text| {
        validation::parse_address(text, gateway.webhooks.allowed_targets())
    });
    let session = fields
        .optional_text("session")
        .and_then(|name| fields.ok_or_record("session", parse_session(name)));
    let types = fields
        .optional_texts("types")
        .and_then(|names| fields.ok_or_record("types", parse_types(names)));
    let headers = fields.optional_object("headers").unwrap_or_default();
    let headers = fields.ok_or_record("headers", merge_headers(BTreeMap::new(), headers));
    let secret = read_secret(&mut fields);
    fields.refuse_unknown();
    let read = url.zip(headers).map(|(url, headers)| NewEndpoint {
        id: ids::new_webhook_id(),
        url: url.into(),
        session,
        types: types.unwrap_or_default(),
        headers,
        secret: secret.clone(),
    });
    let endpoint = fields.finish(read)?;
    let (id, session) = (endpoint.id.clone(), endpoint.session.clone());
    let event = changes::describe_change(gateway, &id, session, WebhookChange::Created, &[]);
    gateway
        .store
        .webhooks()
        .create_endpoint(endpoint, Some(event))
        .await
        .map_err(webhook_problem)?;
    Ok(CreatedWebhook {
        info: find_endpoint(gateway, &id).await?.into(),
        secret,
    })
}

/// `PATCH /v1/webhooks/{id}` `{url?, session?, types?, headers?, enabled?}`: changes the given
/// fields. `null` stands for all sessions or all types, and removes a header.
pub async fn change_webhook(
    State(gateway): State<Gateway>,
    query: QueryParameters,
    Path(id): Path<String>,
    mut fields: JsonFields,
) -> Result<Json<WebhookInfo>, Problem> {
    query.finish()?;
    let before = find_endpoint(&gateway, &id).await?;
    let is_given = |name| fields.has_field(name);
    let given: Vec<_> = changes::CHANGEABLE
        .into_iter()
        .filter(|name| is_given(name))
        .collect();
    let (session_given, types_given) = (is_given("session"), is_given("types"));
    if id == ORIGINAL_ENDPOINT && given.iter().any(|name| *name != "enabled") {
        return Err(Problem::OriginalWebhook);
    }
    let url = fields.has_field("url").then(|| {
        fields.parse_required("url", |text| {
            validation::parse_address(text, gateway.webhooks.allowed_targets())
        })
    });
    let session = fields
        .optional_text("session")
        .and_then(|name| fields.ok_or_record("session", parse_session(name)));
    let types = fields
        .optional_texts("types")
        .and_then(|names| fields.ok_or_record("types", parse_types(names)));
    let headers = fields.optional_object("headers");
    let headers = headers.and_then(|given| {
        fields.ok_or_record("headers", merge_headers(before.headers.clone(), given))
    });
    let enabled = fields.optional_flag("enabled");
    fields.refuse_unknown();
    let change = EndpointUpdate {
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
    let change = fields.finish(Some(change))?;
    apply_change(&gateway, &before.id, before.session, change, &given).await
}

/// `POST /v1/webhooks/{id}/enable`: resumes deliveries with the events that waited.
pub async fn enable_webhook(
    State(gateway): State<Gateway>,
    query: QueryParameters,
    Path(id): Path<String>,
    OptionalJson(mut fields): OptionalJson,
) -> Result<Json<WebhookInfo>, Problem> {
    query.finish()?;
    fields.refuse_unknown();
    fields.finish(Some(()))?;
    let change = EndpointUpdate {
        state: Some(EndpointState::Enabled),
        ..EndpointUpdate::default()
    };
    let endpoint = find_endpoint(&gateway, &id).await?;
    apply_change(&gateway, &id, endpoint.session, change, &["enabled"]).await
}

/// `DELETE /v1/webhooks/{id}`: removes a webhook and its waiting deliveries; 204.
pub async fn remove_webhook(
    State(gateway): State<Gateway>,
    query: QueryParameters,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    if id == ORIGINAL_ENDPOINT {
        return Err(Problem::OriginalWebhook);
    }
    let endpoint = find_endpoint(&gateway, &id).await?;
    let event =
        changes::describe_change(&gateway, &id, endpoint.session, WebhookChange::Removed, &[]);
    match gateway
        .webhooks
        .delete_endpoint(&id, event)
        .await
        .map_err(webhook_problem)?
    {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::NoWebhook),
    }
}

/// `POST /v1/webhooks/{id}/rotate-secret` `{secret?}`: replaces the secret; both sign for a day.
pub async fn rotate_secret(
    State(gateway): State<Gateway>,
    query: QueryParameters,
    Path(id): Path<String>,
    OptionalJson(fields): OptionalJson,
) -> Result<Response, Problem> {
    query.finish()?;
    let made = renew_secret(&gateway, &id, fields).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(made)).into_response())
}

/// Replaces the secret of a webhook.
pub(in crate::http) async fn renew_secret(
    gateway: &Gateway,
    id: &str,
    mut fields: JsonFields,
) -> Result<RotatedSecret, Problem> {
    if id == ORIGINAL_ENDPOINT {
        return Err(Problem::OriginalWebhook);
    }
    let secret = read_secret(&mut fields);
    fields.refuse_unknown();
    let secret = fields.finish(Some(secret))?;
    let session = find_endpoint(gateway, id).await?.session;
    let event = changes::describe_change(gateway, id, session, WebhookChange::SecretRotated, &[]);
    let rotated = gateway
        .webhooks
        .rotate_secret(id, &secret, event)
        .await
        .map_err(webhook_problem)?;
    let former_until = rotated.ok_or(Problem::NoWebhook)?;
    Ok(RotatedSecret {
        secret,
        former_until,
    })
}

/// `POST /v1/webhooks/{id}/test` `{session?}`: posts an event of the type `webhook.test` and
/// returns the result.
pub async fn test_webhook(
    State(gateway): State<Gateway>,
    query: QueryParameters,
    Path(id): Path<String>,
    OptionalJson(mut fields): OptionalJson,
) -> Result<Json<TestResult>, Problem> {
    query.finish()?;
    let endpoint = find_endpoint(&gateway, &id).await?;
    let named = fields
        .optional_text("session")
        .and_then(|name| fields.ok_or_record("session", parse_session(name)));
    fields.refuse_unknown();
    let session = fields
        .finish(Some(named))?
        .or(endpoint.session.clone())
        .unwrap_or_else(|| "test".to_owned());
    let tested = gateway
        .webhooks
        .test_endpoint(endpoint, &session)
        .await
        .map_err(|error| {
            tracing::error!(
                webhook = id,
                error = format!("{error:#}"),
                "failed to test a webhook"
            );
            Problem::Internal
        })?;
    let took_ms = u64::try_from(tested.took.as_millis()).unwrap_or(u64::MAX);
    let webhooks::WebhookTestResult {
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

async fn apply_change(
    gateway: &Gateway,
    id: &str,
    session: Option<String>,
    change: EndpointUpdate,
    fields: &[&str],
) -> Result<Json<WebhookInfo>, Problem> {
    let session = change.session.clone().unwrap_or(session);
    let event = changes::describe_change(gateway, id, session, WebhookChange::Changed, fields);
    if !gateway
        .store
        .webhooks()
        .update_endpoint(id, change, Some(event))
        .await
        .map_err(webhook_problem)?
    {
        return Err(Problem::NoWebhook);
    }
    Ok(Json(find_endpoint(gateway, id).await?.into()))
}

pub(in crate::http) async fn find_endpoint(
    gateway: &Gateway,
    id: &str,
) -> Result<Endpoint, Problem> {
    gateway
        .store
        .webhooks()
        .find_endpoint(id)
        .await
        .map_err(webhook_problem)?
        .ok_or(Problem::NoWebhook)
}

pub(in crate::http) fn webhook_problem(error: StoreError) -> Problem {
    tracing::error!(%error, "failed to read or change webhooks");
    Problem::NotReady {
        detail: "the database failed; try again in a moment".to_owned(),
    }
}

/// The session need not exist yet.
fn parse_session(name: String) -> Result<String, String> {
    SessionName::parse(&name)
        .map(|_| name)
        .map_err(|error| error.to_string())
}

fn parse_types(names: Vec<String>) -> Result<Vec<String>, String> {
    if names.is_empty() {
        return Err("is empty; omit it to subscribe to all events".to_owned());
    }
    validation::check_types(names)
}

/// Returns the given secret, or a new one.
fn read_secret(fields: &mut JsonFields) -> String {
    let given = fields.optional_text("secret");
    let given = given
        .and_then(|text| fields.ok_or_record("secret", SigningKey::parse(&text).map(|_| text)));
    given.unwrap_or_else(webhooks::new_secret)
}

/// Merges headers: each given one is set, or removed by `null`.
fn merge_headers(
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
    validation::check_headers(headers)
}
