//! Reasons for which a queued message waits although its turn has come, and the pace that an owner sets.
//! Pure.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

/// The reason, and the earliest time at which the message may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendHold {
    pub reason: HoldReason,
    /// `None` if the time is not known.
    pub not_before: Option<Timestamp>,
}

/// The reason why a queued message waits.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum HoldReason {
    /// WhatsApp lets the account start no new chats for a time.
    Timelock,
    /// The account's quota of new chats is used up.
    NewChatCap,
    /// The session sends no faster.
    MinGap,
    /// The session has sent its messages of the day.
    PerDay,
    /// The session has written to its new contacts of the day.
    NewChatsPerDay,
}

impl HoldReason {
    /// Whether it is the owner's wish, and not WhatsApp's.
    pub const fn is_pacing(self) -> bool {
        matches!(self, Self::MinGap | Self::PerDay | Self::NewChatsPerDay)
    }
}

/// The pace at which a session's messages leave; nothing is slowed by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Pacing {
    /// Seconds between two messages.
    pub min_gap: u32,
    /// Up to so many seconds more, by chance.
    pub jitter: u32,
    /// Shows the recipient that the account types before a text.
    pub typing: bool,
    /// Messages within 24 hours.
    pub per_day: Option<u32>,
    /// New contacts within 24 hours.
    pub new_chats_per_day: Option<u32>,
}

impl Pacing {
    /// Whether messages may have to wait.
    pub const fn delays(&self) -> bool {
        self.min_gap > 0
            || self.jitter > 0
            || self.per_day.is_some()
            || self.new_chats_per_day.is_some()
    }
}
