//! Lives of all sessions. Stored data belongs to one life of a session, so the owner of a name
//! finds no data of previous owners.
//!
//! The registry is in memory, since every query needs it. Its changes are written with the next
//! commit, of any kind: so a life is on disk before or together with the first data that belongs to
//! it, and needs no commit of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::life::{Life, NOBODYS, Since};
use super::time;
use crate::clock::Clock;

/// A life as stored.
#[derive(Debug, Clone)]
struct Kept {
    name: Arc<str>,
    /// `None`: no phone has linked it, or the account can no longer be determined.
    account: Option<String>,
    /// The beginning and the end in milliseconds.
    from: i64,
    to: Option<i64>,
    /// The first life since the session was created: access granted then covers all lives of one
    /// tenure.
    tenure: i64,
    is_old: bool,
    /// Its data is to be removed.
    is_purged: bool,
}

#[derive(Default)]
struct Books {
    lives: BTreeMap<i64, Kept>,
    /// The current life of each session.
    current: HashMap<Arc<str>, i64>,
    newest: i64,
    /// The lives that differ from the database, with the number of their last change.
    unsaved: BTreeMap<i64, u64>,
    changes: u64,
}

impl Books {
    fn life(&self, id: i64) -> Option<Life> {
        let kept = self.lives.get(&id)?;
        Some(Life {
            id,
            name: Arc::clone(&kept.name),
            is_old: kept.is_old,
        })
    }

    fn current(&self, name: &str) -> Option<i64> {
        self.current.get(name).copied()
    }

    fn change(&mut self, id: i64, change: impl FnOnce(&mut Kept)) {
        let Some(kept) = self.lives.get_mut(&id) else {
            return;
        };
        change(kept);
        self.changes += 1;
        self.unsaved.insert(id, self.changes);
    }

    fn begin(&mut self, name: &str, account: Option<&str>, tenure: Option<i64>, now: i64) -> i64 {
        self.newest += 1;
        let (id, name) = (self.newest, Arc::<str>::from(name));
        let account = account.map(str::to_owned);
        let tenure = tenure.unwrap_or(id);
        let kept = Kept {
            name,
            account,
            from: now,
            to: None,
            tenure,
            is_old: false,
            is_purged: false,
        };
        self.current.insert(Arc::clone(&kept.name), id);
        self.lives.insert(id, kept);
        self.change(id, |_| {});
        id
    }

    fn end(&mut self, name: &str, now: i64) {
        if let Some(id) = self.current.remove(name) {
            self.change(id, |kept| kept.to = Some(now));
        }
    }
}

/// The registry of the lives of all sessions, former ones included.
pub struct Lives {
    books: Mutex<Books>,
    clock: Clock,
}

impl std::fmt::Debug for Lives {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Lives").finish_non_exhaustive()
    }
}

impl Lives {
    #[cfg(test)]
    pub(super) fn test() -> Self {
        Self {
            books: Mutex::default(),
            clock: Clock::system(),
        }
    }

    pub(super) async fn load(
        connection: &mut SqliteConnection,
        clock: Clock,
    ) -> Result<Self, sqlx::Error> {
        let sql = "SELECT life, session, account, from_at, to_at, tenure, is_old, is_purged FROM lives ORDER BY life";
        let mut books = Books::default();
        for row in sqlx::query(sql).fetch_all(connection).await? {
            let (id, kept) = kept(&row);
            if kept.to.is_none() && id != NOBODYS {
                books.current.insert(Arc::clone(&kept.name), id);
            }
            books.newest = books.newest.max(id);
            books.lives.insert(id, kept);
        }
        Ok(Self {
            books: Mutex::new(books),
            clock,
        })
    }

    /// Returns the current life of a session, if there is such a session.
    pub fn current(&self, name: &str) -> Option<Life> {
        let books = self.books();
        books.life(books.current(name)?)
    }

    /// Returns the numbers of all lives, and of the pseudo-life of the whole gateway.
    pub(super) fn all(&self) -> Vec<i64> {
        self.books().lives.keys().copied().collect()
    }

    /// Returns the numbers of the current lives, and of the pseudo-life of the whole gateway.
    pub(super) fn all_current(&self) -> Vec<i64> {
        let books = self.books();
        books.current.values().copied().chain([NOBODYS]).collect()
    }

    /// Returns the current life of a session; begins one if there is none, which goes to the
    /// account that links it first.
    pub fn begun(&self, name: &str) -> Life {
        let now = self.now();
        let mut books = self.books();
        let id = books
            .current(name)
            .unwrap_or_else(|| books.begin(name, None, None, now));
        books.life(id).expect("it is there")
    }

    /// Records that a phone has linked a session to an account: the life of this account under this
    /// name is resumed, or begins.
    pub fn linked(&self, name: &str, account: &str) -> Life {
        let now = self.now();
        let mut books = self.books();
        let before = books
            .current(name)
            .unwrap_or_else(|| books.begin(name, None, None, now));
        let (linked, tenure) = books
            .lives
            .get(&before)
            .map_or((None, before), |it| (it.account.clone(), it.tenure));
        let is_theirs = |kept: &Kept| {
            *kept.name == *name && kept.account.as_deref() == Some(account) && !kept.is_purged
        };
        let id = match books
            .lives
            .iter()
            .rev()
            .find(|(_, kept)| is_theirs(kept))
            .map(|(id, _)| *id)
        {
            Some(id) if id == before => id,
            Some(former) => {
                books.end(name, now);
                // Access to the former life covers the session again.
                let theirs = books.lives.get(&former).map(|kept| kept.tenure);
                let all = books
                    .lives
                    .iter()
                    .filter(|(_, kept)| Some(kept.tenure) == theirs)
                    .map(|(id, _)| *id);
                for id in all.collect::<Vec<_>>() {
                    books.change(id, |kept| kept.tenure = tenure);
                }
                books.change(former, |kept| kept.to = None);
                books.current.insert(name.into(), former);
                former
            }
            None if linked.is_none() => {
                books.change(before, |kept| kept.account = Some(account.to_owned()));
                before
            }
            None => {
                books.end(name, now);
                books.begin(name, Some(account), Some(tenure), now)
            }
        };
        books.life(id).expect("it is there")
    }

    /// Ends the life of a removed session. Its data is hidden until the same account links a
    /// session of this name.
    pub fn ended(&self, name: &str) {
        let now = self.now();
        self.books().end(name, now);
    }

    /// Ends the lives of all sessions but these.
    pub fn ended_but(&self, names: &BTreeSet<String>) {
        let now = self.now();
        let mut books = self.books();
        let gone = books
            .current
            .keys()
            .filter(|name| !names.contains(&***name))
            .cloned()
            .collect::<Vec<_>>();
        gone.iter().for_each(|name| books.end(name, now));
    }

    /// Returns all lives of a name, oldest first.
    pub fn of(&self, name: &str) -> Vec<Life> {
        let books = self.books();
        let of_name = books
            .lives
            .iter()
            .filter(|(id, kept)| **id != NOBODYS && *kept.name == *name);
        of_name.filter_map(|(id, _)| books.life(*id)).collect()
    }

    /// Returns the ended life of the data without a known account, if there is one of this name.
    pub fn of_untold(&self, name: &str) -> Option<Life> {
        let all = self.of(name);
        let books = self.books();
        all.into_iter().find(|life| {
            books
                .lives
                .get(&life.id)
                .is_some_and(|it| it.account.is_none() && it.to.is_some())
        })
    }

    /// Creates a life that has ended already, for data that cannot be assigned to another one.
    pub fn over(&self, name: &str) -> Life {
        let now = self.now();
        let mut books = self.books();
        let current = books.current(name);
        let id = books.begin(name, None, None, now);
        books.end(name, now);
        if let Some(current) = current {
            books.current.insert(name.into(), current);
        }
        books.life(id).expect("it is there")
    }

    /// Returns the beginning of a life; the Unix epoch if it is unknown.
    pub fn began(&self, life: &Life) -> Timestamp {
        self.books()
            .lives
            .get(&life.id)
            .map_or(Timestamp::UNIX_EPOCH, |kept| time(kept.from))
    }

    /// Returns the life with this number.
    pub fn find(&self, id: i64) -> Option<Life> {
        self.books().life(id)
    }

    /// Returns whether a life is the current one of its session.
    pub fn is_current(&self, life: &Life) -> bool {
        life.id == NOBODYS || self.books().current(&life.name) == Some(life.id)
    }

    /// Returns the current life of a session, if access to its name since `since` covers it. Access
    /// ends when the session it was granted for is removed.
    pub fn reached(&self, name: &str, since: Since) -> Option<Life> {
        let books = self.books();
        let id = books.current(name)?;
        let tenure = |id: i64| books.lives.get(&id).map(|kept| kept.tenure);
        let theirs = match since {
            Since::Ever => return books.life(id),
            Since::Life(known) => tenure(known),
            Since::After(newest) => {
                let later = books.lives.range(newest.saturating_add(1)..);
                later
                    .filter(|(_, kept)| *kept.name == *name)
                    .map(|(id, _)| *id)
                    .next()
                    .and_then(tenure)
            }
        };
        (theirs == tenure(id)).then(|| books.life(id)).flatten()
    }

    /// Returns the value to store with access that is granted to a name now.
    pub fn since_now(&self, name: &str) -> Since {
        let books = self.books();
        books
            .current(name)
            .map_or(Since::After(books.newest), Since::Life)
    }

    /// Returns the lives of a name that have ended.
    pub fn former(&self, name: &str) -> Vec<Life> {
        self.of(name)
            .into_iter()
            .filter(|life| !self.is_current(life))
            .collect()
    }

    /// Marks lives whose data is to be removed. They have ended, or will have by then.
    pub(super) fn purged(&self, lives: Vec<Life>) {
        let mut books = self.books();
        for life in lives {
            books.change(life.id, |kept| {
                (kept.is_purged, kept.account) = (true, None)
            });
        }
    }

    /// Returns the ended lives whose data is still to be removed.
    pub(super) fn to_purge(&self) -> Vec<Life> {
        let books = self.books();
        let is_due = |id: i64, kept: &Kept| kept.is_purged && books.current(&kept.name) != Some(id);
        books
            .lives
            .iter()
            .filter(|(id, kept)| is_due(**id, kept))
            .filter_map(|(id, _)| books.life(*id))
            .collect()
    }

    /// Returns up to `limit` lives that have ended without an account, and to which nobody can come
    /// back, nor to others of their tenure.
    pub(super) fn abandoned(&self, limit: usize) -> Vec<Life> {
        let books = self.books();
        let is_alive = |kept: &&Kept| kept.account.is_some() || kept.to.is_none() || kept.is_purged;
        let alive: BTreeSet<i64> = books
            .lives
            .values()
            .filter(is_alive)
            .map(|kept| kept.tenure)
            .collect();
        // The lives of data from before lives, or without a known account, have no beginning, or no
        // length.
        let is_abandoned = |kept: &Kept| {
            !alive.contains(&kept.tenure) && kept.from > 0 && kept.to > Some(kept.from)
        };
        // The newest life records the last number given out.
        let all = books
            .lives
            .iter()
            .filter(|(id, _)| **id != NOBODYS && **id != books.newest);
        let saved = all.filter(|(id, kept)| is_abandoned(kept) && !books.unsaved.contains_key(id));
        saved
            .filter_map(|(id, _)| books.life(*id))
            .take(limit)
            .collect()
    }

    /// Forgets lives that are deleted from the database.
    pub(super) fn dropped(&self, lives: &[Life]) {
        let mut books = self.books();
        for life in lives {
            books.lives.remove(&life.id);
        }
    }

    /// Records that the data of a life is removed.
    pub(super) fn is_gone(&self, life: &Life) {
        self.books().change(life.id, |kept| kept.is_purged = false);
    }

    /// Returns the lives that differ from the database, and the number of the last change they
    /// include.
    pub(super) fn unsaved(&self) -> (Vec<Unsaved>, u64) {
        let books = self.books();
        let unsaved = books
            .unsaved
            .keys()
            .filter_map(|id| Some(Unsaved(*id, books.lives.get(id)?.clone())));
        (unsaved.collect(), books.changes)
    }

    /// Records that all changes up to this number are on disk.
    pub(super) fn saved(&self, change: u64) {
        self.books().unsaved.retain(|_, last| *last > change);
    }

    fn now(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A life to be saved.
pub(super) struct Unsaved(i64, Kept);

fn kept(row: &SqliteRow) -> (i64, Kept) {
    let is = |column: &str| row.get::<i64, _>(column) != 0;
    let kept = Kept {
        name: row.get::<&str, _>("session").into(),
        account: row.get("account"),
        from: row.get("from_at"),
        to: row.get("to_at"),
        tenure: row.get("tenure"),
        is_old: is("is_old"),
        is_purged: is("is_purged"),
    };
    (row.get("life"), kept)
}

/// Saves lives.
pub(super) async fn save(
    connection: &mut SqliteConnection,
    lives: &[Unsaved],
) -> Result<(), sqlx::Error> {
    for Unsaved(id, kept) in lives {
        let sql = "INSERT INTO lives (life, session, account, from_at, to_at, tenure, is_old, is_purged) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (life) DO UPDATE SET account = excluded.account, \
                   to_at = excluded.to_at, tenure = excluded.tenure, is_purged = excluded.is_purged";
        let query = sqlx::query(sql)
            .bind(id)
            .bind(&*kept.name)
            .bind(&kept.account)
            .bind(kept.from)
            .bind(kept.to);
        query
            .bind(kept.tenure)
            .bind(kept.is_old)
            .bind(kept.is_purged)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
