//! The rows of one device: in memory until a phone links it, and from then on in the store's table,
//! under the life of its account.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::RwLock;
use tokio::sync::futures::Notified;
use whatsapp_rust::wacore::store::error::{Result, StoreError};

use super::database_error;
use crate::model::event::MessageKey;
use crate::store::{EngineRow, KeyRange, Life, RowChange, RowKind, Store};

/// Numbers and values of the rows of a device that is not linked.
type UnlinkedRows = BTreeMap<(RowKind, String), (i64, Vec<u8>)>;

/// Where the rows are.
enum Place {
    Memory(Mutex<UnlinkedRows>),
    Table(Life),
}

/// Rows of one device.
pub(super) struct DeviceRows {
    store: Store,
    /// Changed once; held by each write until it is on the disk.
    place: RwLock<Place>,
    /// Whether the last write has failed.
    has_failed: AtomicBool,
    /// Whether the link that writes them has ended.
    is_closed: AtomicBool,
}

impl DeviceRows {
    /// Rows of a device that no phone has linked yet.
    pub fn unlinked(store: Store) -> Self {
        Self::at(Place::Memory(Mutex::default()), store)
    }

    /// Rows of a linked device.
    pub fn linked(life: Life, store: Store) -> Self {
        Self::at(Place::Table(life), store)
    }

    fn at(place: Place, store: Store) -> Self {
        Self {
            store,
            place: RwLock::new(place),
            has_failed: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Returns the value of a row.
    pub async fn find(&self, kind: RowKind, key: &str) -> Result<Option<Vec<u8>>> {
        let row = match &*self.place.read().await {
            Place::Memory(rows) => rows
                .lock()
                .get(&(kind, key.to_owned()))
                .map(|row| to_row(kind, key, row)),
            Place::Table(life) => {
                let row = self.store.engine_rows().find(life, kind, key).await;
                row.map_err(database_error)?
            }
        };
        Ok(row.map(|row| row.value))
    }

    /// Returns the rows of these keys that there are.
    pub async fn find_many(&self, kind: RowKind, keys: &[String]) -> Result<Vec<EngineRow>> {
        let rows = match &*self.place.read().await {
            Place::Memory(rows) => {
                let (rows, mut found) = (rows.lock(), Vec::new());
                for key in keys {
                    let row = rows.get(&(kind, key.clone()));
                    found.extend(row.map(|row| to_row(kind, key, row)));
                }
                found
            }
            Place::Table(life) => {
                let rows = self.store.engine_rows().find_many(life, kind, keys).await;
                rows.map_err(database_error)?
            }
        };
        Ok(rows)
    }

    /// Returns the rows of a range, by their keys.
    pub async fn list(&self, kind: RowKind, range: KeyRange) -> Result<Vec<EngineRow>> {
        let rows = match &*self.place.read().await {
            Place::Memory(rows) => {
                let rows = rows.lock();
                let all = rows.iter().filter(|((of, _), _)| *of == kind);
                let found = all.filter(|((_, key), _)| range.contains(key));
                found
                    .map(|((_, key), row)| to_row(kind, key, row))
                    .collect()
            }
            Place::Table(life) => {
                let rows = self.store.engine_rows().list(life, kind, &range).await;
                rows.map_err(database_error)?
            }
        };
        Ok(rows)
    }

    /// Returns the last key of a kind.
    pub async fn last_key(&self, kind: RowKind) -> Result<Option<String>> {
        let row = match &*self.place.read().await {
            Place::Memory(rows) => {
                let rows = rows.lock();
                let last = rows.keys().rev().find(|(of, _)| *of == kind);
                return Ok(last.map(|(_, key)| key.clone()));
            }
            Place::Table(life) => self.store.engine_rows().last(life, kind).await,
        };
        Ok(row.map_err(database_error)?.map(|row| row.key))
    }

    /// Returns whether there is a row in a range.
    pub async fn has_any(&self, kind: RowKind, range: KeyRange) -> Result<bool> {
        match &*self.place.read().await {
            Place::Memory(rows) => {
                let rows = rows.lock();
                Ok(rows
                    .keys()
                    .any(|(of, key)| *of == kind && range.contains(key)))
            }
            Place::Table(life) => {
                let rows = self.store.engine_rows();
                let found = rows.has_any(life, kind, &range).await;
                found.map_err(database_error)
            }
        }
    }

    /// Makes changes; returns the number of rows deleted, once everything is on the disk.
    pub async fn write(&self, changes: Vec<RowChange>) -> Result<u64> {
        let written = self.write_keys(changes, Vec::new(), None);
        Ok(written.await?.unwrap_or_default())
    }

    /// Makes changes, and saves the messages that were decrypted with what is in them in the same
    /// transaction; returns the number of rows deleted, once everything is on the disk. With `urgent`, they
    /// may wait for a commit of others; returns `None` if it completes first, see
    /// [`write_deferred`](crate::store::EngineRowStore::write_deferred).
    pub async fn write_keys(
        &self,
        changes: Vec<RowChange>,
        decrypted: Vec<(MessageKey, Vec<u8>)>,
        urgent: Option<Pin<&mut Notified<'_>>>,
    ) -> Result<Option<u64>> {
        let place = self.place.read().await;
        self.check_open()?;
        let written = match &*place {
            Place::Memory(_) if !decrypted.is_empty() => {
                return Err(StoreError::Validation(
                    "a message was decrypted before a phone has linked the device".to_owned(),
                ));
            }
            Place::Memory(rows) => return Ok(Some(apply_changes(&mut rows.lock(), changes))),
            Place::Table(life) => {
                let rows = self.store.engine_rows();
                match urgent {
                    None => rows.write(life, changes, decrypted).await.map(Some),
                    Some(urgent) => rows.write_deferred(life, changes, decrypted, urgent).await,
                }
            }
        };
        self.has_failed.store(written.is_err(), Ordering::Release);
        written.map_err(database_error)
    }

    /// Moves the rows of a device that a phone has linked into the table, with these changes. What a
    /// former device of the account has left there goes. Does nothing but the changes if they are
    /// there already.
    pub async fn link(&self, life: &Life, changes: Vec<RowChange>) -> Result<()> {
        // A write under way would be waited for.
        let is_linked = matches!(*self.place.read().await, Place::Table(_));
        if !is_linked {
            let mut place = self.place.write().await;
            self.check_open()?;
            if let Place::Memory(rows) = &*place {
                let mut all = rows.lock().clone();
                apply_changes(&mut all, changes);
                let put = |((kind, key), (extra, value))| {
                    RowChange::Put(EngineRow {
                        kind,
                        key,
                        extra,
                        value,
                    })
                };
                let rows = self.store.engine_rows();
                rows.close(life).await.map_err(database_error)?;
                let written = rows.write(life, all.into_iter().map(put).collect(), Vec::new());
                written.await.map_err(database_error)?;
                *place = Place::Table(life.clone());
                return Ok(());
            }
        }
        self.write(changes).await.map(drop)
    }

    /// Refuses writes from now on: the rows may be deleted, or belong to the next link.
    pub fn refuse_writes(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    /// Returns once no write is under way.
    pub async fn wait_for_writes(&self) {
        drop(self.place.write().await);
    }

    /// Fails once the rows are closed.
    pub fn check_open(&self) -> Result<()> {
        match self.is_closed.load(Ordering::Acquire) {
            true => Err(StoreError::Validation("the link has ended".to_owned())),
            false => Ok(()),
        }
    }

    /// Whether the last write has failed.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// Returns whether keys can be written: after a failure, that is tried.
    pub async fn check_disk(&self) -> Result<()> {
        if self.has_failed() {
            self.store.probe_disk().await.map_err(database_error)?;
            self.has_failed.store(false, Ordering::Release);
        }
        Ok(())
    }
}

fn to_row(kind: RowKind, key: &str, (extra, value): &(i64, Vec<u8>)) -> EngineRow {
    EngineRow {
        kind,
        key: key.to_owned(),
        extra: *extra,
        value: value.clone(),
    }
}

/// Makes changes as the store's table would; returns the number of rows deleted.
fn apply_changes(rows: &mut UnlinkedRows, changes: Vec<RowChange>) -> u64 {
    let (mut deleted, mut expect) = (0, rows.len());
    for change in changes {
        match change {
            RowChange::Put(row) => {
                rows.insert((row.kind, row.key), (row.extra, row.value));
                expect = rows.len();
            }
            RowChange::SetExtra(kind, key, extra) => {
                if let Some((number, _)) = rows.get_mut(&(kind, key)) {
                    *number = extra;
                }
            }
            RowChange::Delete(kind, key) => drop(rows.remove(&(kind, key))),
            RowChange::DeleteRange(kind, range) => {
                rows.retain(|(of, key), _| *of != kind || !range.contains(key));
            }
            RowChange::Expire(kind, upto) => {
                rows.retain(|(of, _), (extra, _)| *of != kind || *extra <= 0 || *extra > upto);
            }
        }
        deleted += (expect - rows.len()) as u64;
        expect = rows.len();
    }
    deleted
}
