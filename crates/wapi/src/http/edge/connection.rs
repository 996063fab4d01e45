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

use super::body::{Answered, Paced};
use super::crowd::Asked;
use super::peer::{Peer, Proxies, Way};
use super::{Seat, Visit};
use crate::clock::Clock;
use crate::http::error::Problem;
use crate::lifecycle::Lifecycle;
use crate::pace::Pace;

/// Time in which a connection must send its first request, TLS handshake included.
pub const FIRST: Duration = Duration::from_secs(15);
/// Time an unauthenticated connection may stay idle between two requests. Longer than clients keep
/// idle connections, so that the client usually closes first.
pub const REST: Duration = Duration::from_secs(120);
/// Time to finish the response to an unauthenticated caller after its connection was displaced.
const LAST: Duration = Duration::from_secs(1);
/// Limit in bytes of received data not yet read, and of response data not yet sent; the head of a
/// request must fit.
const BUFFER: usize = 32 * 1024;
const HEADERS: usize = 100;

/// Everything a connection needs to be served.
#[derive(Clone)]
pub struct Manner {
    pub router: Router,
    pub proxies: Arc<Proxies>,
    pub clock: Clock,
    /// Tasks of the connections; its soft stop ends them.
    pub visits: Lifecycle,
}

/// Serves requests on a connection until it closes, is displaced, or exceeds a time limit.
pub async fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin + Send,
    from: IpAddr,
    is_tls: bool,
    seat: Seat,
    manner: &Manner,
) {
    let service = {
        let (seat, manner, inner) = (
            seat.clone(),
            manner.clone(),
            TowerToHyperService::new(manner.router.clone()),
        );
        service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let peer = Peer::of(
                from,
                is_tls,
                request.headers(),
                request.version(),
                &manner.proxies,
            );
            let is_for_another =
                peer.way == Way::PassedOn && !manner.proxies.are_trusted(peer.address);
            let asked = seat.asks(is_for_another.then_some(peer.address));
            let mut request = request.map(|body| Body::new(Paced::new(body, manner.clock.clone())));
            request
                .extensions_mut()
                .insert(Visit::new(peer, seat.clone()));
            let (answering, seat) = (inner.call(request), seat.clone());
            async move {
                let answer = match asked {
                    Asked::TooMuch => Problem::TooManyRequests("from this address").into_response(),
                    Asked::Well | Asked::TooLate => answering.await?,
                };
                Ok::<_, Infallible>(answer.map(|body| Body::new(Answered::new(body, seat))))
            }
        })
    };
    let io = TokioIo::new(Watched {
        io,
        pace: Pace::new(manner.clock.clone()),
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(BUFFER)
        .max_headers(HEADERS)
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    let mut is_ending = false;
    loop {
        tokio::select! {
            biased;
            // Polled first, so that a request that arrived before the connection was displaced is
            // answered. Errors are the caller's own: it disconnected, or did not speak HTTP.
            _ = connection.as_mut() => return,
            () = ends(&seat, &manner.visits), if !is_ending => {
                if !seat.is_worth_finishing() {
                    return;
                }
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            // A caller that is still unauthenticated by then is cut off.
            () = manner.clock.sleep(LAST), if is_ending && seat.is_displaced_stranger() => return,
            () = manner.clock.sleep(seat.patience(manner.clock.uptime())) => {
                if seat.is_too_late(manner.clock.uptime()) {
                    return seat.count_late();
                }
            }
        }
    }
}

async fn ends(seat: &Seat, visits: &Lifecycle) {
    tokio::select! {
        () = seat.must_leave() => {}
        () = visits.stopping() => {}
    }
}

/// A stream that fails when its peer does not read the written data fast enough.
struct Watched<I> {
    io: I,
    pace: Pace,
}

impl<I> Watched<I> {
    fn watched(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => self.pace.moved(*bytes),
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

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, into)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.watched(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, pieces);
        self.watched(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        match flushed {
            // Everything has left.
            Poll::Ready(Ok(())) => self.pace.rest(),
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
