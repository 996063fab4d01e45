//! The authenticated caller of a request: its rights, and the sessions it reaches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use crate::model::access::{KeyAccess, Scope};
use crate::store::{AccessSince, ActivityActor, ApiKey, ApiKeyHash, LifeRegistry};

/// An authenticated caller.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(super) id: Arc<str>,
    /// `None` for callers whose key is not in the database.
    pub(super) key: Option<ApiKeyHash>,
    pub(super) rights: Arc<KeyAccess>,
    /// Start of access to each of its sessions.
    pub(super) since: Arc<BTreeMap<String, AccessSince>>,
    pub(super) lives: Option<Arc<LifeRegistry>>,
    /// Name of the key; empty for callers whose key is not in the database.
    pub(super) name: Arc<str>,
    /// The session that the request turned out to concern.
    subject: Arc<OnceLock<String>>,
}

impl Caller {
    /// Returns a caller with all rights.
    pub(super) fn with_full_access(id: &str) -> Self {
        Self {
            id: id.into(),
            key: None,
            rights: Arc::new(KeyAccess::full_access()),
            since: Arc::default(),
            lives: None,
            name: Arc::default(),
            subject: Arc::default(),
        }
    }

    /// Returns the caller of a key in the database.
    pub(super) fn with_key(hash: ApiKeyHash, key: &ApiKey, lives: &Arc<LifeRegistry>) -> Self {
        Self {
            id: key.id.as_str().into(),
            key: Some(hash),
            rights: Arc::new(key.rights.clone()),
            since: key.since.clone().unwrap_or_default().into(),
            lives: Some(Arc::clone(lives)),
            name: key.name.as_str().into(),
            subject: Arc::default(),
        }
    }

    /// Returns the same caller for one request.
    pub fn for_request(self) -> Self {
        Self {
            subject: Arc::default(),
            ..self
        }
    }

    /// Notes the session that the request concerns, where its path does not name it.
    pub fn note_subject(&self, session: &str) {
        let _ = self.subject.set(session.to_owned());
    }

    /// Returns the session that the request concerns, if it was noted.
    pub fn subject(&self) -> Option<&str> {
        self.subject.get().map(String::as_str)
    }

    /// Returns the kind of caller, as the activity names it.
    pub fn actor(&self) -> ActivityActor {
        if self.key.is_some() {
            ActivityActor::ApiKey
        } else if self.id.is_empty() {
            ActivityActor::Anyone
        } else {
            ActivityActor::Setting
        }
    }

    /// Returns the name of the key, shared; empty for callers whose key is not in the database.
    pub fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Returns the caller of a gateway that requires no key.
    pub fn without_key() -> Self {
        Self::with_full_access("")
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

    pub fn has_scope(&self, scope: Scope) -> bool {
        let scopes = &self.rights.scopes;
        let including = [Scope::Send, Scope::Manage];
        let asks = scope == Scope::Ask && including.iter().any(|scope| scopes.contains(scope));
        asks || scopes.contains(&scope) || scopes.contains(&Scope::Admin)
    }

    /// Returns whether the caller may use the session. A session-restricted key is for the sessions
    /// it was given, not for later ones that take the name of a removed one.
    pub fn can_reach(&self, session: &str) -> bool {
        self.allowed_sessions()
            .is_none_or(|sessions| sessions.contains(session))
            && self.is_still_given(session)
    }

    fn is_still_given(&self, session: &str) -> bool {
        let Some(lives) = &self.lives else {
            return true;
        };
        self.allowed_sessions().is_none()
            || lives.current_life(session).is_none()
            || lives
                .resolve_access(session, self.access_since(session))
                .is_some()
    }

    /// Returns the start of access to a session.
    pub fn access_since(&self, session: &str) -> AccessSince {
        self.since
            .get(session)
            .copied()
            .unwrap_or(AccessSince::Always)
    }

    /// Returns the sessions it reaches; `None` for all.
    pub fn allowed_sessions(&self) -> Option<&BTreeSet<String>> {
        self.rights.sessions.as_ref()
    }
}
