//! Group stanzas: descriptions of groups, and notifications of changes to their members.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::enqueue_stanza;
use super::messages::group_message::addressing_mode;
use crate::model::group::{AuthoredText, Group, GroupChange, GroupId, GroupRole, MemberOutcome};
use crate::model::ids::{Chat, DeviceId, PhoneNumber};
use crate::model::options::Addressing;
use crate::model::queue::StanzaClass;
use crate::server::Server;
use crate::server::world::{Account, World};
use crate::wire::{leaf_node, unix_time};

/// The two modes of adding members, in WhatsApp's words.
pub(crate) const ALL_ADD: &str = "all_member_add";
const ADMINS_ADD: &str = "admin_add";

/// The code for a group that does not exist.
const NO_SUCH_GROUP: u16 = 404;

/// `…@g.us`
pub(crate) fn group_jid(group: &GroupId) -> Jid {
    Jid::group(&**group)
}

/// The attribute with a participant's other address.
pub(crate) const fn other_address_name(addressing: Addressing) -> &'static str {
    match addressing {
        Addressing::PhoneNumber => "participant_lid",
        Addressing::Lid => "participant_pn",
    }
}

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

fn member_node(group: &Group, account: &Account, role: GroupRole) -> Node {
    let mut node = NodeBuilder::new("participant").attr("jid", account.jid(group.addressing, 0));
    node = match group.addressing {
        Addressing::Lid => node.attr("phone_number", account.jid(Addressing::PhoneNumber, 0)),
        Addressing::PhoneNumber => node.attr("lid", account.jid(Addressing::Lid, 0)),
    };
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

/// Adds a new group to the world and notifies the devices of all members; `key` is the key that the
/// creator gave.
pub(crate) fn add_group(server: &Server, group: Group, key: Option<String>) {
    let id = group.id.clone();
    let mut world = server.world.lock();
    let creator = group.creator.clone();
    world.groups.insert(id.clone(), group);
    let Some(group) = world.groups.get(&id).cloned() else {
        return;
    };
    let mut create = create_node(&world, &group, Some("new"));
    if let Some(key) = key {
        create.attrs.insert("key", key);
    }
    let devices = linked_devices(&world, group.members.keys());
    drop(world);
    notify_devices(server, &group, &creator, &devices, create);
    server.changed.notify_waiters();
}

fn create_node(world: &World, group: &Group, kind: Option<&'static str>) -> Node {
    let mut create = NodeBuilder::new("create").attr("key", hex::encode(rand::random::<[u8; 8]>()));
    if let Some(kind) = kind {
        create = create.attr("type", kind);
    }
    create.children([group_node(world, group)]).build()
}

/// Changes a group in an account's name and notifies its members. Returns the members concerned, or
/// WhatsApp's code of a refusal.
pub(crate) fn change_group(
    server: &Server,
    by: &PhoneNumber,
    id: &GroupId,
    change: &GroupChange,
) -> Result<Vec<MemberOutcome>, u16> {
    let mut world = server.world.lock();
    let group = world.groups.get_mut(id).ok_or(NO_SUCH_GROUP)?;
    let before: Vec<PhoneNumber> = group.members.keys().cloned().collect();
    let concerned = group.apply_change(by, change, unix_time())?;
    let group = group.clone();
    let changed: Vec<PhoneNumber> = concerned
        .iter()
        .filter(|(_, refused)| refused.is_none())
        .map(|(number, _)| number.clone())
        .collect();
    let names_members = matches!(
        change,
        GroupChange::Add(_)
            | GroupChange::Remove(_)
            | GroupChange::Promote(_)
            | GroupChange::Demote(_)
    );
    if changed.is_empty() && names_members {
        return Ok(concerned);
    }
    let told = linked_devices(&world, before.iter());
    let news = change_node(&world, &group, change, &changed);
    // New members get the whole group; the others have it and get the added members.
    let newcomers = match change {
        GroupChange::Add(_) => Some((
            linked_devices(&world, changed.iter()),
            create_node(&world, &group, None),
        )),
        _ => None,
    };
    let phones: Vec<_> = before
        .iter()
        .filter_map(|number| Some(world.account(number)?.phone_state.clone()))
        .collect();
    drop(world);
    notify_devices(server, &group, by, &told, news);
    if let Some((devices, create)) = newcomers {
        notify_devices(server, &group, by, &devices, create);
    }
    if matches!(change, GroupChange::Remove(_) | GroupChange::Leave) {
        let chat = Chat::Group(id.clone()).to_string();
        phones
            .iter()
            .for_each(|phone| phone.lock().sender_keys.rotate_key(&chat));
    }
    server.changed.notify_waiters();
    Ok(concerned)
}

/// Builds the child of a notification that describes the change.
fn change_node(
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

fn linked_devices<'a>(
    world: &World,
    members: impl Iterator<Item = &'a PhoneNumber>,
) -> Vec<DeviceId> {
    members
        .filter_map(|number| world.account(number))
        .flat_map(Account::linked_devices)
        .collect()
}

/// Sends a notification about a group, queued for each device until it is acknowledged.
fn notify_devices(
    server: &Server,
    group: &Group,
    by: &PhoneNumber,
    devices: &[DeviceId],
    news: Node,
) {
    let from = group_jid(&group.id);
    let (participant, other, name, id) = {
        let mut world = server.world.lock();
        let id = world.next_stanza_id();
        let Some(account) = world.account(by) else {
            return;
        };
        let (own, other) = (
            account.jid(group.addressing, 0),
            account.jid(group.addressing.opposite(), 0),
        );
        (own, other, account.push_name.clone(), id)
    };
    let stanza = NodeBuilder::new("notification")
        .attr("from", from.clone())
        .attr("id", id.as_str())
        .attr("type", "w:gp2")
        .attr("t", unix_time().to_string())
        .attr("participant", participant)
        .attr(other_address_name(group.addressing), other)
        .attr("addressing_mode", addressing_mode(group.addressing))
        .attr("notify", name)
        .children([news])
        .build();
    for device in devices {
        enqueue_stanza(
            server,
            device,
            StanzaClass::Notification,
            &id,
            from.clone(),
            stanza.clone(),
        );
    }
}
