//! The listener for posts: queues the engine's events for the reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use whatsapp_rust::Jid;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};
use whatsapp_rust::types::message::{EditAttribute, MessageInfo};
use whatsapp_rust::wacore::chrono::DateTime;
use whatsapp_rust::wacore_binary::{JidExt, NodeRef};

use super::PostReader;
use crate::whatsapp::receive::decode;

/// Queues the engine's events, since its callbacks must not block.
pub(in crate::whatsapp) struct PostListener {
    pub(crate) events: mpsc::UnboundedSender<QueuedEvent>,
    /// Places for posts. Only they are limited: a later backfill fetches new posts, but neither
    /// changes nor deletions.
    pub(crate) places: Arc<Semaphore>,
    /// Not the reader itself: it holds the client, which holds this listener.
    pub(crate) has_missed: Arc<AtomicBool>,
}

/// An event of the engine that waits for the reader.
pub(in crate::whatsapp) struct QueuedEvent {
    pub event: Arc<Event>,
    /// The place of an event that has one, until it is processed.
    _place: Option<OwnedSemaphorePermit>,
}

impl EventHandler for PostListener {
    fn handle_event(&self, event: Arc<Event>) {
        let can_be_fetched = match &*event {
            Event::Connected(_) => false,
            // The deletion of a post comes without content, and the engine skips it.
            Event::RawNode(node) if read_deletion(node.get()).is_some() => false,
            Event::Messages(batch) => {
                let mut posts = batch
                    .messages
                    .iter()
                    .filter(|message| message.info.source.chat.is_newsletter())
                    .peekable();
                if posts.peek().is_none() {
                    return;
                }
                posts.all(|post| post.info.edit == EditAttribute::Empty)
            }
            _ => return,
        };
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        if can_be_fetched && place.is_none() {
            self.has_missed.store(true, Ordering::Relaxed);
            return;
        }
        // Fails only when the reader has ended, with the connection.
        let _ = self.events.send(QueuedEvent {
            event,
            _place: place,
        });
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[
            EventKind::Connected,
            EventKind::Messages,
            EventKind::RawNode,
        ])
    }
}

impl PostReader {
    /// Handles a stanza that may be the deletion of a post.
    pub(super) async fn handle_deletion(&self, node: &NodeRef<'_>) {
        let Some(mut info) = read_deletion(node) else {
            return;
        };
        if let Some(newsletter) = self.followed.get(&info.source.chat.to_non_ad_string()) {
            info.push_name = newsletter.name;
        }
        let own = self.own_addresses();
        let deleted = decode::decode_deleted_post(self.session.name(), &info, &own);
        self.emit_events(vec![deleted]).await;
    }
}

/// Reads the deletion of a post; `None` for any other stanza.
fn read_deletion(node: &NodeRef<'_>) -> Option<MessageInfo> {
    if node.tag.as_ref() != "message" {
        return None;
    }
    let text = |name| node.get_attr(name).map(|value| value.as_str().into_owned());
    let revocation = EditAttribute::AdminRevoke;
    if text("edit").as_deref() != Some(revocation.to_string_val()) {
        return None;
    }
    let chat: Jid = text("from")?.parse().ok()?;
    if !chat.is_newsletter() {
        return None;
    }
    let mut info = MessageInfo {
        id: text("id")?.as_str().into(),
        edit: revocation,
        ..MessageInfo::default()
    };
    let seconds = text("t").and_then(|seconds| seconds.parse().ok());
    info.timestamp = DateTime::from_timestamp(seconds.unwrap_or_default(), 0).unwrap_or_default();
    info.source.chat = chat.clone();
    info.source.sender = chat;
    Some(info)
}
