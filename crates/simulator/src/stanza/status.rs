//! Statuses: sealed like group messages, for the people their poster names, all of them by LID; routed to the devices of those people.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::buffa::Message;
use waproto::whatsapp as wa;

use super::Stanza;
use super::group_message::{Envelope, keys, names, share_key};
use super::message::{ToPhone, deliver};
use super::phone_message::{enc, open_sessions};
use crate::Addressing;
use crate::amendments::edit_attribute;
use crate::handset::Sent;
use crate::queue::Class;
use crate::server::Server;
use crate::world::{Chat, DeviceId, Number, World};

/// Puts a status into the queue of every linked device of the people its `<participants>` name, by user or by device, and returns what is
/// for phones. One that was asked for again names the one device it is for.
pub(super) fn route(server: &Server, sender: &DeviceId, node: &Node) -> Vec<ToPhone> {
    let Some(id) = node.word("id") else { return Vec::new() };
    let mut world = server.world.lock();
    let fault = world.switches.delivery;
    let (keys, for_all) = (keys(&world, node), node.child("enc"));
    let targets = match node.jid("participant") {
        Some(one) => {
            let account = world.account_of(&one).map(|account| account.number.clone());
            account.map(|number| DeviceId { number, device: one.device }).into_iter().collect()
        }
        None => {
            let mut people = people(&world, node);
            people.retain(|number| !world.has_blocked(number, &sender.number));
            devices(&world, &people)
        }
    };
    let Some(envelope) = Envelope::new(&world, sender, Chat::Status, Addressing::Lid) else { return Vec::new() };
    let mut for_phones = Vec::new();
    for recipient in targets.into_iter().filter(|recipient| recipient != sender) {
        let key = keys.iter().find(|(device, _)| *device == recipient).map(|(_, key)| *key);
        let sealed: Vec<&Node> = key.into_iter().chain(for_all).collect();
        if recipient.device == 0 {
            for_phones.push(envelope.for_phone(&id, &recipient, &sealed));
        } else {
            let stanza = envelope.stanza(&id, node, &sealed);
            if let Some(device) = world.device_mut(&recipient.number, recipient.device) {
                device.enqueue(Class::Message, &id, envelope.participant.clone(), stanza, fault);
            }
        }
    }
    for_phones
}

/// Whom a status is for.
fn people(world: &World, node: &Node) -> BTreeSet<Number> {
    let named = node.child("participants").into_iter().flat_map(|participants| participants.all("to"));
    named.filter_map(|to| Some(world.account_of(&to.jid("jid")?)?.number.clone())).collect()
}

fn devices(world: &World, people: &BTreeSet<Number>) -> Vec<DeviceId> {
    let accounts = people.iter().filter_map(|number| world.account(number));
    let phone = |number: &Number| DeviceId { number: number.clone(), device: 0 };
    accounts.flat_map(|account| std::iter::once(phone(&account.number)).chain(account.linked())).collect()
}

/// The phone posts a status for people, which its own linked devices get, too.
pub(crate) fn send(
    server: &Arc<Server>,
    from: &Number,
    audience: &[Number],
    id: &str,
    kind: &'static str,
    message: &wa::Message,
) -> anyhow::Result<()> {
    let own = DeviceId { number: from.clone(), device: 0 };
    let people: BTreeSet<Number> = audience.iter().chain([from]).cloned().collect();
    let (handset, devices) = {
        let world = server.world.lock();
        let devices = devices(&world, &people).into_iter().filter(|device| *device != own).collect::<Vec<_>>();
        (world.account(from).context("no such sender")?.handset.clone(), devices)
    };
    let chat = Chat::Status.to_string();
    let strangers = handset.lock().sender_keys.strangers(&chat, &devices);
    open_sessions(server, &handset, &strangers)?;

    let mut phone = handset.lock();
    let plaintext = message.encode_to_vec();
    phone.remember(Sent { id: id.to_owned(), to: Chat::Status, kind, message: plaintext.clone() });
    let mut participants = share_key(server, &mut phone, &chat, strangers, Addressing::Lid)?;
    // Who has the key already is named without one.
    for number in &people {
        let Some((_, jid)) = names(server, &DeviceId { number: number.clone(), device: 0 }, Addressing::Lid) else {
            continue;
        };
        let is_named = |to: &Node| to.jid("jid").is_some_and(|named| named.user == jid.user);
        if !participants.iter().any(is_named) {
            participants.push(NodeBuilder::new("to").attr("jid", jid).build());
        }
    }
    let sealed = phone.sender_keys.encrypt(&chat, &plaintext)?;
    let mut stanza = NodeBuilder::new("message").attr("to", Jid::status_broadcast()).attr("id", id).attr("type", kind);
    if let Some(edit) = edit_attribute(message) {
        stanza = stanza.attr("edit", edit);
    }
    let fanout = NodeBuilder::new("participants").children(participants).build();
    let stanza = stanza.children([fanout, enc(&sealed, None)]).build();
    // Routed before the phone is let go, so that two arrive in the order they were sealed.
    let for_phones = super::message::route(server, &own, &stanza);
    drop(phone);
    deliver(server, for_phones);
    Ok(())
}

/// The phone sends one of its statuses again, to the one device that could not open it; the session is new already.
pub(super) fn resend(
    server: &Arc<Server>,
    from: &Number,
    to: &DeviceId,
    sent: &Sent,
    count: u32,
) -> anyhow::Result<()> {
    let handset = server.world.lock().account(from).context("no such account")?.handset.clone();
    let (user, jid) = names(server, to, Addressing::Lid).context("no such device")?;
    let mut phone = handset.lock();
    phone.sender_keys.unshare(&Chat::Status.to_string(), to);
    let sealed = phone.signal.encrypt(&user, to.device, &sent.message)?;
    let stanza = NodeBuilder::new("message")
        .attr("to", Jid::status_broadcast())
        .attr("participant", jid)
        .attr("id", sent.id.as_str())
        .attr("type", sent.kind)
        .children([enc(&sealed, Some(count))])
        .build();
    let for_phones = super::message::route(server, &DeviceId { number: from.clone(), device: 0 }, &stanza);
    drop(phone);
    deliver(server, for_phones);
    Ok(())
}
