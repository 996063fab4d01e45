//! Transitions of messages in the outbox, from one stage to the next. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    MAX_ATTEMPTS, MAX_IN_FLIGHT, MAX_PREPARING, MAX_UNANSWERED, Outbox, OutboxClock, OutboxStep,
    SendStage, backoff_delay, failures,
};
use crate::store::{MessageSeq, SendOutcome};

impl Outbox {
    pub(super) fn handle_due_date(&mut self, place: MessageSeq, now: Timestamp) {
        let Some(item) = self.lanes.get(place) else {
            return;
        };
        if item.is_expired(now) && item.stage != SendStage::InFlight {
            self.settle_message(place, failures::message_expired());
        } else if item.stage == SendStage::Scheduled && item.send_at.is_none_or(|time| time <= now)
        {
            self.lanes.set_stage(place, SendStage::Waiting);
            self.join_lane(place);
        }
    }

    pub(super) fn handle_timeout(&mut self, place: MessageSeq, at: OutboxClock) {
        let Some(item) = self.lanes.get_mut(place) else {
            return;
        };
        item.timer = None;
        match item.stage {
            SendStage::Backoff | SendStage::Unconfirmed => self.make_ready(place),
            SendStage::InFlight => self.count_unanswered(place, at),
            _ => {}
        }
    }

    /// Fills free places with the messages that are ready.
    pub(super) fn fill_places(&mut self, at: OutboxClock) {
        while self.preparing.len() < MAX_PREPARING
            && let Some(place) = self.unprepared.pop_first()
        {
            self.preparing.insert(place);
            self.lanes.set_stage(place, SendStage::Preparing);
            self.steps.push(OutboxStep::Prepare(place));
        }
        let mut marks = Vec::new();
        while self.active.len() < MAX_IN_FLIGHT
            && let Some(place) = self.ready.pop_first()
        {
            let Some(item) = self.lanes.get(place) else {
                continue;
            };
            if item.is_expired(at.now) {
                self.settle_message(place, failures::message_expired());
                continue;
            }
            self.active.insert(place);
            if item.is_recorded {
                self.lanes.set_stage(place, SendStage::InFlight);
                self.set_timer(place, at.uptime + self.answer_timeout);
                self.steps.push(OutboxStep::HandOver(place));
            } else {
                self.lanes.set_stage(place, SendStage::Persisting);
                marks.push(place);
            }
        }
        if !marks.is_empty() {
            self.steps.push(OutboxStep::RecordAttempts(marks));
        }
    }

    /// Appends a message to its lane; it becomes ready if it is alone there.
    pub(super) fn join_lane(&mut self, place: MessageSeq) {
        if self.lanes.join_lane(place) {
            self.make_ready(place);
        }
    }

    pub(super) fn make_ready(&mut self, place: MessageSeq) {
        self.clear_timer(place);
        self.active.remove(&place);
        let Some(item) = self.lanes.get_mut(place) else {
            return;
        };
        item.stage = SendStage::Waiting;
        let ready = if item.is_prepared {
            &mut self.ready
        } else {
            &mut self.unprepared
        };
        ready.insert(place);
    }

    pub(super) fn back_off(&mut self, place: MessageSeq, pause: Duration, at: OutboxClock) {
        self.active.remove(&place);
        self.lanes.set_stage(place, SendStage::Backoff);
        self.set_timer(place, at.uptime + pause);
    }

    /// Counts a failed attempt, and retries until the attempts are used up.
    pub(super) fn fail_attempt(&mut self, place: MessageSeq, last: SendOutcome, at: OutboxClock) {
        let Some(item) = self.lanes.get_mut(place) else {
            return;
        };
        item.attempts += 1;
        let tries = item.attempts;
        if tries >= MAX_ATTEMPTS {
            self.give_up(place, last)
        } else {
            self.back_off(place, backoff_delay(tries), at)
        }
    }

    /// Settles a message that will not be tried again. One that may have left before is
    /// unconfirmed, not failed.
    pub(super) fn give_up(&mut self, place: MessageSeq, verdict: SendOutcome) {
        let may_have_left = self.lanes.get(place).is_some_and(|item| item.may_have_left);
        self.settle_message(
            place,
            if may_have_left {
                SendOutcome::LeftUnconfirmed
            } else {
                verdict
            },
        );
    }

    /// Marks a message as possibly sent, and records this the first time. While the connection
    /// stays up, it is sent again at the time `again`; otherwise once the connection is back.
    pub(super) fn mark_unconfirmed(&mut self, place: MessageSeq, again: Option<Duration>) {
        self.clear_timer(place);
        self.active.remove(&place);
        let Some(item) = self.lanes.get_mut(place) else {
            return;
        };
        item.stage = SendStage::Unconfirmed;
        if !std::mem::replace(&mut item.may_have_left, true) {
            self.steps
                .push(OutboxStep::RecordOutcome(place, SendOutcome::Unconfirmed));
        }
        if let Some(time) = again {
            self.set_timer(place, time);
        }
    }

    /// Counts an attempt that a working connection left unanswered.
    pub(super) fn count_unanswered(&mut self, place: MessageSeq, at: OutboxClock) {
        let Some(item) = self.lanes.get_mut(place) else {
            return;
        };
        item.unanswered += 1;
        let asked = item.unanswered;
        self.mark_unconfirmed(place, Some(at.uptime + backoff_delay(asked)));
        if asked >= MAX_UNANSWERED {
            self.settle_message(place, SendOutcome::LeftUnconfirmed);
        }
    }

    /// Settles a message: it leaves the outbox, and the next of its lane becomes ready.
    pub(super) fn settle_message(&mut self, place: MessageSeq, verdict: SendOutcome) {
        self.clear_timer(place);
        for set in [&mut self.ready, &mut self.unprepared, &mut self.active] {
            set.remove(&place);
        }
        let Some((item, next)) = self.lanes.remove(place) else {
            return;
        };
        for time in [item.send_at, item.expires_at].into_iter().flatten() {
            self.due_dates.remove(&(time, place));
        }
        self.steps.push(OutboxStep::RecordOutcome(place, verdict));
        if let Some(next) = next {
            self.make_ready(next);
        }
    }

    pub(super) fn set_timer(&mut self, place: MessageSeq, time: Duration) {
        self.clear_timer(place);
        if let Some(item) = self.lanes.get_mut(place) {
            item.timer = Some(time);
            self.timers.insert((time, place));
        }
    }

    pub(super) fn clear_timer(&mut self, place: MessageSeq) {
        if let Some(time) = self.lanes.get_mut(place).and_then(|item| item.timer.take()) {
            self.timers.remove(&(time, place));
        }
    }
}
