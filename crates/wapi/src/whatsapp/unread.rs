//! Messages that came in and could not be read. The engine asks their senders for them again.

use std::sync::Arc;

use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};

use super::incoming::{self, Known};
use super::{Inbox, Incoming};
use crate::event::EventData;
use crate::lifecycle::Lifecycle;

/// Tells of them. They are told at most once: WhatsApp does not wait for it.
pub(super) struct UnreadTeller {
    session: String,
    inbox: Arc<dyn Inbox>,
    tasks: Lifecycle,
}

impl UnreadTeller {
    pub fn new(session: &str, inbox: Arc<dyn Inbox>, tasks: Lifecycle) -> Self {
        Self { session: session.to_owned(), inbox, tasks }
    }
}

impl EventHandler for UnreadTeller {
    fn handle_event(&self, event: Arc<Event>) {
        let Event::UndecryptableMessage(message) = &*event else { return };
        let known = Known { other: message.info.source.sender_alt.clone(), own: Vec::new() };
        let unread = incoming::unread(&self.session, &message.info, &known);
        let (key, chat) = (incoming::key(&message.info), unread.chat.clone());
        let incoming = Incoming { key, chat, data: EventData::MessageUndecryptable(Box::new(unread)) };
        let (session, inbox) = (self.session.clone(), Arc::clone(&self.inbox));
        self.tasks.spawn(async move {
            if let Err(error) = inbox.accept(&session, vec![incoming]).await {
                tracing::warn!(session, error = format!("{error:#}"), "a message that cannot be read was not told");
            }
        });
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::UndecryptableMessage])
    }
}
