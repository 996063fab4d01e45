//! Who is connected, and who leaves when somebody comes and there is no room. Pure.
//!
//! Strangers cost nothing that lasts: whoever has not shown a key yet makes room for whoever comes, first of the address that takes
//! most of it, first who has not even finished asking. A caller who is being answered is never cut off.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// How many may be connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub all: usize,
    pub of_an_address: usize,
    /// Those that are answered for one key of some sessions.
    pub of_a_key: usize,
}

/// What is kept free of strangers is three of four descriptors: for WhatsApp, webhooks, files and databases.
const SHARE: usize = 4;
/// More are not served at the same time, however many descriptors there are.
const MOST: usize = 2_048;
const LEAST: usize = 16;
/// How long somebody who has just come may take before others go first who were here before: a handshake and a way there and back.
const JUST_COME: Duration = Duration::from_secs(2);

impl Limits {
    /// Those of a process that may have so many files open.
    pub fn of(descriptors: u64) -> Self {
        let all = (usize::try_from(descriptors).unwrap_or(usize::MAX) / SHARE).clamp(LEAST, MOST);
        Self {
            all,
            of_an_address: all / 2,
            of_a_key: all / 4,
        }
    }
}

/// What a connection is up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has not asked for anything yet, or not wholly.
    Arriving,
    /// It is being answered.
    Busy,
    /// It was answered, and may ask again.
    Resting,
}

/// How it is to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Well,
    /// It had to leave in this moment.
    TooLate,
    /// The address a proxy asks for is being answered as often as an address may be.
    TooMuch,
}

/// Whether somebody is let in.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    Welcome {
        id: u64,
        /// Who leaves for them.
        instead_of: Option<u64>,
    },
    /// Everybody is busy.
    Full,
    /// All of this address are.
    FullOfThem,
}

/// Everybody who is connected.
pub struct Crowd {
    limits: Limits,
    guests: HashMap<u64, Guest>,
    /// How many there are for each address.
    counts: HashMap<IpAddr, usize>,
    /// How many are being answered for each key of some sessions.
    keys: HashMap<Arc<str>, usize>,
    last: u64,
}

struct Guest {
    /// `None` for who may take all the room: this machine, and proxies of the operator's.
    own: Option<IpAddr>,
    /// For whom a proxy asks at the moment.
    asks_for: Option<IpAddr>,
    standing: Standing,
    /// Has shown a key that is one, with what it asked last.
    is_known: bool,
    /// The key of some sessions it is being answered for.
    key: Option<Arc<str>>,
    since: Duration,
}

impl Guest {
    /// The lowest leave first; `None` stays.
    fn rank(&self, now: Duration) -> Option<u8> {
        match (self.standing, self.is_known) {
            (Standing::Arriving, _) if now >= self.since + JUST_COME => Some(0),
            (Standing::Resting, false) => Some(1),
            (Standing::Arriving, _) => Some(2),
            (Standing::Busy, false) => Some(3),
            (Standing::Resting, true) => Some(4),
            (Standing::Busy, true) => None,
        }
    }

    /// Whose share of the room it takes.
    fn address(&self) -> Option<IpAddr> {
        self.asks_for.or(self.own)
    }
}

impl Crowd {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            guests: HashMap::new(),
            counts: HashMap::new(),
            keys: HashMap::new(),
            last: 0,
        }
    }

    /// Somebody comes. `is_capped`: the address may not take all the room for itself.
    pub fn arrive(&mut self, address: IpAddr, is_capped: bool, now: Duration) -> Arrival {
        let own = is_capped.then(|| block(address));
        let instead_of = if own.is_some() && self.of(own) >= self.limits.of_an_address {
            match self.first_to_leave(own, now) {
                None => return Arrival::FullOfThem,
                leaves => leaves,
            }
        } else if self.guests.len() >= self.limits.all {
            match self.first_to_leave(None, now) {
                None => return Arrival::Full,
                leaves => leaves,
            }
        } else {
            None
        };
        if let Some(id) = instead_of {
            self.leave(id);
        }
        self.last += 1;
        let standing = Standing::Arriving;
        let guest = Guest {
            own,
            asks_for: None,
            standing,
            is_known: false,
            key: None,
            since: now,
        };
        self.guests.insert(self.last, guest);
        counted(&mut self.counts, own);
        Arrival::Welcome {
            id: self.last,
            instead_of,
        }
    }

    /// How many there are for an address.
    fn of(&self, address: Option<IpAddr>) -> usize {
        address
            .and_then(|address| self.counts.get(&address).copied())
            .unwrap_or(0)
    }

    fn first_to_leave(&self, of: Option<IpAddr>, now: Duration) -> Option<u64> {
        let these = self
            .guests
            .iter()
            .filter(|(_, guest)| of.is_none() || guest.address() == of);
        let ranked = these.filter_map(|(id, guest)| {
            Some((
                (
                    guest.rank(now)?,
                    Reverse(self.of(guest.address())),
                    guest.since,
                    *id,
                ),
                *id,
            ))
        });
        ranked.min().map(|(_, id)| id)
    }

    /// A connection begins to ask; `passed_on`: for whom, where a proxy of the operator's speaks for somebody.
    pub fn asks(&mut self, id: u64, passed_on: Option<IpAddr>, now: Duration) -> Asked {
        let Some(guest) = self.guests.get_mut(&id) else {
            return Asked::TooLate;
        };
        (guest.standing, guest.since) = (Standing::Busy, now);
        // Whoever asked before need not be who asks now, where a proxy speaks for many.
        let asks_for = passed_on.filter(|_| guest.own.is_none()).map(block);
        let before = std::mem::replace(&mut guest.asks_for, asks_for);
        if before == asks_for {
            return Asked::Well;
        }
        uncounted(&mut self.counts, before);
        counted(&mut self.counts, asks_for);
        if self.of(asks_for) > self.limits.of_an_address {
            Asked::TooMuch
        } else {
            Asked::Well
        }
    }

    /// It has its answer, and may ask again.
    pub fn rests(&mut self, id: u64, now: Duration) {
        let Some(guest) = self.guests.get_mut(&id) else {
            return;
        };
        (guest.standing, guest.since) = (Standing::Resting, now);
        uncounted(&mut self.counts, guest.asks_for.take());
        uncounted(&mut self.keys, guest.key.take());
    }

    /// Whether it has shown a key that is one.
    pub fn is_known(&mut self, id: u64, is_known: bool) {
        if let Some(guest) = self.guests.get_mut(&id) {
            guest.is_known = is_known;
        }
    }

    /// It is answered for a key of some sessions; false if so many are already that others would have no room.
    pub fn is_for(&mut self, id: u64, key: &Arc<str>) -> bool {
        let Some(guest) = self.guests.get_mut(&id) else {
            return true;
        };
        uncounted(&mut self.keys, guest.key.replace(Arc::clone(key)));
        counted(&mut self.keys, Some(Arc::clone(key)));
        self.keys
            .get(key)
            .is_none_or(|count| *count <= self.limits.of_a_key)
    }

    /// What it is up to, and since when.
    pub fn standing(&self, id: u64) -> Option<(Standing, Duration)> {
        self.guests
            .get(&id)
            .map(|guest| (guest.standing, guest.since))
    }

    /// It is gone.
    pub fn leave(&mut self, id: u64) {
        let Some(guest) = self.guests.remove(&id) else {
            return;
        };
        uncounted(&mut self.counts, guest.address());
        uncounted(&mut self.keys, guest.key);
    }

    pub fn len(&self) -> usize {
        self.guests.len()
    }

    pub const fn limits(&self) -> Limits {
        self.limits
    }
}

fn counted<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: Option<K>) {
    if let Some(key) = key {
        *counts.entry(key).or_default() += 1;
    }
}

fn uncounted<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: Option<K>) {
    let Some(key) = key else { return };
    if let Entry::Occupied(mut count) = counts.entry(key) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

/// What counts as one address: with version 6, everybody is given 2^72 of them, or more.
pub fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() >> 72 << 72).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        all: 6,
        of_an_address: 3,
        of_a_key: 2,
    };

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn comes(crowd: &mut Crowd, last: u8, seconds: u64) -> (u64, Option<u64>) {
        match crowd.arrive(address(last), last != 1, at(seconds)) {
            Arrival::Welcome { id, instead_of } => (id, instead_of),
            refused => panic!("{refused:?}"),
        }
    }

    #[test]
    fn room_is_made_by_who_has_not_asked_then_by_strangers_then_by_who_rests() {
        let mut crowd = Crowd::new(LIMITS);
        let ids: Vec<_> = (0..6)
            .map(|number| comes(&mut crowd, 1, number).0)
            .collect();
        for (id, standing, known) in [
            (ids[0], Standing::Busy, true),
            (ids[1], Standing::Resting, true),
            (ids[2], Standing::Busy, false),
            (ids[3], Standing::Resting, false),
        ] {
            assert_eq!(crowd.asks(id, None, at(10)), Asked::Well);
            if standing == Standing::Resting {
                crowd.rests(id, at(10));
            }
            crowd.is_known(id, known);
        }
        let mut left = Vec::new();
        for number in 0..5 {
            let (id, instead_of) = comes(&mut crowd, 1, 20 + number);
            crowd.asks(id, None, at(20));
            crowd.is_known(id, true);
            left.push(instead_of.unwrap());
        }
        assert_eq!(left, [ids[4], ids[5], ids[3], ids[2], ids[1]]);
        assert_eq!(crowd.asks(ids[4], None, at(30)), Asked::TooLate);
        assert_eq!(
            crowd.arrive(address(1), false, at(30)),
            Arrival::Full,
            "who is being answered is not cut off"
        );
    }

    #[test]
    fn an_address_makes_room_for_itself_and_the_one_with_most_for_others() {
        let mut crowd = Crowd::new(LIMITS);
        let first = comes(&mut crowd, 2, 0).0;
        let ids: Vec<_> = (0..3)
            .map(|number| comes(&mut crowd, 3, 1 + number).0)
            .collect();
        assert_eq!(
            comes(&mut crowd, 3, 5).1,
            Some(ids[0]),
            "its own oldest, though another's is older"
        );
        let own: Vec<_> = (0..2)
            .map(|number| comes(&mut crowd, 1, 6 + number).0)
            .collect();
        assert_eq!(
            comes(&mut crowd, 2, 8).1,
            Some(ids[1]),
            "the address with most of it"
        );
        crowd.asks(first, None, at(9));
        assert_eq!(
            comes(&mut crowd, 1, 10).1,
            Some(ids[2]),
            "three have two each; the oldest of them"
        );
        for id in own {
            crowd.leave(id);
            crowd.leave(id);
        }
        assert_eq!(crowd.len(), 4);
        for _ in 0..2 {
            let id = comes(&mut crowd, 3, 11).0;
            crowd.asks(id, None, at(11));
            crowd.is_known(id, true);
        }
        let id = comes(&mut crowd, 3, 12).0;
        crowd.asks(id, None, at(12));
        crowd.is_known(id, true);
        assert_eq!(crowd.arrive(address(3), true, at(13)), Arrival::FullOfThem);
    }

    #[test]
    fn who_has_just_come_stays_before_strangers_who_were_answered() {
        let mut crowd = Crowd::new(LIMITS);
        let rest: Vec<_> = (0..6)
            .map(|number| comes(&mut crowd, 10 + number, 0).0)
            .collect();
        for id in &rest {
            crowd.asks(*id, None, at(0));
            crowd.rests(*id, at(0));
        }
        let (newcomer, instead_of) = comes(&mut crowd, 2, 100);
        assert_eq!(instead_of, Some(rest[0]));
        assert_eq!(
            comes(&mut crowd, 3, 101).1,
            Some(rest[1]),
            "and not who is on the way to ask"
        );
        assert_eq!(
            comes(&mut crowd, 4, 102).1,
            Some(newcomer),
            "unless that takes too long"
        );
    }

    #[test]
    fn whom_a_proxy_speaks_for_has_the_share_of_an_address() {
        let mut crowd = Crowd::new(Limits { all: 20, ..LIMITS });
        let ids: Vec<_> = (0..5).map(|_| comes(&mut crowd, 1, 0).0).collect();
        let asked: Vec<_> = ids[..4]
            .iter()
            .map(|id| crowd.asks(*id, Some(address(9)), at(1)))
            .collect();
        assert_eq!(
            asked,
            [Asked::Well, Asked::Well, Asked::Well, Asked::TooMuch]
        );
        assert_eq!(
            crowd.asks(ids[4], Some(address(8)), at(1)),
            Asked::Well,
            "others are not the worse for it"
        );
        crowd.rests(ids[3], at(2));
        crowd.rests(ids[0], at(2));
        assert_eq!(crowd.asks(ids[3], Some(address(9)), at(3)), Asked::Well);
        crowd.leave(ids[1]);
        assert_eq!(crowd.asks(ids[0], Some(address(9)), at(3)), Asked::Well);
        for id in &ids {
            crowd.leave(*id);
        }
        assert!(crowd.counts.is_empty());
        let own = comes(&mut crowd, 7, 4).0;
        assert_eq!(crowd.asks(own, Some(address(6)), at(4)), Asked::Well);
        crowd.leave(own);
        assert!(crowd.counts.is_empty());
    }

    #[test]
    fn a_key_of_some_sessions_leaves_room_for_others() {
        let (mut crowd, key) = (Crowd::new(LIMITS), Arc::from("key_1"));
        let ids: Vec<_> = (0..3).map(|_| comes(&mut crowd, 1, 0).0).collect();
        assert_eq!(
            ids.iter()
                .map(|id| crowd.is_for(*id, &key))
                .collect::<Vec<_>>(),
            [true, true, false]
        );
        crowd.rests(ids[2], at(1));
        assert!(!crowd.is_for(ids[2], &key));
        crowd.rests(ids[2], at(1));
        crowd.leave(ids[0]);
        assert!(crowd.is_for(ids[2], &key));
        assert!(crowd.is_for(ids[1], &Arc::from("key_2")));
        crowd.leave(ids[1]);
        crowd.leave(ids[2]);
        assert!(crowd.keys.is_empty());
    }

    #[test]
    fn most_descriptors_are_kept_for_the_gateway_itself() {
        assert_eq!(
            Limits::of(1_024),
            Limits {
                all: 256,
                of_an_address: 128,
                of_a_key: 64
            }
        );
        assert_eq!(Limits::of(u64::MAX).all, MOST);
        assert_eq!(Limits::of(0).all, LEAST);
    }

    #[test]
    fn a_network_of_version_six_is_one_address() {
        let parse = |text: &str| block(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8:0:ff::1"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:100::1"));
        assert_eq!(parse("::ffff:192.0.2.7"), parse("192.0.2.7"));
        assert!(parse("::1").is_loopback());
    }
}
