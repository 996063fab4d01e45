//! State machine of one session's sends: the messages to send, and the next steps. Pure.
//!
//! Each chat is a lane: its first message has to be settled before the next one leaves, so messages
//! never overtake each other. A message that may have left without WhatsApp's acknowledgement stays
//! first in its lane, and is sent again under the same id until WhatsApp answers.

mod items;
mod lanes;
mod steps;
mod transitions;

use std::collections::BTreeSet;
use std::time::Duration;

use items::{OutboxItem, SendStage};
use jiff::Timestamp;

use crate::store::{MessageSeq, SendOutcome};
pub use items::{QueuedMessage, SendMode, failures};
use lanes::ChatLanes;
pub use lanes::restore_order;
pub use steps::{HandoverResult, OutboxClock, OutboxConnectivity, OutboxStep, UnpreparedError};

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
            due_dates: BTreeSet::new(),
            timers: BTreeSet::new(),
            steps: Vec::new(),
        }
    }

    /// Whether a new message of this chat would leave without waiting for anything but its turn, so
    /// that it may be recorded as attempted when it is accepted. Recorded messages always precede
    /// unrecorded ones in a lane; otherwise they would overtake them after a crash.
    pub fn can_leave(&self, chat: &str) -> bool {
        self.connectivity == OutboxConnectivity::Online
            && self
                .lanes
                .last_of_chat(chat)
                .is_none_or(|item| item.is_recorded)
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    pub fn contains(&self, place: MessageSeq) -> bool {
        self.lanes.get(place).is_some()
    }

    /// Adds a message. One that is already present is left unchanged.
    pub fn add_message(&mut self, message: QueuedMessage, at: OutboxClock) {
        let place = message.seq;
        if self.contains(place) {
            return;
        }
        let send_at = message.send_at.filter(|&time| time > at.now);
        if let Some(time) = message.expires_at.filter(|_| !message.may_have_left) {
            self.due_dates.insert((time, place));
        }
        let item = OutboxItem::new(message);
        let is_stranded = item.mode == SendMode::Immediate
            && self.connectivity == OutboxConnectivity::Offline
            && !item.may_have_left;
        match send_at {
            Some(time) => {
                self.due_dates.insert((time, place));
                self.lanes.insert(item, SendStage::Scheduled);
            }
            None => {
                self.lanes.insert(item, SendStage::Waiting);
                self.join_lane(place);
            }
        }
        if is_stranded {
            self.settle_message(place, failures::session_offline());
        }
    }

    /// Records that the session went online or offline. A replaced connection counts as offline in
    /// between.
    pub fn set_connectivity(&mut self, line: OutboxConnectivity) {
        self.connectivity = line;
        match line {
            OutboxConnectivity::Online => {
                for place in self
                    .lanes
                    .in_stage(|stage| matches!(stage, SendStage::Unconfirmed | SendStage::Backoff))
                {
                    self.make_ready(place);
                }
            }
            OutboxConnectivity::Offline => {
                for place in self.lanes.in_stage(|stage| stage == SendStage::InFlight) {
                    self.mark_unconfirmed(place, None);
                }
                for place in self.lanes.stranded_messages() {
                    self.settle_message(place, failures::session_offline());
                }
            }
        }
    }

    /// Settles everything after the device was unlinked: waiting messages will never leave, and
    /// those that left will never be answered.
    pub fn settle_unlinked(&mut self) {
        for place in self.lanes.all_messages() {
            let may_have_left = self
                .lanes
                .get(place)
                .is_some_and(OutboxItem::may_have_left_by_now);
            self.settle_message(
                place,
                if may_have_left {
                    SendOutcome::LeftUnconfirmed
                } else {
                    failures::device_logged_out()
                },
            );
        }
    }

    /// Cancels a message. Returns whether it certainly has not left and never will.
    pub fn cancel_message(&mut self, place: MessageSeq) -> bool {
        let is_here = self.is_unsent(place);
        if is_here {
            self.settle_message(place, SendOutcome::Cancelled);
        }
        is_here
    }

    /// Whether a message certainly has not left, and is not being handed over.
    pub fn is_unsent(&self, place: MessageSeq) -> bool {
        self.lanes.get(place).is_some_and(|item| {
            !item.may_have_left_by_now() && item.stage != SendStage::Unconfirmed
        })
    }

    /// Replaces a message's content: any preparation, finished or not, becomes useless, and the new
    /// content may or may not need a file.
    pub fn replace_content(&mut self, place: MessageSeq, has_file: bool) {
        let Some(item) = self.lanes.get_mut(place) else {
            return;
        };
        item.is_prepared = !has_file;
        let is_free = self.ready.remove(&place) || self.unprepared.remove(&place);
        if is_free {
            let line = if has_file {
                &mut self.unprepared
            } else {
                &mut self.ready
            };
            line.insert(place);
        }
    }

    pub fn finish_preparing(
        &mut self,
        place: MessageSeq,
        outcome: Result<(), UnpreparedError>,
        at: OutboxClock,
    ) {
        self.preparing.remove(&place);
        let Some(item) = self
            .lanes
            .get_mut(place)
            .filter(|item| item.stage == SendStage::Preparing)
        else {
            return;
        };
        match outcome {
            Ok(()) => {
                item.is_prepared = true;
                self.make_ready(place);
            }
            Err(UnpreparedError::Outdated) => self.make_ready(place),
            Err(UnpreparedError::Permanent(detail)) => {
                self.give_up(place, failures::media_unavailable(detail))
            }
            Err(UnpreparedError::Transient(detail)) => {
                self.fail_attempt(place, failures::media_unavailable(detail), at)
            }
        }
    }

    pub fn finish_recording(
        &mut self,
        places: &[MessageSeq],
        outcome: Result<(), ()>,
        at: OutboxClock,
    ) {
        for &place in places {
            let Some(item) = self
                .lanes
                .get_mut(place)
                .filter(|item| item.stage == SendStage::Persisting)
            else {
                continue;
            };
            item.is_recorded = outcome.is_ok();
            self.active.remove(&place);
            match outcome {
                Ok(()) => self.make_ready(place),
                Err(()) => self.back_off(place, FIRST_BACKOFF, at),
            }
        }
    }

    pub fn finish_handover(
        &mut self,
        place: MessageSeq,
        outcome: &HandoverResult,
        at: OutboxClock,
    ) {
        let Some(item) = self
            .lanes
            .get(place)
            .filter(|item| item.stage == SendStage::InFlight)
        else {
            return;
        };
        match outcome {
            HandoverResult::Sent => {}
            HandoverResult::Unconfirmed => self.count_unanswered(place, at),
            HandoverResult::Offline if item.mode == SendMode::Immediate && !item.may_have_left => {
                self.settle_message(place, failures::session_offline());
            }
            HandoverResult::Offline => self.back_off(place, FIRST_BACKOFF, at),
            HandoverResult::Failed => self.fail_attempt(place, failures::not_sendable(), at),
            // WhatsApp has given a definite answer, and would repeat it.
            HandoverResult::NotOnWhatsapp => self.give_up(place, failures::not_on_whatsapp()),
            HandoverResult::NotInGroup => self.give_up(place, failures::not_in_group()),
            HandoverResult::NewsletterNotFound => {
                self.give_up(place, failures::newsletter_not_found())
            }
            HandoverResult::NotNewsletterAdmin => {
                self.give_up(place, failures::not_newsletter_admin())
            }
        }
    }

    /// Records WhatsApp's answer for a message, whenever it comes: [`SendOutcome::Sent`] or
    /// [`SendOutcome::Failed`].
    pub fn record_answer(&mut self, place: MessageSeq, verdict: SendOutcome) {
        if self.contains(place) {
            self.settle_message(place, verdict);
        }
    }

    /// Makes a message ready that WhatsApp has refused and would accept by now.
    pub fn retry_message(&mut self, place: MessageSeq) {
        if self.contains(place) {
            self.make_ready(place);
        }
    }

    /// Returns everything there is to do now.
    pub fn next_steps(&mut self, at: OutboxClock) -> Vec<OutboxStep> {
        while let Some(&(time, place)) = self.due_dates.first().filter(|(time, _)| *time <= at.now)
        {
            self.due_dates.remove(&(time, place));
            self.handle_due_date(place, at.now);
        }
        while let Some(&(time, place)) = self.timers.first().filter(|(time, _)| *time <= at.uptime)
        {
            self.timers.remove(&(time, place));
            self.handle_timeout(place, at);
        }
        if self.connectivity == OutboxConnectivity::Online {
            self.fill_places(at);
        }
        std::mem::take(&mut self.steps)
    }

    /// Returns the time until the next deadline; `None` if there is none.
    pub fn time_to_deadline(&self, at: OutboxClock) -> Option<Duration> {
        let until =
            |time: Timestamp| Duration::try_from(time.duration_since(at.now)).unwrap_or_default();
        let date = self.due_dates.first().map(|(time, _)| until(*time));
        let timer = self
            .timers
            .first()
            .map(|(time, _)| time.saturating_sub(at.uptime));
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
