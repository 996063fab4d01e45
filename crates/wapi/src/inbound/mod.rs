//! The way in: everything that happens to a received message before WhatsApp is acknowledged.

pub mod identity;
pub mod media_files;
pub mod push_names;

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;

use self::push_names::NameCache;
use crate::media::Media;
use crate::model::event::{Event, EventData, MessageKey};
use crate::model::remote_file::RemoteFile;
use crate::store::{Life, NewEvent, Store};
use crate::system::clock::Clock;

/// Receiver of WhatsApp's messages.
#[async_trait]
pub trait Inbox: Send + Sync + 'static {
    /// Saves these messages, all of them or none. Returns once the gateway cannot lose them. After
    /// an error WhatsApp keeps them and offers them again after the next login; the same messages
    /// may come again after a success, too.
    async fn accept(&self, session: &Life, incoming: Vec<InboundEvent>) -> Result<()>;
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
}

/// The steps of every received message, in their order.
pub struct Inbound {
    pub store: Store,
    pub names: Arc<NameCache>,
    pub media: Media,
    pub clock: Clock,
}

#[async_trait]
impl Inbox for Inbound {
    async fn accept(&self, session: &Life, mut incoming: Vec<InboundEvent>) -> Result<()> {
        // From here on, each person and chat has one id.
        identity::resolve_events(&self.store, session, &mut incoming).await?;
        let (incoming, names) = self.names.add_names(session, incoming).await;
        let files = media_files::link_files(&self.media, session, incoming);
        let has_files = files.iter().any(|(_, file)| file.is_some());
        let now = self.clock.now();
        let event = |(incoming, media): (InboundEvent, _)| {
            let InboundEvent {
                key, chat, data, ..
            } = incoming;
            NewEvent {
                media,
                ..NewEvent::for_message(session, &chat, key, &Event::new(data, now))
            }
        };
        // One transaction: the events, the records of their files, and all deliveries.
        self.store
            .append_events(files.into_iter().map(event).collect())
            .await?;
        self.names.remember_names(session, names);
        if has_files {
            self.media.wake_downloads();
        }
        Ok(())
    }
}
