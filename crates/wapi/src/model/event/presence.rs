//! Presence, chat state and call events. A public contract. They are delivered at most once, and
//! only while they happen.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Person;

/// The current activity of a person in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TypingState {
    /// They write.
    Composing,
    /// They record a voice note.
    Recording,
    /// They stopped.
    Paused,
}

impl TypingState {
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "composing" => Ok(Self::Composing),
            "recording" => Ok(Self::Recording),
            "paused" => Ok(Self::Paused),
            _ => Err("must be `composing`, `recording` or `paused`"),
        }
    }
}

/// Whether a person has WhatsApp open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    Available,
    Unavailable,
}

impl Presence {
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "available" => Ok(Self::Available),
            "unavailable" => Ok(Self::Unavailable),
            _ => Err("must be `available` or `unavailable`"),
        }
    }
}

/// `chat.typing`: another person types in a chat. WhatsApp reports it only to accounts that are
/// `available`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChatTyping {
    pub session: String,
    pub chat: String,
    pub from: Person,
    pub state: TypingState,
}

/// `presence.changed`: a watched person came online or went offline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PresenceChanged {
    pub session: String,
    pub from: Person,
    pub state: Presence,
    /// The time they were last online; `null` where they hide it, or are online now.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub last_seen_at: Option<Timestamp>,
}

/// `call.incoming`: a call rings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallIncoming {
    pub session: String,
    /// WhatsApp's id of the call, needed to reject it.
    pub id: String,
    pub from: Person,
    pub video: bool,
    /// The group that is called; `null` for a one-to-one call.
    pub group: Option<String>,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub timestamp: Timestamp,
}

/// `call.ended`: a call no longer rings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallEnded {
    pub session: String,
    pub id: String,
    pub from: Person,
    pub reason: CallEndReason,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub timestamp: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallEndReason {
    /// The call was not answered.
    Missed,
    /// The call came while the session was offline.
    Offline,
    /// The call was accepted on another device of the account.
    AcceptedElsewhere,
    /// The call was rejected, here or on another device of the account.
    Rejected,
}
