//! In-memory buffer of session events until they are saved. Sessions never wait for it, and keep
//! working while the database fails.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::model::event::{Event, EventData, MessageKey};
use crate::store::{Life, NewEvent, Store, StoreError};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;
use crate::whatsapp::ChatEvent;

/// Maximum number of buffered events. Beyond it, events that a later one supersedes are dropped.
const MAX_BUFFERED: usize = 4_096;
/// Events saved per transaction.
const BATCH_SIZE: usize = 256;
/// Pause before a failed save is retried.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The unsaved events of all sessions, in the order they happened.
pub(super) struct SessionEventBuffer {
    store: Store,
    clock: Clock,
    waiting: Mutex<VecDeque<NewEvent>>,
    /// Held during a save, so that the final save also waits for the batch of a concurrent one.
    saving: tokio::sync::Mutex<()>,
    added: Notify,
}

impl SessionEventBuffer {
    pub fn new(store: Store, clock: Clock) -> Self {
        Self {
            store,
            clock,
            waiting: Mutex::default(),
            saving: tokio::sync::Mutex::default(),
            added: Notify::new(),
        }
    }

    /// Buffers session events. Never waits.
    pub fn push_events(&self, session: &Life, events: Vec<EventData>) {
        if events.is_empty() {
            return;
        }
        let new = |data| NewEvent::for_session(session, &Event::new(data, self.clock.now()));
        self.append_events(events.into_iter().map(new));
    }

    /// Buffers an event about a chat or a message. Never waits.
    pub fn push_chat_event(&self, session: &Life, ChatEvent { chat, id, data }: ChatEvent) {
        let event = Event::new(data, self.clock.now());
        self.append_events([match id {
            Some(id) => {
                let key = MessageKey {
                    chat: chat.clone(),
                    sender: String::new(),
                    id,
                };
                NewEvent::for_message(session, &chat, key, &event)
            }
            None => NewEvent {
                chat,
                ..NewEvent::for_session(session, &event)
            },
        }]);
    }

    fn append_events(&self, events: impl IntoIterator<Item = NewEvent>) {
        let mut waiting = self.lock_waiting();
        for event in events {
            if waiting.len() >= MAX_BUFFERED {
                drop_one_event(&mut waiting);
            }
            waiting.push_back(event);
        }
        drop(waiting);
        self.added.notify_one();
    }

    /// Saves buffered events until the program ends. [`Self::save_rest`] saves later ones.
    pub async fn keep_saving(self: Arc<Self>, lifecycle: Lifecycle) {
        let working = async {
            loop {
                self.added.notified().await;
                while self.save_all().await.is_err() {
                    self.clock.sleep(RETRY_PAUSE).await;
                }
            }
        };
        lifecycle.unless_stopping::<_>(working).await.unwrap_or(())
    }

    /// Saves the remaining events after all sessions have ended. There is time for one attempt; a
    /// failure is logged.
    pub async fn save_rest(&self) {
        if let Err(error) = self.save_all().await {
            let lost = self.lock_waiting().len();
            tracing::error!(%error, lost, "failed to save the last events of sessions");
        }
    }

    /// Saves all buffered events. The effect of a failed save may be unknown; saving an event again
    /// does no harm.
    async fn save_all(&self) -> Result<(), StoreError> {
        let _one = self.saving.lock().await;
        loop {
            let batch: Vec<NewEvent> = self
                .lock_waiting()
                .iter()
                .take(BATCH_SIZE)
                .cloned()
                .collect();
            if batch.is_empty() {
                return Ok(());
            }
            self.store.events().append_events(batch.clone()).await?;
            let saved: HashSet<&str> = batch.iter().map(|event| event.id.as_str()).collect();
            let mut waiting = self.lock_waiting();
            // Not simply the first ones: some may have been dropped meanwhile.
            while waiting
                .front()
                .is_some_and(|event| saved.contains(event.id.as_str()))
            {
                waiting.pop_front();
            }
        }
    }

    fn lock_waiting(&self) -> parking_lot::MutexGuard<'_, VecDeque<NewEvent>> {
        self.waiting.lock()
    }
}

/// Drops one event: the oldest that a later one of the same session, chat and type supersedes, or
/// else the oldest of all.
fn drop_one_event(waiting: &mut VecDeque<NewEvent>) {
    let mut later = HashSet::new();
    let mut overtaken = None;
    for (index, event) in waiting.iter().enumerate().rev() {
        if !later.insert((event.session.id(), event.chat.as_str(), event.kind)) {
            overtaken = Some(index);
        }
    }
    waiting.remove(overtaken.unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use crate::sessions::event_buffer::*;

    fn lives(name: &str) -> Life {
        Life::for_test(i64::from(name.as_bytes()[0]), name)
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
            facts: Vec::new(),
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
        drop_one_event(&mut waiting);
        assert_eq!(
            ids(&waiting),
            "134",
            "a later status of the same session says more"
        );
        drop_one_event(&mut waiting);
        assert_eq!(
            ids(&waiting),
            "34",
            "nothing is overtaken, so the oldest goes"
        );
    }
}
