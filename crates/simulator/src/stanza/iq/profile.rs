//! Profiles: the picture and about text of an account, queried, changed, and synced to its peers
//! and its own devices.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::{Answer, Request};
use crate::Addressing;
use crate::profile::{Form, Picture, Shown};
use crate::server::Server;
use crate::stanza::{Notice, Stanza, leaf, notify, trust};
use crate::world::{Account, DeviceId};

/// Returns the address of a person's profile picture. Groups have none here.
pub(super) fn picture(request: &Request<'_>) -> Answer {
    let Some(form) = request
        .ask
        .and_then(|ask| ask.word("type"))
        .and_then(|form| form_of(&form))
    else {
        return Answer::Error(400, "bad-request");
    };
    let world = request.server.world.lock();
    let own = || world.account(&request.device.number);
    let account = match request.iq.jid("target") {
        Some(target) => world.account_of(&target),
        None => own(),
    };
    let (asker, token) = (&request.device.number, trust::shown(request.iq));
    match account.map(|it| it.picture_for(asker, world.may_see_picture(&it.number, asker, token))) {
        // The client has this picture already: the answer is empty.
        Some(Shown::Picture(picture))
            if request
                .ask
                .and_then(|ask| ask.word("id"))
                .is_some_and(|id| id == *picture.id) =>
        {
            Answer::empty()
        }
        Some(Shown::Picture(picture)) => {
            let path = picture.path(form);
            let node = NodeBuilder::new("picture").attr("id", picture.id.as_str());
            let node = node.attr(
                "type",
                if form == Form::Full {
                    "image"
                } else {
                    "preview"
                },
            );
            let node = node.attr("url", format!("https://{}{path}", request.server.address));
            Answer::one(node.attr("direct_path", path).build())
        }
        Some(Shown::Hidden) => Answer::Error(401, "not-authorized"),
        Some(Shown::Nothing) | None => Answer::Error(404, "item-not-found"),
    }
}

fn form_of(word: &str) -> Option<Form> {
    match word {
        "image" => Some(Form::Full),
        "preview" => Some(Form::Preview),
        _ => None,
    }
}

/// Sets the account's own picture; without content, removes it.
pub(super) fn change_picture(request: &Request<'_>) -> Answer {
    let is_own = |target: Jid| {
        let world = request.server.world.lock();
        world
            .account_of(&target)
            .is_some_and(|account| account.number == request.device.number)
    };
    if !request.iq.jid("target").is_none_or(is_own) {
        return Answer::Unknown;
    }
    let Some(bytes) = request.ask.and_then(Stanza::content) else {
        set_picture(request.server, request.device, None);
        return Answer::empty();
    };
    let Ok(picture) = Picture::of(bytes.to_vec()) else {
        return Answer::Error(406, "not-acceptable");
    };
    let id = picture.id.clone();
    set_picture(request.server, request.device, Some(picture));
    Answer::one(NodeBuilder::new("picture").attr("id", id).build())
}

/// Sets the account's picture for a device or the phone, and notifies its other devices; also its
/// peers, unless the picture is hidden.
pub(crate) fn set_picture(server: &Server, by: &DeviceId, picture: Option<Picture>) {
    let mut world = server.world.lock();
    let Some(account) = world.account_mut(&by.number) else {
        return;
    };
    let jid = account.jid(account.addressing, 0);
    let change = match &picture {
        Some(picture) => NodeBuilder::new("set")
            .attr("jid", jid.clone())
            .attr("id", picture.id.as_str())
            .build(),
        None => NodeBuilder::new("delete").attr("jid", jid.clone()).build(),
    };
    account.profile.picture = picture;
    let is_hidden = account.profile.hides_picture;
    drop(world);
    tell_own_devices(server, by, &NodeBuilder::new("picture").build());
    if !is_hidden {
        tell_others(server, by, "picture", &jid, &change);
    }
    server.changed.notify_waiters();
}

pub(super) fn change_about(request: &Request<'_>) -> Answer {
    let about = request
        .ask
        .and_then(Stanza::content)
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    set_about(request.server, request.device, about.unwrap_or_default());
    Answer::empty()
}

/// Sets the account's about text for a device or the phone, and notifies its peers.
pub(crate) fn set_about(server: &Server, by: &DeviceId, about: String) {
    let mut world = server.world.lock();
    let Some(account) = world.account_mut(&by.number) else {
        return;
    };
    let (jid, change) = (
        account.jid(account.addressing, 0),
        leaf("set", about.as_bytes()),
    );
    account.profile.about = about;
    drop(world);
    tell_others(server, by, "status", &jid, &change);
    server.changed.notify_waiters();
}

pub(super) fn about(request: &Request<'_>) -> Answer {
    let world = request.server.world.lock();
    let users = request
        .ask
        .into_iter()
        .flat_map(|status| status.all("user"))
        .filter_map(|user| {
            let account = world.account_of(&user.jid("jid")?)?;
            let user =
                NodeBuilder::new("user").attr("jid", account.jid(Addressing::PhoneNumber, 0));
            Some(
                user.children([leaf(
                    "status",
                    account.about_for(&request.device.number).as_bytes(),
                )])
                .build(),
            )
        });
    Answer::one(
        NodeBuilder::new("status")
            .children(users.collect::<Vec<Node>>())
            .build(),
    )
}

/// Notifies the account's linked devices, except the one that made the change.
pub(super) fn tell_own_devices(server: &Server, by: &DeviceId, change: &Node) {
    let (own, others) = {
        let world = server.world.lock();
        let Some(account) = world.account(&by.number) else {
            return;
        };
        (
            account.jid(Addressing::PhoneNumber, 0),
            account.others(by.device),
        )
    };
    for device in others {
        notify(
            server,
            &device,
            Notice {
                kind: "account_sync",
                from: own.clone(),
                lid: None,
            },
            change.clone(),
        );
    }
}

/// Notifies the linked devices of the account's peers, except blocked ones.
fn tell_others(server: &Server, by: &DeviceId, kind: &'static str, from: &Jid, change: &Node) {
    let devices: Vec<DeviceId> = {
        let world = server.world.lock();
        let Some(account) = world.account(&by.number) else {
            return;
        };
        let peers = account
            .peers
            .iter()
            .filter(|peer| **peer != by.number && !account.has_blocked(peer));
        peers
            .filter_map(|peer| world.account(peer))
            .flat_map(Account::linked)
            .collect()
    };
    for device in devices {
        notify(
            server,
            &device,
            Notice {
                kind,
                from: from.clone(),
                lid: None,
            },
            change.clone(),
        );
    }
}
