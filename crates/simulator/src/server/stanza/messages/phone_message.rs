//! Messages of phones: encrypted for each device, put into the same stanza that a client sends, and
//! routed like one.

use std::sync::Arc;

use anyhow::{Context, ensure};
use parking_lot::Mutex;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp as wa;

use super::{deliver_to_phones, group_message, route_message, sender_key_message};
use crate::crypto::signal_protocol::Ciphertext;
use crate::model::device::KeyBundle;
use crate::model::group::GroupId;
use crate::model::ids::{Chat, DeviceId, PhoneNumber};
use crate::model::message_attributes::MessageAttributes;
use crate::model::options::Addressing;
use crate::server::Server;
use crate::server::phone_state::{PhoneState, SentMessage};
use crate::server::stanza::iq::prekeys;
use crate::server::stanza::trust;

/// Creates a message id in the form of phones.
pub(crate) fn new_message_id() -> String {
    format!("3A{}", hex::encode_upper(rand::random::<[u8; 9]>()))
}

/// Sends a message of the phone to another account: to all its devices, with a copy to the sender's
/// own linked devices.
pub(crate) fn send_message(
    server: &Arc<Server>,
    from: &PhoneNumber,
    to: &PhoneNumber,
    id: &str,
    kind: &'static str,
    message: &wa::Message,
) -> anyhow::Result<()> {
    send_to_devices(server, from, to, id, kind, message, None, |_| {})
}

/// Sends a reply or reaction of the phone to another account's status: to its author, in the status
/// chat.
pub(crate) fn send_to_status(
    server: &Arc<Server>,
    from: &PhoneNumber,
    author: &PhoneNumber,
    id: &str,
    kind: &'static str,
    message: &wa::Message,
) -> anyhow::Result<()> {
    send_to_devices(
        server,
        from,
        author,
        id,
        kind,
        message,
        Some(Jid::status_broadcast()),
        |_| {},
    )
}

/// Sends a message with ciphertexts that cannot be decrypted.
pub(crate) fn send_corrupted(
    server: &Arc<Server>,
    from: &PhoneNumber,
    to: &PhoneNumber,
    id: &str,
    kind: &'static str,
    message: &wa::Message,
) -> anyhow::Result<()> {
    send_to_devices(server, from, to, id, kind, message, None, |sealed| {
        // In both kinds of ciphertexts, this byte is authenticated; those after it need not be in a
        // prekey message.
        if let Some(place) = sealed.bytes.len().checked_sub(20) {
            sealed.bytes[place] ^= 1;
        }
    })
}

#[expect(clippy::too_many_arguments, reason = "all that a message is")]
fn send_to_devices(
    server: &Arc<Server>,
    from: &PhoneNumber,
    to: &PhoneNumber,
    id: &str,
    kind: &'static str,
    message: &wa::Message,
    place: Option<Jid>,
    spoil: impl Fn(&mut Ciphertext),
) -> anyhow::Result<()> {
    let (phone_state, to_jid, targets, addressing) = {
        let world = server.world.lock();
        let recipient = world.account(to).context("no such recipient")?;
        let sender = world.account(from).context("no such sender")?;
        let phone = DeviceId {
            number: to.clone(),
            device: 0,
        };
        // In a note to self the own devices are the recipient's, and the phone does not write to
        // itself.
        let theirs = std::iter::once(phone)
            .chain(recipient.linked_devices())
            .filter(|_| from != to);
        let targets: Vec<DeviceId> = theirs.chain(sender.linked_devices()).collect();
        let addressing = sender.addressing;
        ensure!(
            world.can_write_from_phone(from, to),
            "{from} is restricted, and may not write to {to}"
        );
        (
            sender.phone_state.clone(),
            recipient.jid(addressing, 0),
            targets,
            addressing,
        )
    };
    let plaintext = message.encode_to_vec();
    let copy = own_copy(&to_jid, message).encode_to_vec();
    open_sessions(server, &phone_state, &targets, addressing)?;

    let mut phone = phone_state.lock();
    let to_person = Chat::Person(to.clone());
    phone.remember_sent(SentMessage {
        id: id.to_owned(),
        to: to_person,
        kind,
        message: plaintext.clone(),
        is_peer: false,
    });
    let labels = MessageAttributes::from_message(message);
    let mut participants = Vec::with_capacity(targets.len());
    for target in &targets {
        let text = if target.number == *from {
            &copy
        } else {
            &plaintext
        };
        // A device that has just been logged out gets nothing.
        let Some((user, jid)) = device_names(server, target, addressing) else {
            continue;
        };
        let mut sealed = phone.signal.encrypt(&user, target.device, text)?;
        spoil(&mut sealed);
        participants.push(
            NodeBuilder::new("to")
                .attr("jid", jid)
                .children([enc_node(&sealed, None, &labels)])
                .build(),
        );
    }
    let is_chat = place.is_none();
    let mut stanza = NodeBuilder::new("message")
        .attr("to", place.unwrap_or(to_jid))
        .attr("id", id)
        .attr("type", kind);
    if let Some(edit) = labels.edit {
        stanza = stanza.attr("edit", edit);
    }
    let participants = NodeBuilder::new("participants")
        .children(participants)
        .build();
    let stanza = stanza
        .children(
            [participants]
                .into_iter()
                .chain(labels.meta_node())
                .collect::<Vec<_>>(),
        )
        .build();
    // Routed before the phone is unlocked, so that messages arrive in the order of their
    // encryption.
    let for_phones = route_message(
        server,
        &DeviceId {
            number: from.clone(),
            device: 0,
        },
        &stanza,
    );
    drop(phone);
    deliver_to_phones(server, for_phones);
    if is_chat {
        trust::give_due_token(server, from, to);
    }
    Ok(())
}

/// Sends a message outside all chats from the phone to one linked device of its account.
pub(crate) fn send_to_own_device(
    server: &Arc<Server>,
    to: &DeviceId,
    message: &wa::Message,
) -> anyhow::Result<()> {
    let (text, id) = (message.encode_to_vec(), new_message_id());
    let sent = SentMessage {
        id: id.clone(),
        to: Chat::Person(to.number.clone()),
        kind: "text",
        message: text.clone(),
        is_peer: true,
    };
    phone_and_addressing(server, &to.number)?
        .0
        .lock()
        .remember_sent(sent);
    let occasion = SendReason::Peer { again: None };
    DeviceMessage {
        from: &to.number,
        to,
        id: &id,
        kind: "text",
        text: &text,
        reason: occasion,
    }
    .send_message(server)
}

/// Resends one of the phone's messages to the one device that could not decrypt it, over a new
/// session.
pub(crate) fn resend_message(
    server: &Arc<Server>,
    from: &PhoneNumber,
    to: &DeviceId,
    id: &str,
    count: u32,
    keys: Option<KeyBundle>,
) -> anyhow::Result<()> {
    let (phone_state, addressing) = phone_and_addressing(server, from)?;
    {
        let mut phone_state = phone_state.lock();
        if phone_state.ignores_retries {
            phone_state.ignored_retries += usize::from(to.device != 0);
            return Ok(());
        }
    }
    let sent = phone_state
        .lock()
        .find_sent(id)
        .context("the message is not kept any more")?;
    let bundle = keys
        .or_else(|| prekeys::take_bundle(server, to))
        .context("the device has no keys")?;
    anyhow::ensure!(
        !sent.is_peer || to.number == *from,
        "what an account's devices say to each other is for no other"
    );
    let session_of = match &sent.to {
        Chat::Group(group) => group_addressing(server, group)?,
        Chat::Status => Addressing::Lid,
        Chat::Person(_) | Chat::Newsletter(_) => addressing,
    };
    let (user, _) = device_names(server, to, session_of).context("no such device")?;
    {
        let mut phone_state = phone_state.lock();
        phone_state
            .signal
            .start_session(&user, to.device, &bundle)?;
        phone_state.resent.push(id.to_owned());
    }
    let other = match &sent.to {
        Chat::Group(group) => {
            return group_message::resend_to_group(server, from, to, group, &sent, count);
        }
        Chat::Status => {
            return sender_key_message::resend_to_device(
                server,
                from,
                to,
                &sent,
                count,
                Addressing::Lid,
            );
        }
        // A device that cannot read a post has no phone to ask for it.
        Chat::Newsletter(_) => return Ok(()),
        Chat::Person(number) => number,
    };
    if sent.is_peer {
        let occasion = SendReason::Peer { again: Some(count) };
        return DeviceMessage {
            from,
            to,
            id,
            kind: sent.kind,
            text: &sent.message,
            reason: occasion,
        }
        .send_message(server);
    }
    let chat = server
        .world
        .lock()
        .account(other)
        .context("no such account")?
        .jid(addressing, 0);
    let (text, chat) = if to.number == *from {
        let copy = own_copy(&chat, &wa::Message::decode_from_slice(&sent.message)?);
        (copy.encode_to_vec(), Some(chat))
    } else {
        (sent.message, None)
    };
    let occasion = SendReason::Retry { count, chat };
    DeviceMessage {
        from,
        to,
        id,
        kind: sent.kind,
        text: &text,
        reason: occasion,
    }
    .send_message(server)
}

/// The reason for a message to a single device.
enum SendReason {
    /// A message between the devices of one account; `again` counts the device's retries.
    Peer { again: Option<u32> },
    /// A retry of the device; a copy names the chat it belongs to.
    Retry { count: u32, chat: Option<Jid> },
}

/// A message to a single device.
struct DeviceMessage<'a> {
    from: &'a PhoneNumber,
    to: &'a DeviceId,
    id: &'a str,
    kind: &'static str,
    text: &'a [u8],
    reason: SendReason,
}

impl DeviceMessage<'_> {
    fn send_message(self, server: &Arc<Server>) -> anyhow::Result<()> {
        let (phone_state, addressing) = phone_and_addressing(server, self.from)?;
        open_sessions(
            server,
            &phone_state,
            std::slice::from_ref(self.to),
            addressing,
        )?;
        let (user, jid) = device_names(server, self.to, addressing).context("no such device")?;
        let mut stanza = NodeBuilder::new("message")
            .attr("to", jid)
            .attr("id", self.id)
            .attr("type", self.kind);
        let retry = match self.reason {
            SendReason::Peer { again } => {
                stanza = stanza.attr("category", "peer");
                again
            }
            SendReason::Retry { count, chat } => {
                if let Some(chat) = chat {
                    stanza = stanza.attr("recipient", chat);
                }
                Some(count)
            }
        };
        let labels = MessageAttributes::from_message(&wa::Message::decode_from_slice(self.text)?);
        if let Some(edit) = labels.edit {
            stanza = stanza.attr("edit", edit);
        }
        let mut phone = phone_state.lock();
        let sealed = phone.signal.encrypt(&user, self.to.device, self.text)?;
        let content = [enc_node(&sealed, retry, &labels)]
            .into_iter()
            .chain(labels.meta_node());
        let stanza = stanza.children(content.collect::<Vec<_>>()).build();
        let for_phones = route_message(
            server,
            &DeviceId {
                number: self.from.clone(),
                device: 0,
            },
            &stanza,
        );
        drop(phone);
        deliver_to_phones(server, for_phones);
        Ok(())
    }
}

/// Returns an account's phone, and its addressing of others.
fn phone_and_addressing(
    server: &Server,
    number: &PhoneNumber,
) -> anyhow::Result<(Arc<Mutex<PhoneState>>, Addressing)> {
    let world = server.world.lock();
    let account = world.account(number).context("no such account")?;
    Ok((Arc::clone(&account.phone_state), account.addressing))
}

/// Returns the addressing of a group's members.
fn group_addressing(server: &Server, group: &GroupId) -> anyhow::Result<Addressing> {
    Ok(server
        .world
        .lock()
        .groups
        .get(group)
        .context("no such group")?
        .addressing)
}

/// Starts the Signal sessions that a phone does not have yet. Takes the bundles of other phones
/// before locking the phone.
pub(crate) fn open_sessions(
    server: &Server,
    phone_state: &Mutex<PhoneState>,
    targets: &[DeviceId],
    addressing: Addressing,
) -> anyhow::Result<()> {
    for target in targets {
        let Some((user, _)) = device_names(server, target, addressing) else {
            continue;
        };
        if phone_state.lock().signal.has_session(&user, target.device) {
            continue;
        }
        if let Some(bundle) = prekeys::take_bundle(server, target) {
            phone_state
                .lock()
                .signal
                .start_session(&user, target.device, &bundle)?;
        }
    }
    Ok(())
}

/// Returns the name under which Signal sessions with a device are stored, and its address on the
/// wire; `None` if it is no longer linked.
pub(crate) fn device_names(
    server: &Server,
    device: &DeviceId,
    addressing: Addressing,
) -> Option<(String, Jid)> {
    let world = server.world.lock();
    let account = world.account(&device.number)?;
    if device.device != 0 && !account.devices.contains_key(&device.device) {
        return None;
    }
    Some((
        account.session_user(addressing).to_owned(),
        account.jid(addressing, device.device),
    ))
}

pub(crate) fn enc_node(
    sealed: &Ciphertext,
    retry: Option<u32>,
    labels: &MessageAttributes,
) -> Node {
    let mut enc = NodeBuilder::new("enc")
        .attr("v", "2")
        .attr("type", sealed.kind);
    if let Some(media) = labels.media {
        enc = enc.attr("mediatype", media);
    }
    if labels.hides_failure {
        enc = enc.attr("decrypt-fail", "hide");
    }
    if let Some(count) = retry {
        enc = enc.attr("count", count.to_string());
    }
    enc.bytes(sealed.bytes.clone()).build()
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
