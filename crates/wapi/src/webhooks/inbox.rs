//! Final inbox for WhatsApp's messages: saves events and their deliveries before WhatsApp gets the
//! acknowledgement.

use anyhow::Result;
use async_trait::async_trait;

use crate::clock::Clock;
use crate::event::Event;
use crate::store::{Life, NewEvent, Store};
use crate::whatsapp::{Inbox, Incoming};

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
    async fn accept(&self, session: &Life, incoming: Vec<Incoming>) -> Result<()> {
        let now = self.clock.now();
        let event =
            |Incoming {
                 key, chat, data, ..
             }| NewEvent::of_message(session, &chat, key, &Event::new(data, now));
        Ok(self
            .store
            .append(incoming.into_iter().map(event).collect())
            .await?)
    }
}
