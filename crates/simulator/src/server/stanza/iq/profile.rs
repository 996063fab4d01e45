//! Profiles: the picture and about text of an account, queried, changed, and synced to its peers
//! and its own devices.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt, Node};

use super::groups::picture as group_picture;
use super::{IqAnswer, IqRequest};
use crate::model::ids::DeviceId;
use crate::model::options::Addressing;
use crate::server::Server;
use crate::server::account::profile::{PictureForm, ProfilePicture, VisiblePicture};
use crate::server::stanza::{NotificationHeader, notify_device, trust};
use crate::server::world::Account;
use crate::wire::{StanzaExt, leaf_node};

/// Returns the address of a person's profile picture, or of a group's.
pub(crate) fn get_picture(request: &IqRequest<'_>) -> IqAnswer {
    let Some(form) = request
        .operation
        .and_then(|ask| ask.attr_text("type"))
        .and_then(|form| parse_form(&form))
    else {
        return IqAnswer::Error(400, "bad-request");
    };
    let world = request.server.world.lock();
    let own = || world.account(&request.device.number);
    let target = request.iq.attr_jid("target");
    if let Some(group) = target.as_ref().filter(|target| target.is_group()) {
        return group_picture::answer_picture(request, &world, group, form);
    }
    let account = match target {
        Some(target) => world.account_of(&target),
        None => own(),
    };
    let (asker, token) = (&request.device.number, trust::find_token(request.iq));
    match account.map(|it| it.picture_for(asker, world.can_see_picture(&it.number, asker, token))) {
        // The client has this picture already: the answer is empty.
        Some(VisiblePicture::Picture(picture))
            if request
                .operation
                .and_then(|ask| ask.attr_text("id"))
                .is_some_and(|id| id == *picture.id) =>
        {
            IqAnswer::empty()
        }
        Some(VisiblePicture::Picture(picture)) => {
            IqAnswer::with_child(picture_node(request.server, picture, form))
        }
        Some(VisiblePicture::Hidden) => IqAnswer::Error(401, "not-authorized"),
        Some(VisiblePicture::Nothing) | None => IqAnswer::Error(404, "item-not-found"),
    }
}

pub(super) fn picture_node(server: &Server, picture: &ProfilePicture, form: PictureForm) -> Node {
    let path = picture.media_path(form);
    let kind = match form {
        PictureForm::Full => "image",
        PictureForm::Preview => "preview",
    };
    NodeBuilder::new("picture")
        .attr("id", picture.id.as_str())
        .attr("type", kind)
        .attr("url", format!("https://{}{path}", server.address))
        .attr("direct_path", path)
        .build()
}

fn parse_form(word: &str) -> Option<PictureForm> {
    match word {
        "image" => Some(PictureForm::Full),
        "preview" => Some(PictureForm::Preview),
        _ => None,
    }
}

/// Sets the account's own picture, or a group's; without content, removes it.
pub(crate) fn change_picture(request: &IqRequest<'_>) -> IqAnswer {
    let target = request
        .iq
        .attr_jid("target")
        .or_else(|| request.iq.attr_jid("to"));
    if let Some(group) = target.filter(JidExt::is_group) {
        return group_picture::change_picture(request, &group);
    }
    let is_own = |target: Jid| {
        let world = request.server.world.lock();
        world
            .account_of(&target)
            .is_some_and(|account| account.number == request.device.number)
    };
    if !request.iq.attr_jid("target").is_none_or(is_own) {
        return IqAnswer::Unknown;
    }
    let Some(bytes) = request.operation.and_then(StanzaExt::content_bytes) else {
        set_picture(request.server, request.device, None);
        return IqAnswer::empty();
    };
    let Ok(picture) = ProfilePicture::from_jpeg(bytes.to_vec()) else {
        return IqAnswer::Error(406, "not-acceptable");
    };
    let id = picture.id.clone();
    set_picture(request.server, request.device, Some(picture));
    IqAnswer::with_child(NodeBuilder::new("picture").attr("id", id).build())
}

/// Sets the account's picture for a device or the phone, and notifies its other devices; also its
/// peers, unless the picture is hidden.
pub(crate) fn set_picture(server: &Server, by: &DeviceId, picture: Option<ProfilePicture>) {
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
    notify_own_devices(server, by, &NodeBuilder::new("picture").build());
    if !is_hidden {
        notify_peers(server, by, "picture", &jid, &change);
    }
    server.changed.notify_waiters();
}

pub(crate) fn change_about(request: &IqRequest<'_>) -> IqAnswer {
    let about = request
        .operation
        .and_then(StanzaExt::content_bytes)
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    set_about(request.server, request.device, about.unwrap_or_default());
    IqAnswer::empty()
}

/// Sets the account's about text for a device or the phone, and notifies its peers.
pub(crate) fn set_about(server: &Server, by: &DeviceId, about: String) {
    let mut world = server.world.lock();
    let Some(account) = world.account_mut(&by.number) else {
        return;
    };
    let (jid, change) = (
        account.jid(account.addressing, 0),
        leaf_node("set", about.as_bytes()),
    );
    account.profile.about = about;
    drop(world);
    notify_peers(server, by, "status", &jid, &change);
    server.changed.notify_waiters();
}

pub(crate) fn list_about_texts(request: &IqRequest<'_>) -> IqAnswer {
    let world = request.server.world.lock();
    let users = request
        .operation
        .into_iter()
        .flat_map(|status| status.children_named("user"))
        .filter_map(|user| {
            let account = world.account_of(&user.attr_jid("jid")?)?;
            let user =
                NodeBuilder::new("user").attr("jid", account.jid(Addressing::PhoneNumber, 0));
            Some(
                user.children([leaf_node(
                    "status",
                    account.about_for(&request.device.number).as_bytes(),
                )])
                .build(),
            )
        });
    IqAnswer::with_child(
        NodeBuilder::new("status")
            .children(users.collect::<Vec<Node>>())
            .build(),
    )
}

/// Notifies the account's linked devices, except the one that made the change.
pub(crate) fn notify_own_devices(server: &Server, by: &DeviceId, change: &Node) {
    let (own, others) = {
        let world = server.world.lock();
        let Some(account) = world.account(&by.number) else {
            return;
        };
        (
            account.jid(Addressing::PhoneNumber, 0),
            account.other_devices(by.device),
        )
    };
    for device in others {
        notify_device(
            server,
            &device,
            NotificationHeader {
                kind: "account_sync",
                from: own.clone(),
                lid: None,
            },
            change.clone(),
        );
    }
}

/// Notifies the linked devices of the account's peers, except blocked ones.
fn notify_peers(server: &Server, by: &DeviceId, kind: &'static str, from: &Jid, change: &Node) {
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
            .flat_map(Account::linked_devices)
            .collect()
    };
    for device in devices {
        notify_device(
            server,
            &device,
            NotificationHeader {
                kind,
                from: from.clone(),
                lid: None,
            },
            change.clone(),
        );
    }
}
