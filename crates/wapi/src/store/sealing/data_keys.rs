//! Data keys: one for each scope of a life, all in memory, and sealed in the database.

use std::collections::HashMap;
use std::sync::Arc;

use super::envelope::{Binding, EnvelopeKey, random_bytes};
use super::{NOT_SEALED, SealScope};
use crate::store::db::{self, Connection, Row};
use crate::system::master_key::KEY_BYTES;

/// The data keys of all lives.
#[derive(Default)]
pub(super) struct DataKeys {
    lives: HashMap<i64, Vec<DataKey>>,
    /// Whether a key may not be on the disk.
    has_unsaved: bool,
}

struct DataKey {
    number: u8,
    scope: i64,
    /// `None` if the stored key cannot be opened: its number stays taken, since values have it, and it
    /// goes with its scope.
    key: Option<Arc<EnvelopeKey>>,
    sealed: Vec<u8>,
    state: KeyState,
}

/// Where a key is, while the one transaction at a time is under way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyState {
    /// In memory.
    New,
    /// In the transaction.
    Inserted,
    Saved,
    /// Deleted in the transaction: it opens, and seals no more. `was_saved` is what it is again if
    /// the transaction fails.
    Retired {
        was_saved: bool,
    },
}

/// A key as it is stored.
pub(super) struct StoredKey {
    pub life: i64,
    /// That of a value is a byte, and not 0; anything else is damage.
    pub number: i64,
    pub scope: i64,
    pub sealed: Vec<u8>,
}

impl DataKeys {
    /// Takes the stored keys, which `master` has sealed; returns the lives of those that it has not,
    /// or that are damaged.
    pub fn load(stored: Vec<StoredKey>, master: &EnvelopeKey) -> (Self, Vec<i64>) {
        let (mut keys, mut refused) = (Self::default(), Vec::new());
        for stored in stored {
            let key = open_key(&stored, master);
            if key.is_none() {
                refused.push(stored.life);
            }
            let Some(number) = number_of(&stored) else {
                continue;
            };
            keys.lives.entry(stored.life).or_default().push(DataKey {
                number,
                scope: stored.scope,
                key: key.map(|key| Arc::new(EnvelopeKey::new(&key))),
                sealed: stored.sealed,
                state: KeyState::Saved,
            });
        }
        (keys, refused)
    }

    /// Returns the key that seals now, and its number; makes one if there is none. `None` if all
    /// numbers are taken.
    pub fn current(
        &mut self,
        life: i64,
        scope: SealScope,
        master: &EnvelopeKey,
    ) -> Option<(u8, Arc<EnvelopeKey>)> {
        let keys = self.lives.entry(life).or_default();
        let is_current = |key: &&DataKey| {
            key.scope == scope.number() && !matches!(key.state, KeyState::Retired { .. })
        };
        let usable = |key: &DataKey| Some((key.number, Arc::clone(key.key.as_ref()?)));
        if let Some(found) = keys.iter().filter(is_current).find_map(usable) {
            return Some(found);
        }
        // Not that of another one, which has sealed values until the transaction ends.
        let number = (1..=u8::MAX).find(|number| keys.iter().all(|key| key.number != *number))?;
        let bytes: [u8; KEY_BYTES] = random_bytes();
        let key = Arc::new(EnvelopeKey::new(&bytes));
        keys.push(DataKey {
            number,
            scope: scope.number(),
            key: Some(Arc::clone(&key)),
            sealed: master.seal(
                number,
                &binding(life, number.into(), scope.number()),
                &bytes,
            ),
            state: KeyState::New,
        });
        self.has_unsaved = true;
        Some((number, key))
    }

    /// Returns the key of this number.
    pub fn find(&self, life: i64, number: u8) -> Option<Arc<EnvelopeKey>> {
        let keys = self.lives.get(&life)?;
        let found = keys.iter().find(|key| key.number == number)?;
        found.key.clone()
    }

    /// Returns the keys that are not on the disk, which the transaction inserts.
    pub fn take_unsaved(&mut self) -> Vec<StoredKey> {
        let mut new = Vec::new();
        if !self.has_unsaved {
            return new;
        }
        for (life, keys) in &mut self.lives {
            for key in keys.iter_mut().filter(|key| key.state == KeyState::New) {
                key.state = KeyState::Inserted;
                new.push(StoredKey {
                    life: *life,
                    number: key.number.into(),
                    scope: key.scope,
                    sealed: key.sealed.clone(),
                });
            }
        }
        new
    }

    /// Retires the key of a scope; returns whether there was one.
    pub fn retire(&mut self, life: i64, scope: SealScope) -> bool {
        let mut has_retired = false;
        for key in self.lives.get_mut(&life).into_iter().flatten() {
            if key.scope == scope.number() {
                let was_saved = match key.state {
                    KeyState::Retired { was_saved } => was_saved,
                    state => state == KeyState::Saved,
                };
                key.state = KeyState::Retired { was_saved };
                has_retired = true;
            }
        }
        self.has_unsaved |= has_retired;
        has_retired
    }

    /// Ends the transaction.
    pub fn end_transaction(&mut self, is_committed: bool) {
        if !self.has_unsaved {
            return;
        }
        self.has_unsaved = false;
        for keys in self.lives.values_mut() {
            keys.retain_mut(|key| {
                key.state = match (key.state, is_committed) {
                    (KeyState::Inserted, true) => KeyState::Saved,
                    (KeyState::Inserted, false) => KeyState::New,
                    (KeyState::Retired { .. }, true) => return false,
                    (KeyState::Retired { was_saved: true }, false) => KeyState::Saved,
                    (KeyState::Retired { was_saved: false }, false) => KeyState::New,
                    (state, _) => state,
                };
                self.has_unsaved |= key.state == KeyState::New;
                true
            });
        }
        self.lives.retain(|_, keys| !keys.is_empty());
    }
}

fn binding(life: i64, number: i64, scope: i64) -> Binding {
    let binding = Binding::new("wapi data key 1").number(life);
    binding.number(number).number(scope)
}

/// Returns the number that values have, if it can be one.
fn number_of(stored: &StoredKey) -> Option<u8> {
    let number = u8::try_from(stored.number).ok();
    number.filter(|number| *number != NOT_SEALED)
}

fn open_key(stored: &StoredKey, master: &EnvelopeKey) -> Option<[u8; KEY_BYTES]> {
    number_of(stored)?;
    let binding = binding(stored.life, stored.number, stored.scope);
    master.open(&binding, &stored.sealed)?.try_into().ok()
}

/// Seals a stored key with another master key; `None` if `old` has not sealed it.
pub(super) fn rewrap_key(
    stored: StoredKey,
    old: &EnvelopeKey,
    new: &EnvelopeKey,
) -> Option<StoredKey> {
    let key = open_key(&stored, old)?;
    let binding = binding(stored.life, stored.number, stored.scope);
    let sealed = new.seal(number_of(&stored)?, &binding, &key);
    Some(StoredKey { sealed, ..stored })
}

pub(super) async fn load_keys(connection: &mut Connection) -> Result<Vec<StoredKey>, db::Error> {
    let sql = "SELECT session, number, scope, sealed FROM data_keys";
    let rows = db::query(sql).fetch_all(connection).await?;
    // What is not of its type is damage, as a key that cannot be opened.
    let key = |row: &Row| StoredKey {
        life: row.try_get("session").unwrap_or_default(),
        number: row.try_get("number").unwrap_or_default(),
        scope: row.try_get("scope").unwrap_or_default(),
        sealed: row.try_get("sealed").unwrap_or_default(),
    };
    Ok(rows.iter().map(key).collect())
}

pub(super) async fn insert_keys(
    connection: &mut Connection,
    keys: &[StoredKey],
) -> Result<(), db::Error> {
    // A key that is there already has a seal of another master key.
    let sql = "INSERT INTO data_keys (session, number, scope, sealed) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (session, number) DO UPDATE SET scope = excluded.scope, sealed = excluded.sealed";
    for key in keys {
        let query = db::query(sql).bind(key.life).bind(key.number);
        let query = query.bind(key.scope).bind(&key.sealed);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn delete_keys(
    connection: &mut Connection,
    life: i64,
    scope: SealScope,
) -> Result<(), db::Error> {
    for sql in [
        // A row that is deleted stays in its page until that is written over. This value has the same
        // length, so it takes the same place.
        "UPDATE data_keys SET sealed = zeroblob(length(sealed)) WHERE session = $1 AND scope = $2",
        "DELETE FROM data_keys WHERE session = $1 AND scope = $2",
    ] {
        let query = db::query(sql).bind(life).bind(scope.number());
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: i64 = 1;

    fn master() -> EnvelopeKey {
        EnvelopeKey::new(&[1; KEY_BYTES])
    }

    fn current(keys: &mut DataKeys, scope: SealScope) -> u8 {
        keys.current(LIFE, scope, &master()).unwrap().0
    }

    fn inserted(keys: &mut DataKeys) -> Vec<i64> {
        let new = keys.take_unsaved();
        new.iter().map(|key| key.number).collect()
    }

    #[test]
    fn a_key_is_inserted_until_a_transaction_with_it_is_committed() {
        let mut keys = DataKeys::default();
        let device = current(&mut keys, SealScope::Device);
        assert_eq!(inserted(&mut keys), [i64::from(device)]);
        // One that is made while the transaction is under way is not in it.
        let rest = current(&mut keys, SealScope::Life);
        assert_ne!(device, rest);
        keys.end_transaction(false);
        assert_eq!(inserted(&mut keys), [device, rest].map(i64::from));
        keys.end_transaction(true);
        assert_eq!(inserted(&mut keys), [0; 0]);
        assert_eq!(current(&mut keys, SealScope::Device), device);
    }

    #[test]
    fn a_key_that_is_dropped_opens_until_that_is_committed_and_seals_no_more() {
        let mut keys = DataKeys::default();
        let first = current(&mut keys, SealScope::Device);
        inserted(&mut keys);
        keys.end_transaction(true);
        assert!(keys.retire(LIFE, SealScope::Device));
        assert!(!keys.retire(LIFE, SealScope::Life));
        let next = current(&mut keys, SealScope::Device);
        assert_ne!(first, next);
        assert!(keys.find(LIFE, first).is_some());
        keys.end_transaction(false);
        assert_eq!(current(&mut keys, SealScope::Device), first, "it is back");
        assert!(keys.retire(LIFE, SealScope::Device));
        assert_eq!(inserted(&mut keys), [0; 0]);
        keys.end_transaction(true);
        assert!(keys.find(LIFE, first).is_none() && keys.find(LIFE, next).is_none());
    }

    #[test]
    fn a_key_that_is_replaced_again_and_again_takes_the_number_of_no_other() {
        let mut keys = DataKeys::default();
        let rest = current(&mut keys, SealScope::Life);
        let saved = current(&mut keys, SealScope::Device);
        inserted(&mut keys);
        keys.end_transaction(true);
        let mut numbers = vec![rest, saved];
        for _ in 0..253 {
            keys.retire(LIFE, SealScope::Device);
            let next = current(&mut keys, SealScope::Device);
            assert!(!numbers.contains(&next), "{next}");
            numbers.push(next);
        }
        keys.retire(LIFE, SealScope::Device);
        let none = keys.current(LIFE, SealScope::Device, &master());
        assert!(none.is_none(), "it is refused");
        assert_eq!(current(&mut keys, SealScope::Life), rest);
        inserted(&mut keys);
        keys.end_transaction(false);
        assert_eq!(current(&mut keys, SealScope::Device), saved, "it is back");
        keys.retire(LIFE, SealScope::Device);
        keys.end_transaction(true);
        assert_ne!(current(&mut keys, SealScope::Device), rest);
    }

    #[test]
    fn a_key_that_cannot_be_opened_keeps_its_number_and_seals_nothing() {
        let mut keys = DataKeys::default();
        let device = current(&mut keys, SealScope::Device);
        let rest = current(&mut keys, SealScope::Life);
        let mut stored = keys.take_unsaved();
        stored[0].sealed.pop();
        for number in [0, 256, -1] {
            let (sealed, scope) = (stored[1].sealed.clone(), stored[1].scope);
            stored.push(StoredKey {
                life: LIFE,
                number,
                scope,
                sealed,
            });
        }
        let (mut keys, refused) = DataKeys::load(stored, &master());
        assert_eq!(refused, [LIFE; 4]);
        assert!(keys.find(LIFE, device).is_none());
        let next = current(&mut keys, SealScope::Device);
        assert!(next != device && next != rest);
        assert_eq!(current(&mut keys, SealScope::Life), rest);
    }

    #[test]
    fn a_key_that_another_master_key_has_sealed_is_not_taken() {
        let mut keys = DataKeys::default();
        current(&mut keys, SealScope::Device);
        let (stored, other) = (keys.take_unsaved(), EnvelopeKey::new(&[2; KEY_BYTES]));
        assert_eq!(DataKeys::load(stored, &other).1, [LIFE]);
    }
}
