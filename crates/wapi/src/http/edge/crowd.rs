//! Who is connected, and who leaves when somebody comes and there is no room. Pure.
//!
//! Strangers cost nothing that lasts: whoever has not shown a key yet makes room for whoever comes, first of the address that takes
//! most of it, first who has not even finished asking. A caller who is being answered is never cut off.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// How many may be connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub all: usize,
    pub of_an_address: usize,
}

/// What is kept free of strangers is three of four descriptors: for WhatsApp, webhooks, files and databases.
const SHARE: usize = 4;
/// More are not served at the same time, however many descriptors there are.
const MOST: usize = 2_048;
const LEAST: usize = 16;

impl Limits {
    /// Those of a process that may have so many files open.
    pub fn of(descriptors: u64) -> Self {
        let all = (usize::try_from(descriptors).unwrap_or(usize::MAX) / SHARE).clamp(LEAST, MOST);
        Self { all, of_an_address: all / 2 }
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
    /// How many there are of each address.
    counts: HashMap<IpAddr, usize>,
    last: u64,
}

struct Guest {
    address: IpAddr,
    standing: Standing,
    /// Has shown a key that is one.
    is_known: bool,
    since: Duration,
}

impl Guest {
    /// The lowest leave first; `None` stays.
    fn rank(&self) -> Option<u8> {
        match (self.standing, self.is_known) {
            (Standing::Arriving, _) => Some(0),
            (Standing::Resting, false) => Some(1),
            (Standing::Busy, false) => Some(2),
            (Standing::Resting, true) => Some(3),
            (Standing::Busy, true) => None,
        }
    }
}

impl Crowd {
    pub fn new(limits: Limits) -> Self {
        Self { limits, guests: HashMap::new(), counts: HashMap::new(), last: 0 }
    }

    /// Somebody comes. `is_capped`: the address may not take all the room for itself.
    pub fn arrive(&mut self, address: IpAddr, is_capped: bool, now: Duration) -> Arrival {
        let address = block(address);
        let of_them = self.counts.get(&address).copied().unwrap_or(0);
        let instead_of = if is_capped && of_them >= self.limits.of_an_address {
            match self.first_to_leave(Some(address)) {
                None => return Arrival::FullOfThem,
                leaves => leaves,
            }
        } else if self.guests.len() >= self.limits.all {
            match self.first_to_leave(None) {
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
        self.guests.insert(self.last, Guest { address, standing: Standing::Arriving, is_known: false, since: now });
        *self.counts.entry(address).or_default() += 1;
        Arrival::Welcome { id: self.last, instead_of }
    }

    fn first_to_leave(&self, of: Option<IpAddr>) -> Option<u64> {
        let these = self.guests.iter().filter(|(_, guest)| of.is_none_or(|address| guest.address == address));
        let ranked = these.filter_map(|(id, guest)| {
            let load = self.counts.get(&guest.address).copied().unwrap_or(0);
            Some(((guest.rank()?, Reverse(load), guest.since, *id), *id))
        });
        ranked.min().map(|(_, id)| id)
    }

    /// A connection does something else now. False for one that has had to leave.
    pub fn is_now(&mut self, id: u64, standing: Standing, now: Duration) -> bool {
        let Some(guest) = self.guests.get_mut(&id) else { return false };
        (guest.standing, guest.since) = (standing, now);
        true
    }

    /// It has shown a key that is one.
    pub fn is_known(&mut self, id: u64) {
        if let Some(guest) = self.guests.get_mut(&id) {
            guest.is_known = true;
        }
    }

    /// What it is up to, and since when.
    pub fn standing(&self, id: u64) -> Option<(Standing, Duration)> {
        self.guests.get(&id).map(|guest| (guest.standing, guest.since))
    }

    /// It is gone.
    pub fn leave(&mut self, id: u64) {
        let Some(guest) = self.guests.remove(&id) else { return };
        if let Some(count) = self.counts.get_mut(&guest.address) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&guest.address);
            }
        }
    }

    pub fn len(&self) -> usize {
        self.guests.len()
    }

    pub const fn limits(&self) -> Limits {
        self.limits
    }
}

/// What counts as one address: with version 6, everybody is given 2^64 of them.
pub fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { all: 6, of_an_address: 3 };

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
        let ids: Vec<_> = (0..6).map(|number| comes(&mut crowd, 1, number).0).collect();
        for (id, standing, known) in [
            (ids[0], Standing::Busy, true),
            (ids[1], Standing::Resting, true),
            (ids[2], Standing::Busy, false),
            (ids[3], Standing::Resting, false),
        ] {
            assert!(crowd.is_now(id, standing, at(10)));
            if known {
                crowd.is_known(id);
            }
        }
        let mut left = Vec::new();
        for number in 0..5 {
            let (id, instead_of) = comes(&mut crowd, 1, 20 + number);
            crowd.is_now(id, Standing::Busy, at(20));
            crowd.is_known(id);
            left.push(instead_of.unwrap());
        }
        assert_eq!(left, [ids[4], ids[5], ids[3], ids[2], ids[1]]);
        assert!(!crowd.is_now(ids[4], Standing::Busy, at(30)), "who has left asks in vain");
        assert_eq!(crowd.arrive(address(1), false, at(30)), Arrival::Full, "who is being answered is not cut off");
    }

    #[test]
    fn an_address_makes_room_for_itself_and_the_one_with_most_for_others() {
        let mut crowd = Crowd::new(LIMITS);
        let first = comes(&mut crowd, 2, 0).0;
        let ids: Vec<_> = (0..3).map(|number| comes(&mut crowd, 3, 1 + number).0).collect();
        assert_eq!(comes(&mut crowd, 3, 5).1, Some(ids[0]), "its own oldest, though another's is older");
        let own: Vec<_> = (0..2).map(|number| comes(&mut crowd, 1, 6 + number).0).collect();
        assert_eq!(comes(&mut crowd, 2, 8).1, Some(ids[1]), "the address with most of it");
        crowd.is_now(first, Standing::Busy, at(9));
        assert_eq!(comes(&mut crowd, 1, 10).1, Some(ids[2]), "three have two each; the oldest of them");
        for id in own {
            crowd.leave(id);
            crowd.leave(id);
        }
        assert_eq!(crowd.len(), 4);
        for _ in 0..2 {
            let id = comes(&mut crowd, 3, 11).0;
            crowd.is_now(id, Standing::Busy, at(11));
            crowd.is_known(id);
        }
        let id = comes(&mut crowd, 3, 12).0;
        crowd.is_now(id, Standing::Busy, at(12));
        crowd.is_known(id);
        assert_eq!(crowd.arrive(address(3), true, at(13)), Arrival::FullOfThem);
    }

    #[test]
    fn most_descriptors_are_kept_for_the_gateway_itself() {
        assert_eq!(Limits::of(1_024), Limits { all: 256, of_an_address: 128 });
        assert_eq!(Limits::of(u64::MAX).all, MOST);
        assert_eq!(Limits::of(0).all, LEAST);
    }

    #[test]
    fn a_network_of_version_six_is_one_address() {
        let parse = |text: &str| block(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:1:2"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_eq!(parse("::ffff:192.0.2.7"), parse("192.0.2.7"));
        assert!(parse("::1").is_loopback());
    }
}
