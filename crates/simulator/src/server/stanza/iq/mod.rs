//! Requests (`<iq>`) and their answers. An unknown request is refused at once, counted, and listed,
//! so that a client never waits for a timeout.

mod account;
pub(crate) mod app_state;
pub(crate) mod blocklist;
mod bots;
mod catalog;
pub(crate) mod groups;
pub(crate) mod link_code;
mod mex;
mod newsletters;
pub(crate) mod preferences;
pub(crate) mod prekeys;
pub(crate) mod privacy;
pub(crate) mod profile;
mod properties;
mod trust_tokens;
pub(crate) mod usync;

use std::sync::Arc;

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::model::device::ConnectionHandle;
use crate::model::ids::DeviceId;
use crate::server::Server;
use crate::server::stanza::passkey;
use crate::wire::{StanzaExt, StreamEnd, server_jid};

/// The answer to a request.
pub(crate) enum IqAnswer {
    /// A result with these children.
    Result(Vec<Node>),
    /// An error with WhatsApp's code and text.
    Error(u16, &'static str),
    /// An empty result, and then the end of the stream.
    ResultThenEnd(StreamEnd),
    /// No answer from here: it was sent ahead of its consequences, or follows later.
    NoAnswer,
    /// A request that the simulator does not know.
    Unknown,
}

impl IqAnswer {
    pub(crate) fn empty() -> Self {
        Self::Result(Vec::new())
    }

    pub(crate) fn with_child(child: Node) -> Self {
        Self::Result(vec![child])
    }
}

/// A request of a linked device.
pub(crate) struct IqRequest<'a> {
    server: &'a Arc<Server>,
    device: &'a DeviceId,
    connection: &'a ConnectionHandle,
    iq: &'a Node,
    /// The child that names the operation.
    operation: Option<&'a Node>,
}

/// Answers a request of a linked device, or of a registering client (`device` is `None`).
pub(crate) fn answer_iq(
    server: &Arc<Server>,
    connection: &ConnectionHandle,
    device: Option<&DeviceId>,
    iq: &Node,
) {
    let Some(id) = iq.attr_text("id").map(std::borrow::Cow::into_owned) else {
        server
            .world
            .lock()
            .count_unknown("<iq> without id".to_owned());
        return;
    };
    let answer = match device {
        Some(device) => answer_device(server, device, connection, iq),
        None => passkey::answer_passkey_step(server, connection, iq)
            .unwrap_or_else(|| link_code::answer_unlinked(server, connection, iq)),
    };
    let result = || {
        NodeBuilder::new("iq")
            .attr("from", server_jid())
            .attr("type", "result")
            .attr("id", id.as_str())
    };
    match answer {
        IqAnswer::Result(children) if children.is_empty() => connection.send(result().build()),
        IqAnswer::Result(children) => connection.send(result().children(children).build()),
        IqAnswer::ResultThenEnd(end) => {
            connection.send(result().build());
            connection.end_stream(end);
        }
        IqAnswer::NoAnswer => {}
        IqAnswer::Error(code, text) => connection.send(error_answer(&id, code, text)),
        IqAnswer::Unknown => {
            server.world.lock().count_unknown(describe_iq(iq));
            connection.send(error_answer(&id, 501, "feature-not-implemented"));
        }
    }
}

/// A result without content.
pub(crate) fn empty_result(iq: &Node) -> Node {
    let id = iq.attr_text("id").unwrap_or_default().into_owned();
    NodeBuilder::new("iq")
        .attr("from", server_jid())
        .attr("type", "result")
        .attr("id", id)
        .build()
}

fn error_answer(id: &str, code: u16, text: &'static str) -> Node {
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

fn describe_iq(iq: &Node) -> String {
    let word = |name| iq.attr_text(name).unwrap_or("-".into()).into_owned();
    let child = iq
        .children()
        .and_then(<[Node]>::first)
        .map_or("-", |child| child.tag.as_ref());
    format!("iq {} {} <{child}>", word("type"), word("xmlns"))
}

/// Returns the code with which a fault refuses a request about groups.
fn refuse_group_request(server: &Server, children: &[Node]) -> Option<u16> {
    let switches = &mut server.world.lock().switches;
    children
        .iter()
        .find_map(|child| switches.take_group_refusal(&child.tag))
}

/// Routes a request by its content: its children come in any order, and one client puts others
/// before the one that names the operation.
fn answer_device(
    server: &Arc<Server>,
    device: &DeviceId,
    connection: &ConnectionHandle,
    iq: &Node,
) -> IqAnswer {
    let namespace = iq.attr_text("xmlns").unwrap_or_default();
    let kind = iq.attr_text("type").unwrap_or_default();
    if namespace == "w:g2" && kind == "set" && server.world.lock().switches.take_overlimit() {
        return IqAnswer::Error(429, "rate-overlimit");
    }
    let children = iq.children().unwrap_or_default();
    if namespace == "w:g2"
        && let Some(code) = refuse_group_request(server, children)
    {
        return IqAnswer::Error(code, "refused");
    }
    let asked = children
        .iter()
        .find_map(|child| Some((find_handler(&namespace, &kind, &child.tag)?, Some(child))));
    let of_any_content = || Some((find_handler(&namespace, &kind, "")?, children.first()));
    match asked.or_else(of_any_content) {
        Some((answer, ask)) => answer(&IqRequest {
            server,
            device,
            connection,
            iq,
            operation: ask,
        }),
        None => IqAnswer::Unknown,
    }
}

/// Answers one kind of request.
type IqHandler = fn(&IqRequest<'_>) -> IqAnswer;

/// The route table: namespace, kind, and the child that names the operation. An empty child stands
/// for any content, or none.
fn find_handler(namespace: &str, kind: &str, asked: &str) -> Option<IqHandler> {
    let handler: IqHandler = match (namespace, kind, asked) {
        ("encrypt", "get", "count") => prekeys::count_prekeys,
        ("encrypt", "get", "digest") => prekeys::digest_keys,
        ("encrypt", "get", "key") => prekeys::fetch_bundles,
        ("encrypt", "set", "rotate") => prekeys::rotate_signed_prekey,
        ("encrypt", "set", "registration") => prekeys::upload_prekeys,
        ("usync", "get", "usync") => usync::answer_usync,
        ("passive", "set", "active") => account::set_active,
        ("passive", "set", "passive") => account::set_passive,
        ("abt", "get", "props") => properties::list_properties,
        ("blocklist", "get", "") => blocklist::get_blocklist,
        ("blocklist", "set", "item") => blocklist::change_blocklist,
        ("privacy", "get", "privacy") => privacy::list_settings,
        ("privacy", "set", "privacy") => privacy::change_setting,
        ("privacy", "set", "tokens") => trust_tokens::give_tokens,
        ("status", "set", "status") => profile::change_about,
        ("status", "get", "status") => profile::list_about_texts,
        ("status", "get", "privacy") => preferences::get_status_audience,
        ("disappearing_mode", "set", "disappearing_mode") => preferences::change_default_timer,
        ("tos", "set", "notice") => preferences::accept_notice,
        ("urn:xmpp:whatsapp:push", "set", "config") => preferences::set_push_config,
        ("urn:xmpp:whatsapp:push", "get", "settings") => preferences::get_push_config,
        ("w:qr", "set", "qr") => preferences::get_own_link,
        ("w:qr", "get", "qr") => preferences::resolve_link,
        ("w:biz", "get", "business_profile") => preferences::get_business_profiles,
        ("w:biz", "set", "business_profile") => preferences::change_business_profile,
        ("bot", "get", "bot") => bots::list_bots,
        ("spam", "set", "spam_list") => blocklist::take_report,
        ("w:stats", _, "add") => accept_request,
        ("w:profile:picture", "get", "picture") => profile::get_picture,
        ("w:profile:picture", "set", "picture" | "") => profile::change_picture,
        ("urn:xmpp:whatsapp:dirty", "set", "clean") => accept_request,
        ("w:p" | "urn:xmpp:ping", "get", "") => accept_request,
        ("w:m", "set" | "get", "media_conn") => account::get_media_host,
        ("w:g2", "get", "participating") => groups::list_groups,
        ("w:g2", "get", "query") => groups::get_group,
        ("w:g2", "set", "create") => groups::create::create_group,
        ("w:g2", "get", "invite") => groups::joining::get_invite,
        ("w:g2", "set", "invite") => groups::joining::use_invite,
        ("w:g2", "set", "accept") => groups::joining::accept_invite,
        ("w:g2", "get", "membership_approval_requests") => groups::joining::list_requests,
        ("w:g2", "set", "membership_requests_action") => groups::joining::decide_requests,
        ("w:g2", "set", "cancel_membership_requests") => groups::joining::withdraw_request,
        ("w:g2", "set", "links") => groups::community::link_groups,
        ("w:g2", "set", "unlink") => groups::community::unlink_groups,
        ("w:g2", "set", "delete_parent") => groups::community::delete_community,
        ("w:g2", "set", "join_linked_group") => groups::community::join_subgroup,
        ("w:g2", "get", "sub_groups") => groups::community::list_subgroups,
        ("w:g2", "get", "query_linked") => groups::community::get_subgroup,
        ("w:g2", "get", "linked_groups_participants") => groups::community::list_everybody,
        ("w:g2", "set", "leave") => groups::leave_groups,
        ("w:g2", "set", asked) if groups::GROUP_CHANGES.contains(&asked) => groups::update_group,
        ("w:sync:app:state", "set" | "get", "sync") => app_state::sync_collections,
        ("w:mex", "get" | "set", "query") => mex::answer_query,
        ("newsletter", "get", "messages") => newsletters::list_posts,
        ("newsletter", "get", "message_updates") => newsletters::list_post_updates,
        ("newsletter", "set", "live_updates") => newsletters::start_live_updates,
        ("w:biz:catalog", "get", "product_catalog") => catalog::get_catalog,
        ("fb:thrift_iq", "get", "order") => catalog::get_order,
        ("md", "set", "remove-companion-device") => account::log_out,
        _ => return None,
    };
    Some(handler)
}

/// Accepts a request that changes nothing in the simulator.
fn accept_request(_: &IqRequest<'_>) -> IqAnswer {
    IqAnswer::empty()
}
