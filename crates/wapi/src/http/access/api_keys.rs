//! API keys: their scopes, and the sessions they reach.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::watch;

pub use super::caller::Caller;
use crate::http::error::Problem;
use crate::model::access::KeyAccess;
use crate::model::event::{ApiKeyEvent, Event, EventData};
use crate::model::ids;
use crate::net::egress::OpenAccess;
use crate::store::{
    AccessSince, ApiKey, ApiKeyHash, Life, LifeRegistry, LoginHash, NewEvent, Store, StoreError,
    StoredLogin,
};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;

/// Interval at which last uses are saved.
const SAVE_INTERVAL: Duration = Duration::from_secs(60);
/// Interval at which requests in progress check their key's expiry: the time of day may be set
/// meanwhile.
const EXPIRY_CHECK_INTERVAL: Duration = Duration::from_millis(300);

/// Id of the key in the settings.
const FIRST_KEY: &str = "first";

/// A requested key.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    pub name: String,
    pub rights: KeyAccess,
    pub expires_at: Option<Timestamp>,
}

/// Reason why the keys were left unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    #[error("there is no such key")]
    NotFound,
    /// On a gateway that was open until now, it would lock everybody out.
    #[error("the first key must be for admin and all sessions, without an end")]
    AdminFirst,
    /// Without it, keys could no longer be created or removed.
    #[error("it is the last admin key for all sessions")]
    LastAdmin,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ApiKeyError> for Problem {
    fn from(refused: ApiKeyError) -> Self {
        match refused {
            ApiKeyError::NotFound => Self::NoApiKey,
            ApiKeyError::AdminFirst => Self::AdminKeyFirst,
            ApiKeyError::LastAdmin => Self::LastAdminKey,
            ApiKeyError::Store(error) => {
                tracing::error!(%error, "the keys cannot be read or changed");
                Self::Internal
            }
        }
    }
}

/// All keys, in memory; cheap to clone.
///
/// A key is 128 random bits, which cannot be guessed, so one round of SHA-256 protects it as well
/// as a slow password hash would, and costs nothing at each request.
#[derive(Clone)]
pub struct ApiKeys {
    inner: Arc<ApiKeysInner>,
}

struct ApiKeysInner {
    /// The key in the settings.
    first: Option<ApiKeyHash>,
    /// Updated with whether there are any keys.
    open_access: OpenAccess,
    known: watch::Sender<HashMap<ApiKeyHash, KnownKey>>,
    used: Mutex<HashMap<Arc<str>, Timestamp>>,
    /// Held during each change, so that two concurrent removals cannot both rely on the other's key
    /// as the last one.
    changing: tokio::sync::Mutex<()>,
    store: Store,
    clock: Clock,
}

struct KnownKey {
    caller: Caller,
    expires_at: Option<Timestamp>,
}

/// How long a request in progress may go on.
enum KeyValidity {
    Ended,
    UntilExpiry,
    UntilRemoval,
}

impl KnownKey {
    fn from_api_key(hash: ApiKeyHash, key: &ApiKey, lives: &Arc<LifeRegistry>) -> Self {
        let caller = Caller::with_key(hash, key, lives);
        Self {
            caller,
            expires_at: key.expires_at,
        }
    }

    fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

impl ApiKeys {
    /// Reads the keys. `first` is the one of the settings.
    pub async fn open(
        first: Option<&SecretString>,
        openness: OpenAccess,
        store: Store,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let first = first.map(|key| hash_key(key.expose_secret().as_bytes()));
        let (used, changing) = (Mutex::default(), tokio::sync::Mutex::default());
        let known = watch::Sender::default();
        let keys = Self {
            inner: Arc::new(ApiKeysInner {
                first,
                open_access: openness,
                known,
                used,
                changing,
                store,
                clock,
            }),
        };
        keys.date_old_keys().await?;
        let known = keys.inner.store.api_keys().list_hashed_api_keys().await?;
        let known = known
            .iter()
            .map(|(hash, key)| {
                (
                    *hash,
                    KnownKey::from_api_key(*hash, key, keys.inner.store.lives()),
                )
            })
            .collect();
        keys.inner.known.send_replace(known);
        keys.inner.open_access.set(keys.is_empty());
        Ok(keys)
    }

    /// Returns whether there are no keys, neither in the settings nor in the database.
    pub fn is_empty(&self) -> bool {
        self.inner.first.is_none() && self.inner.known.borrow().is_empty()
    }

    /// Returns the caller of this key, if the key is valid and not expired.
    ///
    /// Only hashes are looked up and compared, so the time this takes reveals nothing about the
    /// keys.
    pub fn find_caller(&self, shown: &[u8]) -> Option<Caller> {
        let shown = hash_key(shown);
        if self
            .inner
            .first
            .is_some_and(|first| bool::from(first.ct_eq(&shown)))
        {
            return Some(Caller::with_full_access(FIRST_KEY));
        }
        let now = self.inner.clock.now();
        let caller = {
            let known = self.inner.known.borrow();
            known
                .get(&shown)
                .filter(|known| !known.has_expired(now))?
                .caller
                .clone()
        };
        self.lock_used().insert(Arc::clone(&caller.id), now);
        Some(caller)
    }

    /// Returns the binding of a login with this token to the key that was shown for it.
    pub fn bind_login(&self, shown: &[u8], token: &[u8]) -> LoginHash {
        hash_binding(token, &hash_key(shown))
    }

    /// Returns whether the settings have a key.
    pub fn has_first_key(&self) -> bool {
        self.inner.first.is_some()
    }

    /// Returns the caller of the key in the settings, and the binding of a login with this token to
    /// it; `None` without such a key.
    pub fn bind_first_login(&self, token: &[u8]) -> Option<(Caller, LoginHash)> {
        let first = self.inner.first.as_ref()?;
        let caller = Caller::with_full_access(FIRST_KEY);
        Some((caller, hash_binding(token, first)))
    }

    /// Returns the caller of the key that this login stands for, if the key is still the one that
    /// was shown, and has not expired.
    pub fn find_login_caller(&self, login: &StoredLogin, token: &[u8]) -> Option<Caller> {
        let is_bound =
            |key: &ApiKeyHash| bool::from(hash_binding(token, key).ct_eq(&login.binding));
        if login.key_id == FIRST_KEY {
            let first = self.inner.first.filter(is_bound);
            return first.map(|_| Caller::with_full_access(FIRST_KEY));
        }
        let now = self.inner.clock.now();
        let caller = {
            let known = self.inner.known.borrow();
            let mut keys = known.iter();
            let (_, found) = keys.find(|(hash, known)| {
                *known.caller.id == *login.key_id && is_bound(hash) && !known.has_expired(now)
            })?;
            found.caller.clone()
        };
        self.lock_used().insert(Arc::clone(&caller.id), now);
        Some(caller)
    }

    /// Completes once this caller would no longer be admitted: the key was removed or has expired,
    /// or the caller came without one and there are keys now.
    pub async fn await_caller_end(&self, caller: &Caller) {
        let mut changes = self.inner.known.subscribe();
        loop {
            let has_end = match self.caller_validity(caller) {
                KeyValidity::Ended => return,
                KeyValidity::UntilExpiry => true,
                KeyValidity::UntilRemoval => false,
            };
            tokio::select! {
                // The sender lives as long as this.
                _ = changes.changed() => {}
                () = self.inner.clock.sleep(EXPIRY_CHECK_INTERVAL), if has_end => {}
            }
        }
    }

    fn caller_validity(&self, caller: &Caller) -> KeyValidity {
        let Some(key) = &caller.key else {
            let is_anyone = caller.id.is_empty();
            return if is_anyone && !self.is_empty() {
                KeyValidity::Ended
            } else {
                KeyValidity::UntilRemoval
            };
        };
        match self.inner.known.borrow().get(key) {
            Some(known) if known.expires_at.is_none() => KeyValidity::UntilRemoval,
            Some(known) if !known.has_expired(self.inner.clock.now()) => KeyValidity::UntilExpiry,
            _ => KeyValidity::Ended,
        }
    }

    /// Returns all keys of the database, oldest first, without the secrets.
    pub async fn list_keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let mut keys = self.inner.store.api_keys().list_api_keys().await?;
        let used = self.lock_used();
        for key in &mut keys {
            key.last_used_at = key.last_used_at.max(used.get(key.id.as_str()).copied());
        }
        Ok(keys)
    }

    /// Creates a key. The returned secret cannot be read again.
    pub async fn create_key(
        &self,
        new_key: NewApiKey,
    ) -> Result<(ApiKey, SecretString), ApiKeyError> {
        let _alone = self.inner.changing.lock().await;
        if self.is_empty() && !(new_key.rights.is_admin_of_all() && new_key.expires_at.is_none()) {
            return Err(ApiKeyError::AdminFirst);
        }
        let secret = ids::new_api_key();
        let NewApiKey {
            name,
            rights,
            expires_at,
        } = new_key;
        let (id, hint) = (ids::new_api_key_id(), secret[secret.len() - 4..].to_owned());
        let (since, created_at) = (Some(self.access_starts(&rights)), self.inner.clock.now());
        let key = ApiKey {
            id,
            hint,
            name,
            rights,
            since,
            created_at,
            expires_at,
            last_used_at: None,
        };
        let hash = hash_key(secret.as_bytes());
        let event = self.describe_change(&key, EventData::ApiKeyCreated);
        self.inner
            .store
            .api_keys()
            .add_api_key(key.clone(), hash, Some(event))
            .await?;
        // Memory follows the database at once, without a query in between that could fail.
        let known = KnownKey::from_api_key(hash, &key, self.inner.store.lives());
        self.inner
            .known
            .send_modify(|all| drop(all.insert(hash, known)));
        self.inner.open_access.set(self.is_empty());
        Ok((key, secret.into()))
    }

    /// Removes a key; it is no longer accepted.
    pub async fn remove_key(&self, id: &str) -> Result<(), ApiKeyError> {
        let _alone = self.inner.changing.lock().await;
        let keys = self.inner.store.api_keys().list_api_keys().await?;
        let (going, staying): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.id == id);
        let going = going.first().ok_or(ApiKeyError::NotFound)?;
        let is_admin = |key: &ApiKey| key.rights.is_admin_of_all() && key.expires_at.is_none();
        let leaves_admin =
            self.inner.first.is_some() || staying.is_empty() || staying.iter().any(is_admin);
        if is_admin(going) && !leaves_admin {
            return Err(ApiKeyError::LastAdmin);
        }
        let event = self.describe_change(going, EventData::ApiKeyRemoved);
        let stored = self.inner.store.api_keys();
        stored.remove_api_key(id, Some(event)).await?;
        self.inner
            .known
            .send_modify(|known| known.retain(|_, key| *key.caller.id != *id));
        self.inner.open_access.set(self.is_empty());
        Ok(())
    }

    /// Returns the event that reports a new or a removed key.
    fn describe_change(&self, key: &ApiKey, data: fn(ApiKeyEvent) -> EventData) -> NewEvent {
        let scopes = key.rights.scopes.iter();
        let data = data(ApiKeyEvent {
            session: None,
            id: key.id.clone(),
            name: key.name.clone(),
            scopes: scopes.map(|scope| scope.into_str().to_owned()).collect(),
            sessions: key.rights.sessions.clone(),
            expires_at: key.expires_at,
        });
        let event = Event::new(data, self.inner.clock.now());
        NewEvent::for_session(&Life::for_gateway(""), &event)
    }

    /// Saves last uses periodically, and at the end.
    pub async fn keep_saving_uses(self, lifecycle: Lifecycle) {
        while lifecycle
            .unless_stopping(self.inner.clock.sleep(SAVE_INTERVAL))
            .await
            .is_some()
        {
            self.save_uses().await;
        }
        self.save_uses().await;
    }

    async fn save_uses(&self) {
        let used: Vec<_> = self
            .lock_used()
            .iter()
            .map(|(id, at)| (id.to_string(), *at))
            .collect();
        if used.is_empty() {
            return;
        }
        match self
            .inner
            .store
            .api_keys()
            .record_api_key_uses(used.clone())
            .await
        {
            // A key that was used again in the meantime stays to be saved.
            Ok(()) => self.lock_used().retain(|id, at| {
                !used
                    .iter()
                    .any(|(noted, when)| **id == **noted && at == when)
            }),
            Err(error) => {
                tracing::warn!(%error, "failed to save when keys were last used");
            }
        }
    }

    /// Gives a caller access to a session it has just created under one of its names.
    pub async fn give_session(&self, caller: &Caller, session: &str) -> Result<(), StoreError> {
        let Some(key) = caller.key.filter(|_| caller.allowed_sessions().is_some()) else {
            return Ok(());
        };
        let _alone = self.inner.changing.lock().await;
        // As it is now: the caller may have been given other sessions since it was authenticated.
        let known = self
            .inner
            .known
            .borrow()
            .get(&key)
            .map(|known| Arc::clone(&known.caller.since));
        let Some(mut all) = known.map(|since| BTreeMap::clone(&since)) else {
            return Ok(());
        };
        all.insert(
            session.to_owned(),
            self.inner.store.lives().access_since_now(session),
        );
        self.inner
            .store
            .api_keys()
            .set_api_key_lives(caller.id(), all.clone())
            .await?;
        self.inner.known.send_modify(|known| {
            if let Some(known) = known.get_mut(&key) {
                known.caller.since = all.into();
            }
        });
        Ok(())
    }

    /// Returns the access that a session-restricted key is given now.
    fn access_starts(&self, rights: &KeyAccess) -> BTreeMap<String, AccessSince> {
        let sessions = rights.sessions.iter().flatten();
        sessions
            .map(|name| {
                (
                    name.clone(),
                    self.inner.store.lives().access_since_now(name),
                )
            })
            .collect()
    }

    /// Keys that were saved before access had a start date get the current one.
    async fn date_old_keys(&self) -> Result<(), StoreError> {
        for key in self
            .inner
            .store
            .api_keys()
            .list_api_keys()
            .await?
            .into_iter()
            .filter(|key| key.since.is_none())
        {
            self.inner
                .store
                .api_keys()
                .set_api_key_lives(&key.id, self.access_starts(&key.rights))
                .await?;
        }
        Ok(())
    }

    fn lock_used(&self) -> parking_lot::MutexGuard<'_, HashMap<Arc<str>, Timestamp>> {
        self.inner.used.lock()
    }
}

fn hash_binding(token: &[u8], key: &ApiKeyHash) -> LoginHash {
    Sha256::new_with_prefix(token)
        .chain_update(key)
        .finalize()
        .into()
}

fn hash_key(key: &[u8]) -> ApiKeyHash {
    Sha256::digest(key).into()
}
