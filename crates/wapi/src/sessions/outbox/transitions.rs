//! Transitions of messages in the outbox, from one stage to the next. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    ChatFamiliarity, MAX_ATTEMPTS, MAX_IN_FLIGHT, MAX_PREPARING, MAX_UNANSWERED, Outbox,
    OutboxClock, OutboxStep, SendAttempt, SendStage, backoff_delay,
};
use crate::model::send_failure::SendFailure;
use crate::store::{MessageSeq, SendOutcome};

impl Outbox {
    pub(super) fn handle_due_date(&mut self, seq: MessageSeq, now: Timestamp) {
        let Some(item) = self.lanes.get(seq) else {
            return;
        };
        if item.is_expired(now) && item.stage != SendStage::InFlight {
            self.settle_message(seq, SendOutcome::Failed(SendFailure::Expired));
        } else if item.stage == SendStage::Scheduled
            && item.message.send_at.is_none_or(|time| time <= now)
        {
            self.lanes.set_stage(seq, SendStage::Waiting);
            self.join_lane(seq);
        }
    }

    pub(super) fn handle_timeout(&mut self, seq: MessageSeq, at: OutboxClock) {
        let Some(item) = self.lanes.get_mut(seq) else {
            return;
        };
        item.timer = None;
        match item.stage {
            SendStage::Backoff | SendStage::Unconfirmed => self.make_ready(seq),
            SendStage::InFlight => self.count_unanswered(seq, at),
            _ => {}
        }
    }

    /// Fills free places with the messages that are ready.
    pub(super) fn start_ready(&mut self, at: OutboxClock) {
        let mut checks = Vec::new();
        while self.preparing.len() < MAX_PREPARING
            && let Some(seq) = self.unprepared.pop_first()
        {
            if !self.admit(seq, &mut checks, at) {
                continue;
            }
            self.preparing.insert(seq);
            let attempt = self.start_attempt(seq, SendStage::Preparing);
            self.steps.extend(attempt.map(OutboxStep::Prepare));
        }
        let mut marks = Vec::new();
        while self.active.len() < MAX_IN_FLIGHT
            && let Some(seq) = self.ready.pop_first()
        {
            let Some(item) = self.lanes.get(seq).filter(|item| !item.is_unmarking) else {
                continue;
            };
            if item.is_expired(at.now) {
                self.settle_message(seq, SendOutcome::Failed(SendFailure::Expired));
                continue;
            }
            if !self.admit(seq, &mut checks, at) {
                continue;
            }
            self.active.insert(seq);
            let Self { lanes, pace, .. } = self;
            let Some(item) = lanes.get_mut(seq) else {
                continue;
            };
            let is_typed = pace.shows_typing() && item.needs_typing();
            pace.count_departure(item, at);
            if is_typed {
                let attempt = self.start_attempt(seq, SendStage::Typing);
                self.steps.extend(attempt.map(OutboxStep::ShowTyping));
            } else if item.is_recorded {
                item.left_as_new = item.familiarity == Some(ChatFamiliarity::New);
                item.open_attempts += 1;
                let attempt = self.start_attempt(seq, SendStage::InFlight);
                self.set_timer(seq, at.uptime + self.answer_timeout);
                self.steps.extend(attempt.map(OutboxStep::HandOver));
            } else {
                item.stage = SendStage::Persisting;
                let mark = pace.mark_departure(item);
                item.is_marked_new = mark.is_new_chat == Some(true);
                marks.push(mark);
            }
        }
        if !checks.is_empty() {
            self.steps.push(OutboxStep::CheckChats(checks));
        }
        if !marks.is_empty() {
            self.steps.push(OutboxStep::RecordAttempts(marks));
        }
    }

    /// Begins another attempt at a message: results of earlier ones no longer count.
    pub(super) fn start_attempt(
        &mut self,
        seq: MessageSeq,
        stage: SendStage,
    ) -> Option<SendAttempt> {
        let item = self.lanes.get_mut(seq)?;
        item.stage = stage;
        item.attempt += 1;
        let number = item.attempt;
        Some(SendAttempt { seq, number })
    }

    /// Ends the typing of a message without a connection: it is typed again before it leaves.
    pub(super) fn stop_typing(&mut self, seq: MessageSeq) {
        let Self { lanes, pace, .. } = self;
        if let Some(item) = lanes.get_mut(seq) {
            pace.withdraw_departure(item);
        }
        self.make_ready(seq);
    }

    /// Appends a message to its lane; it becomes ready if it is alone there.
    pub(super) fn join_lane(&mut self, seq: MessageSeq) {
        let Some(item) = self.lanes.get(seq) else {
            return;
        };
        let last = self.lanes.last_of_chat(&item.message.to);
        // It was accepted as one that leaves at once, and that has changed meanwhile.
        let is_overtaken = !self.is_online() || last.is_some_and(|last| !last.is_recorded);
        if is_overtaken {
            self.unmark_messages(vec![seq]);
        }
        if self.lanes.join_lane(seq) {
            self.make_ready(seq);
        } else {
            self.hold_with_first(seq);
        }
    }

    pub(super) fn make_ready(&mut self, seq: MessageSeq) {
        self.clear_timer(seq);
        self.active.remove(&seq);
        let Some(item) = self.lanes.get_mut(seq) else {
            return;
        };
        item.stage = SendStage::Waiting;
        let ready = if item.is_prepared {
            &mut self.ready
        } else {
            &mut self.unprepared
        };
        ready.insert(seq);
    }

    pub(super) fn back_off(&mut self, seq: MessageSeq, pause: Duration, at: OutboxClock) {
        self.active.remove(&seq);
        self.lanes.set_stage(seq, SendStage::Backoff);
        self.set_timer(seq, at.uptime + pause);
    }

    /// Counts a failed attempt, and retries until the attempts are used up.
    pub(super) fn fail_attempt(&mut self, seq: MessageSeq, last: SendFailure, at: OutboxClock) {
        let Some(item) = self.lanes.get_mut(seq) else {
            return;
        };
        item.failed_attempts += 1;
        let tries = item.failed_attempts;
        if tries >= MAX_ATTEMPTS {
            self.give_up(seq, last)
        } else {
            self.back_off(seq, backoff_delay(tries), at)
        }
    }

    /// Settles a message that will not be tried again. One that may have left before is
    /// unconfirmed, not failed.
    pub(super) fn give_up(&mut self, seq: MessageSeq, failure: SendFailure) {
        let may_have_left = self.lanes.get(seq).is_some_and(|item| item.may_have_left);
        self.settle_message(
            seq,
            if may_have_left {
                SendOutcome::LeftUnconfirmed
            } else {
                SendOutcome::Failed(failure)
            },
        );
    }

    /// Marks a message as possibly sent, and records this the first time. While the connection
    /// stays up, it is sent again at the time `again`; otherwise once the connection is back.
    pub(super) fn mark_unconfirmed(&mut self, seq: MessageSeq, again: Option<Duration>) {
        self.clear_timer(seq);
        self.active.remove(&seq);
        let Some(item) = self.lanes.get_mut(seq) else {
            return;
        };
        item.stage = SendStage::Unconfirmed;
        if !std::mem::replace(&mut item.may_have_left, true) {
            self.steps
                .push(OutboxStep::RecordOutcome(seq, SendOutcome::Unconfirmed));
        }
        if let Some(time) = again {
            self.set_timer(seq, time);
        }
    }

    /// Counts an attempt that a working connection left unanswered.
    pub(super) fn count_unanswered(&mut self, seq: MessageSeq, at: OutboxClock) {
        let Some(item) = self.lanes.get_mut(seq) else {
            return;
        };
        item.unanswered += 1;
        let asked = item.unanswered;
        self.mark_unconfirmed(seq, Some(at.uptime + backoff_delay(asked)));
        if asked >= MAX_UNANSWERED {
            self.settle_message(seq, SendOutcome::LeftUnconfirmed);
        }
    }

    /// Settles a message: it leaves the outbox, and the next of its lane becomes ready.
    pub(super) fn settle_message(&mut self, seq: MessageSeq, outcome: SendOutcome) {
        self.leave_queues(seq);
        let Some((mut item, next)) = self.lanes.remove(seq) else {
            return;
        };
        if item.is_counted && !outcome.may_have_left() {
            self.pace.forget_departure(&mut item);
            self.release_pace();
        }
        for time in [item.message.send_at, item.message.expires_at]
            .into_iter()
            .flatten()
        {
            self.due_dates.remove(&(time, seq));
        }
        self.count_new_chat(&item, &outcome);
        self.steps.push(OutboxStep::RecordOutcome(seq, outcome));
        if let Some(next) = next {
            self.make_ready(next);
        }
    }

    /// Takes a message out of the sets of those that wait or are under way. A file that is being
    /// prepared keeps its place until that ends.
    pub(super) fn leave_queues(&mut self, seq: MessageSeq) {
        self.clear_timer(seq);
        for set in [&mut self.ready, &mut self.unprepared, &mut self.active] {
            set.remove(&seq);
        }
    }

    pub(super) fn set_timer(&mut self, seq: MessageSeq, time: Duration) {
        self.clear_timer(seq);
        if let Some(item) = self.lanes.get_mut(seq) {
            item.timer = Some(time);
            self.timers.insert((time, seq));
        }
    }

    pub(super) fn clear_timer(&mut self, seq: MessageSeq) {
        if let Some(time) = self.lanes.get_mut(seq).and_then(|item| item.timer.take()) {
            self.timers.remove(&(time, seq));
        }
    }
}
