//! Stanzas: their parts, accessors and common forms.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use wacore_binary::Server as JidServer;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent};

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

pub(crate) fn format_tag(node: &Node) -> String {
    format!("<{}>", node.tag)
}

/// Formats a stanza as XML for people, with long bytes shortened.
pub(crate) fn format_stanza(node: &Node) -> String {
    let mut out = String::new();
    write_stanza(node, &mut out);
    out
}

pub(crate) fn write_stanza(node: &Node, out: &mut String) {
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
