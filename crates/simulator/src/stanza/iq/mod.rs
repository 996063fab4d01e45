//! Requests (`<iq>`) and their answers. An unknown request is refused at once, counted, and listed,
//! so that a client never waits for a timeout.

mod account;
pub(crate) mod appstate;
pub(crate) mod blocklist;
mod bots;
pub(crate) mod groups;
pub(crate) mod link_code;
mod mex;
mod newsletters;
pub(crate) mod preferences;
pub(crate) mod prekeys;
pub(crate) mod privacy;
pub(crate) mod profile;
mod properties;
mod shop;
mod tokens;
pub(crate) mod usync;

use std::sync::Arc;

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Stanza, StreamEnd, server_jid};
use crate::device::Connection;
use crate::server::Server;
use crate::world::DeviceId;

/// The answer to a request.
pub(crate) enum Answer {
    /// A result with these children.
    Result(Vec<Node>),
    /// An error with WhatsApp's code and text.
    Error(u16, &'static str),
    /// An empty result, and then the end of the stream.
    ResultThenEnd(StreamEnd),
    /// No answer from here: it was sent ahead of its consequences, or follows later.
    Sent,
    /// A request that the simulator does not know.
    Unknown,
}

impl Answer {
    fn empty() -> Self {
        Self::Result(Vec::new())
    }

    fn one(child: Node) -> Self {
        Self::Result(vec![child])
    }
}

/// A request of a linked device.
struct Request<'a> {
    server: &'a Arc<Server>,
    device: &'a DeviceId,
    connection: &'a Connection,
    iq: &'a Node,
    /// The child that names the operation.
    ask: Option<&'a Node>,
}

/// Answers a request of a linked device, or of a registering client (`device` is `None`).
pub(crate) fn answer(
    server: &Arc<Server>,
    connection: &Connection,
    device: Option<&DeviceId>,
    iq: &Node,
) {
    let Some(id) = iq.word("id").map(std::borrow::Cow::into_owned) else {
        server
            .world
            .lock()
            .count_unknown("<iq> without id".to_owned());
        return;
    };
    let answer = match device {
        Some(device) => of_device(server, device, connection, iq),
        None => link_code::answer(server, connection, iq),
    };
    let result = || {
        NodeBuilder::new("iq")
            .attr("from", server_jid())
            .attr("type", "result")
            .attr("id", id.as_str())
    };
    match answer {
        Answer::Result(children) if children.is_empty() => connection.send(result().build()),
        Answer::Result(children) => connection.send(result().children(children).build()),
        Answer::ResultThenEnd(end) => {
            connection.send(result().build());
            connection.end(end);
        }
        Answer::Sent => {}
        Answer::Error(code, text) => connection.send(refusal(&id, code, text)),
        Answer::Unknown => {
            server.world.lock().count_unknown(describe(iq));
            connection.send(refusal(&id, 501, "feature-not-implemented"));
        }
    }
}

/// A result without content.
fn empty_result(iq: &Node) -> Node {
    let id = iq.word("id").unwrap_or_default().into_owned();
    NodeBuilder::new("iq")
        .attr("from", server_jid())
        .attr("type", "result")
        .attr("id", id)
        .build()
}

fn refusal(id: &str, code: u16, text: &'static str) -> Node {
    let error = NodeBuilder::new("error")
        .attr("code", code.to_string())
        .attr("text", text)
        .build();
    NodeBuilder::new("iq")
        .attr("from", server_jid())
        .attr("type", "error")
        .attr("id", id)
        .children([error])
        .build()
}

fn describe(iq: &Node) -> String {
    let word = |name| iq.word(name).unwrap_or("-".into()).into_owned();
    let child = iq
        .children()
        .and_then(<[Node]>::first)
        .map_or("-", |child| child.tag.as_ref());
    format!("iq {} {} <{child}>", word("type"), word("xmlns"))
}

/// Routes a request by its content: its children come in any order, and one client puts others
/// before the one that names the operation.
fn of_device(
    server: &Arc<Server>,
    device: &DeviceId,
    connection: &Connection,
    iq: &Node,
) -> Answer {
    let namespace = iq.word("xmlns").unwrap_or_default();
    let kind = iq.word("type").unwrap_or_default();
    let children = iq.children().unwrap_or_default();
    let asked = children
        .iter()
        .find_map(|child| Some((route(&namespace, &kind, &child.tag)?, Some(child))));
    let of_any_content = || Some((route(&namespace, &kind, "")?, children.first()));
    match asked.or_else(of_any_content) {
        Some((answer, ask)) => answer(&Request {
            server,
            device,
            connection,
            iq,
            ask,
        }),
        None => Answer::Unknown,
    }
}

/// Answers one kind of request.
type Handler = fn(&Request<'_>) -> Answer;

/// The route table: namespace, kind, and the child that names the operation. An empty child stands
/// for any content, or none.
fn route(namespace: &str, kind: &str, asked: &str) -> Option<Handler> {
    let handler: Handler = match (namespace, kind, asked) {
        ("encrypt", "get", "count") => prekeys::count,
        ("encrypt", "get", "digest") => prekeys::digest,
        ("encrypt", "get", "key") => prekeys::fetch,
        ("encrypt", "set", "rotate") => prekeys::rotate,
        ("encrypt", "set", "registration") => prekeys::upload,
        ("usync", "get", "usync") => usync::answer,
        ("passive", "set", "active") => account::activate,
        ("passive", "set", "passive") => account::pause,
        ("abt", "get", "props") => properties::all,
        ("blocklist", "get", "") => blocklist::list,
        ("blocklist", "set", "item") => blocklist::change,
        ("privacy", "get", "privacy") => privacy::list,
        ("privacy", "set", "privacy") => privacy::change,
        ("privacy", "set", "tokens") => tokens::give,
        ("status", "set", "status") => profile::change_about,
        ("status", "get", "status") => profile::about,
        ("status", "get", "privacy") => preferences::status_audience,
        ("disappearing_mode", "set", "disappearing_mode") => preferences::change_timer,
        ("tos", "set", "notice") => preferences::agree,
        ("urn:xmpp:whatsapp:push", "set", "config") => preferences::set_waker,
        ("urn:xmpp:whatsapp:push", "get", "settings") => preferences::waker,
        ("w:qr", "set", "qr") => preferences::own_link,
        ("w:qr", "get", "qr") => preferences::behind_link,
        ("w:biz", "get", "business_profile") => preferences::business,
        ("w:biz", "set", "business_profile") => preferences::change_business,
        ("bot", "get", "bot") => bots::list,
        ("spam", "set", "spam_list") => accepted,
        ("w:stats", _, "add") => accepted,
        ("w:profile:picture", "get", "picture") => profile::picture,
        ("w:profile:picture", "set", "picture" | "") => profile::change_picture,
        ("urn:xmpp:whatsapp:dirty", "set", "clean") => accepted,
        ("w:p" | "urn:xmpp:ping", "get", "") => accepted,
        ("w:m", "set" | "get", "media_conn") => account::media_conn,
        ("w:g2", "get", "participating") => groups::participating,
        ("w:g2", "get", "query") => groups::query,
        ("w:g2", "set", "create") => groups::create,
        ("w:g2", "set", "leave") => groups::leave,
        ("w:g2", "set", asked) if groups::CHANGES.contains(&asked) => groups::change,
        ("w:sync:app:state", "set" | "get", "sync") => appstate::sync,
        ("w:mex", "get" | "set", "query") => mex::answer,
        ("newsletter", "get", "messages") => newsletters::messages,
        ("newsletter", "get", "message_updates") => newsletters::message_updates,
        ("newsletter", "set", "live_updates") => newsletters::live_updates,
        ("w:biz:catalog", "get", "product_catalog") => shop::catalog,
        ("fb:thrift_iq", "get", "order") => shop::order,
        ("md", "set", "remove-companion-device") => account::log_out,
        _ => return None,
    };
    Some(handler)
}

/// Accepts a request that changes nothing in the simulator.
fn accepted(_: &Request<'_>) -> Answer {
    Answer::empty()
}
