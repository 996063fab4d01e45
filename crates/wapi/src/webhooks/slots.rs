//! Slots for concurrent posts: fair limits per destination, per endpoint and in total. Pure.

use std::collections::HashMap;
use std::time::Duration;

use crate::store::Head;

/// Slots of one destination when it is healthy.
pub(super) const OF_A_GATE: usize = 16;
/// Slots of one endpoint over all its destinations: the sessions of the original's webhook are
/// mostly on one server, and hang together.
const OF_AN_ENDPOINT: usize = 64;
/// Posts may use one in this many of the file descriptors.
const SHARE: usize = 4;
const LEAST: usize = 64;
const MOST: usize = 1_024;
/// An endpoint with posts under way takes another slot only while this many are free for each it
/// has.
const FREE_FOR_EACH: usize = 8;
/// Time after which a post is cancelled if all slots are taken and an endpoint without any waits
/// for one.
pub(super) const GIVES_WAY: Duration = Duration::from_millis(750);

/// The result of asking for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Taken,
    /// The delivery already has one.
    UnderWay,
    /// Its destination or its endpoint has enough.
    Full,
    /// Its endpoint has none, because others have all.
    Crowded,
}

/// The posts under way.
pub(super) struct Slots {
    all: usize,
    under_way: HashMap<i64, Post>,
    gates: HashMap<String, usize>,
    endpoints: HashMap<String, usize>,
}

struct Post {
    head: Head,
    since: Duration,
    gives_way: bool,
}

/// The next post to give up its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slow {
    /// This delivery gives up its slot.
    Gives(i64),
    /// A post can give up its slot after this time.
    Later(Duration),
}

impl Slots {
    /// Creates the slots for a process that may have so many file descriptors open.
    pub fn of(descriptors: u64) -> Self {
        let all = (usize::try_from(descriptors).unwrap_or(usize::MAX) / SHARE).clamp(LEAST, MOST);
        Self {
            all,
            under_way: HashMap::new(),
            gates: HashMap::new(),
            endpoints: HashMap::new(),
        }
    }

    /// Takes a slot for this delivery, if it has none and there is room. `width` is the current
    /// limit of its destination.
    pub fn take(&mut self, head: &Head, width: usize, now: Duration) -> Place {
        if self.under_way.contains_key(&head.delivery) {
            return Place::UnderWay;
        }
        let count =
            |counts: &HashMap<String, usize>, key: &str| counts.get(key).copied().unwrap_or(0);
        let (own, free) = (
            count(&self.endpoints, &head.endpoint),
            self.all.saturating_sub(self.under_way.len()),
        );
        let may_have_more =
            count(&self.gates, &head.gate) < width.min(OF_A_GATE) && own < OF_AN_ENDPOINT;
        if !may_have_more || (own > 0 && free < FREE_FOR_EACH * own) {
            return Place::Full;
        }
        if free == 0 {
            return Place::Crowded;
        }
        *self.gates.entry(head.gate.clone()).or_default() += 1;
        *self.endpoints.entry(head.endpoint.clone()).or_default() += 1;
        self.under_way.insert(
            head.delivery,
            Post {
                head: head.clone(),
                since: now,
                gives_way: false,
            },
        );
        Place::Taken
    }

    /// Chooses the post that makes room for an endpoint without a slot: the oldest post of the
    /// endpoint with the most slots, if it is old enough. Returns `None` if one is already giving
    /// up its slot.
    pub fn slow(&mut self, now: Duration) -> Option<Slow> {
        if self.under_way.values().any(|post| post.gives_way) {
            return None;
        }
        let share = |post: &Post| {
            self.endpoints
                .get(&post.head.endpoint)
                .copied()
                .unwrap_or(0)
        };
        let age = |post: &Post| now.saturating_sub(post.since);
        let slow = self
            .under_way
            .iter()
            .filter(|(_, post)| age(post) >= GIVES_WAY);
        let first = slow
            .max_by_key(|(_, post)| (share(post), age(post)))
            .map(|(delivery, _)| *delivery);
        let Some(delivery) = first else {
            let oldest = self.under_way.values().map(age).max()?;
            return Some(Slow::Later(GIVES_WAY.saturating_sub(oldest)));
        };
        self.under_way
            .entry(delivery)
            .and_modify(|post| post.gives_way = true);
        Some(Slow::Gives(delivery))
    }

    /// Frees a delivery's slot.
    pub fn free(&mut self, delivery: i64) {
        let Some(Post { head, .. }) = self.under_way.remove(&delivery) else {
            return;
        };
        less(&mut self.gates, &head.gate);
        less(&mut self.endpoints, &head.endpoint);
    }
}

/// Decrements a count, and removes it at zero.
fn less(counts: &mut HashMap<String, usize>, key: &str) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The maximum number of slots.
    fn slots() -> Slots {
        Slots::of(u64::MAX)
    }

    fn taken(
        slots: &mut Slots,
        heads: impl IntoIterator<Item = (i64, &'static str, String)>,
    ) -> usize {
        let head =
            |(delivery, endpoint, gate): (i64, &str, String)| Head::new(delivery, endpoint, &gate);
        let taken = |it: &(i64, &str, String)| {
            slots.take(&head(it.clone()), OF_A_GATE, Duration::ZERO) == Place::Taken
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
        slots.free(3);
        slots.free(3);
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
        (0..1_000).for_each(|delivery| slots.free(delivery));
        assert!(slots.under_way.is_empty() && slots.gates.is_empty() && slots.endpoints.is_empty());
        let head = Head::new(1, "hook", "hook");
        assert_eq!(
            slots.take(&head, 0, Duration::ZERO),
            Place::Full,
            "a gate can be given nothing"
        );
    }

    #[test]
    fn endpoints_that_hang_leave_room_for_one_that_has_none() {
        for descriptors in [1_024, u64::MAX] {
            let mut slots = Slots::of(descriptors);
            // Each endpoint has more deliveries than there are slots.
            let (mut crowded, mut delivery) = (None, 0);
            'endpoints: for endpoint in 0..2_000 {
                for _ in 0..OF_A_GATE {
                    delivery += 1;
                    let head = Head::new(
                        delivery,
                        &format!("hook {endpoint}"),
                        &format!("hook {endpoint}"),
                    );
                    match slots.take(
                        &head,
                        OF_A_GATE,
                        Duration::from_millis(delivery.unsigned_abs()),
                    ) {
                        Place::Taken => {}
                        Place::Full => break,
                        place => {
                            crowded = Some((endpoint, place, head));
                            break 'endpoints;
                        }
                    }
                }
            }
            let (endpoints, place, head) = crowded.expect("it fills up");
            assert_eq!(place, Place::Crowded);
            assert!(
                endpoints > 30,
                "only {endpoints} found room of {}",
                slots.all
            );
            let begun = Duration::from_millis(delivery.unsigned_abs());
            assert!(
                matches!(slots.slow(Duration::from_millis(2)), Some(Slow::Later(left)) if left < GIVES_WAY)
            );
            let now = begun + GIVES_WAY;
            let Some(Slow::Gives(first)) = slots.slow(now) else {
                panic!("somebody gives way")
            };
            assert!(
                first <= i64::try_from(OF_A_GATE).unwrap(),
                "it is one of the endpoint with most: {first}"
            );
            assert_eq!(slots.slow(now), None, "one is enough for one");
            slots.free(first);
            assert_eq!(slots.take(&head, OF_A_GATE, now), Place::Taken);
            assert!(matches!(slots.slow(now), Some(Slow::Gives(next)) if next != first));
        }
    }
}
