//! How a phone behaves by itself, and what it shows for a moment. Plain data.

use serde::{Deserialize, Serialize};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

/// Whether a phone confirms received messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiptPolicy {
    /// It sends "delivered" at once, as phones do.
    #[default]
    Automatic,
    /// It sends nothing until a test asks it to.
    Withheld,
}

/// Whether a phone answers the linked devices of its own account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerRequests {
    /// At once, as a phone that is on.
    #[default]
    Answered,
    /// Not at all, as a phone that is off or has no network. A device that it links meanwhile
    /// receives no app-state key and no history either.
    Ignored,
}

/// The activity of a person in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TypingState {
    /// They write.
    Composing,
    /// They record a voice note.
    Recording,
    /// They have stopped.
    Paused,
}

impl TypingState {
    pub(crate) fn chatstate_node(self) -> Node {
        match self {
            Self::Composing => NodeBuilder::new("composing").build(),
            Self::Recording => NodeBuilder::new("composing").attr("media", "audio").build(),
            Self::Paused => NodeBuilder::new("paused").build(),
        }
    }
}

/// A link by which anybody can call in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLink {
    /// The number of the account that created it.
    pub creator: String,
    /// The last part of its address.
    pub token: String,
    /// Whether the call has video.
    pub video: bool,
}

/// Something a phone showed for a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum PhoneActivity {
    /// A person types in a chat; all addresses are by number.
    Typing {
        /// The other side of the conversation, or the group.
        chat: String,
        /// The person.
        from: String,
        /// The activity.
        state: TypingState,
    },
    /// A person this phone watches came or went.
    Presence {
        /// The person.
        from: String,
        /// Whether they are online.
        available: bool,
    },
    /// A call from this phone was rejected.
    Rejected {
        /// The id of the call.
        call: String,
        /// The account that rejected it.
        by: String,
    },
}
