//! Missing messages: an earlier run decrypted them and ended before they were saved.
//!
//! The engine writes the keys that it has advanced every 25 ms. That can fall between decrypting
//! one more message and handing it over, and if the program ends before that one is saved, its key
//! is on the disk and the message is not. WhatsApp delivers it again, but nothing decrypts it twice;
//! the engine takes it for a message that was read before, and would acknowledge it.
//! [`EngineStore`](super::EngineStore) asks this module first, which knows better: no event tells
//! of that message. So the device that sent it is asked for it, and it comes later than it was sent.
//! That device may be the account's own phone: what its owner writes there comes here as a copy.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Weak};

use anyhow::{Context, Result};
use jiff::Timestamp;
use parking_lot::Mutex;
use whatsapp_rust::Client;
use whatsapp_rust::features::RetryRequestOptions;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::types::events::{
    DecryptFailMode, Event, EventHandler, EventInterest, EventKind, UnavailableType,
    UndecryptableMessage,
};
use whatsapp_rust::types::message::{MessageCategory, MessageInfo};
use whatsapp_rust::wacore::messages::parse_message_info;
use whatsapp_rust::wacore_binary::builder::NodeBuilder;
use whatsapp_rust::wacore_binary::{Node, NodeRef};

use crate::model::event::MessageKey;
use crate::store::{DeviceLife, Store};
use crate::system::lifecycle::Lifecycle;
use crate::whatsapp::receive::decode;
use crate::whatsapp::receive::undecryptable::UndecryptableHandler;

/// Maximum number of stanzas that are remembered while the engine works on them.
const MAX_STANZAS: usize = 20_000;

/// Messages that WhatsApp offers to one client after a connection was interrupted.
pub(in crate::whatsapp) struct MissingMessages {
    session: DeviceLife,
    client: Weak<Client>,
    /// Owns the store that asks this, and must not be kept by it.
    persistence: Weak<PersistenceManager>,
    store: Store,
    /// Tells callers of a message that may not come.
    undecryptable: Arc<UndecryptableHandler>,
    tasks: Lifecycle,
    state: Mutex<OfferedMessages>,
}

#[derive(Default)]
struct OfferedMessages {
    /// By the engine's key: anybody may write under the id of another's message.
    stanzas: HashMap<MessageKey, OfferedStanza>,
    /// What this connection has asked for.
    requests: HashMap<MessageKey, RequestState>,
}

/// A message's stanza without its contents.
struct OfferedStanza {
    node: Node,
    info: MessageInfo,
    /// Whether the sender wants a failure to show.
    fail_mode: DecryptFailMode,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RequestState {
    Running,
    Done,
}

impl MissingMessages {
    pub fn new(
        session: DeviceLife,
        client: &Arc<Client>,
        persistence: &Arc<PersistenceManager>,
        store: Store,
        undecryptable: Arc<UndecryptableHandler>,
        tasks: Lifecycle,
    ) -> Self {
        Self {
            session,
            client: Arc::downgrade(client),
            persistence: Arc::downgrade(persistence),
            store,
            undecryptable,
            tasks,
            state: Mutex::default(),
        }
    }

    /// Forgets the stanza of a message that has been decrypted.
    pub fn forget_stanza(&self, key: &MessageKey) {
        self.state.lock().stanzas.remove(key);
    }

    /// Asks the sender for a message that was decrypted before, unless it was saved. Returns
    /// whether it is missing, in which case the engine must not acknowledge it.
    pub async fn request_if_missing(self: &Arc<Self>, key: &MessageKey) -> Result<bool> {
        let stanza = self.state.lock().stanzas.remove(key);
        let Some(stanza) = stanza else {
            return Ok(false);
        };
        // The account's devices tell each other things that are no messages and make no events.
        let is_peer = stanza.info.category == MessageCategory::Peer;
        if is_peer || self.was_saved(&stanza.info).await? {
            return Ok(false);
        }
        match self.state.lock().requests.entry(key.clone()) {
            // The acknowledgement was lost with the connection.
            Entry::Occupied(request) if *request.get() == RequestState::Done => return Ok(false),
            Entry::Occupied(_) => return Ok(true),
            Entry::Vacant(request) => request.insert(RequestState::Running),
        };
        let (missing, key) = (Arc::clone(self), key.clone());
        // The engine cannot send anything while it waits for this answer.
        self.tasks.spawn(async move {
            let session = missing.session.name();
            tracing::warn!(
                session,
                id = key.id,
                "an earlier run read a message and did not save it; asking its sender again"
            );
            if let Err(error) = missing.request_message(&key, stanza).await {
                tracing::warn!(
                    session,
                    error = format!("{error:#}"),
                    "failed to ask for a message again; trying again at the next connection"
                );
                missing.forget_request(&key);
            }
        });
        Ok(true)
    }

    fn parse_stanza(&self, stanza: &NodeRef<'_>) -> Option<MessageInfo> {
        let device = self.persistence.upgrade()?.get_device_snapshot();
        parse_message_info(stanza, device.pn.as_ref()?, device.lid.as_ref()).ok()
    }

    /// Returns whether the message has become an event, or may have become one that has since been
    /// deleted.
    async fn was_saved(&self, info: &MessageInfo) -> Result<bool> {
        // WhatsApp rounds down to seconds.
        let sent_at = Timestamp::from_second(info.timestamp.timestamp() + 1).unwrap_or_default();
        let key = decode::message_key(info);
        let life = self.session.current_life();
        let saved = self.store.inbound().was_saved(&life, &key, sent_at).await?;
        Ok(saved)
    }

    fn record_done(&self, key: &MessageKey) {
        let requests = &mut self.state.lock().requests;
        if requests.len() >= MAX_STANZAS {
            requests.retain(|_, state| *state == RequestState::Running);
        }
        requests.insert(key.clone(), RequestState::Done);
    }

    /// Forgets a request that did not leave.
    fn forget_request(&self, key: &MessageKey) {
        let requests = &mut self.state.lock().requests;
        if requests.get(key) == Some(&RequestState::Running) {
            requests.remove(key);
        }
    }

    async fn request_message(&self, key: &MessageKey, stanza: OfferedStanza) -> Result<()> {
        let client = self.client.upgrade().context("the connection has ended")?;
        let node = stanza.node.as_node_ref();
        client
            .request_message_retry(&node, RetryRequestOptions::new())
            .await?;
        let copy_receipt = own_copy_receipt(&stanza.info);
        let event = UndecryptableMessage::builder()
            .info(Arc::new(stanza.info))
            .is_unavailable(false)
            .unavailable_type(UnavailableType::Unknown)
            .decrypt_fail_mode(stanza.fail_mode)
            .build();
        // Only then: WhatsApp deletes what is acknowledged, and its sender may never send it again.
        self.undecryptable.save_event(&event).await?;
        self.record_done(key);
        match copy_receipt {
            Some(receipt) => client.send_node(receipt).await?,
            None => client.acknowledge_stanza(&node).await?,
        }
        Ok(())
    }
}

/// Returns the receipt that confirms a copy of what the account wrote to one person on another of
/// its devices: WhatsApp keeps such a copy until this receipt comes, whatever else acknowledges it.
fn own_copy_receipt(info: &MessageInfo) -> Option<Node> {
    let source = &info.source;
    let recipient = source.recipient.as_ref();
    let recipient = recipient.filter(|_| source.is_self_fanout())?;
    let receipt = NodeBuilder::new("receipt")
        .attr("to", &source.sender)
        .attr("id", &info.id)
        .attr("type", "sender")
        .attr("recipient", recipient.to_non_ad());
    Some(receipt.build())
}

/// Remembers the stanzas that WhatsApp offers again.
impl EventHandler for MissingMessages {
    fn handle_event(&self, event: Arc<Event>) {
        let node = match &*event {
            Event::RawNode(node) => node.get(),
            // The next connection offers again what this one has not acknowledged.
            Event::Disconnected(_) => {
                self.state.lock().stanzas.clear();
                return;
            }
            _ => return,
        };
        if node.tag.as_ref() != "message" || node.get_attr("offline").is_none() {
            return;
        }
        let Some(info) = self.parse_stanza(node) else {
            return;
        };
        let key = MessageKey {
            chat: info.source.chat.to_string(),
            sender: info.source.sender.to_string(),
            id: info.id.to_string(),
        };
        let mut state = self.state.lock();
        if state.stanzas.len() < MAX_STANZAS {
            let mut hidden = node.get_children_by_tag("enc").map(is_failure_hidden);
            let fail_mode = match hidden.any(|hidden| hidden) {
                true => DecryptFailMode::Hide,
                false => DecryptFailMode::Show,
            };
            let mut node = node.to_owned();
            node.content = None;
            let stanza = OfferedStanza {
                node,
                info,
                fail_mode,
            };
            state.stanzas.insert(key, stanza);
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::RawNode, EventKind::Disconnected])
    }
}

fn is_failure_hidden(enc: &NodeRef<'_>) -> bool {
    let mode = enc.get_attr("decrypt-fail");
    mode.is_some_and(|mode| mode.as_str() == "hide")
}
