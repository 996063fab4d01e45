//! Traffic of the last day: counts by the quarter of an hour, in memory, from the start on. Pure.

use std::collections::VecDeque;

use jiff::Timestamp;

const SLOT_SECONDS: i64 = 15 * 60;
const SLOTS: usize = 96;

/// Counts that only grow while the program runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrafficCounts {
    pub received: u64,
    pub sent: u64,
    pub delivered: u64,
    pub failed: u64,
}

impl TrafficCounts {
    const fn since(self, earlier: Self) -> Self {
        Self {
            received: self.received.saturating_sub(earlier.received),
            sent: self.sent.saturating_sub(earlier.sent),
            delivered: self.delivered.saturating_sub(earlier.delivered),
            failed: self.failed.saturating_sub(earlier.failed),
        }
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            sent: self.sent + other.sent,
            delivered: self.delivered + other.delivered,
            failed: self.failed + other.failed,
        }
    }
}

/// The counts of each quarter of an hour.
#[derive(Debug, Clone)]
pub struct TrafficRing {
    since: Timestamp,
    totals: TrafficCounts,
    /// By the number of the quarter since 1970, oldest first.
    slots: VecDeque<(i64, TrafficCounts)>,
}

impl TrafficRing {
    /// Starts counting at this moment.
    pub const fn new(since: Timestamp) -> Self {
        Self {
            since,
            totals: TrafficCounts {
                received: 0,
                sent: 0,
                delivered: 0,
                failed: 0,
            },
            slots: VecDeque::new(),
        }
    }

    /// Returns the moment from which on everything is counted.
    pub const fn since(&self) -> Timestamp {
        self.since
    }

    /// Takes the counts since the start at this moment.
    pub fn record(&mut self, now: Timestamp, totals: TrafficCounts) {
        let more = totals.since(self.totals);
        self.totals = totals;
        let slot = now.as_second().div_euclid(SLOT_SECONDS);
        match self.slots.back_mut() {
            // Also while the clock is set back.
            Some((last, counts)) if *last >= slot => *counts = counts.plus(more),
            _ => self.slots.push_back((slot, more)),
        }
        while self.slots.len() > SLOTS {
            self.slots.pop_front();
        }
    }

    /// Returns the quarters of the last day with their beginnings, oldest first.
    pub fn last_day(&self, now: Timestamp) -> Vec<(Timestamp, TrafficCounts)> {
        let newest = now.as_second().div_euclid(SLOT_SECONDS);
        let count = i64::try_from(SLOTS).unwrap_or(i64::MAX);
        let slots = newest - count + 1..=newest;
        let counts_of = |slot: i64| {
            let found = self.slots.iter().find(|(number, _)| *number == slot);
            found.map_or_else(TrafficCounts::default, |(_, counts)| *counts)
        };
        slots
            .map(|slot| {
                let begins = Timestamp::from_second(slot * SLOT_SECONDS);
                (begins.unwrap_or(Timestamp::UNIX_EPOCH), counts_of(slot))
            })
            .collect()
    }
}

/// Returns the end of the quarter of an hour that a moment is in.
pub fn end_of_slot(moment: Timestamp) -> Timestamp {
    let next = moment.as_second().div_euclid(SLOT_SECONDS) + 1;
    Timestamp::from_second(next * SLOT_SECONDS).unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(received: u64) -> TrafficCounts {
        TrafficCounts {
            received,
            ..TrafficCounts::default()
        }
    }

    #[test]
    fn each_quarter_has_what_was_counted_in_it() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let start = 100 * SLOT_SECONDS;
        let mut ring = TrafficRing::new(at(start));
        ring.record(at(start + 10), received(3));
        ring.record(at(start + 20), received(4));
        ring.record(at(start + 2 * SLOT_SECONDS), received(9));
        let now = at(start + 2 * SLOT_SECONDS + 5);
        let day = ring.last_day(now);
        assert_eq!(day.len(), SLOTS);
        let last: Vec<_> = day[SLOTS - 3..].iter().map(|(_, it)| it.received).collect();
        assert_eq!(last, [4, 0, 5]);
        assert_eq!(day[SLOTS - 3].0, at(start));
        assert_eq!(end_of_slot(now), at(start + 3 * SLOT_SECONDS));
        let later = ring.last_day(at(start + 200 * SLOT_SECONDS));
        assert!(later.iter().all(|(_, it)| it.received == 0));
    }
}
