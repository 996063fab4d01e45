//! `w:g2`: what a device asks about groups, and what it changes about them.

use std::collections::BTreeMap;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt, Node};

use super::{Answer, Request};
use crate::group::{Change, Concerned, FORBIDDEN, Group, GroupId, Role, signed};
use crate::stanza::group::{self, described};
use crate::stanza::{Stanza, unix_time};
use crate::world::Number;

/// What a device may change about a group.
pub(super) const CHANGES: [&str; 12] = [
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
];

/// The groups of one account, with members and description when the client asks for them, which all clients do.
pub(super) fn participating(request: &Request<'_>) -> Answer {
    let world = request.server.world.lock();
    let of_mine = world.groups.values().filter(|group| group.members.contains_key(&request.device.number));
    let groups = of_mine.map(|group| described(&world, group)).collect::<Vec<_>>();
    Answer::one(NodeBuilder::new("groups").children(groups).build())
}

/// One group; only its members may know it.
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

/// A device founds a group in its account's name.
pub(super) fn create(request: &Request<'_>) -> Answer {
    let Some(subject) = request.ask.and_then(|create| create.word("subject")) else {
        return Answer::Error(400, "bad-request");
    };
    let others = request.ask.map(|create| numbers(request, create)).unwrap_or_default();
    let group = found(&subject, &request.device.number, others, request.server.options.addressing);
    let id = group.id.clone();
    group::create(request.server, group);
    let world = request.server.world.lock();
    match world.groups.get(&id) {
        Some(group) => Answer::one(described(&world, group)),
        None => Answer::Error(500, "internal-server-error"),
    }
}

/// A group that does not exist yet, with an id of its own.
pub(crate) fn found(subject: &str, by: &Number, others: Vec<Number>, addressing: crate::Addressing) -> Group {
    let now = unix_time();
    let mut members: BTreeMap<Number, Role> = others.into_iter().map(|number| (number, Role::Member)).collect();
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
        members,
    }
}

/// A device changes a group in its account's name.
pub(super) fn change(request: &Request<'_>) -> Answer {
    let group = request.iq.jid("to").filter(Jid::is_group).map(|to| GroupId::from(to.user.as_str()));
    let (Some(group), Some(ask)) = (group, request.ask) else {
        return Answer::Error(400, "bad-request");
    };
    let change = match &*ask.tag {
        "add" => Change::Add(numbers(request, ask)),
        "remove" => Change::Remove(numbers(request, ask)),
        "promote" => Change::Promote(numbers(request, ask)),
        "demote" => Change::Demote(numbers(request, ask)),
        "subject" => Change::Subject(text(ask).unwrap_or_default()),
        "description" => Change::Description(ask.child("body").and_then(text)),
        "announcement" | "not_announcement" => Change::Announcement(ask.tag == "announcement"),
        "ephemeral" => Change::Timer(ask.word("expiration").and_then(|word| word.parse().ok()).unwrap_or_default()),
        "not_ephemeral" => Change::Timer(0),
        "locked" | "unlocked" => Change::Locked(ask.tag == "locked"),
        _ => return Answer::Unknown,
    };
    match group::change(request.server, &request.device.number, &group, &change) {
        Ok(concerned) if concerned.is_empty() => Answer::empty(),
        Ok(concerned) => Answer::one(outcome(request, ask, &group, &concerned)),
        Err(404) => Answer::Error(404, "item-not-found"),
        Err(code) => Answer::Error(code, "forbidden"),
    }
}

/// A device takes its account out of groups.
pub(super) fn leave(request: &Request<'_>) -> Answer {
    let Some(ask) = request.ask else {
        return Answer::Error(400, "bad-request");
    };
    let mut left = Vec::new();
    for id in ask.all("group").filter_map(|group| group.word("id")) {
        let group = GroupId::from(id.split('@').next().unwrap_or_default());
        let node = NodeBuilder::new("group").attr("id", id.as_ref().to_owned());
        left.push(match group::change(request.server, &request.device.number, &group, &Change::Leave) {
            Ok(_) => node.build(),
            Err(code) => node.attr("error", code.to_string()).build(),
        });
    }
    Answer::one(NodeBuilder::new("leave").children(left).build())
}

/// Says for each member what became of the change.
fn outcome(request: &Request<'_>, ask: &Node, group: &GroupId, concerned: &[Concerned]) -> Node {
    let world = request.server.world.lock();
    let addressing = world.groups.get(group).map_or(request.server.options.addressing, |group| group.addressing);
    let nodes = concerned.iter().filter_map(|(number, refused)| {
        let node = NodeBuilder::new("participant").attr("jid", world.account(number)?.jid(addressing, 0));
        Some(match refused {
            Some(code) => node.attr("error", code.to_string()).build(),
            None => node.build(),
        })
    });
    NodeBuilder::new_dynamic(ask.tag.to_string()).children(nodes.collect::<Vec<_>>()).build()
}

/// The accounts behind the `<participant>`s of a request; who has none cannot be in a group.
fn numbers(request: &Request<'_>, ask: &Node) -> Vec<Number> {
    let world = request.server.world.lock();
    let jids = ask.all("participant").filter_map(|participant| participant.jid("jid"));
    jids.filter_map(|jid| world.account_of(&jid).map(|account| account.number.clone())).collect()
}

fn text(node: &Node) -> Option<String> {
    node.content().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}
