//! The listener for posts: queues the engine's events for the reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};
use whatsapp_rust::wacore_binary::JidExt;

/// Queues the engine's events, since its callbacks must not block.
pub(in crate::whatsapp) struct PostListener {
    pub(crate) events: mpsc::Sender<Arc<Event>>,
    /// Not the reader itself: it holds the client, which holds this listener.
    pub(crate) has_missed: Arc<AtomicBool>,
}

impl EventHandler for PostListener {
    fn handle_event(&self, event: Arc<Event>) {
        let is_meant = match &*event {
            Event::Connected(_) => true,
            Event::Messages(batch) => batch
                .messages
                .iter()
                .any(|message| message.info.source.chat.is_newsletter()),
            _ => false,
        };
        if is_meant && self.events.try_send(event).is_err() {
            self.has_missed.store(true, Ordering::Relaxed);
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::Connected, EventKind::Messages])
    }
}
