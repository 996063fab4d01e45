//! `/v1/api-keys`: listing, creating and removing API keys.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::Serialize;

use super::Gateway;
use super::error::Problem;
use super::extract::Fields;
use super::query::Query;
use crate::keys::{Refused, Rights, Scope, Wish};
use crate::nearest::suggestion;
use crate::sessions::SessionName;
use crate::store::ApiKey;

/// Maximum length of a key's name, in characters.
const LONGEST_NAME: usize = 100;
/// Maximum number of sessions that a key can be limited to.
const MOST_SESSIONS: usize = 1_000;

/// An API key as callers see it, without its secret.
#[derive(Debug, Serialize)]
struct KeyInfo {
    id: String,
    name: String,
    /// The last characters of the key itself.
    hint: String,
    scopes: BTreeSet<Scope>,
    /// `null`: all sessions.
    sessions: Option<BTreeSet<String>>,
    #[serde(serialize_with = "crate::stamp::serialize")]
    created_at: Timestamp,
    /// `null`: the key does not expire.
    #[serde(serialize_with = "crate::stamp::optional")]
    expires_at: Option<Timestamp>,
    /// Accurate to the minute; `null`: not used yet.
    #[serde(serialize_with = "crate::stamp::optional")]
    last_used_at: Option<Timestamp>,
}

impl From<ApiKey> for KeyInfo {
    fn from(key: ApiKey) -> Self {
        let ApiKey {
            id,
            hint,
            name,
            rights: Rights { scopes, sessions },
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
struct NewKey {
    #[serde(flatten)]
    info: KeyInfo,
    /// Shown only in this answer; the gateway stores just a hash of it.
    key: String,
}

/// The answer to `GET /v1/api-keys`.
#[derive(Debug, Serialize)]
pub struct KeyList {
    api_keys: Vec<KeyInfo>,
}

/// `GET /v1/api-keys`: lists all keys except that of the settings, oldest first.
pub async fn list(State(gateway): State<Gateway>, query: Query) -> Result<Json<KeyList>, Problem> {
    query.done()?;
    let keys = gateway.keys.list().await.map_err(Refused::from)?;
    Ok(Json(KeyList {
        api_keys: keys.into_iter().map(KeyInfo::from).collect(),
    }))
}

/// `POST /v1/api-keys`: creates a key. Returns 201 with the key itself.
pub async fn make(
    State(gateway): State<Gateway>,
    query: Query,
    mut fields: Fields,
) -> Result<Response, Problem> {
    query.done()?;
    let now = gateway.clock.now();
    let name = fields
        .text("name")
        .filter(|name| fields.holds("name", name_is_short(name)));
    let scopes = fields
        .texts("scopes")
        .and_then(|words| fields.judged("scopes", scopes(&words)));
    let sessions = fields
        .optional_texts("sessions")
        .map(|names| fields.judged("sessions", sessions(names)));
    let expires_at = fields
        .optional_text("expires_at")
        .map(|text| fields.judged("expires_at", moment(&text, now)));
    fields.refuse_unknown();
    let read = name.zip(scopes).map(|(name, scopes)| {
        let rights = Rights {
            scopes,
            sessions: sessions.flatten(),
        };
        Wish {
            name,
            rights,
            expires_at: expires_at.flatten(),
        }
    });
    let (key, secret) = gateway.keys.make(fields.done(read)?).await?;
    let made = NewKey {
        info: key.into(),
        key: secret.expose_secret().to_owned(),
    };
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(made),
    )
        .into_response())
}

/// `DELETE /v1/api-keys/{id}`: removes a key, which is refused from then on. Returns 204.
pub async fn remove(
    State(gateway): State<Gateway>,
    query: Query,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    query.done()?;
    gateway.keys.remove(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn name_is_short(name: &str) -> Result<(), String> {
    match name.chars().count() {
        0..=LONGEST_NAME => Ok(()),
        _ => Err(format!("has more than {LONGEST_NAME} letters")),
    }
}

fn scopes(words: &[String]) -> Result<BTreeSet<Scope>, String> {
    if words.is_empty() {
        return Err("is empty; name one of read, ask, send, admin".to_owned());
    }
    let scope = |word: &String| {
        Scope::parse(word).ok_or_else(|| {
            let meant = suggestion(word, Scope::ALL.map(Scope::word));
            format!("has `{word}`; there are read, ask, send and admin{meant}")
        })
    };
    words.iter().map(scope).collect()
}

fn sessions(names: Vec<String>) -> Result<BTreeSet<String>, String> {
    match names.len() {
        0 => return Err("is empty; leave it out for all sessions".to_owned()),
        1..=MOST_SESSIONS => {}
        _ => return Err(format!("has more than {MOST_SESSIONS} names")),
    }
    // The sessions need not exist yet.
    if let Some(error) = names.iter().find_map(|name| SessionName::parse(name).err()) {
        return Err(format!("has a name that {error}"));
    }
    Ok(names.into_iter().collect())
}

fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    match text.parse::<Timestamp>() {
        Ok(moment) if moment > now => Ok(moment),
        Ok(_) => Err("is over already".to_owned()),
        Err(_) => Err(format!("is no time such as {}", "2030-01-31T12:00:00Z")),
    }
}
