//! State machine of one session's sends: the messages to send, and the next steps. Pure.
//!
//! Each chat is a lane: its first message has to be settled before the next one leaves, so messages
//! never overtake each other. A message that may have left without WhatsApp's acknowledgement stays
//! first in its lane, and is sent again under the same id until WhatsApp answers.

mod admission;
mod items;
mod lanes;
mod marks;
mod pacing;
mod refusals;
mod steps;
mod transitions;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use items::{OutboxItem, SendStage};
use jiff::Timestamp;

use crate::model::message::ChatId;
use crate::model::send_failure::SendFailure;
use crate::store::{MessageSeq, QueuedMessage, SendOutcome};
use crate::whatsapp::{HandoverError, PrepareError};
pub use admission::{ChatFamiliarity, NewChatLimits};
pub use items::SendMode;
use lanes::ChatLanes;
pub use lanes::restore_order;
pub use pacing::COUNTED;
use pacing::PaceKeeper;
pub use steps::{OutboxClock, OutboxConnectivity, OutboxStep, SendAttempt};

/// Messages of one session on their way to WhatsApp at the same time, each in another chat.
const MAX_IN_FLIGHT: usize = 16;
/// Messages whose files are fetched and uploaded at the same time.
const MAX_PREPARING: usize = 4;
/// Attempts at encoding a message or uploading its file before it fails.
const MAX_ATTEMPTS: u32 = 4;
/// Number of times a working connection may leave a message unanswered before it is settled as
/// unconfirmed.
const MAX_UNANSWERED: u32 = 10;
/// Pause after the first transient failure; it doubles each time, up to a limit.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(300);

/// All unsettled messages of a session.
pub struct Outbox {
    connectivity: OutboxConnectivity,
    /// Time WhatsApp may take to answer.
    answer_timeout: Duration,
    lanes: ChatLanes,
    /// First of their lanes and free to leave: those that are prepared, and those whose files are
    /// not.
    ready: BTreeSet<MessageSeq>,
    unprepared: BTreeSet<MessageSeq>,
    preparing: BTreeSet<MessageSeq>,
    /// Being recorded as attempted, or held by the engine.
    active: BTreeSet<MessageSeq>,
    new_chats: NewChatLimits,
    pace: PaceKeeper,
    /// Uptime at which messages that are held by the pace are decided anew.
    pace_at: Option<Duration>,
    /// Times to look at a message again: wall-clock times of callers, and uptimes of our own
    /// timeouts.
    due_dates: BTreeSet<(Timestamp, MessageSeq)>,
    timers: BTreeSet<(Duration, MessageSeq)>,
    steps: Vec<OutboxStep>,
}

impl Outbox {
    /// Creates an empty outbox that is offline.
    pub fn new(answer_timeout: Duration) -> Self {
        Self {
            connectivity: OutboxConnectivity::Offline,
            answer_timeout,
            lanes: ChatLanes::default(),
            ready: BTreeSet::new(),
            unprepared: BTreeSet::new(),
            preparing: BTreeSet::new(),
            active: BTreeSet::new(),
            new_chats: NewChatLimits::default(),
            pace: PaceKeeper::default(),
            pace_at: None,
            due_dates: BTreeSet::new(),
            timers: BTreeSet::new(),
            steps: Vec::new(),
        }
    }

    /// Whether a new message of this chat would leave without waiting for anything but its turn, so
    /// that it may be recorded as attempted when it is accepted. Recorded messages always precede
    /// unrecorded ones in a lane; otherwise they would overtake them after a crash.
    pub fn can_leave(&self, chat: &ChatId) -> bool {
        self.is_online()
            && self.is_admitted(chat)
            && !self.pace.shows_typing()
            && self
                .lanes
                .last_of_chat(chat)
                .is_none_or(|item| item.is_recorded)
    }

    /// Whether messages may leave.
    pub fn is_online(&self) -> bool {
        self.connectivity == OutboxConnectivity::Online
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    pub fn contains(&self, seq: MessageSeq) -> bool {
        self.lanes.get(seq).is_some()
    }

    /// Adds a message. One that is already present is left unchanged.
    pub fn add_message(&mut self, message: Arc<QueuedMessage>, mode: SendMode, at: OutboxClock) {
        let seq = message.seq;
        if self.contains(seq) {
            return;
        }
        let send_at = message.send_at.filter(|&time| time > at.now);
        if let Some(time) = message.expires_at.filter(|_| !message.may_have_left) {
            self.due_dates.insert((time, seq));
        }
        let is_stranded =
            mode == SendMode::Immediate && !self.is_online() && !message.may_have_left;
        match send_at {
            Some(time) => {
                self.due_dates.insert((time, seq));
                self.lanes
                    .insert(OutboxItem::new(message, mode, SendStage::Scheduled));
            }
            None => {
                let mut item = OutboxItem::new(message, mode, SendStage::Waiting);
                if item.is_marked_in_vain() {
                    self.pace.count_recorded(&mut item, at);
                }
                self.lanes.insert(item);
                self.join_lane(seq);
            }
        }
        if is_stranded {
            self.settle_message(seq, SendOutcome::Failed(SendFailure::SessionNotOnline));
        }
    }

    /// Records that the session went online or offline. A replaced connection counts as offline in
    /// between.
    pub fn set_connectivity(&mut self, connectivity: OutboxConnectivity) {
        self.connectivity = connectivity;
        match connectivity {
            OutboxConnectivity::Online => {
                for seq in self
                    .lanes
                    .in_stage(|stage| matches!(stage, SendStage::Unconfirmed | SendStage::Backoff))
                {
                    self.make_ready(seq);
                }
                // The former connection may have ended before it was asked.
                self.forget_familiarity(|_| true);
            }
            OutboxConnectivity::Offline => {
                for seq in self.lanes.in_stage(|stage| stage == SendStage::InFlight) {
                    self.mark_unconfirmed(seq, None);
                }
                for seq in self.lanes.in_stage(|stage| stage == SendStage::Typing) {
                    self.stop_typing(seq);
                }
                for seq in self.lanes.stranded_messages() {
                    self.settle_message(seq, SendOutcome::Failed(SendFailure::SessionNotOnline));
                }
                self.unmark_waiting();
            }
        }
    }

    /// Settles everything after the device was unlinked: waiting messages will never leave, and
    /// those that left will never be answered.
    pub fn settle_unlinked(&mut self) {
        for seq in self.lanes.all_messages() {
            let may_have_left = self
                .lanes
                .get(seq)
                .is_some_and(OutboxItem::may_have_left_by_now);
            self.settle_message(
                seq,
                if may_have_left {
                    SendOutcome::LeftUnconfirmed
                } else {
                    SendOutcome::Failed(SendFailure::SessionLoggedOut)
                },
            );
        }
    }

    /// Cancels a message. Returns whether it certainly has not left and never will.
    pub fn cancel_message(&mut self, seq: MessageSeq) -> bool {
        let is_here = self.is_unsent(seq);
        if is_here {
            self.settle_message(seq, SendOutcome::Cancelled);
        }
        is_here
    }

    /// Whether a message certainly has not left, and is not being handed over.
    pub fn is_unsent(&self, seq: MessageSeq) -> bool {
        self.lanes.get(seq).is_some_and(|item| {
            !item.may_have_left_by_now() && item.stage != SendStage::Unconfirmed
        })
    }

    /// Replaces a message's content: any preparation, finished or not, becomes useless, and the new
    /// content may or may not need a file.
    pub fn replace_content(&mut self, seq: MessageSeq, has_file: bool) {
        let Some(item) = self.lanes.get_mut(seq) else {
            return;
        };
        item.is_prepared = !has_file;
        let is_free = self.ready.remove(&seq) || self.unprepared.remove(&seq);
        if is_free {
            let free = if has_file {
                &mut self.unprepared
            } else {
                &mut self.ready
            };
            free.insert(seq);
        }
    }

    pub fn finish_preparing(
        &mut self,
        attempt: SendAttempt,
        outcome: Result<(), PrepareError>,
        at: OutboxClock,
    ) {
        let seq = attempt.seq;
        self.preparing.remove(&seq);
        let Some(item) = self.find_attempt(attempt, SendStage::Preparing) else {
            return;
        };
        match outcome {
            Ok(()) => {
                item.is_prepared = true;
                self.make_ready(seq);
            }
            Err(error) => {
                let failure = SendFailure::MediaUnavailable(error.to_string().into());
                match error {
                    PrepareError::Permanent(_) => self.give_up(seq, failure),
                    PrepareError::Transient(_) | PrepareError::FileMissing => {
                        self.fail_attempt(seq, failure, at)
                    }
                }
            }
        }
    }

    /// Prepares a message anew whose content was replaced while it was being prepared.
    pub fn repeat_preparing(&mut self, attempt: SendAttempt) {
        self.preparing.remove(&attempt.seq);
        if self.find_attempt(attempt, SendStage::Preparing).is_some() {
            self.make_ready(attempt.seq);
        }
    }

    /// The recipient has seen the account type.
    pub fn finish_typing(&mut self, attempt: SendAttempt) {
        if let Some(item) = self.find_attempt(attempt, SendStage::Typing) {
            item.has_typed = true;
            self.make_ready(attempt.seq);
        }
    }

    pub fn finish_recording(
        &mut self,
        seqs: &[MessageSeq],
        outcome: Result<(), ()>,
        at: OutboxClock,
    ) {
        for &seq in seqs {
            let Self { lanes, pace, .. } = self;
            let Some(item) = lanes
                .get_mut(seq)
                .filter(|item| item.stage == SendStage::Persisting)
            else {
                continue;
            };
            item.is_recorded = outcome.is_ok();
            match outcome {
                Ok(()) => {
                    pace.count_recorded(item, at);
                    self.make_ready(seq);
                }
                Err(()) => {
                    pace.forget_departure(item);
                    self.back_off(seq, FIRST_BACKOFF, at);
                    self.release_pace();
                }
            }
        }
        if !self.is_online() {
            self.unmark_messages(seqs.to_vec());
        }
    }

    pub fn finish_handover(
        &mut self,
        attempt: SendAttempt,
        outcome: Result<(), HandoverError>,
        at: OutboxClock,
    ) {
        let seq = attempt.seq;
        let Some(item) = self.find_attempt(attempt, SendStage::InFlight) else {
            return;
        };
        if matches!(
            outcome,
            Err(HandoverError::Offline | HandoverError::Failed(_) | HandoverError::Rejected(_))
        ) {
            item.open_attempts = item.open_attempts.saturating_sub(1);
        }
        match outcome {
            // WhatsApp may or may not answer.
            Ok(()) => {}
            Err(HandoverError::Unconfirmed) => self.count_unanswered(seq, at),
            Err(HandoverError::Offline)
                if item.mode == SendMode::Immediate && !item.may_have_left =>
            {
                self.settle_message(seq, SendOutcome::Failed(SendFailure::SessionNotOnline));
            }
            Err(HandoverError::Offline) => {
                let to = item.message.to.clone();
                self.back_off(seq, FIRST_BACKOFF, at);
                self.unmark_lane(&to);
            }
            Err(HandoverError::Failed(_)) => self.fail_attempt(seq, SendFailure::NotSendable, at),
            // WhatsApp has given a definite answer, and would repeat it.
            Err(HandoverError::Rejected(failure)) => self.give_up(seq, failure),
        }
    }

    /// Records WhatsApp's answer for a message, whenever it comes: [`SendOutcome::Sent`] or
    /// [`SendOutcome::Failed`]. One that is refused after an attempt without an answer has not
    /// failed: the recipient may have it.
    pub fn record_answer(&mut self, seq: MessageSeq, outcome: SendOutcome) {
        let Some(item) = self.lanes.get(seq) else {
            return;
        };
        let is_doubtful = item.may_be_there_although_refused();
        self.settle_message(
            seq,
            match outcome {
                SendOutcome::Failed(_) if is_doubtful => SendOutcome::LeftUnconfirmed,
                outcome => outcome,
            },
        );
    }

    /// Returns a message in a stage, if this is its latest attempt.
    fn find_attempt(&mut self, attempt: SendAttempt, stage: SendStage) -> Option<&mut OutboxItem> {
        let found = self.lanes.get_mut(attempt.seq);
        found.filter(|item| item.is_attempt(attempt, stage))
    }

    /// Returns everything there is to do now.
    pub fn next_steps(&mut self, at: OutboxClock) -> Vec<OutboxStep> {
        while let Some(&(time, seq)) = self.due_dates.first().filter(|(time, _)| *time <= at.now) {
            self.due_dates.remove(&(time, seq));
            self.handle_due_date(seq, at.now);
        }
        while let Some(&(time, seq)) = self.timers.first().filter(|(time, _)| *time <= at.uptime) {
            self.timers.remove(&(time, seq));
            self.handle_timeout(seq, at);
        }
        if self.pace_at.is_some_and(|time| time <= at.uptime) {
            self.release_pace();
        }
        if self.is_online() {
            self.start_ready(at);
        }
        std::mem::take(&mut self.steps)
    }

    /// Returns the time until the next deadline; `None` if there is none.
    pub fn time_to_deadline(&self, at: OutboxClock) -> Option<Duration> {
        let until =
            |time: Timestamp| Duration::try_from(time.duration_since(at.now)).unwrap_or_default();
        let date = self.due_dates.first().map(|(time, _)| until(*time));
        let timer = self.timers.first().map(|(time, _)| *time);
        let timer = timer
            .into_iter()
            .chain(self.pace_at)
            .min()
            .map(|time| time.saturating_sub(at.uptime));
        date.into_iter().chain(timer).min()
    }
}

/// Returns the pause after the `count`-th failure, counted from 1.
fn backoff_delay(count: u32) -> Duration {
    FIRST_BACKOFF
        .saturating_mul(2u32.saturating_pow(count.saturating_sub(1)))
        .min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests;
