//! Stanzas that describe groups and changes to them.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::group_jid;
use crate::model::group::{AuthoredText, CommunityPart, Group, GroupChange, GroupFlag, GroupRole};
use crate::model::ids::PhoneNumber;
use crate::model::options::Addressing;
use crate::server::stanza::messages::group_message::addressing_mode;
use crate::server::world::{Account, World};
use crate::wire::{leaf_node, unix_time};

/// The two modes of adding members, in WhatsApp's words.
pub(crate) const ALL_ADD: &str = "all_member_add";
const ADMINS_ADD: &str = "admin_add";

/// Describes a group as `<group>`, with everything a member may know.
pub(crate) fn group_node(world: &World, group: &Group) -> Node {
    let who = |number: &PhoneNumber| {
        world
            .account(number)
            .map(|account| account.jid(group.addressing, 0))
    };
    let number = |number: &PhoneNumber| {
        world
            .account(number)
            .map(|account| account.jid(Addressing::PhoneNumber, 0))
    };
    let mut children: Vec<Node> = group
        .members
        .iter()
        .filter_map(|(number, role)| Some(member_node(group, world.account(number)?, *role)))
        .collect();
    if let Some(description) = &group.description {
        children.push(description_node(world, group, description));
    }
    if group.announcement {
        children.push(NodeBuilder::new("announcement").build());
    }
    if group.locked {
        children.push(NodeBuilder::new("locked").build());
    }
    if group.timer > 0 {
        children.push(timer_node(group.timer));
    }
    if group.approval {
        children.push(approval_node(true));
    }
    children.push(add_mode_node(group.all_add));
    children.push(link_mode_node(group.all_link));
    children.push(share_mode_node(group.all_share));
    children.extend(group.flags.iter().map(|flag| flag_node(*flag, true)));
    match group.part {
        CommunityPart::Joined => {}
        CommunityPart::Announcements => {
            children.push(NodeBuilder::new("default_sub_group").build());
        }
        CommunityPart::General => children.push(NodeBuilder::new("general_chat").build()),
    }
    if let Some(mode) = &group.community {
        let parent = NodeBuilder::new("parent");
        children.push(match mode.as_str() {
            "" => parent.build(),
            mode => parent
                .attr("default_membership_approval_mode", mode)
                .build(),
        });
    }
    if let Some(parent) = &group.parent {
        children.push(
            NodeBuilder::new("linked_parent")
                .attr("jid", group_jid(parent))
                .build(),
        );
    }
    // Strictly typed clients expect plain text here, not an address.
    let mut node = NodeBuilder::new("group")
        .attr("id", &*group.id)
        .attr("subject", group.subject.text.as_str())
        .attr("s_t", group.subject.at.to_string())
        .attr("creation", group.created.to_string())
        .attr("addressing_mode", addressing_mode(group.addressing))
        .attr("p_v_id", group.members_version.to_string())
        .attr("a_v_id", group.announcement_version.to_string())
        .attr("size", group.members.len().to_string());
    for (name, jid) in [
        ("creator", who(&group.creator)),
        ("s_o", who(&group.subject.by)),
    ] {
        if let Some(jid) = jid {
            node = node.attr(name, jid);
        }
    }
    if group.addressing == Addressing::Lid {
        for (name, jid) in [
            ("creator_pn", number(&group.creator)),
            ("s_o_pn", number(&group.subject.by)),
        ] {
            if let Some(jid) = jid {
                node = node.attr(name, jid);
            }
        }
    }
    node.children(children).build()
}

pub(super) fn member_node(group: &Group, account: &Account, role: GroupRole) -> Node {
    let mut node = NodeBuilder::new("participant").attr("jid", account.jid(group.addressing, 0));
    node = match group.addressing {
        Addressing::Lid => node.attr("phone_number", account.jid(Addressing::PhoneNumber, 0)),
        Addressing::PhoneNumber => node.attr("lid", account.jid(Addressing::Lid, 0)),
    };
    if let Some(username) = &account.profile.username {
        node = node.attr("username", username.as_str());
    }
    match role.type_attribute() {
        Some(role) => node.attr("type", role).build(),
        None => node.build(),
    }
}

fn description_node(world: &World, group: &Group, description: &AuthoredText) -> Node {
    let mut node = NodeBuilder::new("description").attr("id", description.id.as_str());
    if let Some(account) = world.account(&description.by) {
        node = node.attr("participant", account.jid(group.addressing, 0));
    }
    let body = leaf_node("body", description.text.as_bytes());
    node.attr("t", description.at.to_string())
        .children([body])
        .build()
}

pub(super) fn create_node(world: &World, group: &Group, kind: Option<&'static str>) -> Node {
    let mut create = NodeBuilder::new("create").attr("key", hex::encode(rand::random::<[u8; 8]>()));
    if let Some(kind) = kind {
        create = create.attr("type", kind);
    }
    create.children([group_node(world, group)]).build()
}

/// Builds the child of a notification that describes the change.
pub(super) fn change_node(
    world: &World,
    group: &Group,
    change: &GroupChange,
    changed: &[PhoneNumber],
) -> Node {
    let members = |tag: &'static str, role: GroupRole| {
        let nodes = changed
            .iter()
            .filter_map(|number| Some(member_node(group, world.account(number)?, role)));
        NodeBuilder::new(tag)
            .attr("v_id", group.members_version.to_string())
            .attr(
                "prev_v_id",
                group.members_version.saturating_sub(1).to_string(),
            )
            .children(nodes.collect::<Vec<_>>())
            .build()
    };
    let flag = |on: bool, yes: &'static str, no: &'static str| {
        NodeBuilder::new(if on { yes } else { no }).build()
    };
    match change {
        GroupChange::Add(_) => members("add", GroupRole::Member),
        GroupChange::Remove(_) | GroupChange::Leave => members("remove", GroupRole::Member),
        GroupChange::Promote(_) => members("promote", GroupRole::Admin),
        GroupChange::Demote(_) => members("demote", GroupRole::Member),
        GroupChange::Subject(subject) => {
            let node = NodeBuilder::new("subject").attr("subject", subject.as_str());
            let node = node.attr("s_t", group.subject.at.to_string());
            match world.account(&group.subject.by) {
                Some(account) => node.attr("s_o", account.jid(group.addressing, 0)).build(),
                None => node.build(),
            }
        }
        GroupChange::Description(described) => match &group.description {
            Some(description) => description_node(world, group, description),
            None => {
                let id = described
                    .id
                    .clone()
                    .unwrap_or_else(|| hex::encode_upper(rand::random::<[u8; 8]>()));
                let node = NodeBuilder::new("description").attr("id", id);
                node.children([NodeBuilder::new("delete").build()]).build()
            }
        },
        GroupChange::Announcement(on) => {
            let mut node = flag(*on, "announcement", "not_announcement");
            node.attrs
                .insert("v_id", group.announcement_version.to_string());
            node
        }
        GroupChange::Approval(on) => approval_node(*on),
        GroupChange::AllAdd(on) => add_mode_node(*on),
        GroupChange::AllLink(on) => link_mode_node(*on),
        GroupChange::AllShare(on) => share_mode_node(*on),
        GroupChange::Flag(kind, on) => flag_node(*kind, *on),
        GroupChange::Locked(on) => flag(*on, "locked", "unlocked"),
        GroupChange::Timer(0) => NodeBuilder::new("not_ephemeral").build(),
        GroupChange::Timer(seconds) => timer_node(*seconds),
    }
}

fn approval_node(on: bool) -> Node {
    let join = NodeBuilder::new("group_join")
        .attr("state", if on { "on" } else { "off" })
        .build();
    NodeBuilder::new("membership_approval_mode")
        .children([join])
        .build()
}

/// The tag that says whether a setting is on.
const fn flag_tag(flag: GroupFlag, on: bool) -> &'static str {
    match (flag, on) {
        (GroupFlag::NoFrequentlyForwarded, true) => "no_frequently_forwarded",
        (GroupFlag::NoFrequentlyForwarded, false) => "frequently_forwarded_ok",
        (GroupFlag::AdminReports, true) => "allow_admin_reports",
        (GroupFlag::AdminReports, false) => "not_allow_admin_reports",
        (GroupFlag::History, true) => "group_history",
        (GroupFlag::History, false) => "no_group_history",
        (GroupFlag::LimitSharing, true) => "limit_sharing_enabled",
        (GroupFlag::LimitSharing, false) => "limit_sharing_disabled",
        (GroupFlag::MembersCreateGroups, true) => "allow_non_admin_sub_group_creation",
        (GroupFlag::MembersCreateGroups, false) => "not_allow_non_admin_sub_group_creation",
        (GroupFlag::Suspended, true) => "suspended",
        (GroupFlag::Suspended, false) => "unsuspended",
        (GroupFlag::GrowthLocked, true) => "growth_locked",
        (GroupFlag::GrowthLocked, false) => "growth_unlocked",
    }
}

/// Returns the setting that a tag turns on or off.
pub(crate) fn parse_flag(tag: &str) -> Option<(GroupFlag, bool)> {
    let changeable = [
        GroupFlag::NoFrequentlyForwarded,
        GroupFlag::AdminReports,
        GroupFlag::History,
        GroupFlag::MembersCreateGroups,
    ];
    let states = changeable
        .into_iter()
        .flat_map(|flag| [(flag, true), (flag, false)]);
    let mut states = states.filter(|(flag, on)| flag_tag(*flag, *on) == tag);
    states.next()
}

fn flag_node(flag: GroupFlag, on: bool) -> Node {
    let node = NodeBuilder::new(flag_tag(flag, on));
    match (flag, on) {
        (GroupFlag::GrowthLocked, true) => {
            let end = unix_time() + 86_400;
            node.attr("type", "invite")
                .attr("expiration", end.to_string())
                .build()
        }
        _ => node.build(),
    }
}

fn link_mode_node(all: bool) -> Node {
    let mode = if all { "all_member_link" } else { "admin_link" };
    leaf_node("member_link_mode", mode.as_bytes())
}

fn share_mode_node(all: bool) -> Node {
    let mode = if all {
        "all_member_share"
    } else {
        "admin_share"
    };
    leaf_node("member_share_group_history_mode", mode.as_bytes())
}

fn add_mode_node(all: bool) -> Node {
    leaf_node(
        "member_add_mode",
        if all { ALL_ADD } else { ADMINS_ADD }.as_bytes(),
    )
}

fn timer_node(seconds: u32) -> Node {
    NodeBuilder::new("ephemeral")
        .attr("expiration", seconds.to_string())
        .build()
}
