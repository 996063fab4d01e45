//! `w:g2`: communities and their groups.

use std::collections::BTreeMap;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::super::{IqAnswer, IqRequest};
use super::joining::{join_answer, preview_node};
use super::{NamedMembers, addressed_group, named_members, outcome_nodes, refusal, refused_node};
use crate::model::group::{FORBIDDEN, GroupId, GroupRole, JoinOutcome, NOT_FOUND};
use crate::model::options::Addressing;
use crate::server::stanza::group::{community, group_jid, group_node};
use crate::wire::StanzaExt;

const BAD_REQUEST: IqAnswer = IqAnswer::Error(400, "bad-request");

/// Links groups to a community, each with a result of its own.
pub(crate) fn link_groups(request: &IqRequest<'_>) -> IqAnswer {
    let link = request.operation.and_then(|ask| ask.child("link"));
    let (Some(parent), Some(link)) = (addressed_group(request), link) else {
        return BAD_REQUEST;
    };
    let results = each_group(link, |id, _| {
        community::link_group(request.server, &request.device.number, &parent, id)
    });
    let link = NodeBuilder::new("link")
        .attr("link_type", "sub_group")
        .children(results);
    IqAnswer::with_child(NodeBuilder::new("links").children([link.build()]).build())
}

/// Unlinks groups from a community, each with a result of its own.
pub(crate) fn unlink_groups(request: &IqRequest<'_>) -> IqAnswer {
    let (Some(parent), Some(unlink)) = (addressed_group(request), request.operation) else {
        return BAD_REQUEST;
    };
    let results = each_group(unlink, |id, node| {
        let removes = node.attr_text("remove_orphaned_members").as_deref() == Some("true");
        let own = &request.device.number;
        community::unlink_group(request.server, own, &parent, id, removes)
    });
    let unlink = NodeBuilder::new("unlink")
        .attr("unlink_type", "sub_group")
        .children(results);
    IqAnswer::with_child(unlink.build())
}

fn each_group(list: &Node, mut act: impl FnMut(&GroupId, &Node) -> Result<(), u16>) -> Vec<Node> {
    let named = list.children_named("group");
    let one = |node: &Node| {
        let jid = node.attr_jid("jid")?;
        let result = NodeBuilder::new("group").attr("jid", jid.clone());
        Some(match act(&jid.user.as_str().into(), node) {
            Ok(()) => result.build(),
            Err(code) => result.attr("error", code.to_string()).build(),
        })
    };
    named.filter_map(one).collect()
}

/// Dissolves a community.
pub(crate) fn delete_community(request: &IqRequest<'_>) -> IqAnswer {
    let Some(parent) = addressed_group(request) else {
        return BAD_REQUEST;
    };
    match community::dissolve(request.server, &request.device.number, &parent) {
        Ok(()) => IqAnswer::empty(),
        Err(code) => refusal(code),
    }
}

/// Lists the groups of a community, for its members.
pub(crate) fn list_subgroups(request: &IqRequest<'_>) -> IqAnswer {
    let world = request.server.world.lock();
    let Some(parent) = addressed_group(request).and_then(|id| world.groups.get(&id)) else {
        return refusal(NOT_FOUND);
    };
    if !parent.members.contains_key(&request.device.number) {
        return refusal(FORBIDDEN);
    }
    let linked = community::groups_of(&world, &parent.id).into_iter();
    let nodes: Vec<_> = linked.map(community::short_node).collect();
    IqAnswer::with_child(NodeBuilder::new("sub_groups").children(nodes).build())
}

/// Describes one group of a community, for the members of the community.
pub(crate) fn get_subgroup(request: &IqRequest<'_>) -> IqAnswer {
    let world = request.server.world.lock();
    let asked = request.operation.and_then(|ask| ask.attr_jid("jid"));
    let parent = addressed_group(request).and_then(|id| world.groups.get(&id));
    let (Some(parent), Some(asked)) = (parent, asked) else {
        return refusal(NOT_FOUND);
    };
    let group = world.group_of(&asked);
    match group.filter(|group| group.parent.as_ref() == Some(&parent.id)) {
        _ if !parent.members.contains_key(&request.device.number) => refusal(FORBIDDEN),
        None => refusal(NOT_FOUND),
        Some(group) if group.members.contains_key(&request.device.number) => {
            linked_answer(&asked, group_node(&world, group))
        }
        Some(group) => linked_answer(&asked, preview_node(&world, group)),
    }
}

/// Lets the account into a group of its community.
pub(crate) fn join_subgroup(request: &IqRequest<'_>) -> IqAnswer {
    let asked = request.operation.and_then(|ask| ask.attr_jid("jid"));
    let (Some(parent), Some(asked)) = (addressed_group(request), asked) else {
        return BAD_REQUEST;
    };
    let id = GroupId::from(asked.user.as_str());
    match community::join_group(request.server, &request.device.number, &parent, &id) {
        Ok(JoinOutcome::Joined) => {
            let world = request.server.world.lock();
            match world.groups.get(&id) {
                Some(group) => linked_answer(&asked, group_node(&world, group)),
                None => refusal(NOT_FOUND),
            }
        }
        Ok(JoinOutcome::Pending) => join_answer(&id, JoinOutcome::Pending),
        Err(code) => refusal(code),
    }
}

fn linked_answer(jid: &Jid, group: Node) -> IqAnswer {
    let linked = NodeBuilder::new("linked_group").attr("jid", jid.clone());
    IqAnswer::with_child(linked.children([group]).build())
}

/// Lists everybody in the groups of a community, for its members.
pub(crate) fn list_everybody(request: &IqRequest<'_>) -> IqAnswer {
    let world = request.server.world.lock();
    let Some(parent) = addressed_group(request).and_then(|id| world.groups.get(&id)) else {
        return refusal(NOT_FOUND);
    };
    if !parent.members.contains_key(&request.device.number) {
        return refusal(FORBIDDEN);
    }
    let mut everybody: BTreeMap<_, GroupRole> = BTreeMap::new();
    for group in community::groups_of(&world, &parent.id)
        .into_iter()
        .chain([parent])
    {
        everybody.extend(group.members.clone());
    }
    let nodes = everybody.keys().filter_map(|number| {
        let account = world.account(number)?;
        let node = NodeBuilder::new("participant").attr("jid", account.jid(Addressing::Lid, 0));
        let number = account.jid(Addressing::PhoneNumber, 0);
        Some(node.attr("phone_number", number).build())
    });
    let list = NodeBuilder::new("linked_groups_participants");
    IqAnswer::with_child(list.children(nodes.collect::<Vec<_>>()).build())
}

/// Removes people from a community and all of its groups.
pub(super) fn remove_everywhere(request: &IqRequest<'_>, parent: &GroupId, ask: &Node) -> IqAnswer {
    let NamedMembers { members, unknown } = named_members(request, ask);
    let own = &request.device.number;
    match community::remove_everywhere(request.server, own, parent, &members) {
        Ok(outcomes) => {
            let mut nodes = outcome_nodes(request, parent, &outcomes);
            nodes.extend(unknown.iter().map(refused_node));
            IqAnswer::with_child(NodeBuilder::new("remove").children(nodes).build())
        }
        Err(code) => refusal(code),
    }
}

/// The address of a group in GraphQL.
pub(super) fn address(id: &GroupId) -> String {
    group_jid(id).to_string()
}
