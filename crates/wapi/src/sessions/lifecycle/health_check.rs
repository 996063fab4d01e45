//! Periodic health checks: prove that every connection works in both directions, recover those that
//! do not, and log outages.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::model::session_name::SessionName;
use crate::sessions::{Session, SessionError, SessionPhase, SessionState, Sessions};
use crate::store::StoreError;
use crate::whatsapp::{Link, RequestError};

/// Concurrent checks.
const MAX_CONCURRENT_CHECKS: usize = 32;
/// Number of reports for one outage; later ones are suppressed until it is over.
const MAX_REPORTS: u32 = 3;
/// Divisor of the check interval: a message received within that part of it proves as much as an
/// answer from the phone.
const RECENT_DIVISOR: u32 = 4;
/// Time the engine may take to dial again, or to report the end of a connection.
const REDIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The result of a check, part by part.
#[derive(Debug)]
pub struct HealthCheck {
    pub at: Timestamp,
    /// A round trip on the wire.
    pub socket: Result<Duration, RequestError>,
    /// A write that reached the disk. Without one, no message is accepted from WhatsApp.
    pub store: Result<Duration, StoreError>,
    pub inbound: InboundHealth,
}

/// Whether messages can come in and be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InboundHealth {
    /// A message came in by itself, this long ago.
    Heard(Duration),
    /// The account's phone was asked and answered within this time.
    Answered(Duration),
    /// The phone did not answer within this time. It may be off, or the connection may be deaf.
    Silent(Duration),
    /// There is no connection to test.
    Unknown,
}

impl HealthCheck {
    /// Whether every part is proven.
    pub fn is_ok(&self) -> bool {
        let is_heard = matches!(
            self.inbound,
            InboundHealth::Heard(_) | InboundHealth::Answered(_)
        );
        self.socket.is_ok() && self.store.is_ok() && is_heard
    }
}

/// The extent of a check.
#[derive(Clone, Copy)]
enum CheckScope {
    /// Also tests whether messages come in, unless one has within this time.
    Inbound {
        recent: Duration,
    },
    WireOnly,
}

/// Counts a session's consecutive failed checks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct OutageCounter {
    misses: u32,
}

/// The log entry that follows a check.
#[derive(Debug, PartialEq, Eq)]
enum OutageReport {
    Nothing,
    /// The number of the report, from 1.
    Silent(u32),
    Recovered,
}

impl OutageCounter {
    fn record_miss(&mut self) -> OutageReport {
        self.misses = self.misses.saturating_add(1);
        if self.misses <= MAX_REPORTS {
            OutageReport::Silent(self.misses)
        } else {
            OutageReport::Nothing
        }
    }

    fn record_answer(&mut self) -> OutageReport {
        if std::mem::take(&mut self.misses) > 0 {
            OutageReport::Recovered
        } else {
            OutageReport::Nothing
        }
    }
}

impl Sessions {
    /// Checks all sessions periodically, and each one when it comes online, until the program ends.
    pub(in crate::sessions) async fn run_checks(
        self,
        every: Duration,
        mut online: mpsc::UnboundedReceiver<Arc<Session>>,
    ) {
        let mut outages = HashMap::new();
        let (clock, lifecycle) = (
            self.inner.deps.clock.clone(),
            self.inner.deps.lifecycle.clone(),
        );
        let mut next = clock.sleep(every);
        let mut fresh = Vec::new();
        loop {
            tokio::select! {
                () = lifecycle.await_stop() => return,
                () = &mut next => {
                    self.check_all(every, &mut outages).await;
                    next = clock.sleep(every);
                }
                _ = online.recv_many(&mut fresh, MAX_CONCURRENT_CHECKS) => {
                    self.check_sessions(std::mem::take(&mut fresh), CheckScope::WireOnly, &mut outages).await;
                }
            }
        }
    }

    async fn check_all(&self, every: Duration, outages: &mut HashMap<SessionName, OutageCounter>) {
        if let Err(error) = self.inner.deps.store.sessions().record_received().await {
            tracing::debug!(%error, "failed to save when sessions last received messages");
        }
        let watched = self
            .all_sessions()
            .into_iter()
            .filter(|session| is_watched(session.state().status))
            .collect();
        self.check_sessions(
            watched,
            CheckScope::Inbound {
                recent: every / RECENT_DIVISOR,
            },
            outages,
        )
        .await;
    }

    async fn check_sessions(
        &self,
        sessions: Vec<Arc<Session>>,
        scope: CheckScope,
        outages: &mut HashMap<SessionName, OutageCounter>,
    ) {
        let checks = sessions.into_iter().map(|session| async move {
            let probing = self.probe_session(&session, scope);
            let (socket, _) = self.recover_after(&session, probing).await;
            (session, socket)
        });
        let checks = futures_util::stream::iter(checks).buffer_unordered(MAX_CONCURRENT_CHECKS);
        let all = self
            .inner
            .deps
            .lifecycle
            .unless_stopping(checks.collect::<Vec<_>>())
            .await;
        for (session, socket) in all.unwrap_or_default() {
            let outage = outages.entry(session.name.clone()).or_default();
            log_report(
                &session,
                &socket,
                if socket.is_ok() {
                    outage.record_answer()
                } else {
                    outage.record_miss()
                },
            );
        }
    }

    /// Checks every part of one session now, whatever has come in recently, and recovers it if
    /// necessary.
    pub async fn check_session(&self, name: &SessionName) -> Result<HealthCheck, SessionError> {
        let session = self.find(name).ok_or(SessionError::NotFound)?;
        let scope = CheckScope::Inbound {
            recent: Duration::ZERO,
        };
        let probing = self.recover_after(&session, self.probe_session(&session, scope));
        let ((socket, inbound), store) = tokio::join!(probing, self.probe_store());
        Ok(HealthCheck {
            at: self.inner.deps.clock.now(),
            socket,
            store,
            inbound,
        })
    }

    async fn probe_store(&self) -> Result<Duration, StoreError> {
        let clock = &self.inner.deps.clock;
        let started = clock.uptime();
        match clock
            .timeout(
                self.inner.deps.whatsapp_timeout,
                self.inner.deps.store.probe_disk(),
            )
            .await
        {
            Ok(saved) => saved.map(|()| clock.uptime().saturating_sub(started)),
            Err(timed_out) => Err(StoreError::new(timed_out)),
        }
    }

    /// Makes a round trip and, if that succeeds, tests whether messages come in.
    async fn probe_session(
        &self,
        session: &Session,
        scope: CheckScope,
    ) -> (Result<Duration, RequestError>, InboundHealth) {
        let limit = self.inner.deps.whatsapp_timeout;
        let Some(link) = session.link() else {
            return (Err(RequestError::Offline), InboundHealth::Unknown);
        };
        let socket = link.ping(limit).await;
        let inbound = match (&socket, scope) {
            (Ok(_), CheckScope::Inbound { recent: fresh }) => {
                probe_inbound(&link, fresh, limit).await
            }
            _ => InboundHealth::Unknown,
        };
        (socket, inbound)
    }

    /// Recovers a session if its probe says so. One that has lost its connection meanwhile may have
    /// another by now, of which the probe says nothing.
    async fn recover_after(
        &self,
        session: &Session,
        probing: impl Future<Output = (Result<Duration, RequestError>, InboundHealth)>,
    ) -> (Result<Duration, RequestError>, InboundHealth) {
        let since = session.state().since;
        let (socket, inbound) = probing.await;
        if session.state().since == since {
            self.recover_session(session, &socket, inbound).await;
        }
        (socket, inbound)
    }

    async fn recover_session(
        &self,
        session: &Session,
        socket: &Result<Duration, RequestError>,
        inbound: InboundHealth,
    ) {
        let link = session.link();
        match (socket, link) {
            (Err(RequestError::Offline), Some(link)) => {
                let state = session
                    .wait_for_state(REDIAL_TIMEOUT, |state| state.status != SessionPhase::Online)
                    .await;
                match state.status {
                    SessionPhase::Online => link.give_up("the connection ended without a word"),
                    status if is_watched(status) => session.request_wake(),
                    _ => {}
                }
            }
            (Err(_), Some(link)) => {
                reconnect_link(
                    session,
                    &link,
                    "WhatsApp does not answer on this connection",
                )
                .await;
            }
            // Between two links the session is waiting for a reason: WhatsApp asked for a pause, or
            // another program took its place.
            (Err(_), None) => {}
            (Ok(_), link) => match (inbound, link) {
                (InboundHealth::Heard(_) | InboundHealth::Answered(_), _) => {
                    session.reset_missed_probes()
                }
                // A phone may be off for days, yet a deaf connection must be noticed at once. So
                // the first missed probe reconnects, and later ones do ever more rarely.
                (InboundHealth::Silent(_), Some(link))
                    if session.count_missed_probe().is_power_of_two() =>
                {
                    reconnect_link(session, &link, "nothing arrives, not even requested data")
                        .await;
                }
                _ => {}
            },
        }
    }
}

async fn probe_inbound(link: &Link, fresh: Duration, limit: Duration) -> InboundHealth {
    if let Some(ago) = link.last_inbound_age().filter(|ago| *ago < fresh) {
        return InboundHealth::Heard(ago);
    }
    match link.probe_phone(limit).await {
        Ok(took) => InboundHealth::Answered(took),
        Err(RequestError::Offline) => InboundHealth::Unknown,
        Err(_) => InboundHealth::Silent(limit),
    }
}

/// Drops a useless connection and records the reason. Replaces the link if its engine does not dial
/// again.
async fn reconnect_link(session: &Session, link: &Link, reason: &str) {
    let is_waiting = |state: &SessionState| {
        state.status == SessionPhase::Offline && state.reason.as_deref() == Some(reason)
    };
    session.update_state(|state| {
        if state.status == SessionPhase::Online {
            state.set_status(
                SessionPhase::Offline,
                Some(reason.to_owned()),
                session.now(),
            );
        }
    });
    link.redial().await;
    if is_waiting(
        &session
            .wait_for_state(REDIAL_TIMEOUT, |state| !is_waiting(state))
            .await,
    ) {
        link.give_up("the connection does not recover");
    }
}

/// Whether a session is meant to be connected.
fn is_watched(status: SessionPhase) -> bool {
    matches!(
        status,
        SessionPhase::Online
            | SessionPhase::Connecting
            | SessionPhase::Offline
            | SessionPhase::Starting
    )
}

fn log_report(session: &Session, result: &Result<Duration, RequestError>, report: OutageReport) {
    let name = &session.name;
    match (report, result) {
        (OutageReport::Silent(number), Err(error)) => {
            tracing::error!(session = %name, %error, report = number, "the session does not answer");
        }
        (OutageReport::Recovered, _) => {
            tracing::warn!(session = %name, "the session is responding again")
        }
        (_, Err(error)) => {
            tracing::debug!(session = %name, %error, "the session still does not answer")
        }
        (_, Ok(round_trip)) => tracing::debug!(session = %name, ?round_trip, "the session answers"),
    }
}

#[cfg(test)]
mod tests {
    use crate::sessions::lifecycle::health_check::*;

    #[test]
    fn an_outage_is_reported_three_times_and_its_end_once() {
        let mut outage = OutageCounter::default();
        assert_eq!(outage.record_answer(), OutageReport::Nothing);
        let reports: Vec<_> = (0..5).map(|_| outage.record_miss()).collect();
        assert_eq!(
            reports,
            [
                OutageReport::Silent(1),
                OutageReport::Silent(2),
                OutageReport::Silent(3),
                OutageReport::Nothing,
                OutageReport::Nothing
            ]
        );
        assert_eq!(outage.record_answer(), OutageReport::Recovered);
        assert_eq!(outage.record_answer(), OutageReport::Nothing);
        assert_eq!(outage.record_miss(), OutageReport::Silent(1));
    }
}
