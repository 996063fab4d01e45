//! Bounded lists and sets that drop their oldest entries, so that a long run does not fill the
//! memory.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

/// The newest `limit` entries; positions count from the first entry ever added.
pub(crate) struct BoundedList<T> {
    entries: VecDeque<T>,
    forgotten: usize,
    limit: usize,
}

impl<T> BoundedList<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            forgotten: 0,
            limit,
        }
    }

    /// Adds an entry; returns the one that is dropped for it.
    pub(crate) fn push(&mut self, entry: T) -> Option<T> {
        self.entries.push_back(entry);
        if self.entries.len() <= self.limit {
            return None;
        }
        self.forgotten += 1;
        self.entries.pop_front()
    }

    /// The entry at a position, or the oldest that is left after it, with its position.
    pub(crate) fn first_from(&self, position: usize) -> Option<(usize, &T)> {
        let position = position.max(self.forgotten);
        self.entries
            .get(position - self.forgotten)
            .map(|entry| (position, entry))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter()
    }

    /// The entries from a position on.
    pub(crate) fn iter_from(&self, position: usize) -> impl Iterator<Item = &T> {
        self.entries
            .iter()
            .skip(position.saturating_sub(self.forgotten))
    }
}

/// A set that drops its oldest members.
pub(crate) struct BoundedSet<T> {
    order: BoundedList<T>,
    members: HashSet<T>,
}

impl<T: Clone + Eq + Hash> BoundedSet<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            order: BoundedList::new(limit),
            members: HashSet::new(),
        }
    }

    pub(crate) fn contains(&self, member: &T) -> bool {
        self.members.contains(member)
    }

    /// Inserts a member; returns whether it is new.
    pub(crate) fn insert(&mut self, member: T) -> bool {
        if !self.members.insert(member.clone()) {
            return false;
        }
        if let Some(oldest) = self.order.push(member) {
            self.members.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::model::bounded_list::*;

    #[test]
    fn positions_go_on_when_the_oldest_are_forgotten() {
        let mut kept = BoundedList::new(3);
        for number in 0..5 {
            kept.push(number);
        }
        assert_eq!(kept.iter().copied().collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(kept.first_from(0), Some((2, &2)));
        assert_eq!(kept.first_from(4), Some((4, &4)));
        assert_eq!(kept.first_from(5), None);
        assert_eq!(kept.iter_from(3).copied().collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn a_forgotten_member_is_new_again() {
        let mut set = BoundedSet::new(2);
        assert!(set.insert(1) && !set.insert(1) && set.insert(2) && set.insert(3));
        assert!(!set.contains(&1) && set.contains(&2));
        assert!(set.insert(1));
    }
}
