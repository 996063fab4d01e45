//! The chats of an outbox, each with its messages in order. Pure.

use std::collections::{HashMap, VecDeque};

use super::items::{Haste, Item, Stage};
use crate::store::{OpenMessage, Place};

#[derive(Default)]
pub(super) struct Lanes {
    items: HashMap<Place, Item>,
    /// Those whose time has come, by chat. No lane is empty.
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

    /// The last of a chat's lane.
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

    /// Puts a message at the end of its lane; whether it is the first there.
    pub fn join(&mut self, place: Place) -> bool {
        let Some(item) = self.items.get(&place) else {
            return false;
        };
        let lane = self.lanes.entry(item.chat.clone()).or_default();
        lane.push_back(place);
        lane.len() == 1
    }

    /// Takes a message out; the next of its lane, if it was the first.
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

    /// All messages, in the order they were accepted.
    pub fn all(&self) -> Vec<Place> {
        self.those(|_| true)
    }

    /// Those that have come this far.
    pub fn at(&self, is_it: impl Fn(Stage) -> bool) -> Vec<Place> {
        self.those(|item| is_it(item.stage))
    }

    /// Those that must not wait for a line, and have surely not left.
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

/// The order in which an earlier run would have sent these: first what may have left, then all others as they were accepted, and
/// among those the scheduled ones when their time came.
pub fn in_order(messages: Vec<OpenMessage>) -> Vec<OpenMessage> {
    let (mut ordered, rest): (Vec<_>, Vec<_>) = messages
        .into_iter()
        .partition(|message| message.may_have_left);
    let (mut scheduled, unscheduled): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|one| one.send_at.is_some());
    scheduled.sort_by_key(|message| (message.send_at, message.place));
    let mut scheduled = scheduled.into_iter().peekable();
    // The order of those that were accepted never depends on a clock, which may have gone back.
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
