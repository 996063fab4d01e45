//! A measurement that all readers share: it is taken again when somebody wants a younger one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::system::clock::Clock;

/// The last measurement, and when it began.
#[derive(Debug)]
pub struct SharedSnapshot<T>(Mutex<Option<(Duration, Arc<T>)>>);

impl<T> Default for SharedSnapshot<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> SharedSnapshot<T> {
    /// Returns a measurement that is at most this old. Readers who come while one is taken wait, and
    /// share the next.
    pub async fn read<E>(
        &self,
        clock: &Clock,
        max_age: Duration,
        measure: impl Future<Output = Result<T, E>>,
    ) -> Result<Arc<T>, E> {
        let asked_at = clock.uptime();
        let mut last = self.0.lock().await;
        if let Some((began_at, value)) = &*last
            && began_at.saturating_add(max_age) >= asked_at
        {
            return Ok(Arc::clone(value));
        }
        let began_at = clock.uptime();
        let value = Arc::new(measure.await?);
        *last = Some((began_at, Arc::clone(&value)));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures_util::future::join_all;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn readers_who_come_together_share_one_measurement_and_an_old_one_is_taken_again() {
        let (clock, snapshot) = (Clock::system(), SharedSnapshot::default());
        let taken = AtomicU64::new(0);
        let read = |max_age| {
            let measure = async {
                tokio::task::yield_now().await;
                Ok::<_, ()>(taken.fetch_add(1, Ordering::Relaxed) + 1)
            };
            let (clock, snapshot) = (&clock, &snapshot);
            async move { *snapshot.read(clock, max_age, measure).await.unwrap() }
        };
        assert_eq!(join_all((0..50).map(|_| read(MINUTE))).await, [1; 50]);
        assert_eq!(read(MINUTE).await, 1);
        assert_eq!(read(Duration::ZERO).await, 2, "somebody wants it now");
        assert_eq!(read(MINUTE).await, 2);
    }

    #[tokio::test]
    async fn a_measurement_that_failed_is_not_kept() {
        let (clock, snapshot) = (Clock::system(), SharedSnapshot::default());
        let failed = snapshot.read(&clock, MINUTE, async { Err::<u8, _>("no") });
        assert_eq!(failed.await.unwrap_err(), "no");
        let read = snapshot.read(&clock, MINUTE, async { Ok::<_, &str>(1) });
        assert_eq!(*read.await.unwrap(), 1);
    }
}
