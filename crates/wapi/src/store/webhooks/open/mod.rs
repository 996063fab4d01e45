//! Open deliveries: those of new events, in memory until their endpoint accepts them.
//!
//! Most deliveries are accepted at once, and never need a row: after a crash they are read from the
//! log again. A delivery that falls behind is written to a row, with all that wait in its lane, and
//! from then on the lane's new deliveries get rows, too, until it is empty.

pub(in crate::store) mod accepted;
pub(in crate::store) mod cursor;
pub(in crate::store) mod log_reader;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use self::accepted::AcceptedDelivery;
use super::due::QueueHead;
use super::endpoints::EventSubscriber;
use crate::store::{DeliveryStore, DueDelivery, StoredEvent};

/// The most deliveries in memory. If there are more, all get rows.
const MAX_DELIVERIES: usize = 10_000;
/// The same limit for the bytes of their events.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// The most events from the first one with an open delivery on: after a crash, all of them are read
/// again. If there are more, all open deliveries get rows.
const MAX_SPAN: i64 = 20_000;
/// How long accepted deliveries, and changes that may wait, wait for a commit of others. A crash in this time
/// repeats the former and takes the latter back.
pub(in crate::store) const SAVE_DELAY: Duration = Duration::from_millis(200);
/// If saving takes longer, each success is saved before its chat goes on.
const MAX_UNSAVED_TIME: Duration = Duration::from_secs(1);

/// The deliveries of one chat to one endpoint, in order: endpoint, session, chat.
pub(in crate::store) type LaneKey = (String, String, String);

/// The deliveries that have become due since the last call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ReadyDeliveries {
    /// The new heads of their lanes, in the order in which they became heads.
    pub due: Vec<DueDelivery>,
    /// More deliveries may be due: the worker has to read the database.
    pub is_incomplete: bool,
}

/// A delivery without a row.
#[derive(Debug, Clone)]
pub(in crate::store) struct OpenDelivery {
    /// The position of its event.
    pub seq: i64,
    pub due: DueDelivery,
    /// When it became the head of its lane.
    due_at: Timestamp,
    /// The transaction under way writes its row, so it can only be settled after that.
    is_being_written: bool,
}

impl OpenDelivery {
    pub fn new(seq: i64, due: DueDelivery) -> Self {
        Self {
            seq,
            due_at: due.created_at,
            due,
            is_being_written: false,
        }
    }

    fn lane(&self) -> LaneKey {
        lane_of(&self.due)
    }
}

fn lane_of(due: &DueDelivery) -> LaneKey {
    let session = due.session.name().to_owned();
    (due.endpoint.clone(), session, due.chat.clone())
}

/// An open delivery as the log of deliveries shows it.
pub(in crate::store) struct WaitingDelivery {
    pub due: DueDelivery,
    /// Since when it is due, if it heads its lane.
    pub due_at: Option<Timestamp>,
}

/// The effects of one commit on the open deliveries.
#[derive(Default)]
pub(in crate::store) struct CommitEffects {
    /// The new events, in order.
    pub logged: Vec<StoredEvent>,
    /// Deliveries of new events.
    pub opened: Vec<OpenDelivery>,
    /// Deliveries whose success is known by this commit.
    pub accepted: Vec<(i64, Timestamp)>,
    /// The endpoints, if they may have changed.
    pub endpoints: Option<Arc<[EventSubscriber]>>,
    /// The commit changed due deliveries that have rows, or their endpoints.
    pub is_queue_stale: bool,
}

/// The open deliveries of this process.
#[derive(Default)]
pub(in crate::store) struct OpenDeliveries {
    waiting: BTreeMap<i64, OpenDelivery>,
    /// Those whose rows the transaction under way writes.
    being_written: Vec<i64>,
    /// How many transactions have written rows.
    writings: u64,
    lanes: HashMap<LaneKey, VecDeque<i64>>,
    /// The heads of the lanes of each destination, and since when each is due.
    heads: HashMap<String, BTreeSet<(Timestamp, i64)>>,
    /// Those that became heads since the worker last asked.
    fresh: Vec<i64>,
    /// See [`ReadyDeliveries::is_incomplete`].
    is_incomplete: bool,
    endpoints: Arc<[EventSubscriber]>,
    /// By the position of their event: how many wait, and the first id that may have been given to the
    /// event's deliveries, also by a former process.
    events: BTreeMap<i64, (usize, i64)>,
    /// While those of a former process are opened: the first id that it may have given to any of them.
    former_id: Option<i64>,
    bytes: usize,
    /// What is to be saved, and what the transaction under way saves, and the uptime at which the oldest
    /// of them was accepted.
    accepted: Vec<AcceptedDelivery>,
    accepted_since: Option<Duration>,
    being_saved: Vec<AcceptedDelivery>,
    being_saved_since: Option<Duration>,
}

impl OpenDeliveries {
    /// Applies a commit that has succeeded. Commits come in order, each before its callers are
    /// answered.
    pub fn apply_commit(&mut self, effects: CommitEffects, uptime: Duration) {
        self.being_saved.clear();
        self.being_saved_since = None;
        let written = std::mem::take(&mut self.being_written);
        self.writings += u64::from(!written.is_empty());
        for delivery in written {
            self.remove(delivery, Timestamp::UNIX_EPOCH);
        }
        if let Some(endpoints) = effects.endpoints {
            self.endpoints = endpoints;
        }
        self.is_incomplete |= effects.is_queue_stale;
        for open in effects.opened {
            self.insert(open);
        }
        for (delivery, at) in effects.accepted {
            self.accept(delivery, at, uptime);
        }
    }

    /// Applies a commit that has failed.
    pub fn undo_commit(&mut self) {
        for delivery in std::mem::take(&mut self.being_written) {
            if let Some(open) = self.waiting.get_mut(&delivery) {
                open.is_being_written = false;
            }
        }
        let saved = std::mem::take(&mut self.being_saved);
        self.accepted.splice(0..0, saved);
        self.accepted_since = self.being_saved_since.take().or(self.accepted_since);
        self.is_incomplete = true;
    }

    pub fn insert(&mut self, open: OpenDelivery) {
        let delivery = open.due.delivery;
        let first = self.former_id.unwrap_or(delivery);
        let count = self.events.entry(open.seq).or_insert((0, first));
        count.0 += 1;
        self.bytes += open.due.body.len();
        let lane = self.lanes.entry(open.lane()).or_default();
        lane.push_back(delivery);
        let is_head = lane.len() == 1;
        self.waiting.insert(delivery, open);
        if is_head {
            self.make_head(delivery, None);
        }
    }

    /// Makes a delivery the head of its lane, now or since it was created.
    fn make_head(&mut self, delivery: i64, now: Option<Timestamp>) {
        let Some(open) = self.waiting.get_mut(&delivery) else {
            return;
        };
        open.due_at = now.unwrap_or(open.due_at);
        let heads = self.heads.entry(open.due.destination.clone()).or_default();
        heads.insert((open.due_at, delivery));
        self.fresh.push(delivery);
    }

    fn is_head(&self, open: &OpenDelivery) -> bool {
        let heads = self.heads.get(&open.due.destination);
        heads.is_some_and(|heads| heads.contains(&(open.due_at, open.due.delivery)))
    }

    /// Removes a delivery; the one behind it, if it was the head of its lane, is due.
    fn remove(&mut self, delivery: i64, now: Timestamp) -> Option<OpenDelivery> {
        let open = self.waiting.remove(&delivery)?;
        self.bytes -= open.due.body.len();
        if let Some(count) = self.events.get_mut(&open.seq) {
            count.0 -= 1;
            if count.0 == 0 {
                self.events.remove(&open.seq);
            }
        }
        let key = open.lane();
        let lane = self.lanes.get_mut(&key)?;
        if lane.front() != Some(&delivery) {
            lane.retain(|it| *it != delivery);
            return Some(open);
        }
        lane.pop_front();
        let next = lane.front().copied();
        if let Some(heads) = self.heads.get_mut(&open.due.destination) {
            heads.remove(&(open.due_at, delivery));
            if heads.is_empty() && next.is_none() {
                self.heads.remove(&open.due.destination);
            }
        }
        match next {
            Some(next) => self.make_head(next, Some(now)),
            None => drop(self.lanes.remove(&key)),
        }
        Some(open)
    }

    /// Settles a delivery that its endpoint has accepted. Returns false if it is not open: it has a row,
    /// or gets one by the transaction under way.
    pub fn accept(&mut self, delivery: i64, at: Timestamp, uptime: Duration) -> bool {
        if !self.is_open(delivery) {
            return false;
        }
        if let Some(open) = self.remove(delivery, at) {
            self.accepted.push(AcceptedDelivery {
                endpoint: open.due.endpoint,
                delivery,
                seq: open.seq,
                at,
            });
            self.accepted_since.get_or_insert(uptime);
        }
        true
    }

    pub fn is_open(&self, delivery: i64) -> bool {
        let open = self.waiting.get(&delivery);
        open.is_some_and(|open| !open.is_being_written)
    }

    /// Returns whether what was accepted waits for too long to be saved.
    pub fn is_saving_late(&self, uptime: Duration) -> bool {
        let since = self.being_saved_since.or(self.accepted_since);
        since.is_some_and(|since| uptime > since + MAX_UNSAVED_TIME)
    }

    /// Marks deliveries as being written, and returns them in their order: those of the lane of this
    /// one, or all. What was accepted is to be saved with them, or a crash would repeat it behind them.
    pub fn begin_writing(
        &mut self,
        delivery: Option<i64>,
    ) -> (Vec<OpenDelivery>, Vec<AcceptedDelivery>) {
        let ids: Vec<i64> = match delivery {
            Some(delivery) => {
                let lane = self.waiting.get(&delivery).map(OpenDelivery::lane);
                let lane = lane.and_then(|lane| self.lanes.get(&lane));
                lane.into_iter().flatten().copied().collect()
            }
            None => self.waiting.keys().copied().collect(),
        };
        let mut written = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(open) = self.waiting.get_mut(&id)
                && !open.is_being_written
            {
                open.is_being_written = true;
                written.push(open.clone());
                self.being_written.push(id);
            }
        }
        (written, self.begin_saving())
    }

    /// Returns whether so many more deliveries, of events up to `end`, find room.
    pub fn has_room(&self, more: usize, bytes: usize, end: i64) -> bool {
        self.waiting.len() + more <= MAX_DELIVERIES
            && self.bytes + bytes <= MAX_BYTES
            && self
                .first_open()
                .is_none_or(|(seq, _)| end - seq < MAX_SPAN)
    }

    /// Returns the accepted deliveries that the transaction under way is to save.
    pub fn begin_saving(&mut self) -> Vec<AcceptedDelivery> {
        let taken = std::mem::take(&mut self.accepted);
        self.being_saved.extend_from_slice(&taken);
        self.being_saved_since = self.being_saved_since.or(self.accepted_since.take());
        self.accepted_since = None;
        taken
    }

    /// Returns the uptime at which accepted deliveries have to be saved.
    pub fn save_at(&self) -> Option<Duration> {
        Some(self.accepted_since? + SAVE_DELAY)
    }

    /// Returns the position of the first event with an open delivery, and the first id of its
    /// deliveries.
    pub fn first_open(&self) -> Option<(i64, i64)> {
        let (seq, (_, delivery)) = self.events.first_key_value()?;
        Some((*seq, *delivery))
    }

    pub fn set_endpoints(&mut self, endpoints: Arc<[EventSubscriber]>) {
        self.endpoints = endpoints;
    }

    /// Returns a delivery with what its endpoint is now.
    fn hand_out(&self, open: &OpenDelivery) -> DueDelivery {
        let mut due = open.due.clone();
        if let Some(endpoint) = self.endpoints.iter().find(|it| it.id == due.endpoint) {
            endpoint.refresh(&mut due);
        }
        due
    }

    pub fn take_ready(&mut self) -> ReadyDeliveries {
        let fresh = std::mem::take(&mut self.fresh);
        let fresh = fresh.iter().filter_map(|id| self.waiting.get(id));
        ReadyDeliveries {
            // Whoever has read the heads may have settled some of them.
            due: fresh
                .filter(|open| self.is_head(open))
                .map(|open| self.hand_out(open))
                .collect(),
            is_incomplete: std::mem::take(&mut self.is_incomplete),
        }
    }

    /// Returns up to `each` heads of lanes per destination, those that are due for the longest.
    pub fn heads(&self, each: usize) -> Vec<QueueHead> {
        let heads = self
            .heads
            .values()
            .flat_map(|heads| heads.iter().take(each));
        let heads = heads.filter_map(|(due_at, id)| {
            let open = self.waiting.get(id)?;
            Some(QueueHead::for_open(&open.due, *due_at))
        });
        heads.collect()
    }

    /// Returns the deliveries among these that are open.
    pub fn load(&self, deliveries: &[i64]) -> Vec<DueDelivery> {
        let open = deliveries.iter().filter_map(|id| self.waiting.get(id));
        open.map(|open| self.hand_out(open)).collect()
    }

    /// Returns the newest `limit` open deliveries to an endpoint with ids from `from` to before `to`, and
    /// those whose acceptance is not saved yet.
    pub fn list(
        &self,
        endpoint: &str,
        (from, to): (i64, i64),
        limit: usize,
    ) -> (Vec<WaitingDelivery>, Vec<AcceptedDelivery>) {
        let waiting = self.waiting.range(from..to.max(from)).rev();
        let waiting = waiting.filter(|(_, open)| open.due.endpoint == endpoint);
        let waiting = waiting.take(limit).map(|(_, open)| {
            let due_at = self.is_head(open).then_some(open.due_at);
            WaitingDelivery {
                due: open.due.clone(),
                due_at,
            }
        });
        let accepted = self.being_saved.iter().chain(&self.accepted);
        let accepted =
            accepted.filter(|it| it.endpoint == endpoint && (from..to).contains(&it.delivery));
        (waiting.collect(), accepted.cloned().collect())
    }

    /// Returns how many wait for each endpoint, and the time of the oldest.
    pub fn count(&self) -> (BTreeMap<String, u64>, Option<Timestamp>) {
        let mut counts = BTreeMap::new();
        for open in self.waiting.values() {
            *counts.entry(open.due.endpoint.clone()).or_default() += 1;
        }
        let oldest = self.waiting.values().next();
        (counts, oldest.map(|open| open.due.created_at))
    }

    /// Returns how many transactions have written rows: what is read of the rows and of these between
    /// two equal answers is of one moment.
    pub const fn writings(&self) -> u64 {
        self.writings
    }
}

impl DeliveryStore<'_> {
    /// Takes the deliveries that have become due since the last call.
    pub fn take_ready(self) -> ReadyDeliveries {
        self.store.writer.lock_open().take_ready()
    }
}

#[cfg(test)]
mod tests;
