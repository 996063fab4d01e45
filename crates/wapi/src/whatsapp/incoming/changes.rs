//! Changes of earlier messages: edits, deletions, reactions, pins. Pure.

use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message::pin_in_chat_message::Type as PinType;
use whatsapp_rust::waproto::whatsapp::message::protocol_message::Type;

use super::content::{inner, message as told};
use crate::event::{Kept, Pinned};
use crate::message::Message;

/// A change and the id of the message that it changes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub message_id: String,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// The new content.
    Edited(Box<Message>),
    Deleted,
    /// `None` removes an earlier reaction.
    Reaction(Option<String>),
    Pinned(Pinned),
    Kept(Kept),
}

/// Returns the change that a message makes; `None` for a message of its own.
pub(super) fn change(message: &wa::Message) -> Option<Change> {
    let body = inner(message);
    let (key, what) = if let Some(reaction) = body.reaction_message.as_option() {
        let emoji = reaction.text.clone().filter(|emoji| !emoji.is_empty());
        (&reaction.key, What::Reaction(emoji))
    } else if let Some(pin) = body.pin_in_chat_message.as_option() {
        let pinned = pin.r#type? == PinType::PIN_FOR_ALL;
        let around = [message, body]
            .into_iter()
            .find_map(|message| message.message_context_info.as_option());
        let duration = around
            .and_then(|around| around.message_add_on_duration_in_secs)
            .filter(|_| pinned);
        (&pin.key, What::Pinned(Pinned { pinned, duration }))
    } else if let Some(keep) = body.keep_in_chat_message.as_option() {
        (
            &keep.key,
            What::Kept(Kept {
                kept: keep.keep_type? == wa::KeepType::KEEP_FOR_ALL,
            }),
        )
    } else {
        let protocol = body.protocol_message.as_option()?;
        let what = match protocol.r#type? {
            Type::REVOKE => What::Deleted,
            Type::MESSAGE_EDIT => {
                What::Edited(Box::new(told(protocol.edited_message.as_option()?)?))
            }
            _ => return None,
        };
        (&protocol.key, what)
    };
    Some(Change {
        message_id: key.as_option()?.id.clone()?,
        what,
    })
}

/// Returns the disappearing-message timer that a message sets, in seconds, and the time it was set,
/// in seconds since 1970; `None` for other messages.
pub(super) fn timer(message: &wa::Message) -> Option<(u32, Option<i64>)> {
    let protocol = inner(message).protocol_message.as_option()?;
    let is_setting = protocol.r#type? == Type::EPHEMERAL_SETTING;
    is_setting.then(|| {
        (
            protocol.ephemeral_expiration.unwrap_or_default(),
            protocol.ephemeral_setting_timestamp,
        )
    })
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::waproto::buffa::MessageField;
    use whatsapp_rust::waproto::whatsapp::message::{ProtocolMessage, ReactionMessage};

    use super::*;

    fn key() -> MessageField<wa::MessageKey> {
        MessageField::some(wa::MessageKey {
            id: Some("3EB0".to_owned()),
            ..Default::default()
        })
    }

    fn reaction(emoji: &str) -> wa::Message {
        let reaction = ReactionMessage {
            key: key(),
            text: Some(emoji.to_owned()),
            ..Default::default()
        };
        wa::Message {
            reaction_message: MessageField::some(reaction),
            ..Default::default()
        }
    }

    fn protocol(kind: Type, edited: Option<wa::Message>) -> wa::Message {
        let edited_message = edited.map(MessageField::some).unwrap_or_default();
        let protocol = ProtocolMessage {
            key: key(),
            r#type: Some(kind),
            edited_message,
            ..Default::default()
        };
        wa::Message {
            protocol_message: MessageField::some(protocol),
            ..Default::default()
        }
    }

    #[test]
    fn each_change_names_the_message_it_changes() {
        let text = wa::Message {
            conversation: Some("new".to_owned()),
            ..Default::default()
        };
        let edited = What::Edited(Box::new(Message::text("new".to_owned())));
        for (message, what) in [
            (reaction("👍"), What::Reaction(Some("👍".to_owned()))),
            (reaction(""), What::Reaction(None)),
            (protocol(Type::REVOKE, None), What::Deleted),
            (protocol(Type::MESSAGE_EDIT, Some(text)), edited),
        ] {
            assert_eq!(
                change(&message),
                Some(Change {
                    message_id: "3EB0".to_owned(),
                    what
                })
            );
        }
    }

    #[test]
    fn other_messages_change_nothing() {
        assert_eq!(change(&protocol(Type::EPHEMERAL_SETTING, None)), None);
        assert_eq!(change(&protocol(Type::MESSAGE_EDIT, None)), None);
        assert_eq!(
            change(&wa::Message {
                conversation: Some("hi".to_owned()),
                ..Default::default()
            }),
            None
        );
    }
}
