//! Cache of endpoints' addresses, headers and keys, valid until the endpoint changes.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use jiff::Timestamp;
use parking_lot::Mutex;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::model::session_name::SessionName;
use crate::model::signing_key::SigningKey;
use crate::store::{DueDelivery, Endpoint, Store};

/// Everything needed for a post to an endpoint.
pub(super) struct Destination {
    url: Url,
    /// Whether it is the original's webhook, from the operator's own settings.
    pub is_operators: bool,
    /// Created when every address was allowed, and not changed since.
    pub keeps_its_address: bool,
    is_per_session: bool,
    pub headers: HeaderMap,
    keys: Vec<ExpiringKey>,
    version: i64,
}

struct ExpiringKey {
    key: SigningKey,
    expires_at: Option<Timestamp>,
}

impl Destination {
    /// Returns the address for events of a session: for the operator's own webhook, the session's
    /// name below its address.
    pub fn session_url(&self, session: &str) -> Result<Url> {
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
pub(super) struct DestinationCache {
    store: Store,
    original_key: Option<SigningKey>,
    cache: Mutex<HashMap<String, Arc<Destination>>>,
}

impl DestinationCache {
    pub fn new(store: Store, original_key: Option<SigningKey>) -> Self {
        Self {
            store,
            original_key,
            cache: Mutex::default(),
        }
    }

    /// Returns the target of a delivery, at least as recent as the endpoint version of the
    /// delivery.
    pub async fn destination_of(&self, due: &DueDelivery) -> Result<Arc<Destination>> {
        if let Some(known) = self
            .cached_destination(&due.endpoint)
            .filter(|known| known.version >= due.endpoint_version)
        {
            return Ok(known);
        }
        let endpoint = self
            .store
            .webhooks()
            .find_endpoint(&due.endpoint)
            .await?
            .context("the endpoint was deleted")?;
        self.load_destination(endpoint).await
    }

    /// Reads the current target of an endpoint.
    pub async fn load_destination(&self, endpoint: Endpoint) -> Result<Arc<Destination>> {
        // Read after the endpoint: a key newer than the version does no harm.
        let mut keys = Vec::new();
        for (secret, expires_at) in self
            .store
            .webhooks()
            .list_signing_keys(&endpoint.id)
            .await?
        {
            let key = SigningKey::parse(&secret)
                .map_err(anyhow::Error::msg)
                .context("reading a signing key")?;
            keys.push(ExpiringKey { key, expires_at });
        }
        let is_the_operators = endpoint.id == super::ORIGINAL_ENDPOINT;
        if is_the_operators {
            keys.extend(self.original_key.clone().map(|key| ExpiringKey {
                key,
                expires_at: None,
            }));
        }
        let url = Url::parse(&endpoint.url).context("reading the endpoint's address")?;
        let headers = build_headers(&endpoint)?;
        let (is_per_session, keeps_its_address) =
            (endpoint.is_per_session, endpoint.keeps_its_address);
        let version = endpoint.version;
        let target = Arc::new(Destination {
            url,
            is_operators: is_the_operators,
            keeps_its_address,
            is_per_session,
            headers,
            keys,
            version,
        });
        self.lock_cache().insert(endpoint.id, Arc::clone(&target));
        Ok(target)
    }

    fn cached_destination(&self, endpoint: &str) -> Option<Arc<Destination>> {
        self.lock_cache().get(endpoint).cloned()
    }

    fn lock_cache(&self) -> parking_lot::MutexGuard<'_, HashMap<String, Arc<Destination>>> {
        self.cache.lock()
    }
}

fn build_headers(endpoint: &Endpoint) -> Result<HeaderMap> {
    let header = |(name, value): (&String, &String)| {
        let mut value = HeaderValue::from_str(value)?;
        // The value may be a password, which must not be logged.
        value.set_sensitive(true);
        Ok((name.parse::<HeaderName>()?, value))
    };
    endpoint.headers.iter().map(header).collect()
}
