//! Received messages that could not be decrypted. The engine asks their senders for them again.

use std::sync::Arc;

use whatsapp_rust::types::events::{
    DecryptFailMode, Event, EventHandler, EventInterest, EventKind, UnavailableType,
    UndecryptableMessage,
};
use whatsapp_rust::wacore_binary::JidExt;

use super::decode::{self, MessageAddresses};
use crate::inbound::{InboundEvent, Inbox};
use crate::model::event::{EventData, UnreadableMessage, UnreadableReason};
use crate::store::DeviceLife;
use crate::system::lifecycle::Lifecycle;

/// Emits an event for each, at most once: the engine does not wait for it.
pub(in crate::whatsapp) struct UndecryptableHandler {
    session: DeviceLife,
    inbox: Arc<dyn Inbox>,
    tasks: Lifecycle,
}

impl UndecryptableHandler {
    pub fn new(session: DeviceLife, inbox: Arc<dyn Inbox>, tasks: Lifecycle) -> Self {
        Self {
            session,
            inbox,
            tasks,
        }
    }
}

impl UndecryptableHandler {
    /// Saves the event of a message; nothing for one that needs none.
    ///
    /// # Errors
    ///
    /// When the inbox does not take it.
    pub async fn save_event(&self, message: &UndecryptableMessage) -> anyhow::Result<()> {
        let Some(incoming) = self.convert_event(message) else {
            return Ok(());
        };
        let session = self.session.current_life();
        self.inbox.accept(&session, vec![incoming].into()).await
    }

    fn convert_event(&self, message: &UndecryptableMessage) -> Option<InboundEvent> {
        let source = &message.info.source;
        // Senders mark messages that would not be visible anyway.
        let is_hidden = message.decrypt_fail_mode == DecryptFailMode::Hide;
        if is_hidden || source.chat.is_status_broadcast() || source.chat.is_newsletter() {
            return None;
        }
        let other = if source.is_from_me {
            &source.recipient_alt
        } else {
            &source.sender_alt
        };
        let known = MessageAddresses {
            other: other.clone(),
            own: Vec::new(),
        };
        let unread = UnreadableMessage {
            origin: decode::message_origin(self.session.name(), &message.info, &known),
            reason: failure_reason(message),
            device: source.sender.device(),
        };
        Some(InboundEvent {
            key: decode::message_key(&message.info),
            chat: unread.origin.chat.clone(),
            data: EventData::MessageUndecryptable(Box::new(unread)),
            file: None,
            facts: Vec::new(),
        })
    }
}

impl EventHandler for UndecryptableHandler {
    fn handle_event(&self, event: Arc<Event>) {
        let Event::UndecryptableMessage(message) = &*event else {
            return;
        };
        let Some(incoming) = self.convert_event(message) else {
            return;
        };
        let (session, inbox) = (self.session.current_life(), Arc::clone(&self.inbox));
        self.tasks.spawn(async move {
            if let Err(error) = inbox.accept(&session, vec![incoming].into()).await {
                tracing::warn!(
                    session = session.name(),
                    error = format!("{error:#}"),
                    "failed to save the event of an undecryptable message"
                );
            }
        });
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::UndecryptableMessage])
    }
}

const fn failure_reason(message: &UndecryptableMessage) -> UnreadableReason {
    match (&message.unavailable_type, message.is_unavailable) {
        (UnavailableType::ViewOnce, true) => UnreadableReason::ViewOnce,
        (_, true) => UnreadableReason::Unavailable,
        (_, false) => UnreadableReason::Undecryptable,
    }
}
