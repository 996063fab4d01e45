//! `w:g2`: requests of devices about groups, and changes to them.

use std::collections::BTreeMap;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt, Node, NodeContent};

use super::{Answer, Request};
use crate::Addressing;
use crate::group::{Change, Concerned, Described, FORBIDDEN, Group, GroupId, Role, Signed, signed};
use crate::stanza::group::{self, described};
use crate::stanza::{Stanza, unix_time};
use crate::world::Number;

/// The changes that a device may make to a group.
pub(super) const CHANGES: [&str; 14] = [
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
const NOBODY: u16 = 404;

/// Lists the groups of the account, always with members and description, which all clients request.
pub(super) fn participating(request: &Request<'_>) -> Answer {
    let world = request.server.world.lock();
    let of_mine = world
        .groups
        .values()
        .filter(|group| group.members.contains_key(&request.device.number));
    let groups = of_mine
        .map(|group| described(&world, group))
        .collect::<Vec<_>>();
    Answer::one(NodeBuilder::new("groups").children(groups).build())
}

/// Describes one group, to its members only.
pub(super) fn query(request: &Request<'_>) -> Answer {
    let world = request.server.world.lock();
    let Some(group) = request.iq.jid("to").and_then(|to| world.group_of(&to)) else {
        return Answer::Error(404, "item-not-found");
    };
    match group.members.contains_key(&request.device.number) {
        true => Answer::one(described(&world, group)),
        false => Answer::Error(FORBIDDEN, "forbidden"),
    }
}

/// Creates a group in the account's name. New groups address their members by LID.
pub(super) fn create(request: &Request<'_>) -> Answer {
    let Some((ask, subject)) = request
        .ask
        .and_then(|create| Some((create, create.word("subject")?)))
    else {
        return Answer::Error(400, "bad-request");
    };
    let People { members, nobody } = people(request, ask);
    let parent = ask
        .child("linked_parent")
        .and_then(|parent| parent.jid("jid"));
    if parent
        .as_ref()
        .is_some_and(|jid| !is_community(request, jid))
    {
        return Answer::Error(404, "item-not-found");
    }
    let Some(timer) = ask.child("ephemeral").map_or(Some(0), expiration) else {
        return Answer::Error(400, "bad-request");
    };
    let mut group = found(&subject, &request.device.number, members, Addressing::Lid);
    let description = ask
        .child("description")
        .and_then(|node| Some((node, node.child("body").and_then(text)?)));
    if let Some((node, text)) = description {
        let description = signed(&text, &request.device.number, group.created);
        let id = node
            .word("id")
            .map_or(description.id, std::borrow::Cow::into_owned);
        group.description = Some(Signed { id, ..description });
    }
    group.announcement = ask.child("announcement").is_some();
    group.locked = ask.child("locked").is_some();
    group.approval = ask.child("membership_approval_mode").is_some_and(is_on);
    group.all_add = ask
        .child("member_add_mode")
        .is_none_or(|mode| text(mode).as_deref() == Some(group::ALL_ADD));
    group.community = ask.child("parent").map(|parent| {
        parent
            .word("default_membership_approval_mode")
            .unwrap_or_default()
            .into_owned()
    });
    group.parent = parent.map(|jid| jid.user.as_str().into());
    // Invalid timers are refused here as in any other change.
    if group
        .apply(&request.device.number, &Change::Timer(timer), group.created)
        .is_err()
    {
        return Answer::Error(400, "bad-request");
    }
    let id = group.id.clone();
    group::create(
        request.server,
        group,
        ask.word("key").map(std::borrow::Cow::into_owned),
    );
    let world = request.server.world.lock();
    let Some(group) = world.groups.get(&id) else {
        return Answer::Error(500, "internal-server-error");
    };
    let mut node = described(&world, group);
    if let Some(NodeContent::Nodes(children)) = &mut node.content {
        children.extend(nobody.iter().map(refused));
    }
    Answer::one(node)
}

fn is_community(request: &Request<'_>, jid: &Jid) -> bool {
    request
        .server
        .world
        .lock()
        .group_of(jid)
        .is_some_and(|group| group.community.is_some())
}

fn expiration(node: &Node) -> Option<u32> {
    node.word("expiration")?.parse().ok()
}

fn is_on(approval: &Node) -> bool {
    approval
        .child("group_join")
        .and_then(|join| join.word("state"))
        .as_deref()
        == Some("on")
}

/// Builds a group with a new id; it is not in the world yet.
pub(crate) fn found(
    subject: &str,
    by: &Number,
    others: Vec<Number>,
    addressing: Addressing,
) -> Group {
    let now = unix_time();
    let mut members: BTreeMap<Number, Role> = others
        .into_iter()
        .map(|number| (number, Role::Member))
        .collect();
    members.insert(by.clone(), Role::SuperAdmin);
    let id: GroupId = format!("120363{:012}", rand::random_range(0..1_000_000_000_000_u64)).into();
    let (announcement, locked) = (false, false);
    let subject = signed(subject, by, now);
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
pub(super) fn change(request: &Request<'_>) -> Answer {
    let group = request
        .iq
        .jid("to")
        .filter(Jid::is_group)
        .map(|to| GroupId::from(to.user.as_str()));
    let (Some(group), Some(ask)) = (group, request.ask) else {
        return Answer::Error(400, "bad-request");
    };
    let People { members, nobody } = people(request, ask);
    let change = match &*ask.tag {
        "add" => Change::Add(members),
        "remove" => Change::Remove(members),
        "promote" => Change::Promote(members),
        "demote" => Change::Demote(members),
        "subject" => Change::Subject(text(ask).unwrap_or_default()),
        "description" => Change::Description(Described {
            text: ask.child("body").and_then(text),
            id: ask.word("id").map(std::borrow::Cow::into_owned),
            replaces: Some(ask.word("prev").map(std::borrow::Cow::into_owned)),
        }),
        "announcement" | "not_announcement" => Change::Announcement(ask.tag == "announcement"),
        "ephemeral" => match expiration(ask) {
            Some(seconds) => Change::Timer(seconds),
            None => return Answer::Error(400, "bad-request"),
        },
        "not_ephemeral" => Change::Timer(0),
        "locked" | "unlocked" => Change::Locked(ask.tag == "locked"),
        "membership_approval_mode" => Change::Approval(is_on(ask)),
        "member_add_mode" => Change::AllAdd(text(ask).as_deref() == Some(group::ALL_ADD)),
        _ => return Answer::Unknown,
    };
    match group::change(request.server, &request.device.number, &group, &change) {
        Ok(concerned) if concerned.is_empty() && nobody.is_empty() => Answer::empty(),
        Ok(concerned) => Answer::one(outcome(request, ask, &group, &concerned, &nobody)),
        Err(400) => Answer::Error(400, "bad-request"),
        Err(404) => Answer::Error(404, "item-not-found"),
        Err(409) => Answer::Error(409, "conflict"),
        Err(code) => Answer::Error(code, "forbidden"),
    }
}

/// Removes the account from groups.
pub(super) fn leave(request: &Request<'_>) -> Answer {
    let Some(ask) = request.ask else {
        return Answer::Error(400, "bad-request");
    };
    let mut left = Vec::new();
    for id in ask.all("group").filter_map(|group| group.word("id")) {
        let group = GroupId::from(id.split('@').next().unwrap_or_default());
        let node = NodeBuilder::new("group").attr("id", id.as_ref().to_owned());
        left.push(
            match group::change(
                request.server,
                &request.device.number,
                &group,
                &Change::Leave,
            ) {
                Ok(_) => node.build(),
                Err(code) => node.attr("error", code.to_string()).build(),
            },
        );
    }
    Answer::one(NodeBuilder::new("leave").children(left).build())
}

/// Reports the outcome of the change for each member.
fn outcome(
    request: &Request<'_>,
    ask: &Node,
    group: &GroupId,
    concerned: &[Concerned],
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
    let nodes = nodes.chain(nobody.iter().map(refused));
    NodeBuilder::new_dynamic(ask.tag.to_string())
        .children(nodes.collect::<Vec<_>>())
        .build()
}

/// The node for a member without an account.
fn refused(jid: &Jid) -> Node {
    NodeBuilder::new("participant")
        .attr("jid", jid.clone())
        .attr("error", NOBODY.to_string())
        .build()
}

/// The people named by the `<participant>`s of a request.
struct People {
    members: Vec<Number>,
    /// Addresses without an account.
    nobody: Vec<Jid>,
}

fn people(request: &Request<'_>, ask: &Node) -> People {
    let world = request.server.world.lock();
    let mut people = People {
        members: Vec::new(),
        nobody: Vec::new(),
    };
    for jid in ask
        .all("participant")
        .filter_map(|participant| participant.jid("jid"))
    {
        match world.account_of(&jid) {
            Some(account) => people.members.push(account.number.clone()),
            None => people.nobody.push(jid),
        }
    }
    people
}

fn text(node: &Node) -> Option<String> {
    node.content()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}
