//! Statuses, WhatsApp's 24-hour posts.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EventData, ReceivedMessage};

/// The time for which a status is shown.
const SHOWN: SignedDuration = SignedDuration::from_hours(24);

/// A status posted by another person. Its chat is `status@broadcast`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReceivedStatus {
    #[serde(flatten)]
    pub message: ReceivedMessage,
    /// The time after which WhatsApp no longer shows it.
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub expires_at: Timestamp,
}

impl ReceivedStatus {
    pub fn new(message: ReceivedMessage) -> Self {
        Self {
            expires_at: message
                .origin
                .timestamp
                .saturating_add(SHOWN)
                .unwrap_or(message.origin.timestamp),
            message,
        }
    }
}

impl EventData {
    /// Returns the received message in the payload, if there is one.
    pub fn received_message_mut(&mut self) -> Option<&mut ReceivedMessage> {
        match self {
            Self::MessageReceived(event) | Self::MessageEcho(event) => Some(event),
            Self::StatusReceived(event) => Some(&mut event.message),
            _ => None,
        }
    }
}
