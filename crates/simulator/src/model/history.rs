//! Messages of the history, as a test gives them. Plain data.

use waproto::whatsapp as wa;

use crate::model::message::PhoneMessage;

/// The author of the message that a call refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// The owner of this phone.
    Me,
    /// The other person in the chat.
    Them,
}

/// How far a message of the history has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryStatus {
    Delivered,
    Read,
}

/// The default number of messages in one history-sync chunk.
pub(crate) const DEFAULT_CHUNK_SIZE: usize = 50;

/// A message of the history, as a test gives it.
#[derive(Clone, Debug)]
pub struct HistoryMessage {
    /// Its id.
    pub id: String,
    /// The author. In a group, `Them` is `from`.
    pub author: Author,
    /// The member of a group who wrote it: a number or an address.
    pub from: Option<String>,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// Its content.
    pub message: wa::Message,
    /// Its delivery status, if the account wrote it and the phone knows.
    pub status: Option<HistoryStatus>,
    /// Reactions, by author. In a group, `Them` is `from`.
    pub reactions: Vec<(Author, String)>,
}

impl HistoryMessage {
    /// A message that the phone has received, at another time and under another id.
    pub fn new_copy(id: &str, author: Author, timestamp: u64, received: &PhoneMessage) -> Self {
        Self {
            message: (*received.protobuf).clone(),
            ..Self::new_text(id, author, timestamp, "")
        }
    }

    /// A text in a chat of two.
    pub fn new_text(id: &str, author: Author, timestamp: u64, text: &str) -> Self {
        let message = wa::Message {
            conversation: Some(text.to_owned()),
            ..Default::default()
        };
        Self {
            id: id.to_owned(),
            author,
            from: None,
            timestamp,
            message,
            status: None,
            reactions: Vec::new(),
        }
    }
}

/// The history of a chat on a phone, oldest message first.
pub(crate) struct HistoryChat {
    /// A number, `…@s.whatsapp.net` or `…@g.us`.
    pub(crate) chat: String,
    pub(crate) messages: Vec<HistoryMessage>,
}
