//! The lanes of an outbox: each chat's messages, in order. Pure.

use std::collections::{HashMap, VecDeque};

use super::items::{Haste, Item, Stage};
use crate::store::{OpenMessage, Place};

#[derive(Default)]
pub(super) struct Lanes {
    items: HashMap<Place, Item>,
    /// Messages whose time has come, by chat. No lane is empty.
    lanes: HashMap<String, VecDeque<Place>>,
}

impl Lanes {
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn get(&self, place: Place) -> Option<&Item> {
        self.items.get(&place)
    }

    pub fn get_mut(&mut self, place: Place) -> Option<&mut Item> {
        self.items.get_mut(&place)
    }

    /// Returns the last message of a chat's lane.
    pub fn last(&self, chat: &str) -> Option<&Item> {
        self.get(*self.lanes.get(chat)?.back()?)
    }

    pub fn insert(&mut self, item: Item, stage: Stage) {
        self.items.insert(item.place, Item { stage, ..item });
    }

    pub fn set(&mut self, place: Place, stage: Stage) {
        if let Some(item) = self.get_mut(place) {
            item.stage = stage;
        }
    }

    /// Appends a message to its lane. Returns whether it is the first there.
    pub fn join(&mut self, place: Place) -> bool {
        let Some(item) = self.items.get(&place) else {
            return false;
        };
        let lane = self.lanes.entry(item.chat.clone()).or_default();
        lane.push_back(place);
        lane.len() == 1
    }

    /// Removes a message. Returns it and, if it was the first of its lane, its successor.
    pub fn remove(&mut self, place: Place) -> Option<(Item, Option<Place>)> {
        let item = self.items.remove(&place)?;
        let Some(lane) = self.lanes.get_mut(&item.chat) else {
            return Some((item, None));
        };
        let was_first = lane.front() == Some(&place);
        if was_first {
            lane.pop_front();
        } else if item.stage != Stage::Scheduled {
            lane.retain(|other| *other != place);
        }
        let next = lane.front().copied().filter(|_| was_first);
        if lane.is_empty() {
            self.lanes.remove(&item.chat);
        }
        Some((item, next))
    }

    /// Lists all messages, in the order they were accepted.
    pub fn all(&self) -> Vec<Place> {
        self.those(|_| true)
    }

    /// Lists the messages in certain stages.
    pub fn at(&self, is_it: impl Fn(Stage) -> bool) -> Vec<Place> {
        self.those(|item| is_it(item.stage))
    }

    /// Lists the messages that must not wait for a connection and certainly have not left.
    pub fn stranded(&self) -> Vec<Place> {
        self.those(|item| item.haste == Haste::NowOrNever && !item.may_have_left_by_now())
    }

    fn those(&self, is_it: impl Fn(&Item) -> bool) -> Vec<Place> {
        let mut places: Vec<_> = self
            .items
            .values()
            .filter(|item| is_it(item))
            .map(|item| item.place)
            .collect();
        places.sort_unstable();
        places
    }
}

/// Sorts messages into the order in which an earlier run would have sent them: first those that may
/// have left, then all others as they were accepted, with scheduled ones inserted at their times.
pub fn in_order(messages: Vec<OpenMessage>) -> Vec<OpenMessage> {
    let (mut ordered, rest): (Vec<_>, Vec<_>) = messages
        .into_iter()
        .partition(|message| message.may_have_left);
    let (mut scheduled, unscheduled): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|one| one.send_at.is_some());
    scheduled.sort_by_key(|message| (message.send_at, message.place));
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
