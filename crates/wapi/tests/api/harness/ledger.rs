//! What was promised and what came, chat by chat. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// One direction. The texts of a chat are numbers that count up.
#[derive(Debug, Default, Clone)]
pub struct Ledger {
    chats: BTreeMap<String, Chat>,
}

#[derive(Debug, Default, Clone)]
struct Chat {
    promised: BTreeSet<usize>,
    arrived: Vec<usize>,
    /// How many had arrived at each restart.
    restarts: BTreeSet<usize>,
    asked_again: BTreeSet<usize>,
}

/// How a direction fared.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    pub promised: usize,
    /// Promised and not there, as `chat number`.
    pub lost: Vec<String>,
    /// Those that came more than once, as `chat number`, once for each repetition.
    pub repeated: Vec<String>,
    /// Those that came after one with a larger number, as `chat number after larger`, though they could be read at once. After a
    /// restart, what came before may come again, in its order.
    pub overtaken: Vec<String>,
    /// Those that could not be read at first.
    pub asked_again: usize,
}

impl Ledger {
    pub fn promise(&mut self, chat: &str, number: usize) {
        self.chats
            .entry(chat.to_owned())
            .or_default()
            .promised
            .insert(number);
    }

    pub fn arrive(&mut self, chat: &str, number: usize) {
        self.chats
            .entry(chat.to_owned())
            .or_default()
            .arrived
            .push(number);
    }

    /// The sender begins anew: it may repeat what it has sent before, in its order.
    pub fn restart(&mut self) {
        for chat in self.chats.values_mut() {
            chat.restarts.insert(chat.arrived.len());
        }
    }

    /// It could not be read and was asked for again, so it may come after later ones.
    pub fn ask_again(&mut self, chat: &str, number: usize) {
        self.chats
            .entry(chat.to_owned())
            .or_default()
            .asked_again
            .insert(number);
    }

    /// How many were promised in all chats.
    pub fn promised(&self) -> usize {
        self.chats.values().map(|chat| chat.promised.len()).sum()
    }

    /// Whether everything that was promised is there.
    pub fn is_complete(&self) -> bool {
        self.tally().lost.is_empty()
    }

    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for (name, chat) in &self.chats {
            chat.count(name, &mut tally);
        }
        tally
    }
}

impl Chat {
    fn count(&self, name: &str, tally: &mut Tally) {
        let mut there = BTreeSet::new();
        let mut since_restart = None;
        for (index, &number) in self.arrived.iter().enumerate() {
            if self.restarts.contains(&index) {
                since_restart = None;
            }
            let largest = match there.contains(&number) {
                true => since_restart,
                false => there.last().copied(),
            };
            let is_excused = self.asked_again.contains(&number);
            if let Some(largest) = largest.filter(|&largest| largest > number && !is_excused) {
                tally
                    .overtaken
                    .push(format!("{name} {number} after {largest}"));
            }
            since_restart = since_restart.max(Some(number));
            if !there.insert(number) {
                tally.repeated.push(format!("{name} {number}"));
            }
        }
        tally.promised += self.promised.len();
        tally.asked_again += self.asked_again.len();
        tally.lost.extend(
            self.promised
                .difference(&there)
                .map(|number| format!("{name} {number}")),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(promised: &[usize], arrived: &[usize]) -> Tally {
        let mut ledger = Ledger::default();
        promised
            .iter()
            .for_each(|number| ledger.promise("a", *number));
        arrived
            .iter()
            .for_each(|number| ledger.arrive("a", *number));
        ledger.tally()
    }

    #[test]
    fn what_came_once_and_in_order_is_fine() {
        // Number 1 was never promised, and may come or not.
        for arrived in [&[0, 1, 2][..], &[0, 2]] {
            assert_eq!(
                tally(&[0, 2], arrived),
                Tally {
                    promised: 2,
                    ..Tally::default()
                }
            );
        }
    }

    #[test]
    fn what_is_lost_repeated_or_overtaken_is_named() {
        let expected = Tally {
            promised: 4,
            lost: vec!["a 3".to_owned()],
            repeated: vec!["a 0".to_owned(), "a 1".to_owned()],
            overtaken: vec!["a 1 after 2".to_owned()],
            ..Tally::default()
        };
        assert_eq!(tally(&[0, 1, 2, 3], &[0, 0, 1, 2, 1]), expected);
    }

    #[test]
    fn after_a_restart_what_came_comes_again_in_its_order_and_before_what_is_new() {
        let story = |before: &[usize], after: &[usize]| {
            let mut ledger = Ledger::default();
            before.iter().for_each(|number| ledger.arrive("a", *number));
            ledger.restart();
            after.iter().for_each(|number| ledger.arrive("a", *number));
            ledger.tally().overtaken
        };
        assert_eq!(story(&[0, 1, 2], &[1, 2, 3]), [""; 0]);
        assert_eq!(story(&[0, 1, 2], &[2, 1, 3]), ["a 1 after 2"]);
        assert_eq!(story(&[0, 1, 2], &[3, 2]), ["a 2 after 3"]);
        assert_eq!(story(&[0, 2], &[1, 2]), ["a 1 after 2"]);
    }

    #[test]
    fn what_was_asked_for_again_may_come_late_and_nothing_else() {
        let mut ledger = Ledger::default();
        for number in [2, 0, 1] {
            ledger.promise("a", number);
            ledger.arrive("a", number);
        }
        ledger.ask_again("a", 0);
        let tally = ledger.tally();
        assert_eq!(tally.overtaken, ["a 1 after 2"]);
        assert_eq!(tally.asked_again, 1);
    }
}
