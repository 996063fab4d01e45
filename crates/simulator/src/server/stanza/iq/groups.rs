//! `w:g2`: requests of devices about groups, and changes to them.

use std::collections::BTreeMap;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt, Node, NodeContent};

use super::{IqAnswer, IqRequest};
use crate::model::group::{
    AuthoredText, DescriptionChange, FORBIDDEN, Group, GroupChange, GroupId, GroupRole,
    MemberOutcome, authored_text,
};
use crate::model::ids::PhoneNumber;
use crate::model::options::Addressing;
use crate::server::stanza::group::{self, group_node};
use crate::wire::{StanzaExt, unix_time};

/// The changes that a device may make to a group.
pub(crate) const GROUP_CHANGES: [&str; 14] = [
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
    match group.members.contains_key(&request.device.number) {
        true => IqAnswer::with_child(group_node(&world, group)),
        false => IqAnswer::Error(FORBIDDEN, "forbidden"),
    }
}

/// Creates a group in the account's name. New groups address their members by LID.
pub(crate) fn create_group(request: &IqRequest<'_>) -> IqAnswer {
    let Some((ask, subject)) = request
        .operation
        .and_then(|create| Some((create, create.attr_text("subject")?)))
    else {
        return IqAnswer::Error(400, "bad-request");
    };
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
    let mut group = new_group(&subject, &request.device.number, members, Addressing::Lid);
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
    group.parent = parent.map(|jid| jid.user.as_str().into());
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
    let id = group.id.clone();
    group::add_group(
        request.server,
        group,
        ask.attr_text("key").map(std::borrow::Cow::into_owned),
    );
    let world = request.server.world.lock();
    let Some(group) = world.groups.get(&id) else {
        return IqAnswer::Error(500, "internal-server-error");
    };
    let mut node = group_node(&world, group);
    if let Some(NodeContent::Nodes(children)) = &mut node.content {
        children.extend(nobody.iter().map(refused_node));
    }
    IqAnswer::with_child(node)
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
        community: None,
        parent: None,
        members_version: now * 1_000_000,
        announcement_version: now * 1_000_000,
        members,
    }
}

/// Changes a group in the account's name.
pub(crate) fn update_group(request: &IqRequest<'_>) -> IqAnswer {
    let group = request
        .iq
        .attr_jid("to")
        .filter(Jid::is_group)
        .map(|to| GroupId::from(to.user.as_str()));
    let (Some(group), Some(ask)) = (group, request.operation) else {
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
        _ => return IqAnswer::Unknown,
    };
    match group::change_group(request.server, &request.device.number, &group, &change) {
        Ok(concerned) if concerned.is_empty() && nobody.is_empty() => IqAnswer::empty(),
        Ok(concerned) => {
            IqAnswer::with_child(outcome_node(request, ask, &group, &concerned, &nobody))
        }
        Err(400) => IqAnswer::Error(400, "bad-request"),
        Err(404) => IqAnswer::Error(404, "item-not-found"),
        Err(409) => IqAnswer::Error(409, "conflict"),
        Err(code) => IqAnswer::Error(code, "forbidden"),
    }
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
    let world = request.server.world.lock();
    let addressing = world
        .groups
        .get(group)
        .map_or(request.server.options.addressing, |group| group.addressing);
    let nodes = concerned.iter().filter_map(|(number, refused)| {
        let node =
            NodeBuilder::new("participant").attr("jid", world.account(number)?.jid(addressing, 0));
        Some(match refused {
            Some(code) => node.attr("error", code.to_string()).build(),
            None => node.build(),
        })
    });
    let nodes = nodes.chain(nobody.iter().map(refused_node));
    NodeBuilder::new_dynamic(ask.tag.to_string())
        .children(nodes.collect::<Vec<_>>())
        .build()
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
