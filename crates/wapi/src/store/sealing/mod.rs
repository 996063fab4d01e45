//! Sealing: values that hold keys are on the disk as envelopes, where the operator has given a
//! master key.
//!
//! The master key seals data keys, which are in the table `data_keys`, and each data key seals the
//! values of one life: those of its device, which go with it, or all others. A value begins with the
//! number of its key, 0 for none, so sealed and plain values may stand beside each other; a text
//! begins with [`TEXT_MARK`] when it is sealed. A value is bound to its row, and opens nowhere else.
//!
//! All data keys are in memory. Values are sealed wherever that is convenient, before a change is
//! handed to the writer or while it is written: each commit saves the data keys that are new.

mod data_keys;
pub(in crate::store) mod envelope;
mod finish;
mod rows;
mod start;
mod unreadable;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use parking_lot::Mutex;

use self::data_keys::DataKeys;
use self::envelope::{Binding, EnvelopeKey};
use super::{Life, StoreError};
use crate::store::db::{self, Connection};
use crate::system::master_key::{MasterKeys, SealPolicy};

pub(super) use self::start::{check_master_key, erase_deleted, is_sealed, open_sealer};
pub(super) use self::unreadable::UnreadableRows;

/// First byte of a value that is not sealed.
pub(super) const NOT_SEALED: u8 = 0;
/// Begins a text that is sealed; no text that is stored plain begins so.
const TEXT_MARK: &str = "sealed:";

/// What is sealed together, and goes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum SealScope {
    /// The keys of a device, until it is gone.
    Device = 1,
    /// All else of a life, until the life is gone.
    Life = 2,
}

impl SealScope {
    /// All scopes.
    pub const ALL: [Self; 2] = [Self::Device, Self::Life];

    /// The number in the database.
    pub const fn number(self) -> i64 {
        self as i64
    }
}

/// A row with a value that may be sealed.
#[derive(Debug, Clone, Copy)]
pub(super) struct SealedPlace<'a> {
    pub scope: SealScope,
    pub table: &'a str,
    pub life: i64,
    pub kind: i64,
    /// The parts of its key.
    pub key: &'a [&'a str],
}

impl<'a> SealedPlace<'a> {
    /// A row of a life.
    pub fn of_life(table: &'a str, life: i64, key: &'a [&'a str]) -> Self {
        let scope = SealScope::Life;
        Self {
            scope,
            table,
            life,
            kind: 0,
            key,
        }
    }

    fn binding(&self) -> Binding {
        let start = Binding::new("wapi row 1").text(self.table);
        let start = start.number(self.life).number(self.kind);
        self.key.iter().fold(start, |place, part| place.text(part))
    }
}

/// Seals and opens values; cheap to clone. Without a master key, values are plain.
#[derive(Clone, Default)]
pub struct Sealer(Option<Arc<SealerState>>);

struct SealerState {
    master: EnvelopeKey,
    /// What session files may be sealed with until now.
    old: Option<EnvelopeKey>,
    policy: SealPolicy,
    keys: Mutex<DataKeys>,
    /// Values that the start could not take the seal off.
    left_sealed: AtomicU64,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Sealer")
    }
}

impl Sealer {
    /// Writes plain values, and reads no others.
    pub fn none() -> Self {
        Self::default()
    }

    fn new(keys: &MasterKeys, known: DataKeys) -> Self {
        let key = |key: &crate::system::master_key::MasterKey| EnvelopeKey::new(key.bytes());
        Self(Some(Arc::new(SealerState {
            master: key(&keys.current),
            old: keys.old.as_ref().map(key),
            policy: keys.policy,
            keys: Mutex::new(known),
            left_sealed: AtomicU64::new(0),
        })))
    }

    /// Seals and opens files alone.
    pub fn for_files(keys: &MasterKeys) -> Self {
        Self::new(keys, DataKeys::default())
    }

    /// Returns whether there is a master key.
    pub fn has_master_key(&self) -> bool {
        self.0.is_some()
    }

    /// Returns whether keys are to be sealed.
    pub fn seals(&self) -> bool {
        self.sealing().is_some()
    }

    fn sealing(&self) -> Option<&SealerState> {
        let state = self.0.as_deref()?;
        (state.policy == SealPolicy::Keys).then_some(state)
    }

    /// Returns a value as it is stored. Fails only if so many data keys of its life were replaced in
    /// one transaction, or are damaged, that there is no number for another one.
    pub(super) fn seal(
        &self,
        place: &SealedPlace<'_>,
        value: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let Some(state) = self.sealing() else {
            let mut plain = Vec::with_capacity(1 + value.len());
            plain.push(NOT_SEALED);
            plain.extend(value);
            return Ok(plain);
        };
        let current = state
            .keys
            .lock()
            .current(place.life, place.scope, &state.master);
        let (number, key) = current.ok_or_else(|| {
            let table = place.table;
            StoreError::new(format!(
                "a value of the table {table} cannot be sealed: its life has too many data keys"
            ))
        })?;
        Ok(key.seal(number, &place.binding(), value))
    }

    /// Returns a stored value as it was.
    pub(super) fn open(
        &self,
        place: &SealedPlace<'_>,
        mut stored: Vec<u8>,
    ) -> Result<Vec<u8>, StoreError> {
        match stored.first() {
            Some(&NOT_SEALED) => {
                stored.remove(0);
                Ok(stored)
            }
            Some(&number) => self.open_sealed(place, number, &stored),
            None => Err(refusal(place, "it is empty")),
        }
    }

    fn open_sealed(
        &self,
        place: &SealedPlace<'_>,
        number: u8,
        sealed: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let Some(state) = &self.0 else {
            let problem = "it is sealed, and there is no master key; set WAPI_MASTER_KEY";
            return Err(refusal(place, problem));
        };
        let key = state.keys.lock().find(place.life, number);
        let key = key.ok_or_else(|| refusal(place, "its data key is gone, or damaged"))?;
        key.open(&place.binding(), sealed)
            .ok_or_else(|| refusal(place, "it was changed, or moved from another row"))
    }

    /// Returns a text as it is stored.
    pub(super) fn seal_text(
        &self,
        place: &SealedPlace<'_>,
        text: String,
    ) -> Result<String, StoreError> {
        match self.sealing() {
            Some(_) => {
                let sealed = self.seal(place, text.as_bytes())?;
                Ok(format!("{TEXT_MARK}{}", STANDARD_NO_PAD.encode(sealed)))
            }
            None => Ok(text),
        }
    }

    /// Returns a stored text as it was.
    pub(super) fn open_text(
        &self,
        place: &SealedPlace<'_>,
        stored: String,
    ) -> Result<String, StoreError> {
        let Some(sealed) = stored.strip_prefix(TEXT_MARK) else {
            return Ok(stored);
        };
        let sealed = STANDARD_NO_PAD.decode(sealed);
        let sealed = sealed.map_err(|_| refusal(place, "it was changed"))?;
        let text = self.open(place, sealed)?;
        String::from_utf8(text).map_err(|_| refusal(place, "it is not text"))
    }

    /// Seals bytes with the master key itself, for a file that works without the database; `None`
    /// where nothing is to be sealed.
    pub(super) fn seal_file(
        &self,
        first: u8,
        binding: &Binding,
        content: &[u8],
    ) -> Option<Vec<u8>> {
        let state = self.sealing()?;
        Some(state.master.seal(first, binding, content))
    }

    /// Opens such bytes, also if the former master key has sealed them.
    pub(super) fn open_file(&self, binding: &Binding, sealed: &[u8]) -> Result<Vec<u8>, String> {
        let Some(state) = &self.0 else {
            let problem = "its file is sealed with a master key, and there is none; set WAPI_MASTER_KEY to the one that \
                           the file was written with";
            return Err(problem.to_owned());
        };
        let mut keys = [Some(&state.master), state.old.as_ref()].into_iter();
        keys.find_map(|key| key?.open(binding, sealed))
            .ok_or_else(|| {
                "its file is sealed with another master key; set WAPI_MASTER_KEY_OLD to the one that the file was \
                 written with, or remove the file and scan anew"
                    .to_owned()
            })
    }

    /// Returns whether a file in this form is to be written anew, since it is not sealed with the
    /// master key although it should be, or the other way round.
    pub(super) fn wants_file_anew(
        &self,
        is_sealed: bool,
        binding: &Binding,
        content: &[u8],
    ) -> bool {
        match (&self.0, self.sealing()) {
            (None, _) => false,
            (Some(_), None) => is_sealed,
            (Some(_), Some(state)) => !is_sealed || state.master.open(binding, content).is_none(),
        }
    }

    /// Saves the data keys that are new, in the transaction of the values that they seal.
    pub(super) async fn save_keys(&self, connection: &mut Connection) -> Result<(), db::Error> {
        let Some(state) = &self.0 else {
            return Ok(());
        };
        let new = state.keys.lock().take_unsaved();
        data_keys::insert_keys(connection, &new).await
    }

    /// Deletes the data key of a scope: what it has sealed and what is still in free parts of the
    /// file cannot be opened any more. Copies of the database have the data key, too. The values are
    /// deleted before.
    pub(super) async fn drop_key(
        &self,
        connection: &mut Connection,
        life: &Life,
        scope: SealScope,
    ) -> Result<(), db::Error> {
        let Some(state) = &self.0 else {
            return Ok(());
        };
        if state.keys.lock().retire(life.id, scope) {
            data_keys::delete_keys(connection, life.id, scope).await?;
        }
        Ok(())
    }

    /// Ends a transaction: its data keys are on the disk, or it never was.
    pub(super) fn end_transaction(&self, is_committed: bool) {
        if let Some(state) = &self.0 {
            state.keys.lock().end_transaction(is_committed);
        }
    }
}

impl From<StoreError> for db::Error {
    /// For changes that seal what they write.
    fn from(error: StoreError) -> Self {
        Self::Encode(error.into())
    }
}

fn refusal(place: &SealedPlace<'_>, problem: &str) -> StoreError {
    StoreError::new(format!(
        "a value of the table {} cannot be opened: {problem}",
        place.table
    ))
}

#[cfg(test)]
mod tests;
