//! Receipts and acks: they remove stanzas from a device's queue, and report the status of messages to
//! their senders.

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt, Node};

use super::{newsletter, retries};
use crate::model::device::ConnectionHandle;
use crate::model::ids::{Chat, DeviceId};
use crate::model::options::Addressing;
use crate::model::queue::StanzaClass;
use crate::server::Server;
use crate::server::phone_state::PhoneReceipt;
use crate::server::stanza::group::{group_jid, other_address_name};
use crate::server::stanza::{enqueue_stanza, media_retry};
use crate::wire::{StanzaExt, server_jid, unix_time};

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
        "retry" => retries::forward_retry(
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
    // about the answer, which is on its way under the same id. A copy of an own message stays in
    // the queue until its receipt comes.
    let is_without_effect = class == StanzaClass::Message
        && (device.requested_again.remove(&*id) || device.has_queued_own_copy(&id));
    if !is_without_effect {
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
    let kind = receipt.attr_text("type");
    for id in ids {
        // Like the ack of a message that was requested again: it is not about the answer.
        if kind.as_deref() == Some("sender") && device.requested_again.remove(id) {
            continue;
        }
        device.confirm(StanzaClass::Message, id, peer.as_ref());
    }
    if kind.as_deref() == Some("retry") {
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
