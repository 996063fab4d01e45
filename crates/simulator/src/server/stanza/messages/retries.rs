//! Retry receipts: a device or a phone requests a message again that it could not decrypt, from the
//! very device that sent it.

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::phone_message;
use crate::model::device::KeyBundle;
use crate::model::ids::{Chat, DeviceId};
use crate::model::options::Addressing;
use crate::model::queue::StanzaClass;
use crate::server::Server;
use crate::server::phone_state::IncomingMessage;
use crate::server::stanza::enqueue_stanza;
use crate::server::stanza::group::group_jid;
use crate::server::stanza::iq::prekeys;
use crate::server::world::World;
use crate::wire::{StanzaExt, leaf_node, unix_time};

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
pub(super) fn forward_retry(
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
