//! Stored queries of WhatsApp's GraphQL about groups: settings, and the groups of a community.

use serde_json::{Value, json};
use wacore_binary::Jid;

use super::super::IqRequest;
use super::community::address;
use crate::model::group::{
    BAD_REQUEST, CommunityPart, FORBIDDEN, Group, GroupChange, GroupFlag, GroupId, NOT_FOUND,
};
use crate::server::stanza::group::{self, community};
use crate::server::world::World;

/// Changes a setting of a group.
pub(crate) fn update_property(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    let id = read_group(&variables["group_id"]).ok_or(BAD_REQUEST)?;
    let update = &variables["update"];
    let is = |name: &str, yes: &str, no: &str| match update[name].as_str() {
        Some(word) if word == yes => Some(true),
        Some(word) if word == no => Some(false),
        _ => None,
    };
    let link = is("member_link_mode", "ALL_MEMBER_LINK", "ADMIN_LINK");
    let share = is(
        "member_share_group_history_mode",
        "ALL_MEMBER_SHARE",
        "ADMIN_SHARE",
    );
    let limit = update["limit_sharing"]["limit_sharing_enabled"].as_bool();
    let change = link
        .map(GroupChange::AllLink)
        .or(share.map(GroupChange::AllShare))
        .or(limit.map(|on| GroupChange::Flag(GroupFlag::LimitSharing, on)))
        .ok_or(BAD_REQUEST)?;
    group::change_group(request.server, &request.device.number, &id, &change)?;
    Ok(json!({"id": address(&id), "state": "ACTIVE"}))
}

/// Lists the groups of a community.
pub(crate) fn list_subgroups(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    let world = request.server.world.lock();
    let parent = find_community(request, &world, &variables["group_id"])?;
    let linked = community::groups_of(&world, &parent.id);
    let (default, others): (Vec<&Group>, Vec<&Group>) = linked
        .into_iter()
        .partition(|group| group.part == CommunityPart::Announcements);
    let edges: Vec<_> = others
        .into_iter()
        .map(|group| json!({"node": describe(group)}))
        .collect();
    Ok(json!({
        "id": address(&parent.id),
        "default_sub_group": default.first().map(|group| describe(group)),
        "sub_groups": {"edges": edges},
    }))
}

/// Counts the members of each group of a community.
pub(crate) fn count_members(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    let world = request.server.world.lock();
    let parent = find_community(request, &world, &variables["input"]["group_jid"])?;
    let linked = community::groups_of(&world, &parent.id).into_iter();
    let edges: Vec<_> = linked
        .map(|group| json!({"node": describe(group)}))
        .collect();
    Ok(json!({"id": address(&parent.id), "sub_groups": {"edges": edges}}))
}

fn read_group(address: &Value) -> Option<GroupId> {
    let jid: Jid = address.as_str()?.parse().ok()?;
    Some(jid.user.as_str().into())
}

fn find_community<'a>(
    request: &IqRequest<'_>,
    world: &'a World,
    address: &Value,
) -> Result<&'a Group, u16> {
    let id = read_group(address).ok_or(BAD_REQUEST)?;
    let parent = world.groups.get(&id).ok_or(NOT_FOUND)?;
    match parent.members.contains_key(&request.device.number) {
        true => Ok(parent),
        false => Err(FORBIDDEN),
    }
}

fn describe(group: &Group) -> Value {
    let general = if group.part == CommunityPart::General {
        "1"
    } else {
        "0"
    };
    json!({
        "id": address(&group.id),
        "subject": {"value": group.subject.text, "creation_time": group.created.to_string()},
        "total_participants_count": group.members.len(),
        "properties": {"general_chat": general},
    })
}
