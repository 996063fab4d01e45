//! Requests and their answers. What is not known is refused at once, counted, and listed: a client never waits for a timeout.

mod account;
pub(crate) mod appstate;
pub(crate) mod blocklist;
pub(crate) mod groups;
pub(crate) mod link_code;
mod newsletters;
pub(crate) mod prekeys;
pub(crate) mod profile;
mod shop;
pub(crate) mod usync;

use std::sync::Arc;

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Stanza, StreamEnd, server_jid};
use crate::device::Connection;
use crate::server::Server;
use crate::world::DeviceId;

/// What becomes of a request.
pub(crate) enum Answer {
    /// A result with these children.
    Result(Vec<Node>),
    /// An error with WhatsApp's code and words.
    Error(u16, &'static str),
    /// An empty result, and then the end of the stream.
    ResultThenEnd(StreamEnd),
    /// The answer has gone out already, ahead of what it sets off.
    Sent,
    /// A request the simulator does not know.
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
    /// The first child, which says what is asked.
    ask: Option<&'a Node>,
}

/// Answers a request of a linked device, or of a client that is registering (`device` is `None`).
pub(crate) fn answer(server: &Arc<Server>, connection: &Connection, device: Option<&DeviceId>, iq: &Node) {
    let Some(id) = iq.word("id").map(std::borrow::Cow::into_owned) else {
        server.world.lock().count_unknown("<iq> without id".to_owned());
        return;
    };
    let answer = match device {
        Some(device) => {
            let ask = iq.children().and_then(<[Node]>::first);
            of_device(&Request { server, device, connection, iq, ask })
        }
        None => link_code::answer(server, connection, iq),
    };
    let result = || NodeBuilder::new("iq").attr("from", server_jid()).attr("type", "result").attr("id", id.as_str());
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

/// The answer that only says yes.
fn empty_result(iq: &Node) -> Node {
    let id = iq.word("id").unwrap_or_default().into_owned();
    NodeBuilder::new("iq").attr("from", server_jid()).attr("type", "result").attr("id", id).build()
}

fn refusal(id: &str, code: u16, text: &'static str) -> Node {
    let error = NodeBuilder::new("error").attr("code", code.to_string()).attr("text", text).build();
    NodeBuilder::new("iq").attr("from", server_jid()).attr("type", "error").attr("id", id).children([error]).build()
}

fn describe(iq: &Node) -> String {
    let word = |name| iq.word(name).unwrap_or("-".into()).into_owned();
    let child = iq.children().and_then(<[Node]>::first).map_or("-", |child| child.tag.as_ref());
    format!("iq {} {} <{child}>", word("type"), word("xmlns"))
}

/// The route table: namespace, kind and first child of a request.
fn of_device(request: &Request<'_>) -> Answer {
    let namespace = request.iq.word("xmlns").unwrap_or_default();
    let kind = request.iq.word("type").unwrap_or_default();
    let ask = request.ask.map_or("", |ask| ask.tag.as_ref());
    match (&*namespace, &*kind, ask) {
        ("encrypt", "get", "count") => prekeys::count(request),
        ("encrypt", "get", "digest") => prekeys::digest(request),
        ("encrypt", "get", "key") => prekeys::fetch(request),
        ("encrypt", "set", "rotate") => prekeys::rotate(request),
        ("encrypt", "set", "registration") => prekeys::upload(request),
        ("usync", "get", "usync") => usync::answer(request),
        ("passive", "set", "active") => account::activate(request),
        ("passive", "set", "passive") => Answer::empty(),
        ("abt", "get", "props") => account::props(),
        ("blocklist", "get", _) => blocklist::list(request),
        ("blocklist", "set", "item") => blocklist::change(request),
        ("privacy", "get", "privacy") => account::privacy(),
        ("privacy", "set", "tokens" | "privacy") => Answer::empty(),
        ("status", "set", "status") => profile::change_about(request),
        ("status", "get", "status") => profile::about(request),
        ("w:profile:picture", "get", "picture") => profile::picture(request),
        ("w:profile:picture", "set", _) => profile::change_picture(request),
        ("urn:xmpp:whatsapp:dirty", "set", "clean") => Answer::empty(),
        ("w:p" | "urn:xmpp:ping", "get", _) => Answer::empty(),
        ("w:m", "set" | "get", "media_conn") => account::media_conn(request),
        ("w:g2", "get", "participating") => groups::participating(request),
        ("w:g2", "get", "query") => groups::query(request),
        ("w:g2", "set", "create") => groups::create(request),
        ("w:g2", "set", "leave") => groups::leave(request),
        ("w:g2", "set", _) => groups::change(request),
        ("w:sync:app:state", "set" | "get", "sync") => appstate::sync(request),
        ("w:mex", "get", "query") => newsletters::mex(request),
        ("newsletter", "get", "messages") => newsletters::messages(request),
        ("newsletter", "get", "message_updates") => newsletters::message_updates(request),
        ("newsletter", "set", "live_updates") => newsletters::live_updates(request),
        ("w:biz:catalog", "get", "product_catalog") => shop::catalog(request),
        ("fb:thrift_iq", "get", "order") => shop::order(request),
        ("md", "set", "remove-companion-device") => account::log_out(request),
        _ => Answer::Unknown,
    }
}
