//! `w:g2`: invite links, personal invites, and requests to join.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeContent};

use super::super::{IqAnswer, IqRequest};
use super::{NamedMembers, addressed_group, named_members, outcome_nodes, refusal, refused_node};
use crate::model::group::{
    FORBIDDEN, GONE, Group, GroupId, JoinOutcome, NOT_ACCEPTABLE, NOT_ALLOWED, NOT_FOUND,
    RequestMethod,
};
use crate::model::options::Addressing;
use crate::server::stanza::group::{group_jid, group_node, joining};
use crate::server::world::World;
use crate::wire::StanzaExt;

const BAD_REQUEST: IqAnswer = IqAnswer::Error(400, "bad-request");

/// A group as somebody sees it who is not in it: without its members.
pub(crate) fn preview_node(world: &World, group: &Group) -> Node {
    let mut node = group_node(world, group);
    if let Some(NodeContent::Nodes(children)) = &mut node.content {
        children.retain(|child| child.tag != "participant");
    }
    node
}

/// Returns the invite link of a group, or describes the group behind a code.
pub(crate) fn get_invite(request: &IqRequest<'_>) -> IqAnswer {
    let own = &request.device.number;
    if let Some(id) = addressed_group(request).filter(|id| !id.is_empty()) {
        return match joining::invite_code(&request.server.world.lock(), own, &id) {
            Ok(code) => invite_answer(&code),
            Err(code) => refusal(code),
        };
    }
    let Some(code) = request.operation.and_then(|ask| ask.attr_text("code")) else {
        return BAD_REQUEST;
    };
    let world = request.server.world.lock();
    match find_by_code(&world, &code) {
        Ok(id) => match world.groups.get(&id) {
            Some(group) if group.removed.contains(own) => refusal(NOT_ALLOWED),
            Some(group) => IqAnswer::with_child(preview_node(&world, group)),
            None => refusal(NOT_FOUND),
        },
        Err(code) => refusal(code),
    }
}

/// Revokes the invite link of a group, or joins the group behind a code.
pub(crate) fn use_invite(request: &IqRequest<'_>) -> IqAnswer {
    let own = &request.device.number;
    if let Some(id) = addressed_group(request).filter(|id| !id.is_empty()) {
        return match joining::revoke_link(request.server, own, &id) {
            Ok(code) => invite_answer(&code),
            Err(code) => refusal(code),
        };
    }
    let Some(code) = request.operation.and_then(|ask| ask.attr_text("code")) else {
        return BAD_REQUEST;
    };
    let found = find_by_code(&request.server.world.lock(), &code);
    let joined = found.and_then(|id| {
        let outcome = joining::ask_to_join(request.server, own, &id, RequestMethod::InviteLink)?;
        Ok((id, outcome))
    });
    match joined {
        Ok((id, outcome)) => join_answer(&id, outcome),
        Err(code) => refusal(code),
    }
}

/// Takes a personal invite, which came in a message.
pub(crate) fn accept_invite(request: &IqRequest<'_>) -> IqAnswer {
    let code = request.operation.and_then(|ask| ask.attr_text("code"));
    let (Some(id), Some(code)) = (addressed_group(request), code) else {
        return BAD_REQUEST;
    };
    match joining::take_invite(request.server, &request.device.number, &id, &code) {
        Ok(()) => join_answer(&id, JoinOutcome::Joined),
        Err(code) => refusal(code),
    }
}

/// Lists the people who want to join, for admins.
pub(crate) fn list_requests(request: &IqRequest<'_>) -> IqAnswer {
    let world = request.server.world.lock();
    let Some(group) = addressed_group(request).and_then(|id| world.groups.get(&id)) else {
        return refusal(NOT_FOUND);
    };
    if !group.is_admin(&request.device.number) {
        return refusal(FORBIDDEN);
    }
    let requests = group.requests.iter().filter_map(|(number, wish)| {
        let account = world.account(number)?;
        let node = NodeBuilder::new("membership_approval_request")
            .attr("jid", account.jid(group.addressing, 0))
            .attr("phone_number", account.jid(Addressing::PhoneNumber, 0))
            .attr("request_method", wish.method.as_word())
            .attr("request_time", wish.at.to_string());
        Some(node.build())
    });
    let list = NodeBuilder::new("membership_approval_requests");
    IqAnswer::with_child(list.children(requests.collect::<Vec<_>>()).build())
}

/// Approves or rejects people who want to join.
pub(crate) fn decide_requests(request: &IqRequest<'_>) -> IqAnswer {
    let decision = request.operation.and_then(|ask| ask.children()?.first());
    let (Some(id), Some(decision)) = (addressed_group(request), decision) else {
        return BAD_REQUEST;
    };
    let approve = match &*decision.tag {
        "approve" => true,
        "reject" => false,
        _ => return IqAnswer::Unknown,
    };
    let NamedMembers { members, unknown } = named_members(request, decision);
    let own = &request.device.number;
    match joining::decide_requests(request.server, own, &id, &members, approve) {
        Ok(outcomes) => {
            let mut nodes = outcome_nodes(request, &id, &outcomes);
            nodes.extend(unknown.iter().map(refused_node));
            let inner = NodeBuilder::new_dynamic(decision.tag.to_string()).children(nodes);
            let outer = NodeBuilder::new("membership_requests_action");
            IqAnswer::with_child(outer.children([inner.build()]).build())
        }
        Err(code) => refusal(code),
    }
}

/// Withdraws the account's own request.
pub(crate) fn withdraw_request(request: &IqRequest<'_>) -> IqAnswer {
    let Some(id) = addressed_group(request) else {
        return BAD_REQUEST;
    };
    let own = &request.device.number;
    match joining::withdraw_request(request.server, own, &id) {
        Ok(()) => {
            let nodes = outcome_nodes(request, &id, &[(own.clone(), None)]);
            let answer = NodeBuilder::new("cancel_membership_requests").children(nodes);
            IqAnswer::with_child(answer.build())
        }
        Err(code) => refusal(code),
    }
}

fn invite_answer(code: &str) -> IqAnswer {
    IqAnswer::with_child(NodeBuilder::new("invite").attr("code", code).build())
}

pub(super) fn join_answer(id: &GroupId, outcome: JoinOutcome) -> IqAnswer {
    let tag = match outcome {
        JoinOutcome::Joined => "group",
        JoinOutcome::Pending => "membership_approval_request",
    };
    IqAnswer::with_child(NodeBuilder::new(tag).attr("jid", group_jid(id)).build())
}

/// Finds the group behind the code of an invite link.
fn find_by_code(world: &World, code: &str) -> Result<GroupId, u16> {
    let mut groups = world.groups.values();
    match groups.find(|group| group.invite_code == code) {
        Some(group) => Ok(group.id.clone()),
        None if world.revoked_codes.contains(code) => Err(GONE),
        None => Err(NOT_ACCEPTABLE),
    }
}
