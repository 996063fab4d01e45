//! Received messages that could not be decrypted. The engine asks their senders for them again.

use std::sync::Arc;

use whatsapp_rust::types::events::{
    DecryptFailMode, Event, EventHandler, EventInterest, EventKind, UnavailableType,
    UndecryptableMessage,
};
use whatsapp_rust::wacore_binary::JidExt;

use super::incoming::{self, Known};
use super::{Inbox, Incoming};
use crate::event::{EventData, Unread};
use crate::lifecycle::Lifecycle;
use crate::store::Lifeline;

/// Emits an event for each, at most once: WhatsApp does not wait for it.
pub(super) struct UnreadTeller {
    session: Lifeline,
    inbox: Arc<dyn Inbox>,
    tasks: Lifecycle,
}

impl UnreadTeller {
    pub fn new(session: Lifeline, inbox: Arc<dyn Inbox>, tasks: Lifecycle) -> Self {
        Self {
            session,
            inbox,
            tasks,
        }
    }
}

impl EventHandler for UnreadTeller {
    fn handle_event(&self, event: Arc<Event>) {
        let Event::UndecryptableMessage(message) = &*event else {
            return;
        };
        let source = &message.info.source;
        // Senders mark messages that would not be visible anyway.
        let is_hidden = message.decrypt_fail_mode == DecryptFailMode::Hide;
        if is_hidden || source.chat.is_status_broadcast() || source.chat.is_newsletter() {
            return;
        }
        let other = if source.is_from_me {
            &source.recipient_alt
        } else {
            &source.sender_alt
        };
        let known = Known {
            other: other.clone(),
            own: Vec::new(),
        };
        let unread = Unread {
            reason: reason(message),
            ..incoming::unread(self.session.name(), &message.info, &known)
        };
        let (key, chat) = (incoming::key(&message.info), unread.chat.clone());
        let incoming = Incoming {
            key,
            chat,
            data: EventData::MessageUndecryptable(Box::new(unread)),
            file: None,
        };
        let (session, inbox) = (self.session.life(), Arc::clone(&self.inbox));
        self.tasks.spawn(async move {
            if let Err(error) = inbox.accept(&session, vec![incoming]).await {
                tracing::warn!(
                    session = session.name(),
                    error = format!("{error:#}"),
                    "a message that cannot be read was not told"
                );
            }
        });
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::UndecryptableMessage])
    }
}

const fn reason(message: &UndecryptableMessage) -> &'static str {
    match (&message.unavailable_type, message.is_unavailable) {
        (UnavailableType::ViewOnce, true) => "view_once",
        (_, true) => "unavailable",
        (_, false) => "undecryptable",
    }
}
