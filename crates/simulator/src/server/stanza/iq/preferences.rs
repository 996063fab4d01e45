//! Requests about the settings of a device's own account.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{IqAnswer, IqRequest, profile};
use crate::model::ids::DeviceId;
use crate::model::options::Addressing;
use crate::server::Server;
use crate::server::account::preferences::{StatusAudience, normalize_numbers};
use crate::server::stanza::{NotificationHeader, notify_device};
use crate::server::world::{Account, World};
use crate::wire::{StanzaExt, unix_time};

const BAD_REQUEST: IqAnswer = IqAnswer::Error(400, "bad-request");

/// Returns the audience of the account's statuses.
pub(crate) fn get_status_audience(request: &IqRequest<'_>) -> IqAnswer {
    let world = request.server.world.lock();
    let Some(account) = world.account(&request.device.number) else {
        return IqAnswer::Error(404, "item-not-found");
    };
    let (kind, people): (_, &[String]) = match &account.preferences.statuses {
        StatusAudience::Contacts => ("contacts", &[]),
        StatusAudience::AllBut(people) => ("blacklist", people),
        StatusAudience::Only(people) => ("whitelist", people),
    };
    let addressing = account.addressing;
    let user = |account: &Account| {
        NodeBuilder::new("user")
            .attr("jid", account.jid(addressing, 0))
            .build()
    };
    let users = normalize_numbers(people)
        .filter_map(|number| world.account(&number).map(user))
        .collect::<Vec<_>>();
    let list = NodeBuilder::new("list")
        .attr("type", kind)
        .attr("default", "true")
        .children(users);
    IqAnswer::with_child(NodeBuilder::new("privacy").children([list.build()]).build())
}

/// Sets the default message timer of new chats.
pub(crate) fn change_default_timer(request: &IqRequest<'_>) -> IqAnswer {
    let duration = request
        .operation
        .and_then(|ask| ask.attr_text("duration"))
        .and_then(|seconds| seconds.parse().ok());
    let Some(seconds) = duration.filter(|seconds| crate::model::group::TIMERS.contains(seconds))
    else {
        return BAD_REQUEST;
    };
    set_default_timer(request.server, request.device, seconds);
    IqAnswer::empty()
}

/// Sets the default timer for a device or the phone, and notifies the account's other devices and
/// those of its peers.
pub(crate) fn set_default_timer(server: &Server, by: &DeviceId, seconds: u32) {
    let (from, change, peers) = {
        let mut world = server.world.lock();
        let Some(account) = world.account_mut(&by.number) else {
            return;
        };
        account.preferences.default_timer = (seconds, unix_time());
        let (from, change) = (
            account.jid(account.addressing, 0),
            default_timer_node(account),
        );
        (from, change, peer_devices(&world, by))
    };
    profile::notify_own_devices(server, by, &change);
    for device in peers {
        let notice = NotificationHeader {
            kind: "disappearing_mode",
            from: from.clone(),
            lid: None,
        };
        notify_device(server, &device, notice, change.clone());
    }
    server.changed.notify_waiters();
}

fn peer_devices(world: &World, by: &DeviceId) -> Vec<DeviceId> {
    let Some(account) = world.account(&by.number) else {
        return Vec::new();
    };
    let peers = account
        .peers
        .iter()
        .filter(|peer| **peer != by.number && !account.has_blocked(peer));
    peers
        .filter_map(|peer| world.account(peer))
        .flat_map(Account::linked_devices)
        .collect()
}

/// The default timer of an account's new chats, and the time it was set.
pub(crate) fn default_timer_node(account: &Account) -> Node {
    let (seconds, since) = account.preferences.default_timer;
    NodeBuilder::new("disappearing_mode")
        .attr("duration", seconds.to_string())
        .attr("t", since.to_string())
        .build()
}

/// Records the account's agreement to a notice.
pub(crate) fn accept_notice(request: &IqRequest<'_>) -> IqAnswer {
    let Some((ask, id)) = request
        .operation
        .and_then(|ask| Some((ask, ask.attr_text("id")?)))
    else {
        return BAD_REQUEST;
    };
    let stage = ask.attr_text("stage").unwrap_or_default().into_owned();
    if let Some(account) = request
        .server
        .world
        .lock()
        .account_mut(&request.device.number)
    {
        account.preferences.notices.insert(id.into_owned(), stage);
    }
    IqAnswer::empty()
}

/// Stores a device's push registration.
pub(crate) fn set_push_config(request: &IqRequest<'_>) -> IqAnswer {
    let Some(config) = request
        .operation
        .filter(|config| config.attr_text("platform").is_some())
    else {
        return BAD_REQUEST;
    };
    if let Some(account) = request
        .server
        .world
        .lock()
        .account_mut(&request.device.number)
    {
        account
            .preferences
            .push_registrations
            .insert(request.device.device, config.clone());
    }
    IqAnswer::empty()
}

/// Returns the device's push registration.
pub(crate) fn get_push_config(request: &IqRequest<'_>) -> IqAnswer {
    let world = request.server.world.lock();
    let account = world.account(&request.device.number);
    let config = account
        .and_then(|account| {
            account
                .preferences
                .push_registrations
                .get(&request.device.device)
        })
        .cloned();
    IqAnswer::with_child(
        NodeBuilder::new("settings")
            .children(Vec::from_iter(config))
            .build(),
    )
}

/// Returns the account's contact link; creates a new one if there is none or the old one is
/// revoked.
pub(crate) fn get_own_link(request: &IqRequest<'_>) -> IqAnswer {
    let Some(ask) = request
        .operation
        .filter(|ask| ask.attr_text("type").as_deref() == Some(CONTACT_LINK))
    else {
        return BAD_REQUEST;
    };
    let mut world = request.server.world.lock();
    let Some(account) = world.account_mut(&request.device.number) else {
        return BAD_REQUEST;
    };
    if ask.attr_text("action").as_deref() == Some("revoke") {
        account.preferences.contact_link = None;
    }
    let code = account
        .preferences
        .contact_link
        .get_or_insert_with(|| hex::encode_upper(rand::random::<[u8; 7]>()))
        .clone();
    IqAnswer::with_child(
        NodeBuilder::new("qr")
            .attr("code", code)
            .attr("type", CONTACT_LINK)
            .build(),
    )
}

/// The type of a link: it leads to a contact.
const CONTACT_LINK: &str = "contact";

/// Returns the account behind a contact link.
pub(crate) fn resolve_link(request: &IqRequest<'_>) -> IqAnswer {
    let Some(code) = request.operation.and_then(|ask| ask.attr_text("code")) else {
        return BAD_REQUEST;
    };
    let world = request.server.world.lock();
    let Some(account) = world
        .accounts()
        .find(|account| account.preferences.contact_link.as_deref() == Some(&*code))
    else {
        return IqAnswer::Error(404, "item-not-found");
    };
    let found = NodeBuilder::new("qr")
        .attr("jid", account.jid(Addressing::PhoneNumber, 0))
        .attr("type", CONTACT_LINK);
    IqAnswer::with_child(found.attr("notify", account.push_name.as_str()).build())
}

/// Returns the business profiles of the requested accounts; those that are no businesses are left
/// out.
pub(crate) fn get_business_profiles(request: &IqRequest<'_>) -> IqAnswer {
    let world = request.server.world.lock();
    let profiles = request
        .operation
        .into_iter()
        .flat_map(|ask| ask.children_named("profile"))
        .filter_map(|asked| {
            let jid = asked.attr_jid("jid")?;
            let business = world.account_of(&jid)?.preferences.business.clone()?;
            Some(
                NodeBuilder::new("profile")
                    .attr("jid", jid.to_non_ad())
                    .children(business)
                    .build(),
            )
        });
    IqAnswer::with_child(
        NodeBuilder::new("business_profile")
            .children(profiles.collect::<Vec<_>>())
            .build(),
    )
}

/// Changes the business profile of the device's account: replaces each part that the request names.
pub(crate) fn change_business_profile(request: &IqRequest<'_>) -> IqAnswer {
    let Some(changed) = request.operation.and_then(Node::children) else {
        return BAD_REQUEST;
    };
    let mut world = request.server.world.lock();
    let business = world
        .account_mut(&request.device.number)
        .and_then(|account| account.preferences.business.as_mut());
    let Some(business) = business else {
        return IqAnswer::Error(403, "forbidden");
    };
    business.retain(|part| !changed.iter().any(|change| change.tag == part.tag));
    business.extend(
        changed
            .iter()
            .filter(|change| change.content.is_some())
            .cloned(),
    );
    IqAnswer::empty()
}
