//! What is told of chats whose messages disappear. A public contract.

use jiff::Timestamp;
use serde::Serialize;

use super::Person;

/// `chat.disappearing`: somebody set after how long the messages of a chat of two disappear. Of groups, `group.updated` tells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disappearing {
    pub session: String,
    /// Of the message that said so; the rest is as in one that came in.
    pub id: String,
    pub chat: String,
    pub from: Person,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub from_me: bool,
    #[serde(serialize_with = "crate::stamp::serialize")]
    pub timestamp: Timestamp,
    pub offline: bool,
    /// Seconds; 0: they stay.
    pub disappearing: u32,
}
