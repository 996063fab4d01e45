//! The origin of what WhatsApp delivers: the chat, the author, the time. A public contract.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EventData, Person};

/// The origin of a message, of a change to one, or of whatever else travels as a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageOrigin {
    #[serde(default)]
    pub session: String,
    /// WhatsApp's id; unique within a chat and sender.
    pub id: String,
    /// The address to answer to: `…@s.whatsapp.net` when the phone number is known, else `…@lid`;
    /// `…@g.us` for a group.
    pub chat: String,
    pub from: Person,
    /// The account itself is the author, on another device.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_me: bool,
    /// The time at which WhatsApp accepted the message from its sender.
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub timestamp: Timestamp,
    /// The message waited at WhatsApp while this session was offline.
    #[serde(default)]
    pub offline: bool,
}

impl EventData {
    /// Returns the origin in the payload, if the event came as a message.
    pub fn origin_mut(&mut self) -> Option<&mut MessageOrigin> {
        Some(match self {
            Self::MessageReceived(event) | Self::MessageEcho(event) => &mut event.origin,
            Self::StatusReceived(event) => &mut event.message.origin,
            Self::MessageUndecryptable(event) => &mut event.origin,
            Self::MessageEdited(event) => &mut event.origin,
            Self::MessageDeleted(event) => &mut event.origin,
            Self::MessageReaction(event) => &mut event.origin,
            Self::MessagePinned(event) => &mut event.origin,
            Self::MessageKept(event) => &mut event.origin,
            Self::PollVote(event) => &mut event.origin,
            Self::EventResponse(event) => &mut event.origin,
            Self::ChatDisappearing(event) => &mut event.origin,
            _ => return None,
        })
    }
}

#[cfg(test)]
impl MessageOrigin {
    /// Returns the origin of a message from Ann.
    pub fn for_test() -> Self {
        Self {
            session: "shop".to_owned(),
            id: "3EB0".to_owned(),
            chat: "375440000001@s.whatsapp.net".to_owned(),
            from: Person::default(),
            from_me: false,
            timestamp: Timestamp::UNIX_EPOCH,
            offline: false,
        }
    }
}
