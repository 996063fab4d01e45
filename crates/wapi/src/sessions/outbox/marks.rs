//! Marks taken back: a message that waits, and certainly has not left, is not to count as possibly
//! sent after a restart. Pure.

use super::items::{OutboxItem, SendStage};
use super::{Outbox, OutboxStep};
use crate::model::message::ChatId;
use crate::store::MessageSeq;

impl Outbox {
    /// Takes back the marks of a chat's messages that certainly have not left. All of them go
    /// together: marked messages precede unmarked ones, or they would overtake them after a crash.
    pub(super) fn unmark_lane(&mut self, chat: &ChatId) {
        let lane = self.lanes.lane_of(chat);
        self.unmark_messages(lane);
    }

    /// Takes back the marks of all messages that certainly have not left. If a refusal turns out to be
    /// final, its message counts as one that has left: the marks of its chat stay until that is decided.
    pub(super) fn unmark_waiting(&mut self) {
        let mut marked = self.lanes.filter_messages(OutboxItem::is_marked_in_vain);
        marked.retain(|seq| {
            let item = self.lanes.get(*seq);
            let first = item.and_then(|item| self.lanes.first_of_chat(&item.message.to));
            first.is_none_or(|first| first.stage != SendStage::Refused)
        });
        self.unmark_messages(marked);
    }

    pub(super) fn unmark_messages(&mut self, mut seqs: Vec<MessageSeq>) {
        seqs.retain(|seq| {
            let Some(item) = self
                .lanes
                .get_mut(*seq)
                .filter(|item| item.is_marked_in_vain())
            else {
                return false;
            };
            item.is_recorded = false;
            item.is_unmarking = true;
            self.pace.forget_departure(item);
            true
        });
        if !seqs.is_empty() {
            self.steps.push(OutboxStep::ClearAttempts(seqs));
        }
    }

    /// Records that the store no longer says of these that they may have left.
    pub fn finish_clearing(&mut self, seqs: &[MessageSeq]) {
        for &seq in seqs {
            let Self { lanes, pace, .. } = self;
            let Some(item) = lanes.get_mut(seq) else {
                continue;
            };
            item.is_unmarking = false;
            // The pace may have been loaded before that.
            pace.forget_departure(item);
            // It may have had its turn meanwhile.
            let is_waiting = item.stage == SendStage::Waiting;
            if is_waiting && self.lanes.is_first(seq) {
                self.make_ready(seq);
            }
        }
    }
}
