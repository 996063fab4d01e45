//! Delays for addresses that guess API keys: they grow with each wrong key. Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::edge::block;

/// Wrong keys without a delay.
const FREE: u32 = 10;
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// An address without a wrong key for this long starts afresh.
const FORGIVEN: Duration = Duration::from_secs(15 * 60);
/// Maximum number of remembered addresses, and of keys of each.
const MOST: usize = 10_000;
const MOST_KEYS: usize = 16;

/// The recent wrong and right keys of each address.
#[derive(Default)]
pub struct Guesses {
    of: HashMap<IpAddr, Record>,
}

#[derive(Default)]
struct Record {
    wrong: u32,
    last: Duration,
    /// Ids of the valid keys that this address has used.
    known: Vec<Arc<str>>,
}

impl Guesses {
    /// How long to wait before answering whether a key from this address is valid. A key that this
    /// address has used before is not delayed, so that guessing does not hold up other callers
    /// behind the same address.
    pub fn delay(&self, from: IpAddr, right: Option<&str>, now: Duration) -> Duration {
        let Some(record) = self.of.get(&block(from)) else {
            return Duration::ZERO;
        };
        let is_known =
            right.is_some_and(|right| record.known.iter().any(|known| **known == *right));
        if is_known || now.saturating_sub(record.last) >= FORGIVEN || record.wrong < FREE {
            return Duration::ZERO;
        }
        FIRST
            .saturating_mul(2u32.saturating_pow(record.wrong - FREE))
            .min(LONGEST)
    }

    pub fn was_wrong(&mut self, from: IpAddr, now: Duration) {
        let record = self.record(from, now);
        if now.saturating_sub(record.last) >= FORGIVEN {
            record.wrong = 0;
        }
        (record.wrong, record.last) = (record.wrong.saturating_add(1), now);
    }

    pub fn was_right(&mut self, from: IpAddr, key: &Arc<str>, now: Duration) {
        let record = self.record(from, now);
        if !record.known.contains(key) {
            record.known.truncate(MOST_KEYS - 1);
            record.known.insert(0, Arc::clone(key));
        }
    }

    fn record(&mut self, from: IpAddr, now: Duration) -> &mut Record {
        let from = block(from);
        if self.of.len() >= MOST && !self.of.contains_key(&from) {
            self.of
                .retain(|_, record| now.saturating_sub(record.last) < FORGIVEN);
            // The table is full: the address that has been quiet for longest is forgotten.
            let quiet = self
                .of
                .iter()
                .min_by_key(|(_, record)| record.last)
                .map(|(address, _)| *address);
            quiet
                .filter(|_| self.of.len() >= MOST)
                .inspect(|quiet| drop(self.of.remove(quiet)));
        }
        self.of.entry(from).or_insert_with(|| Record {
            last: now,
            ..Record::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_key_of_an_address_is_answered_later_and_others_are_not() {
        let mut guesses = Guesses::default();
        let (here, there): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let now = Duration::from_secs(1_000);
        guesses.was_right(here, &"key_known".into(), now);
        let mut delays = Vec::new();
        for _ in 0..20 {
            delays.push(guesses.delay(here, None, now).as_millis());
            guesses.was_wrong(here, now);
        }
        assert_eq!(delays[..10], [0; 10]);
        assert_eq!(
            delays[10..],
            [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000, 5_000]
        );
        assert_eq!(
            guesses.delay(here, Some("key_new"), now),
            LONGEST,
            "or the answer would tell the right ones"
        );
        assert_eq!(guesses.delay(here, Some("key_known"), now), Duration::ZERO);
        assert_eq!(guesses.delay(there, None, now), Duration::ZERO);
        let later = now + FORGIVEN;
        assert_eq!(guesses.delay(here, None, later), Duration::ZERO);
        guesses.was_wrong(here, later);
        assert_eq!(
            guesses.delay(here, None, later),
            Duration::ZERO,
            "it begins anew"
        );
    }

    #[test]
    fn not_more_than_so_many_are_remembered() {
        let mut guesses = Guesses::default();
        for number in 0..u32::try_from(MOST).unwrap() + 10 {
            guesses.was_wrong(
                IpAddr::from(number.to_be_bytes()),
                Duration::from_secs(number.into()) / 100,
            );
        }
        assert!(guesses.of.len() <= MOST);
    }
}
