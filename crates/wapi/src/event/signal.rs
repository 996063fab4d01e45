//! What is told of people beside messages: who types, who is there, who calls. A public contract. All of it comes at most once, and only
//! while it happens.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Person;

/// What somebody does in a chat just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Typing {
    /// They write.
    Composing,
    /// They record a voice note.
    Recording,
    /// They do it no more.
    Paused,
}

impl Typing {
    pub const WORDS: [&str; 3] = ["composing", "recording", "paused"];

    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "composing" => Ok(Self::Composing),
            "recording" => Ok(Self::Recording),
            "paused" => Ok(Self::Paused),
            _ => Err("must be `composing`, `recording` or `paused`"),
        }
    }
}

/// Whether somebody has WhatsApp open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    Available,
    Unavailable,
}

impl Presence {
    pub const WORDS: [&str; 2] = ["available", "unavailable"];

    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "available" => Ok(Self::Available),
            "unavailable" => Ok(Self::Unavailable),
            _ => Err("must be `available` or `unavailable`"),
        }
    }
}

/// `chat.typing`: somebody else types in a chat. WhatsApp says so only to accounts that are `available`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChatTyping {
    pub session: String,
    pub chat: String,
    pub from: Person,
    pub state: Typing,
}

/// `presence.changed`: somebody who is watched came or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PresenceChanged {
    pub session: String,
    pub from: Person,
    pub state: Presence,
    /// When they were last there; `null` where they hide it, or are there now.
    #[serde(serialize_with = "crate::stamp::optional")]
    pub last_seen_at: Option<Timestamp>,
}

/// `call.incoming`: somebody calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallIncoming {
    pub session: String,
    /// WhatsApp's id of the call, by which it is rejected.
    pub id: String,
    pub from: Person,
    pub video: bool,
    /// The group that is called; `null` for a call between two.
    pub group: Option<String>,
    #[serde(serialize_with = "crate::stamp::serialize")]
    pub timestamp: Timestamp,
}

/// `call.ended`: a call rings no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallEnded {
    pub session: String,
    pub id: String,
    pub from: Person,
    pub reason: CallEnd,
    #[serde(serialize_with = "crate::stamp::serialize")]
    pub timestamp: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallEnd {
    /// Nobody took it.
    Missed,
    /// It came while the session was away.
    Offline,
    /// It was taken on another device of the account.
    AcceptedElsewhere,
    /// It was turned away, here or on another device of the account.
    Rejected,
}
