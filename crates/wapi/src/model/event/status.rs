//! Statuses, WhatsApp's 24-hour posts.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{EventData, ReceivedMessage};

/// The time for which a status is shown.
const SHOWN: SignedDuration = SignedDuration::from_hours(24);

/// A status posted by another person. Its chat is `status@broadcast`.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
                .timestamp
                .saturating_add(SHOWN)
                .unwrap_or(message.timestamp),
            message,
        }
    }
}

impl EventData {
    /// Returns the received message in the payload, if there is one.
    pub fn received_message_mut(&mut self) -> Option<&mut ReceivedMessage> {
        match self {
            Self::MessageReceived(told) | Self::MessageEcho(told) => Some(told),
            Self::StatusReceived(told) => Some(&mut told.message),
            _ => None,
        }
    }
}
