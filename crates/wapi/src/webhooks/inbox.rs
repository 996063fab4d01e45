//! Takes messages over from WhatsApp: an event and its deliveries are on the disk before WhatsApp hears that they arrived.

use anyhow::Result;
use async_trait::async_trait;

use crate::clock::Clock;
use crate::event::{Event, EventData, ReceivedMessage};
use crate::ids;
use crate::store::{NewEvent, Store};
use crate::whatsapp::Inbox;

/// The inbox of all sessions.
pub struct StoredInbox {
    store: Store,
    clock: Clock,
}

impl StoredInbox {
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    fn event(&self, message: ReceivedMessage) -> NewEvent {
        let (session, chat) = (message.session.clone(), message.chat.clone());
        let about = Some((message.from.id.clone(), message.id.clone()));
        let data = EventData::MessageReceived(Box::new(message));
        let event = Event { id: ids::event_id(), timestamp: self.clock.now(), data };
        let body = serde_json::to_string(&event).expect("an event is always JSON");
        NewEvent { id: event.id, session, chat, message: about, kind: "message.received".to_owned(), body }
    }
}

#[async_trait]
impl Inbox for StoredInbox {
    async fn accept(&self, messages: Vec<ReceivedMessage>) -> Result<()> {
        let events = messages.into_iter().map(|message| self.event(message)).collect();
        Ok(self.store.append(events).await?)
    }
}
