//! Stanzas: the ones a client sends, one file per family, and the server's answers.

pub(crate) mod call;
pub(crate) mod device_list;
pub(crate) mod group;
pub(crate) mod iq;
pub(crate) mod login;
pub(crate) mod media_retry;
pub(crate) mod messages;
pub(crate) mod new_chat_cap;
pub(crate) mod pairing;
pub(crate) mod passkey;
pub(crate) mod presence;
pub(crate) mod reachout_timelock;
pub(crate) mod trust;

use std::borrow::Cow;
use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent};

use crate::model::device::ConnectionHandle;
use crate::model::ids::DeviceId;
use crate::model::queue::StanzaClass;
use crate::server::Server;
use crate::wire::{StanzaExt, format_tag, unix_time};

/// The default number of offline stanzas in a batch.
const DEFAULT_BATCH: usize = 200;

/// The role of the client on a connection.
pub(crate) enum ClientRole {
    /// A client that wants to be linked.
    Registering,
    /// A linked device.
    Device(DeviceId),
    /// A client that was refused, or that is deliberately left without an answer.
    Ignored,
}

/// A connection past its handshake.
pub(crate) struct ClientSession {
    pub(crate) connection: ConnectionHandle,
    pub(crate) role: ClientRole,
}

impl ClientSession {
    /// Handles one stanza of the client. Stanzas of a frozen device are read and ignored.
    pub(crate) fn handle_stanza(&self, server: &Arc<Server>, node: &Node) {
        match &self.role {
            ClientRole::Ignored => {}
            ClientRole::Registering => self.handle_registering(server, node),
            ClientRole::Device(id) => {
                if server
                    .world
                    .lock()
                    .device(id)
                    .is_some_and(|device| !device.frozen)
                {
                    self.handle_device(server, id, node);
                }
            }
        }
    }

    fn handle_registering(&self, server: &Arc<Server>, node: &Node) {
        match node.tag.as_ref() {
            "iq" if matches!(node.attr_text("type").as_deref(), Some("result" | "error")) => {
                pairing::handle_pair_answer(server, &self.connection, node);
            }
            "iq" => iq::answer_iq(server, &self.connection, None, node),
            // Sent around pair-success and the typing of a code; they need no answer.
            "ib" | "ack" | "presence" => {}
            _ => server
                .world
                .lock()
                .count_unknown(format!("{} while registering", format_tag(node))),
        }
    }

    fn handle_device(&self, server: &Arc<Server>, id: &DeviceId, node: &Node) {
        match node.tag.as_ref() {
            // The answer to a ping of the server.
            "iq" if matches!(node.attr_text("type").as_deref(), Some("result" | "error")) => {}
            "iq" => iq::answer_iq(server, &self.connection, Some(id), node),
            "message" => messages::handle_message(server, &self.connection, id, node),
            "receipt" => messages::receipt::handle_receipt(server, &self.connection, id, node),
            "ack" => messages::receipt::handle_ack(server, id, node),
            "ib" => self.handle_ib(server, id, node),
            "call" => call::handle_call(server, &self.connection, id, node),
            "presence" => presence::handle_presence(server, id, node),
            "chatstate" => presence::handle_chatstate(server, id, node),
            _ => server.world.lock().count_unknown(format_tag(node)),
        }
    }

    fn handle_ib(&self, server: &Arc<Server>, id: &DeviceId, node: &Node) {
        let Some(request) = node.child("offline_batch") else {
            return;
        };
        let count = request
            .attr_text("count")
            .and_then(|count| count.parse().ok())
            .unwrap_or(DEFAULT_BATCH);
        if let Some(device) = server.world.lock().device_mut(&id.number, id.device) {
            device.send_batch(count);
        }
    }

    /// Sends the next batch of offline stanzas without a request.
    pub(crate) fn send_batch(&self, server: &Server) {
        let ClientRole::Device(id) = &self.role else {
            return;
        };
        if let Some(device) = server.world.lock().device_mut(&id.number, id.device) {
            device.send_batch(DEFAULT_BATCH);
        }
    }

    /// Cleans up after a closed socket.
    pub(crate) fn clean_up(&self, server: &Server) {
        let mut world = server.world.lock();
        match &self.role {
            ClientRole::Device(id) => {
                let is_present = world
                    .device_mut(&id.number, id.device)
                    .map(|it| it.disconnect(self.connection.id));
                drop(world);
                if is_present == Some(true) {
                    presence::forget_device(server, id);
                    messages::newsletter::stop_live_updates(&mut server.world.lock(), id);
                }
            }
            _ => {
                pairing::forget_candidate(&mut world, self.connection.id);
                drop(world);
            }
        }
        server.changed.notify_waiters();
    }
}

impl StanzaExt for Node {
    fn attr_text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.attrs.get(name).map(|value| value.as_str())
    }

    fn attr_jid(&self, name: &str) -> Option<Jid> {
        self.attrs.get(name)?.to_jid()
    }

    fn child(&self, tag: &str) -> Option<&Node> {
        self.children()?.iter().find(|child| child.tag == tag)
    }

    fn children_named(&self, tag: &str) -> impl Iterator<Item = &Node> {
        self.children()
            .unwrap_or_default()
            .iter()
            .filter(move |child| child.tag == tag)
    }

    fn content_bytes(&self) -> Option<&[u8]> {
        Self::node_bytes(self)
    }

    fn node_bytes(node: &Node) -> Option<&[u8]> {
        match node.content.as_ref()? {
            NodeContent::Bytes(bytes) => Some(bytes),
            NodeContent::String(text) => Some(text.as_bytes()),
            NodeContent::Nodes(_) => None,
        }
    }
}

/// Adds a stanza to a device's queue; it is sent at once if the device is live.
pub(crate) fn enqueue_stanza(
    server: &Server,
    to: &DeviceId,
    class: StanzaClass,
    id: &str,
    from: Jid,
    stanza: Node,
) {
    let mut world = server.world.lock();
    let fault = world.switches.delivery;
    if let Some(device) = world.device_mut(&to.number, to.device) {
        device.enqueue(class, id, from, stanza, fault);
    }
}

/// The attributes of a notification.
pub(crate) struct NotificationHeader {
    pub(crate) kind: &'static str,
    pub(crate) from: Jid,
    /// The sender's LID, beside its phone number.
    pub(crate) lid: Option<Jid>,
}

/// Sends a notification from the server, queued until the device acknowledges it.
pub(crate) fn notify_device(
    server: &Server,
    to: &DeviceId,
    notice: NotificationHeader,
    child: Node,
) {
    let id = server.world.lock().next_stanza_id();
    let mut stanza = NodeBuilder::new("notification")
        .attr("from", notice.from.clone())
        .attr("id", id.as_str())
        .attr("type", notice.kind)
        .attr("t", unix_time().to_string());
    if let Some(lid) = notice.lid {
        stanza = stanza.attr("lid", lid);
    }
    enqueue_stanza(
        server,
        to,
        StanzaClass::Notification,
        &id,
        notice.from,
        stanza.children([child]).build(),
    );
}
