//! Admission: messages that must wait although their turn has come, because WhatsApp lets the
//! account start no new chats, or because the owner wants them to. Pure.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;

use super::items::{OutboxItem, SendStage};
use super::{Outbox, OutboxClock, OutboxStep};
use crate::model::message::ChatId;
use crate::model::send_failure::SendFailure;
use crate::model::send_hold::{HoldReason, Pacing, SendHold};
use crate::store::{Departure, MessageSeq, SendOutcome};

/// Whether a person has written to the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatFamiliarity {
    Known,
    New,
}

/// The limits on messages to people who have not written to the account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewChatLimits {
    /// None of them may leave.
    pub hold: Option<SendHold>,
    /// The number that may still leave in this cycle, and the end of the cycle.
    pub quota: Option<(u64, Option<Timestamp>)>,
}

impl NewChatLimits {
    /// Whether every message may leave.
    fn is_open(&self) -> bool {
        self.hold.is_none() && self.quota.is_none()
    }
}

/// The decision about a message whose turn has come.
enum Admission {
    Leave,
    /// It depends on whether the person has written to the account.
    Check,
    Hold(SendHold),
}

impl Outbox {
    /// Sets the limits on new chats. Messages that wait for other limits are decided anew.
    pub fn set_new_chat_limits(&mut self, limits: NewChatLimits) {
        if self.new_chats != limits {
            self.new_chats = limits;
            self.release_held(|_| true);
        }
    }

    /// Sets the pace. Messages that wait for another pace are decided anew.
    pub fn set_pacing(&mut self, pacing: Pacing) {
        let Self { lanes, pace, .. } = self;
        pace.set(pacing);
        lanes.update_all(|item| {
            // One that is being typed is decided anew when that ends.
            if item.stage == SendStage::Typing {
                pace.withdraw_departure(item);
            }
            item.is_counted &= pacing.delays();
        });
        self.release_held(|_| true);
    }

    /// Sets the messages that the store has of the counted time.
    pub fn load_departures(&mut self, stored: Vec<Departure>, at: OutboxClock) {
        let seqs: HashSet<MessageSeq> = stored.iter().map(|it| it.seq).collect();
        self.lanes
            .update_all(|item| item.is_counted |= seqs.contains(&item.message.seq));
        let Self { lanes, pace, .. } = self;
        pace.load(stored, at);
        // Those that began to leave while there was no pace are not in the store yet.
        lanes.update_all(|item| {
            if item.stage == SendStage::Persisting {
                pace.count_departure(item, at);
            }
        });
        self.release_pace();
    }

    /// Forgets the messages that count: the next ones are another account's.
    pub fn forget_departures(&mut self) {
        self.pace.forget_all();
        self.lanes.update_all(|item| item.is_counted = false);
    }

    /// Whether a message of this chat needs no decision now.
    pub(super) fn is_admitted(&self, chat: &ChatId) -> bool {
        !self.pace.delays() && (self.new_chats.is_open() || !chat.is_person())
    }

    /// Whether WhatsApp limits new chats.
    pub fn is_limited(&self) -> bool {
        !self.new_chats.is_open()
    }

    /// Whether a person who writes may release messages.
    pub fn counts_new_chats(&self) -> bool {
        self.is_limited() || self.pace.counts_new_chats()
    }

    /// Records whether the person of a message has written to the account; `None` if that could
    /// not be found out.
    pub fn finish_check(
        &mut self,
        seq: MessageSeq,
        found: Option<ChatFamiliarity>,
        at: OutboxClock,
    ) {
        let Some(item) = self
            .lanes
            .get_mut(seq)
            .filter(|item| item.stage == SendStage::Checking)
        else {
            return;
        };
        let is_outdated = std::mem::take(&mut item.is_check_outdated);
        item.familiarity = found.filter(|_| !is_outdated);
        match found {
            // One that is outdated is asked for again.
            Some(_) => self.make_ready(seq),
            None => self.back_off(seq, super::FIRST_BACKOFF, at),
        }
    }

    /// Decides anew about the messages to people who have written to the account.
    pub fn recheck_chats(&mut self, chats: &HashSet<ChatId>) {
        self.forget_familiarity(|item| chats.contains(&item.message.to));
    }

    /// Decides anew about all messages to people.
    pub fn recheck_all_chats(&mut self) {
        self.forget_familiarity(|_| true);
    }

    /// Forgets whether people have written to the account, also if that is being found out: an
    /// answer that is on its way may be older than their message.
    pub(super) fn forget_familiarity(&mut self, is_it: impl Fn(&OutboxItem) -> bool) {
        self.lanes.update_all(|item| {
            if is_it(item) {
                item.familiarity = None;
                item.is_check_outdated =
                    matches!(item.stage, SendStage::Checking | SendStage::Refused);
            }
        });
        self.release_held(|item| is_it(item));
    }

    /// Lets held messages that fit be decided anew.
    pub(super) fn release_held(&mut self, mut is_it: impl FnMut(&mut OutboxItem) -> bool) {
        for seq in self.lanes.in_stage(|stage| stage == SendStage::Held) {
            if self.lanes.get_mut(seq).is_some_and(&mut is_it) {
                self.make_ready(seq);
            }
        }
    }

    /// Lets messages that wait for the pace be decided anew.
    pub(super) fn release_pace(&mut self) {
        self.pace_at = None;
        self.release_held(|item| item.hold.is_some_and(|hold| hold.reason.is_pacing()));
    }

    /// Decides about a message whose turn has come. Returns whether it may leave.
    pub(super) fn admit(
        &mut self,
        seq: MessageSeq,
        checks: &mut Vec<MessageSeq>,
        at: OutboxClock,
    ) -> bool {
        let Some(item) = self.lanes.get(seq) else {
            return false;
        };
        match self.decide_admission(item, at) {
            Admission::Leave => {
                self.release_lane(seq);
                true
            }
            Admission::Check => {
                let Self { lanes, pace, .. } = self;
                if let Some(item) = lanes.get_mut(seq) {
                    item.stage = SendStage::Checking;
                    pace.withdraw_departure(item);
                }
                checks.push(seq);
                false
            }
            Admission::Hold(hold) => {
                self.hold_message(seq, hold, at);
                false
            }
        }
    }

    fn decide_admission(&self, item: &OutboxItem, at: OutboxClock) -> Admission {
        let is_limited = !self.new_chats.is_open();
        let is_counted = is_limited || self.pace.counts_new_chats();
        if is_counted && item.message.to.is_person() {
            let hold = match item.familiarity {
                None => return Admission::Check,
                Some(ChatFamiliarity::New) if is_limited => self.new_chat_hold(),
                Some(_) => None,
            };
            if let Some(hold) = hold {
                return Admission::Hold(hold);
            }
        }
        self.pace
            .find_hold(item, at)
            .map_or(Admission::Leave, Admission::Hold)
    }

    /// Returns the reason why no message to a new contact may leave now.
    fn new_chat_hold(&self) -> Option<SendHold> {
        let under_way = || {
            let is_new =
                |seq: &&MessageSeq| self.lanes.get(**seq).is_some_and(OutboxItem::counts_as_new);
            self.active
                .iter()
                .chain(&self.preparing)
                .filter(is_new)
                .count()
        };
        self.new_chats.hold.or_else(|| {
            let (left, not_before) = self.new_chats.quota?;
            (under_way() as u64 >= left).then_some(SendHold {
                reason: HoldReason::NewChatCap,
                not_before,
            })
        })
    }

    /// Holds the first message of a lane, and with it those that wait behind it.
    fn hold_message(&mut self, seq: MessageSeq, hold: SendHold, at: OutboxClock) {
        let Self { lanes, pace, .. } = self;
        let Some(item) = lanes.get_mut(seq) else {
            return;
        };
        let to = item.message.to.clone();
        if item.cannot_wait(hold) {
            return self.settle_message(seq, SendOutcome::Failed(hold_failure(hold)));
        }
        item.stage = SendStage::Held;
        item.has_typed = false;
        pace.withdraw_departure(item);
        for seq in self.lanes.lane_of(&to) {
            self.publish_hold(seq, hold);
        }
        self.unmark_lane(&to);
        if let Some(time) = hold.not_before.filter(|_| hold.reason.is_pacing()) {
            let pause = Duration::try_from(time.duration_since(at.now)).unwrap_or_default();
            let due = at.uptime.saturating_add(pause);
            self.pace_at = Some(self.pace_at.map_or(due, |known| known.min(due)));
        }
    }

    /// Holds a message that joins a lane whose first message is held.
    pub(super) fn hold_with_first(&mut self, seq: MessageSeq) {
        let chat = self.lanes.get(seq).map(|item| &item.message.to);
        let first = chat.and_then(|chat| self.lanes.first_of_chat(chat));
        // One that is being decided anew has its reason still, until it leaves.
        let is_held = |first: &&OutboxItem| first.stage == SendStage::Held;
        if let Some(hold) = first.filter(is_held).and_then(|first| first.hold) {
            self.publish_hold(seq, hold);
        }
    }

    /// Tells why a message waits; one that cannot wait fails.
    fn publish_hold(&mut self, seq: MessageSeq, hold: SendHold) {
        let Some(item) = self.lanes.get_mut(seq) else {
            return;
        };
        if item.cannot_wait(hold) {
            self.settle_message(seq, SendOutcome::Failed(hold_failure(hold)));
        } else if item.hold.replace(hold) != Some(hold) {
            self.steps.push(OutboxStep::Hold(seq, hold));
        }
    }

    /// The first message of a lane leaves: those behind it wait for nothing but their turn.
    fn release_lane(&mut self, seq: MessageSeq) {
        let Some(item) = self.lanes.get(seq).filter(|item| item.hold.is_some()) else {
            return;
        };
        for seq in self.lanes.lane_of(&item.message.to) {
            let item = self.lanes.get_mut(seq);
            if item.is_some_and(|item| item.hold.take().is_some()) {
                self.steps.push(OutboxStep::Release(seq));
            }
        }
    }

    /// Counts a message to a new contact that is settled.
    pub(super) fn count_new_chat(&mut self, item: &OutboxItem, outcome: &SendOutcome) {
        if !item.counts_as_new() {
            return;
        }
        match (outcome, &mut self.new_chats.quota) {
            (SendOutcome::Sent { .. }, Some((left, _))) => {
                *left = left.saturating_sub(1);
                self.steps.push(OutboxStep::CountNewChat);
            }
            (_, Some(_)) => self.release_held(|_| true),
            (_, None) => {}
        }
    }
}

/// Returns the failure of a message that this reason keeps, and that cannot wait.
const fn hold_failure(hold: SendHold) -> SendFailure {
    match hold.reason.is_pacing() {
        true => SendFailure::PaceHeld,
        false => SendFailure::NewChatsHeld,
    }
}
