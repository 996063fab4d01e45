//! Key buffer of one device: changes of Signal keys that the engine has handed over and that are not
//! on the disk yet.
//!
//! The engine locks all of a device's keys while it writes some, and a write takes as long as a sync
//! of the disk. So it hands its changes over here, and they go to the disk together, in one
//! transaction with the messages that they have decrypted; the key barrier holds what is sent until
//! then. A crash takes them back together: what was read with them is read once more.
//!
//! Most changes only advance a key within the range that the engine has reserved, see
//! [`essential_keys`](super::essential_keys). No frame waits for these, so they wait for others to
//! join them, and then for a commit that takes them along.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use whatsapp_rust::wacore::store::error::Result;

use super::DecryptedBuffer;
use super::rows::DeviceRows;
use crate::store::{EngineRow, KeyRange, RowChange, RowKind};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;

/// Time for which changes gather that a frame may wait for; one that waits ends it. The engine hands
/// over a session, the key that made it, and an identity one after the other.
const GATHERING: Duration = Duration::from_millis(10);
/// Time for which other changes gather.
const LAZY_GATHERING: Duration = Duration::from_millis(250);
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Whether a frame may rest on a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyWeight {
    Essential,
    /// It may be lost in a crash.
    Lossy,
}

/// Changes of one device's keys on their way to its rows.
pub(super) struct KeyBuffer {
    rows: Arc<DeviceRows>,
    decrypted: Arc<DecryptedBuffer>,
    state: Mutex<BufferedKeys>,
    /// Held while changes are being written, so that they are in their order.
    writing: tokio::sync::Mutex<()>,
    /// Notified of essential changes, and of callers that wait for all to be saved.
    urgent: Notify,
    tasks: Lifecycle,
    clock: Clock,
}

#[derive(Default)]
struct BufferedKeys {
    /// The last change of each row, with its number.
    changes: BTreeMap<(RowKind, String), (u64, BufferedChange)>,
    /// The number of changes so far.
    count: u64,
    /// The number of the last essential change.
    essential: u64,
    /// The number up to which changes are on the disk.
    saved: u64,
    /// How many callers wait for all changes to be saved.
    waiting: usize,
    /// Whether a task writes what gathers.
    has_writer: bool,
}

impl BufferedKeys {
    /// Whether there are changes that a frame may rest on.
    const fn has_essential(&self) -> bool {
        self.essential > self.saved
    }
}

/// A new row, or none.
type BufferedChange = Option<EngineRow>;

impl KeyBuffer {
    pub fn new(
        rows: Arc<DeviceRows>,
        decrypted: Arc<DecryptedBuffer>,
        tasks: Lifecycle,
        clock: Clock,
    ) -> Arc<Self> {
        let (state, writing, urgent) = Default::default();
        Arc::new(Self {
            rows,
            decrypted,
            state,
            writing,
            urgent,
            tasks,
            clock,
        })
    }

    /// Puts rows, soon.
    pub fn put(self: &Arc<Self>, rows: Vec<EngineRow>, weight: KeyWeight) {
        let changes = rows
            .into_iter()
            .map(|row| ((row.kind, row.key.clone()), Some(row)));
        self.add_changes(changes, weight);
    }

    /// Deletes a row, soon.
    pub fn delete(self: &Arc<Self>, kind: RowKind, key: String) {
        self.add_changes([((kind, key), None)].into_iter(), KeyWeight::Essential);
    }

    fn add_changes(
        self: &Arc<Self>,
        changes: impl Iterator<Item = ((RowKind, String), BufferedChange)>,
        weight: KeyWeight,
    ) {
        let mut state = self.lock_state();
        state.count += 1;
        let number = state.count;
        state
            .changes
            .extend(changes.map(|(name, change)| (name, (number, change))));
        if weight == KeyWeight::Essential {
            state.essential = number;
            self.urgent.notify_waiters();
        }
        if !state.has_writer {
            state.has_writer = true;
            self.tasks.spawn(Arc::clone(self).write_what_gathers());
        }
    }

    /// Returns the value of a row as the engine has changed it.
    pub async fn find(&self, kind: RowKind, key: &str) -> Result<Option<Vec<u8>>> {
        let buffered = {
            let state = self.lock_state();
            let change = state.changes.get(&(kind, key.to_owned()));
            change.map(|(_, change)| change.as_ref().map(|row| row.value.clone()))
        };
        match buffered {
            Some(value) => Ok(value),
            None => self.rows.find(kind, key).await,
        }
    }

    /// Returns whether there is a row in a range.
    pub async fn has_any(&self, kind: RowKind, range: KeyRange) -> Result<bool> {
        self.save_kind(kind).await?;
        self.rows.has_any(kind, range).await
    }

    /// Returns the rows of these keys that there are.
    pub async fn find_many(&self, kind: RowKind, keys: &[String]) -> Result<Vec<EngineRow>> {
        self.save_kind(kind).await?;
        self.rows.find_many(kind, keys).await
    }

    /// Returns the last key of a kind.
    pub async fn last_key(&self, kind: RowKind) -> Result<Option<String>> {
        self.save_kind(kind).await?;
        self.rows.last_key(kind).await
    }

    async fn save_kind(&self, kind: RowKind) -> Result<()> {
        let is_buffered = self.lock_state().changes.keys().any(|(of, _)| *of == kind);
        if is_buffered {
            self.save_all().await
        } else {
            Ok(())
        }
    }

    /// Returns when all changes that a frame may rest on are on the disk. After an error they may
    /// not be.
    pub async fn save_essential(&self) -> Result<()> {
        let is_unsaved = self.lock_state().has_essential();
        match is_unsaved {
            true => self.save_all().await,
            false => Ok(()),
        }
    }

    /// Returns when all changes so far are on the disk. After an error they may not be.
    pub async fn save_all(&self) -> Result<()> {
        let _waiting = WaitingMark::new(self);
        self.save(None).await
    }

    /// Ends the wait of changes for a commit of others.
    pub fn hurry(&self) {
        drop(WaitingMark::new(self));
    }

    /// Saves all changes so far: at once if somebody waits for them. Otherwise they wait for a commit of
    /// others, until somebody does; the changes are then still to be saved.
    async fn save_deferred(&self) -> Result<()> {
        // Subscribes before it looks.
        let mut urgent = pin!(self.urgent.notified());
        urgent.as_mut().enable();
        let is_urgent = {
            let state = self.lock_state();
            state.waiting > 0 || state.has_essential()
        };
        self.save((!is_urgent).then_some(urgent)).await
    }

    /// Saves all changes so far; see [`DeviceRows::write_keys`] for `urgent`. After an error they may not be
    /// on the disk.
    async fn save(&self, urgent: Option<Pin<&mut Notified<'_>>>) -> Result<()> {
        let wanted = self.lock_state().count;
        let _turn = self.writing.lock().await;
        let (changes, upto): (Vec<_>, _) = {
            let state = self.lock_state();
            // The previous holder of the turn may have written them.
            if state.saved >= wanted {
                return Ok(());
            }
            let change =
                |((kind, key), (_, change)): (&(RowKind, String), &(u64, BufferedChange))| {
                    match change {
                        Some(row) => RowChange::Put(row.clone()),
                        None => RowChange::Delete(*kind, key.clone()),
                    }
                };
            (state.changes.iter().map(change).collect(), state.count)
        };
        // After the look at the keys: all that they have decrypted is among these messages, or saved.
        let unsaved = self.decrypted.collect_unsaved().await;
        let keys = unsaved.iter().map(|(key, _)| key.clone()).collect();
        let written = self.rows.write_keys(changes, unsaved, urgent).await?;
        if written.is_none() {
            return Ok(());
        }
        self.decrypted.confirm_pending(keys).await;
        let mut state = self.lock_state();
        state.changes.retain(|_, (number, _)| *number > upto);
        state.saved = upto;
        Ok(())
    }

    /// Writes what gathers, until nothing is left.
    async fn write_what_gathers(self: Arc<Self>) {
        let mut writer = WriterMark(Some(&self));
        let writing = async {
            loop {
                // Subscribes before it looks.
                let urgent = self.urgent.notified();
                let is_unhurried = !self.lock_state().has_essential();
                if is_unhurried {
                    let _ = self.clock.timeout(LAZY_GATHERING, urgent).await;
                }
                self.clock.sleep(GATHERING).await;
                if let Err(error) = self.save_deferred().await {
                    tracing::debug!(%error, "keys wait for the disk");
                    self.clock.sleep(RETRY_PAUSE).await;
                }
                if writer.clear_if_done() {
                    return;
                }
            }
        };
        // Whoever ends the tasks saves the rest.
        self.tasks.unless_stopping(writing).await;
    }

    /// Whether a save is under way, or waits for a commit of others.
    #[cfg(test)]
    pub fn is_saving(&self) -> bool {
        self.writing.try_lock().is_err()
    }

    fn lock_state(&self) -> MutexGuard<'_, BufferedKeys> {
        self.state.lock()
    }
}

/// The mark that a caller waits for all changes to be saved: they wait for no commit of others meanwhile.
struct WaitingMark<'a>(&'a KeyBuffer);

impl<'a> WaitingMark<'a> {
    fn new(buffer: &'a KeyBuffer) -> Self {
        buffer.lock_state().waiting += 1;
        buffer.urgent.notify_waiters();
        Self(buffer)
    }
}

impl Drop for WaitingMark<'_> {
    fn drop(&mut self) {
        self.0.lock_state().waiting -= 1;
    }
}

/// The mark that a task writes what gathers; cleared however the task ends.
struct WriterMark<'a>(Option<&'a KeyBuffer>);

impl WriterMark<'_> {
    /// Clears it if nothing is left to be written.
    fn clear_if_done(&mut self) -> bool {
        self.0.take_if(|buffer| {
            let mut state = buffer.lock_state();
            state.has_writer = !state.changes.is_empty();
            !state.has_writer
        });
        self.0.is_none()
    }
}

impl Drop for WriterMark<'_> {
    fn drop(&mut self) {
        if let Some(buffer) = self.0 {
            buffer.lock_state().has_writer = false;
        }
    }
}
