//! The outbox's steps, and the results reported back to it. Pure.

use std::time::Duration;

use jiff::Timestamp;

#[cfg(doc)]
use super::Outbox;
use crate::model::send_hold::SendHold;
use crate::store::{AttemptMark, MessageSeq, SendOutcome};

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

/// One of the attempts at a message. The result of an attempt that is not the latest does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendAttempt {
    pub seq: MessageSeq,
    pub number: u32,
}

/// An action to perform. Its result is reported to the named method of [`Outbox`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboxStep {
    /// Find out whether the persons of these messages have written to the account:
    /// [`Outbox::finish_check`].
    CheckChats(Vec<MessageSeq>),
    /// The message waits for this reason. No result is reported.
    Hold(MessageSeq, SendHold),
    /// It waits no longer. No result is reported.
    Release(MessageSeq),
    /// A message to a new contact was sent, and counts in the quota. No result is reported.
    CountNewChat,
    /// Fetch and upload the message's file: [`Outbox::finish_preparing`].
    Prepare(SendAttempt),
    /// Show the recipient that the account types: [`Outbox::finish_typing`].
    ShowTyping(SendAttempt),
    /// Record that these may have left: [`Outbox::finish_recording`].
    RecordAttempts(Vec<AttemptMark>),
    /// Take back such records: these certainly have not left. It succeeds in the end:
    /// [`Outbox::finish_clearing`].
    ClearAttempts(Vec<MessageSeq>),
    /// Hand the message to the engine: [`Outbox::finish_handover`], and [`Outbox::record_answer`] when
    /// WhatsApp answers.
    HandOver(SendAttempt),
    /// Record this outcome. No result is reported.
    RecordOutcome(MessageSeq, SendOutcome),
}
