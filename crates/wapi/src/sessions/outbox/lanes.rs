//! The lanes of an outbox: each chat's messages, in order. Pure.

use std::collections::{HashMap, VecDeque};

use super::items::{OutboxItem, SendMode, SendStage};
use crate::model::message::ChatId;
use crate::store::{MessageSeq, QueuedMessage};

#[derive(Default)]
pub(super) struct ChatLanes {
    items: HashMap<MessageSeq, OutboxItem>,
    /// Messages whose time has come, by chat. No lane is empty.
    lanes: HashMap<ChatId, VecDeque<MessageSeq>>,
}

impl ChatLanes {
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn get(&self, seq: MessageSeq) -> Option<&OutboxItem> {
        self.items.get(&seq)
    }

    pub fn get_mut(&mut self, seq: MessageSeq) -> Option<&mut OutboxItem> {
        self.items.get_mut(&seq)
    }

    /// Returns the first message of a chat's lane.
    pub fn first_of_chat(&self, chat: &ChatId) -> Option<&OutboxItem> {
        self.get(*self.lanes.get(chat)?.front()?)
    }

    /// Whether a message is the first of its lane.
    pub fn is_first(&self, seq: MessageSeq) -> bool {
        let chat = self.get(seq).map(|item| &item.message.to);
        let first = chat.and_then(|chat| self.first_of_chat(chat));
        first.is_some_and(|first| first.message.seq == seq)
    }

    /// Lists the messages of a chat's lane, in their order.
    pub fn lane_of(&self, chat: &ChatId) -> Vec<MessageSeq> {
        self.lanes
            .get(chat)
            .map_or_else(Vec::new, |lane| lane.iter().copied().collect())
    }

    /// Returns the last message of a chat's lane.
    pub fn last_of_chat(&self, chat: &ChatId) -> Option<&OutboxItem> {
        self.get(*self.lanes.get(chat)?.back()?)
    }

    pub fn insert(&mut self, item: OutboxItem) {
        self.items.insert(item.message.seq, item);
    }

    pub fn update_all(&mut self, update: impl FnMut(&mut OutboxItem)) {
        self.items.values_mut().for_each(update);
    }

    pub fn set_stage(&mut self, seq: MessageSeq, stage: SendStage) {
        if let Some(item) = self.get_mut(seq) {
            item.stage = stage;
        }
    }

    /// Appends a message to its lane. Returns whether it is the first there.
    pub fn join_lane(&mut self, seq: MessageSeq) -> bool {
        let Some(item) = self.items.get(&seq) else {
            return false;
        };
        let lane = self.lanes.entry(item.message.to.clone()).or_default();
        lane.push_back(seq);
        lane.len() == 1
    }

    /// Removes a message. Returns it and, if it was the first of its lane, its successor.
    pub fn remove(&mut self, seq: MessageSeq) -> Option<(OutboxItem, Option<MessageSeq>)> {
        let item = self.items.remove(&seq)?;
        let Some(lane) = self.lanes.get_mut(&item.message.to) else {
            return Some((item, None));
        };
        let was_first = lane.front() == Some(&seq);
        if was_first {
            lane.pop_front();
        } else if item.stage != SendStage::Scheduled {
            lane.retain(|other| *other != seq);
        }
        let next = lane.front().copied().filter(|_| was_first);
        if lane.is_empty() {
            self.lanes.remove(&item.message.to);
        }
        Some((item, next))
    }

    /// Lists all messages, in the order they were accepted.
    pub fn all_messages(&self) -> Vec<MessageSeq> {
        self.filter_messages(|_| true)
    }

    /// Lists the messages in certain stages.
    pub fn in_stage(&self, is_it: impl Fn(SendStage) -> bool) -> Vec<MessageSeq> {
        self.filter_messages(|item| is_it(item.stage))
    }

    /// Lists the messages that must not wait for a connection and certainly have not left.
    pub fn stranded_messages(&self) -> Vec<MessageSeq> {
        self.filter_messages(|item| {
            item.mode == SendMode::Immediate && !item.may_have_left_by_now()
        })
    }

    /// Lists the messages that satisfy `is_it`, in the order they were accepted.
    pub fn filter_messages(&self, is_it: impl Fn(&OutboxItem) -> bool) -> Vec<MessageSeq> {
        let mut seqs: Vec<_> = self
            .items
            .values()
            .filter(|item| is_it(item))
            .map(|item| item.message.seq)
            .collect();
        seqs.sort_unstable();
        seqs
    }
}

/// Sorts messages into the order in which an earlier run would have sent them: first those that may
/// have left, then all others as they were accepted, with scheduled ones inserted at their times.
pub fn restore_order(messages: Vec<QueuedMessage>) -> Vec<QueuedMessage> {
    let (mut ordered, rest): (Vec<_>, Vec<_>) = messages
        .into_iter()
        .partition(|message| message.may_have_left);
    let (mut scheduled, unscheduled): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|one| one.send_at.is_some());
    scheduled.sort_by_key(|message| (message.send_at, message.seq));
    let mut scheduled = scheduled.into_iter().peekable();
    // The order of acceptance never depends on a clock, which may have been set back.
    for message in unscheduled {
        while let Some(earlier) =
            scheduled.next_if(|one| one.send_at.is_some_and(|time| time <= message.accepted_at))
        {
            ordered.push(earlier);
        }
        ordered.push(message);
    }
    ordered.extend(scheduled);
    ordered
}
