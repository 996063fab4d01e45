//! Receipts and acks: they remove stanzas from a device's queue, report the status of messages to
//! their senders, and request messages again that could not be decrypted.

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt, Node};

use super::{newsletter, phone_message};
use crate::model::device::{ConnectionHandle, KeyBundle};
use crate::model::ids::{Chat, DeviceId};
use crate::model::options::Addressing;
use crate::model::queue::StanzaClass;
use crate::server::Server;
use crate::server::phone_state::{IncomingMessage, PhoneReceipt};
use crate::server::stanza::group::{group_jid, other_address_name};
use crate::server::stanza::iq::prekeys;
use crate::server::stanza::{enqueue_stanza, media_retry};
use crate::server::world::World;
use crate::wire::{StanzaExt, leaf_node, server_jid, unix_time};

/// Receipts between the devices of one account, or only for the server.
const UNFORWARDED_KINDS: [&str; 3] = ["sender", "peer_msg", "hist_sync"];

/// Handles a receipt from a linked device.
pub(crate) fn handle_receipt(
    server: &Arc<Server>,
    connection: &ConnectionHandle,
    device: &DeviceId,
    node: &Node,
) {
    let Some(id) = node.attr_text("id") else {
        server
            .world
            .lock()
            .count_unknown("<receipt> without id".to_owned());
        return;
    };
    connection.send(ack_node(&id, node));
    if node.child("offer").is_some() {
        // The call rings on that device.
        if let Some(device) = server
            .world
            .lock()
            .device_mut(&device.number, device.device)
        {
            device.confirm(StanzaClass::Call, &id, node.attr_jid("to").as_ref());
        }
        return;
    }
    let kind = node.attr_text("type").unwrap_or_default();
    let ids = receipt_ids(&id, node);
    confirm_messages(server, device, &ids, node);
    // One client leaves the address out when it confirms a copy of an own message.
    let Some(to) = node.attr_jid("to") else {
        return;
    };
    if kind == "view" {
        return newsletter::handle_views(server, device, &to, node);
    }
    let group = group_addressing(server, &to);
    // In a group or a status, the receipt names the author beside the chat.
    let shared = group.is_some() || to.is_status_broadcast();
    let author = node
        .attr_jid("participant")
        .filter(|_| shared)
        .unwrap_or_else(|| to.clone());
    let addressing = group.unwrap_or_else(|| Addressing::from_jid(&author));
    let notice = RelayedReceipt {
        from: device,
        ids: &ids,
        kind: &kind,
        addressing,
        shared_chat: shared.then(|| to.clone()),
    };
    match &*kind {
        "retry" => forward_retry(
            server,
            device,
            &author,
            &id,
            node,
            notice.shared_chat.as_ref(),
        ),
        // Read receipts are switched off: only the account's own devices may know.
        "read-self" => notice.notify_own_devices(server, &to),
        "read" | "played" => {
            notice.notify_sender(server, &author);
            notice.notify_own_devices(server, &to);
        }
        "server-error" => media_retry::answer_media_retry(server, device, &id, node),
        kind if UNFORWARDED_KINDS.contains(&kind) => {}
        _ => notice.notify_sender(server, &author),
    }
    server.changed.notify_waiters();
}

/// Returns the addressing of a group's members, if this is a group's address.
fn group_addressing(server: &Server, to: &Jid) -> Option<Addressing> {
    server
        .world
        .lock()
        .group_of(to)
        .map(|group| group.addressing)
}

/// Handles an ack from a linked device: it has a receipt, a notification or a call, or a message it
/// will not read.
pub(crate) fn handle_ack(server: &Server, device: &DeviceId, node: &Node) {
    let class = match node.attr_text("class").as_deref() {
        Some("message") => StanzaClass::Message,
        Some("receipt") => StanzaClass::Receipt,
        Some("notification") => StanzaClass::Notification,
        Some("call") => StanzaClass::Call,
        _ => return,
    };
    let Some(id) = node.attr_text("id") else {
        return;
    };
    let mut world = server.world.lock();
    if class == StanzaClass::Message && world.switches.lose_confirmations {
        return;
    }
    let Some(device) = world.device_mut(&device.number, device.device) else {
        return;
    };
    // A client that requests a message again also acks the one it could not read. That ack is not
    // about the answer, which is on its way under the same id.
    if !(class == StanzaClass::Message && device.requested_again.remove(&*id)) {
        let peer = node.attr_jid("participant").or_else(|| node.attr_jid("to"));
        device.confirm(class, &id, peer.as_ref());
    }
    drop(world);
    server.changed.notify_waiters();
}

fn receipt_ids(first: &str, node: &Node) -> Vec<String> {
    let more = node
        .child("list")
        .into_iter()
        .flat_map(|list| list.children_named("item"))
        .filter_map(|item| item.attr_text("id"));
    let mut ids = vec![first.to_owned()];
    ids.extend(
        more.map(std::borrow::Cow::into_owned)
            .filter(|id| id != first),
    );
    ids
}

fn confirm_messages(server: &Server, device: &DeviceId, ids: &[String], receipt: &Node) {
    let peer = receipt
        .attr_jid("participant")
        .or_else(|| receipt.attr_jid("to"));
    let mut world = server.world.lock();
    if world.switches.lose_confirmations {
        return;
    }
    let Some(device) = world.device_mut(&device.number, device.device) else {
        return;
    };
    for id in ids {
        device.confirm(StanzaClass::Message, id, peer.as_ref());
    }
    if receipt.attr_text("type").as_deref() == Some("retry") {
        device.requested_again.extend(ids.iter().cloned());
    }
}

fn ack_node(id: &str, receipt: &Node) -> Node {
    let ack = NodeBuilder::new("ack")
        .attr("class", "receipt")
        .attr("id", id)
        .attr("from", receipt.attr_jid("to").unwrap_or_else(server_jid))
        .attr("t", unix_time().to_string());
    match receipt.attr_text("type") {
        Some(kind) => ack.attr("type", kind.into_owned()).build(),
        None => ack.build(),
    }
}

/// A receipt as it is passed on.
struct RelayedReceipt<'a> {
    from: &'a DeviceId,
    ids: &'a [String],
    kind: &'a str,
    addressing: Addressing,
    /// The chat of the messages, if it is a group or the status chat.
    shared_chat: Option<Jid>,
}

impl RelayedReceipt<'_> {
    /// Builds the receipt; `from` is the device it comes from, `other` that account's other
    /// address.
    fn build_stanza(&self, from: Jid, other: Jid) -> Option<Node> {
        let (first, more) = self.ids.split_first()?;
        let mut receipt = NodeBuilder::new("receipt");
        receipt = match &self.shared_chat {
            Some(shared) => {
                let receipt = receipt
                    .attr("from", shared.clone())
                    .attr("participant", from);
                receipt.attr(other_address_name(self.addressing), other)
            }
            None => receipt.attr("from", from),
        };
        receipt = receipt
            .attr("id", first.as_str())
            .attr("t", unix_time().to_string());
        if !self.kind.is_empty() {
            receipt = receipt.attr("type", self.kind);
        }
        if !more.is_empty() {
            let items = more
                .iter()
                .map(|id| NodeBuilder::new("item").attr("id", id.as_str()).build());
            receipt = receipt.children([NodeBuilder::new("list")
                .children(items.collect::<Vec<_>>())
                .build()]);
        }
        Some(receipt.build())
    }

    /// Reports the status of messages to all devices of the account behind `to`.
    fn notify_sender(&self, server: &Server, to: &Jid) {
        let (from, other, devices, phone_state) = {
            let world = server.world.lock();
            let (Some(account), Some(own)) =
                (world.account_of(to), world.account(&self.from.number))
            else {
                return;
            };
            let devices: Vec<DeviceId> = account.linked_devices().collect();
            let (from, other) = (
                own.jid(self.addressing, self.from.device),
                own.jid(self.addressing.opposite(), 0),
            );
            (from, other, devices, account.phone_state.clone())
        };
        let Some(stanza) = self.build_stanza(from.clone(), other) else {
            return;
        };
        for device in &devices {
            enqueue_stanza(
                server,
                device,
                StanzaClass::Receipt,
                &self.ids[0],
                from.clone(),
                stanza.clone(),
            );
        }
        let status = if self.kind.is_empty() {
            "delivered"
        } else {
            self.kind
        };
        let mut phone = phone_state.lock();
        for id in self.ids {
            phone.receipts.push(PhoneReceipt {
                id: id.clone(),
                from: format!("{}@s.whatsapp.net", self.from.number),
                from_device: self.from.device,
                status: status.to_owned(),
            });
        }
    }

    /// Marks the messages as read on the account's other devices.
    fn notify_own_devices(&self, server: &Server, chat: &Jid) {
        let (from, other, others) = {
            let world = server.world.lock();
            let Some(account) = world.account(&self.from.number) else {
                return;
            };
            let (from, other) = (
                account.jid(self.addressing, self.from.device),
                account.jid(self.addressing.opposite(), 0),
            );
            (from, other, account.other_devices(self.from.device))
        };
        let Some(mut stanza) = self.build_stanza(from.clone(), other) else {
            return;
        };
        if self.shared_chat.is_none() {
            stanza.attrs.insert("recipient", chat.to_non_ad());
        }
        for other in &others {
            enqueue_stanza(
                server,
                other,
                StanzaClass::Receipt,
                &self.ids[0],
                from.clone(),
                stanza.clone(),
            );
        }
    }
}

/// A phone's receipt for messages.
pub(crate) struct OutgoingReceipt<'a> {
    pub(crate) chat: &'a Chat,
    /// The author of the messages.
    pub(crate) sender: &'a DeviceId,
    pub(crate) ids: &'a [String],
    /// `read`, `read-self` or `played`; empty for "delivered".
    pub(crate) kind: &'a str,
}

/// Sends a phone's receipt to all devices of the sender; a read receipt also to the account's own
/// devices.
pub(crate) fn send_phone_receipt(
    server: &Arc<Server>,
    phone: &DeviceId,
    outgoing: &OutgoingReceipt<'_>,
    addressing: Addressing,
) {
    let author = server
        .world
        .lock()
        .account(&outgoing.sender.number)
        .map(|account| account.jid(addressing, 0));
    let Some(author) = author else { return };
    let shared = match outgoing.chat {
        Chat::Group(id) => Some(group_jid(id)),
        Chat::Status => Some(Jid::status_broadcast()),
        // Read posts are not reported to anybody.
        Chat::Newsletter(_) => return,
        Chat::Person(_) => None,
    };
    let to = shared.clone().unwrap_or_else(|| author.clone());
    let notice = RelayedReceipt {
        from: phone,
        ids: outgoing.ids,
        kind: outgoing.kind,
        addressing,
        shared_chat: shared,
    };
    if outgoing.kind != "read-self" {
        notice.notify_sender(server, &author);
    }
    if matches!(outgoing.kind, "read" | "read-self") {
        notice.notify_own_devices(server, &to);
    }
    server.changed.notify_waiters();
}

/// From this retry on a phone sends keys for a new session along; before, the existing session may
/// do.
const FIRST_RETRY_WITH_KEYS: u32 = 2;

/// Requests a message again that a phone could not decrypt, from the very device that sent it.
pub(crate) fn send_phone_retry(
    server: &Arc<Server>,
    phone: &DeviceId,
    sender: &DeviceId,
    arrival: &IncomingMessage,
    count: u32,
    addressing: Addressing,
) {
    let Some(keys) = prekeys::take_bundle(server, phone) else {
        return;
    };
    let Some((from, chat)) = retry_addresses(&server.world.lock(), phone, arrival, addressing)
    else {
        return;
    };
    let retry = NodeBuilder::new("receipt");
    let mut retry = match &arrival.chat {
        Chat::Group(_) | Chat::Status => retry
            .attr("from", chat.clone())
            .attr("participant", from.clone()),
        Chat::Person(_) | Chat::Newsletter(_) => retry.attr("from", from.clone()),
    };
    retry = retry
        .attr("id", arrival.id.as_str())
        .attr("type", "retry")
        .attr("t", unix_time().to_string());
    if arrival.from_me && matches!(arrival.chat, Chat::Person(_)) {
        // Without it the device could not tell the chat of its copy.
        retry = retry.attr("recipient", chat);
    }
    let again = NodeBuilder::new("retry")
        .attr("count", count.to_string())
        .attr("id", arrival.id.as_str())
        .attr("t", arrival.timestamp.to_string())
        .attr("v", "1");
    let registration = leaf_node("registration", keys.registration_id.to_be_bytes());
    let keys = (count >= FIRST_RETRY_WITH_KEYS).then(|| keys_node(&keys));
    let retry = retry
        .children([again.build(), registration].into_iter().chain(keys))
        .build();
    if sender.device == 0 {
        resend_from_phone(server, sender, phone, &arrival.id, &retry);
    } else {
        enqueue_stanza(
            server,
            sender,
            StanzaClass::Receipt,
            &arrival.id,
            from,
            retry,
        );
    }
}

/// Returns the phone's own address, and that of the chat.
fn retry_addresses(
    world: &World,
    phone: &DeviceId,
    arrival: &IncomingMessage,
    addressing: Addressing,
) -> Option<(Jid, Jid)> {
    let chat = match &arrival.chat {
        Chat::Group(group) => group_jid(group),
        Chat::Status => Jid::status_broadcast(),
        Chat::Newsletter(_) => return None,
        Chat::Person(number) => world.account(number)?.jid(addressing, 0),
    };
    Some((world.account(&phone.number)?.jid(addressing, 0), chat))
}

/// Requests a message again that a linked device could not decrypt, from the very device that sent
/// it.
fn forward_retry(
    server: &Arc<Server>,
    device: &DeviceId,
    to: &Jid,
    id: &str,
    node: &Node,
    shared: Option<&Jid>,
) {
    let (sender, from) = {
        let world = server.world.lock();
        let (Some(account), Some(asking)) = (world.account_of(to), world.account(&device.number))
        else {
            return;
        };
        let sender = DeviceId {
            number: account.number.clone(),
            device: to.device,
        };
        (sender, asking.jid(Addressing::from_jid(to), device.device))
    };
    if sender.device == 0 {
        return resend_from_phone(server, &sender, device, id, node);
    }
    let mut receipt = node.clone();
    receipt
        .attrs
        .0
        .retain(|(name, _)| name != "to" && name != "participant");
    match shared {
        Some(shared) => {
            receipt.attrs.insert("from", shared.clone());
            receipt.attrs.insert("participant", from.clone());
        }
        None => {
            receipt.attrs.insert("from", from.clone());
        }
    }
    receipt.attrs.insert("t", unix_time().to_string());
    enqueue_stanza(server, &sender, StanzaClass::Receipt, id, from, receipt);
}

fn resend_from_phone(
    server: &Arc<Server>,
    phone: &DeviceId,
    device: &DeviceId,
    id: &str,
    receipt: &Node,
) {
    let count = receipt
        .child("retry")
        .and_then(|retry| retry.attr_text("count"))
        .and_then(|count| count.parse().ok());
    let keys = receipt
        .child("keys")
        .and_then(|keys| prekeys::read_retry_bundle(receipt, keys));
    if let Err(error) =
        phone_message::resend_message(server, &phone.number, device, id, count.unwrap_or(1), keys)
    {
        tracing::warn!(
            id,
            error = format!("{error:#}"),
            "a phone could not send a message again"
        );
    }
}

fn keys_node(bundle: &KeyBundle) -> Node {
    NodeBuilder::new("keys")
        .children(prekeys::key_nodes(bundle))
        .build()
}
