//! One life of a session, and who is in it.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{Sqlite, SqliteArgumentsBuffer, SqliteTypeInfo};

use super::Store;
use super::lives::Lives;

/// One life of a session. Whoever asks the store for something of a session says of which life.
#[derive(Debug, Clone)]
pub struct Life {
    pub(super) id: i64,
    pub(super) name: Arc<str>,
    /// It began before lives were told apart.
    pub(super) is_old: bool,
}

impl Life {
    /// What concerns the whole gateway. Whoever is told of one session alone is told of it by this name.
    pub fn nobodys(name: &str) -> Self {
        Self {
            id: NOBODYS,
            name: name.into(),
            is_old: false,
        }
    }

    /// As it is in the database.
    pub(super) fn read(id: i64, name: &str) -> Self {
        Self {
            id,
            name: name.into(),
            is_old: false,
        }
    }

    #[cfg(test)]
    pub fn test(id: i64, name: &str) -> Self {
        Self::read(id, name)
    }

    pub const fn id(&self) -> i64 {
        self.id
    }

    /// The session's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells it from the session's other lives where numbers of this database mean nothing.
    pub fn seed(&self) -> String {
        // What was derived from the name once must stay the same.
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

/// A life is its number where it is written down.
impl sqlx::Type<Sqlite> for Life {
    fn type_info() -> SqliteTypeInfo {
        <i64 as sqlx::Type<Sqlite>>::type_info()
    }
}

impl sqlx::Encode<'_, Sqlite> for Life {
    fn encode_by_ref(&self, arguments: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as sqlx::Encode<'_, Sqlite>>::encode_by_ref(&self.id, arguments)
    }
}

/// The number of what concerns the whole gateway.
pub(super) const NOBODYS: i64 = 0;

/// Since when somebody has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Whoever has the session has it.
    Ever,
    /// The session was in this life.
    Life(i64),
    /// There was no session of this name; this was the newest life of all. Theirs is the first that came after it.
    After(i64),
}

impl Store {
    pub fn lives(&self) -> &Arc<Lives> {
        &self.lives
    }

    /// The life of a device that a session is going to be linked by, or is.
    pub fn lifeline(&self, name: &str) -> Lifeline {
        let (name, lives, life) = (name.into(), Arc::clone(&self.lives), OnceLock::new());
        Lifeline(Arc::new(Line { name, lives, life }))
    }
}

/// The life that a device lives: known once a phone has linked it, and the same from then on, whatever becomes of its session.
#[derive(Clone)]
pub struct Lifeline(Arc<Line>);

struct Line {
    name: Box<str>,
    lives: Arc<Lives>,
    life: OnceLock<Life>,
}

impl Lifeline {
    #[cfg(test)]
    pub fn test(name: &str) -> Self {
        let lives = Arc::new(Lives::test());
        Self(Arc::new(Line {
            name: name.into(),
            lives,
            life: OnceLock::new(),
        }))
    }

    /// The session's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The device is that of this account.
    pub fn linked(&self, account: &str) -> &Life {
        self.0
            .life
            .get_or_init(|| self.0.lives.linked(&self.0.name, account))
    }

    /// `None` before it is linked.
    pub fn known(&self) -> Option<Life> {
        self.0.life.get().cloned()
    }

    /// Before it is linked, that of its session: nothing comes in or leaves then.
    pub fn life(&self) -> Life {
        self.known()
            .unwrap_or_else(|| self.0.lives.begun(&self.0.name))
    }
}
