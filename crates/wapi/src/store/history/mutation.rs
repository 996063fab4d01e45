//! Changes to chats, contacts and messages, as the history records them. Pure.

use jiff::Timestamp;
use strum::IntoStaticStr;

use crate::model::event::{ChatChange, DeletionRight, Person};
use crate::model::message::Message;
use crate::store::Life;

/// One change to the history of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryMutation {
    /// Sequence number of the event that caused it.
    pub seq: i64,
    pub session: Life,
    pub change: HistoryChange,
}

#[derive(Debug, Clone, PartialEq)]
pub enum HistoryChange {
    /// A message in a chat; counted as unread if others wrote it. An existing message stays as it
    /// is.
    Message(Box<NewHistoryMessage>),
    /// The account wrote on its phone, so it has seen the chat.
    Seen { chat: String },
    /// New content of a message. Valid only from its author.
    Edited {
        of: ChangeTarget,
        content: Box<Message>,
    },
    /// Deletion of a message for everyone, by its author or a group admin.
    Deleted { of: ChangeTarget, by: DeletionRight },
    /// An emoji reaction to a message; `None` removes it.
    Reaction {
        of: ChangeTarget,
        emoji: Option<String>,
    },
    /// Progress of one of the account's own messages; never goes back.
    Status {
        chat: String,
        id: String,
        status: MessageProgress,
    },
    /// New properties of a chat. A group's name is its subject.
    Chat { chat: Person, change: ChatChange },
    /// Two ids turned out to be one person with one chat.
    Merged { old: String, new: String },
    /// Known data of a person; missing data leaves the saved data as it is.
    Contact(Person),
}

/// A message to be added.
#[derive(Debug, Clone, PartialEq)]
pub struct NewHistoryMessage {
    pub chat: String,
    /// WhatsApp's id.
    pub id: String,
    /// `None`: the account itself.
    pub from: Option<Person>,
    pub at: Timestamp,
    pub message: Message,
    /// Whether the event that brings it has the message, too.
    pub is_in_log: bool,
    /// Only for the account's own messages.
    pub status: Option<MessageProgress>,
    /// Reactions from before it was added: the person (`None`: the account itself), and the emoji.
    pub reactions: Vec<(Option<Person>, String)>,
}

impl NewHistoryMessage {
    pub(crate) fn sender(&self) -> &str {
        self.from.as_ref().map_or("", |from| &from.id)
    }
}

/// The message that a change affects, its author, and the time of the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeTarget {
    pub chat: String,
    /// The message's id.
    pub id: String,
    /// The author of the change; `None`: the account itself.
    pub by: Option<Person>,
    pub at: Timestamp,
}

/// Progress of one of the account's own messages, as far as the furthest recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum MessageProgress {
    Sent = 1,
    Delivered = 2,
    Read = 3,
    Played = 4,
}

impl ChangeTarget {
    pub(crate) fn sender(&self) -> &str {
        self.by.as_ref().map_or("", |by| &by.id)
    }
}

impl MessageProgress {
    pub(crate) const fn from_rank(rank: i64) -> Self {
        match rank {
            ..=1 => Self::Sent,
            2 => Self::Delivered,
            3 => Self::Read,
            4.. => Self::Played,
        }
    }
}

impl HistoryChange {
    /// Returns the chat it affects, if any.
    pub fn chat_id(&self) -> Option<&str> {
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

    /// Returns whether it removes the messages of a chat; later ones stay.
    pub(crate) fn empties(&self) -> bool {
        matches!(self, Self::Chat { change, .. } if change.deleted == Some(true) || change.cleared == Some(true))
    }

    /// Returns whether two ids turned out to be one.
    pub(super) const fn is_merge(&self) -> bool {
        matches!(self, Self::Merged { .. })
    }

    /// Returns the person it involves, if any. For a one-to-one chat, this is the other person.
    pub(crate) fn person(&self) -> Option<Person> {
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

/// Creates a person from an address alone.
pub(crate) fn by_address(id: &str) -> Person {
    let phone = id.strip_suffix("@s.whatsapp.net").map(str::to_owned);
    let lid = id.ends_with("@lid").then(|| id.to_owned());
    Person {
        id: id.to_owned(),
        phone,
        lid,
        ..Person::default()
    }
}

/// Returns whether a chat is a group.
pub(crate) fn is_group(chat: &str) -> bool {
    chat.ends_with("@g.us")
}
