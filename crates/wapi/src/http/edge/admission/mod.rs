//! Connections and their admission: which connection makes room for a new one. Pure.
//!
//! Unauthenticated connections hold no place for long: they make room for new ones, idle strangers
//! before newcomers, and among equals first those of the address with the most connections.
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
pub struct ConnectionLimits {
    pub all: usize,
    pub per_address: usize,
    /// Requests answered at the same time for one session-restricted key.
    pub per_key: usize,
}

/// One descriptor in four is for callers; the others are kept for WhatsApp, webhooks, files and
/// databases.
const DESCRIPTOR_SHARE: usize = 4;
/// Upper limit of connections, however many descriptors are available.
const MAX_CONNECTIONS: usize = 2_048;
const MIN_CONNECTIONS: usize = 16;
/// Time in which a new connection is displaced only after idle unauthenticated ones: a handshake
/// and one round trip.
const ARRIVAL_GRACE: Duration = Duration::from_secs(2);
/// Time in which a new connection is not displaced for another new one, so that a request that came
/// with it is read. The acceptor waits for it only if no idle stranger and no older newcomer can
/// make room.
const MIN_STAY: Duration = Duration::from_millis(5);

/// Rank of a newcomer among those that make room, see [`ConnectionEntry::displacement_rank`].
const NEWCOMER_RANK: u8 = 3;

impl ConnectionLimits {
    /// Returns the limits for a process that may open this many descriptors.
    pub fn from_descriptors(descriptors: u64) -> Self {
        let all = (usize::try_from(descriptors).unwrap_or(usize::MAX) / DESCRIPTOR_SHARE)
            .clamp(MIN_CONNECTIONS, MAX_CONNECTIONS);
        Self {
            all,
            per_address: all / 2,
            per_key: all / 4,
        }
    }
}

/// Activity of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionActivity {
    /// Nothing has arrived yet, but for a TLS handshake.
    Arriving,
    /// A part of the first request has arrived. Most callers send a request at once, so these make
    /// room before connections that have sent nothing yet.
    Unfinished,
    /// A request is being answered.
    Busy,
    /// The last request was answered, and the next may follow.
    Idle,
}

/// Result of the start of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestStart {
    Accepted,
    /// The connection has just been displaced; this is its last request.
    Displaced,
    /// The client's address already has its maximum of requests in progress, or there is no room.
    TooMany,
}

/// An admitted connection.
#[derive(Debug, PartialEq, Eq)]
pub struct ConnectionAdmission {
    pub id: u64,
    /// Address the connection counts for.
    pub own_address: Option<IpAddr>,
    /// The displaced connection.
    pub instead_of: Option<u64>,
}

/// Reason not to admit a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum ConnectionRefusal {
    /// Room can be made from this time on: all that could make it have only just arrived.
    NotBefore(Duration),
    /// All connections are busy.
    Full,
    /// All connections of this address are busy.
    AddressFull,
}

/// All open connections.
pub struct ConnectionSet {
    limits: ConnectionLimits,
    entries: HashMap<u64, ConnectionEntry>,
    /// Number of connections per address.
    per_address: HashMap<IpAddr, usize>,
    /// Number of requests in progress per session-restricted key.
    per_key: HashMap<Arc<str>, usize>,
    last_id: u64,
}

struct ConnectionEntry {
    /// Address the connection counts for; `None` for this machine and the operator's proxies, which
    /// may use all the room.
    own_address: Option<IpAddr>,
    /// Client address named by a proxy for the current request.
    proxied_address: Option<IpAddr>,
    activity: ConnectionActivity,
    /// Whether the last request carried a valid key.
    is_authenticated: bool,
    /// Session-restricted key of the request in progress.
    key: Option<Arc<str>>,
    since: Duration,
}

impl ConnectionEntry {
    /// Order in which connections are displaced, lowest first; `None` is never displaced.
    fn displacement_rank(&self, now: Duration) -> Option<u8> {
        match (self.activity, self.is_authenticated) {
            (ConnectionActivity::Arriving | ConnectionActivity::Unfinished, _)
                if now >= self.since + ARRIVAL_GRACE =>
            {
                Some(0)
            }
            (ConnectionActivity::Idle, false) => Some(1),
            (ConnectionActivity::Unfinished, _) => Some(2),
            (ConnectionActivity::Arriving, _) => Some(NEWCOMER_RANK),
            (ConnectionActivity::Busy, false) => Some(4),
            (ConnectionActivity::Idle, true) => Some(5),
            (ConnectionActivity::Busy, true) => None,
        }
    }

    fn earliest_displacement(&self) -> Duration {
        match self.activity {
            ConnectionActivity::Arriving | ConnectionActivity::Unfinished => self.since + MIN_STAY,
            ConnectionActivity::Busy | ConnectionActivity::Idle => Duration::ZERO,
        }
    }

    /// Address whose share of the room the connection uses.
    fn counted_address(&self) -> Option<IpAddr> {
        self.proxied_address.or(self.own_address)
    }
}

impl ConnectionSet {
    pub fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            entries: HashMap::new(),
            per_address: HashMap::new(),
            per_key: HashMap::new(),
            last_id: 0,
        }
    }

    /// Admits a connection. With `is_capped`, the address may not use all the room.
    pub fn admit(
        &mut self,
        address: IpAddr,
        is_capped: bool,
        now: Duration,
    ) -> Result<ConnectionAdmission, ConnectionRefusal> {
        let own = is_capped.then(|| client_network(address));
        let instead_of = if own.is_some() && self.address_count(own) >= self.limits.per_address {
            match self.find_displaceable(own, now) {
                None => return Err(ConnectionRefusal::AddressFull),
                leaves => leaves,
            }
        } else if self.entries.len() >= self.limits.all {
            Some(self.find_leaving(now)?)
        } else {
            None
        };
        if let Some(id) = instead_of {
            self.remove(id);
        }
        self.last_id += 1;
        self.insert(self.last_id, own, ConnectionActivity::Arriving, now);
        Ok(ConnectionAdmission {
            id: self.last_id,
            own_address: own,
            instead_of,
        })
    }

    /// Number of connections counted for an address.
    fn address_count(&self, address: Option<IpAddr>) -> usize {
        address
            .and_then(|address| self.per_address.get(&address).copied())
            .unwrap_or(0)
    }

    fn find_displaceable(&self, of: Option<IpAddr>, now: Duration) -> Option<u64> {
        let these = self
            .entries
            .iter()
            .filter(|(_, entry)| of.is_none() || entry.counted_address() == of)
            .filter(|(_, entry)| of.is_some() || now >= entry.earliest_displacement());
        let ranked = these.filter_map(|(id, entry)| {
            Some((
                (
                    entry.displacement_rank(now)?,
                    Reverse(self.address_count(entry.counted_address())),
                    entry.since,
                    *id,
                ),
                *id,
            ))
        });
        ranked.min().map(|(_, id)| id)
    }

    /// Returns the connection that makes room in a full room. Callers and requests in progress do
    /// not leave while a newcomer will make room in a moment.
    fn find_leaving(&self, now: Duration) -> Result<u64, ConnectionRefusal> {
        let ready = self.find_displaceable(None, now);
        let leaves_first = |id| self.entries[id].displacement_rank(now) <= Some(NEWCOMER_RANK);
        let stays = self
            .entries
            .values()
            .map(ConnectionEntry::earliest_displacement);
        match (ready, stays.filter(|end| now < *end).min()) {
            (Some(id), Some(_)) if leaves_first(&id) => Ok(id),
            (_, Some(end)) => Err(ConnectionRefusal::NotBefore(end)),
            (ready, None) => ready.ok_or(ConnectionRefusal::Full),
        }
    }

    /// Counts a connection again that was displaced when its request had arrived. There is room for
    /// a few of them beyond the limit.
    fn readmit(&mut self, id: u64, own: Option<IpAddr>, now: Duration) -> RequestStart {
        if self.entries.len() >= self.limits.all + self.limits.all / 8
            || self.address_count(own) > self.limits.per_address
        {
            return RequestStart::TooMany;
        }
        self.insert(id, own, ConnectionActivity::Busy, now);
        RequestStart::Displaced
    }

    fn insert(
        &mut self,
        id: u64,
        own_address: Option<IpAddr>,
        activity: ConnectionActivity,
        since: Duration,
    ) {
        let entry = ConnectionEntry {
            own_address,
            proxied_address: None,
            activity,
            is_authenticated: false,
            key: None,
            since,
        };
        self.entries.insert(id, entry);
        increment_count(&mut self.per_address, own_address);
    }

    /// Records that a part of the first request has arrived.
    pub fn start_arrival(&mut self, id: u64) {
        if let Some(entry) = self.entries.get_mut(&id)
            && entry.activity == ConnectionActivity::Arriving
        {
            entry.activity = ConnectionActivity::Unfinished;
        }
    }

    /// Records the start of a request; `passed_on` is the client address named by a trusted proxy.
    pub fn start_request(
        &mut self,
        id: u64,
        own_address: Option<IpAddr>,
        passed_on: Option<IpAddr>,
        now: Duration,
    ) -> RequestStart {
        let start = match self.entries.contains_key(&id) {
            true => RequestStart::Accepted,
            false => self.readmit(id, own_address, now),
        };
        let Some(entry) = self.entries.get_mut(&id) else {
            return start;
        };
        (entry.activity, entry.since) = (ConnectionActivity::Busy, now);
        // A proxy may send the requests of many clients over one connection.
        let asks_for = passed_on
            .filter(|_| entry.own_address.is_none())
            .map(client_network);
        let before = std::mem::replace(&mut entry.proxied_address, asks_for);
        if before == asks_for {
            return start;
        }
        decrement_count(&mut self.per_address, before);
        increment_count(&mut self.per_address, asks_for);
        if self.address_count(asks_for) > self.limits.per_address {
            RequestStart::TooMany
        } else {
            start
        }
    }

    /// Records that the request was answered and the next may follow.
    pub fn end_request(&mut self, id: u64, now: Duration) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        (entry.activity, entry.since) = (ConnectionActivity::Idle, now);
        decrement_count(&mut self.per_address, entry.proxied_address.take());
        decrement_count(&mut self.per_key, entry.key.take());
    }

    /// Records whether the request carried a valid key.
    pub fn set_authenticated(&mut self, id: u64, is_known: bool) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.is_authenticated = is_known;
        }
    }

    /// Counts the request for a session-restricted key. Returns false if the key already has its
    /// share of requests in progress, so that other keys keep some room.
    pub fn add_key_request(&mut self, id: u64, key: &Arc<str>) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else {
            return true;
        };
        decrement_count(&mut self.per_key, entry.key.replace(Arc::clone(key)));
        increment_count(&mut self.per_key, Some(Arc::clone(key)));
        self.per_key
            .get(key)
            .is_none_or(|count| *count <= self.limits.per_key)
    }

    /// Returns the activity of the connection, and when it began.
    pub fn activity_of(&self, id: u64) -> Option<(ConnectionActivity, Duration)> {
        self.entries
            .get(&id)
            .map(|entry| (entry.activity, entry.since))
    }

    /// Removes the connection. Returns false if it was not there.
    pub fn remove(&mut self, id: u64) -> bool {
        let Some(entry) = self.entries.remove(&id) else {
            return false;
        };
        decrement_count(&mut self.per_address, entry.counted_address());
        decrement_count(&mut self.per_key, entry.key);
        true
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub const fn limits(&self) -> ConnectionLimits {
        self.limits
    }
}

fn increment_count<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: Option<K>) {
    if let Some(key) = key {
        *counts.entry(key).or_default() += 1;
    }
}

fn decrement_count<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: Option<K>) {
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
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() >> 72 << 72).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests;
