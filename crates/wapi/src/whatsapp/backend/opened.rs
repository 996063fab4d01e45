//! Messages the engine has opened and nobody has saved yet, for one session.
//!
//! Opening a message moves the key that opens it on, and WhatsApp cannot give the same message again in a form the moved key could
//! open. So the moved key must not reach the disk before the message has: as an event, or, where that is not possible yet, as it
//! was opened. This file knows which messages stand in between; [`Backend`](super::Backend) asks it before it writes a key.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::event::MessageKey;
use crate::store::{Lifeline, Store, StoreError};

/// The messages of one session between the engine and the disk.
pub(in crate::whatsapp) struct Opened {
    session: Lifeline,
    store: Store,
    books: Mutex<Books>,
    /// Rings when the inbox has answered.
    answered: Notify,
    keys: watch::Sender<Keys>,
}

/// How many messages were opened in all, and of how many the keys are on the disk.
#[derive(Default)]
struct Keys {
    moved: u64,
    kept: u64,
}

#[derive(Default)]
struct Books {
    unsaved: HashMap<MessageKey, Unsaved>,
    /// Messages that are on the disk as they were opened.
    kept: HashSet<MessageKey>,
    /// Messages that WhatsApp delivered again and that were handed out as they were opened the first time: the engine adds them once
    /// more, and no key has moved for that.
    replayed: HashSet<MessageKey>,
}

struct Unsaved {
    message: Vec<u8>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nobody has it but us.
    Ours,
    /// The inbox is saving it as an event.
    WithInbox,
}

/// What is to be done before a key may be written.
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

    /// The engine has opened these.
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

    /// How many messages were opened so far.
    pub fn moved(&self) -> u64 {
        self.keys.borrow().moved
    }

    /// The keys of so many messages are on the disk.
    pub fn keep_keys(&self, moved: u64) {
        self.keys
            .send_modify(|keys| keys.kept = keys.kept.max(moved));
    }

    /// Completes when the keys of all messages opened so far are on the disk.
    pub async fn keys_are_kept(&self) {
        let moved = self.moved();
        // The sender is ours, so waiting cannot fail.
        let _ = self
            .keys
            .subscribe()
            .wait_for(|keys| keys.kept >= moved)
            .await;
    }

    /// The inbox saves these from now on; how that ends must be said with [`Handover::taken`], or it is taken for a failure.
    pub fn hand_over(&self, keys: Vec<MessageKey>) -> Handover<'_> {
        self.mark(&keys, Stage::WithInbox);
        Handover { opened: self, keys }
    }

    /// Returns when none of the messages opened so far can be lost. On an error some still can.
    pub async fn save(&self) -> Result<(), StoreError> {
        loop {
            // Listens before it looks.
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

    /// The message, if it was opened before and is not known to be an event.
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

    /// The engine is done with these.
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

/// Messages on their way through the inbox.
pub(in crate::whatsapp) struct Handover<'a> {
    opened: &'a Opened,
    keys: Vec<MessageKey>,
}

impl Handover<'_> {
    /// They are events now.
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
