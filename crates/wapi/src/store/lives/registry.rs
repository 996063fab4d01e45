//! Lives of all sessions. Stored data belongs to one life of a session, so the owner of a name
//! finds no data of previous owners.
//!
//! The registry is in memory, since every query needs it. Its changes are written with the next
//! commit, of any kind: so a life is on disk before or together with the first data that belongs to
//! it, and needs no commit of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::life::{AccessSince, GATEWAY_LIFE, Life};
use crate::store::db::{self, Connection, Row};
use crate::system::clock::Clock;

/// A life as stored.
#[derive(Debug, Clone)]
struct LifeRecord {
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
struct LifeTable {
    lives: BTreeMap<i64, LifeRecord>,
    /// The current life of each session.
    current: HashMap<Arc<str>, i64>,
    newest: i64,
    /// The lives that differ from the database, with the number of their last change.
    unsaved: BTreeMap<i64, u64>,
    changes: u64,
}

impl LifeTable {
    fn get(&self, id: i64) -> Option<Life> {
        let kept = self.lives.get(&id)?;
        Some(Life {
            id,
            name: Arc::clone(&kept.name),
            is_old: kept.is_old,
        })
    }

    fn current_id(&self, name: &str) -> Option<i64> {
        self.current.get(name).copied()
    }

    fn update(&mut self, id: i64, change: impl FnOnce(&mut LifeRecord)) {
        let Some(kept) = self.lives.get_mut(&id) else {
            return;
        };
        change(kept);
        self.changes += 1;
        self.unsaved.insert(id, self.changes);
    }

    fn begin_life(
        &mut self,
        name: &str,
        account: Option<&str>,
        tenure: Option<i64>,
        now: i64,
    ) -> i64 {
        self.newest += 1;
        let (id, name) = (self.newest, Arc::<str>::from(name));
        let account = account.map(str::to_owned);
        let tenure = tenure.unwrap_or(id);
        let kept = LifeRecord {
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
        self.update(id, |_| {});
        id
    }

    fn end_life(&mut self, name: &str, now: i64) {
        if let Some(id) = self.current.remove(name) {
            self.update(id, |kept| kept.to = Some(now));
        }
    }
}

/// The registry of the lives of all sessions, former ones included.
pub struct LifeRegistry {
    table: Mutex<LifeTable>,
    clock: Clock,
}

impl std::fmt::Debug for LifeRegistry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Lives").finish_non_exhaustive()
    }
}

impl LifeRegistry {
    #[cfg(test)]
    pub(in crate::store) fn for_test() -> Self {
        Self {
            table: Mutex::default(),
            clock: Clock::system(),
        }
    }

    pub(in crate::store) async fn load(
        connection: &mut Connection,
        clock: Clock,
    ) -> Result<Self, db::Error> {
        let sql = "SELECT life, session, account, from_at, to_at, tenure, is_old, is_purged FROM lives ORDER BY life";
        let mut table = LifeTable::default();
        for row in db::query(sql).fetch_all(connection).await? {
            let (id, kept) = life_from_row(&row);
            if kept.to.is_none() && id != GATEWAY_LIFE {
                table.current.insert(Arc::clone(&kept.name), id);
            }
            table.newest = table.newest.max(id);
            table.lives.insert(id, kept);
        }
        Ok(Self {
            table: Mutex::new(table),
            clock,
        })
    }

    /// Returns the current life of a session, if there is such a session.
    pub fn current_life(&self, name: &str) -> Option<Life> {
        let table = self.lock_table();
        table.get(table.current_id(name)?)
    }

    /// Returns the numbers of all lives, and of the pseudo-life of the whole gateway.
    pub(in crate::store) fn all_ids(&self) -> Vec<i64> {
        self.lock_table().lives.keys().copied().collect()
    }

    /// Returns the numbers of the current lives, and of the pseudo-life of the whole gateway.
    pub(in crate::store) fn current_ids(&self) -> Vec<i64> {
        let table = self.lock_table();
        table
            .current
            .values()
            .copied()
            .chain([GATEWAY_LIFE])
            .collect()
    }

    /// Returns the current life of a session; begins one if there is none, which goes to the
    /// account that links it first.
    pub fn ensure_life(&self, name: &str) -> Life {
        let now = self.now_millis();
        let mut table = self.lock_table();
        let id = table
            .current_id(name)
            .unwrap_or_else(|| table.begin_life(name, None, None, now));
        table.get(id).expect("it is there")
    }

    /// Records that a phone has linked a session to an account: the life of this account under this
    /// name is resumed, or begins.
    pub fn link_account(&self, name: &str, account: &str) -> Life {
        let now = self.now_millis();
        let mut table = self.lock_table();
        let before = table
            .current_id(name)
            .unwrap_or_else(|| table.begin_life(name, None, None, now));
        let (linked, tenure) = table
            .lives
            .get(&before)
            .map_or((None, before), |it| (it.account.clone(), it.tenure));
        let is_theirs = |kept: &LifeRecord| {
            *kept.name == *name && kept.account.as_deref() == Some(account) && !kept.is_purged
        };
        let id = match table
            .lives
            .iter()
            .rev()
            .find(|(_, kept)| is_theirs(kept))
            .map(|(id, _)| *id)
        {
            Some(id) if id == before => id,
            Some(former) => {
                table.end_life(name, now);
                // Access to the former life covers the session again.
                let theirs = table.lives.get(&former).map(|kept| kept.tenure);
                let all = table
                    .lives
                    .iter()
                    .filter(|(_, kept)| Some(kept.tenure) == theirs)
                    .map(|(id, _)| *id);
                for id in all.collect::<Vec<_>>() {
                    table.update(id, |kept| kept.tenure = tenure);
                }
                table.update(former, |kept| kept.to = None);
                table.current.insert(name.into(), former);
                former
            }
            None if linked.is_none() => {
                table.update(before, |kept| kept.account = Some(account.to_owned()));
                before
            }
            None => {
                table.end_life(name, now);
                table.begin_life(name, Some(account), Some(tenure), now)
            }
        };
        table.get(id).expect("it is there")
    }

    /// Ends the life of a removed session. Its data is hidden until the same account links a
    /// session of this name.
    pub fn end_life(&self, name: &str) {
        let now = self.now_millis();
        self.lock_table().end_life(name, now);
    }

    /// Ends the lives of all sessions but these.
    pub fn end_all_except(&self, names: &BTreeSet<String>) {
        let now = self.now_millis();
        let mut table = self.lock_table();
        let gone = table
            .current
            .keys()
            .filter(|name| !names.contains(&***name))
            .cloned()
            .collect::<Vec<_>>();
        gone.iter().for_each(|name| table.end_life(name, now));
    }

    /// Returns all lives of a name, oldest first.
    pub fn lives_of(&self, name: &str) -> Vec<Life> {
        let table = self.lock_table();
        let of_name = table
            .lives
            .iter()
            .filter(|(id, kept)| **id != GATEWAY_LIFE && *kept.name == *name);
        of_name.filter_map(|(id, _)| table.get(*id)).collect()
    }

    /// Returns the life with this number.
    pub fn find_life(&self, id: i64) -> Option<Life> {
        self.lock_table().get(id)
    }

    /// Returns whether a life is the current one of its session.
    pub fn is_current(&self, life: &Life) -> bool {
        life.id == GATEWAY_LIFE || self.lock_table().current_id(&life.name) == Some(life.id)
    }

    /// Returns the current life of a session, if access to its name since `since` covers it. Access
    /// ends when the session it was granted for is removed.
    pub fn resolve_access(&self, name: &str, since: AccessSince) -> Option<Life> {
        let table = self.lock_table();
        let id = table.current_id(name)?;
        let tenure = |id: i64| table.lives.get(&id).map(|kept| kept.tenure);
        let theirs = match since {
            AccessSince::Always => return table.get(id),
            AccessSince::Life(known) => tenure(known),
            AccessSince::After(newest) => {
                let later = table.lives.range(newest.saturating_add(1)..);
                later
                    .filter(|(_, kept)| *kept.name == *name)
                    .map(|(id, _)| *id)
                    .next()
                    .and_then(tenure)
            }
        };
        (theirs == tenure(id)).then(|| table.get(id)).flatten()
    }

    /// Returns the value to store with access that is granted to a name now.
    pub fn access_since_now(&self, name: &str) -> AccessSince {
        let table = self.lock_table();
        table
            .current_id(name)
            .map_or(AccessSince::After(table.newest), AccessSince::Life)
    }

    /// Returns the lives of a name that have ended.
    pub fn former_lives(&self, name: &str) -> Vec<Life> {
        self.lives_of(name)
            .into_iter()
            .filter(|life| !self.is_current(life))
            .collect()
    }

    /// Marks lives whose data is to be removed. They have ended, or will have by then.
    pub(in crate::store) fn mark_for_purge(&self, lives: Vec<Life>) {
        let mut table = self.lock_table();
        for life in lives {
            table.update(life.id, |kept| {
                (kept.is_purged, kept.account) = (true, None)
            });
        }
    }

    /// Returns the ended lives whose data is still to be removed.
    pub(in crate::store) fn lives_to_purge(&self) -> Vec<Life> {
        let table = self.lock_table();
        let is_due =
            |id: i64, kept: &LifeRecord| kept.is_purged && table.current_id(&kept.name) != Some(id);
        table
            .lives
            .iter()
            .filter(|(id, kept)| is_due(**id, kept))
            .filter_map(|(id, _)| table.get(*id))
            .collect()
    }

    /// Returns up to `limit` lives that have ended without an account, and to which nobody can come
    /// back, nor to others of their tenure.
    pub(in crate::store) fn abandoned_lives(&self, limit: usize) -> Vec<Life> {
        let table = self.lock_table();
        let is_alive =
            |kept: &&LifeRecord| kept.account.is_some() || kept.to.is_none() || kept.is_purged;
        let alive: BTreeSet<i64> = table
            .lives
            .values()
            .filter(is_alive)
            .map(|kept| kept.tenure)
            .collect();
        // The lives of data from before lives, or without a known account, have no beginning, or no
        // length.
        let is_abandoned = |kept: &LifeRecord| {
            !alive.contains(&kept.tenure) && kept.from > 0 && kept.to > Some(kept.from)
        };
        // The newest life records the last number given out.
        let all = table
            .lives
            .iter()
            .filter(|(id, _)| **id != GATEWAY_LIFE && **id != table.newest);
        let saved = all.filter(|(id, kept)| is_abandoned(kept) && !table.unsaved.contains_key(id));
        saved
            .filter_map(|(id, _)| table.get(*id))
            .take(limit)
            .collect()
    }

    /// Forgets lives that are deleted from the database.
    pub(in crate::store) fn forget_lives(&self, lives: &[Life]) {
        let mut table = self.lock_table();
        for life in lives {
            table.lives.remove(&life.id);
        }
    }

    /// Records that the data of a life is removed.
    pub(in crate::store) fn mark_purged(&self, life: &Life) {
        self.lock_table()
            .update(life.id, |kept| kept.is_purged = false);
    }

    /// Returns the lives that differ from the database, and the number of the last change they
    /// include.
    pub(in crate::store) fn unsaved_lives(&self) -> (Vec<UnsavedLife>, u64) {
        let table = self.lock_table();
        let unsaved = table
            .unsaved
            .keys()
            .filter_map(|id| Some(UnsavedLife(*id, table.lives.get(id)?.clone())));
        (unsaved.collect(), table.changes)
    }

    /// Records that all changes up to this number are on disk.
    pub(in crate::store) fn mark_saved(&self, change: u64) {
        self.lock_table().unsaved.retain(|_, last| *last > change);
    }

    fn now_millis(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    fn lock_table(&self) -> MutexGuard<'_, LifeTable> {
        self.table.lock()
    }
}

/// A life to be saved.
pub(in crate::store) struct UnsavedLife(i64, LifeRecord);

fn life_from_row(row: &Row) -> (i64, LifeRecord) {
    let is = |column: &str| row.get::<i64, _>(column) != 0;
    let kept = LifeRecord {
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
pub(in crate::store) async fn save_lives(
    connection: &mut Connection,
    lives: &[UnsavedLife],
) -> Result<(), db::Error> {
    for UnsavedLife(id, kept) in lives {
        let sql = "INSERT INTO lives (life, session, account, from_at, to_at, tenure, is_old, is_purged) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (life) DO UPDATE SET account = excluded.account, \
                   to_at = excluded.to_at, tenure = excluded.tenure, is_purged = excluded.is_purged";
        let query = db::query(sql)
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
