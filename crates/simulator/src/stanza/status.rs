//! Statuses: encrypted like group messages, for an audience that the poster names by LID, and
//! routed to the audience's devices.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::Message;
use waproto::whatsapp as wa;

use super::group_message::{Envelope, keys, share_key};
use super::message::ToPhone;
use super::phone_message::{names, open_sessions};
use super::{Stanza, many};
use crate::Addressing;
use crate::handset::Sent;
use crate::queue::Class;
use crate::server::Server;
use crate::world::{Account, Chat, DeviceId, Number, World};

/// Queues a status for every linked device of the people named by its `<participants>`, by user or
/// by device, and returns the messages for phones. A resent status names the one device it is for.
pub(super) fn route(server: &Server, sender: &DeviceId, node: &Node) -> Vec<ToPhone> {
    let Some(id) = node.word("id") else {
        return Vec::new();
    };
    let mut world = server.world.lock();
    let fault = world.switches.delivery;
    let (keys, for_all) = (keys(&world, node), node.child("enc"));
    let targets = match node.jid("participant") {
        Some(one) => {
            let account = world.account_of(&one).map(|account| account.number.clone());
            account
                .map(|number| DeviceId {
                    number,
                    device: one.device,
                })
                .into_iter()
                .collect()
        }
        None => {
            let mut people = people(&world, node);
            people.retain(|number| !world.has_blocked(number, &sender.number));
            devices(&world, &people)
        }
    };
    let Some(envelope) = Envelope::new(&world, sender, Chat::Status, Addressing::Lid) else {
        return Vec::new();
    };
    let mut for_phones = Vec::new();
    for recipient in targets.into_iter().filter(|recipient| recipient != sender) {
        let key = keys
            .iter()
            .find(|(device, _)| *device == recipient)
            .map(|(_, key)| *key);
        let sealed: Vec<&Node> = key.into_iter().chain(for_all).collect();
        if recipient.device == 0 {
            for_phones.push(envelope.for_phone(&id, &recipient, &sealed));
        } else {
            let stanza = envelope.stanza(&id, node, &sealed);
            if let Some(device) = world.device_mut(&recipient.number, recipient.device) {
                device.enqueue(
                    Class::Message,
                    &id,
                    envelope.participant.clone(),
                    stanza,
                    fault,
                );
            }
        }
    }
    for_phones
}

/// Returns the audience of a status.
fn people(world: &World, node: &Node) -> BTreeSet<Number> {
    let named = node
        .child("participants")
        .into_iter()
        .flat_map(|participants| participants.all("to"));
    named
        .filter_map(|to| Some(world.account_of(&to.jid("jid")?)?.number.clone()))
        .collect()
}

fn devices(world: &World, people: &BTreeSet<Number>) -> Vec<DeviceId> {
    people
        .iter()
        .filter_map(|number| world.account(number))
        .flat_map(Account::all_devices)
        .collect()
}

/// Posts a status of the phone for an audience; its own linked devices get it, too.
pub(crate) fn send(
    server: &Arc<Server>,
    from: &Number,
    audience: &[Number],
    id: &str,
    kind: &'static str,
    message: &wa::Message,
) -> anyhow::Result<()> {
    let own = DeviceId {
        number: from.clone(),
        device: 0,
    };
    let people: BTreeSet<Number> = audience.iter().chain([from]).cloned().collect();
    let (handset, devices) = {
        let world = server.world.lock();
        let devices = devices(&world, &people)
            .into_iter()
            .filter(|device| *device != own)
            .collect::<Vec<_>>();
        (
            world
                .account(from)
                .context("no such sender")?
                .handset
                .clone(),
            devices,
        )
    };
    let chat = Chat::Status.to_string();
    let strangers = handset.lock().sender_keys.strangers(&chat, &devices);
    open_sessions(server, &handset, &strangers, Addressing::Lid)?;

    let mut phone = handset.lock();
    let message_bytes = message.encode_to_vec();
    let sent = Sent {
        id: id.to_owned(),
        to: Chat::Status,
        kind,
        message: message_bytes,
        is_peer: false,
    };
    phone.remember(sent.clone());
    let mut participants = share_key(server, &mut phone, &chat, strangers, Addressing::Lid)?;
    // People that have the key already are named without it.
    for number in &people {
        let Some((_, jid)) = names(
            server,
            &DeviceId {
                number: number.clone(),
                device: 0,
            },
            Addressing::Lid,
        ) else {
            continue;
        };
        let is_named = |to: &Node| to.jid("jid").is_some_and(|named| named.user == jid.user);
        if !participants.iter().any(is_named) {
            participants.push(NodeBuilder::new("to").attr("jid", jid).build());
        }
    }
    let stanza = many::seal(&mut phone, &sent, message, participants, Addressing::Lid)?;
    many::leave(server, from, phone, &stanza);
    Ok(())
}
