//! What is told of marks on messages: pins, stars, what is kept. A public contract.

use jiff::Timestamp;
use serde::Serialize;

/// A message was put at the top of its chat for everyone there, or taken down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pinned {
    pub pinned: bool,
    /// Seconds it stays there; `null` when it was taken down, or nobody said.
    pub duration: Option<u32>,
}

/// A message of a chat with a timer does not disappear, or does so again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    pub kept: bool,
}

/// `message.starred`: the account put a star to a message, or took it away, on another of its devices. What was done through here may be
/// told as well. Comes at most once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Starred {
    pub session: String,
    /// As in a message that came in.
    pub chat: String,
    pub message_id: String,
    pub starred: bool,
    #[serde(serialize_with = "crate::stamp::serialize")]
    pub timestamp: Timestamp,
}
