//! Connection admission: listener, limits on connections, and peer information for each request.

mod admission;
mod body;
mod connection;
mod peer;
mod tls;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use parking_lot::{Mutex, MutexGuard};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;
use crate::telemetry::counters::ConnectionMetrics;

pub use admission::client_network;
use admission::{
    ConnectionActivity, ConnectionAdmission, ConnectionLimits, ConnectionRefusal, ConnectionSet,
    RequestStart,
};
use connection::ConnectionContext;
pub use peer::{Peer, ProxyTrust, TrustedProxies};
pub use tls::TlsServer;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4_096;
/// Silence after which the kernel probes whether the peer is still there.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
/// Pause after the system failed to accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Response to a connection for which there is no room.
const FULL_RESPONSE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Accepts connections; cheap to clone.
#[derive(Clone)]
pub struct HttpEdge {
    registry: Arc<ConnectionRegistry>,
    proxies: Arc<TrustedProxies>,
    clock: Clock,
}

/// All open connections, and counts of their outcomes.
pub struct ConnectionRegistry {
    connections: Mutex<(ConnectionSet, HashMap<u64, CancellationToken>)>,
    /// Open sockets, including those of displaced connections.
    sockets: Arc<Semaphore>,
    /// Notified when a connection has ended or rests.
    departures: Notify,
    pub counts: ConnectionMetrics,
}

impl HttpEdge {
    /// Creates an edge for a process that may open this many files and connections.
    pub fn new(proxies: TrustedProxies, descriptors: u64, clock: Clock) -> Self {
        let limits = ConnectionLimits::from_descriptors(descriptors);
        // A displaced connection keeps its socket for a moment longer.
        let sockets = Arc::new(Semaphore::new(limits.all + limits.all / 4));
        let crowd = Mutex::new((ConnectionSet::new(limits), HashMap::new()));
        Self {
            registry: Arc::new(ConnectionRegistry {
                connections: crowd,
                sockets,
                departures: Notify::new(),
                counts: ConnectionMetrics::default(),
            }),
            proxies: proxies.into(),
            clock,
        }
    }

    pub fn shared_registry(&self) -> Arc<ConnectionRegistry> {
        Arc::clone(&self.registry)
    }

    /// Returns the visit of a caller on this machine that uses no connection.
    pub fn local_context(&self) -> CallerContext {
        let peer = Peer {
            address: Ipv4Addr::LOCALHOST.into(),
            is_https: None,
            proxy: ProxyTrust::Direct,
        };
        CallerContext::new(
            peer,
            ConnectionSeat::new(
                u64::MAX,
                None,
                CancellationToken::new(),
                self.shared_registry(),
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
        tls: Option<TlsServer>,
        visits: &Lifecycle,
        grace: Duration,
    ) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        // The standard library's backlog is short, and a connection that does not fit is retried
        // only after a second.
        SockRef::from(&listener).listen(BACKLOG)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (proxies, clock) = (Arc::clone(&self.proxies), self.clock.clone());
        let context = ConnectionContext {
            router,
            proxies,
            clock,
            visits: visits.clone(),
        };
        while let Some(accepted) = visits.unless_stopping(self.accept_next(&listener)).await {
            match accepted {
                Ok((socket, from, permit)) => {
                    let admitted =
                        self.admit_connection(socket, from, permit, tls.as_ref(), &context, visits);
                    visits.unless_stopping(admitted).await;
                }
                // The client has left already, or there are no descriptors; the listener survives
                // both.
                Err(error) => {
                    tracing::debug!(%error, "failed to accept a connection");
                    visits.unless_stopping(self.clock.sleep(ACCEPT_PAUSE)).await;
                }
            }
        }
        drop(listener);
        visits.finish(&self.clock, grace).await;
        Ok(())
    }

    async fn accept_next(
        &self,
        listener: &tokio::net::TcpListener,
    ) -> io::Result<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.registry.sockets)
            .acquire_owned()
            .await
            .expect("this room is never closed");
        let (socket, from) = listener.accept().await?;
        // Responses are small and must not wait for more data.
        socket.set_nodelay(true)?;
        // Without this, the connection of a client machine that vanished would stay open until it
        // is displaced.
        SockRef::from(&socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_TIME))?;
        Ok((socket, from.ip().to_canonical(), permit))
    }

    async fn admit_connection(
        &self,
        socket: TcpStream,
        from: IpAddr,
        permit: OwnedSemaphorePermit,
        tls: Option<&TlsServer>,
        context: &ConnectionContext,
        visits: &Lifecycle,
    ) {
        let is_capped = !from.is_loopback() && !self.proxies.contains(from);
        let Some(seat) =
            ConnectionRegistry::admit(&self.registry, from, is_capped, &self.clock).await
        else {
            return refuse_connection(socket, tls.is_some());
        };
        let (context, tls) = (context.clone(), tls.cloned());
        visits.spawn(async move {
            let seat = seat;
            match tls {
                None => {
                    connection::serve_connection(socket, from, false, seat.clone(), &context).await
                }
                Some(tls) => {
                    let shaken = context
                        .clock
                        .timeout(connection::FIRST_REQUEST_TIMEOUT, tls.accept(socket));
                    let shaken = tokio::select! {
                        biased;
                        shaken = shaken => shaken,
                        () = seat.await_displacement() => return,
                        () = context.visits.await_stop() => return,
                    };
                    match shaken {
                        Ok(Ok(stream)) => {
                            connection::serve_connection(stream, from, true, seat.clone(), &context)
                                .await
                        }
                        Ok(Err(_)) => {}
                        Err(_) => seat.count_late(),
                    }
                }
            }
            drop(permit);
        });
    }
}

/// Sends a refusal if that needs no waiting.
fn refuse_connection(socket: TcpStream, is_tls: bool) {
    if let Ok(mut socket) = socket.into_std()
        && !is_tls
    {
        let _ = io::Write::write(&mut socket, FULL_RESPONSE);
    }
}

impl ConnectionRegistry {
    /// Waits while room could be made by newcomers alone. Returns `None` if all connections are
    /// busy.
    async fn admit(
        room: &Arc<Self>,
        from: IpAddr,
        is_capped: bool,
        clock: &Clock,
    ) -> Option<ConnectionSeat> {
        loop {
            match room.try_admit(from, is_capped, clock.uptime()) {
                Ok((admission, displacement)) => {
                    let (room, clock) = (Arc::clone(room), clock.clone());
                    return Some(ConnectionSeat::new(
                        admission.id,
                        admission.own_address,
                        displacement,
                        room,
                        clock,
                    ));
                }
                Err(ConnectionRefusal::NotBefore(time)) => {
                    tokio::select! {
                        () = clock.sleep(time.saturating_sub(clock.uptime())) => {}
                        () = room.departures.notified() => {}
                    }
                }
                Err(ConnectionRefusal::Full | ConnectionRefusal::AddressFull) => {
                    room.counts.refused.inc();
                    return None;
                }
            }
        }
    }

    fn try_admit(
        &self,
        from: IpAddr,
        is_capped: bool,
        now: Duration,
    ) -> Result<(ConnectionAdmission, CancellationToken), ConnectionRefusal> {
        let mut guard = self.lock();
        let (crowd, bells) = &mut *guard;
        let admission = crowd.admit(from, is_capped, now)?;
        if let Some(displacement) = admission
            .instead_of
            .and_then(|leaves| bells.remove(&leaves))
        {
            self.counts.displaced.inc();
            displacement.cancel();
        }
        self.counts.let_in.inc();
        let displacement = CancellationToken::new();
        bells.insert(admission.id, displacement.clone());
        Ok((admission, displacement))
    }

    /// Returns the number of connections and their limit.
    pub fn count_and_limit(&self) -> (usize, usize) {
        let guard = self.lock();
        (guard.0.len(), guard.0.limits().all)
    }

    fn lock(&self) -> MutexGuard<'_, (ConnectionSet, HashMap<u64, CancellationToken>)> {
        self.connections.lock()
    }
}

/// A connection's place in the room, given back when its last clone is dropped.
#[derive(Clone)]
pub struct ConnectionSeat(Arc<SeatInner>);

struct SeatInner {
    id: u64,
    own_address: Option<IpAddr>,
    /// Cancelled when the connection is displaced.
    displacement: CancellationToken,
    registry: Arc<ConnectionRegistry>,
    clock: Clock,
    /// Whether the last request carried a valid key.
    is_authenticated: AtomicBool,
    /// Whether a request arrived while the connection was being displaced.
    has_late_request: AtomicBool,
}

impl Drop for SeatInner {
    fn drop(&mut self) {
        let had_place = {
            let mut guard = self.registry.lock();
            guard.1.remove(&self.id);
            guard.0.remove(self.id)
        };
        if had_place {
            self.registry.departures.notify_one();
        }
    }
}

impl ConnectionSeat {
    fn new(
        id: u64,
        own_address: Option<IpAddr>,
        displacement: CancellationToken,
        room: Arc<ConnectionRegistry>,
        clock: Clock,
    ) -> Self {
        let (is_known, has_asked_late) = Default::default();
        Self(Arc::new(SeatInner {
            id,
            own_address,
            displacement,
            registry: room,
            clock,
            is_authenticated: is_known,
            has_late_request: has_asked_late,
        }))
    }

    /// Records that a part of the first request has arrived.
    fn start_arrival(&self) {
        self.0.registry.lock().0.start_arrival(self.0.id);
    }

    fn start_request(&self, passed_on: Option<IpAddr>) -> RequestStart {
        let now = self.0.clock.uptime();
        let start = {
            let mut guard = self.0.registry.lock();
            let (id, own) = (self.0.id, self.0.own_address);
            let start = guard.0.start_request(id, own, passed_on, now);
            if start == RequestStart::Displaced {
                // It is counted again as what it was.
                guard.0.set_authenticated(id, self.is_authenticated());
            }
            start
        };
        self.0
            .has_late_request
            .fetch_or(start == RequestStart::Displaced, Ordering::Relaxed);
        start
    }

    fn end_request(&self) {
        let now = self.0.clock.uptime();
        self.0.registry.lock().0.end_request(self.0.id, now);
        self.0.registry.departures.notify_one();
    }

    fn set_authenticated(&self, is_known: bool) {
        if self.0.is_authenticated.swap(is_known, Ordering::Relaxed) != is_known {
            self.0
                .registry
                .lock()
                .0
                .set_authenticated(self.0.id, is_known);
        }
    }

    fn is_authenticated(&self) -> bool {
        self.0.is_authenticated.load(Ordering::Relaxed)
    }

    async fn await_displacement(&self) {
        self.0.displacement.cancelled().await;
    }

    /// Returns whether the work in progress is finished before the connection closes: requests with
    /// a key, a request that arrived while the connection was displaced, and during shutdown every
    /// request.
    fn is_worth_finishing(&self) -> bool {
        match self.0.registry.lock().0.activity_of(self.0.id) {
            Some((activity, _)) => !matches!(
                activity,
                ConnectionActivity::Arriving | ConnectionActivity::Unfinished
            ),
            None => self.is_authenticated() || self.0.has_late_request.load(Ordering::Relaxed),
        }
    }

    /// Returns whether the connection was displaced without having shown a valid key.
    fn is_displaced_stranger(&self) -> bool {
        self.0.displacement.is_cancelled() && !self.is_authenticated()
    }

    /// Returns the time until [`is_overdue`](Self::is_overdue) should be checked again.
    fn time_left(&self, now: Duration) -> Duration {
        match self.time_limit() {
            Some((limit, since)) => (since + limit).saturating_sub(now),
            None => connection::FIRST_REQUEST_TIMEOUT,
        }
    }

    fn is_overdue(&self, now: Duration) -> bool {
        self.time_limit()
            .is_some_and(|(limit, since)| now >= since + limit)
    }

    fn time_limit(&self) -> Option<(Duration, Duration)> {
        let (activity, since) = self.0.registry.lock().0.activity_of(self.0.id)?;
        match activity {
            ConnectionActivity::Arriving | ConnectionActivity::Unfinished => {
                Some((connection::FIRST_REQUEST_TIMEOUT, since))
            }
            // An authenticated connection makes room when it is needed, and may stay until then.
            ConnectionActivity::Idle if self.is_authenticated() => None,
            ConnectionActivity::Idle => Some((connection::IDLE_TIMEOUT, since)),
            ConnectionActivity::Busy => None,
        }
    }

    fn count_late(&self) {
        self.0.registry.counts.late.inc();
    }
}

/// Facts about the caller of a request that are not in the request.
#[derive(Clone)]
pub struct CallerContext {
    pub peer: Peer,
    seat: ConnectionSeat,
    key: Arc<OnceLock<Arc<str>>>,
}

impl CallerContext {
    fn new(peer: Peer, seat: ConnectionSeat) -> Self {
        Self {
            peer,
            seat,
            key: Arc::default(),
        }
    }

    /// Records the id of the key that was shown, or that no key is required. `is_narrow` marks a
    /// session-restricted key. Returns false if such a key already has its maximum of requests in
    /// progress.
    pub fn record_key(&self, key: Arc<str>, is_narrow: bool) -> bool {
        let is_welcome = !is_narrow
            || self
                .seat
                .0
                .registry
                .lock()
                .0
                .add_key_request(self.seat.0.id, &key);
        self.seat.set_authenticated(is_welcome);
        let _ = self.key.set(key);
        is_welcome
    }

    /// Records that a required key was missing or invalid.
    pub fn record_refusal(&self) {
        self.seat.set_authenticated(false);
    }

    /// Returns the id of the key; empty where no key is required.
    pub fn key_id(&self) -> Option<&str> {
        self.key.get().map(AsRef::as_ref)
    }
}
