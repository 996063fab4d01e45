//! Life of a session: one period of a session name linked to one account.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use super::registry::LifeRegistry;
use crate::store::Store;

/// One life of a session. The store's functions take the life, not the name, of a session.
#[derive(Debug, Clone)]
pub struct Life {
    pub(in crate::store) id: i64,
    pub(in crate::store) name: Arc<str>,
    /// It began before lives existed.
    pub(in crate::store) is_old: bool,
}

impl Life {
    /// The pseudo-life of the whole gateway. Events that concern a single session carry its name
    /// here.
    pub fn for_gateway(name: &str) -> Self {
        Self {
            id: GATEWAY_LIFE,
            name: name.into(),
            is_old: false,
        }
    }

    /// Builds a life from its columns in the database.
    pub(in crate::store) fn from_parts(id: i64, name: &str) -> Self {
        Self {
            id,
            name: name.into(),
            is_old: false,
        }
    }

    #[cfg(test)]
    pub fn for_test(id: i64, name: &str) -> Self {
        Self::from_parts(id, name)
    }

    pub const fn id(&self) -> i64 {
        self.id
    }

    /// The session's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a text that distinguishes this life from the session's others outside this database.
    pub fn id_seed(&self) -> String {
        // Values derived from the name alone, before lives existed, must stay the same.
        if self.is_old {
            self.name.to_string()
        } else {
            format!("{}\n{}", self.name, self.id)
        }
    }
}

impl PartialEq for Life {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Life {}

impl PartialOrd for Life {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Life {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl Hash for Life {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

/// The number of the pseudo-life of the whole gateway.
pub(in crate::store) const GATEWAY_LIFE: i64 = 0;

/// The time since when an API key or a reader has access to a session name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessSince {
    /// Access follows the session: any life of the name.
    Always,
    /// The session was in this life.
    Life(i64),
    /// There was no session of this name; this was the newest life overall. The access is for the
    /// first life of the name after it.
    After(i64),
}

impl Store {
    pub fn lives(&self) -> &Arc<LifeRegistry> {
        &self.lives
    }

    /// Returns the lifeline of a device that a session is linked by, or is about to be.
    pub fn device_life(&self, name: &str) -> DeviceLife {
        let (name, lives, life) = (name.into(), Arc::clone(&self.lives), OnceLock::new());
        DeviceLife(Arc::new(DeviceLifeState { name, lives, life }))
    }
}

/// The life of one device: determined when a phone links it, and fixed from then on, even if the
/// session moves on.
#[derive(Clone)]
pub struct DeviceLife(Arc<DeviceLifeState>);

struct DeviceLifeState {
    name: Box<str>,
    lives: Arc<LifeRegistry>,
    life: OnceLock<Life>,
}

impl DeviceLife {
    #[cfg(test)]
    pub fn for_test(name: &str) -> Self {
        let lives = Arc::new(LifeRegistry::for_test());
        Self(Arc::new(DeviceLifeState {
            name: name.into(),
            lives,
            life: OnceLock::new(),
        }))
    }

    /// The session's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the life of this account; sets it on the first call.
    pub fn link_account(&self, account: &str) -> &Life {
        self.0
            .life
            .get_or_init(|| self.0.lives.link_account(&self.0.name, account))
    }

    /// Returns the life, or `None` before the device is linked.
    pub fn linked_life(&self) -> Option<Life> {
        self.0.life.get().cloned()
    }

    /// Returns the life; before the device is linked, that of its session. No message is sent or
    /// received before then.
    pub fn current_life(&self) -> Life {
        self.linked_life()
            .unwrap_or_else(|| self.0.lives.ensure_life(&self.0.name))
    }
}
