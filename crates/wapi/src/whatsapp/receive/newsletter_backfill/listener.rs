//! The listener for posts: queues the engine's events for the reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use whatsapp_rust::Jid;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};
use whatsapp_rust::types::message::{EditAttribute, MessageInfo};
use whatsapp_rust::wacore::chrono::DateTime;
use whatsapp_rust::wacore_binary::{JidExt, NodeRef};

use super::PostReader;
use crate::whatsapp::receive::decode;

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
            // The deletion of a post comes without content, and the engine skips it.
            Event::RawNode(node) => read_deletion(node.get()).is_some(),
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
