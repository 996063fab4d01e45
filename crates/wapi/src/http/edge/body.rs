//! Request and response bodies at the edge: a minimum pace for requests, and the end of responses.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};

use super::ConnectionSeat;
use crate::net::pace::PaceWatch;
use crate::system::clock::Clock;

/// A request body that fails with `TooSlow` when it arrives too slowly.
pub struct PacedBody {
    body: Incoming,
    pace: PaceWatch,
}

impl PacedBody {
    pub const fn new(body: Incoming, clock: Clock) -> Self {
        Self {
            body,
            pace: PaceWatch::new(clock),
        }
    }
}

impl HttpBody for PacedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => self
                .pace
                .record_bytes(frame.data_ref().map_or(0, Bytes::len)),
            Poll::Ready(_) => self.pace.reset(),
            Poll::Pending => {
                if let Poll::Ready(too_slow) = self.pace.poll_too_slow(context) {
                    return Poll::Ready(Some(Err(too_slow.into())));
                }
            }
        }
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response body that marks its connection as idle when it is dropped.
pub struct ResponseBody {
    body: Body,
    seat: ConnectionSeat,
}

impl ResponseBody {
    pub const fn new(body: Body, seat: ConnectionSeat) -> Self {
        Self { body, seat }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.seat.end_request();
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
