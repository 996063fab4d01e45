//! What is to be written down of chats, contacts and messages. Pure.

use jiff::Timestamp;

use crate::event::{ChatChange, Person, Right};
use crate::message::Message;
use crate::store::Life;

/// One thing that changes what is kept of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The place of the event that tells it.
    pub seq: i64,
    pub session: Life,
    pub change: Change,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A message in a chat; counted as unread when others wrote it. One that is kept already stays as it is.
    Message(Box<NewKept>),
    /// The account wrote something on its phone, so it has seen the chat.
    Seen { chat: String },
    /// What a message says now. Only its author can do that.
    Edited { of: About, content: Box<Message> },
    /// A message is gone for everyone: its author took it back, or somebody who runs the group.
    Deleted { of: About, by: Right },
    /// An emoji was put to a message; `None`: taken back.
    Reaction { of: About, emoji: Option<String> },
    /// How far a message of the account has come; never goes back.
    Status {
        chat: String,
        id: String,
        status: KeptStatus,
    },
    /// What a chat is like now. A group's name is its subject.
    Chat { chat: Person, change: ChatChange },
    /// Two were taken for two, and are one person in one chat.
    Merged { old: String, new: String },
    /// What is known of somebody; what is not given stays as it was.
    Contact(Person),
}

/// A message to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewKept {
    pub chat: String,
    /// WhatsApp's.
    pub id: String,
    /// `None`: the account itself.
    pub from: Option<Person>,
    pub at: Timestamp,
    pub message: Message,
    /// Of the account's own messages.
    pub status: Option<KeptStatus>,
    /// What was put to it before it is kept: who (`None`: the account itself), and the emoji.
    pub reactions: Vec<(Option<Person>, String)>,
}

impl NewKept {
    pub(super) fn sender(&self) -> &str {
        self.from.as_ref().map_or("", |from| &from.id)
    }
}

/// The message that something happens to, who does it, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    pub chat: String,
    /// The message's.
    pub id: String,
    /// `None`: the account itself.
    pub by: Option<Person>,
    pub at: Timestamp,
}

/// How far a message of the account has come, with the recipient who has come furthest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeptStatus {
    Sent = 1,
    Delivered = 2,
    Read = 3,
    Played = 4,
}

impl About {
    pub(super) fn sender(&self) -> &str {
        self.by.as_ref().map_or("", |by| &by.id)
    }
}

impl KeptStatus {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Played => "played",
        }
    }

    pub(super) const fn of(rank: i64) -> Self {
        match rank {
            ..=1 => Self::Sent,
            2 => Self::Delivered,
            3 => Self::Read,
            4.. => Self::Played,
        }
    }
}

impl Change {
    /// The chat it is about, if it is about one.
    pub fn chat(&self) -> Option<&str> {
        match self {
            Self::Message(new) => Some(&new.chat),
            Self::Edited { of, .. } | Self::Deleted { of, .. } | Self::Reaction { of, .. } => {
                Some(&of.chat)
            }
            Self::Seen { chat } | Self::Status { chat, .. } => Some(chat),
            Self::Chat { chat, .. } => Some(&chat.id),
            Self::Contact(_) | Self::Merged { .. } => None,
        }
    }

    /// Whether it takes a chat's messages away; what comes after it in the chat stays.
    pub(super) fn empties(&self) -> bool {
        matches!(self, Self::Chat { change, .. } if change.deleted == Some(true) || change.cleared == Some(true))
    }

    /// Whom it names, if it names somebody. A chat of two names the other one.
    pub(super) fn person(&self) -> Option<Person> {
        match self {
            Self::Message(new) => match &new.from {
                Some(from) => Some(from.clone()),
                None => (!is_group(&new.chat)).then(|| by_address(&new.chat)),
            },
            Self::Edited { of, .. } | Self::Deleted { of, .. } | Self::Reaction { of, .. } => {
                of.by.clone()
            }
            Self::Chat { chat, .. } => (!is_group(&chat.id)).then(|| chat.clone()),
            Self::Contact(person) => Some(person.clone()),
            Self::Seen { .. } | Self::Status { .. } | Self::Merged { .. } => None,
        }
    }
}

/// Somebody of whom no more is known than where to write to.
pub(super) fn by_address(id: &str) -> Person {
    let phone = id.strip_suffix("@s.whatsapp.net").map(str::to_owned);
    let lid = id.ends_with("@lid").then(|| id.to_owned());
    Person {
        id: id.to_owned(),
        phone,
        lid,
        ..Person::default()
    }
}

/// Whether a chat has more than two in it.
pub(super) fn is_group(chat: &str) -> bool {
    chat.ends_with("@g.us")
}
