//! The way in: everything that happens to a received message before WhatsApp is acknowledged.

pub mod identity;
pub mod media_files;
pub mod push_names;
pub mod received_times;

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;

use self::push_names::NameCache;
use self::received_times::ReceivedTimes;
use crate::media::Media;
use crate::model::event::{Event, EventData, MessageKey};
use crate::model::remote_file::RemoteFile;
use crate::store::{EventFact, Life, NewEvent, Store};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;

/// Receiver of WhatsApp's messages.
#[async_trait]
pub trait Inbox: Send + Sync + 'static {
    /// Saves these messages, all of them or none. Returns once the gateway cannot lose them. After
    /// an error WhatsApp keeps them and offers them again after the next login; the same messages
    /// may come again after a success, too.
    async fn accept(&self, session: &Life, batch: InboundBatch) -> Result<()>;
}

/// Received messages, converted to the gateway's events, and what else they bring.
#[derive(Debug, Clone, Default)]
pub struct InboundBatch {
    pub events: Vec<InboundEvent>,
    /// Facts that no event reports.
    pub facts: Vec<EventFact>,
    /// Pairs of phone number and LID that belong to one person each.
    pub lid_pairs: Vec<[String; 2]>,
}

impl InboundBatch {
    pub const fn is_empty(&self) -> bool {
        self.events.is_empty() && self.facts.is_empty() && self.lid_pairs.is_empty()
    }
}

impl From<Vec<InboundEvent>> for InboundBatch {
    fn from(events: Vec<InboundEvent>) -> Self {
        Self {
            events,
            ..Self::default()
        }
    }
}

/// A received message, converted to the gateway's event.
#[derive(Debug, Clone)]
pub struct InboundEvent {
    /// The same when WhatsApp delivers it again.
    pub key: MessageKey,
    /// The chat as callers know it, which may be another address than the one on the wire.
    pub chat: String,
    pub data: EventData,
    /// Location of its file, if it has one.
    pub file: Option<RemoteFile>,
    /// Saved with the event.
    pub facts: Vec<EventFact>,
}

/// The steps of every received message, in their order.
pub struct Inbound {
    pub store: Store,
    pub names: Arc<NameCache>,
    pub media: Media,
    pub received: Arc<ReceivedTimes>,
    pub clock: Clock,
    pub lifecycle: Lifecycle,
}

#[async_trait]
impl Inbox for Inbound {
    async fn accept(&self, session: &Life, batch: InboundBatch) -> Result<()> {
        let InboundBatch {
            mut events,
            facts,
            lid_pairs,
        } = batch;
        // From here on, each person and chat has one id.
        identity::resolve_events(&self.store, session, &mut events).await?;
        let (mut events, names) = self.names.add_names(session, events).await;
        let has_files = media_files::link_files(&self.media, session, &mut events);
        self.store.events().save_facts(session, facts).await?;
        // One transaction: the events, all that is saved with them, and all deliveries.
        let now = self.clock.now();
        let new_event = |incoming: InboundEvent| {
            let event = Event::new(incoming.data, now);
            NewEvent::for_message(session, &incoming.chat, incoming.key, &event)
                .with_facts(incoming.facts, &event)
        };
        let mut writers = Vec::new();
        if self.received.has_watcher(session) {
            let is_message = |it: &&InboundEvent| matches!(it.data, EventData::MessageReceived(_));
            let chat = |it: &InboundEvent| it.chat.clone();
            writers = events.iter().filter(is_message).map(chat).collect();
        }
        if !events.is_empty() {
            let events = events.into_iter().map(new_event).collect();
            self.store.events().append_events(events).await?;
            self.received.record_time(session, now);
            self.received.report_writers(session, writers);
        }
        self.names.remember_names(session, names);
        if has_files {
            self.media.wake_downloads();
        }
        if !lid_pairs.is_empty() {
            let (store, session) = (self.store.clone(), session.clone());
            let merging = identity::merge_people(store, session, lid_pairs);
            let lifecycle = self.lifecycle.clone();
            self.lifecycle.spawn(async move {
                // What is left is told again by the next message of each person.
                let _ = lifecycle.unless_stopping(merging).await;
            });
        }
        Ok(())
    }
}
