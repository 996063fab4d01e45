//! Connection admission: listener, limits on connections, and peer information for each request.

mod body;
mod connection;
mod crowd;
mod peer;
mod tls;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::lifecycle::Lifecycle;
use crate::meters::Counter;

use connection::Manner;
pub use crowd::block;
use crowd::{Arrival, Asked, Crowd, Limits, Standing};
pub use peer::{Peer, Proxies, Way};
pub use tls::Tls;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4_096;
/// Silence after which the kernel probes whether the peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Pause after the system failed to accept a connection.
const PAUSE: Duration = Duration::from_millis(50);
/// Response to a connection for which there is no room.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Accepts connections; cheap to clone.
#[derive(Clone)]
pub struct Edge {
    room: Arc<Room>,
    proxies: Arc<Proxies>,
    clock: Clock,
}

/// All open connections, and counts of their outcomes.
pub struct Room {
    crowd: Mutex<(Crowd, HashMap<u64, CancellationToken>)>,
    /// Open sockets, including those of displaced connections.
    sockets: Arc<Semaphore>,
    pub counts: Counts,
}

/// Counts since the start.
#[derive(Default)]
pub struct Counts {
    pub let_in: Counter,
    /// Refused because all connections were busy.
    pub refused: Counter,
    /// Displaced by a newer connection.
    pub displaced: Counter,
    /// Closed after exceeding a time limit.
    pub late: Counter,
}

impl Edge {
    /// Creates an edge for a process that may open this many files and connections.
    pub fn new(proxies: Proxies, descriptors: u64, clock: Clock) -> Self {
        let limits = Limits::of(descriptors);
        // A displaced connection keeps its socket for a moment longer.
        let sockets = Arc::new(Semaphore::new(limits.all + limits.all / 4));
        let crowd = Mutex::new((Crowd::new(limits), HashMap::new()));
        Self {
            room: Arc::new(Room {
                crowd,
                sockets,
                counts: Counts::default(),
            }),
            proxies: proxies.into(),
            clock,
        }
    }

    pub fn room(&self) -> Arc<Room> {
        Arc::clone(&self.room)
    }

    /// Returns the visit of a caller on this machine that uses no connection.
    pub fn visit(&self) -> Visit {
        let peer = Peer {
            address: Ipv4Addr::LOCALHOST.into(),
            is_https: None,
            way: Way::Direct,
        };
        Visit::new(
            peer,
            Seat::new(
                u64::MAX,
                CancellationToken::new(),
                self.room(),
                self.clock.clone(),
            ),
        )
    }

    /// Answers on `listener` until the soft stop of `visits`, which runs the connections' tasks.
    /// Returns when every request in progress is answered, or after `grace`.
    pub async fn serve(
        &self,
        listener: TcpListener,
        router: Router,
        tls: Option<Tls>,
        visits: &Lifecycle,
        grace: Duration,
    ) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        // The standard library's backlog is short, and a connection that does not fit is retried
        // only after a second.
        SockRef::from(&listener).listen(BACKLOG)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (proxies, clock) = (Arc::clone(&self.proxies), self.clock.clone());
        let manner = Manner {
            router,
            proxies,
            clock,
            visits: visits.clone(),
        };
        while let Some(accepted) = visits.unless_stopping(self.next(&listener)).await {
            match accepted {
                Ok((socket, from, place)) => {
                    self.let_in(socket, from, place, tls.as_ref(), &manner, visits)
                }
                // The client has left already, or there are no descriptors; the listener survives
                // both.
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be taken");
                    visits.unless_stopping(self.clock.sleep(PAUSE)).await;
                }
            }
        }
        drop(listener);
        visits.finish(&self.clock, grace).await;
        Ok(())
    }

    async fn next(
        &self,
        listener: &tokio::net::TcpListener,
    ) -> io::Result<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
        let place = Arc::clone(&self.room.sockets)
            .acquire_owned()
            .await
            .expect("this room is never closed");
        let (socket, from) = listener.accept().await?;
        // Responses are small and must not wait for more data.
        socket.set_nodelay(true)?;
        // Without this, the connection of a client machine that vanished would stay open until it
        // is displaced.
        SockRef::from(&socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        Ok((socket, from.ip().to_canonical(), place))
    }

    fn let_in(
        &self,
        socket: TcpStream,
        from: IpAddr,
        place: OwnedSemaphorePermit,
        tls: Option<&Tls>,
        manner: &Manner,
        visits: &Lifecycle,
    ) {
        let is_capped = !from.is_loopback() && !self.proxies.are_trusted(from);
        let Some(seat) = Room::arrive(&self.room, from, is_capped, &self.clock) else {
            return refuse(socket, tls.is_some());
        };
        let (manner, tls) = (manner.clone(), tls.cloned());
        visits.spawn(async move {
            let seat = seat;
            match tls {
                None => connection::serve(socket, from, false, seat.clone(), &manner).await,
                Some(tls) => {
                    let shaken = manner.clock.timeout(connection::FIRST, tls.accept(socket));
                    let shaken = tokio::select! {
                        biased;
                        shaken = shaken => shaken,
                        () = seat.must_leave() => return,
                        () = manner.visits.stopping() => return,
                    };
                    match shaken {
                        Ok(Ok(stream)) => {
                            connection::serve(stream, from, true, seat.clone(), &manner).await
                        }
                        Ok(Err(_)) => {}
                        Err(_) => seat.count_late(),
                    }
                }
            }
            drop(place);
        });
    }
}

/// Sends a refusal if that needs no waiting.
fn refuse(socket: TcpStream, is_tls: bool) {
    if let Ok(mut socket) = socket.into_std()
        && !is_tls
    {
        let _ = io::Write::write(&mut socket, FULL);
    }
}

impl Room {
    fn arrive(room: &Arc<Self>, from: IpAddr, is_capped: bool, clock: &Clock) -> Option<Seat> {
        let mut guard = room.lock();
        let (crowd, bells) = &mut *guard;
        let Arrival::Welcome { id, instead_of } = crowd.arrive(from, is_capped, clock.uptime())
        else {
            room.counts.refused.add(1);
            return None;
        };
        if let Some(bell) = instead_of.and_then(|leaves| bells.remove(&leaves)) {
            room.counts.displaced.add(1);
            bell.cancel();
        }
        room.counts.let_in.add(1);
        let bell = CancellationToken::new();
        bells.insert(id, bell.clone());
        Some(Seat::new(id, bell, Arc::clone(room), clock.clone()))
    }

    /// Returns the number of connections and their limit.
    pub fn now(&self) -> (usize, usize) {
        let guard = self.lock();
        (guard.0.len(), guard.0.limits().all)
    }

    fn lock(&self) -> MutexGuard<'_, (Crowd, HashMap<u64, CancellationToken>)> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place in the room, given back when its last clone is dropped.
#[derive(Clone)]
pub struct Seat(Arc<Place>);

struct Place {
    id: u64,
    /// Cancelled when the connection is displaced.
    bell: CancellationToken,
    room: Arc<Room>,
    clock: Clock,
    /// Whether the last request carried a valid key.
    is_known: AtomicBool,
    /// Whether a request arrived while the connection was being displaced.
    has_asked_late: AtomicBool,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut guard = self.room.lock();
        guard.0.leave(self.id);
        guard.1.remove(&self.id);
    }
}

impl Seat {
    fn new(id: u64, bell: CancellationToken, room: Arc<Room>, clock: Clock) -> Self {
        let (is_known, has_asked_late) = Default::default();
        Self(Arc::new(Place {
            id,
            bell,
            room,
            clock,
            is_known,
            has_asked_late,
        }))
    }

    fn asks(&self, passed_on: Option<IpAddr>) -> Asked {
        let now = self.0.clock.uptime();
        let asked = self.0.room.lock().0.asks(self.0.id, passed_on, now);
        self.0
            .has_asked_late
            .fetch_or(asked == Asked::TooLate, Ordering::Relaxed);
        asked
    }

    fn rests(&self) {
        let now = self.0.clock.uptime();
        self.0.room.lock().0.rests(self.0.id, now);
    }

    fn knows(&self, is_known: bool) {
        if self.0.is_known.swap(is_known, Ordering::Relaxed) != is_known {
            self.0.room.lock().0.is_known(self.0.id, is_known);
        }
    }

    fn is_known(&self) -> bool {
        self.0.is_known.load(Ordering::Relaxed)
    }

    async fn must_leave(&self) {
        self.0.bell.cancelled().await;
    }

    /// Returns whether the work in progress is finished before the connection closes: requests with
    /// a key, a request that arrived while the connection was displaced, and during shutdown every
    /// request.
    fn is_worth_finishing(&self) -> bool {
        match self.0.room.lock().0.standing(self.0.id) {
            Some((standing, _)) => standing != Standing::Arriving,
            None => self.is_known() || self.0.has_asked_late.load(Ordering::Relaxed),
        }
    }

    /// Returns whether the connection was displaced without having shown a valid key.
    fn is_displaced_stranger(&self) -> bool {
        self.0.bell.is_cancelled() && !self.is_known()
    }

    /// Returns the time until [`is_too_late`](Self::is_too_late) should be checked again.
    fn patience(&self, now: Duration) -> Duration {
        match self.limit() {
            Some((limit, since)) => (since + limit).saturating_sub(now),
            None => connection::FIRST,
        }
    }

    fn is_too_late(&self, now: Duration) -> bool {
        self.limit()
            .is_some_and(|(limit, since)| now >= since + limit)
    }

    fn limit(&self) -> Option<(Duration, Duration)> {
        let (standing, since) = self.0.room.lock().0.standing(self.0.id)?;
        match standing {
            Standing::Arriving => Some((connection::FIRST, since)),
            // An authenticated connection makes room when it is needed, and may stay until then.
            Standing::Resting if self.is_known() => None,
            Standing::Resting => Some((connection::REST, since)),
            Standing::Busy => None,
        }
    }

    fn count_late(&self) {
        self.0.room.counts.late.add(1);
    }
}

/// Facts about the caller of a request that are not in the request.
#[derive(Clone)]
pub struct Visit {
    pub peer: Peer,
    seat: Seat,
    key: Arc<OnceLock<Arc<str>>>,
}

impl Visit {
    fn new(peer: Peer, seat: Seat) -> Self {
        Self {
            peer,
            seat,
            key: Arc::default(),
        }
    }

    /// Records the id of the key that was shown, or that no key is required. `is_narrow` marks a
    /// session-restricted key. Returns false if such a key already has its maximum of requests in
    /// progress.
    pub fn enters(&self, key: Arc<str>, is_narrow: bool) -> bool {
        let is_welcome = !is_narrow || self.seat.0.room.lock().0.is_for(self.seat.0.id, &key);
        self.seat.knows(is_welcome);
        let _ = self.key.set(key);
        is_welcome
    }

    /// Records that a required key was missing or invalid.
    pub fn is_refused(&self) {
        self.seat.knows(false);
    }

    /// Returns the id of the key; empty where no key is required.
    pub fn key(&self) -> Option<&str> {
        self.key.get().map(AsRef::as_ref)
    }
}
