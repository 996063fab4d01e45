//! One connection from its first byte to its last; every wait has a limit.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::admission::RequestStart;
use super::body::{PacedBody, ResponseBody};
use super::peer::{Peer, ProxyTrust, TrustedProxies};
use super::{CallerContext, ConnectionSeat};
use crate::http::error::Problem;
use crate::net::pace::PaceWatch;
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;

/// Time in which a connection must send its first request, TLS handshake included.
pub const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Time an unauthenticated connection may stay idle between two requests. Longer than clients keep
/// idle connections, so that the client usually closes first.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Time to finish the response to an unauthenticated caller after its connection was displaced.
const DISPLACED_GRACE: Duration = Duration::from_secs(1);
/// Limit in bytes of received data not yet read, and of response data not yet sent; the head of a
/// request must fit.
const MAX_BUFFER: usize = 32 * 1024;
const MAX_HEADERS: usize = 100;

/// Everything a connection needs to be served.
#[derive(Clone)]
pub struct ConnectionContext {
    pub router: Router,
    pub proxies: Arc<TrustedProxies>,
    pub clock: Clock,
    /// Tasks of the connections; its soft stop ends them.
    pub visits: Lifecycle,
}

/// Serves requests on a connection until it closes, is displaced, or exceeds a time limit.
pub async fn serve_connection(
    io: impl AsyncRead + AsyncWrite + Unpin + Send,
    from: IpAddr,
    is_tls: bool,
    seat: ConnectionSeat,
    context: &ConnectionContext,
) {
    let service = {
        let (seat, context, inner) = (
            seat.clone(),
            context.clone(),
            TowerToHyperService::new(context.router.clone()),
        );
        service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let peer = Peer::from_connection(
                from,
                is_tls,
                request.headers(),
                request.version(),
                &context.proxies,
            );
            let is_for_another =
                peer.proxy == ProxyTrust::Trusted && !context.proxies.contains(peer.address);
            let start = seat.start_request(is_for_another.then_some(peer.address));
            let mut request =
                request.map(|body| Body::new(PacedBody::new(body, context.clock.clone())));
            request
                .extensions_mut()
                .insert(CallerContext::new(peer, seat.clone()));
            let (answering, seat) = (inner.call(request), seat.clone());
            async move {
                let answer = match start {
                    RequestStart::TooMany => {
                        Problem::TooManyRequests("from this address").into_response()
                    }
                    RequestStart::Accepted | RequestStart::Displaced => answering.await?,
                };
                Ok::<_, Infallible>(answer.map(|body| Body::new(ResponseBody::new(body, seat))))
            }
        })
    };
    let io = TokioIo::new(PacedStream {
        io,
        seat: seat.clone(),
        arrival: Arrival::Nothing,
        pace: PaceWatch::new(context.clock.clone()),
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(MAX_BUFFER)
        .max_headers(MAX_HEADERS)
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    let mut is_ending = false;
    loop {
        tokio::select! {
            biased;
            // Polled first, so that a request that arrived before the connection was displaced is
            // answered. Errors are the caller's own: it disconnected, or did not speak HTTP.
            _ = connection.as_mut() => return,
            () = await_end(&seat, &context.visits), if !is_ending => {
                if !seat.is_worth_finishing() {
                    return;
                }
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            // A caller that is still unauthenticated by then is cut off.
            () = context.clock.sleep(DISPLACED_GRACE), if is_ending => {
                if seat.is_displaced_stranger() {
                    return;
                }
            }
            () = context.clock.sleep(seat.time_left(context.clock.uptime())) => {
                if seat.is_overdue(context.clock.uptime()) {
                    return seat.count_late();
                }
            }
        }
    }
}

async fn await_end(seat: &ConnectionSeat, visits: &Lifecycle) {
    tokio::select! {
        () = seat.await_displacement() => {}
        () = visits.await_stop() => {}
    }
}

/// The first request, as far as the stream has seen it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrival {
    Nothing,
    Bytes,
    /// Those bytes were no complete request, or it was answered.
    Reported,
}

/// A stream that reports an unfinished first request, and fails when its peer does not read the
/// written data fast enough.
struct PacedStream<I> {
    io: I,
    seat: ConnectionSeat,
    arrival: Arrival,
    pace: PaceWatch,
}

impl<I> PacedStream<I> {
    fn check_pace(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => self.pace.record_bytes(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if let Poll::Ready(too_slow) = self.pace.poll_too_slow(context) {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, too_slow)));
                }
            }
        }
        written
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for PacedStream<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, into);
        match self.arrival {
            Arrival::Nothing if into.filled().len() > before => self.arrival = Arrival::Bytes,
            // More is wanted than has arrived: those bytes were no complete request.
            Arrival::Bytes if read.is_pending() => {
                self.arrival = Arrival::Reported;
                self.seat.start_arrival();
            }
            _ => {}
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for PacedStream<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.check_pace(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, pieces);
        self.check_pace(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        match flushed {
            // Everything has left.
            Poll::Ready(Ok(())) => self.pace.reset(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if let Poll::Ready(too_slow) = self.pace.poll_too_slow(context) {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, too_slow)));
                }
            }
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
