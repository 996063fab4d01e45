//! Sender-key messages of phones, to groups and status audiences: encrypted once for all
//! recipients, and resent to a single device.

use std::sync::Arc;

use anyhow::Context;
use parking_lot::MutexGuard;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::buffa::Message;
use waproto::whatsapp as wa;

use super::deliver_to_phones;
use super::group_message::addressing_mode;
use super::phone_message::{device_names, enc_node};
use crate::model::ids::{Chat, DeviceId, PhoneNumber};
use crate::model::message_attributes::MessageAttributes;
use crate::model::options::Addressing;
use crate::server::Server;
use crate::server::phone_state::{PhoneState, SentMessage};
use crate::server::stanza::group::group_jid;

/// Starts the stanza with its destination: a group, with its addressing mode, or the status
/// address.
fn start_stanza(chat: &Chat, addressing: Addressing) -> NodeBuilder {
    let message = NodeBuilder::new("message");
    match chat {
        Chat::Group(group) => message
            .attr("to", group_jid(group))
            .attr("addressing_mode", addressing_mode(addressing)),
        _ => message.attr("to", Jid::status_broadcast()),
    }
}

/// Encrypts a message that the phone remembers, once for all. `participants` are the devices that
/// get its key, and the people that are only named.
pub(crate) fn encrypt_for_all(
    phone: &mut PhoneState,
    sent: &SentMessage,
    message: &wa::Message,
    participants: Vec<Node>,
    addressing: Addressing,
) -> anyhow::Result<Node> {
    let sealed = phone
        .sender_keys
        .encrypt(&sent.to.to_string(), &sent.message)?;
    let mut stanza = start_stanza(&sent.to, addressing)
        .attr("id", sent.id.as_str())
        .attr("type", sent.kind);
    let labels = MessageAttributes::from_message(message);
    if let Some(edit) = labels.edit {
        stanza = stanza.attr("edit", edit);
    }
    let fanout = NodeBuilder::new("participants")
        .children(participants)
        .build();
    let content = [fanout, enc_node(&sealed, None, &labels)]
        .into_iter()
        .chain(labels.meta_node());
    Ok(stanza.children(content.collect::<Vec<_>>()).build())
}

/// Routes a stanza before the phone is unlocked, so that messages arrive in the order of their
/// encryption; then delivers it to other phones.
pub(crate) fn route_and_deliver(
    server: &Arc<Server>,
    from: &PhoneNumber,
    phone: MutexGuard<'_, PhoneState>,
    stanza: &Node,
) {
    let for_phones = super::route_message(
        server,
        &DeviceId {
            number: from.clone(),
            device: 0,
        },
        stanza,
    );
    drop(phone);
    deliver_to_phones(server, for_phones);
}

/// Resends a message of the phone to the one device that could not decrypt it; its session is new
/// already. The device gets the phone's key again with the next message.
pub(crate) fn resend_to_device(
    server: &Arc<Server>,
    from: &PhoneNumber,
    to: &DeviceId,
    sent: &SentMessage,
    count: u32,
    addressing: Addressing,
) -> anyhow::Result<()> {
    let phone_state = server
        .world
        .lock()
        .account(from)
        .context("no such account")?
        .phone_state
        .clone();
    let (user, jid) = device_names(server, to, addressing).context("no such device")?;
    let mut phone = phone_state.lock();
    phone.sender_keys.mark_unshared(&sent.to.to_string(), to);
    let sealed = phone.signal.encrypt(&user, to.device, &sent.message)?;
    let labels = MessageAttributes::from_message(&wa::Message::decode_from_slice(&sent.message)?);
    let mut stanza = start_stanza(&sent.to, addressing)
        .attr("participant", jid)
        .attr("id", sent.id.as_str())
        .attr("type", sent.kind);
    if let Some(edit) = labels.edit {
        stanza = stanza.attr("edit", edit);
    }
    let content = [enc_node(&sealed, Some(count), &labels)]
        .into_iter()
        .chain(labels.meta_node());
    let stanza = stanza.children(content.collect::<Vec<_>>()).build();
    route_and_deliver(server, from, phone, &stanza);
    Ok(())
}
