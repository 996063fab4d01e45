//! `w:g2`: creation of groups and communities.

use std::collections::{BTreeMap, BTreeSet};

use wacore_binary::NodeContent;

use super::super::{IqAnswer, IqRequest};
use super::{
    NamedMembers, content_text, expiration_seconds, is_approval_on, is_community, named_members,
    outcome_nodes, refusal, refused_node,
};
use crate::model::group::{
    AuthoredText, CommunityPart, Group, GroupChange, GroupFlag, GroupId, GroupRole, NOT_ACCEPTABLE,
    SUBJECT_LIMIT, authored_text, new_invite_code,
};
use crate::model::ids::PhoneNumber;
use crate::model::options::Addressing;
use crate::server::stanza::group::{self, group_node};
use crate::wire::{StanzaExt, unix_time};

/// Creates a group in the account's name. New groups address their members by LID.
pub(crate) fn create_group(request: &IqRequest<'_>) -> IqAnswer {
    let Some((ask, subject)) = request
        .operation
        .and_then(|create| Some((create, create.attr_text("subject")?)))
    else {
        return IqAnswer::Error(400, "bad-request");
    };
    if subject.chars().count() > SUBJECT_LIMIT || subject.is_empty() {
        return refusal(NOT_ACCEPTABLE);
    }
    let NamedMembers {
        members,
        unknown: nobody,
    } = named_members(request, ask);
    let parent = ask
        .child("linked_parent")
        .and_then(|parent| parent.attr_jid("jid"));
    if parent
        .as_ref()
        .is_some_and(|jid| !is_community(request, jid))
    {
        return IqAnswer::Error(404, "item-not-found");
    }
    let Some(timer) = ask.child("ephemeral").map_or(Some(0), expiration_seconds) else {
        return IqAnswer::Error(400, "bad-request");
    };
    let own = &request.device.number;
    let mut group = new_group(&subject, own, members, Addressing::Lid);
    let refused = group::refuse_members(&request.server.world.lock(), &mut group);
    let description = ask
        .child("description")
        .and_then(|node| Some((node, node.child("body").and_then(content_text)?)));
    if let Some((node, text)) = description {
        let description = authored_text(&text, &request.device.number, group.created);
        let id = node
            .attr_text("id")
            .map_or(description.id, std::borrow::Cow::into_owned);
        group.description = Some(AuthoredText { id, ..description });
    }
    group.announcement = ask.child("announcement").is_some();
    group.locked = ask.child("locked").is_some();
    group.approval = ask
        .child("membership_approval_mode")
        .is_some_and(is_approval_on);
    group.all_add = ask
        .child("member_add_mode")
        .is_none_or(|mode| content_text(mode).as_deref() == Some(group::ALL_ADD));
    group.community = ask.child("parent").map(|parent| {
        parent
            .attr_text("default_membership_approval_mode")
            .unwrap_or_default()
            .into_owned()
    });
    let link_mode = ask.child("member_link_mode").and_then(content_text);
    group.all_link = link_mode.as_deref() == Some("all_member_link");
    let parent: Option<GroupId> = parent.map(|jid| jid.user.as_str().into());
    if ask.child("allow_non_admin_sub_group_creation").is_some() {
        group.flags.insert(GroupFlag::MembersCreateGroups);
    }
    // Invalid timers are refused here as in any other change.
    if group
        .apply_change(
            &request.device.number,
            &GroupChange::Timer(timer),
            group.created,
        )
        .is_err()
    {
        return IqAnswer::Error(400, "bad-request");
    }
    if let Some(parent) = &parent {
        let entry = group::community::check_link(&request.server.world.lock(), own, parent);
        match entry {
            Ok(entry) => entry.apply_to(&mut group),
            Err(code) => return refusal(code),
        }
    }
    let id = group.id.clone();
    let key = ask.attr_text("key").map(std::borrow::Cow::into_owned);
    if group.community.is_some() {
        let announcements = new_group(&subject, own, Vec::new(), Addressing::Lid);
        let general = ask
            .child("create_general_chat")
            .map(|_| new_group("General", own, Vec::new(), Addressing::Lid));
        group::community::add_community(request.server, group, key, general, announcements);
    } else {
        group::add_group(request.server, group, key);
    }
    if let Some(parent) = parent {
        group::community::announce_link(request.server, own, &parent, &id);
    }
    let refused = outcome_nodes(request, &id, &refused);
    let world = request.server.world.lock();
    let Some(group) = world.groups.get(&id) else {
        return IqAnswer::Error(500, "internal-server-error");
    };
    let mut node = group_node(&world, group);
    if let Some(NodeContent::Nodes(children)) = &mut node.content {
        children.extend(refused);
        children.extend(nobody.iter().map(refused_node));
    }
    IqAnswer::with_child(node)
}

/// Builds a group with a new id; it is not in the world yet.
pub(crate) fn new_group(
    subject: &str,
    by: &PhoneNumber,
    others: Vec<PhoneNumber>,
    addressing: Addressing,
) -> Group {
    let now = unix_time();
    let mut members: BTreeMap<PhoneNumber, GroupRole> = others
        .into_iter()
        .map(|number| (number, GroupRole::Member))
        .collect();
    members.insert(by.clone(), GroupRole::SuperAdmin);
    let id: GroupId = format!("120363{:012}", rand::random_range(0..1_000_000_000_000_u64)).into();
    let (announcement, locked) = (false, false);
    let subject = authored_text(subject, by, now);
    Group {
        id,
        addressing,
        subject,
        description: None,
        creator: by.clone(),
        created: now,
        announcement,
        locked,
        timer: 0,
        approval: false,
        all_add: true,
        all_link: false,
        all_share: false,
        flags: BTreeSet::new(),
        invite_code: new_invite_code(),
        requests: BTreeMap::new(),
        invites: BTreeMap::new(),
        removed: BTreeSet::new(),
        departures: BTreeMap::new(),
        community: None,
        parent: None,
        part: CommunityPart::Joined,
        members_version: now * 1_000_000,
        announcement_version: now * 1_000_000,
        members,
    }
}
