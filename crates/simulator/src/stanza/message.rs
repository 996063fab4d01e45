//! Messages: taken from a client or a phone, acknowledged, and fanned out to every device they are encrypted for.

use std::sync::Arc;

use anyhow::Context;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp as wa;

use super::{Stanza, iq::prekeys, receipt, server_jid, unix_time};
use crate::device::{Bundle, Connection};
use crate::faults::AckFault;
use crate::handset::{Arrival, Reaction};
use crate::queue::Class;
use crate::server::Server;
use crate::signal::Ciphertext;
use crate::world::{Account, DeviceId, Number, World};

/// What a recipient gets of a message besides its own ciphertext.
const PASSED_ON: [&str; 4] = ["meta", "reporting", "biz", "bot"];

/// The code for a message to an address that is no account.
const NO_SUCH_RECIPIENT: u16 = 404;

/// A message for a phone, and which phone.
pub(crate) struct ToPhone {
    number: Number,
    arrival: Arrival,
    /// Whether the sender addressed it by LID.
    lid: bool,
}

/// Takes a message from a linked device.
pub(crate) fn take(server: &Arc<Server>, connection: &Connection, sender: &DeviceId, node: &Node) {
    let (Some(id), Some(to)) = (node.word("id"), node.jid("to")) else {
        server.world.lock().count_unknown("<message> without id or to".to_owned());
        return;
    };
    let fault = server.world.lock().switches.ack;
    let known = server.world.lock().account_of(&to).is_some();
    let error = match fault {
        AckFault::Refuse(code) => Some(code),
        _ if !known => Some(NO_SUCH_RECIPIENT),
        _ => None,
    };
    let ack = ack(&id, &to, error);
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
    if error.is_none() {
        let for_phones = route(server, sender, node);
        deliver(server, for_phones);
    }
}

fn ack(id: &str, to: &Jid, error: Option<u16>) -> Node {
    let ack = NodeBuilder::new("ack")
        .attr("class", "message")
        .attr("id", id)
        .attr("from", to.clone())
        .attr("t", unix_time().to_string());
    match error {
        Some(code) => ack.attr("error", code.to_string()).build(),
        None => ack.build(),
    }
}

/// Puts a message into the queue of every linked device it is for, and returns what is for phones.
///
/// Takes only the lock of the world, so that a phone may call it while it holds its own.
fn route(server: &Server, sender: &DeviceId, node: &Node) -> Vec<ToPhone> {
    let (Some(id), Some(to)) = (node.word("id"), node.jid("to")) else {
        return Vec::new();
    };
    let mut world = server.world.lock();
    let fault = world.switches.delivery;
    let mut for_phones = Vec::new();
    for (target, encrypted) in ciphertexts(node, &to) {
        let Some(recipient) = world.account_of(&target) else {
            continue;
        };
        let recipient = DeviceId { number: recipient.number.clone(), device: target.device };
        if recipient == *sender {
            continue;
        }
        let Some(envelope) = Envelope::new(&world, sender, &recipient, &to, target.is_lid()) else {
            continue;
        };
        if recipient.device == 0 {
            for_phones.extend(envelope.for_phone(&id, encrypted));
        } else {
            let stanza = envelope.stanza(&id, node, encrypted);
            if let Some(device) = world.device_mut(&recipient.number, recipient.device) {
                device.enqueue(Class::Message, &id, envelope.from.clone(), stanza, fault);
            }
        }
    }
    for_phones
}

/// Each ciphertext of a message with the device it is for: one `<to>` per device, or a bare `<enc>` for one device alone.
/// One client puts both into a message that it sends again; the bare one is the newer and the only one passed on.
fn ciphertexts<'a>(node: &'a Node, to: &Jid) -> Vec<(Jid, &'a Node)> {
    if let Some(direct) = node.child("enc") {
        return vec![(to.clone(), direct)];
    }
    let fanout = node.child("participants").into_iter().flat_map(|participants| participants.all("to"));
    fanout.filter_map(|target| Some((target.jid("jid")?, target.child("enc")?))).collect()
}

/// How a message presents itself to one of its recipients.
struct Envelope {
    sender: DeviceId,
    sender_lid: String,
    recipient: Number,
    push_name: String,
    from: Jid,
    /// The sender's other address: LID for a phone number and the other way round.
    from_alt: Jid,
    /// The chat it belongs to, for the sender's own devices; the peer's other address with it.
    chat: Option<(Jid, Jid)>,
    chat_number: Number,
    lid: bool,
}

impl Envelope {
    fn new(world: &World, sender: &DeviceId, recipient: &DeviceId, to: &Jid, lid: bool) -> Option<Self> {
        let account = world.account(&sender.number)?;
        let peer = world.account_of(to)?;
        let own_copy = recipient.number == sender.number;
        let chat = |account: &Account| (account.jid(lid, 0), account.jid(!lid, 0));
        Some(Self {
            sender: sender.clone(),
            sender_lid: account.lid.to_string(),
            recipient: recipient.number.clone(),
            push_name: account.push_name.clone(),
            from: account.jid(lid, sender.device),
            from_alt: account.jid(!lid, 0),
            chat: own_copy.then(|| chat(peer)),
            chat_number: if own_copy { peer.number.clone() } else { sender.number.clone() },
            lid,
        })
    }

    fn stanza(&self, id: &str, sent: &Node, encrypted: &Node) -> Node {
        let mut stanza = NodeBuilder::new("message")
            .attr("from", self.from.clone())
            .attr("id", id)
            .attr("t", unix_time().to_string())
            .attr("type", sent.word("type").unwrap_or("text".into()).into_owned())
            .attr("notify", self.push_name.as_str());
        stanza = match &self.chat {
            Some((chat, alt)) if chat.is_lid() => {
                stanza.attr("recipient", chat.clone()).attr("peer_recipient_pn", alt.clone())
            }
            Some((chat, _)) => stanza.attr("recipient", chat.clone()),
            None if self.lid => stanza.attr("sender_pn", self.from_alt.clone()),
            None => stanza.attr("sender_lid", self.from_alt.clone()),
        };
        for name in ["category", "edit"] {
            if let Some(value) = sent.word(name) {
                stanza = stanza.attr(name, value.into_owned());
            }
        }
        let identity = sent.child("device-identity").filter(|_| encrypted.word("type").as_deref() == Some("pkmsg"));
        let passed_on = PASSED_ON.iter().filter_map(|tag| sent.child(tag));
        let children = [encrypted].into_iter().chain(identity).chain(passed_on);
        stanza.children(children.cloned().collect::<Vec<_>>()).build()
    }

    fn for_phone(&self, id: &str, encrypted: &Node) -> Option<ToPhone> {
        let arrival = Arrival {
            id: id.to_owned(),
            from: self.sender.number.clone(),
            from_lid: self.sender_lid.clone(),
            from_device: self.sender.device,
            chat: format!("{}@s.whatsapp.net", self.chat_number),
            from_me: self.chat.is_some(),
            kind: encrypted.word("type")?.into_owned(),
            ciphertext: encrypted.content()?.to_vec(),
            timestamp: unix_time(),
        };
        Some(ToPhone { number: self.recipient.clone(), arrival, lid: self.lid })
    }
}

/// Hands messages to phones. No lock may be held: a phone's answer can reach any other phone.
fn deliver(server: &Arc<Server>, for_phones: Vec<ToPhone>) {
    for ToPhone { number, arrival, lid } in for_phones {
        let Some(handset) = server.world.lock().account(&number).map(|account| account.handset.clone()) else {
            continue;
        };
        let reaction = handset.lock().receive(&arrival, &server.media);
        server.changed.notify_waiters();
        let phone = DeviceId { number, device: 0 };
        let sender = DeviceId { number: arrival.from.clone(), device: arrival.from_device };
        match reaction {
            Reaction::Delivered | Reaction::Duplicate if arrival.from_me => {}
            Reaction::Delivered | Reaction::Duplicate => {
                receipt::send_as_phone(server, &phone, &sender, &arrival.id, lid)
            }
            Reaction::Retry => receipt::ask_again_as_phone(server, &phone, &sender, &arrival, lid),
            Reaction::Peer(protocol) => answer_peer(server, &sender, &protocol),
        }
    }
}

/// What a phone answers to a linked device of its own account.
fn answer_peer(server: &Arc<Server>, device: &DeviceId, protocol: &wa::message::ProtocolMessage) {
    use wa::message::protocol_message::Type;
    if protocol.r#type != Some(Type::APP_STATE_SYNC_KEY_REQUEST) {
        return;
    }
    let Some(handset) = server.world.lock().account(&device.number).map(|account| account.handset.clone()) else {
        return;
    };
    let share = handset.lock().app_state_key_share();
    if let Err(error) = send_as_phone_to_own_device(server, device, &share) {
        tracing::warn!(error = format!("{error:#}"), "a phone could not share its app-state key");
    }
}

/// A new message id in the form phones use.
pub(crate) fn new_id() -> String {
    format!("3A{}", hex::encode_upper(rand::random::<[u8; 9]>()))
}

/// The phone sends a message to another account: to all its devices, and a copy to the sender's own linked devices.
pub(crate) fn send_as_phone(
    server: &Arc<Server>,
    from: &Number,
    to: &Number,
    id: &str,
    kind: &'static str,
    message: &wa::Message,
) -> anyhow::Result<()> {
    let lid = server.options.addressing.is_lid();
    let (handset, to_jid, mut targets) = {
        let world = server.world.lock();
        let recipient = world.account(to).context("no such recipient")?;
        let sender = world.account(from).context("no such sender")?;
        let targets: Vec<DeviceId> = devices(recipient, true).chain(devices(sender, false)).collect();
        (sender.handset.clone(), recipient.jid(lid, 0), targets)
    };
    targets.dedup();
    let plaintext = message.encode_to_vec();
    let copy = own_copy(&to_jid, message).encode_to_vec();
    open_sessions(server, from, &targets)?;

    let mut phone = handset.lock();
    phone.remember(id, to.clone(), plaintext.clone());
    let mut participants = Vec::with_capacity(targets.len());
    for target in &targets {
        let text = if target.number == *from { &copy } else { &plaintext };
        let (user, jid) = address(server, target, lid).context("no such device")?;
        let sealed = phone.signal.encrypt(&user, target.device, text)?;
        participants.push(NodeBuilder::new("to").attr("jid", jid).children([enc(&sealed, None)]).build());
    }
    let stanza = NodeBuilder::new("message")
        .attr("to", to_jid)
        .attr("id", id)
        .attr("type", kind)
        .children([NodeBuilder::new("participants").children(participants).build()])
        .build();
    // Routed before the phone is let go, so that two messages arrive in the order they were encrypted.
    let for_phones = route(server, &DeviceId { number: from.clone(), device: 0 }, &stanza);
    drop(phone);
    deliver(server, for_phones);
    Ok(())
}

/// The phone sends something to one linked device of its own account that is not part of any chat.
pub(crate) fn send_as_phone_to_own_device(
    server: &Arc<Server>,
    device: &DeviceId,
    message: &wa::Message,
) -> anyhow::Result<()> {
    let id = new_id();
    send_to_one(server, &device.number, device, &id, &message.encode_to_vec(), Extra { peer: true, retry: None })
}

/// The phone sends one of its messages again to the one device that could not decrypt it, over a new session.
pub(crate) fn resend_as_phone(
    server: &Arc<Server>,
    from: &Number,
    device: &DeviceId,
    id: &str,
    count: u32,
    keys: Option<Bundle>,
) -> anyhow::Result<()> {
    let (handset, user) = {
        let world = server.world.lock();
        let user = world.account(&device.number).context("no such account")?.lid.to_string();
        (world.account(from).context("no such account")?.handset.clone(), user)
    };
    let bundle = keys.or_else(|| prekeys::take_bundle(server, device)).context("the device has no keys")?;
    let text = {
        let mut phone = handset.lock();
        phone.signal.start_session(&user, device.device, &bundle)?;
        let (to, plaintext) = phone.sent(id).context("the message is not kept any more")?;
        if device.number == *from {
            let to = server.world.lock().account(&to).context("no such account")?.jid(false, 0);
            own_copy(&to, &wa::Message::decode_from_slice(&plaintext)?).encode_to_vec()
        } else {
            plaintext
        }
    };
    send_to_one(server, from, device, id, &text, Extra { peer: false, retry: Some(count) })
}

/// What sets a message to a single device apart.
struct Extra {
    peer: bool,
    retry: Option<u32>,
}

fn send_to_one(
    server: &Arc<Server>,
    from: &Number,
    device: &DeviceId,
    id: &str,
    text: &[u8],
    extra: Extra,
) -> anyhow::Result<()> {
    open_sessions(server, from, std::slice::from_ref(device))?;
    let handset = server.world.lock().account(from).context("no such account")?.handset.clone();
    let (user, jid) = address(server, device, server.options.addressing.is_lid()).context("no such device")?;
    let mut phone = handset.lock();
    let sealed = phone.signal.encrypt(&user, device.device, text)?;
    let mut stanza = NodeBuilder::new("message").attr("to", jid).attr("id", id).attr("type", "text");
    if extra.peer {
        stanza = stanza.attr("category", "peer");
    }
    let stanza = stanza.children([enc(&sealed, extra.retry)]).build();
    let for_phones = route(server, &DeviceId { number: from.clone(), device: 0 }, &stanza);
    drop(phone);
    deliver(server, for_phones);
    Ok(())
}

/// Opens the Signal sessions a phone does not have yet. Bundles of other phones are taken before its own lock.
fn open_sessions(server: &Server, from: &Number, targets: &[DeviceId]) -> anyhow::Result<()> {
    let handset = server.world.lock().account(from).context("no such account")?.handset.clone();
    for target in targets {
        let user = server.world.lock().account(&target.number).context("no such account")?.lid.to_string();
        if handset.lock().signal.has_session(&user, target.device) {
            continue;
        }
        let bundle = prekeys::take_bundle(server, target).context("the device has no keys")?;
        handset.lock().signal.start_session(&user, target.device, &bundle)?;
    }
    Ok(())
}

fn devices(account: &Account, with_phone: bool) -> impl Iterator<Item = DeviceId> {
    let phone = with_phone.then_some(0);
    phone
        .into_iter()
        .chain(account.devices.keys().copied())
        .map(|device| DeviceId { number: account.number.clone(), device })
}

/// The name Signal sessions with a device are kept under, and its address on the wire.
fn address(server: &Server, device: &DeviceId, lid: bool) -> Option<(String, Jid)> {
    let world = server.world.lock();
    let account = world.account(&device.number)?;
    Some((account.lid.to_string(), account.jid(lid, device.device)))
}

fn enc(sealed: &Ciphertext, retry: Option<u32>) -> Node {
    let enc = NodeBuilder::new("enc").attr("v", "2").attr("type", sealed.kind).bytes(sealed.bytes.clone());
    match retry {
        Some(count) => enc.attr("count", count.to_string()).build(),
        None => enc.build(),
    }
}

fn own_copy(to: &Jid, message: &wa::Message) -> wa::Message {
    wa::Message {
        device_sent_message: MessageField::some(wa::message::DeviceSentMessage {
            destination_jid: Some(to.to_string()),
            message: MessageField::some(message.clone()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The address answers to a device's receipts and acks come from.
pub(crate) fn answer_address(node: &Node) -> Jid {
    node.jid("to").unwrap_or_else(server_jid)
}
