//! Connections and their admission: which connection makes room for a new one. Pure.
//!
//! Unauthenticated connections hold no place for long: they make room for new ones, first those of
//! the address with the most connections, and first those that have not even completed a request.
//! An authenticated caller whose request is being answered is never cut off.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// Maximum numbers of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub all: usize,
    pub of_an_address: usize,
    /// Requests answered at the same time for one session-restricted key.
    pub of_a_key: usize,
}

/// One descriptor in four is for callers; the others are kept for WhatsApp, webhooks, files and
/// databases.
const SHARE: usize = 4;
/// Upper limit of connections, however many descriptors are available.
const MOST: usize = 2_048;
const LEAST: usize = 16;
/// Time in which a new connection is displaced only after idle unauthenticated ones: a handshake
/// and one round trip.
const JUST_COME: Duration = Duration::from_secs(2);

impl Limits {
    /// Returns the limits for a process that may open this many descriptors.
    pub fn of(descriptors: u64) -> Self {
        let all = (usize::try_from(descriptors).unwrap_or(usize::MAX) / SHARE).clamp(LEAST, MOST);
        Self {
            all,
            of_an_address: all / 2,
            of_a_key: all / 4,
        }
    }
}

/// Activity of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No complete request has arrived yet.
    Arriving,
    /// A request is being answered.
    Busy,
    /// The last request was answered, and the next may follow.
    Resting,
}

/// Result of the start of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Well,
    /// The connection has just been displaced.
    TooLate,
    /// The client address named by a proxy already has its maximum of requests in progress.
    TooMuch,
}

/// Result of admitting a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    Welcome {
        id: u64,
        /// The displaced connection.
        instead_of: Option<u64>,
    },
    /// All connections are busy.
    Full,
    /// All connections of this address are busy.
    FullOfThem,
}

/// All open connections.
pub struct Crowd {
    limits: Limits,
    guests: HashMap<u64, Guest>,
    /// Number of connections per address.
    counts: HashMap<IpAddr, usize>,
    /// Number of requests in progress per session-restricted key.
    keys: HashMap<Arc<str>, usize>,
    last: u64,
}

struct Guest {
    /// Address the connection counts for; `None` for this machine and the operator's proxies, which
    /// may use all the room.
    own: Option<IpAddr>,
    /// Client address named by a proxy for the current request.
    asks_for: Option<IpAddr>,
    standing: Standing,
    /// Whether the last request carried a valid key.
    is_known: bool,
    /// Session-restricted key of the request in progress.
    key: Option<Arc<str>>,
    since: Duration,
}

impl Guest {
    /// Order in which connections are displaced, lowest first; `None` is never displaced.
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

    /// Address whose share of the room the connection uses.
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

    /// Admits a connection. With `is_capped`, the address may not use all the room.
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

    /// Number of connections counted for an address.
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

    /// Records the start of a request; `passed_on` is the client address named by a trusted proxy.
    pub fn asks(&mut self, id: u64, passed_on: Option<IpAddr>, now: Duration) -> Asked {
        let Some(guest) = self.guests.get_mut(&id) else {
            return Asked::TooLate;
        };
        (guest.standing, guest.since) = (Standing::Busy, now);
        // A proxy may send the requests of many clients over one connection.
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

    /// Records that the request was answered and the next may follow.
    pub fn rests(&mut self, id: u64, now: Duration) {
        let Some(guest) = self.guests.get_mut(&id) else {
            return;
        };
        (guest.standing, guest.since) = (Standing::Resting, now);
        uncounted(&mut self.counts, guest.asks_for.take());
        uncounted(&mut self.keys, guest.key.take());
    }

    /// Records whether the request carried a valid key.
    pub fn is_known(&mut self, id: u64, is_known: bool) {
        if let Some(guest) = self.guests.get_mut(&id) {
            guest.is_known = is_known;
        }
    }

    /// Counts the request for a session-restricted key. Returns false if the key already has its
    /// share of requests in progress, so that other keys keep some room.
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

    /// Returns the activity of the connection, and when it began.
    pub fn standing(&self, id: u64) -> Option<(Standing, Duration)> {
        self.guests
            .get(&id)
            .map(|guest| (guest.standing, guest.since))
    }

    /// Removes the connection.
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

/// Returns the address that counts as one client: IPv6 addresses are cut to their /56, since one
/// network is given 2^72 addresses or more.
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
