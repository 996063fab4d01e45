//! Joining groups: by link, by a personal invite, and after a request that admins decide on.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{create_node, linked_devices, member_node, notify_devices};
use crate::model::group::{
    FORBIDDEN, Group, GroupId, GroupRole, JoinOutcome, MemberOutcome, NOT_FOUND, RequestMethod,
    new_invite_code,
};
use crate::model::ids::PhoneNumber;
use crate::model::options::Addressing;
use crate::server::Server;
use crate::server::world::World;
use crate::wire::unix_time;

/// Lets somebody in by link or through the community, or notes that they want to.
pub(crate) fn ask_to_join(
    server: &Server,
    number: &PhoneNumber,
    id: &GroupId,
    method: RequestMethod,
) -> Result<JoinOutcome, u16> {
    let mut world = server.world.lock();
    let group = world.groups.get_mut(id).ok_or(NOT_FOUND)?;
    let was_requested = group.requests.contains_key(number);
    let outcome = group.ask_to_join(number, method, unix_time())?;
    let group = group.clone();
    match outcome {
        JoinOutcome::Joined => {
            drop(world);
            tell_joined(server, &group, number, number, Some("invite"));
        }
        JoinOutcome::Pending if was_requested => {}
        JoinOutcome::Pending => {
            drop(world);
            tell_admins(server, &group, number, std::slice::from_ref(number), method);
        }
    }
    server.changed.notify_waiters();
    Ok(outcome)
}

/// Tells the admins of a group that people want to join it, or that a member wants to add them.
pub(super) fn tell_admins(
    server: &Server,
    group: &Group,
    by: &PhoneNumber,
    requested: &[PhoneNumber],
    method: RequestMethod,
) {
    let (admins, users) = {
        let world = server.world.lock();
        let users = requested.iter().filter_map(|number| {
            let account = world.account(number)?;
            let user =
                NodeBuilder::new("requested_user").attr("jid", account.jid(group.addressing, 0));
            let number = account.jid(Addressing::PhoneNumber, 0);
            Some(user.attr("phone_number", number).build())
        });
        let users: Vec<_> = users.collect();
        (linked_devices(&world, admins_of(group)), users)
    };
    let news = NodeBuilder::new("created_membership_requests")
        .attr("request_method", method.as_word())
        .children(users)
        .build();
    notify_devices(server, group, by, &admins, news);
}

/// Takes the personal invite that somebody was given.
pub(crate) fn take_invite(
    server: &Server,
    number: &PhoneNumber,
    id: &GroupId,
    code: &str,
) -> Result<(), u16> {
    let mut world = server.world.lock();
    let group = world.groups.get_mut(id).ok_or(NOT_FOUND)?;
    group.take_invite(number, code, unix_time())?;
    let group = group.clone();
    drop(world);
    tell_joined(server, &group, number, number, Some("invite"));
    server.changed.notify_waiters();
    Ok(())
}

/// Decides about people who want to join. Those who do not are refused with 404.
pub(crate) fn decide_requests(
    server: &Server,
    by: &PhoneNumber,
    id: &GroupId,
    numbers: &[PhoneNumber],
    approve: bool,
) -> Result<Vec<MemberOutcome>, u16> {
    let mut outcomes = Vec::new();
    let mut world = server.world.lock();
    let group = world.groups.get_mut(id).ok_or(NOT_FOUND)?;
    if !group.is_admin(by) {
        return Err(FORBIDDEN);
    }
    for number in numbers {
        let refused = match group.requests.remove(number) {
            None => Some(NOT_FOUND),
            Some(_) if approve => group.join(number).err(),
            Some(_) => None,
        };
        outcomes.push((number.clone(), refused));
    }
    let done: Vec<_> = outcomes
        .iter()
        .filter(|(_, refused)| refused.is_none())
        .map(|(number, _)| number.clone())
        .collect();
    group.members_version += u64::from(approve && !done.is_empty());
    let group = group.clone();
    drop(world);
    for number in done {
        match approve {
            true => tell_joined(server, &group, by, &number, None),
            false => tell_withdrawn(server, &group, by, &number),
        }
    }
    server.changed.notify_waiters();
    Ok(outcomes)
}

/// Withdraws somebody's own request.
pub(crate) fn withdraw_request(
    server: &Server,
    number: &PhoneNumber,
    id: &GroupId,
) -> Result<(), u16> {
    let mut world = server.world.lock();
    let group = world.groups.get_mut(id).ok_or(NOT_FOUND)?;
    group.requests.remove(number).ok_or(NOT_FOUND)?;
    let group = group.clone();
    drop(world);
    tell_withdrawn(server, &group, number, number);
    server.changed.notify_waiters();
    Ok(())
}

/// Returns the code of the invite link, to those who may share it.
pub(crate) fn invite_code(world: &World, by: &PhoneNumber, id: &GroupId) -> Result<String, u16> {
    let group = world.groups.get(id).ok_or(NOT_FOUND)?;
    let may_share = match group.members.get(by) {
        None => false,
        Some(role) => group.all_link || *role > GroupRole::Member,
    };
    if may_share {
        Ok(group.invite_code.clone())
    } else {
        Err(FORBIDDEN)
    }
}

/// Replaces the invite link, for admins, and returns the new code.
pub(crate) fn revoke_link(server: &Server, by: &PhoneNumber, id: &GroupId) -> Result<String, u16> {
    let mut world = server.world.lock();
    let group = world.groups.get_mut(id).ok_or(NOT_FOUND)?;
    if !group.is_admin(by) {
        return Err(FORBIDDEN);
    }
    let former = std::mem::replace(&mut group.invite_code, new_invite_code());
    let group = group.clone();
    world.revoked_codes.insert(former);
    let devices = linked_devices(&world, group.members.keys());
    drop(world);
    let news = NodeBuilder::new("invite").attr("code", group.invite_code.as_str());
    notify_devices(server, &group, by, &devices, news.build());
    Ok(group.invite_code)
}

/// The people who decide about requests.
fn admins_of(group: &Group) -> impl Iterator<Item = &PhoneNumber> {
    group.members.keys().filter(|number| group.is_admin(number))
}

fn tell_withdrawn(server: &Server, group: &Group, by: &PhoneNumber, number: &PhoneNumber) {
    let (devices, news) = {
        let world = server.world.lock();
        let Some(account) = world.account(number) else {
            return;
        };
        let person = member_node(group, account, GroupRole::Member);
        let news = NodeBuilder::new("revoked_membership_requests").children([person]);
        (linked_devices(&world, admins_of(group)), news.build())
    };
    notify_devices(server, group, by, &devices, news);
}

/// Tells the members of somebody who has joined, and that person of the group.
pub(super) fn tell_joined(
    server: &Server,
    group: &Group,
    by: &PhoneNumber,
    number: &PhoneNumber,
    reason: Option<&'static str>,
) {
    let (told, news, own, create): (_, Node, _, Node) = {
        let world = server.world.lock();
        let Some(account) = world.account(number) else {
            return;
        };
        let mut add = NodeBuilder::new("add");
        if let Some(reason) = reason {
            add = add.attr("reason", reason);
        }
        let version = group.members_version;
        let add = add
            .attr("v_id", version.to_string())
            .attr("prev_v_id", version.saturating_sub(1).to_string())
            .children([member_node(group, account, GroupRole::Member)]);
        let others = group.members.keys().filter(|member| *member != number);
        (
            linked_devices(&world, others),
            add.build(),
            linked_devices(&world, std::iter::once(number)),
            create_node(&world, group, None),
        )
    };
    notify_devices(server, group, by, &told, news);
    notify_devices(server, group, by, &own, create);
}
