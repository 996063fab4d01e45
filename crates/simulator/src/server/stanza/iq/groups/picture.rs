//! Pictures of groups: shown to members, and changed by those who may change the subject.

use wacore_binary::Jid;
use wacore_binary::builder::NodeBuilder;

use super::super::{IqAnswer, IqRequest, profile};
use super::refusal;
use crate::model::group::{FORBIDDEN, NOT_ACCEPTABLE, NOT_FOUND};
use crate::model::ids::DeviceId;
use crate::server::account::profile::{PictureForm, ProfilePicture};
use crate::server::stanza::{NotificationHeader, notify_device};
use crate::server::world::{Account, World};
use crate::wire::StanzaExt;

/// Returns the address of a group's picture.
pub(crate) fn answer_picture(
    request: &IqRequest<'_>,
    world: &World,
    group: &Jid,
    form: PictureForm,
) -> IqAnswer {
    let Some(group) = world.group_of(group) else {
        return refusal(NOT_FOUND);
    };
    if !group.members.contains_key(&request.device.number) {
        return IqAnswer::Error(401, "not-authorized");
    }
    let known = request.operation.and_then(|ask| ask.attr_text("id"));
    match world.group_pictures.get(&group.id) {
        None => refusal(NOT_FOUND),
        Some(picture) if known.is_some_and(|known| known == *picture.id) => IqAnswer::empty(),
        Some(picture) => IqAnswer::with_child(profile::picture_node(request.server, picture, form)),
    }
}

/// Sets a group's picture; without content, removes it.
pub(crate) fn change_picture(request: &IqRequest<'_>, group: &Jid) -> IqAnswer {
    let picture = match request.operation.and_then(StanzaExt::content_bytes) {
        None => None,
        Some(bytes) => match ProfilePicture::from_jpeg(bytes.to_vec()) {
            Ok(picture) => Some(picture),
            Err(_) => return refusal(NOT_ACCEPTABLE),
        },
    };
    let own = &request.device.number;
    let (devices, news, answer): (Vec<DeviceId>, _, _) = {
        let mut world = request.server.world.lock();
        let Some(found) = world.group_of(group).cloned() else {
            return refusal(NOT_FOUND);
        };
        if !found.members.contains_key(own) || (found.locked && !found.is_admin(own)) {
            return refusal(FORBIDDEN);
        }
        let author = world
            .account(own)
            .map(|account| account.jid(found.addressing, 0));
        let (news, answer) = match &picture {
            Some(picture) => {
                let id = picture.id.as_str();
                let answer = NodeBuilder::new("picture").attr("id", id).build();
                (
                    NodeBuilder::new("set").attr("id", id),
                    IqAnswer::with_child(answer),
                )
            }
            None => (NodeBuilder::new("delete"), IqAnswer::empty()),
        };
        let mut news = news.attr("jid", group.clone());
        if let Some(author) = author {
            news = news.attr("author", author);
        }
        match picture {
            Some(picture) => drop(world.group_pictures.insert(found.id.clone(), picture)),
            None => drop(world.group_pictures.remove(&found.id)),
        }
        let members = found
            .members
            .keys()
            .filter_map(|number| world.account(number));
        let devices = members.flat_map(Account::linked_devices);
        (devices.collect(), news.build(), answer)
    };
    for device in devices.iter().filter(|device| *device != request.device) {
        let header = NotificationHeader {
            kind: "picture",
            from: group.clone(),
            lid: None,
        };
        notify_device(request.server, device, header, news.clone());
    }
    request.server.changed.notify_waiters();
    answer
}
