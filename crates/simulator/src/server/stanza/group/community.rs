//! Communities: a group of groups. Its members are in the group of announcements, too.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::joining::tell_joined;
use super::{add_group, change_group, group_jid, linked_devices, notify_devices};
use crate::model::group::{
    CONFLICT, CommunityPart, FORBIDDEN, Group, GroupChange, GroupFlag, GroupId, JoinOutcome,
    MemberOutcome, NOT_FOUND, RequestMethod,
};
use crate::model::ids::PhoneNumber;
use crate::server::Server;
use crate::server::world::World;

/// How people join the groups of a community with approval, in WhatsApp's words.
const BY_REQUEST: &str = "request_required";

/// The groups of a community, the one of announcements first.
pub(crate) fn groups_of<'a>(world: &'a World, community: &GroupId) -> Vec<&'a Group> {
    let mut linked: Vec<_> = world
        .groups
        .values()
        .filter(|group| group.parent.as_ref() == Some(community))
        .collect();
    linked.sort_by_key(|group| (group.part != CommunityPart::Announcements, group.created));
    linked
}

/// Returns a community that this account is in.
fn community_of<'a>(
    world: &'a World,
    number: &PhoneNumber,
    id: &GroupId,
) -> Result<&'a Group, u16> {
    let community = world.groups.get(id).ok_or(NOT_FOUND)?;
    let is_one = community.community.is_some();
    match community.members.contains_key(number) {
        true if is_one => Ok(community),
        true => Err(NOT_FOUND),
        false => Err(FORBIDDEN),
    }
}

/// Adds a new community with its group of announcements, and a general chat if it is to have one.
pub(crate) fn add_community(
    server: &Server,
    community: Group,
    key: Option<String>,
    general: Option<Group>,
    announcements: Group,
) {
    let id = community.id.clone();
    add_group(server, community, key);
    for (group, part) in general
        .map(|group| (group, CommunityPart::General))
        .into_iter()
        .chain([(announcements, CommunityPart::Announcements)])
    {
        let group = Group {
            parent: Some(id.clone()),
            part,
            announcement: part == CommunityPart::Announcements,
            ..group
        };
        add_group(server, group, None);
    }
}

/// Makes a group part of a community. Its members become members of the community.
pub(crate) fn link_group(
    server: &Server,
    by: &PhoneNumber,
    community: &GroupId,
    id: &GroupId,
) -> Result<(), u16> {
    {
        let mut world = server.world.lock();
        let entry = check_link(&world, by, community)?;
        let group = world.groups.get_mut(id).ok_or(NOT_FOUND)?;
        if !group.is_admin(by) {
            return Err(FORBIDDEN);
        }
        if group.parent.is_some() || group.community.is_some() {
            return Err(CONFLICT);
        }
        entry.apply_to(group);
    }
    announce_link(server, by, community, id);
    Ok(())
}

/// A community that this account may add a group to.
pub(crate) struct CommunityEntry {
    community: GroupId,
    by_request: bool,
}

impl CommunityEntry {
    /// Makes the group one of the community.
    pub(crate) fn apply_to(&self, group: &mut Group) {
        group.parent = Some(self.community.clone());
        group.approval |= self.by_request;
    }
}

/// Returns the community, if this account may add a group to it.
pub(crate) fn check_link(
    world: &World,
    by: &PhoneNumber,
    community: &GroupId,
) -> Result<CommunityEntry, u16> {
    let parent = community_of(world, by, community)?;
    if !parent.is_admin(by) && !parent.flags.contains(&GroupFlag::MembersCreateGroups) {
        return Err(FORBIDDEN);
    }
    Ok(CommunityEntry {
        community: community.clone(),
        by_request: parent.community.as_deref() == Some(BY_REQUEST),
    })
}

/// Notifies of a new group of a community, whose members it takes in.
pub(crate) fn announce_link(server: &Server, by: &PhoneNumber, community: &GroupId, id: &GroupId) {
    let members: Vec<_> = {
        let world = server.world.lock();
        let group = world.groups.get(id);
        group.map_or_else(Vec::new, |group| group.members.keys().cloned().collect())
    };
    tell_linked(server, by, community, id, None);
    for number in members {
        enter_community(server, by, community, &number);
    }
    server.changed.notify_waiters();
}

/// Takes a group out of a community. Its members stay in the community, except, where that is
/// wanted, those who are in no other group of it.
pub(crate) fn unlink_group(
    server: &Server,
    by: &PhoneNumber,
    community: &GroupId,
    id: &GroupId,
    removes_orphans: bool,
) -> Result<(), u16> {
    let mut world = server.world.lock();
    let parent = community_of(&world, by, community)?;
    if !parent.is_admin(by) {
        return Err(FORBIDDEN);
    }
    let group = world.groups.get(id).ok_or(NOT_FOUND)?;
    if group.parent.as_ref() != Some(community) || group.part != CommunityPart::Joined {
        return Err(NOT_FOUND);
    }
    let members: Vec<_> = group.members.keys().cloned().collect();
    if let Some(group) = world.groups.get_mut(id) {
        group.parent = None;
    }
    let elsewhere = |number: &PhoneNumber| {
        let mut others = groups_of(&world, community).into_iter();
        others
            .any(|other| other.part == CommunityPart::Joined && other.members.contains_key(number))
    };
    let orphans: Vec<_> = members
        .into_iter()
        .filter(|number| removes_orphans && number != by && !elsewhere(number))
        .collect();
    drop(world);
    tell_linked(server, by, community, id, Some("unlink_group"));
    if !orphans.is_empty() {
        remove_everywhere(server, by, community, &orphans)?;
    }
    server.changed.notify_waiters();
    Ok(())
}

/// Dissolves a community: its groups go on without it, except the one of announcements.
pub(crate) fn dissolve(server: &Server, by: &PhoneNumber, community: &GroupId) -> Result<(), u16> {
    let mut world = server.world.lock();
    let parent = community_of(&world, by, community)?.clone();
    if !parent.is_admin(by) {
        return Err(FORBIDDEN);
    }
    let linked: Vec<Group> = groups_of(&world, community).into_iter().cloned().collect();
    let (ending, staying): (Vec<Group>, Vec<Group>) = linked
        .into_iter()
        .partition(|group| group.part == CommunityPart::Announcements);
    drop(world);
    for group in &staying {
        tell_linked(server, by, community, &group.id, Some("delete_parent"));
        let mut world = server.world.lock();
        if let Some(group) = world.groups.get_mut(&group.id) {
            (group.parent, group.part) = (None, CommunityPart::Joined);
        }
    }
    for group in ending.iter().chain([&parent]) {
        world = server.world.lock();
        world.groups.remove(&group.id);
        let devices = linked_devices(&world, group.members.keys());
        drop(world);
        let news = NodeBuilder::new("delete").attr("reason", "delete_parent");
        notify_devices(server, group, by, &devices, news.build());
    }
    server.changed.notify_waiters();
    Ok(())
}

/// Lets a member of a community into one of its groups.
pub(crate) fn join_group(
    server: &Server,
    number: &PhoneNumber,
    community: &GroupId,
    id: &GroupId,
) -> Result<JoinOutcome, u16> {
    {
        let world = server.world.lock();
        community_of(&world, number, community)?;
        let group = world.groups.get(id).ok_or(NOT_FOUND)?;
        if group.parent.as_ref() != Some(community) {
            return Err(NOT_FOUND);
        }
    }
    super::joining::ask_to_join(server, number, id, RequestMethod::LinkedGroupJoin)
}

/// Removes people from a community and all of its groups.
pub(crate) fn remove_everywhere(
    server: &Server,
    by: &PhoneNumber,
    community: &GroupId,
    numbers: &[PhoneNumber],
) -> Result<Vec<MemberOutcome>, u16> {
    let linked: Vec<GroupId> = {
        let world = server.world.lock();
        community_of(&world, by, community)?;
        let linked = groups_of(&world, community).into_iter();
        linked.map(|group| group.id.clone()).collect()
    };
    let change = GroupChange::Remove(numbers.to_vec());
    let outcomes = change_group(server, by, community, &change)?;
    let gone: Vec<_> = outcomes
        .iter()
        .filter(|(_, refused)| refused.is_none())
        .map(|(number, _)| number.clone())
        .collect();
    for id in linked {
        // Admins of the community are admins of its groups in this respect.
        let acting = {
            let world = server.world.lock();
            let group = world.groups.get(&id);
            let admin = group.and_then(|group| {
                let mut members = group.members.keys();
                members.find(|number| group.is_admin(number)).cloned()
            });
            admin.unwrap_or_else(|| by.clone())
        };
        let _ = change_group(server, &acting, &id, &GroupChange::Remove(gone.clone()));
    }
    Ok(outcomes)
}

/// Makes somebody a member of a community and its group of announcements.
pub(crate) fn enter_community(
    server: &Server,
    by: &PhoneNumber,
    community: &GroupId,
    number: &PhoneNumber,
) {
    let ids: Vec<GroupId> = {
        let world = server.world.lock();
        let linked = groups_of(&world, community).into_iter();
        let everybody = linked.filter(|group| group.part != CommunityPart::Joined);
        let everybody = everybody.map(|group| group.id.clone());
        std::iter::once(community.clone())
            .chain(everybody)
            .collect()
    };
    for id in ids {
        let mut world = server.world.lock();
        let Some(group) = world.groups.get_mut(&id) else {
            continue;
        };
        if group.join(number).is_err() {
            continue;
        }
        group.members_version += 1;
        let group = group.clone();
        drop(world);
        tell_joined(server, &group, by, number, Some("linked_group_join"));
    }
}

/// Tells the members of a community and of its group that they belong together, or no longer do
/// and why.
fn tell_linked(
    server: &Server,
    by: &PhoneNumber,
    community: &GroupId,
    id: &GroupId,
    unlinked: Option<&'static str>,
) {
    let world = server.world.lock();
    let (Some(parent), Some(group)) = (world.groups.get(community), world.groups.get(id)) else {
        return;
    };
    let (parent, group) = (parent.clone(), group.clone());
    let parents = linked_devices(&world, parent.members.keys());
    let members = linked_devices(&world, group.members.keys());
    drop(world);
    let news = |kind: &'static str, other: &Group| {
        let node = match unlinked {
            None => NodeBuilder::new("link").attr("link_type", kind),
            Some(reason) => NodeBuilder::new("unlink")
                .attr("unlink_type", kind)
                .attr("unlink_reason", reason),
        };
        node.children([short_node(other)]).build()
    };
    notify_devices(server, &parent, by, &parents, news("sub_group", &group));
    notify_devices(server, &group, by, &members, news("parent_group", &parent));
}

/// A group in a list, with little more than its name.
pub(crate) fn short_node(group: &Group) -> Node {
    let mut node = NodeBuilder::new("group")
        .attr("jid", group_jid(&group.id))
        .attr("id", &*group.id)
        .attr("subject", group.subject.text.as_str())
        .attr("s_t", group.subject.at.to_string())
        .attr("size", group.members.len().to_string());
    if group.part == CommunityPart::Announcements {
        node = node.children([NodeBuilder::new("default_sub_group").build()]);
    }
    node.build()
}
