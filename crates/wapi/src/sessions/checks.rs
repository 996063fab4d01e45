//! Proves now and then that every connection still works, and tells when one does not.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use super::{Session, SessionName, Sessions, Status};
use crate::whatsapp::NoAnswer;

/// Round trips under way at the same time.
const AT_ONCE: usize = 32;
/// An outage is reported so often, then no more until it is over.
const REPORTS: u32 = 3;

/// How many times in a row a session did not answer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Outage {
    misses: u32,
}

/// What to tell after a check.
#[derive(Debug, PartialEq, Eq)]
enum Report {
    Nothing,
    /// The number of the report, from 1.
    Silent(u32),
    Recovered,
}

impl Outage {
    fn missed(&mut self) -> Report {
        self.misses = self.misses.saturating_add(1);
        if self.misses <= REPORTS { Report::Silent(self.misses) } else { Report::Nothing }
    }

    fn answered(&mut self) -> Report {
        if std::mem::take(&mut self.misses) > 0 { Report::Recovered } else { Report::Nothing }
    }
}

impl Sessions {
    /// Checks all sessions every so often until the program ends.
    pub(super) async fn keep_checking(self, every: Duration, limit: Duration) {
        let mut outages: HashMap<SessionName, Outage> = HashMap::new();
        let (clock, lifecycle) = (self.inner.around.clock.clone(), self.inner.around.lifecycle.clone());
        while lifecycle.unless_stopping(clock.sleep(every)).await.is_some() {
            let watched = self.all().into_iter().filter(|session| is_watched(session.state().status));
            let checks = watched.map(|session| async move { (check(&session, limit).await, session) });
            let checked: Vec<_> = futures_util::stream::iter(checks).buffer_unordered(AT_ONCE).collect().await;
            for (result, session) in checked {
                let outage = outages.entry(session.name.clone()).or_default();
                tell(&session, &result, if result.is_ok() { outage.answered() } else { outage.missed() });
            }
        }
    }
}

/// Whether a session is meant to be connected.
fn is_watched(status: Status) -> bool {
    matches!(status, Status::Online | Status::Connecting | Status::Offline | Status::Starting)
}

/// One round trip. A connection that is dead without knowing is dialled again.
async fn check(session: &Arc<Session>, limit: Duration) -> Result<Duration, NoAnswer> {
    // Between two links the session waits for a reason: WhatsApp asked it to, or another program took its place.
    let link = session.link().ok_or(NoAnswer::NotConnected)?;
    let answer = link.check(limit).await;
    match answer {
        Err(NoAnswer::Silence(_)) => link.redial().await,
        Err(NoAnswer::NotConnected) => session.ask(),
        Ok(_) => {}
    }
    answer
}

fn tell(session: &Session, result: &Result<Duration, NoAnswer>, report: Report) {
    let name = &session.name;
    match (report, result) {
        (Report::Silent(number), Err(error)) => {
            tracing::error!(session = %name, %error, report = number, "the session does not answer");
        }
        (Report::Recovered, _) => tracing::warn!(session = %name, "the session is responding again"),
        (_, Err(error)) => tracing::debug!(session = %name, %error, "the session still does not answer"),
        (_, Ok(round_trip)) => tracing::debug!(session = %name, ?round_trip, "the session answers"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_reported_three_times_and_its_end_once() {
        let mut outage = Outage::default();
        assert_eq!(outage.answered(), Report::Nothing);
        let reports: Vec<_> = (0..5).map(|_| outage.missed()).collect();
        assert_eq!(
            reports,
            [Report::Silent(1), Report::Silent(2), Report::Silent(3), Report::Nothing, Report::Nothing]
        );
        assert_eq!(outage.answered(), Report::Recovered);
        assert_eq!(outage.answered(), Report::Nothing);
        assert_eq!(outage.missed(), Report::Silent(1));
    }
}
