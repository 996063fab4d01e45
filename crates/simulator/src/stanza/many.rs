//! Sender-key messages of phones, to groups and status audiences: encrypted once for all
//! recipients, and resent to a single device.

use std::sync::Arc;

use anyhow::Context;
use parking_lot::MutexGuard;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::buffa::Message;
use waproto::whatsapp as wa;

use super::group::address;
use super::group_message::mode;
use super::message::deliver;
use super::phone_message::{enc, names};
use crate::Addressing;
use crate::handset::{Handset, Sent};
use crate::labels::Labels;
use crate::server::Server;
use crate::world::{Chat, DeviceId, Number};

/// Starts the stanza with its destination: a group, with its addressing mode, or the status
/// address.
fn head(chat: &Chat, addressing: Addressing) -> NodeBuilder {
    let message = NodeBuilder::new("message");
    match chat {
        Chat::Group(group) => message
            .attr("to", address(group))
            .attr("addressing_mode", mode(addressing)),
        _ => message.attr("to", Jid::status_broadcast()),
    }
}

/// Encrypts a message that the phone remembers, once for all. `participants` are the devices that
/// get its key, and the people that are only named.
pub(super) fn seal(
    phone: &mut Handset,
    sent: &Sent,
    message: &wa::Message,
    participants: Vec<Node>,
    addressing: Addressing,
) -> anyhow::Result<Node> {
    let sealed = phone
        .sender_keys
        .encrypt(&sent.to.to_string(), &sent.message)?;
    let mut stanza = head(&sent.to, addressing)
        .attr("id", sent.id.as_str())
        .attr("type", sent.kind);
    let labels = Labels::of(message);
    if let Some(edit) = labels.edit {
        stanza = stanza.attr("edit", edit);
    }
    let fanout = NodeBuilder::new("participants")
        .children(participants)
        .build();
    let content = [fanout, enc(&sealed, None, &labels)]
        .into_iter()
        .chain(labels.meta());
    Ok(stanza.children(content.collect::<Vec<_>>()).build())
}

/// Routes a stanza before the phone is unlocked, so that messages arrive in the order of their
/// encryption; then delivers it to other phones.
pub(super) fn leave(
    server: &Arc<Server>,
    from: &Number,
    phone: MutexGuard<'_, Handset>,
    stanza: &Node,
) {
    let for_phones = super::message::route(
        server,
        &DeviceId {
            number: from.clone(),
            device: 0,
        },
        stanza,
    );
    drop(phone);
    deliver(server, for_phones);
}

/// Resends a message of the phone to the one device that could not decrypt it; its session is new
/// already. The device gets the phone's key again with the next message.
pub(super) fn resend(
    server: &Arc<Server>,
    from: &Number,
    to: &DeviceId,
    sent: &Sent,
    count: u32,
    addressing: Addressing,
) -> anyhow::Result<()> {
    let handset = server
        .world
        .lock()
        .account(from)
        .context("no such account")?
        .handset
        .clone();
    let (user, jid) = names(server, to, addressing).context("no such device")?;
    let mut phone = handset.lock();
    phone.sender_keys.unshare(&sent.to.to_string(), to);
    let sealed = phone.signal.encrypt(&user, to.device, &sent.message)?;
    let labels = Labels::of(&wa::Message::decode_from_slice(&sent.message)?);
    let mut stanza = head(&sent.to, addressing)
        .attr("participant", jid)
        .attr("id", sent.id.as_str())
        .attr("type", sent.kind);
    if let Some(edit) = labels.edit {
        stanza = stanza.attr("edit", edit);
    }
    let content = [enc(&sealed, Some(count), &labels)]
        .into_iter()
        .chain(labels.meta());
    let stanza = stanza.children(content.collect::<Vec<_>>()).build();
    leave(server, from, phone, &stanza);
    Ok(())
}
