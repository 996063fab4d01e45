//! Cache of endpoints' addresses, headers and keys, valid until the endpoint changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::sign::SigningKey;
use crate::sessions::SessionName;
use crate::store::{Due, Endpoint, Store};

/// Everything needed for a post to an endpoint.
pub(super) struct Target {
    url: Url,
    /// Whether it is the original's webhook, from the operator's own settings.
    pub is_the_operators: bool,
    /// Created when every address was allowed, and not changed since.
    pub keeps_its_address: bool,
    is_per_session: bool,
    pub headers: HeaderMap,
    keys: Vec<Key>,
    version: i64,
}

struct Key {
    key: SigningKey,
    expires_at: Option<Timestamp>,
}

impl Target {
    /// Returns the address for events of a session: for the operator's own webhook, the session's
    /// name below its address.
    pub fn address(&self, session: &str) -> Result<Url> {
        if !self.is_per_session {
            return Ok(self.url.clone());
        }
        Ok(self
            .url
            .join(&format!("./{}", SessionName::parse(session)?.url_segment()))?)
    }

    /// Returns the unexpired keys. All of them sign, since a receiver may know only the old key or
    /// already the new one.
    pub fn live_keys(&self, now: Timestamp) -> impl Iterator<Item = &SigningKey> {
        self.keys
            .iter()
            .filter(move |key| key.expires_at.is_none_or(|end| now < end))
            .map(|key| &key.key)
    }
}

/// The targets of all endpoints.
pub(super) struct Targets {
    store: Store,
    original_key: Option<SigningKey>,
    known: Mutex<HashMap<String, Arc<Target>>>,
}

impl Targets {
    pub fn new(store: Store, original_key: Option<SigningKey>) -> Self {
        Self {
            store,
            original_key,
            known: Mutex::default(),
        }
    }

    /// Returns the target of a delivery, at least as recent as the endpoint version of the
    /// delivery.
    pub async fn of(&self, due: &Due) -> Result<Arc<Target>> {
        if let Some(known) = self
            .known(&due.endpoint)
            .filter(|known| known.version >= due.endpoint_version)
        {
            return Ok(known);
        }
        let endpoint = self
            .store
            .endpoint(&due.endpoint)
            .await?
            .context("the endpoint was deleted")?;
        self.read(endpoint).await
    }

    /// Reads the current target of an endpoint.
    pub async fn read(&self, endpoint: Endpoint) -> Result<Arc<Target>> {
        // Read after the endpoint: a key newer than the version does no harm.
        let mut keys = Vec::new();
        for (secret, expires_at) in self.store.signing_keys(&endpoint.id).await? {
            let key = SigningKey::parse(&secret)
                .map_err(anyhow::Error::msg)
                .context("reading a signing key")?;
            keys.push(Key { key, expires_at });
        }
        let is_the_operators = endpoint.id == super::ORIGINAL;
        if is_the_operators {
            keys.extend(self.original_key.clone().map(|key| Key {
                key,
                expires_at: None,
            }));
        }
        let url = Url::parse(&endpoint.url).context("reading the endpoint's address")?;
        let headers = headers(&endpoint)?;
        let (is_per_session, keeps_its_address) =
            (endpoint.is_per_session, endpoint.keeps_its_address);
        let version = endpoint.version;
        let target = Arc::new(Target {
            url,
            is_the_operators,
            keeps_its_address,
            is_per_session,
            headers,
            keys,
            version,
        });
        self.lock().insert(endpoint.id, Arc::clone(&target));
        Ok(target)
    }

    fn known(&self, endpoint: &str) -> Option<Arc<Target>> {
        self.lock().get(endpoint).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Target>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn headers(endpoint: &Endpoint) -> Result<HeaderMap> {
    let header = |(name, value): (&String, &String)| {
        let mut value = HeaderValue::from_str(value)?;
        // The value may be a password, which must not be logged.
        value.set_sensitive(true);
        Ok((name.parse::<HeaderName>()?, value))
    };
    endpoint.headers.iter().map(header).collect()
}
