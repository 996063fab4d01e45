//! Requests about the settings of a device's own account.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Answer, Request, profile};
use crate::Addressing;
use crate::preferences::{StatusAudience, numbers};
use crate::server::Server;
use crate::stanza::{Notice, Stanza, notify, unix_time};
use crate::world::{Account, DeviceId, World};

const WRONG: Answer = Answer::Error(400, "bad-request");

/// Returns the audience of the account's statuses.
pub(super) fn status_audience(request: &Request<'_>) -> Answer {
    let world = request.server.world.lock();
    let Some(account) = world.account(&request.device.number) else {
        return Answer::Error(404, "item-not-found");
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
    let users = numbers(people)
        .filter_map(|number| world.account(&number).map(user))
        .collect::<Vec<_>>();
    let list = NodeBuilder::new("list")
        .attr("type", kind)
        .attr("default", "true")
        .children(users);
    Answer::one(NodeBuilder::new("privacy").children([list.build()]).build())
}

/// Sets the default message timer of new chats.
pub(super) fn change_timer(request: &Request<'_>) -> Answer {
    let duration = request
        .ask
        .and_then(|ask| ask.word("duration"))
        .and_then(|seconds| seconds.parse().ok());
    let Some(seconds) = duration.filter(|seconds| crate::group::TIMERS.contains(seconds)) else {
        return WRONG;
    };
    set_timer(request.server, request.device, seconds);
    Answer::empty()
}

/// Sets the default timer for a device or the phone, and notifies the account's other devices and
/// those of its peers.
pub(crate) fn set_timer(server: &Server, by: &DeviceId, seconds: u32) {
    let (from, change, peers) = {
        let mut world = server.world.lock();
        let Some(account) = world.account_mut(&by.number) else {
            return;
        };
        account.preferences.timer = (seconds, unix_time());
        let (from, change) = (account.jid(account.addressing, 0), timer_node(account));
        (from, change, devices_of_peers(&world, by))
    };
    profile::tell_own_devices(server, by, &change);
    for device in peers {
        let notice = Notice {
            kind: "disappearing_mode",
            from: from.clone(),
            lid: None,
        };
        notify(server, &device, notice, change.clone());
    }
    server.changed.notify_waiters();
}

fn devices_of_peers(world: &World, by: &DeviceId) -> Vec<DeviceId> {
    let Some(account) = world.account(&by.number) else {
        return Vec::new();
    };
    let peers = account
        .peers
        .iter()
        .filter(|peer| **peer != by.number && !account.has_blocked(peer));
    peers
        .filter_map(|peer| world.account(peer))
        .flat_map(Account::linked)
        .collect()
}

/// The default timer of an account's new chats, and the time it was set.
pub(super) fn timer_node(account: &Account) -> Node {
    let (seconds, since) = account.preferences.timer;
    NodeBuilder::new("disappearing_mode")
        .attr("duration", seconds.to_string())
        .attr("t", since.to_string())
        .build()
}

/// Records the account's agreement to a notice.
pub(super) fn agree(request: &Request<'_>) -> Answer {
    let Some((ask, id)) = request.ask.and_then(|ask| Some((ask, ask.word("id")?))) else {
        return WRONG;
    };
    let stage = ask.word("stage").unwrap_or_default().into_owned();
    if let Some(account) = request
        .server
        .world
        .lock()
        .account_mut(&request.device.number)
    {
        account.preferences.notices.insert(id.into_owned(), stage);
    }
    Answer::empty()
}

/// Stores a device's push registration.
pub(super) fn set_waker(request: &Request<'_>) -> Answer {
    let Some(config) = request
        .ask
        .filter(|config| config.word("platform").is_some())
    else {
        return WRONG;
    };
    if let Some(account) = request
        .server
        .world
        .lock()
        .account_mut(&request.device.number)
    {
        account
            .preferences
            .wakers
            .insert(request.device.device, config.clone());
    }
    Answer::empty()
}

/// Returns the device's push registration.
pub(super) fn waker(request: &Request<'_>) -> Answer {
    let world = request.server.world.lock();
    let account = world.account(&request.device.number);
    let config = account
        .and_then(|account| account.preferences.wakers.get(&request.device.device))
        .cloned();
    Answer::one(
        NodeBuilder::new("settings")
            .children(Vec::from_iter(config))
            .build(),
    )
}

/// Returns the account's contact link; creates a new one if there is none or the old one is
/// revoked.
pub(super) fn own_link(request: &Request<'_>) -> Answer {
    let Some(ask) = request
        .ask
        .filter(|ask| ask.word("type").as_deref() == Some(LINKED))
    else {
        return WRONG;
    };
    let mut world = request.server.world.lock();
    let Some(account) = world.account_mut(&request.device.number) else {
        return WRONG;
    };
    if ask.word("action").as_deref() == Some("revoke") {
        account.preferences.link = None;
    }
    let code = account
        .preferences
        .link
        .get_or_insert_with(|| hex::encode_upper(rand::random::<[u8; 7]>()))
        .clone();
    Answer::one(
        NodeBuilder::new("qr")
            .attr("code", code)
            .attr("type", LINKED)
            .build(),
    )
}

/// The type of a link: it leads to a contact.
const LINKED: &str = "contact";

/// Returns the account behind a contact link.
pub(super) fn behind_link(request: &Request<'_>) -> Answer {
    let Some(code) = request.ask.and_then(|ask| ask.word("code")) else {
        return WRONG;
    };
    let world = request.server.world.lock();
    let Some(account) = world
        .accounts()
        .find(|account| account.preferences.link.as_deref() == Some(&*code))
    else {
        return Answer::Error(404, "item-not-found");
    };
    let found = NodeBuilder::new("qr")
        .attr("jid", account.jid(Addressing::PhoneNumber, 0))
        .attr("type", LINKED);
    Answer::one(found.attr("notify", account.push_name.as_str()).build())
}

/// Returns the business profiles of the requested accounts; those that are no businesses are left
/// out.
pub(super) fn business(request: &Request<'_>) -> Answer {
    let world = request.server.world.lock();
    let profiles = request
        .ask
        .into_iter()
        .flat_map(|ask| ask.all("profile"))
        .filter_map(|asked| {
            let jid = asked.jid("jid")?;
            let business = world.account_of(&jid)?.preferences.business.clone()?;
            Some(
                NodeBuilder::new("profile")
                    .attr("jid", jid.to_non_ad())
                    .children(business)
                    .build(),
            )
        });
    Answer::one(
        NodeBuilder::new("business_profile")
            .children(profiles.collect::<Vec<_>>())
            .build(),
    )
}

/// Changes the business profile of the device's account: replaces each part that the request names.
pub(super) fn change_business(request: &Request<'_>) -> Answer {
    let Some(changed) = request.ask.and_then(Node::children) else {
        return WRONG;
    };
    let mut world = request.server.world.lock();
    let business = world
        .account_mut(&request.device.number)
        .and_then(|account| account.preferences.business.as_mut());
    let Some(business) = business else {
        return Answer::Error(403, "forbidden");
    };
    business.retain(|part| !changed.iter().any(|change| change.tag == part.tag));
    business.extend(
        changed
            .iter()
            .filter(|change| change.content.is_some())
            .cloned(),
    );
    Answer::empty()
}
