//! Access of an API key: its scopes, and the sessions they apply to. Pure.

use std::collections::BTreeSet;

use serde::Serialize;

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
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Ask => "ask",
            Self::Send => "send",
            Self::Admin => "admin",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

/// Scopes of a key, and the sessions they apply to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAccess {
    pub scopes: BTreeSet<Scope>,
    /// `None`: all sessions, including future ones.
    pub sessions: Option<BTreeSet<String>>,
}

impl KeyAccess {
    /// Everything, in all sessions.
    pub fn full_access() -> Self {
        Self {
            scopes: BTreeSet::from([Scope::Admin]),
            sessions: None,
        }
    }

    /// Returns whether they allow creating and removing keys.
    pub fn is_admin_of_all(&self) -> bool {
        self.sessions.is_none() && self.scopes.contains(&Scope::Admin)
    }
}
