//! Group stanzas: descriptions of groups, and notifications of changes to their members.

pub(crate) mod community;
pub(crate) mod joining;
mod nodes;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::enqueue_stanza;
use super::messages::group_message::addressing_mode;
use crate::model::group::{
    APPROVAL_NEEDED, FORBIDDEN, GROUP_FULL, Group, GroupChange, GroupId, MEMBER_LIMIT,
    MemberOutcome, NOT_AUTHORIZED, RequestMethod,
};
use crate::model::ids::{Chat, DeviceId, PhoneNumber};
use crate::model::options::Addressing;
use crate::model::queue::StanzaClass;
use crate::server::Server;
use crate::server::world::{Account, World};
use crate::wire::unix_time;
pub(crate) use nodes::{ALL_ADD, group_node, parse_flag};
use nodes::{change_node, create_node, member_node};

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

/// Separates the people who do not let this account add them, each with WhatsApp's code, from the
/// others. Members are among the others.
fn judge_additions(
    world: &World,
    group: &GroupId,
    by: &PhoneNumber,
    numbers: &[PhoneNumber],
) -> (Vec<(PhoneNumber, u16)>, Vec<PhoneNumber>) {
    let (mut refused, mut allowed) = (Vec::new(), Vec::new());
    let group = world.groups.get(group);
    for number in numbers {
        let is_member = group.is_some_and(|group| group.members.contains_key(number));
        match world.account(number).filter(|_| !is_member) {
            Some(account) if account.has_blocked(by) => {
                refused.push((number.clone(), NOT_AUTHORIZED));
            }
            Some(account) if !account.is_shown_to("groupadd", by) => {
                refused.push((number.clone(), FORBIDDEN));
            }
            _ => allowed.push(number.clone()),
        }
    }
    (refused, allowed)
}

/// Takes the people out of a new group who do not let its creator add them, or for whom there is
/// no room. Returns each with WhatsApp's code.
pub(crate) fn refuse_members(world: &World, group: &mut Group) -> Vec<MemberOutcome> {
    let creator = group.creator.clone();
    let others: Vec<_> = group
        .members
        .keys()
        .filter(|number| **number != creator)
        .cloned()
        .collect();
    let (mut refused, allowed) = judge_additions(world, &group.id, &creator, &others);
    let surplus = allowed.into_iter().skip(MEMBER_LIMIT - 1);
    refused.extend(surplus.map(|number| (number, GROUP_FULL)));
    for (number, code) in &refused {
        group.members.remove(number);
        if *code == FORBIDDEN {
            group.invite(number, &creator, group.created);
        }
    }
    refused
        .into_iter()
        .map(|(number, code)| (number, Some(code)))
        .collect()
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
    let before: Vec<PhoneNumber> = world
        .groups
        .get(id)
        .ok_or(NO_SUCH_GROUP)?
        .members
        .keys()
        .cloned()
        .collect();
    let (refused, allowed) = match change {
        GroupChange::Add(numbers) => {
            let (refused, allowed) = judge_additions(&world, id, by, numbers);
            (refused, Some(GroupChange::Add(allowed)))
        }
        _ => (Vec::new(), None),
    };
    let group = world.groups.get_mut(id).ok_or(NO_SUCH_GROUP)?;
    let known: Vec<PhoneNumber> = group.requests.keys().cloned().collect();
    let mut concerned = group.apply_change(by, allowed.as_ref().unwrap_or(change), unix_time())?;
    for (number, code) in refused {
        if code == FORBIDDEN {
            group.invite(&number, by, unix_time());
        }
        concerned.push((number, Some(code)));
    }
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
    let is_new =
        |(number, code): &&MemberOutcome| *code == Some(APPROVAL_NEEDED) && !known.contains(number);
    let requested: Vec<PhoneNumber> = concerned
        .iter()
        .filter(is_new)
        .map(|(number, _)| number.clone())
        .collect();
    if !requested.is_empty() {
        drop(world);
        let method = RequestMethod::NonAdminAdd;
        joining::tell_admins(server, &group, by, &requested, method);
        server.changed.notify_waiters();
        return Ok(concerned);
    }
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
    let (participant, other, name, username, id) = {
        let mut world = server.world.lock();
        let id = world.next_stanza_id();
        let Some(account) = world.account(by) else {
            return;
        };
        let (own, other) = (
            account.jid(group.addressing, 0),
            account.jid(group.addressing.opposite(), 0),
        );
        let username = account.profile.username.clone();
        (own, other, account.push_name.clone(), username, id)
    };
    let mut stanza = NodeBuilder::new("notification")
        .attr("from", from.clone())
        .attr("id", id.as_str())
        .attr("type", "w:gp2")
        .attr("t", unix_time().to_string())
        .attr("participant", participant)
        .attr(other_address_name(group.addressing), other)
        .attr("addressing_mode", addressing_mode(group.addressing))
        .attr("notify", name);
    if let Some(username) = username {
        stanza = stanza.attr("participant_username", username);
    }
    let stanza = stanza.children([news]).build();
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
