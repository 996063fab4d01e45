//! What sessions have to tell, until it is saved. Sessions never wait for it: they go on while the database is in trouble.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::event::{Event, EventData, MessageKey};
use crate::lifecycle::Lifecycle;
use crate::store::{Life, NewEvent, Store, StoreError};
use crate::whatsapp::Happening;

/// Events that may wait for the database. When there are more, what a later one has overtaken is forgotten.
const MOST: usize = 4_096;
/// Events saved at a time.
const AT_ONCE: usize = 256;
/// How long to wait before a failed save is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// The events of all sessions, in the order they happened.
pub(super) struct Journal {
    store: Store,
    clock: Clock,
    waiting: Mutex<VecDeque<NewEvent>>,
    /// Held over a save, so that whoever saves the rest saves what another one has in hand, too.
    saving: tokio::sync::Mutex<()>,
    written: Notify,
}

impl Journal {
    pub fn new(store: Store, clock: Clock) -> Self {
        Self {
            store,
            clock,
            waiting: Mutex::default(),
            saving: tokio::sync::Mutex::default(),
            written: Notify::new(),
        }
    }

    /// Takes down what happened. Never waits.
    pub fn tell(&self, session: &Life, news: Vec<EventData>) {
        if news.is_empty() {
            return;
        }
        let new = |data| NewEvent::of_session(session, &Event::new(data, self.clock.now()));
        self.take_down(news.into_iter().map(new));
    }

    /// The same for what happened around messages.
    pub fn tell_of(&self, session: &Life, Happening { chat, id, data }: Happening) {
        let event = Event::new(data, self.clock.now());
        self.take_down([match id {
            Some(id) => {
                let key = MessageKey {
                    chat: chat.clone(),
                    sender: String::new(),
                    id,
                };
                NewEvent::of_message(session, &chat, key, &event)
            }
            None => NewEvent {
                chat,
                ..NewEvent::of_session(session, &event)
            },
        }]);
    }

    fn take_down(&self, events: impl IntoIterator<Item = NewEvent>) {
        let mut waiting = self.lock();
        for event in events {
            if waiting.len() >= MOST {
                forget_one(&mut waiting);
            }
            waiting.push_back(event);
        }
        drop(waiting);
        self.written.notify_one();
    }

    /// Saves what is taken down, until the program ends. What comes after that is for [`Self::save_rest`].
    pub async fn keep_saving(self: Arc<Self>, lifecycle: Lifecycle) {
        let working = async {
            loop {
                self.written.notified().await;
                while self.save().await.is_err() {
                    self.clock.sleep(PAUSE).await;
                }
            }
        };
        lifecycle.unless_stopping::<_>(working).await.unwrap_or(())
    }

    /// Saves what is left when all sessions have ended; the outcome of the one try there is time for.
    pub async fn save_rest(&self) {
        if let Err(error) = self.save().await {
            let lost = self.lock().len();
            tracing::error!(%error, lost, "what sessions had to tell at the end cannot be saved");
        }
    }

    /// Saves everything there is. Whether a save that failed did its work is not always known; saving an event again is no harm.
    async fn save(&self) -> Result<(), StoreError> {
        let _one = self.saving.lock().await;
        loop {
            let batch: Vec<NewEvent> = self.lock().iter().take(AT_ONCE).cloned().collect();
            if batch.is_empty() {
                return Ok(());
            }
            self.store.append(batch.clone()).await?;
            let saved: HashSet<&str> = batch.iter().map(|event| event.id.as_str()).collect();
            let mut waiting = self.lock();
            // Not simply the first ones: meanwhile some may have been forgotten.
            while waiting
                .front()
                .is_some_and(|event| saved.contains(event.id.as_str()))
            {
                waiting.pop_front();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<NewEvent>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room: the oldest that a later one of the same session, chat and type has overtaken goes, or else the oldest of all.
fn forget_one(waiting: &mut VecDeque<NewEvent>) {
    let mut later = HashSet::new();
    let mut overtaken = None;
    for (place, event) in waiting.iter().enumerate().rev() {
        if !later.insert((event.session.id(), event.chat.as_str(), event.kind)) {
            overtaken = Some(place);
        }
    }
    waiting.remove(overtaken.unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lives(name: &str) -> Life {
        Life::test(i64::from(name.as_bytes()[0]), name)
    }

    fn event(session: &str, kind: &'static str, id: &str) -> NewEvent {
        let (session, chat, body) = (lives(session), String::new(), String::new());
        NewEvent {
            id: id.to_owned(),
            session,
            chat,
            message: None,
            kind,
            body,
        }
    }

    #[test]
    fn what_was_overtaken_is_forgotten_first() {
        let mut waiting = VecDeque::from([
            event("shop", "session.paired", "1"),
            event("shop", "session.status", "2"),
            event("bar", "session.status", "3"),
            event("shop", "session.status", "4"),
        ]);
        let ids = |waiting: &VecDeque<NewEvent>| {
            waiting
                .iter()
                .map(|event| event.id.clone())
                .collect::<String>()
        };
        forget_one(&mut waiting);
        assert_eq!(
            ids(&waiting),
            "134",
            "a later status of the same session says more"
        );
        forget_one(&mut waiting);
        assert_eq!(
            ids(&waiting),
            "34",
            "nothing is overtaken, so the oldest goes"
        );
    }
}
