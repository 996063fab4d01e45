//! Changes of earlier messages: edits, deletions, reactions, pins. Pure.

use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message::pin_in_chat_message::Type as PinType;
use whatsapp_rust::waproto::whatsapp::message::protocol_message::Type;

use super::content::{decode_body, unwrap_message};
use crate::model::event::{KeepChange, PinChange};
use crate::model::message::Message;

/// A change and the id of the message that it changes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DecodedChange {
    pub message_id: String,
    pub kind: ChangeKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ChangeKind {
    /// The new content.
    Edited(Box<Message>),
    Deleted,
    /// `None` removes an earlier reaction.
    Reaction(Option<String>),
    Pinned(PinChange),
    Kept(KeepChange),
}

/// Returns the change that a message makes; `None` for a message of its own.
pub(crate) fn decode_change(message: &wa::Message) -> Option<DecodedChange> {
    let body = unwrap_message(message);
    let (key, what) = if let Some(reaction) = body.reaction_message.as_option() {
        let emoji = reaction.text.clone().filter(|emoji| !emoji.is_empty());
        (&reaction.key, ChangeKind::Reaction(emoji))
    } else if let Some(pin) = body.pin_in_chat_message.as_option() {
        let pinned = pin.r#type? == PinType::PIN_FOR_ALL;
        let around = [message, body]
            .into_iter()
            .find_map(|message| message.message_context_info.as_option());
        let duration = around
            .and_then(|around| around.message_add_on_duration_in_secs)
            .filter(|_| pinned);
        (&pin.key, ChangeKind::Pinned(PinChange { pinned, duration }))
    } else if let Some(keep) = body.keep_in_chat_message.as_option() {
        (
            &keep.key,
            ChangeKind::Kept(KeepChange {
                kept: keep.keep_type? == wa::KeepType::KEEP_FOR_ALL,
            }),
        )
    } else {
        let protocol = body.protocol_message.as_option()?;
        let what = match protocol.r#type? {
            Type::REVOKE => ChangeKind::Deleted,
            Type::MESSAGE_EDIT => {
                ChangeKind::Edited(Box::new(decode_body(protocol.edited_message.as_option()?)?))
            }
            _ => return None,
        };
        (&protocol.key, what)
    };
    Some(DecodedChange {
        message_id: key.as_option()?.id.clone()?,
        kind: what,
    })
}

/// Returns the disappearing-message timer that a message sets, in seconds, and the time it was set,
/// in seconds since 1970; `None` for other messages.
pub(crate) fn decode_timer_change(message: &wa::Message) -> Option<(u32, Option<i64>)> {
    let protocol = unwrap_message(message).protocol_message.as_option()?;
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

    use crate::whatsapp::receive::decode::changes::*;

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
        let edited = ChangeKind::Edited(Box::new(Message::from_text("new".to_owned())));
        for (message, kind) in [
            (reaction("👍"), ChangeKind::Reaction(Some("👍".to_owned()))),
            (reaction(""), ChangeKind::Reaction(None)),
            (protocol(Type::REVOKE, None), ChangeKind::Deleted),
            (protocol(Type::MESSAGE_EDIT, Some(text)), edited),
        ] {
            assert_eq!(
                decode_change(&message),
                Some(DecodedChange {
                    message_id: "3EB0".to_owned(),
                    kind
                })
            );
        }
    }

    #[test]
    fn other_messages_change_nothing() {
        assert_eq!(
            decode_change(&protocol(Type::EPHEMERAL_SETTING, None)),
            None
        );
        assert_eq!(decode_change(&protocol(Type::MESSAGE_EDIT, None)), None);
        assert_eq!(
            decode_change(&wa::Message {
                conversation: Some("hi".to_owned()),
                ..Default::default()
            }),
            None
        );
    }
}
