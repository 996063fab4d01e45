//! Statuses: encrypted like group messages, for an audience that the poster names by LID, and
//! routed to the audience's devices.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::Message;
use waproto::whatsapp as wa;

use super::group_message::{SenderKeyEnvelope, sender_key_nodes, share_sender_key};
use super::phone_message::{device_names, open_sessions};
use super::{PhoneDelivery, sender_key_message};
use crate::model::ids::{Chat, DeviceId, PhoneNumber};
use crate::model::options::Addressing;
use crate::model::queue::StanzaClass;
use crate::server::Server;
use crate::server::phone_state::SentMessage;
use crate::server::world::{Account, World};
use crate::wire::StanzaExt;

/// Queues a status for every linked device of the people named by its `<participants>`, by user or
/// by device, and returns the messages for phones. A resent status names the one device it is for.
pub(crate) fn route_status(server: &Server, sender: &DeviceId, node: &Node) -> Vec<PhoneDelivery> {
    let Some(id) = node.attr_text("id") else {
        return Vec::new();
    };
    let mut world = server.world.lock();
    let fault = world.switches.delivery;
    let (keys, for_all) = (sender_key_nodes(&world, node), node.child("enc"));
    let targets = match node.attr_jid("participant") {
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
            let mut people = read_audience(&world, node);
            people.retain(|number| !world.has_blocked(number, &sender.number));
            audience_devices(&world, &people)
        }
    };
    let Some(envelope) = SenderKeyEnvelope::new(&world, sender, Chat::Status, Addressing::Lid)
    else {
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
            for_phones.push(envelope.phone_delivery(&id, &recipient, &sealed));
        } else {
            let stanza = envelope.build_stanza(&id, node, &sealed);
            if let Some(device) = world.device_mut(&recipient.number, recipient.device) {
                device.enqueue(
                    StanzaClass::Message,
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
fn read_audience(world: &World, node: &Node) -> BTreeSet<PhoneNumber> {
    let named = node
        .child("participants")
        .into_iter()
        .flat_map(|participants| participants.children_named("to"));
    named
        .filter_map(|to| Some(world.account_of(&to.attr_jid("jid")?)?.number.clone()))
        .collect()
}

fn audience_devices(world: &World, people: &BTreeSet<PhoneNumber>) -> Vec<DeviceId> {
    people
        .iter()
        .filter_map(|number| world.account(number))
        .flat_map(Account::all_devices)
        .collect()
}

/// Posts a status of the phone for an audience; its own linked devices get it, too.
pub(crate) fn send_status(
    server: &Arc<Server>,
    from: &PhoneNumber,
    audience: &[PhoneNumber],
    id: &str,
    kind: &'static str,
    message: &wa::Message,
) -> anyhow::Result<()> {
    let own = DeviceId {
        number: from.clone(),
        device: 0,
    };
    let people: BTreeSet<PhoneNumber> = audience.iter().chain([from]).cloned().collect();
    let (phone_state, devices) = {
        let world = server.world.lock();
        let devices = audience_devices(&world, &people)
            .into_iter()
            .filter(|device| *device != own)
            .collect::<Vec<_>>();
        (
            world
                .account(from)
                .context("no such sender")?
                .phone_state
                .clone(),
            devices,
        )
    };
    let chat = Chat::Status.to_string();
    let strangers = phone_state
        .lock()
        .sender_keys
        .devices_without_key(&chat, &devices);
    open_sessions(server, &phone_state, &strangers, Addressing::Lid)?;

    let mut phone = phone_state.lock();
    let message_bytes = message.encode_to_vec();
    let sent = SentMessage {
        id: id.to_owned(),
        to: Chat::Status,
        kind,
        message: message_bytes,
        is_peer: false,
    };
    phone.remember_sent(sent.clone());
    let mut participants = share_sender_key(server, &mut phone, &chat, strangers, Addressing::Lid)?;
    // People that have the key already are named without it.
    for number in &people {
        let Some((_, jid)) = device_names(
            server,
            &DeviceId {
                number: number.clone(),
                device: 0,
            },
            Addressing::Lid,
        ) else {
            continue;
        };
        let is_named = |to: &Node| {
            to.attr_jid("jid")
                .is_some_and(|named| named.user == jid.user)
        };
        if !participants.iter().any(is_named) {
            participants.push(NodeBuilder::new("to").attr("jid", jid).build());
        }
    }
    let stanza = sender_key_message::encrypt_for_all(
        &mut phone,
        &sent,
        message,
        participants,
        Addressing::Lid,
    )?;
    sender_key_message::route_and_deliver(server, from, phone, &stanza);
    Ok(())
}
