//! Events: the JSON that webhooks and the feed deliver. A public contract.

mod disappearing;
mod gateway;
mod group;
mod label;
mod limits;
mod newsletter;
mod origin;
mod person;
mod pin_keep_star;
mod presence;
mod session;
mod status;
mod update;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::model::ids;
use crate::model::message::{InvitationReply, Message};
use crate::model::send_failure::SendFailure;

pub use disappearing::ChatDisappearing;
pub use gateway::{ApiKeyEvent, ChangedWebhook, WebhookChange};
pub use group::{
    AddressForm, Group, GroupAction, GroupChange, GroupCreated, GroupKind, GroupMember,
    GroupParticipants, GroupRequest, GroupRole, GroupUpdated, MemberRight, RequestAction,
    RequestMethod,
};
pub use label::{LABEL_COLORS, Label, LabelUpdated};
pub use limits::{AccountLimits, NewChatQuota, ReachoutTimelock, SessionLimits};
pub use newsletter::{
    Newsletter, NewsletterCounts, NewsletterPost, NewsletterRole, PostCounts, PostReaction,
};
pub use origin::MessageOrigin;
pub use person::{Person, PersonNames};
pub use pin_keep_star::{KeepChange, MessageStarred, PinChange};
pub use presence::{
    CallEndReason, CallEnded, CallIncoming, ChatTyping, Presence, PresenceChanged, TypingState,
};
pub use session::{
    Account, AccountDevice, ConnectionInfo, ConnectionState, HistoryProgress, HistoryStatus,
    LoggedOutSession, PairedSession, PasskeyStep, SessionHistory, SessionPasskey, SessionPhase,
    SessionQr, SessionStatus,
};
pub use status::ReceivedStatus;
pub use update::{ChatChange, ChatUpdated, ContactUpdated, FOREVER, ProfilePicture};

/// An event, in the envelope of Standard Webhooks.
///
/// `{"type": "message.received", "timestamp": "2026-01-02T03:04:05Z", "data": {…}}`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// The same in every delivery; sent as the header `webhook-id`.
    #[serde(skip)]
    pub id: String,
    #[serde(flatten)]
    pub data: EventData,
    /// The time at which the gateway learnt of it.
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub timestamp: Timestamp,
}

/// Defines each event type once: its variant, its `type` in the envelope, and its place in `TYPES`.
macro_rules! events {
    ($($(#[$said:meta])* $kind:literal => $variant:ident($data:ty),)*) => {
        /// The payload of an event; the variant determines the envelope's `type`.
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "type", content = "data")]
        pub enum EventData {
            $($(#[$said])* #[serde(rename = $kind)] $variant($data),)*
        }

        /// Every event `type` that the gateway emits.
        pub const TYPES: &[&str] = &[$($kind),*];

        /// Returns the schema of each type's payload.
        pub fn payload_schemas(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
            vec![$(($kind, <$data>::json_schema(generator))),*]
        }

        impl EventData {
            /// Returns the envelope's `type`.
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
    /// A message that the account wrote on its phone or on another linked device.
    "message.echo" => MessageEcho(Box<ReceivedMessage>),
    /// A message arrived that cannot be decrypted yet.
    "message.undecryptable" => MessageUndecryptable(Box<UnreadableMessage>),
    /// A contact posted a status.
    "status.received" => StatusReceived(Box<ReceivedStatus>),
    "message.edited" => MessageEdited(Box<MessageChange<Message>>),
    "message.deleted" => MessageDeleted(Box<MessageChange<DeletionChange>>),
    "message.reaction" => MessageReaction(Box<MessageChange<ReactionChange>>),
    "message.pinned" => MessagePinned(Box<MessageChange<PinChange>>),
    "message.kept" => MessageKept(Box<MessageChange<KeepChange>>),
    "message.starred" => MessageStarred(Box<MessageStarred>),
    /// WhatsApp accepted one of our messages.
    "message.sent" => MessageSent(MessageUpdate),
    /// One of our messages will not be sent.
    "message.failed" => MessageFailed(MessageUpdate),
    /// One of our messages was cancelled before it left.
    "message.cancelled" => MessageCancelled(MessageUpdate),
    /// The message is on the recipient's phone.
    "message.delivered" => MessageDelivered(MessageUpdate),
    "message.read" => MessageRead(MessageUpdate),
    /// A recipient listened to a voice note.
    "message.played" => MessagePlayed(MessageUpdate),
    "poll.vote" => PollVote(Box<MessageChange<VoteChange>>),
    "event.response" => EventResponse(Box<MessageChange<ResponseChange>>),
    "session.status" => SessionStatus(Box<SessionStatus>),
    "session.qr" => SessionQr(SessionQr),
    /// WhatsApp asks for a passkey of the account.
    "session.passkey" => SessionPasskey(Box<SessionPasskey>),
    "session.paired" => SessionPaired(PairedSession),
    "session.logged_out" => SessionLoggedOut(LoggedOutSession),
    "session.history" => SessionHistory(SessionHistory),
    /// WhatsApp restricts the account, or restricts it no longer.
    "session.limits" => SessionLimits(Box<SessionLimits>),
    "webhook.disabled" => WebhookDisabled(DisabledWebhook),
    /// A caller created, changed, or removed a webhook.
    "webhook.changed" => WebhookChanged(ChangedWebhook),
    "api_key.created" => ApiKeyCreated(ApiKeyEvent),
    "api_key.removed" => ApiKeyRemoved(ApiKeyEvent),
    "group.created" => GroupCreated(Box<GroupCreated>),
    "group.updated" => GroupUpdated(Box<GroupUpdated>),
    "group.participants" => GroupParticipants(Box<GroupParticipants>),
    "group.request" => GroupRequest(Box<GroupRequest>),
    "chat.disappearing" => ChatDisappearing(Box<ChatDisappearing>),
    "chat.typing" => ChatTyping(Box<ChatTyping>),
    "presence.changed" => PresenceChanged(Box<PresenceChanged>),
    "call.incoming" => CallIncoming(Box<CallIncoming>),
    "call.ended" => CallEnded(Box<CallEnded>),
    "newsletter.counts" => NewsletterCounts(NewsletterCounts),
    "label.updated" => LabelUpdated(LabelUpdated),
    "chat.updated" => ChatUpdated(Box<ChatUpdated>),
    "contact.updated" => ContactUpdated(Box<ContactUpdated>),
}

impl EventData {
    /// Returns the message in the payload, if the payload contains the content of one.
    pub fn message_mut(&mut self) -> Option<&mut Message> {
        match self {
            Self::MessageReceived(event) | Self::MessageEcho(event) => Some(&mut event.message),
            Self::StatusReceived(event) => Some(&mut event.message.message),
            Self::MessageEdited(event) => Some(&mut event.change),
            _ => None,
        }
    }
}

impl Event {
    /// Creates an event with a new id, stamped `now`.
    pub fn new(data: EventData, now: Timestamp) -> Self {
        Self {
            id: ids::new_event_id(now),
            data,
            timestamp: now,
        }
    }

    /// Serializes the envelope as it is sent.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("an event is always JSON")
    }
}

/// A webhook was disabled: its events wait until a caller enables it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DisabledWebhook {
    /// The session of the webhook; `null` for a webhook of all sessions.
    pub session: Option<String>,
    pub id: String,
    /// `gone`: it answered 410. `failing`: it accepted nothing for too long.
    #[schemars(extend("enum" = ["gone", "failing"]))]
    pub reason: String,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub disabled_at: Timestamp,
}

/// WhatsApp's key of a message: the addresses it came with (for the same person a number today and
/// perhaps a LID tomorrow) and its id, which is unique only within those two.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageKey {
    pub chat: String,
    pub sender: String,
    pub id: String,
}

/// A change in the status of a message that a caller sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageUpdate {
    #[serde(default)]
    pub session: String,
    /// WhatsApp's id, as returned to the caller.
    pub id: String,
    pub chat: String,
    /// Time of the change, by WhatsApp's clock where WhatsApp gives it.
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub timestamp: Timestamp,
    /// The recipient that reports it; absent where the change is not a recipient's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Person>,
    /// The reason for the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<SendFailure>,
}

/// A message in a chat of one of our sessions: from another person or, as an echo, from another
/// device of the account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReceivedMessage {
    #[serde(flatten)]
    pub origin: MessageOrigin,
    #[serde(flatten)]
    pub message: Message,
}

/// A change to an earlier message, theirs or ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageChange<T> {
    /// Its `id` is that of the change itself.
    #[serde(flatten)]
    pub origin: MessageOrigin,
    /// Id of the changed message.
    pub message_id: String,
    #[serde(flatten)]
    pub change: T,
}

impl<T> MessageChange<T> {
    /// Returns the same event with another change.
    pub fn with_change<U>(self, change: U) -> MessageChange<U> {
        let Self {
            origin, message_id, ..
        } = self;
        MessageChange {
            origin,
            message_id,
            change,
        }
    }
}

/// A message was deleted for everyone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeletionChange {
    /// Deletions from before the right was checked count as the author's.
    #[serde(default)]
    #[schemars(
        description = "Their right: they wrote it, or they are an admin of the group. Other deletions are not reported."
    )]
    pub by: DeletionRight,
}

/// The right by which a message was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeletionRight {
    /// The author of the message.
    #[default]
    Author,
    /// An admin of the group.
    Admin,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReactionChange {
    /// `null` when an earlier reaction was removed.
    pub emoji: Option<String>,
}

/// A vote on a poll, new or changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VoteChange {
    /// `null`, like `options` and `tally`, when the poll is not known to the gateway.
    pub question: Option<String>,
    /// The chosen options; empty when the vote was withdrawn.
    pub options: Option<Vec<String>>,
    /// All votes so far.
    pub tally: Option<Vec<OptionTally>>,
}

/// A response to an event's invitation, new or changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResponseChange {
    /// Name of the event; `null`, like `response` and `tally`, when the event is not known to the
    /// gateway.
    pub name: Option<String>,
    pub response: Option<InvitationReply>,
    /// Number of people they bring along.
    pub extra_guests: u32,
    /// All responses so far.
    pub tally: Option<Vec<OptionTally>>,
}

/// The votes for one option of a poll, or for one response to an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct OptionTally {
    pub option: String,
    pub votes: usize,
    /// The voters, as in a person's `id`.
    pub voters: Vec<String>,
}

/// A message that could not be decrypted. The gateway asks its sender for it again, and does so
/// once more on request; if that succeeds, the message is delivered under the same id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnreadableMessage {
    #[serde(flatten)]
    pub origin: MessageOrigin,
    pub reason: UnreadableReason,
    /// The sender's device: 0 is the phone, others are linked to it.
    #[serde(default)]
    pub device: u16,
}

/// The reason why a message has no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnreadableReason {
    /// It could not be decrypted.
    Undecryptable,
    /// It can be viewed once, which WhatsApp allows only phones.
    ViewOnce,
    /// WhatsApp has not given it to linked devices.
    Unavailable,
}

/// Returns the path of a media file, relative to the gateway's own address.
pub fn media_url(id: &str) -> String {
    format!("/v1/media/{id}/content")
}

#[cfg(test)]
mod tests {
    use crate::model::event::*;

    #[test]
    fn the_envelope_is_the_public_contract() {
        let message = ReceivedMessage {
            origin: MessageOrigin {
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
            },
            message: Message::from_text("hi".to_owned()),
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
        let read: Event = serde_json::from_value(expected.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), expected);
    }
}
