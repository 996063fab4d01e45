//! Decrypted buffer of one session: messages that the engine has decrypted and that are not saved
//! yet.
//!
//! Decrypting a message advances its key, and WhatsApp cannot deliver the same message again in a
//! form that the advanced key could decrypt. So the advanced key must not reach the disk before the
//! message has: as an event or, if that is not possible yet, in its decrypted form. This buffer
//! knows the messages in between; [`Backend`](super::Backend) asks it before it writes a key.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::event::MessageKey;
use crate::store::{Lifeline, Store, StoreError};

/// Messages of one session between the engine and the disk.
pub(in crate::whatsapp) struct Opened {
    session: Lifeline,
    store: Store,
    books: Mutex<Books>,
    /// Notified when the inbox has answered.
    answered: Notify,
    keys: watch::Sender<Keys>,
}

/// Counts of messages: decrypted in all, and with their keys in the session's file.
#[derive(Default)]
struct Keys {
    moved: u64,
    kept: u64,
}

#[derive(Default)]
struct Books {
    unsaved: HashMap<MessageKey, Unsaved>,
    /// Messages that are on the disk in their decrypted form.
    kept: HashSet<MessageKey>,
    /// Messages that WhatsApp delivered again and that the engine got in their first decrypted
    /// form: the engine adds them once more, but no key has advanced for that.
    replayed: HashSet<MessageKey>,
}

struct Unsaved {
    message: Vec<u8>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Only this buffer has it.
    Ours,
    /// The inbox is saving it as an event.
    WithInbox,
}

/// Work to do before a key may be written.
enum Standing {
    Saved,
    WithInbox,
    Ours(Vec<(MessageKey, Vec<u8>)>),
}

impl Books {
    fn standing(&self) -> Standing {
        let ours = self
            .unsaved
            .iter()
            .filter(|(_, unsaved)| unsaved.stage == Stage::Ours);
        let ours: Vec<_> = ours
            .map(|(key, unsaved)| (key.clone(), unsaved.message.clone()))
            .collect();
        match (self.unsaved.is_empty(), ours.is_empty()) {
            (true, _) => Standing::Saved,
            (false, true) => Standing::WithInbox,
            (false, false) => Standing::Ours(ours),
        }
    }
}

impl Opened {
    pub fn new(session: Lifeline, store: Store) -> Self {
        let books = Mutex::default();
        Self {
            session,
            store,
            books,
            answered: Notify::new(),
            keys: watch::Sender::default(),
        }
    }

    /// Adds messages that the engine has decrypted.
    pub fn add(&self, messages: impl Iterator<Item = (MessageKey, Vec<u8>)>) {
        let mut books = self.books();
        for (key, message) in messages {
            if !books.replayed.remove(&key) {
                self.keys.send_modify(|keys| keys.moved += 1);
            }
            books.unsaved.insert(
                key,
                Unsaved {
                    message,
                    stage: Stage::Ours,
                },
            );
        }
    }

    /// Returns the number of messages decrypted so far.
    pub fn moved(&self) -> u64 {
        self.keys.borrow().moved
    }

    /// Records that the keys of the first `moved` messages are in the session's file.
    pub fn keep_keys(&self, moved: u64) {
        self.keys
            .send_modify(|keys| keys.kept = keys.kept.max(moved));
    }

    /// Completes when the keys of all messages decrypted so far are in the session's file.
    pub async fn keys_are_kept(&self) {
        let moved = self.moved();
        // This struct owns the sender, so waiting cannot fail.
        let _ = self
            .keys
            .subscribe()
            .wait_for(|keys| keys.kept >= moved)
            .await;
    }

    /// Marks these messages as being saved by the inbox. The caller reports success with
    /// [`Handover::taken`]; dropping the handover counts as a failure.
    pub fn hand_over(&self, keys: Vec<MessageKey>) -> Handover<'_> {
        self.mark(&keys, Stage::WithInbox);
        Handover { opened: self, keys }
    }

    /// Returns when none of the messages decrypted so far can be lost. After an error some still
    /// can.
    pub async fn save(&self) -> Result<(), StoreError> {
        loop {
            // Subscribes before it looks.
            let answered = self.answered.notified();
            let standing = self.books().standing();
            let ours = match standing {
                Standing::Saved => return Ok(()),
                Standing::WithInbox => {
                    answered.await;
                    continue;
                }
                Standing::Ours(messages) => messages,
            };
            let keys: Vec<_> = ours.iter().map(|(key, _)| key.clone()).collect();
            self.store.keep(&self.session.life(), ours).await?;
            let mut books = self.books();
            for key in keys {
                books.unsaved.remove(&key);
                books.kept.insert(key);
            }
        }
    }

    /// Returns the message if it was decrypted before and is not known to be an event.
    pub async fn find(&self, key: &MessageKey) -> Result<Option<Vec<u8>>, StoreError> {
        let unsaved = self
            .books()
            .unsaved
            .get(key)
            .map(|unsaved| unsaved.message.clone());
        if unsaved.is_some() {
            self.books().replayed.insert(key.clone());
            return Ok(unsaved);
        }
        let kept = self.store.kept(&self.session.life(), key).await?;
        if kept.is_some() {
            let mut books = self.books();
            books.kept.insert(key.clone());
            books.replayed.insert(key.clone());
        }
        Ok(kept)
    }

    /// Removes messages that the engine is done with.
    pub async fn remove(&self, keys: Vec<MessageKey>) -> Result<(), StoreError> {
        let kept: Vec<_> = {
            let mut books = self.books();
            for key in &keys {
                books.unsaved.remove(key);
                books.replayed.remove(key);
            }
            keys.into_iter()
                .filter(|key| books.kept.remove(key))
                .collect()
        };
        if kept.is_empty() {
            Ok(())
        } else {
            self.store.release(&self.session.life(), kept).await
        }
    }

    fn mark(&self, keys: &[MessageKey], stage: Stage) {
        let mut books = self.books();
        for key in keys {
            if let Some(unsaved) = books.unsaved.get_mut(key) {
                unsaved.stage = stage;
            }
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Messages that the inbox is saving.
pub(in crate::whatsapp) struct Handover<'a> {
    opened: &'a Opened,
    keys: Vec<MessageKey>,
}

impl Handover<'_> {
    /// Removes the messages from the buffer: they are events now.
    pub fn taken(mut self) {
        let mut books = self.opened.books();
        for key in self.keys.drain(..) {
            books.unsaved.remove(&key);
        }
    }
}

impl Drop for Handover<'_> {
    fn drop(&mut self) {
        self.opened.mark(&self.keys, Stage::Ours);
        self.opened.answered.notify_waiters();
    }
}
