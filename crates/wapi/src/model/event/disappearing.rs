//! Events of chats with disappearing messages. A public contract.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MessageOrigin;

/// `chat.disappearing`: a participant changed the disappearing timer of a one-to-one chat. Changes
/// in groups come as `group.updated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChatDisappearing {
    /// Its `id` is that of the message that set the timer.
    #[serde(flatten)]
    pub origin: MessageOrigin,
    /// Seconds; 0: messages stay.
    pub disappearing: u32,
}
