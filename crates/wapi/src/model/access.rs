//! Access of an API key: its scopes, and the sessions they apply to. Pure.

use std::collections::BTreeSet;

use serde::Serialize;
use strum::{EnumString, IntoStaticStr, VariantNames};

/// Permission of a key. Its words are those in JSON and in the database.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    EnumString,
    IntoStaticStr,
    VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum Scope {
    /// Read everything but secrets.
    Read,
    /// Query WhatsApp about people, and check sessions.
    Ask,
    /// Send messages; includes `Ask`.
    Send,
    /// Change memberships, communities, newsletters of the account's own, and its privacy;
    /// includes `Ask`.
    Manage,
    /// Everything, including the other scopes.
    Admin,
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
