//! Final inbox for WhatsApp's messages: saves events and their deliveries before WhatsApp gets the
//! acknowledgement.

use anyhow::Result;
use async_trait::async_trait;

use crate::model::event::Event;
use crate::store::{Life, NewEvent, Store};
use crate::system::clock::Clock;
use crate::whatsapp::{InboundEvent, Inbox};

/// The inbox of all sessions.
pub struct StoredInbox {
    store: Store,
    clock: Clock,
}

impl StoredInbox {
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }
}

#[async_trait]
impl Inbox for StoredInbox {
    async fn accept(&self, session: &Life, incoming: Vec<InboundEvent>) -> Result<()> {
        let now = self.clock.now();
        let event =
            |InboundEvent {
                 key, chat, data, ..
             }| NewEvent::for_message(session, &chat, key, &Event::new(data, now));
        Ok(self
            .store
            .append_events(incoming.into_iter().map(event).collect())
            .await?)
    }
}
