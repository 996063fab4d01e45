//! Minimum pace of data to and from strangers; slower transfers are aborted.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt};

use crate::system::clock::Clock;

/// Bytes that must arrive in each [`WINDOW`], unless the end does.
const MIN_BYTES: usize = 16 * 1024;
/// Time for `MIN_BYTES` bytes, and also the longest wait for anything at all.
pub const WINDOW: Duration = Duration::from_secs(30);

/// Too little came, for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("less than {} KiB came within {:?}", MIN_BYTES / 1024, WINDOW)]
pub struct TooSlowError;

impl TooSlowError {
    /// Returns whether it is among the causes of an error.
    pub fn is_cause_of(error: &(dyn std::error::Error + 'static)) -> bool {
        std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<Self>())
    }
}

/// Watches one stream of bytes. Time counts only while data is awaited.
pub struct PaceWatch {
    clock: Clock,
    waiting: Option<BoxFuture<'static, ()>>,
    bytes_moved: usize,
}

impl PaceWatch {
    pub const fn new(clock: Clock) -> Self {
        Self {
            clock,
            waiting: None,
            bytes_moved: 0,
        }
    }

    /// Returns the next piece, or an error when waiting for it takes too long.
    pub async fn next<S, E>(
        &mut self,
        pieces: &mut S,
    ) -> Result<Option<Result<Bytes, E>>, TooSlowError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        poll_fn(|context| match pieces.poll_next_unpin(context) {
            Poll::Ready(piece) => {
                if let Some(Ok(piece)) = &piece {
                    self.record_bytes(piece.len());
                }
                Poll::Ready(Ok(piece))
            }
            Poll::Pending => self.poll_too_slow(context).map(Err),
        })
        .await
    }

    /// Records that bytes have arrived or left.
    pub fn record_bytes(&mut self, bytes: usize) {
        self.bytes_moved = self.bytes_moved.saturating_add(bytes);
        if self.bytes_moved >= MIN_BYTES {
            self.reset();
        }
    }

    /// Records that no data is awaited any more.
    pub fn reset(&mut self) {
        (self.waiting, self.bytes_moved) = (None, 0);
    }

    /// Polled while data is awaited: ready once that has taken too long.
    pub fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<TooSlowError> {
        let clock = &self.clock;
        let waiting = self.waiting.get_or_insert_with(|| clock.sleep(WINDOW));
        waiting.as_mut().poll(context).map(|()| TooSlowError)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use crate::net::pace::*;
    use crate::system::clock::TimeSource;

    #[derive(Debug, thiserror::Error)]
    #[error("it broke off")]
    struct Wrapped(#[source] TooSlowError);

    /// Every sleep is over at once.
    struct Impatient;

    impl TimeSource for Impatient {
        fn now(&self) -> jiff::Timestamp {
            jiff::Timestamp::UNIX_EPOCH
        }

        fn uptime(&self) -> Duration {
            Duration::ZERO
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(tokio::task::yield_now())
        }
    }

    #[test]
    fn trickles_are_too_slow_and_streams_are_not() {
        let looks =
            |pace: &mut PaceWatch| poll_fn(|context| pace.poll_too_slow(context)).now_or_never();
        let mut pace = PaceWatch::new(Clock::new(Impatient));
        assert_eq!(looks(&mut pace), None);
        pace.record_bytes(1);
        assert_eq!(
            looks(&mut pace),
            Some(TooSlowError),
            "a byte changes nothing"
        );
        let mut pace = PaceWatch::new(Clock::new(Impatient));
        for _ in 0..3 {
            assert_eq!(looks(&mut pace), None);
            pace.record_bytes(MIN_BYTES);
        }
        assert!(
            TooSlowError::is_cause_of(&Wrapped(TooSlowError))
                && !TooSlowError::is_cause_of(&std::io::Error::other("else"))
        );
    }
}
