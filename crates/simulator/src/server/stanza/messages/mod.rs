//! Messages: received from a client, acknowledged, and fanned out to every device they are
//! encrypted for.

pub mod group_message;
pub mod newsletter;
pub mod phone_message;
pub mod receipt;
pub mod retries;
pub mod sender_key_message;
pub mod status;

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt, Node};
use waproto::whatsapp as wa;

use super::{device_list, new_chat_cap};
use crate::model::device::ConnectionHandle;
use crate::model::faults::AckFault;
use crate::model::ids::{Chat, DeviceId, PhoneNumber};
use crate::model::options::Addressing;
use crate::model::queue::StanzaClass;
use crate::server::Server;
use crate::server::phone_state::{EncryptedPart, IncomingMessage, ReceiveOutcome};
use crate::server::world::World;
use crate::wire::{StanzaExt, unix_time};

/// The parts of a message that every recipient gets besides its own ciphertext.
pub(crate) const FORWARDED_TAGS: [&str; 4] = ["meta", "reporting", "biz", "bot"];

/// The code for a message to an address without an account.
const NO_SUCH_RECIPIENT: u16 = 404;
/// The code for a message to a person whom a restricted account may not write to.
const NEW_CHAT_REFUSED: u16 = 463;

/// A message for a phone, and that phone's number.
pub(crate) struct PhoneDelivery {
    pub(crate) number: PhoneNumber,
    pub(crate) arrival: IncomingMessage,
    pub(crate) addressing: Addressing,
}

/// Handles a message from a linked device.
pub(crate) fn handle_message(
    server: &Arc<Server>,
    connection: &ConnectionHandle,
    sender: &DeviceId,
    node: &Node,
) {
    let (Some(id), Some(to)) = (node.attr_text("id"), node.attr_jid("to")) else {
        server
            .world
            .lock()
            .count_unknown("<message> without id or to".to_owned());
        return;
    };
    let (fault, refused, is_told, correction) = {
        let mut world = server.world.lock();
        let refused = match to.is_group() {
            true => group_message::refusal_code(&world, sender, &to),
            false if to.is_status_broadcast() => None,
            false if to.is_newsletter() => newsletter::refusal_code(&world, sender, &to, &id, node),
            false => refusal_code(&world, sender, &to, node),
        };
        if refused == Some(NEW_CHAT_REFUSED) {
            world.count_refusal(&sender.number);
        }
        let fault = world.switches.ack;
        let is_new = refused.is_none()
            && !matches!(fault, AckFault::Refuse(_))
            && is_new_chat(&world, sender, &to, node);
        let is_told = is_new && world.count_new_chat(&sender.number);
        (
            fault,
            refused,
            is_told,
            device_list::corrected_hash(&world, sender, &to, node),
        )
    };
    let error = match fault {
        AckFault::Refuse(code) => Some(code),
        _ => refused,
    };
    // The ack carries the post's server id.
    let place = if error.is_none() && to.is_newsletter() {
        newsletter::publish_post(server, sender, node)
    } else {
        None
    };
    let ack = ack_node(&id, &to, error, place, correction);
    match fault {
        AckFault::Drop => {}
        AckFault::Delay(time) => {
            let (connection, stop) = (connection.clone(), server.stop.clone());
            server.tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(time) => connection.send(ack),
                }
            });
        }
        AckFault::None | AckFault::Refuse(_) => connection.send(ack),
    }
    if is_told {
        new_chat_cap::notify_cap(server, &sender.number);
    }
    server.changed.notify_waiters();
    if error.is_none() && !to.is_newsletter() {
        let for_phones = route_message(server, sender, node);
        deliver_to_phones(server, for_phones);
    }
}

/// Returns the code of a refused message to a person: the recipient does not exist, or the account
/// may not write to them. A resent message was accepted before.
fn refusal_code(world: &World, sender: &DeviceId, to: &Jid, node: &Node) -> Option<u16> {
    let Some(recipient) = world.account_of(to) else {
        return Some(NO_SUCH_RECIPIENT);
    };
    let may_write = is_sent_again(node)
        || world.can_write(
            &sender.number,
            &recipient.number,
            node.child_bytes("tctoken"),
            node.child_bytes("cstoken"),
        );
    (!may_write).then_some(NEW_CHAT_REFUSED)
}

fn is_sent_again(node: &Node) -> bool {
    node.child("enc")
        .is_some_and(|enc| enc.attr_text("count").is_some())
}

/// Whether a message goes to a person who does not trust the account.
fn is_new_chat(world: &World, sender: &DeviceId, to: &Jid, node: &Node) -> bool {
    let is_of_many = to.is_group() || to.is_status_broadcast() || to.is_newsletter();
    let given = node.child_bytes("tctoken");
    !is_of_many
        && !is_sent_again(node)
        && world
            .account_of(to)
            .is_some_and(|it| world.is_new_chat(&sender.number, &it.number, given))
}

fn ack_node(
    id: &str,
    to: &Jid,
    error: Option<u16>,
    place: Option<u64>,
    correction: Option<String>,
) -> Node {
    let mut ack = NodeBuilder::new("ack")
        .attr("class", "message")
        .attr("id", id)
        .attr("from", to.clone())
        .attr("t", unix_time().to_string());
    if let Some(place) = place {
        ack = ack.attr("server_id", place.to_string());
    }
    if let Some(devices) = correction.filter(|_| error.is_none()) {
        ack = ack.attr("phash", devices);
    }
    match error {
        Some(code) => ack.attr("error", code.to_string()).build(),
        None => ack.build(),
    }
}

/// Queues a message for every linked device it is for, and returns the messages for phones.
///
/// Locks only the world, so that a phone may call it while holding its own lock.
pub(crate) fn route_message(server: &Server, sender: &DeviceId, node: &Node) -> Vec<PhoneDelivery> {
    let (Some(id), Some(to)) = (node.attr_text("id"), node.attr_jid("to")) else {
        return Vec::new();
    };
    if to.is_group() {
        return group_message::route_group_message(server, sender, node);
    }
    if to.is_status_broadcast() {
        return status::route_status(server, sender, node);
    }
    // A resent copy goes to one own device, and names the chat it belongs to.
    let chat = node.attr_jid("recipient").unwrap_or_else(|| to.clone());
    let mut world = server.world.lock();
    let fault = world.switches.delivery;
    let mut for_phones = Vec::new();
    for (target, encrypted) in device_ciphertexts(node, &to) {
        let Some(recipient) = world.account_of(&target) else {
            continue;
        };
        let recipient = DeviceId {
            number: recipient.number.clone(),
            device: target.device,
        };
        // Blocked senders are not notified: their messages are accepted, and go nowhere.
        if recipient == *sender || world.has_blocked(&recipient.number, &sender.number) {
            continue;
        }
        let Some(envelope) = DirectEnvelope::new(
            &world,
            sender,
            &recipient,
            &chat,
            Addressing::from_jid(&target),
        ) else {
            continue;
        };
        world.add_peers(&sender.number, &recipient.number);
        if recipient.device == 0 {
            for_phones.extend(envelope.phone_delivery(&id, encrypted));
        } else {
            let stanza = envelope.build_stanza(&id, node, encrypted);
            if let Some(device) = world.device_mut(&recipient.number, recipient.device) {
                device.enqueue(
                    StanzaClass::Message,
                    &id,
                    envelope.from.clone(),
                    stanza,
                    fault,
                );
            }
        }
    }
    for_phones
}

/// Returns each ciphertext of a message with its device: one `<to>` per device, or a bare `<enc>`
/// for a single device. One client puts both into a resent message; the bare one is the newer and
/// the only one passed on.
fn device_ciphertexts<'a>(node: &'a Node, to: &Jid) -> Vec<(Jid, &'a Node)> {
    if let Some(direct) = node.child("enc") {
        return vec![(to.clone(), direct)];
    }
    let fanout = node
        .child("participants")
        .into_iter()
        .flat_map(|participants| participants.children_named("to"));
    fanout
        .filter_map(|target| Some((target.attr_jid("jid")?, target.child("enc")?)))
        .collect()
}

/// A message as one of its recipients sees it.
struct DirectEnvelope {
    sender: DeviceId,
    sender_lid: String,
    recipient: PhoneNumber,
    push_name: String,
    from: Jid,
    /// The sender's other address: the LID beside a phone number, or the reverse.
    from_alt: Jid,
    /// The chat of a copy for the sender's own devices, with the peer's other address.
    chat: Option<(Jid, Jid)>,
    chat_number: PhoneNumber,
    addressing: Addressing,
    hides_number: bool,
}

impl DirectEnvelope {
    fn new(
        world: &World,
        sender: &DeviceId,
        recipient: &DeviceId,
        chat: &Jid,
        addressing: Addressing,
    ) -> Option<Self> {
        let account = world.account(&sender.number)?;
        let peer = world.account_of(chat)?;
        let own_copy = recipient.number == sender.number;
        Some(Self {
            sender: sender.clone(),
            sender_lid: account.lid.to_string(),
            recipient: recipient.number.clone(),
            push_name: account.push_name.clone(),
            from: account.jid(addressing, sender.device),
            from_alt: account.jid(addressing.opposite(), 0),
            chat: own_copy.then(|| (peer.jid(addressing, 0), peer.jid(addressing.opposite(), 0))),
            chat_number: if own_copy {
                peer.number.clone()
            } else {
                sender.number.clone()
            },
            addressing,
            hides_number: account.hides_number,
        })
    }

    fn build_stanza(&self, id: &str, sent: &Node, encrypted: &Node) -> Node {
        let mut stanza = NodeBuilder::new("message")
            .attr("from", self.from.clone())
            .attr("id", id)
            .attr("t", unix_time().to_string())
            .attr(
                "type",
                sent.attr_text("type").unwrap_or("text".into()).into_owned(),
            )
            .attr("notify", self.push_name.as_str());
        stanza = match (&self.chat, self.addressing) {
            (Some((chat, alt)), Addressing::Lid) => stanza
                .attr("recipient", chat.clone())
                .attr("peer_recipient_pn", alt.clone()),
            (Some((chat, _)), Addressing::PhoneNumber) => stanza.attr("recipient", chat.clone()),
            (None, _) if self.hides_number => stanza,
            (None, Addressing::Lid) => stanza.attr("sender_pn", self.from_alt.clone()),
            (None, Addressing::PhoneNumber) => stanza.attr("sender_lid", self.from_alt.clone()),
        };
        for name in ["category", "edit"] {
            if let Some(value) = sent.attr_text(name) {
                stanza = stanza.attr(name, value.into_owned());
            }
        }
        let identity = sent
            .child("device-identity")
            .filter(|_| encrypted.attr_text("type").as_deref() == Some("pkmsg"));
        let passed_on = FORWARDED_TAGS.iter().filter_map(|tag| sent.child(tag));
        let children = [encrypted].into_iter().chain(identity).chain(passed_on);
        stanza
            .children(children.cloned().collect::<Vec<_>>())
            .build()
    }

    fn phone_delivery(&self, id: &str, encrypted: &Node) -> Option<PhoneDelivery> {
        let arrival = IncomingMessage {
            id: id.to_owned(),
            from: self.sender.number.clone(),
            from_lid: self.sender_lid.clone(),
            addressing: self.addressing,
            from_device: self.sender.device,
            address: self.from.to_non_ad().to_string(),
            chat: Chat::Person(self.chat_number.clone()),
            from_me: self.chat.is_some(),
            sealed: encrypted_parts([encrypted]),
            timestamp: unix_time(),
        };
        Some(PhoneDelivery {
            number: self.recipient.clone(),
            arrival,
            addressing: self.addressing,
        })
    }
}

/// Reads the `<enc>`s of a message for a phone.
pub(crate) fn encrypted_parts<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Vec<EncryptedPart> {
    let one = |node: &Node| {
        let (kind, bytes) = (
            node.attr_text("type")?.into_owned(),
            node.content_bytes()?.to_vec(),
        );
        Some(EncryptedPart { kind, bytes })
    };
    nodes.into_iter().filter_map(one).collect()
}

/// Delivers messages to phones. No lock may be held: a phone's answer can reach any other phone.
pub(crate) fn deliver_to_phones(server: &Arc<Server>, for_phones: Vec<PhoneDelivery>) {
    for PhoneDelivery {
        number,
        arrival,
        addressing,
    } in for_phones
    {
        let Some(phone_state) = server
            .world
            .lock()
            .account(&number)
            .map(|account| account.phone_state.clone())
        else {
            continue;
        };
        let (reaction, receipts, peers) = {
            let mut phone_state = phone_state.lock();
            (
                phone_state.receive(&arrival, &server.media),
                phone_state.receipt_policy,
                phone_state.peer_policy,
            )
        };
        server.changed.notify_waiters();
        let phone = DeviceId { number, device: 0 };
        let sender = DeviceId {
            number: arrival.from.clone(),
            device: arrival.from_device,
        };
        match reaction {
            ReceiveOutcome::Delivered | ReceiveOutcome::Duplicate => {
                if !arrival.from_me && receipts == crate::model::behaviour::ReceiptPolicy::Automatic
                {
                    let ids = std::slice::from_ref(&arrival.id);
                    let outgoing = receipt::OutgoingReceipt {
                        chat: &arrival.chat,
                        sender: &sender,
                        ids,
                        kind: "",
                    };
                    receipt::send_phone_receipt(server, &phone, &outgoing, addressing);
                }
            }
            ReceiveOutcome::Retry { count } => {
                retries::send_phone_retry(server, &phone, &sender, &arrival, count, addressing);
            }
            ReceiveOutcome::GivenUp => {}
            ReceiveOutcome::Peer(_) if peers == crate::model::behaviour::PeerRequests::Ignored => {}
            ReceiveOutcome::Peer(protocol) => {
                answer_own_device(server, &sender, &arrival.id, &protocol)
            }
        }
    }
}

/// Answers a linked device for the phone of its account.
fn answer_own_device(
    server: &Arc<Server>,
    device: &DeviceId,
    id: &str,
    protocol: &wa::message::ProtocolMessage,
) {
    use wa::message::protocol_message::Type;
    let answered = match protocol.r#type {
        Some(Type::APP_STATE_SYNC_KEY_REQUEST) => {
            let Some(phone_state) = server
                .world
                .lock()
                .account(&device.number)
                .map(|account| account.phone_state.clone())
            else {
                return;
            };
            let asked = protocol
                .app_state_sync_key_request
                .as_option()
                .cloned()
                .unwrap_or_default();
            let share = phone_state.lock().app_state.requested_keys_message(&asked);
            phone_message::send_to_own_device(server, device, &share)
        }
        Some(Type::PEER_DATA_OPERATION_REQUEST_MESSAGE) => {
            let asked = protocol
                .peer_data_operation_request_message
                .as_option()
                .cloned()
                .unwrap_or_default();
            server.own_phone.answer_request(server, device, id, &asked)
        }
        _ => return,
    };
    if let Err(error) = answered {
        tracing::warn!(
            error = format!("{error:#}"),
            "a phone could not answer its own device"
        );
    }
}
