//! API keys: their scopes, and the sessions they reach.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::guard::Openness;
use crate::ids;
use crate::lifecycle::Lifecycle;
use crate::store::{ApiKey, KeyHash, Lives, Since, Store, StoreError};

/// Interval at which last uses are saved.
const NOTE_EVERY: Duration = Duration::from_secs(60);
/// Interval at which requests in progress check their key's expiry: the time of day may be set
/// meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Permission of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read everything but secrets.
    Read,
    /// Query WhatsApp about people, and check sessions.
    Ask,
    /// Send messages; includes `Ask`.
    Send,
    /// Everything, including the other scopes.
    Admin,
}

impl Scope {
    pub const ALL: [Self; 4] = [Self::Read, Self::Ask, Self::Send, Self::Admin];

    /// The name in JSON and in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Ask => "ask",
            Self::Send => "send",
            Self::Admin => "admin",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }
}

/// Scopes of a key, and the sessions they apply to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    pub scopes: BTreeSet<Scope>,
    /// `None`: all sessions, including future ones.
    pub sessions: Option<BTreeSet<String>>,
}

impl Rights {
    fn all() -> Self {
        Self {
            scopes: BTreeSet::from([Scope::Admin]),
            sessions: None,
        }
    }

    /// Returns whether they allow creating and removing keys.
    fn is_admin_of_all(&self) -> bool {
        self.sessions.is_none() && self.scopes.contains(&Scope::Admin)
    }
}

/// An authenticated caller.
#[derive(Debug, Clone)]
pub struct Caller {
    id: Arc<str>,
    /// `None` for callers whose key is not in the database.
    key: Option<KeyHash>,
    rights: Arc<Rights>,
    /// Start of access to each of its sessions.
    since: Arc<BTreeMap<String, Since>>,
    lives: Option<Arc<Lives>>,
}

impl Caller {
    /// Returns a caller with all rights.
    fn of_everything(id: &str) -> Self {
        Self {
            id: id.into(),
            key: None,
            rights: Arc::new(Rights::all()),
            since: Arc::default(),
            lives: None,
        }
    }

    /// Returns the caller of a gateway that requires no key.
    pub fn anyone() -> Self {
        Self::of_everything("")
    }

    /// Returns the caller's unique id: the key's id, `first` for the key in the settings, empty
    /// where no key is required.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The same, shared.
    pub fn shared_id(&self) -> Arc<str> {
        Arc::clone(&self.id)
    }

    pub fn has(&self, scope: Scope) -> bool {
        let scopes = &self.rights.scopes;
        let by_sending = scope == Scope::Ask && scopes.contains(&Scope::Send);
        by_sending || scopes.contains(&scope) || scopes.contains(&Scope::Admin)
    }

    /// Returns whether the caller may use the session. A session-restricted key is for the sessions
    /// it was given, not for later ones that take the name of a removed one.
    pub fn reaches(&self, session: &str) -> bool {
        self.sessions()
            .is_none_or(|sessions| sessions.contains(session))
            && self.has_still(session)
    }

    fn has_still(&self, session: &str) -> bool {
        let Some(lives) = &self.lives else {
            return true;
        };
        self.sessions().is_none()
            || lives.current(session).is_none()
            || lives.reached(session, self.since(session)).is_some()
    }

    /// Returns the start of access to a session.
    pub fn since(&self, session: &str) -> Since {
        self.since.get(session).copied().unwrap_or(Since::Ever)
    }

    /// Returns the sessions it reaches; `None` for all.
    pub fn sessions(&self) -> Option<&BTreeSet<String>> {
        self.rights.sessions.as_ref()
    }
}

/// A requested key.
#[derive(Debug, Clone)]
pub struct Wish {
    pub name: String,
    pub rights: Rights,
    pub expires_at: Option<Timestamp>,
}

/// Reason why the keys were left unchanged.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("there is no such key")]
    Unknown,
    /// On a gateway that was open until now, it would lock everybody out.
    #[error("the first key must be for admin and all sessions, without an end")]
    AdminFirst,
    /// Without it, keys could no longer be created or removed.
    #[error("it is the last admin key for all sessions")]
    LastAdmin,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All keys, in memory; cheap to clone.
///
/// A key is 128 random bits, which cannot be guessed, so one round of SHA-256 protects it as well
/// as a slow password hash would, and costs nothing at each request.
#[derive(Clone)]
pub struct Keys {
    inner: Arc<Inner>,
}

struct Inner {
    /// The key in the settings.
    first: Option<KeyHash>,
    /// Updated with whether there are any keys.
    openness: Openness,
    known: watch::Sender<HashMap<KeyHash, Known>>,
    used: Mutex<HashMap<Arc<str>, Timestamp>>,
    /// Held during each change, so that two concurrent removals cannot both rely on the other's key
    /// as the last one.
    changing: tokio::sync::Mutex<()>,
    store: Store,
    clock: Clock,
}

struct Known {
    caller: Caller,
    expires_at: Option<Timestamp>,
}

/// How long a request in progress may go on.
enum Stay {
    Over,
    UntilItRunsOut,
    UntilItIsRemoved,
}

impl Known {
    fn of(hash: KeyHash, key: &ApiKey, lives: &Arc<Lives>) -> Self {
        let (id, rights) = (key.id.as_str().into(), Arc::new(key.rights.clone()));
        let since = key.since.clone().unwrap_or_default().into();
        let caller = Caller {
            id,
            key: Some(hash),
            rights,
            since,
            lives: Some(Arc::clone(lives)),
        };
        Self {
            caller,
            expires_at: key.expires_at,
        }
    }

    fn has_ended(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

impl Keys {
    /// Reads the keys. `first` is the one of the settings.
    pub async fn open(
        first: Option<&SecretString>,
        openness: Openness,
        store: Store,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let first = first.map(|key| hash(key.expose_secret().as_bytes()));
        let (used, changing) = (Mutex::default(), tokio::sync::Mutex::default());
        let known = watch::Sender::default();
        let keys = Self {
            inner: Arc::new(Inner {
                first,
                openness,
                known,
                used,
                changing,
                store,
                clock,
            }),
        };
        keys.date().await?;
        let known = keys.inner.store.api_keys_by_hash().await?;
        let known = known
            .iter()
            .map(|(hash, key)| (*hash, Known::of(*hash, key, keys.inner.store.lives())))
            .collect();
        keys.inner.known.send_replace(known);
        keys.inner.openness.set(keys.are_none());
        Ok(keys)
    }

    /// Returns whether there are no keys, neither in the settings nor in the database.
    pub fn are_none(&self) -> bool {
        self.inner.first.is_none() && self.inner.known.borrow().is_empty()
    }

    /// Returns the caller of this key, if the key is valid and not expired.
    ///
    /// Only hashes are looked up and compared, so the time this takes reveals nothing about the
    /// keys.
    pub fn caller(&self, shown: &[u8]) -> Option<Caller> {
        let shown = hash(shown);
        if self
            .inner
            .first
            .is_some_and(|first| bool::from(first.ct_eq(&shown)))
        {
            return Some(Caller::of_everything("first"));
        }
        let now = self.inner.clock.now();
        let caller = {
            let known = self.inner.known.borrow();
            known
                .get(&shown)
                .filter(|known| !known.has_ended(now))?
                .caller
                .clone()
        };
        self.used().insert(Arc::clone(&caller.id), now);
        Some(caller)
    }

    /// Completes once this caller would no longer be admitted: the key was removed or has expired,
    /// or the caller came without one and there are keys now.
    pub async fn ended(&self, caller: &Caller) {
        let mut changes = self.inner.known.subscribe();
        loop {
            let has_end = match self.stay(caller) {
                Stay::Over => return,
                Stay::UntilItRunsOut => true,
                Stay::UntilItIsRemoved => false,
            };
            tokio::select! {
                // The sender lives as long as this.
                _ = changes.changed() => {}
                () = self.inner.clock.sleep(LOOK_EVERY), if has_end => {}
            }
        }
    }

    fn stay(&self, caller: &Caller) -> Stay {
        let Some(key) = &caller.key else {
            let is_anyone = caller.id.is_empty();
            return if is_anyone && !self.are_none() {
                Stay::Over
            } else {
                Stay::UntilItIsRemoved
            };
        };
        match self.inner.known.borrow().get(key) {
            Some(known) if known.expires_at.is_none() => Stay::UntilItIsRemoved,
            Some(known) if !known.has_ended(self.inner.clock.now()) => Stay::UntilItRunsOut,
            _ => Stay::Over,
        }
    }

    /// Returns all keys of the database, oldest first, without the secrets.
    pub async fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        let mut keys = self.inner.store.api_keys().await?;
        let used = self.used();
        for key in &mut keys {
            key.last_used_at = key.last_used_at.max(used.get(key.id.as_str()).copied());
        }
        Ok(keys)
    }

    /// Creates a key. The returned secret cannot be read again.
    pub async fn make(&self, wish: Wish) -> Result<(ApiKey, SecretString), Refused> {
        let _alone = self.inner.changing.lock().await;
        if self.are_none() && !(wish.rights.is_admin_of_all() && wish.expires_at.is_none()) {
            return Err(Refused::AdminFirst);
        }
        let secret = ids::api_key();
        let Wish {
            name,
            rights,
            expires_at,
        } = wish;
        let (id, hint) = (ids::api_key_id(), secret[secret.len() - 4..].to_owned());
        let (since, created_at) = (Some(self.since_now(&rights)), self.inner.clock.now());
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
        let hash = hash(secret.as_bytes());
        self.inner.store.add_api_key(key.clone(), hash).await?;
        // Memory follows the database at once, without a query in between that could fail.
        let known = Known::of(hash, &key, self.inner.store.lives());
        self.inner
            .known
            .send_modify(|all| drop(all.insert(hash, known)));
        self.inner.openness.set(self.are_none());
        Ok((key, secret.into()))
    }

    /// Removes a key; it is no longer accepted.
    pub async fn remove(&self, id: &str) -> Result<(), Refused> {
        let _alone = self.inner.changing.lock().await;
        let keys = self.inner.store.api_keys().await?;
        let (going, staying): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.id == id);
        let going = going.first().ok_or(Refused::Unknown)?;
        let is_admin = |key: &ApiKey| key.rights.is_admin_of_all() && key.expires_at.is_none();
        let leaves_admin =
            self.inner.first.is_some() || staying.is_empty() || staying.iter().any(is_admin);
        if is_admin(going) && !leaves_admin {
            return Err(Refused::LastAdmin);
        }
        self.inner.store.remove_api_key(id).await?;
        self.inner
            .known
            .send_modify(|known| known.retain(|_, key| *key.caller.id != *id));
        self.inner.openness.set(self.are_none());
        Ok(())
    }

    /// Saves last uses periodically, and at the end.
    pub async fn note_uses(self, lifecycle: Lifecycle) {
        while lifecycle
            .unless_stopping(self.inner.clock.sleep(NOTE_EVERY))
            .await
            .is_some()
        {
            self.save_uses().await;
        }
        self.save_uses().await;
    }

    async fn save_uses(&self) {
        let used: Vec<_> = self
            .used()
            .iter()
            .map(|(id, at)| (id.to_string(), *at))
            .collect();
        if used.is_empty() {
            return;
        }
        match self.inner.store.note_api_key_uses(used.clone()).await {
            // A key that was used again in the meantime stays to be saved.
            Ok(()) => self.used().retain(|id, at| {
                !used
                    .iter()
                    .any(|(noted, when)| **id == **noted && at == when)
            }),
            Err(error) => {
                tracing::warn!(%error, "when keys were last used cannot be saved");
            }
        }
    }

    /// Gives a caller access to a session it has just created under one of its names.
    pub async fn give(&self, caller: &Caller, session: &str) -> Result<(), StoreError> {
        let Some(key) = caller.key.filter(|_| caller.sessions().is_some()) else {
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
            self.inner.store.lives().since_now(session),
        );
        self.inner
            .store
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
    fn since_now(&self, rights: &Rights) -> BTreeMap<String, Since> {
        let sessions = rights.sessions.iter().flatten();
        sessions
            .map(|name| (name.clone(), self.inner.store.lives().since_now(name)))
            .collect()
    }

    /// Keys that were saved before access had a start date get the current one.
    async fn date(&self) -> Result<(), StoreError> {
        for key in self
            .inner
            .store
            .api_keys()
            .await?
            .into_iter()
            .filter(|key| key.since.is_none())
        {
            self.inner
                .store
                .set_api_key_lives(&key.id, self.since_now(&key.rights))
                .await?;
        }
        Ok(())
    }

    fn used(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Timestamp>> {
        self.inner
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(key: &[u8]) -> KeyHash {
    Sha256::digest(key).into()
}
