//! Stanzas: the ones a client sends, one file per family, and the server's answers.

pub(crate) mod call;
pub(crate) mod device_list;
pub(crate) mod group;
pub(crate) mod group_message;
pub(crate) mod iq;
pub(crate) mod login;
mod many;
pub(crate) mod media_retry;
pub(crate) mod message;
pub(crate) mod newsletter;
pub(crate) mod pairing;
mod peer_data;
pub(crate) mod phone_message;
pub(crate) mod receipt;
pub(crate) mod signals;
pub(crate) mod status;
pub(crate) mod timelock;
pub(crate) mod trust;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent, Server as JidServer};

use crate::device::ConnectionHandle;
use crate::queue::StanzaClass;
use crate::server::Server;
use crate::world::DeviceId;

/// The default number of offline stanzas in a batch.
const DEFAULT_BATCH: usize = 200;

/// Output of a connection.
pub(crate) enum ConnectionOutput {
    Stanza(Node),
    End(StreamEnd),
}

/// The ways in which the server ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// Silently, without a close frame.
    Cut,
    /// `<stream:error code="…"/>`.
    Error(u16),
    /// The same device has logged in on another connection.
    Replaced,
    /// The device was logged out.
    Removed,
    /// `<failure reason="…"/>`: the login is refused.
    Failure(u16),
    /// Regularly, after everything has been sent.
    Done,
}

impl StreamEnd {
    /// Asks a newly linked device to reconnect and log in.
    pub(crate) const RECONNECT: Self = Self::Error(515);

    /// Returns the last stanza of the stream, if there is one.
    pub(crate) fn final_stanza(self) -> Option<Node> {
        let conflict = |kind: &'static str| {
            let conflict = NodeBuilder::new("conflict").attr("type", kind).build();
            NodeBuilder::new("stream:error").children([conflict])
        };
        match self {
            Self::Cut | Self::Done => None,
            Self::Error(code) => Some(
                NodeBuilder::new("stream:error")
                    .attr("code", code.to_string())
                    .build(),
            ),
            Self::Replaced => Some(conflict("replaced").build()),
            Self::Removed => Some(conflict("device_removed").attr("code", "401").build()),
            Self::Failure(code) => Some(
                NodeBuilder::new("failure")
                    .attr("reason", code.to_string())
                    .attr("location", "sim")
                    .build(),
            ),
        }
    }
}

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
            "message" => message::handle_message(server, &self.connection, id, node),
            "receipt" => receipt::handle_receipt(server, &self.connection, id, node),
            "ack" => receipt::handle_ack(server, id, node),
            "ib" => self.handle_ib(server, id, node),
            "call" => call::handle_call(server, &self.connection, id, node),
            "presence" => signals::handle_presence(server, id, node),
            "chatstate" => signals::handle_chatstate(server, id, node),
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
                    signals::forget_device(server, id);
                    newsletter::stop_live_updates(&mut server.world.lock(), id);
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

/// Accessors for stanzas.
pub(crate) trait StanzaExt {
    /// An attribute as text, in any encoding.
    fn attr_text(&self, name: &str) -> Option<Cow<'_, str>>;
    /// An attribute as an address.
    fn attr_jid(&self, name: &str) -> Option<Jid>;
    fn child(&self, tag: &str) -> Option<&Node>;
    fn children_named(&self, tag: &str) -> impl Iterator<Item = &Node>;
    /// The content as bytes.
    fn content_bytes(&self) -> Option<&[u8]>;
    /// The content of a child as bytes.
    fn child_bytes(&self, tag: &str) -> Option<&[u8]> {
        Self::node_bytes(self.child(tag)?)
    }
    fn node_bytes(node: &Node) -> Option<&[u8]>;
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

/// The server's own address: on the wire, an address with an empty user.
pub(crate) fn server_jid() -> Jid {
    Jid::new("", JidServer::Pn)
}

/// Seconds since 1970.
pub(crate) fn unix_time() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Milliseconds since 1970.
pub(crate) fn unix_time_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// Builds an `<ib>` with one child: some clients read only the first.
pub(crate) fn ib_node(child: Node) -> Node {
    NodeBuilder::new("ib")
        .attr("from", server_jid())
        .children([child])
        .build()
}

/// Builds a child with bytes as its only content.
pub(crate) fn leaf_node(tag: &'static str, bytes: impl Into<Vec<u8>>) -> Node {
    NodeBuilder::new(tag).bytes(bytes).build()
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

fn format_tag(node: &Node) -> String {
    format!("<{}>", node.tag)
}

/// Formats a stanza as XML for people, with long bytes shortened.
pub(crate) fn format_stanza(node: &Node) -> String {
    let mut out = String::new();
    write_stanza(node, &mut out);
    out
}

fn write_stanza(node: &Node, out: &mut String) {
    let _ = write!(out, "<{}", node.tag);
    for (name, value) in node.attrs.iter() {
        let _ = write!(out, " {name}=\"{value}\"");
    }
    match &node.content {
        None => out.push_str("/>"),
        Some(NodeContent::Nodes(children)) => {
            out.push('>');
            children.iter().for_each(|child| write_stanza(child, out));
            let _ = write!(out, "</{}>", node.tag);
        }
        Some(NodeContent::String(text)) => {
            let _ = write!(out, ">{text}</{}>", node.tag);
        }
        Some(NodeContent::Bytes(bytes)) => {
            let shown = &bytes[..bytes.len().min(16)];
            let _ = write!(
                out,
                ">{} ({} bytes)</{}>",
                hex::encode(shown),
                bytes.len(),
                node.tag
            );
        }
    }
}
