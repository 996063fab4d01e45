//! `/v1/api-keys`: listing, creating and removing API keys.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::Serialize;
use strum::VariantNames;

use crate::http::Gateway;
use crate::http::access::api_keys::{ApiKeyError, NewApiKey};
use crate::http::error::Problem;
use crate::http::request::extract::JsonFields;
use crate::http::request::query::QueryParameters;
use crate::model::access::{KeyAccess, Scope};
use crate::model::session_name::SessionName;
use crate::model::suggestions::format_suggestion;
use crate::store::ApiKey;

/// Maximum length of a key's name, in characters.
const MAX_KEY_NAME: usize = 100;
/// Maximum number of sessions that a key can be limited to.
const MAX_KEY_SESSIONS: usize = 1_000;

/// An API key as callers see it, without its secret.
#[derive(Debug, Serialize)]
struct ApiKeyInfo {
    id: String,
    name: String,
    /// The last characters of the key itself.
    hint: String,
    scopes: BTreeSet<Scope>,
    /// `null`: all sessions.
    sessions: Option<BTreeSet<String>>,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    created_at: Timestamp,
    /// `null`: the key does not expire.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    expires_at: Option<Timestamp>,
    /// Accurate to the minute; `null`: not used yet.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    last_used_at: Option<Timestamp>,
}

impl From<ApiKey> for ApiKeyInfo {
    fn from(key: ApiKey) -> Self {
        let ApiKey {
            id,
            hint,
            name,
            rights: KeyAccess { scopes, sessions },
            created_at,
            expires_at,
            last_used_at,
            ..
        } = key;
        Self {
            id,
            name,
            hint,
            scopes,
            sessions,
            created_at,
            expires_at,
            last_used_at,
        }
    }
}

/// A newly created key.
#[derive(Debug, Serialize)]
pub(in crate::http) struct CreatedApiKey {
    #[serde(flatten)]
    info: ApiKeyInfo,
    /// Shown only in this answer; the gateway stores just a hash of it.
    key: String,
}

/// The answer to `GET /v1/api-keys`.
#[derive(Debug, Serialize)]
pub struct ApiKeyList {
    api_keys: Vec<ApiKeyInfo>,
}

/// `GET /v1/api-keys`: lists all keys except that of the settings, oldest first.
pub async fn list_api_keys(
    State(gateway): State<Gateway>,
    query: QueryParameters,
) -> Result<Json<ApiKeyList>, Problem> {
    query.finish()?;
    let keys = gateway.keys.list_keys().await.map_err(ApiKeyError::from)?;
    Ok(Json(ApiKeyList {
        api_keys: keys.into_iter().map(ApiKeyInfo::from).collect(),
    }))
}

/// `POST /v1/api-keys`: creates a key. Returns 201 with the key itself.
pub async fn create_api_key(
    State(gateway): State<Gateway>,
    query: QueryParameters,
    fields: JsonFields,
) -> Result<Response, Problem> {
    query.finish()?;
    let made = make_api_key(&gateway, fields).await?;
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(made),
    )
        .into_response())
}

/// Creates the key that these fields describe.
pub(in crate::http) async fn make_api_key(
    gateway: &Gateway,
    mut fields: JsonFields,
) -> Result<CreatedApiKey, Problem> {
    let now = gateway.clock.now();
    let name = fields
        .required_text("name")
        .filter(|name| fields.check_or_record("name", check_name_length(name)));
    let scopes = fields
        .required_texts("scopes")
        .and_then(|words| fields.ok_or_record("scopes", parse_scopes(&words)));
    let sessions = fields
        .optional_texts("sessions")
        .map(|names| fields.ok_or_record("sessions", parse_sessions(names)));
    let expires_at = fields
        .optional_text("expires_at")
        .map(|text| fields.ok_or_record("expires_at", parse_expiry(&text, now)));
    fields.refuse_unknown();
    let read = name.zip(scopes).map(|(name, scopes)| {
        let rights = KeyAccess {
            scopes,
            sessions: sessions.flatten(),
        };
        NewApiKey {
            name,
            rights,
            expires_at: expires_at.flatten(),
        }
    });
    let (key, secret) = gateway.keys.create_key(fields.finish(read)?).await?;
    Ok(CreatedApiKey {
        info: key.into(),
        key: secret.expose_secret().to_owned(),
    })
}

/// `DELETE /v1/api-keys/{id}`: removes a key, which is refused from then on. Returns 204.
pub async fn remove_api_key(
    State(gateway): State<Gateway>,
    query: QueryParameters,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    gateway.keys.remove_key(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn check_name_length(name: &str) -> Result<(), String> {
    match name.chars().count() {
        0..=MAX_KEY_NAME => Ok(()),
        _ => Err(format!("has more than {MAX_KEY_NAME} letters")),
    }
}

fn parse_scopes(words: &[String]) -> Result<BTreeSet<Scope>, String> {
    if words.is_empty() {
        return Err("is empty; name one of read, ask, send, manage, admin".to_owned());
    }
    let scope = |word: &String| {
        word.parse().map_err(|_| {
            let meant = format_suggestion(word, Scope::VARIANTS.iter().copied());
            format!("has `{word}`; the scopes are read, ask, send, manage, and admin{meant}")
        })
    };
    words.iter().map(scope).collect()
}

fn parse_sessions(names: Vec<String>) -> Result<BTreeSet<String>, String> {
    match names.len() {
        0 => return Err("is empty; leave it out for all sessions".to_owned()),
        1..=MAX_KEY_SESSIONS => {}
        _ => return Err(format!("has more than {MAX_KEY_SESSIONS} names")),
    }
    // The sessions need not exist yet.
    if let Some(error) = names.iter().find_map(|name| SessionName::parse(name).err()) {
        return Err(format!("has a name that {error}"));
    }
    Ok(names.into_iter().collect())
}

fn parse_expiry(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    match text.parse::<Timestamp>() {
        Ok(moment) if moment > now => Ok(moment),
        Ok(_) => Err("is in the past".to_owned()),
        Err(_) => Err(format!("is not a time such as {}", "2030-01-31T12:00:00Z")),
    }
}
