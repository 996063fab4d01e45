//! How many posts may be under way: so many of each gate, of each endpoint, and in all, so that nobody takes the room of others. Pure.

use std::collections::HashMap;

use crate::store::Head;

/// Through one gate, when all is well.
pub(super) const OF_A_GATE: usize = 16;
/// To one endpoint, over all its gates: the sessions of the original's webhook are mostly on one server, and hang together.
const OF_AN_ENDPOINT: usize = 64;
const OF_ALL: usize = 256;

/// Whether a delivery got a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Taken,
    /// It has one already.
    UnderWay,
    /// There is no room at the moment.
    Full,
}

/// The posts under way.
#[derive(Default)]
pub(super) struct Slots {
    under_way: HashMap<i64, Head>,
    gates: HashMap<String, usize>,
    endpoints: HashMap<String, usize>,
}

impl Slots {
    /// Takes a slot for this delivery, if it has none and there is room; `width` is how much its gate is given at the moment.
    pub fn take(&mut self, head: &Head, width: usize) -> Place {
        if self.under_way.contains_key(&head.delivery) {
            return Place::UnderWay;
        }
        let count = |counts: &HashMap<String, usize>, key: &str| counts.get(key).copied().unwrap_or(0);
        let has_room = self.under_way.len() < OF_ALL
            && count(&self.gates, &head.gate) < width.min(OF_A_GATE)
            && count(&self.endpoints, &head.endpoint) < OF_AN_ENDPOINT;
        if !has_room {
            return Place::Full;
        }
        *self.gates.entry(head.gate.clone()).or_default() += 1;
        *self.endpoints.entry(head.endpoint.clone()).or_default() += 1;
        self.under_way.insert(head.delivery, head.clone());
        Place::Taken
    }

    /// Gives a delivery's slot back.
    pub fn free(&mut self, delivery: i64) {
        let Some(head) = self.under_way.remove(&delivery) else { return };
        less(&mut self.gates, &head.gate);
        less(&mut self.endpoints, &head.endpoint);
    }
}

/// One less; nothing is kept for nobody.
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

    fn taken(slots: &mut Slots, heads: impl IntoIterator<Item = (i64, &'static str, String)>) -> usize {
        let head = |(delivery, endpoint, gate): (i64, &str, String)| Head::new(delivery, endpoint, &gate);
        heads.into_iter().filter(|it| slots.take(&head(it.clone()), OF_A_GATE) == Place::Taken).count()
    }

    #[test]
    fn a_gate_and_an_endpoint_leave_room_for_others() {
        let mut slots = Slots::default();
        let hook = |delivery| (delivery, "hook", "hook".to_owned());
        assert_eq!(taken(&mut slots, (0..100).map(hook)), 16);
        assert_eq!(
            taken(&mut slots, (0..100).map(|number| (1_000 + number, "original", format!("original/{}", number % 50)))),
            64
        );
        assert_eq!(taken(&mut slots, (0..100).map(|number| (2_000 + number, "other", "other".to_owned()))), 16);
        assert_eq!(taken(&mut slots, (0..100).map(hook)), 0, "those under way are not taken twice");
        slots.free(3);
        slots.free(3);
        assert_eq!(taken(&mut slots, (50..100).map(hook)), 1);
    }

    #[test]
    fn nothing_is_left_when_all_is_done() {
        let mut slots = Slots::default();
        let count = taken(&mut slots, (0..1_000).map(|number| (number, "hook", format!("hook/{}", number % 30))));
        assert_eq!(count, 64);
        (0..1_000).for_each(|delivery| slots.free(delivery));
        assert!(slots.under_way.is_empty() && slots.gates.is_empty() && slots.endpoints.is_empty());
        assert_eq!(slots.take(&Head::new(1, "hook", "hook"), 0), Place::Full, "a gate can be given nothing");
    }
}
