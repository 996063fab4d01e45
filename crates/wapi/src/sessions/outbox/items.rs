//! One message in the outbox. Pure.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::SendAttempt;
use super::admission::ChatFamiliarity;
use crate::model::message::ChatId;
use crate::model::send_hold::{HoldReason, SendHold};
use crate::store::QueuedMessage;

/// Whether a message may wait for its session to come online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendMode {
    Queued,
    /// Its caller waits and gets an error at once; afterwards the message must not be sent.
    Immediate,
}

/// The progress of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendStage {
    /// Its time has not come.
    Scheduled,
    /// It waits in its lane.
    Waiting,
    /// The sender finds out whether the person has written to the account.
    Checking,
    /// The recipient sees the account type.
    Typing,
    /// It must not leave now.
    Held,
    /// Its file is being fetched and uploaded.
    Preparing,
    /// The store is recording that it may leave.
    Persisting,
    /// The engine has it, and WhatsApp has not answered.
    InFlight,
    /// It may have left, and no attempt is under way.
    Unconfirmed,
    /// WhatsApp has refused it as the first message to a new contact, whose trust token may still
    /// come.
    Refused,
    /// It waits after a transient failure.
    Backoff,
}

#[derive(Debug)]
pub(super) struct OutboxItem {
    pub message: Arc<QueuedMessage>,
    pub mode: SendMode,
    pub stage: SendStage,
    /// Whether the store has recorded that it may leave.
    pub is_recorded: bool,
    /// The store is taking this record back; meanwhile it does not leave.
    pub is_unmarking: bool,
    pub is_prepared: bool,
    pub has_typed: bool,
    pub may_have_left: bool,
    /// Number of the latest attempt. A result of an earlier one does not count.
    pub attempt: u32,
    /// Attempts that WhatsApp may have accepted. A refusal answers one of them.
    pub open_attempts: u32,
    /// Failed attempts and unanswered attempts so far.
    pub failed_attempts: u32,
    pub unanswered: u32,
    pub timer: Option<Duration>,
    /// Whether the person has written to the account, once that matters.
    pub familiarity: Option<ChatFamiliarity>,
    /// The person has written, or the connection is another one, since this is being found out.
    pub is_check_outdated: bool,
    /// It was handed over as a message to a new contact.
    pub left_as_new: bool,
    /// It is being recorded as a message to a new contact.
    pub is_marked_new: bool,
    /// It counts in the pace.
    pub is_counted: bool,
    /// The reason why it is held, as last reported.
    pub hold: Option<SendHold>,
}

/// A number of attempts of which a refusal answers one, and others remain.
const MANY_ATTEMPTS: u32 = 2;

impl OutboxItem {
    pub fn new(message: Arc<QueuedMessage>, mode: SendMode, stage: SendStage) -> Self {
        Self {
            mode,
            stage,
            is_recorded: message.is_recorded,
            is_unmarking: false,
            is_prepared: !message.needs_download,
            has_typed: false,
            may_have_left: message.may_have_left,
            // Nobody knows how often an earlier run has tried.
            open_attempts: if message.may_have_left {
                MANY_ATTEMPTS
            } else {
                0
            },
            message,
            attempt: 0,
            failed_attempts: 0,
            unanswered: 0,
            timer: None,
            familiarity: None,
            is_check_outdated: false,
            left_as_new: false,
            is_marked_new: false,
            is_counted: false,
            hold: None,
        }
    }

    /// Whether the message has expired. One that may have left does not expire: whether it was in
    /// time is already decided.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        !self.may_have_left && self.message.expires_at.is_some_and(|time| time <= now)
    }

    /// Whether this is its latest attempt, and the message is in this stage.
    pub fn is_attempt(&self, attempt: SendAttempt, stage: SendStage) -> bool {
        self.attempt == attempt.number && self.stage == stage
    }

    pub fn may_have_left_by_now(&self) -> bool {
        self.may_have_left || self.stage == SendStage::InFlight
    }

    /// Whether its caller would wait for this reason in vain. A pause between two messages that ends
    /// before the message expires can be waited for.
    pub fn cannot_wait(&self, hold: SendHold) -> bool {
        let ends = hold.not_before.zip(self.message.expires_at);
        let is_long = hold.reason != HoldReason::MinGap
            || ends.is_some_and(|(not_before, expires_at)| not_before >= expires_at);
        is_long && self.mode == SendMode::Immediate && !self.may_have_left_by_now()
    }

    /// Whether the account types before it leaves. Nobody watches a status or a newsletter being
    /// written.
    pub fn needs_typing(&self) -> bool {
        let is_watched = !matches!(self.message.to, ChatId::Newsletter(_) | ChatId::Status);
        is_watched && !self.has_typed && !self.may_have_left
    }

    /// Whether the store says that it may have left, although it certainly has not, and is not about
    /// to.
    pub fn is_marked_in_vain(&self) -> bool {
        self.is_recorded && !self.may_have_left_by_now()
    }

    /// Whether WhatsApp may have accepted it although it refuses it now: by an attempt that it left
    /// unanswered.
    pub const fn may_be_there_although_refused(&self) -> bool {
        self.open_attempts > 1
    }

    /// Whether it is, or was when it left, a message to a new contact.
    pub fn counts_as_new(&self) -> bool {
        self.left_as_new || self.familiarity == Some(ChatFamiliarity::New)
    }
}
