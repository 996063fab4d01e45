//! Bodies at the edge: those that come must come at a pace, and the end of those that go is noticed.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};

use super::Seat;
use crate::clock::Clock;
use crate::pace::Pace;

/// A body that comes in, as long as it does not come too slowly.
pub struct Paced {
    body: Incoming,
    pace: Pace,
}

impl Paced {
    pub const fn new(body: Incoming, clock: Clock) -> Self {
        Self {
            body,
            pace: Pace::new(clock),
        }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => self.pace.moved(frame.data_ref().map_or(0, Bytes::len)),
            Poll::Ready(_) => self.pace.rest(),
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

/// A body that goes out; once it has, its connection rests.
pub struct Answered {
    body: Body,
    seat: Seat,
}

impl Answered {
    pub const fn new(body: Body, seat: Seat) -> Self {
        Self { body, seat }
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.seat.rests();
    }
}

impl HttpBody for Answered {
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
