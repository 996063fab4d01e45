//! Group messages: encrypted once with the sender's key, which goes to each device that does not
//! have it, and routed to the devices of all members.

use std::sync::Arc;

use anyhow::Context;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp as wa;

use super::phone_message::{device_names, enc_node, open_sessions};
use super::{FORWARDED_TAGS, PhoneDelivery, encrypted_parts, sender_key_message};
use crate::model::group::{FORBIDDEN, GroupId};
use crate::model::ids::{Chat, DeviceId, PhoneNumber};
use crate::model::message_attributes::MessageAttributes;
use crate::model::options::Addressing;
use crate::model::queue::StanzaClass;
use crate::server::Server;
use crate::server::phone_state::{IncomingMessage, PhoneState, SentMessage};
use crate::server::stanza::group::{group_jid, other_address_name};
use crate::server::world::World;
use crate::wire::{StanzaExt, unix_time};

/// The code for a message to a group that does not exist.
const NO_SUCH_GROUP: u16 = 404;

/// Returns the code with which WhatsApp refuses a message of this device to this group; `None` if
/// it is accepted.
pub(crate) fn refusal_code(world: &World, sender: &DeviceId, group: &Jid) -> Option<u16> {
    match world.group_of(group) {
        None => Some(NO_SUCH_GROUP),
        Some(group) => (!group.can_write(&sender.number)).then_some(FORBIDDEN),
    }
}

/// Queues a group message for every linked device of the members, and returns the messages for
/// phones. A resent message names the one device it is for.
pub(crate) fn route_group_message(
    server: &Server,
    sender: &DeviceId,
    node: &Node,
) -> Vec<PhoneDelivery> {
    let (Some(id), Some(to)) = (node.attr_text("id"), node.attr_jid("to")) else {
        return Vec::new();
    };
    let mut world = server.world.lock();
    let fault = world.switches.delivery;
    let Some(group) = world.group_of(&to).cloned() else {
        return Vec::new();
    };
    let keys = sender_key_nodes(&world, node);
    let for_all = node.child("enc");
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
        None => world.group_devices(&group),
    };
    let chat = Chat::Group(group.id.clone());
    let Some(envelope) = SenderKeyEnvelope::new(&world, sender, chat, group.addressing) else {
        return Vec::new();
    };
    let mut for_phones = Vec::new();
    for recipient in targets {
        if recipient == *sender || !group.members.contains_key(&recipient.number) {
            continue;
        }
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

/// Returns the sender's key, encrypted for each device that does not have it.
pub(crate) fn sender_key_nodes<'a>(world: &World, node: &'a Node) -> Vec<(DeviceId, &'a Node)> {
    let fanout = node
        .child("participants")
        .into_iter()
        .flat_map(|participants| participants.children_named("to"));
    let one = |to: &'a Node| {
        let jid = to.attr_jid("jid")?;
        let number = world.account_of(&jid)?.number.clone();
        Some((
            DeviceId {
                number,
                device: jid.device,
            },
            to.child("enc")?,
        ))
    };
    fanout.filter_map(one).collect()
}

/// The parts of a group message, or of a status, that are the same for all recipients.
pub(crate) struct SenderKeyEnvelope {
    sender: DeviceId,
    sender_lid: String,
    push_name: String,
    chat: Chat,
    addressing: Addressing,
    /// The sending device, in the addressing of the group.
    pub(crate) participant: Jid,
    /// The sender's other address.
    other_address: Jid,
}

impl SenderKeyEnvelope {
    pub(crate) fn new(
        world: &World,
        sender: &DeviceId,
        chat: Chat,
        addressing: Addressing,
    ) -> Option<Self> {
        let account = world.account(&sender.number)?;
        Some(Self {
            sender: sender.clone(),
            sender_lid: account.lid.to_string(),
            push_name: account.push_name.clone(),
            chat,
            addressing,
            participant: account.jid(addressing, sender.device),
            other_address: account.jid(addressing.opposite(), 0),
        })
    }

    pub(crate) fn build_stanza(&self, id: &str, sent: &Node, sealed: &[&Node]) -> Node {
        let mut stanza = NodeBuilder::new("message");
        stanza = match &self.chat {
            Chat::Group(group) => stanza.attr("from", group_jid(group)),
            _ => stanza.attr("from", Jid::status_broadcast()),
        };
        stanza = stanza
            .attr("addressing_mode", addressing_mode(self.addressing))
            .attr("participant", self.participant.clone())
            .attr(
                other_address_name(self.addressing),
                self.other_address.clone(),
            )
            .attr("id", id)
            .attr("t", unix_time().to_string())
            .attr(
                "type",
                sent.attr_text("type").unwrap_or("text".into()).into_owned(),
            )
            .attr("notify", self.push_name.as_str());
        if let Some(edit) = sent.attr_text("edit") {
            stanza = stanza.attr("edit", edit.into_owned());
        }
        let opens_session = sealed
            .iter()
            .any(|node| node.attr_text("type").as_deref() == Some("pkmsg"));
        let identity = sent.child("device-identity").filter(|_| opens_session);
        let passed_on = FORWARDED_TAGS.iter().filter_map(|tag| sent.child(tag));
        let children = sealed.iter().copied().chain(identity).chain(passed_on);
        stanza
            .children(children.cloned().collect::<Vec<_>>())
            .build()
    }

    pub(crate) fn phone_delivery(
        &self,
        id: &str,
        recipient: &DeviceId,
        nodes: &[&Node],
    ) -> PhoneDelivery {
        let arrival = IncomingMessage {
            id: id.to_owned(),
            from: self.sender.number.clone(),
            from_lid: self.sender_lid.clone(),
            addressing: self.addressing,
            from_device: self.sender.device,
            address: self.participant.to_non_ad().to_string(),
            chat: self.chat.clone(),
            from_me: recipient.number == self.sender.number,
            sealed: encrypted_parts(nodes.iter().copied()),
            timestamp: unix_time(),
        };
        PhoneDelivery {
            number: recipient.number.clone(),
            arrival,
            addressing: self.addressing,
        }
    }
}

/// A group's addressing mode, in the word of the stanzas.
pub(crate) const fn addressing_mode(addressing: Addressing) -> &'static str {
    match addressing {
        Addressing::PhoneNumber => "pn",
        Addressing::Lid => "lid",
    }
}

/// Sends a message of the phone to a group: its key to the devices that do not have it, the message
/// to all.
pub(crate) fn send_to_group(
    server: &Arc<Server>,
    from: &PhoneNumber,
    group: &GroupId,
    id: &str,
    kind: &'static str,
    message: &wa::Message,
) -> anyhow::Result<()> {
    let own = DeviceId {
        number: from.clone(),
        device: 0,
    };
    let (phone_state, addressing, devices) = {
        let world = server.world.lock();
        let group = world.groups.get(group).context("no such group")?;
        anyhow::ensure!(group.can_write(from), "{from} may not write to this group");
        let devices = world
            .group_devices(group)
            .into_iter()
            .filter(|device| *device != own)
            .collect::<Vec<_>>();
        let sender = world.account(from).context("no such sender")?;
        (sender.phone_state.clone(), group.addressing, devices)
    };
    let chat = Chat::Group(group.clone()).to_string();
    let strangers = phone_state
        .lock()
        .sender_keys
        .devices_without_key(&chat, &devices);
    open_sessions(server, &phone_state, &strangers, addressing)?;

    let mut phone = phone_state.lock();
    let sent = SentMessage {
        id: id.to_owned(),
        to: Chat::Group(group.clone()),
        kind,
        message: message.encode_to_vec(),
        is_peer: false,
    };
    phone.remember_sent(sent.clone());
    let participants = share_sender_key(server, &mut phone, &chat, strangers, addressing)?;
    let stanza =
        sender_key_message::encrypt_for_all(&mut phone, &sent, message, participants, addressing)?;
    sender_key_message::route_and_deliver(server, from, phone, &stanza);
    Ok(())
}

/// Encrypts the phone's key for devices that do not have it, and marks it as shared with them.
pub(crate) fn share_sender_key(
    server: &Server,
    phone: &mut PhoneState,
    chat: &str,
    strangers: Vec<DeviceId>,
    addressing: Addressing,
) -> anyhow::Result<Vec<Node>> {
    let key = key_distribution_message(chat, phone.sender_keys.distribution_message(chat)?)
        .encode_to_vec();
    let mut participants = Vec::with_capacity(strangers.len());
    for stranger in strangers {
        // A device that has just been logged out gets nothing.
        let Some((user, jid)) = device_names(server, &stranger, addressing) else {
            continue;
        };
        let sealed = phone.signal.encrypt(&user, stranger.device, &key)?;
        participants.push(
            NodeBuilder::new("to")
                .attr("jid", jid)
                .children([enc_node(&sealed, None, &MessageAttributes::default())])
                .build(),
        );
        phone.sender_keys.mark_shared(chat, stranger);
    }
    Ok(participants)
}

/// Resends one of the phone's group messages to the one device that could not decrypt it.
pub(crate) fn resend_to_group(
    server: &Arc<Server>,
    from: &PhoneNumber,
    to: &DeviceId,
    group: &GroupId,
    sent: &SentMessage,
    count: u32,
) -> anyhow::Result<()> {
    let addressing = {
        let world = server.world.lock();
        let group = world.groups.get(group).context("no such group")?;
        anyhow::ensure!(
            group.members.contains_key(&to.number),
            "{} is no member of this group",
            to.number
        );
        group.addressing
    };
    sender_key_message::resend_to_device(server, from, to, sent, count, addressing)
}

fn key_distribution_message(group: &str, distribution: Vec<u8>) -> wa::Message {
    wa::Message {
        sender_key_distribution_message: MessageField::some(
            wa::message::SenderKeyDistributionMessage {
                group_id: Some(group.to_owned()),
                axolotl_sender_key_distribution_message: Some(distribution),
            },
        ),
        ..Default::default()
    }
}
