//! Slots for concurrent posts: fair limits per destination, per endpoint and in total. Pure.

use std::collections::HashMap;
use std::time::Duration;

use crate::store::QueueHead;

/// Slots of one destination when it is healthy.
pub(super) const MAX_PER_DESTINATION: usize = 16;
/// Slots of one endpoint over all its destinations: the sessions of the original's webhook are
/// mostly on one server, and hang together.
const MAX_PER_ENDPOINT: usize = 64;
/// Posts may use one in this many of the file descriptors.
const DESCRIPTORS_PER_SLOT: usize = 4;
const MIN_SLOTS: usize = 64;
const MAX_SLOTS: usize = 1_024;
/// An endpoint with posts under way takes another slot only while this many are free for each it
/// has.
const FREE_PER_POST: usize = 8;
/// Time after which a post is cancelled if all slots are taken and an endpoint without any waits
/// for one.
pub(super) const YIELD_AFTER: Duration = Duration::from_millis(750);

/// The result of asking for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotAdmission {
    Admitted,
    /// The delivery already has one.
    UnderWay,
    /// Its destination or its endpoint has enough.
    Full,
    /// Its endpoint has none, because others have all.
    Crowded,
}

/// The posts under way.
pub(super) struct PostSlots {
    all: usize,
    under_way: HashMap<i64, ActivePost>,
    destinations: HashMap<String, usize>,
    endpoints: HashMap<String, usize>,
}

struct ActivePost {
    head: QueueHead,
    since: Duration,
    is_cancelled: bool,
}

/// The next post to give up its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotRelease {
    /// This delivery gives up its slot.
    Now(i64),
    /// A post can give up its slot after this time.
    Later(Duration),
}

impl PostSlots {
    /// Creates the slots for a process that may have so many file descriptors open.
    pub fn for_descriptors(descriptors: u64) -> Self {
        let all = (usize::try_from(descriptors).unwrap_or(usize::MAX) / DESCRIPTORS_PER_SLOT)
            .clamp(MIN_SLOTS, MAX_SLOTS);
        Self {
            all,
            under_way: HashMap::new(),
            destinations: HashMap::new(),
            endpoints: HashMap::new(),
        }
    }

    /// Takes a slot for this delivery, if it has none and there is room. `max_posts` is the current
    /// limit of its destination.
    pub fn take_slot(&mut self, head: &QueueHead, width: usize, now: Duration) -> SlotAdmission {
        if self.under_way.contains_key(&head.delivery) {
            return SlotAdmission::UnderWay;
        }
        let count =
            |counts: &HashMap<String, usize>, key: &str| counts.get(key).copied().unwrap_or(0);
        let (own, free) = (
            count(&self.endpoints, &head.endpoint),
            self.all.saturating_sub(self.under_way.len()),
        );
        let may_have_more = count(&self.destinations, &head.destination)
            < width.min(MAX_PER_DESTINATION)
            && own < MAX_PER_ENDPOINT;
        if !may_have_more || (own > 0 && free < FREE_PER_POST * own) {
            return SlotAdmission::Full;
        }
        if free == 0 {
            return SlotAdmission::Crowded;
        }
        *self
            .destinations
            .entry(head.destination.clone())
            .or_default() += 1;
        *self.endpoints.entry(head.endpoint.clone()).or_default() += 1;
        self.under_way.insert(
            head.delivery,
            ActivePost {
                head: head.clone(),
                since: now,
                is_cancelled: false,
            },
        );
        SlotAdmission::Admitted
    }

    /// Chooses the post that makes room for an endpoint without a slot: the oldest post of the
    /// endpoint with the most slots, if it is old enough. Returns `None` if one is already giving
    /// up its slot.
    pub fn release_slow(&mut self, now: Duration) -> Option<SlotRelease> {
        if self.under_way.values().any(|post| post.is_cancelled) {
            return None;
        }
        let share = |post: &ActivePost| {
            self.endpoints
                .get(&post.head.endpoint)
                .copied()
                .unwrap_or(0)
        };
        let age = |post: &ActivePost| now.saturating_sub(post.since);
        let slow = self
            .under_way
            .iter()
            .filter(|(_, post)| age(post) >= YIELD_AFTER);
        let first = slow
            .max_by_key(|(_, post)| (share(post), age(post)))
            .map(|(delivery, _)| *delivery);
        let Some(delivery) = first else {
            let oldest = self.under_way.values().map(age).max()?;
            return Some(SlotRelease::Later(YIELD_AFTER.saturating_sub(oldest)));
        };
        self.under_way
            .entry(delivery)
            .and_modify(|post| post.is_cancelled = true);
        Some(SlotRelease::Now(delivery))
    }

    /// Frees a delivery's slot.
    pub fn free_slot(&mut self, delivery: i64) {
        let Some(ActivePost { head, .. }) = self.under_way.remove(&delivery) else {
            return;
        };
        decrement_count(&mut self.destinations, &head.destination);
        decrement_count(&mut self.endpoints, &head.endpoint);
    }
}

/// Decrements a count, and removes it at zero.
fn decrement_count(counts: &mut HashMap<String, usize>, key: &str) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::webhooks::concurrency::*;

    /// The maximum number of slots.
    fn slots() -> PostSlots {
        PostSlots::for_descriptors(u64::MAX)
    }

    fn taken(
        slots: &mut PostSlots,
        heads: impl IntoIterator<Item = (i64, &'static str, String)>,
    ) -> usize {
        let head = |(delivery, endpoint, destination): (i64, &str, String)| {
            QueueHead::new(delivery, endpoint, &destination)
        };
        let taken = |it: &(i64, &str, String)| {
            slots.take_slot(&head(it.clone()), MAX_PER_DESTINATION, Duration::ZERO)
                == SlotAdmission::Admitted
        };
        heads.into_iter().filter(taken).count()
    }

    #[test]
    fn a_gate_and_an_endpoint_leave_room_for_others() {
        let mut slots = slots();
        let hook = |delivery| (delivery, "hook", "hook".to_owned());
        assert_eq!(taken(&mut slots, (0..100).map(hook)), 16);
        assert_eq!(
            taken(
                &mut slots,
                (0..100).map(|number| (
                    1_000 + number,
                    "original",
                    format!("original/{}", number % 50)
                ))
            ),
            64
        );
        assert_eq!(
            taken(
                &mut slots,
                (0..100).map(|number| (2_000 + number, "other", "other".to_owned()))
            ),
            16
        );
        assert_eq!(
            taken(&mut slots, (0..100).map(hook)),
            0,
            "those under way are not taken twice"
        );
        slots.free_slot(3);
        slots.free_slot(3);
        assert_eq!(taken(&mut slots, (50..100).map(hook)), 1);
    }

    #[test]
    fn nothing_is_left_when_all_is_done() {
        let mut slots = slots();
        let count = taken(
            &mut slots,
            (0..1_000).map(|number| (number, "hook", format!("hook/{}", number % 30))),
        );
        assert_eq!(count, 64);
        (0..1_000).for_each(|delivery| slots.free_slot(delivery));
        assert!(
            slots.under_way.is_empty()
                && slots.destinations.is_empty()
                && slots.endpoints.is_empty()
        );
        let head = QueueHead::new(1, "hook", "hook");
        assert_eq!(
            slots.take_slot(&head, 0, Duration::ZERO),
            SlotAdmission::Full,
            "a gate can be given nothing"
        );
    }

    #[test]
    fn endpoints_that_hang_leave_room_for_one_that_has_none() {
        for descriptors in [1_024, u64::MAX] {
            let mut slots = PostSlots::for_descriptors(descriptors);
            // Each endpoint has more deliveries than there are slots.
            let (mut crowded, mut delivery) = (None, 0);
            'endpoints: for endpoint in 0..2_000 {
                for _ in 0..MAX_PER_DESTINATION {
                    delivery += 1;
                    let head = QueueHead::new(
                        delivery,
                        &format!("hook {endpoint}"),
                        &format!("hook {endpoint}"),
                    );
                    match slots.take_slot(
                        &head,
                        MAX_PER_DESTINATION,
                        Duration::from_millis(delivery.unsigned_abs()),
                    ) {
                        SlotAdmission::Admitted => {}
                        SlotAdmission::Full => break,
                        admission => {
                            crowded = Some((endpoint, admission, head));
                            break 'endpoints;
                        }
                    }
                }
            }
            let (endpoints, admission, head) = crowded.expect("it fills up");
            assert_eq!(admission, SlotAdmission::Crowded);
            assert!(
                endpoints > 30,
                "only {endpoints} found room of {}",
                slots.all
            );
            let begun = Duration::from_millis(delivery.unsigned_abs());
            assert!(
                matches!(slots.release_slow(Duration::from_millis(2)), Some(SlotRelease::Later(left)) if left < YIELD_AFTER)
            );
            let now = begun + YIELD_AFTER;
            let Some(SlotRelease::Now(first)) = slots.release_slow(now) else {
                panic!("somebody gives way")
            };
            assert!(
                first <= i64::try_from(MAX_PER_DESTINATION).unwrap(),
                "it is one of the endpoint with most: {first}"
            );
            assert_eq!(slots.release_slow(now), None, "one is enough for one");
            slots.free_slot(first);
            assert_eq!(
                slots.take_slot(&head, MAX_PER_DESTINATION, now),
                SlotAdmission::Admitted
            );
            assert!(
                matches!(slots.release_slow(now), Some(SlotRelease::Now(next)) if next != first)
            );
        }
    }
}
