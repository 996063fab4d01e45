//! Minimum pace of data to and from strangers; slower transfers are aborted.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt};

use crate::clock::Clock;

/// Bytes that must arrive in each [`WINDOW`], unless the end does.
const LEAST: usize = 16 * 1024;
/// Time for `LEAST` bytes, and also the longest wait for anything at all.
pub const WINDOW: Duration = Duration::from_secs(30);

/// Too little came, for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("less than {} KiB came within {:?}", LEAST / 1024, WINDOW)]
pub struct TooSlow;

impl TooSlow {
    /// Returns whether it is among the causes of an error.
    pub fn is_behind(error: &(dyn std::error::Error + 'static)) -> bool {
        std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<Self>())
    }
}

/// Watches one stream of bytes. Time counts only while data is awaited.
pub struct Pace {
    clock: Clock,
    waiting: Option<BoxFuture<'static, ()>>,
    moved: usize,
}

impl Pace {
    pub const fn new(clock: Clock) -> Self {
        Self {
            clock,
            waiting: None,
            moved: 0,
        }
    }

    /// Returns the next piece, or an error when waiting for it takes too long.
    pub async fn next<S, E>(&mut self, pieces: &mut S) -> Result<Option<Result<Bytes, E>>, TooSlow>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        poll_fn(|context| match pieces.poll_next_unpin(context) {
            Poll::Ready(piece) => {
                if let Some(Ok(piece)) = &piece {
                    self.moved(piece.len());
                }
                Poll::Ready(Ok(piece))
            }
            Poll::Pending => self.poll_too_slow(context).map(Err),
        })
        .await
    }

    /// Records that bytes have arrived or left.
    pub fn moved(&mut self, bytes: usize) {
        self.moved = self.moved.saturating_add(bytes);
        if self.moved >= LEAST {
            self.rest();
        }
    }

    /// Records that no data is awaited any more.
    pub fn rest(&mut self) {
        (self.waiting, self.moved) = (None, 0);
    }

    /// Polled while data is awaited: ready once that has taken too long.
    pub fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<TooSlow> {
        let clock = &self.clock;
        let waiting = self.waiting.get_or_insert_with(|| clock.sleep(WINDOW));
        waiting.as_mut().poll(context).map(|()| TooSlow)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::clock::Time;

    #[derive(Debug, thiserror::Error)]
    #[error("it broke off")]
    struct Wrapped(#[source] TooSlow);

    /// Every sleep is over at once.
    struct Impatient;

    impl Time for Impatient {
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
        let looks = |pace: &mut Pace| poll_fn(|context| pace.poll_too_slow(context)).now_or_never();
        let mut pace = Pace::new(Clock::new(Impatient));
        assert_eq!(looks(&mut pace), None);
        pace.moved(1);
        assert_eq!(looks(&mut pace), Some(TooSlow), "a byte changes nothing");
        let mut pace = Pace::new(Clock::new(Impatient));
        for _ in 0..3 {
            assert_eq!(looks(&mut pace), None);
            pace.moved(LEAST);
        }
        assert!(
            TooSlow::is_behind(&Wrapped(TooSlow))
                && !TooSlow::is_behind(&std::io::Error::other("else"))
        );
    }
}
