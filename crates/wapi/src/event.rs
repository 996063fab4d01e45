//! What the gateway tells: the JSON of webhooks. A public contract.

mod group;
mod mark;
mod newsletter;
mod person;
mod session;
mod signal;
mod status;
mod timer;
mod update;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids;
use crate::message::Message;

pub use group::{
    Group, GroupAction, GroupChange, GroupCreated, GroupParticipants, GroupUpdated, Member, Role,
};
pub use mark::{Kept, Pinned, Starred};
pub use newsletter::{Newsletter, NewsletterRole};
pub use person::{Names, Person};
pub use session::{
    Account, ConnectionInfo, HistoryProgress, LoggedOutSession, PairedSession, SessionHistory,
    SessionQr, SessionStatus,
};
pub use signal::{CallEnd, CallEnded, CallIncoming, ChatTyping, Presence, PresenceChanged, Typing};
pub use status::ReceivedStatus;
pub use timer::Disappearing;
pub use update::{ChatChange, ChatUpdated, ContactUpdated, FOREVER, ShownPicture};

/// One thing that happened, in the envelope of Standard Webhooks.
///
/// `{"type": "message.received", "timestamp": "2026-01-02T03:04:05Z", "data": {…}}`
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// The same over all deliveries; travels as the header `webhook-id`.
    #[serde(skip)]
    pub id: String,
    #[serde(flatten)]
    pub data: EventData,
    /// When the gateway learnt of it.
    #[serde(serialize_with = "crate::stamp::serialize")]
    pub timestamp: Timestamp,
}

/// Writes each type of event down once: its variant, its `type` in the envelope, and its place among all.
macro_rules! events {
    ($($(#[$said:meta])* $kind:literal => $variant:ident($data:ty),)*) => {
        /// What happened; the variant is the envelope's `type`.
        #[derive(Debug, Clone, Serialize)]
        #[serde(tag = "type", content = "data")]
        pub enum EventData {
            $($(#[$said])* #[serde(rename = $kind)] $variant($data),)*
        }

        /// What the gateway tells of: every `type` there is.
        pub const TYPES: &[&str] = &[$($kind),*];

        impl EventData {
            /// The envelope's `type`.
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $kind,)*
                }
            }
        }
    };
}

events! {
    "message.received" => MessageReceived(Box<ReceivedMessage>),
    /// Something that the account wrote on its phone or on another linked device.
    "message.echo" => MessageEcho(Box<ReceivedMessage>),
    /// Something came in that could not be read yet.
    "message.undecryptable" => MessageUndecryptable(Box<Unread>),
    /// Somebody posted a status.
    "status.received" => StatusReceived(Box<ReceivedStatus>),
    "message.edited" => MessageEdited(Box<Changed<Message>>),
    "message.deleted" => MessageDeleted(Box<Changed<Deletion>>),
    "message.reaction" => MessageReaction(Box<Changed<Reaction>>),
    "message.pinned" => MessagePinned(Box<Changed<Pinned>>),
    "message.kept" => MessageKept(Box<Changed<Kept>>),
    "message.starred" => MessageStarred(Box<Starred>),
    /// WhatsApp took a message of ours.
    "message.sent" => MessageSent(MessageUpdate),
    /// A message of ours will not be sent.
    "message.failed" => MessageFailed(MessageUpdate),
    /// A message of ours was taken back before it left.
    "message.cancelled" => MessageCancelled(MessageUpdate),
    /// It is on the recipient's phone.
    "message.delivered" => MessageDelivered(MessageUpdate),
    "message.read" => MessageRead(MessageUpdate),
    /// A voice note was listened to.
    "message.played" => MessagePlayed(MessageUpdate),
    "poll.vote" => PollVote(Box<Changed<Vote>>),
    "event.response" => EventResponse(Box<Changed<Response>>),
    "session.status" => SessionStatus(Box<SessionStatus>),
    "session.qr" => SessionQr(SessionQr),
    "session.paired" => SessionPaired(PairedSession),
    "session.logged_out" => SessionLoggedOut(LoggedOutSession),
    "session.history" => SessionHistory(SessionHistory),
    "webhook.disabled" => WebhookDisabled(DisabledWebhook),
    "group.created" => GroupCreated(Box<GroupCreated>),
    "group.updated" => GroupUpdated(Box<GroupUpdated>),
    "group.participants" => GroupParticipants(Box<GroupParticipants>),
    "chat.disappearing" => ChatDisappearing(Box<Disappearing>),
    "chat.typing" => ChatTyping(Box<ChatTyping>),
    "presence.changed" => PresenceChanged(Box<PresenceChanged>),
    "call.incoming" => CallIncoming(Box<CallIncoming>),
    "call.ended" => CallEnded(Box<CallEnded>),
    "chat.updated" => ChatUpdated(Box<ChatUpdated>),
    "contact.updated" => ContactUpdated(Box<ContactUpdated>),
}

impl EventData {
    /// The message it tells of, if it tells what one says.
    pub fn message_mut(&mut self) -> Option<&mut Message> {
        match self {
            Self::MessageReceived(told) | Self::MessageEcho(told) => Some(&mut told.message),
            Self::StatusReceived(told) => Some(&mut told.message.message),
            Self::MessageEdited(told) => Some(&mut told.change),
            _ => None,
        }
    }
}

impl Event {
    /// Something that the gateway has learnt just now.
    pub fn new(data: EventData, now: Timestamp) -> Self {
        Self {
            id: ids::event_id(now),
            data,
            timestamp: now,
        }
    }

    /// The envelope as it travels.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("an event is always JSON")
    }
}

/// A webhook that is told no more, until somebody enables it: what happens waits for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DisabledWebhook {
    /// The one it was for; `null` for one of all sessions.
    pub session: Option<String>,
    pub id: String,
    /// `gone`: it answered 410. `failing`: it took nothing for too long.
    pub reason: &'static str,
    #[serde(serialize_with = "crate::stamp::serialize")]
    pub disabled_at: Timestamp,
}

/// What WhatsApp tells a message by: the addresses it came with (which may be a number today and a LID tomorrow for the same
/// person) and its id, which is unique only within the two.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageKey {
    pub chat: String,
    pub sender: String,
    pub id: String,
}

/// What became of a message that a caller sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageUpdate {
    pub session: String,
    /// WhatsApp's id, as the caller was told.
    pub id: String,
    pub chat: String,
    /// When it happened, by WhatsApp's clock where WhatsApp said.
    #[serde(serialize_with = "crate::stamp::serialize")]
    pub timestamp: Timestamp,
    /// Whose phone tells it: for what recipients do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Person>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// Why a message was not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Stable and documented, e.g. `expired`, `whatsapp_refused`.
    pub code: String,
    /// For people.
    pub detail: String,
}

/// A message in one of our sessions' chats: from somebody else, or, as an echo, from another device of the account.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReceivedMessage {
    pub session: String,
    /// WhatsApp's id; unique within a chat and sender.
    pub id: String,
    /// Where to answer: `…@s.whatsapp.net` when the phone number is known, else `…@lid`; `…@g.us` for a group.
    pub chat: String,
    pub from: Person,
    /// The account wrote it itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub from_me: bool,
    /// When WhatsApp took the message from its sender.
    #[serde(serialize_with = "crate::stamp::serialize")]
    pub timestamp: Timestamp,
    /// It waited at WhatsApp while this session was away.
    pub offline: bool,
    #[serde(flatten)]
    pub message: Message,
}

/// What somebody did to a message that was there before, theirs or ours.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changed<T> {
    pub session: String,
    /// Of the change itself.
    pub id: String,
    /// As in [`ReceivedMessage`], like what follows.
    pub chat: String,
    pub from: Person,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub from_me: bool,
    #[serde(serialize_with = "crate::stamp::serialize")]
    pub timestamp: Timestamp,
    pub offline: bool,
    /// The message that was changed.
    pub message_id: String,
    #[serde(flatten)]
    pub change: T,
}

impl<T> Changed<T> {
    /// The same with another change.
    pub fn with<U>(self, change: U) -> Changed<U> {
        let Self {
            session,
            id,
            chat,
            from,
            from_me,
            timestamp,
            offline,
            message_id,
            ..
        } = self;
        Changed {
            session,
            id,
            chat,
            from,
            from_me,
            timestamp,
            offline,
            message_id,
            change,
        }
    }
}

/// A message was deleted for everyone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Deletion {
    pub by: Right,
}

/// By which right a message was taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// They wrote it.
    #[default]
    Author,
    /// They run the group.
    Admin,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reaction {
    /// `null` when an earlier reaction was taken back.
    pub emoji: Option<String>,
}

/// Somebody voted on a poll, or voted anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Vote {
    /// `null`, like what follows, when the poll is not known here.
    pub question: Option<String>,
    /// What they chose; nothing when they took their vote back.
    pub options: Option<Vec<String>>,
    /// All votes so far.
    pub tally: Option<Vec<Tally>>,
}

/// Somebody says whether they come to an event, or says so anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Response {
    /// The event's; `null`, like what follows, when the event is not known here.
    pub name: Option<String>,
    /// `going`, `not_going` or `maybe`.
    pub response: Option<&'static str>,
    /// How many they bring along.
    pub extra_guests: u32,
    /// All answers so far.
    pub tally: Option<Vec<Tally>>,
}

/// How one option of a poll, or one answer to an event, stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub option: String,
    pub votes: usize,
    /// Who chose it, as in a person's `id`.
    pub voters: Vec<String>,
}

/// A message that could not be read. Its sender is asked for it again; when that succeeds, it is told under the same id.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unread {
    pub session: String,
    pub id: String,
    /// `undecryptable`; or WhatsApp has not given it to linked devices: `view_once`, which only phones get, or `unavailable`.
    pub reason: &'static str,
    /// As in [`ReceivedMessage`], like what follows.
    pub chat: String,
    pub from: Person,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub from_me: bool,
    #[serde(serialize_with = "crate::stamp::serialize")]
    pub timestamp: Timestamp,
    pub offline: bool,
}

/// Where a file is, below the gateway's own address.
pub fn media_url(id: &str) -> String {
    format!("/v1/media/{id}/content")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_the_public_contract() {
        let message = ReceivedMessage {
            session: "shop".to_owned(),
            id: "3EB0".to_owned(),
            chat: "375447034810@s.whatsapp.net".to_owned(),
            from: Person {
                id: "375447034810@s.whatsapp.net".to_owned(),
                phone: Some("375447034810".to_owned()),
                name: Some("Ann".to_owned()),
                ..Person::default()
            },
            from_me: false,
            timestamp: Timestamp::UNIX_EPOCH,
            offline: false,
            message: Message::text("hi".to_owned()),
        };
        let data = EventData::MessageReceived(Box::new(message));
        let event = Event {
            id: "evt_1".to_owned(),
            timestamp: Timestamp::UNIX_EPOCH,
            data,
        };
        let expected = serde_json::json!({
            "type": "message.received",
            "timestamp": "1970-01-01T00:00:00.000Z",
            "data": {
                "session": "shop",
                "id": "3EB0",
                "chat": "375447034810@s.whatsapp.net",
                "from": {"id": "375447034810@s.whatsapp.net", "phone": "375447034810", "lid": null, "name": "Ann"},
                "timestamp": "1970-01-01T00:00:00.000Z",
                "offline": false,
                "type": "text",
                "text": {"body": "hi"},
            },
        });
        assert_eq!(serde_json::to_value(&event).unwrap(), expected);
        assert_eq!(event.data.kind(), expected["type"]);
    }
}
