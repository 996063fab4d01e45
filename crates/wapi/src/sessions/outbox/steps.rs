//! The outbox's steps, and the results reported back to it. Pure.

use std::time::Duration;

use jiff::Timestamp;

#[cfg(doc)]
use super::Outbox;
use crate::store::{MessageSeq, SendOutcome};

/// The current time: wall-clock time for the callers' dates, and a monotonic uptime for our own
/// timeouts.
#[derive(Debug, Clone, Copy)]
pub struct OutboxClock {
    pub now: Timestamp,
    pub uptime: Duration,
}

/// Whether the session is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxConnectivity {
    Online,
    Offline,
}

/// An action to perform. Its result is reported to the named method of [`Outbox`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboxStep {
    /// Fetch and upload the message's file: [`Outbox::finish_preparing`].
    Prepare(MessageSeq),
    /// Record that these may have left: [`Outbox::finish_recording`].
    RecordAttempts(Vec<MessageSeq>),
    /// Hand the message to the engine: [`Outbox::finish_handover`], and [`Outbox::record_answer`] when
    /// WhatsApp answers.
    HandOver(MessageSeq),
    /// Record this outcome. No result is reported.
    RecordOutcome(MessageSeq, SendOutcome),
}

/// The result of handing a message to the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandoverResult {
    /// It was sent; WhatsApp may or may not answer.
    Sent,
    /// It has not left, because there is no connection.
    Offline,
    /// It has not left, because the engine could not encode it.
    Failed,
    /// It has not left, because the number is not on WhatsApp.
    NotOnWhatsapp,
    /// It has not left, because the account is not in the group.
    NotInGroup,
    /// It has not left, because there is no such newsletter.
    NewsletterNotFound,
    /// It has not left, because the account may not post in the newsletter.
    NotNewsletterAdmin,
    /// It may have left.
    Unconfirmed,
}

/// Reasons why a message could not be prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnpreparedError {
    /// It was edited meanwhile.
    Outdated,
    /// Its file can never be sent.
    Permanent(String),
    /// A later attempt may succeed.
    Transient(String),
}
