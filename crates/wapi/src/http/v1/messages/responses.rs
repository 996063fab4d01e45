//! Messages in answers.

use jiff::Timestamp;
use serde::Serialize;

use super::body::MessageRequest;
use crate::model::message::{ChatId, Message};
use crate::model::send_failure::SendFailure;
use crate::model::send_hold::{HoldReason, SendHold};
use crate::model::session_name::SessionName;
use crate::store::{CANCELLED, RecipientProgress, SentMessage};

/// The answer to an accepted message.
#[derive(Debug, Serialize)]
pub struct SendAnswer {
    messages: Vec<MessageInfo>,
    contacts: [ResolvedContact; 1],
}

/// A message's recipient, as the caller wrote it and as WhatsApp knows it; `null` where unknown.
#[derive(Debug, Serialize)]
struct ResolvedContact {
    input: String,
    /// International number, digits only.
    wa_id: Option<String>,
    lid: Option<String>,
}

/// A message sent through the gateway.
#[derive(Debug, Serialize)]
pub struct MessageInfo {
    /// WhatsApp's id.
    id: String,
    session: SessionName,
    chat: String,
    /// The content, as requested.
    #[serde(flatten)]
    message: Message,
    /// The furthest status that any recipient has reached.
    status: MessageStatus,
    /// Why it waits although its turn has come, and the earliest time at which it may leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    queued_reason: Option<HoldReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    not_before: Option<Timestamp>,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    accepted_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    send_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    expires_at: Option<Timestamp>,
    /// When WhatsApp accepted it.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    sent_at: Option<Timestamp>,
    /// When it was last edited, and when it was deleted for everyone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    edited_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    deleted_at: Option<Timestamp>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<SendFailure>,
    recipients: Vec<RecipientInfo>,
    /// All status changes, oldest first.
    history: Vec<StatusChange>,
}

/// The delivery status of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum MessageStatus {
    /// It has not left.
    Queued,
    /// It may have left and is not acknowledged. It is sent again under the same id until the
    /// gateway gives up.
    Unknown,
    Failed,
    /// It was cancelled before it left.
    Cancelled,
    /// WhatsApp accepted it.
    Sent,
    /// It is on a recipient's phone.
    Delivered,
    Read,
    Played,
}

/// The times at which one recipient received, read and played the message.
#[derive(Debug, Serialize)]
struct RecipientInfo {
    id: String,
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    delivered_at: Option<Timestamp>,
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    read_at: Option<Timestamp>,
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    played_at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct StatusChange {
    status: MessageStatus,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
}

impl SendAnswer {
    /// `number`: the phone number of the recipient's chat, if known. WhatsApp may know the
    /// requested recipient by another form of the number.
    pub fn new(
        request: &MessageRequest,
        messages: Vec<MessageInfo>,
        number: Option<String>,
    ) -> Self {
        let (wa_id, lid) = match &request.to {
            ChatId::Phone(request) => (number.or_else(|| Some(request.clone())), None),
            ChatId::Lid(_) => (None, Some(request.to.to_string())),
            ChatId::Group(_) | ChatId::Status | ChatId::Newsletter(_) => (None, None),
        };
        Self {
            messages,
            contacts: [ResolvedContact {
                input: request.input.clone(),
                wa_id,
                lid,
            }],
        }
    }
}

impl MessageInfo {
    pub fn new(session: SessionName, message: SentMessage) -> Self {
        let history = status_history(&message);
        let furthest = history
            .iter()
            .map(|moment| moment.status)
            .max()
            .unwrap_or(MessageStatus::Queued);
        Self {
            id: message.id,
            session,
            chat: message.chat,
            message: message.message,
            status: furthest,
            queued_reason: None,
            not_before: None,
            accepted_at: message.accepted_at,
            send_at: message.send_at,
            expires_at: message.expires_at,
            sent_at: message.sent_at,
            edited_at: message.edited_at,
            deleted_at: message.deleted_at,
            error: message.failure,
            recipients: message.recipients.into_iter().map(recipient_info).collect(),
            history,
        }
    }
}

impl MessageInfo {
    /// Adds the reason why the message waits, if it does.
    pub fn with_hold(self, hold: Option<SendHold>) -> Self {
        Self {
            queued_reason: hold.map(|hold| hold.reason),
            not_before: hold.and_then(|hold| hold.not_before),
            ..self
        }
    }
}

fn recipient_info(progress: RecipientProgress) -> RecipientInfo {
    let RecipientProgress {
        recipient: id,
        delivered_at,
        read_at,
        played_at,
    } = progress;
    RecipientInfo {
        id,
        delivered_at,
        read_at,
        played_at,
    }
}

fn status_history(message: &SentMessage) -> Vec<StatusChange> {
    let mut history = vec![StatusChange {
        status: MessageStatus::Queued,
        at: message.accepted_at,
        recipient: None,
    }];
    let mut add = |status, at: Option<Timestamp>, recipient: Option<&String>| {
        history.extend(at.map(|at| StatusChange {
            status,
            at,
            recipient: recipient.cloned(),
        }));
    };
    if message.status == "unknown" {
        add(
            MessageStatus::Unknown,
            message.attempted_at.or(Some(message.accepted_at)),
            None,
        );
    }
    if message.status == "failed" {
        add(
            MessageStatus::Failed,
            message.settled_at.or(Some(message.accepted_at)),
            None,
        );
    }
    if message.status == CANCELLED {
        add(
            MessageStatus::Cancelled,
            message.settled_at.or(Some(message.accepted_at)),
            None,
        );
    }
    add(MessageStatus::Sent, message.sent_at, None);
    for RecipientProgress {
        recipient,
        delivered_at,
        read_at,
        played_at,
    } in &message.recipients
    {
        add(MessageStatus::Delivered, *delivered_at, Some(recipient));
        add(MessageStatus::Read, *read_at, Some(recipient));
        add(MessageStatus::Played, *played_at, Some(recipient));
    }
    // WhatsApp's times are whole seconds, so equal times are ordered by the usual order of events.
    history[1..].sort_by_key(|moment| (moment.at, moment.status));
    history
}
