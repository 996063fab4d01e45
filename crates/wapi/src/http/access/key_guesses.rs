//! Delays for addresses that guess API keys: they grow with each wrong key. Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::http::edge::client_network;

/// Wrong keys without a delay.
const FREE_GUESSES: u32 = 10;
const SHORTEST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// An address without a wrong key for this long starts afresh.
const FORGIVEN_AFTER: Duration = Duration::from_secs(15 * 60);
/// Maximum number of remembered addresses, and of keys of each.
const MAX_ADDRESSES: usize = 10_000;
const MAX_RIGHT_KEYS: usize = 16;

/// The recent wrong and right keys of each address.
#[derive(Default)]
pub struct KeyGuesses {
    addresses: HashMap<IpAddr, AddressRecord>,
}

#[derive(Default)]
struct AddressRecord {
    wrong_keys: u32,
    last: Duration,
    /// Ids of the valid keys that this address has used.
    right_keys: Vec<Arc<str>>,
}

impl KeyGuesses {
    /// How long to wait before answering whether a key from this address is valid. A key that this
    /// address has used before is not delayed, so that guessing does not hold up other callers
    /// behind the same address.
    pub fn answer_delay(&self, from: IpAddr, right: Option<&str>, now: Duration) -> Duration {
        let Some(record) = self.addresses.get(&client_network(from)) else {
            return Duration::ZERO;
        };
        let is_known =
            right.is_some_and(|right| record.right_keys.iter().any(|known| **known == *right));
        if is_known
            || now.saturating_sub(record.last) >= FORGIVEN_AFTER
            || record.wrong_keys < FREE_GUESSES
        {
            return Duration::ZERO;
        }
        SHORTEST_DELAY
            .saturating_mul(2u32.saturating_pow(record.wrong_keys - FREE_GUESSES))
            .min(LONGEST_DELAY)
    }

    pub fn record_wrong(&mut self, from: IpAddr, now: Duration) {
        let record = self.get_or_insert(from, now);
        if now.saturating_sub(record.last) >= FORGIVEN_AFTER {
            record.wrong_keys = 0;
        }
        (record.wrong_keys, record.last) = (record.wrong_keys.saturating_add(1), now);
    }

    pub fn record_right(&mut self, from: IpAddr, key: &Arc<str>, now: Duration) {
        let record = self.get_or_insert(from, now);
        if !record.right_keys.contains(key) {
            record.right_keys.truncate(MAX_RIGHT_KEYS - 1);
            record.right_keys.insert(0, Arc::clone(key));
        }
    }

    fn get_or_insert(&mut self, from: IpAddr, now: Duration) -> &mut AddressRecord {
        let from = client_network(from);
        if self.addresses.len() >= MAX_ADDRESSES && !self.addresses.contains_key(&from) {
            self.addresses
                .retain(|_, record| now.saturating_sub(record.last) < FORGIVEN_AFTER);
            // The table is full: the address that has been quiet for longest is forgotten.
            let quiet = self
                .addresses
                .iter()
                .min_by_key(|(_, record)| record.last)
                .map(|(address, _)| *address);
            quiet
                .filter(|_| self.addresses.len() >= MAX_ADDRESSES)
                .inspect(|quiet| drop(self.addresses.remove(quiet)));
        }
        self.addresses.entry(from).or_insert_with(|| AddressRecord {
            last: now,
            ..AddressRecord::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::http::access::key_guesses::*;

    #[test]
    fn each_wrong_key_of_an_address_is_answered_later_and_others_are_not() {
        let mut guesses = KeyGuesses::default();
        let (here, there): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let now = Duration::from_secs(1_000);
        guesses.record_right(here, &"key_known".into(), now);
        let mut delays = Vec::new();
        for _ in 0..20 {
            delays.push(guesses.answer_delay(here, None, now).as_millis());
            guesses.record_wrong(here, now);
        }
        assert_eq!(delays[..10], [0; 10]);
        assert_eq!(
            delays[10..],
            [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000, 5_000]
        );
        assert_eq!(
            guesses.answer_delay(here, Some("key_new"), now),
            LONGEST_DELAY,
            "or the answer would tell the right ones"
        );
        assert_eq!(
            guesses.answer_delay(here, Some("key_known"), now),
            Duration::ZERO
        );
        assert_eq!(guesses.answer_delay(there, None, now), Duration::ZERO);
        let later = now + FORGIVEN_AFTER;
        assert_eq!(guesses.answer_delay(here, None, later), Duration::ZERO);
        guesses.record_wrong(here, later);
        assert_eq!(
            guesses.answer_delay(here, None, later),
            Duration::ZERO,
            "it begins anew"
        );
    }

    #[test]
    fn not_more_than_so_many_are_remembered() {
        let mut guesses = KeyGuesses::default();
        for number in 0..u32::try_from(MAX_ADDRESSES).unwrap() + 10 {
            guesses.record_wrong(
                IpAddr::from(number.to_be_bytes()),
                Duration::from_secs(number.into()) / 100,
            );
        }
        assert!(guesses.addresses.len() <= MAX_ADDRESSES);
    }
}
