//! Pacing: the pause between two messages, and the counts of a day. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::admission::ChatFamiliarity;
use super::items::{OutboxItem, SendStage};
use super::{MAX_IN_FLIGHT, OutboxClock};
use crate::model::message::ChatId;
use crate::model::send_hold::{HoldReason, Pacing, SendHold};
use crate::store::{AttemptMark, Departure, MessageSeq};

/// The time in which messages are counted.
pub const COUNTED: SignedDuration = SignedDuration::from_hours(24);

/// The pace of a session, and the messages that count.
#[derive(Debug, Default)]
pub(super) struct PaceKeeper {
    pacing: Pacing,
    /// Whether `departures` has the messages of an earlier run, or of a time without pace.
    is_loaded: bool,
    /// Those of the counted time, in their order. One that is not recorded yet has its place.
    departures: VecDeque<CountedDeparture>,
}

/// A message that counts.
#[derive(Debug)]
struct CountedDeparture {
    seq: MessageSeq,
    at: Timestamp,
    /// By the uptime of this run; that of an earlier run is negative.
    uptime: SignedDuration,
    /// Decides about the random part of the pause.
    chance: u64,
    /// The person, if this is the first message of the day to somebody who had not written to the
    /// account.
    new_chat: Option<ChatId>,
    /// It has not left yet: it is being typed or recorded.
    is_leaving: bool,
}

impl PaceKeeper {
    /// Sets the pace. The messages that count remain, if there were any to count.
    pub fn set(&mut self, pacing: Pacing) {
        if !pacing.delays() {
            (self.is_loaded, self.departures) = (false, VecDeque::new());
        }
        self.pacing = pacing;
    }

    /// Forgets the messages of another account.
    pub fn forget_all(&mut self) {
        (self.is_loaded, self.departures) = (false, VecDeque::new());
    }

    /// Adds the messages that the store knows to those that are on their way to it.
    pub fn load(&mut self, stored: Vec<Departure>, at: OutboxClock) {
        let known = std::mem::take(&mut self.departures);
        let mut known: BTreeMap<_, _> = known.into_iter().map(|it| (it.seq, it)).collect();
        for departure in stored {
            let before = known.remove(&departure.seq);
            // A clock that was set back must not make the pause longer.
            let age = at
                .now
                .duration_since(departure.at)
                .max(SignedDuration::ZERO);
            let new_chat = departure.new_chat.filter(|chat| self.is_first_to(chat));
            let entry = match before {
                Some(before) => CountedDeparture {
                    new_chat: before.new_chat.or(new_chat),
                    ..before
                },
                None => CountedDeparture {
                    seq: departure.seq,
                    at: departure.at,
                    uptime: signed(at.uptime).saturating_sub(age),
                    chance: chance_of(&departure.id),
                    new_chat,
                    is_leaving: false,
                },
            };
            self.departures.push_back(entry);
        }
        let mut unstored: Vec<_> = known.into_values().collect();
        unstored.sort_by_key(|it| it.uptime);
        self.departures.extend(unstored);
        self.is_loaded = true;
    }

    /// Whether messages may have to wait.
    pub fn delays(&self) -> bool {
        self.pacing.delays()
    }

    /// Whether a message is typed before it leaves.
    pub fn shows_typing(&self) -> bool {
        self.pacing.typing
    }

    /// Whether it matters who is new.
    pub fn counts_new_chats(&self) -> bool {
        self.pacing.new_chats_per_day.is_some()
    }

    /// Returns the reason why a message must wait. One that has been marked or counted has had its
    /// turn.
    pub fn find_hold(&self, item: &OutboxItem, at: OutboxClock) -> Option<SendHold> {
        if item.is_recorded || item.is_counted || !self.delays() {
            return None;
        }
        let hold = |reason, not_before| Some(SendHold { reason, not_before });
        let is_new = item.familiarity == Some(ChatFamiliarity::New);
        if !self.is_loaded {
            // Nobody knows how many have left.
            return match &self.pacing {
                pacing if pacing.per_day.is_some() => hold(HoldReason::PerDay, None),
                pacing if pacing.new_chats_per_day.is_some() && is_new => {
                    hold(HoldReason::NewChatsPerDay, None)
                }
                _ => hold(HoldReason::MinGap, None),
            };
        }
        let all = self.departures.iter();
        let times = all.clone().map(|it| it.at);
        if let Some(until) = full_until(self.pacing.per_day, times, at.now) {
            return hold(HoldReason::PerDay, Some(until));
        }
        if is_new && self.is_first_to(&item.message.to) {
            let new = all.filter(|it| it.new_chat.is_some()).map(|it| it.at);
            if let Some(until) = full_until(self.pacing.new_chats_per_day, new, at.now) {
                return hold(HoldReason::NewChatsPerDay, Some(until));
            }
        }
        let rest = self.gap_end(at)?.saturating_sub(signed(at.uptime));
        let is_over = rest <= SignedDuration::ZERO;
        let until = at.now.checked_add(rest).ok();
        (!is_over).then_some(SendHold {
            reason: HoldReason::MinGap,
            not_before: until,
        })
    }

    /// Counts a message that is about to leave.
    pub fn count_departure(&mut self, item: &mut OutboxItem, at: OutboxClock) {
        if item.is_recorded || item.is_counted || !self.delays() {
            return;
        }
        self.push_departure(item, at, true);
    }

    /// Counts a message that is recorded as possibly sent: from now on, and only once.
    pub fn count_recorded(&mut self, item: &mut OutboxItem, at: OutboxClock) {
        if !item.is_counted && self.delays() {
            return self.push_departure(item, at, false);
        }
        let seq = item.message.seq;
        if let Some(place) = self.departures.iter().rposition(|it| it.seq == seq)
            && let Some(found) = self.departures.remove(place)
        {
            self.departures.push_back(CountedDeparture {
                at: at.now,
                uptime: signed(at.uptime),
                is_leaving: false,
                ..found
            });
        }
    }

    fn push_departure(&mut self, item: &mut OutboxItem, at: OutboxClock, is_leaving: bool) {
        self.forget_old(at.now);
        item.is_counted = true;
        let is_marked = item.stage == SendStage::Persisting && item.is_marked_new;
        let is_new = is_marked || item.familiarity == Some(ChatFamiliarity::New);
        let to = Some(&item.message.to).filter(|to| is_new && self.is_first_to(to));
        let new_chat = to.cloned();
        self.departures.push_back(CountedDeparture {
            seq: item.message.seq,
            at: at.now,
            uptime: signed(at.uptime),
            chance: chance_of(&item.message.id),
            new_chat,
            is_leaving,
        });
    }

    /// A message that was counted waits again: it does not leave now.
    pub fn withdraw_departure(&mut self, item: &mut OutboxItem) {
        if !item.is_recorded {
            self.forget_departure(item);
        }
    }

    /// A message that was counted does not leave.
    pub fn forget_departure(&mut self, item: &mut OutboxItem) {
        let seq = item.message.seq;
        if std::mem::take(&mut item.is_counted)
            && let Some(place) = self.departures.iter().rposition(|it| it.seq == seq)
        {
            self.departures.remove(place);
        }
    }

    /// Returns the mark of a message that leaves. While nothing counts, each message to a new
    /// contact is marked as one.
    pub fn mark_departure(&self, item: &OutboxItem) -> AttemptMark {
        let seq = item.message.seq;
        let counted = self.departures.iter().rev();
        let counted = counted.filter(|_| item.is_counted).find(|it| it.seq == seq);
        let is_new_chat = match counted {
            Some(counted) if counted.new_chat.is_some() => Some(true),
            Some(_) => item.familiarity.map(|_| false),
            None => item.familiarity.map(|found| found == ChatFamiliarity::New),
        };
        AttemptMark { seq, is_new_chat }
    }

    /// Lists the messages that count, and whether each is a new contact.
    #[cfg(test)]
    pub fn counted(&self, now: Timestamp) -> Vec<(MessageSeq, bool)> {
        let start = now.saturating_sub(COUNTED).unwrap_or(Timestamp::MIN);
        let counted = self.departures.iter().filter(|it| it.at > start);
        counted.map(|it| (it.seq, it.new_chat.is_some())).collect()
    }

    /// Whether no counted message began this chat.
    fn is_first_to(&self, chat: &ChatId) -> bool {
        let mut new = self.departures.iter().filter_map(|it| it.new_chat.as_ref());
        !new.any(|known| known == chat)
    }

    fn forget_old(&mut self, now: Timestamp) {
        let start = now.saturating_sub(COUNTED).unwrap_or(Timestamp::MIN);
        while self.departures.front().is_some_and(|it| it.at <= start) {
            self.departures.pop_front();
        }
    }

    /// Returns the uptime before which no message leaves. One that has not left yet leaves now at
    /// the earliest.
    fn gap_end(&self, at: OutboxClock) -> Option<SignedDuration> {
        // Those that are under way together need not be in the order in which they leave.
        let latest = self.departures.iter().rev().take(MAX_IN_FLIGHT);
        let left_at = |it: &CountedDeparture| match it.is_leaving {
            true => signed(at.uptime),
            false => it.uptime,
        };
        let last = latest.max_by_key(|it| left_at(it))?;
        let most = u64::from(self.pacing.jitter) * 1_000;
        let jitter = Duration::from_millis(last.chance % (most + 1));
        let gap = Duration::from_secs(self.pacing.min_gap.into()) + jitter;
        Some(left_at(last).saturating_add(signed(gap)))
    }
}

/// The random part of a pause follows from the id, which is random itself.
fn chance_of(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

fn signed(time: Duration) -> SignedDuration {
    SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)
}

/// Returns the time until which a count of a day is full; `None` while there is room.
fn full_until(
    limit: Option<u32>,
    times: impl DoubleEndedIterator<Item = Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let limit = usize::try_from(limit?).unwrap_or(usize::MAX);
    let Some(earlier) = limit.checked_sub(1) else {
        return Some(Timestamp::MAX);
    };
    let end = times.rev().nth(earlier)?.saturating_add(COUNTED).ok()?;
    (end > now).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_has_room_again_a_day_after_the_first_of_the_last_ones() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let day = 86_400;
        let times = [at(10), at(20), at(30)];
        let full = |limit, now| full_until(limit, times.into_iter(), at(now));
        assert_eq!(full(Some(2), 40), Some(at(20 + day)));
        assert_eq!(full(Some(2), 20 + day), None);
        assert_eq!(full(Some(4), 40), None);
        assert_eq!(full(None, 40), None);
    }
}
