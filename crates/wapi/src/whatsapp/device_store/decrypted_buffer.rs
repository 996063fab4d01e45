//! Decrypted buffer of one session: messages that the engine has decrypted and that are not saved
//! yet.
//!
//! Decrypting a message advances its key, and WhatsApp cannot deliver the same message again in a
//! form that the advanced key could decrypt. So the advanced key must not reach the disk before the
//! message has: as an event or, if that is not possible yet, in its decrypted form. This buffer
//! knows the messages in between; [`EngineStore`](super::EngineStore) asks it before it writes a key.

use std::collections::{HashMap, HashSet};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};

use crate::model::event::MessageKey;
use crate::store::{DeviceLife, Store, StoreError};

/// Messages of one session between the engine and the disk.
pub(in crate::whatsapp) struct DecryptedBuffer {
    session: DeviceLife,
    store: Store,
    state: Mutex<BufferState>,
    /// Notified when the inbox has answered.
    inbox_answered: Notify,
    key_counts: watch::Sender<KeyCounts>,
}

/// Counts of messages: decrypted in all, and with keys that the engine has handed over.
#[derive(Default)]
struct KeyCounts {
    advanced: u64,
    written: u64,
}

#[derive(Default)]
struct BufferState {
    unsaved: HashMap<MessageKey, UnsavedMessage>,
    /// The number of messages added so far.
    count: u64,
    /// Messages that are on the disk in their decrypted form, or may be.
    saved: HashSet<MessageKey>,
    /// Messages that WhatsApp delivered again and that the engine got in their first decrypted
    /// form: the engine adds them once more, but no key has advanced for that.
    replayed: HashSet<MessageKey>,
}

struct UnsavedMessage {
    message: Vec<u8>,
    /// Its place among all that were added.
    number: u64,
    stage: SaveStage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SaveStage {
    /// Only this buffer has it.
    Buffered,
    /// The inbox is saving it as an event.
    InInbox,
}

impl BufferState {
    /// Returns which of the first messages only the buffer has; `None` while the inbox is saving some
    /// of them.
    fn collect_buffered(&self, first: u64) -> Option<Vec<(MessageKey, Vec<u8>)>> {
        let mut buffered = Vec::with_capacity(self.unsaved.len());
        let early = self.unsaved.iter().filter(|(_, it)| it.number <= first);
        for (key, unsaved) in early {
            match unsaved.stage {
                SaveStage::Buffered => buffered.push((key.clone(), unsaved.message.clone())),
                SaveStage::InInbox => return None,
            }
        }
        Some(buffered)
    }
}

impl DecryptedBuffer {
    pub fn new(session: DeviceLife, store: Store) -> Self {
        let state = Mutex::default();
        Self {
            session,
            store,
            state,
            inbox_answered: Notify::new(),
            key_counts: watch::Sender::default(),
        }
    }

    /// Adds messages that the engine has decrypted.
    pub fn add_messages(&self, messages: impl Iterator<Item = (MessageKey, Vec<u8>)>) {
        let mut state = self.lock_state();
        for (key, message) in messages {
            if !state.replayed.remove(&key) {
                self.key_counts.send_modify(|keys| keys.advanced += 1);
            }
            state.count += 1;
            // One that is added again was there before.
            let number = state.unsaved.get(&key).map(|known| known.number);
            let unsaved = UnsavedMessage {
                message,
                number: number.unwrap_or(state.count),
                stage: SaveStage::Buffered,
            };
            state.unsaved.insert(key, unsaved);
        }
    }

    /// Returns the number of messages decrypted so far.
    pub fn advanced_count(&self) -> u64 {
        self.key_counts.borrow().advanced
    }

    /// Records that the engine has handed over the keys of the first `moved` messages.
    pub fn record_written_keys(&self, moved: u64) {
        self.key_counts
            .send_modify(|keys| keys.written = keys.written.max(moved));
    }

    /// Completes when the engine has handed over the keys of all messages decrypted so far; they may
    /// not be on the disk yet.
    pub async fn wait_for_keys(&self) {
        let moved = self.advanced_count();
        // This struct owns the sender, so waiting cannot fail.
        let _ = self
            .key_counts
            .subscribe()
            .wait_for(|keys| keys.written >= moved)
            .await;
    }

    /// Marks these messages as being saved by the inbox. The caller reports success with
    /// [`InboxHandover::confirm_saved`]; dropping the handover counts as a failure.
    pub fn hand_over(&self, keys: Vec<MessageKey>) -> InboxHandover<'_> {
        self.set_stage(&keys, SaveStage::InInbox);
        InboxHandover { buffer: self, keys }
    }

    /// Returns which of the messages added so far would be lost in a crash, once the inbox is saving
    /// none of them: before a key is saved, or together with it, they must be. Later ones are not waited
    /// for, since more may come in than the inbox saves. They count among the saved ones from now on, since
    /// the engine may be done with one before it is saved; see [`confirm_pending`](Self::confirm_pending).
    pub async fn collect_unsaved(&self) -> Vec<(MessageKey, Vec<u8>)> {
        let first = self.lock_state().count;
        loop {
            // Subscribes before it looks.
            let answered = self.inbox_answered.notified();
            {
                let mut state = self.lock_state();
                if let Some(unsaved) = state.collect_buffered(first) {
                    let keys = unsaved.iter().map(|(key, _)| key.clone());
                    state.saved.extend(keys);
                    return unsaved;
                }
            }
            answered.await;
        }
    }

    /// Records that these messages are on the disk in their decrypted form. Those that the engine was
    /// done with meanwhile are deleted again.
    pub async fn confirm_pending(&self, mut keys: Vec<MessageKey>) {
        {
            let mut state = self.lock_state();
            for key in &keys {
                state.unsaved.remove(key);
            }
            keys.retain(|key| !state.saved.contains(key));
        }
        if let Err(error) = self.release_pending(keys).await {
            tracing::debug!(%error, "a decrypted message stays until it is found to be an event");
        }
    }

    /// Returns when none of the messages decrypted so far can be lost. After an error some still
    /// can.
    pub async fn save_messages(&self) -> Result<(), StoreError> {
        let unsaved = self.collect_unsaved().await;
        if unsaved.is_empty() {
            return Ok(());
        }
        let keys = unsaved.iter().map(|(key, _)| key.clone()).collect();
        let session = self.session.current_life();
        self.store.inbound().save_pending(&session, unsaved).await?;
        self.confirm_pending(keys).await;
        Ok(())
    }

    /// Returns the message if it was decrypted before and is not known to be an event.
    pub async fn find_message(&self, key: &MessageKey) -> Result<Option<Vec<u8>>, StoreError> {
        let unsaved = self
            .lock_state()
            .unsaved
            .get(key)
            .map(|unsaved| unsaved.message.clone());
        if unsaved.is_some() {
            self.lock_state().replayed.insert(key.clone());
            return Ok(unsaved);
        }
        let kept = self
            .store
            .inbound()
            .find_pending(&self.session.current_life(), key)
            .await?;
        if kept.is_some() {
            let mut state = self.lock_state();
            state.saved.insert(key.clone());
            state.replayed.insert(key.clone());
        }
        Ok(kept)
    }

    /// Removes messages that the engine is done with.
    pub async fn remove_messages(&self, keys: Vec<MessageKey>) -> Result<(), StoreError> {
        let kept: Vec<_> = {
            let mut state = self.lock_state();
            for key in &keys {
                state.unsaved.remove(key);
                state.replayed.remove(key);
            }
            keys.into_iter()
                .filter(|key| state.saved.remove(key))
                .collect()
        };
        self.release_pending(kept).await
    }

    async fn release_pending(&self, keys: Vec<MessageKey>) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let session = self.session.current_life();
        self.store.inbound().release_pending(&session, keys).await
    }

    fn set_stage(&self, keys: &[MessageKey], stage: SaveStage) {
        let mut state = self.lock_state();
        for key in keys {
            if let Some(unsaved) = state.unsaved.get_mut(key) {
                unsaved.stage = stage;
            }
        }
    }

    fn lock_state(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock()
    }
}

/// Messages that the inbox is saving.
pub(in crate::whatsapp) struct InboxHandover<'a> {
    buffer: &'a DecryptedBuffer,
    keys: Vec<MessageKey>,
}

impl InboxHandover<'_> {
    /// Removes the messages from the buffer: they are events now.
    pub fn confirm_saved(mut self) {
        let mut state = self.buffer.lock_state();
        for key in self.keys.drain(..) {
            state.unsaved.remove(&key);
        }
    }
}

impl Drop for InboxHandover<'_> {
    fn drop(&mut self) {
        self.buffer.set_stage(&self.keys, SaveStage::Buffered);
        self.buffer.inbox_answered.notify_waiters();
    }
}
