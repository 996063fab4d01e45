//! `w:g2`: requests of devices about groups, and changes to them.

pub(crate) mod community;
pub(crate) mod create;
pub(crate) mod joining;
pub(crate) mod picture;
pub(crate) mod properties;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt, Node};

use super::{IqAnswer, IqRequest};
use crate::model::group::{
    APPROVAL_NEEDED, DescriptionChange, FORBIDDEN, GroupChange, GroupId, MemberOutcome,
};
use crate::model::ids::PhoneNumber;
use crate::model::options::Addressing;
use crate::server::stanza::group::{self, group_node};
use crate::wire::{StanzaExt, unix_time};

/// The changes that a device may make to a group.
pub(crate) const GROUP_CHANGES: [&str; 22] = [
    "add",
    "remove",
    "promote",
    "demote",
    "subject",
    "description",
    "announcement",
    "not_announcement",
    "ephemeral",
    "not_ephemeral",
    "locked",
    "unlocked",
    "membership_approval_mode",
    "member_add_mode",
    "no_frequently_forwarded",
    "frequently_forwarded_ok",
    "allow_admin_reports",
    "not_allow_admin_reports",
    "group_history",
    "no_group_history",
    "allow_non_admin_sub_group_creation",
    "not_allow_non_admin_sub_group_creation",
];

/// The code for a member without an account.
const NO_SUCH_ACCOUNT: u16 = 404;

/// Lists the groups of the account, always with members and description, which all clients request.
pub(crate) fn list_groups(request: &IqRequest<'_>) -> IqAnswer {
    let world = request.server.world.lock();
    let of_mine = world
        .groups
        .values()
        .filter(|group| group.members.contains_key(&request.device.number));
    let groups = of_mine
        .map(|group| group_node(&world, group))
        .collect::<Vec<_>>();
    IqAnswer::with_child(NodeBuilder::new("groups").children(groups).build())
}

/// Describes one group, to its members only.
pub(crate) fn get_group(request: &IqRequest<'_>) -> IqAnswer {
    let world = request.server.world.lock();
    let Some(group) = request.iq.attr_jid("to").and_then(|to| world.group_of(&to)) else {
        return IqAnswer::Error(404, "item-not-found");
    };
    if group.members.contains_key(&request.device.number) {
        return IqAnswer::with_child(group_node(&world, group));
    }
    // Somebody who was given a personal invite may look at the group first.
    let code = request
        .operation
        .and_then(|ask| ask.child("add_request")?.attr_text("code"));
    match (group.invites.get(&request.device.number), code) {
        (Some(invite), Some(code)) if code == invite.code && invite.expires > unix_time() => {
            IqAnswer::with_child(joining::preview_node(&world, group))
        }
        _ => IqAnswer::Error(FORBIDDEN, "forbidden"),
    }
}

fn is_community(request: &IqRequest<'_>, jid: &Jid) -> bool {
    request
        .server
        .world
        .lock()
        .group_of(jid)
        .is_some_and(|group| group.community.is_some())
}

fn expiration_seconds(node: &Node) -> Option<u32> {
    node.attr_text("expiration")?.parse().ok()
}

fn is_approval_on(approval: &Node) -> bool {
    approval
        .child("group_join")
        .and_then(|join| join.attr_text("state"))
        .as_deref()
        == Some("on")
}

/// Changes a group in the account's name.
pub(crate) fn update_group(request: &IqRequest<'_>) -> IqAnswer {
    let (Some(group), Some(ask)) = (addressed_group(request), request.operation) else {
        return IqAnswer::Error(400, "bad-request");
    };
    let NamedMembers {
        members,
        unknown: nobody,
    } = named_members(request, ask);
    let change = match &*ask.tag {
        "add" => GroupChange::Add(members),
        "remove" => GroupChange::Remove(members),
        "promote" => GroupChange::Promote(members),
        "demote" => GroupChange::Demote(members),
        "subject" => GroupChange::Subject(content_text(ask).unwrap_or_default()),
        "description" => GroupChange::Description(DescriptionChange {
            text: ask.child("body").and_then(content_text),
            id: ask.attr_text("id").map(std::borrow::Cow::into_owned),
            replaces: Some(ask.attr_text("prev").map(std::borrow::Cow::into_owned)),
        }),
        "announcement" | "not_announcement" => GroupChange::Announcement(ask.tag == "announcement"),
        "ephemeral" => match expiration_seconds(ask) {
            Some(seconds) => GroupChange::Timer(seconds),
            None => return IqAnswer::Error(400, "bad-request"),
        },
        "not_ephemeral" => GroupChange::Timer(0),
        "locked" | "unlocked" => GroupChange::Locked(ask.tag == "locked"),
        "membership_approval_mode" => GroupChange::Approval(is_approval_on(ask)),
        "member_add_mode" => {
            GroupChange::AllAdd(content_text(ask).as_deref() == Some(group::ALL_ADD))
        }
        tag => match group::parse_flag(tag) {
            Some((flag, on)) => GroupChange::Flag(flag, on),
            None => return IqAnswer::Unknown,
        },
    };
    if *ask.tag == *"description" {
        outrun_description(request, &group);
    }
    if *ask.tag == *"remove" && ask.attr_text("linked_groups").as_deref() == Some("true") {
        return community::remove_everywhere(request, &group, ask);
    }
    match group::change_group(request.server, &request.device.number, &group, &change) {
        Ok(concerned) if concerned.is_empty() && nobody.is_empty() => IqAnswer::empty(),
        Ok(concerned) => {
            IqAnswer::with_child(outcome_node(request, ask, &group, &concerned, &nobody))
        }
        Err(code) => refusal(code),
    }
}

/// Changes the description for another member, if a fault wants it.
fn outrun_description(request: &IqRequest<'_>, id: &GroupId) {
    let other = {
        let mut world = request.server.world.lock();
        let is_wanted = std::mem::take(&mut world.switches.outrun_description);
        let group = world.groups.get(id).filter(|_| is_wanted);
        group.and_then(|group| {
            let mut members = group.members.keys();
            members
                .find(|member| **member != request.device.number)
                .cloned()
        })
    };
    if let Some(other) = other {
        let change = GroupChange::Description(DescriptionChange {
            text: Some("sooner".to_owned()),
            ..DescriptionChange::default()
        });
        let _ = group::change_group(request.server, &other, id, &change);
    }
}

/// The answer to a request that is refused as a whole.
fn refusal(code: u16) -> IqAnswer {
    let text = match code {
        400 => "bad-request",
        401 => "not-authorized",
        404 => "item-not-found",
        405 => "not-allowed",
        406 => "not-acceptable",
        409 => "conflict",
        410 => "gone",
        419 => "resource-limit",
        _ => "forbidden",
    };
    IqAnswer::Error(code, text)
}

/// The group that a request is sent to.
fn addressed_group(request: &IqRequest<'_>) -> Option<GroupId> {
    let to = request.iq.attr_jid("to").filter(Jid::is_group)?;
    Some(to.user.as_str().into())
}

/// Removes the account from groups.
pub(crate) fn leave_groups(request: &IqRequest<'_>) -> IqAnswer {
    let Some(ask) = request.operation else {
        return IqAnswer::Error(400, "bad-request");
    };
    let mut left = Vec::new();
    for id in ask
        .children_named("group")
        .filter_map(|group| group.attr_text("id"))
    {
        let group = GroupId::from(id.split('@').next().unwrap_or_default());
        let node = NodeBuilder::new("group").attr("id", id.as_ref().to_owned());
        left.push(
            match group::change_group(
                request.server,
                &request.device.number,
                &group,
                &GroupChange::Leave,
            ) {
                Ok(_) => node.build(),
                Err(code) => node.attr("error", code.to_string()).build(),
            },
        );
    }
    IqAnswer::with_child(NodeBuilder::new("leave").children(left).build())
}

/// Reports the outcome of the change for each member.
fn outcome_node(
    request: &IqRequest<'_>,
    ask: &Node,
    group: &GroupId,
    concerned: &[MemberOutcome],
    nobody: &[Jid],
) -> Node {
    let nodes = outcome_nodes(request, group, concerned);
    let nodes = nodes.into_iter().chain(nobody.iter().map(refused_node));
    NodeBuilder::new_dynamic(ask.tag.to_string())
        .children(nodes.collect::<Vec<_>>())
        .build()
}

/// The members named by a change, each with the code of its refusal. Those who may not be added
/// come with an invite for them.
fn outcome_nodes(
    request: &IqRequest<'_>,
    group: &GroupId,
    concerned: &[MemberOutcome],
) -> Vec<Node> {
    let world = request.server.world.lock();
    let group = world.groups.get(group);
    let addressing = group.map_or(request.server.options.addressing, |group| group.addressing);
    let node_of = |(number, refused): &MemberOutcome| {
        let account = world.account(number)?;
        let mut node = NodeBuilder::new("participant").attr("jid", account.jid(addressing, 0));
        if addressing == Addressing::Lid {
            node = node.attr("phone_number", account.jid(Addressing::PhoneNumber, 0));
        }
        let Some(code) = refused else {
            return Some(node.build());
        };
        let node = node.attr("error", code.to_string());
        if *code == APPROVAL_NEEDED {
            let request = NodeBuilder::new("membership_approval_request").build();
            return Some(node.children([request]).build());
        }
        let invite = group
            .filter(|_| *code == FORBIDDEN)
            .and_then(|group| group.invites.get(number));
        let invite = invite.map(|invite| {
            NodeBuilder::new("add_request")
                .attr("code", invite.code.as_str())
                .attr("expiration", invite.expires.to_string())
                .build()
        });
        Some(match invite {
            Some(invite) => node.children([invite]).build(),
            None => node.build(),
        })
    };
    concerned.iter().filter_map(node_of).collect()
}

/// The node for a member without an account.
fn refused_node(jid: &Jid) -> Node {
    NodeBuilder::new("participant")
        .attr("jid", jid.clone())
        .attr("error", NO_SUCH_ACCOUNT.to_string())
        .build()
}

/// The people named by the `<participant>`s of a request.
struct NamedMembers {
    members: Vec<PhoneNumber>,
    /// Addresses without an account.
    unknown: Vec<Jid>,
}

fn named_members(request: &IqRequest<'_>, ask: &Node) -> NamedMembers {
    let world = request.server.world.lock();
    let mut people = NamedMembers {
        members: Vec::new(),
        unknown: Vec::new(),
    };
    for jid in ask
        .children_named("participant")
        .filter_map(|participant| participant.attr_jid("jid"))
    {
        match world.account_of(&jid) {
            Some(account) => people.members.push(account.number.clone()),
            None => people.unknown.push(jid),
        }
    }
    people
}

fn content_text(node: &Node) -> Option<String> {
    node.content_bytes()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}
