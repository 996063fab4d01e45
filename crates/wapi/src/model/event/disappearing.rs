//! Events of chats with disappearing messages. A public contract.

use jiff::Timestamp;
use serde::Serialize;

use super::Person;

/// `chat.disappearing`: a participant changed the disappearing timer of a one-to-one chat. Changes
/// in groups come as `group.updated`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatDisappearing {
    pub session: String,
    /// Id of the message that set the timer; the other fields are as in a received message.
    pub id: String,
    pub chat: String,
    pub from: Person,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub from_me: bool,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub timestamp: Timestamp,
    pub offline: bool,
    /// Seconds; 0: messages stay.
    pub disappearing: u32,
}
