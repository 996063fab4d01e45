//! Conversion of the engine's messages to events. Pure.

mod changes;
pub(in crate::whatsapp) mod content;
pub(in crate::whatsapp) mod fileless;
mod interactive;
mod media;
mod products;
mod raw;
mod remote_file;
mod status;

use changes::{ChangeKind, DecodedChange, decode_change};
use content::unwrap_message;
use jiff::Timestamp;
use whatsapp_rust::Jid;
use whatsapp_rust::types::message::{MessageInfo, MessageSource};
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::waproto::whatsapp as wa;

use crate::inbound::InboundEvent;
use crate::model::event::{
    ChatDisappearing, DeletionChange, EventData, MessageChange, MessageKey, MessageOrigin, Person,
    PersonNames, ReactionChange, ReceivedMessage, ReceivedStatus,
};
use crate::store::DisappearingTimer;

/// Known addresses of the people in a message.
#[derive(Debug, Clone, Default)]
pub(in crate::whatsapp) struct MessageAddresses {
    /// The other address (number or LID) of the sender or, for the account's own message in a
    /// direct chat, of the recipient.
    pub other: Option<Jid>,
    /// The account's own.
    pub own: Vec<Jid>,
}

/// Converts a message to its event; `None` for votes and for messages internal to the protocol.
pub(in crate::whatsapp) fn decode_message(
    session: &str,
    message: &wa::Message,
    info: &MessageInfo,
    known: &MessageAddresses,
) -> Option<InboundEvent> {
    let source = &info.source;
    let data = match decode_change(message) {
        Some(DecodedChange {
            message_id,
            kind: what,
        }) => {
            let changed = empty_change(session, info, known, message_id);
            match what {
                ChangeKind::Edited(message) => {
                    EventData::MessageEdited(Box::new(changed.with_change(*message)))
                }
                ChangeKind::Deleted => EventData::MessageDeleted(Box::new(
                    changed.with_change(DeletionChange::default()),
                )),
                ChangeKind::Reaction(emoji) => EventData::MessageReaction(Box::new(
                    changed.with_change(ReactionChange { emoji }),
                )),
                ChangeKind::Pinned(pinned) => {
                    EventData::MessagePinned(Box::new(changed.with_change(pinned)))
                }
                ChangeKind::Kept(kept) => {
                    EventData::MessageKept(Box::new(changed.with_change(kept)))
                }
            }
        }
        None if let Some((seconds, _)) = changes::decode_timer_change(message) => {
            let set = ChatDisappearing {
                origin: message_origin(session, info, known),
                disappearing: seconds,
            };
            EventData::ChatDisappearing(Box::new(set))
        }
        None => {
            let is_status = source.chat.is_status_broadcast();
            let message = if is_status {
                status::decode_status(message)?
            } else {
                content::decode_body(message)?
            };
            let received = ReceivedMessage {
                origin: message_origin(session, info, known),
                message,
            };
            match (received.origin.from_me, is_status) {
                (true, _) => EventData::MessageEcho(Box::new(received)),
                (false, true) => EventData::StatusReceived(Box::new(ReceivedStatus::new(received))),
                (false, false) => EventData::MessageReceived(Box::new(received)),
            }
        }
    };
    let file = remote_file::remote_file(message, source.is_from_me, source.chat.is_newsletter());
    Some(InboundEvent {
        key: message_key(info),
        chat: public_chat_id(info, known),
        data,
        file,
        facts: Vec::new(),
    })
}

/// Whether a message changes an earlier one.
pub(in crate::whatsapp) fn is_change(message: &wa::Message) -> bool {
    decode_change(message).is_some()
}

/// Converts an edited newsletter post to its event.
pub(in crate::whatsapp) fn decode_edited_post(
    session: &str,
    message: &wa::Message,
    info: &MessageInfo,
    known: &MessageAddresses,
) -> Option<InboundEvent> {
    let id = info.id.to_string();
    let edited =
        empty_change(session, info, known, id.clone()).with_change(content::decode_body(message)?);
    // It comes under the id of the post itself.
    let key = MessageKey {
        id: format!("{id}-edited-{}", info.timestamp.timestamp()),
        ..message_key(info)
    };
    Some(InboundEvent {
        key,
        chat: public_chat_id(info, known),
        data: EventData::MessageEdited(Box::new(edited)),
        file: None,
        facts: Vec::new(),
    })
}

/// Converts the deletion of a newsletter post to its event.
pub(in crate::whatsapp) fn decode_deleted_post(
    session: &str,
    info: &MessageInfo,
    known: &MessageAddresses,
) -> InboundEvent {
    let id = info.id.to_string();
    let deleted =
        empty_change(session, info, known, id.clone()).with_change(DeletionChange::default());
    InboundEvent {
        // It comes under the id of the post itself.
        key: MessageKey {
            id: format!("{id}-deleted"),
            ..message_key(info)
        },
        chat: public_chat_id(info, known),
        data: EventData::MessageDeleted(Box::new(deleted)),
        file: None,
        facts: Vec::new(),
    }
}

/// Returns the timer of a message's chat, as set by it or carried by a disappearing message, and
/// every address of the chat.
pub(in crate::whatsapp) fn find_timer(
    message: &wa::Message,
    info: &MessageInfo,
    known: &MessageAddresses,
) -> Option<(Vec<String>, DisappearingTimer)> {
    // A status has a timer of its own.
    if info.source.chat.is_status_broadcast() {
        return None;
    }
    let said_at = info.timestamp.timestamp();
    let timer = match changes::decode_timer_change(message) {
        Some((seconds, set_at)) => DisappearingTimer {
            seconds,
            set_at: set_at.unwrap_or(said_at),
        },
        None => {
            let about = content::context_info(unwrap_message(message))?;
            let seconds = about.expiration.filter(|seconds| *seconds > 0)?;
            DisappearingTimer {
                seconds,
                set_at: about.ephemeral_setting_timestamp.unwrap_or(said_at),
            }
        }
    };
    let source = &info.source;
    let mut chats = vec![public_chat_id(info, known)];
    if !source.is_group && !source.chat.is_group() {
        let peer = if source.is_from_me {
            &source.chat
        } else {
            &source.sender
        };
        chats.extend(
            [Some(peer), known.other.as_ref()]
                .into_iter()
                .flatten()
                .map(Jid::to_non_ad_string),
        );
    }
    chats.sort_unstable();
    chats.dedup();
    Some((chats, timer))
}

/// Returns the origin of a message, whether or not it could be decrypted.
pub(in crate::whatsapp) fn message_origin(
    session: &str,
    info: &MessageInfo,
    known: &MessageAddresses,
) -> MessageOrigin {
    MessageOrigin {
        session: session.to_owned(),
        id: info.id.to_string(),
        chat: public_chat_id(info, known),
        from: message_author(info, known),
        from_me: info.source.is_from_me,
        timestamp: message_timestamp(info),
        offline: info.is_offline,
    }
}

/// Returns the event of a change to an earlier message, without the change.
pub(in crate::whatsapp) fn empty_change(
    session: &str,
    info: &MessageInfo,
    known: &MessageAddresses,
    message_id: String,
) -> MessageChange<()> {
    MessageChange {
        origin: message_origin(session, info, known),
        message_id,
        change: (),
    }
}

fn message_author(info: &MessageInfo, known: &MessageAddresses) -> Person {
    let sender = &info.source.sender;
    let other = match info.source.is_from_me {
        true => known.own.iter().find(|own| own.is_lid() != sender.is_lid()),
        false => known.other.as_ref(),
    };
    let from = build_person(sender, other, &info.push_name);
    let verified = info
        .verified_name
        .as_ref()
        .and_then(|checked| checked.name.clone())
        .filter(|name| !name.is_empty());
    let names = PersonNames {
        verified,
        ..from.all_names()
    };
    from.with_names(names)
}

/// Returns the public id of the chat, the address to answer to.
pub(in crate::whatsapp) fn public_chat_id(info: &MessageInfo, known: &MessageAddresses) -> String {
    let source = &info.source;
    let is_shared =
        source.chat.is_group() || source.chat.is_status_broadcast() || source.chat.is_newsletter();
    if source.is_group || is_shared {
        return source.chat.to_non_ad_string();
    }
    let peer = if source.is_from_me {
        &source.chat
    } else {
        &source.sender
    };
    build_person(peer, known.other.as_ref(), "").id
}

fn message_timestamp(info: &MessageInfo) -> Timestamp {
    Timestamp::from_second(info.timestamp.timestamp()).unwrap_or_default()
}

/// Returns the key of a message, the same for all devices of its sender.
pub(in crate::whatsapp) fn message_key(info: &MessageInfo) -> MessageKey {
    let MessageSource { chat, sender, .. } = &info.source;
    // Newsletters do not always name the author of a post.
    let sender = if chat.is_newsletter() { chat } else { sender };
    MessageKey {
        chat: chat.to_non_ad_string(),
        sender: sender.to_non_ad_string(),
        id: info.id.to_string(),
    }
}

/// Returns a person with the phone number as id if it is known: callers know people by it.
pub(in crate::whatsapp) fn build_person(
    sender: &Jid,
    other: Option<&Jid>,
    push_name: &str,
) -> Person {
    let either = |wanted: fn(&Jid) -> bool| {
        [Some(sender), other]
            .into_iter()
            .flatten()
            .find(|jid| wanted(jid))
    };
    let (number, lid) = (either(Jid::is_pn), either(Jid::is_lid));
    Person {
        id: number.or(lid).unwrap_or(sender).to_non_ad_string(),
        phone: number.map(|jid| jid.user_base().to_owned()),
        lid: lid.map(Jid::to_non_ad_string),
        name: Some(push_name.to_owned()).filter(|name| !name.is_empty()),
        ..Person::default()
    }
}

#[cfg(test)]
mod tests;
