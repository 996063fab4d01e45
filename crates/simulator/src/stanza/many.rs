//! What a phone sends to many at once: sealed with its sender's key, of a group or of its statuses; and again, for one device alone.

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

/// Where it goes: a group, which says how it names its members, or the place of statuses.
fn head(chat: &Chat, addressing: Addressing) -> NodeBuilder {
    let message = NodeBuilder::new("message");
    match chat {
        Chat::Group(group) => message
            .attr("to", address(group))
            .attr("addressing_mode", mode(addressing)),
        _ => message.attr("to", Jid::status_broadcast()),
    }
}

/// Seals a message that the phone remembers, once for all; `participants` are those who get its key, or are named.
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

/// Routes a stanza before the phone is let go, so that two arrive in the order they were sealed; then hands it over to other phones.
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

/// The phone sends a message again, to the one device that could not open it; the session is new already. The device gets the
/// phone's key again with the next message.
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
