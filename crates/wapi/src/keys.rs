//! Who may call: API keys, what each is good for, and which sessions it reaches.

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

/// How often it is saved when keys were last used.
const NOTE_EVERY: Duration = Duration::from_secs(60);
/// How often somebody who is in the house looks whether their key has run out: the time of day may be set anew meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// What a key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look at everything but secrets.
    Read,
    /// Ask WhatsApp about people, and sessions to prove themselves.
    Ask,
    /// Send messages; whoever may do that may ask, too.
    Send,
    /// Everything, the others included.
    Admin,
}

impl Scope {
    pub const ALL: [Self; 4] = [Self::Read, Self::Ask, Self::Send, Self::Admin];

    /// The word in JSON and in the database.
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

/// What a key may do, and to which sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    pub scopes: BTreeSet<Scope>,
    /// `None`: all of them, those that are yet to come included.
    pub sessions: Option<BTreeSet<String>>,
}

impl Rights {
    fn all() -> Self {
        Self {
            scopes: BTreeSet::from([Scope::Admin]),
            sessions: None,
        }
    }

    /// Whether whoever has these can make and remove keys.
    fn is_admin_of_all(&self) -> bool {
        self.sessions.is_none() && self.scopes.contains(&Scope::Admin)
    }
}

/// Whoever makes a request, after the door.
#[derive(Debug, Clone)]
pub struct Caller {
    id: Arc<str>,
    /// `None` for those whose key is not in the database.
    key: Option<KeyHash>,
    rights: Arc<Rights>,
    /// Since when it has each of its sessions.
    since: Arc<BTreeMap<String, Since>>,
    lives: Option<Arc<Lives>>,
}

impl Caller {
    /// Somebody who may do everything.
    fn of_everything(id: &str) -> Self {
        Self {
            id: id.into(),
            key: None,
            rights: Arc::new(Rights::all()),
            since: Arc::default(),
            lives: None,
        }
    }

    /// Whoever calls a gateway that asks for no key.
    pub fn anyone() -> Self {
        Self::of_everything("")
    }

    /// What tells callers apart: the key's id, `first` for the one in the settings, empty where no key is asked for.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The same, to be kept.
    pub fn shared_id(&self) -> Arc<str> {
        Arc::clone(&self.id)
    }

    pub fn has(&self, scope: Scope) -> bool {
        let scopes = &self.rights.scopes;
        let by_sending = scope == Scope::Ask && scopes.contains(&Scope::Send);
        by_sending || scopes.contains(&scope) || scopes.contains(&Scope::Admin)
    }

    /// A key of some sessions is for those whom it knew, not for whoever gets a name after they were removed.
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

    /// Since when it has a session.
    pub fn since(&self, session: &str) -> Since {
        self.since.get(session).copied().unwrap_or(Since::Ever)
    }

    /// The sessions it reaches; `None` for all.
    pub fn sessions(&self) -> Option<&BTreeSet<String>> {
        self.rights.sessions.as_ref()
    }
}

/// A key somebody asks for.
#[derive(Debug, Clone)]
pub struct Wish {
    pub name: String,
    pub rights: Rights,
    pub expires_at: Option<Timestamp>,
}

/// Why the keys were left as they are.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("there is no such key")]
    Unknown,
    /// On a gateway that was open until now, it would lock everybody out.
    #[error("the first key must be for admin and all sessions, without an end")]
    AdminFirst,
    /// Without it nobody could make or remove keys any more.
    #[error("it is the last admin key for all sessions")]
    LastAdmin,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All keys, in memory; cheap to clone.
///
/// A key is 128 random bits, which nobody guesses, so one round of SHA-256 protects it as well as a slow hash for passwords would, and
/// costs nothing at each request.
#[derive(Clone)]
pub struct Keys {
    inner: Arc<Inner>,
}

struct Inner {
    /// That of the settings.
    first: Option<KeyHash>,
    /// Is told whether there are any.
    openness: Openness,
    known: watch::Sender<HashMap<KeyHash, Known>>,
    used: Mutex<HashMap<Arc<str>, Timestamp>>,
    /// Held over each change, so that two of them cannot both leave the other's key as the last one.
    changing: tokio::sync::Mutex<()>,
    store: Store,
    clock: Clock,
}

struct Known {
    caller: Caller,
    expires_at: Option<Timestamp>,
}

/// How long somebody who came in may stay.
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

    /// Whether there are any, of the settings or of the database.
    pub fn are_none(&self) -> bool {
        self.inner.first.is_none() && self.inner.known.borrow().is_empty()
    }

    /// Whom this key belongs to, if it is one and its time has not run out.
    ///
    /// What is looked up and compared are hashes: how long it takes says nothing about the keys.
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

    /// Completes once this caller could not come in again: the key was removed or its time has run out; or it came without one, and
    /// there are keys now.
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

    /// All keys of the database, the oldest first, without what they are.
    pub async fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        let mut keys = self.inner.store.api_keys().await?;
        let used = self.used();
        for key in &mut keys {
            key.last_used_at = key.last_used_at.max(used.get(key.id.as_str()).copied());
        }
        Ok(keys)
    }

    /// Makes a key. This is the only time that the key itself can be seen.
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
        // What changes in the database changes here at once, without a question in between that could fail.
        let known = Known::of(hash, &key, self.inner.store.lives());
        self.inner
            .known
            .send_modify(|all| drop(all.insert(hash, known)));
        self.inner.openness.set(self.are_none());
        Ok((key, secret.into()))
    }

    /// From now on nobody enters with this key.
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

    /// Saves now and then, and at the end, when keys were used last.
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
            // What was used again in the meantime stays to be noted.
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

    /// A caller has made a session of one of its names, and has it from now on.
    pub async fn give(&self, caller: &Caller, session: &str) -> Result<(), StoreError> {
        let Some(key) = caller.key.filter(|_| caller.sessions().is_some()) else {
            return Ok(());
        };
        let _alone = self.inner.changing.lock().await;
        // As it is now: since the caller came in, it may have been given others.
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

    /// What a key of some sessions is given now.
    fn since_now(&self, rights: &Rights) -> BTreeMap<String, Since> {
        let sessions = rights.sessions.iter().flatten();
        sessions
            .map(|name| (name.clone(), self.inner.store.lives().since_now(name)))
            .collect()
    }

    /// Keys of before it was noted since when they have their sessions have them since now.
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
