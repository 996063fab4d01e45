//! Events of marks on messages: pins, stars, keeps. A public contract.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A message was pinned at the top of its chat for all members, or unpinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PinChange {
    pub pinned: bool,
    /// Seconds it stays pinned; `null` when it was unpinned, or the sender gave no duration.
    pub duration: Option<u32>,
}

/// A message in a chat with a disappearing timer was kept, or no longer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeepChange {
    pub kept: bool,
}

/// `message.starred`: the account starred a message, or removed the star, on another of its
/// devices. A star set through this gateway may be reported as well. Delivered at most once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageStarred {
    pub session: String,
    /// The chat of the message.
    pub chat: String,
    pub message_id: String,
    pub starred: bool,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub timestamp: Timestamp,
}
