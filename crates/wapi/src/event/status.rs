//! What others post for a day.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{EventData, ReceivedMessage};

/// How long a status is shown.
const SHOWN: SignedDuration = SignedDuration::from_hours(24);

/// A status of somebody else. Its chat is `status@broadcast`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReceivedStatus {
    #[serde(flatten)]
    pub message: ReceivedMessage,
    /// When nobody sees it any more.
    #[serde(serialize_with = "crate::stamp::serialize")]
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
    /// The message that came in, if one did.
    pub fn received_mut(&mut self) -> Option<&mut ReceivedMessage> {
        match self {
            Self::MessageReceived(told) | Self::MessageEcho(told) => Some(told),
            Self::StatusReceived(told) => Some(&mut told.message),
            _ => None,
        }
    }
}
