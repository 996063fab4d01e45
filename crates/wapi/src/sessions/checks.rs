//! Periodic health checks: prove that every connection works in both directions, recover those that
//! do not, and log outages.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{CommandError, Session, SessionName, SessionState, Sessions, Status};
use crate::store::StoreError;
use crate::whatsapp::{Link, NoAnswer};

/// Concurrent checks.
const AT_ONCE: usize = 32;
/// Number of reports for one outage; later ones are suppressed until it is over.
const REPORTS: u32 = 3;
/// Divisor of the check interval: a message received within that part of it proves as much as an
/// answer from the phone.
const FRESH: u32 = 4;
/// Time the engine may take to dial again, or to report the end of a connection.
const REDIAL: Duration = Duration::from_secs(10);

/// The result of a check, part by part.
#[derive(Debug)]
pub struct Check {
    pub at: Timestamp,
    /// A round trip on the wire.
    pub socket: Result<Duration, NoAnswer>,
    /// A write that reached the disk. Without one, no message is accepted from WhatsApp.
    pub store: Result<Duration, StoreError>,
    pub inbound: Inbound,
}

/// Whether messages can come in and be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inbound {
    /// A message came in by itself, this long ago.
    Heard(Duration),
    /// The account's phone was asked and answered within this time.
    Answered(Duration),
    /// The phone did not answer within this time. It may be off, or the connection may be deaf.
    Silent(Duration),
    /// There is no connection to test.
    Unknown,
}

impl Check {
    /// Whether every part is proven.
    pub fn is_ok(&self) -> bool {
        let is_heard = matches!(self.inbound, Inbound::Heard(_) | Inbound::Answered(_));
        self.socket.is_ok() && self.store.is_ok() && is_heard
    }
}

/// The extent of a check.
#[derive(Clone, Copy)]
enum Scope {
    /// Also tests whether messages come in, unless one has within this time.
    Inbound {
        fresh: Duration,
    },
    WireOnly,
}

/// Counts a session's consecutive failed checks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Outage {
    misses: u32,
}

/// The log entry that follows a check.
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
        if self.misses <= REPORTS {
            Report::Silent(self.misses)
        } else {
            Report::Nothing
        }
    }

    fn answered(&mut self) -> Report {
        if std::mem::take(&mut self.misses) > 0 {
            Report::Recovered
        } else {
            Report::Nothing
        }
    }
}

impl Sessions {
    /// Checks all sessions periodically, and each one when it comes online, until the program ends.
    pub(super) async fn keep_checking(
        self,
        every: Duration,
        mut online: mpsc::UnboundedReceiver<Arc<Session>>,
    ) {
        let mut outages = HashMap::new();
        let (clock, lifecycle) = (
            self.inner.around.clock.clone(),
            self.inner.around.lifecycle.clone(),
        );
        let mut next = clock.sleep(every);
        let mut fresh = Vec::new();
        loop {
            tokio::select! {
                () = lifecycle.stopping() => return,
                () = &mut next => {
                    self.check_all(every, &mut outages).await;
                    next = clock.sleep(every);
                }
                _ = online.recv_many(&mut fresh, AT_ONCE) => {
                    self.check_each(std::mem::take(&mut fresh), Scope::WireOnly, &mut outages).await;
                }
            }
        }
    }

    async fn check_all(&self, every: Duration, outages: &mut HashMap<SessionName, Outage>) {
        if let Err(error) = self.inner.around.store.note_received().await {
            tracing::debug!(%error, "when sessions received their last messages is not noted");
        }
        let watched = self
            .all()
            .into_iter()
            .filter(|session| is_watched(session.state().status))
            .collect();
        self.check_each(
            watched,
            Scope::Inbound {
                fresh: every / FRESH,
            },
            outages,
        )
        .await;
    }

    async fn check_each(
        &self,
        sessions: Vec<Arc<Session>>,
        scope: Scope,
        outages: &mut HashMap<SessionName, Outage>,
    ) {
        let checks = sessions.into_iter().map(|session| async move {
            let (socket, inbound) = self.look(&session, scope).await;
            self.recover(&session, &socket, inbound).await;
            (session, socket)
        });
        let checks = futures_util::stream::iter(checks).buffer_unordered(AT_ONCE);
        let all = self
            .inner
            .around
            .lifecycle
            .unless_stopping(checks.collect::<Vec<_>>())
            .await;
        for (session, socket) in all.unwrap_or_default() {
            let outage = outages.entry(session.name.clone()).or_default();
            tell(
                &session,
                &socket,
                if socket.is_ok() {
                    outage.answered()
                } else {
                    outage.missed()
                },
            );
        }
    }

    /// Checks every part of one session now, whatever has come in recently, and recovers it if
    /// necessary.
    pub async fn check(&self, name: &SessionName) -> Result<Check, CommandError> {
        let session = self.find(name).ok_or(CommandError::Unknown)?;
        let scope = Scope::Inbound {
            fresh: Duration::ZERO,
        };
        let ((socket, inbound), store) =
            tokio::join!(self.look(&session, scope), self.probe_store());
        self.recover(&session, &socket, inbound).await;
        Ok(Check {
            at: self.inner.around.clock.now(),
            socket,
            store,
            inbound,
        })
    }

    async fn probe_store(&self) -> Result<Duration, StoreError> {
        let clock = &self.inner.around.clock;
        let started = clock.uptime();
        match clock
            .timeout(
                self.inner.around.whatsapp_timeout,
                self.inner.around.store.probe(),
            )
            .await
        {
            Ok(saved) => saved.map(|()| clock.uptime().saturating_sub(started)),
            Err(timed_out) => Err(StoreError::new(timed_out)),
        }
    }

    /// Makes a round trip and, if that succeeds, tests whether messages come in.
    async fn look(&self, session: &Session, scope: Scope) -> (Result<Duration, NoAnswer>, Inbound) {
        let limit = self.inner.around.whatsapp_timeout;
        let Some(link) = session.link() else {
            return (Err(NoAnswer::NotConnected), Inbound::Unknown);
        };
        let socket = link.ping(limit).await;
        let inbound = match (&socket, scope) {
            (Ok(_), Scope::Inbound { fresh }) => inbound(&link, fresh, limit).await,
            _ => Inbound::Unknown,
        };
        (socket, inbound)
    }

    async fn recover(
        &self,
        session: &Session,
        socket: &Result<Duration, NoAnswer>,
        inbound: Inbound,
    ) {
        let link = session.link();
        match (socket, link) {
            (Err(NoAnswer::Silence(_)), Some(link)) => {
                reconnect(
                    session,
                    &link,
                    "WhatsApp does not answer on this connection",
                )
                .await;
            }
            (Err(NoAnswer::NotConnected), Some(link)) => {
                let state = session
                    .wait_for(REDIAL, |state| state.status != Status::Online)
                    .await;
                match state.status {
                    Status::Online => link.give_up("the connection ended without a word"),
                    status if is_watched(status) => session.ask(),
                    _ => {}
                }
            }
            // Between two links the session is waiting for a reason: WhatsApp asked for a pause, or
            // another program took its place.
            (Err(_), None) => {}
            (Ok(_), link) => match (inbound, link) {
                (Inbound::Heard(_) | Inbound::Answered(_), _) => session.is_heard(),
                // A phone may be off for days, yet a deaf connection must be noticed at once. So
                // the first missed probe reconnects, and later ones do ever more rarely.
                (Inbound::Silent(_), Some(link)) if session.is_silent().is_power_of_two() => {
                    reconnect(
                        session,
                        &link,
                        "nothing comes in, not even what was asked for",
                    )
                    .await;
                }
                _ => {}
            },
        }
    }
}

async fn inbound(link: &Link, fresh: Duration, limit: Duration) -> Inbound {
    if let Some(ago) = link.heard_ago().filter(|ago| *ago < fresh) {
        return Inbound::Heard(ago);
    }
    match link.ask_phone(limit).await {
        Ok(took) => Inbound::Answered(took),
        Err(NoAnswer::Silence(limit)) => Inbound::Silent(limit),
        Err(NoAnswer::NotConnected) => Inbound::Unknown,
    }
}

/// Drops a useless connection and records the reason. Replaces the link if its engine does not dial
/// again.
async fn reconnect(session: &Session, link: &Link, reason: &str) {
    let is_waiting = |state: &SessionState| {
        state.status == Status::Offline && state.reason.as_deref() == Some(reason)
    };
    session.update(|state| {
        if state.status == Status::Online {
            state.move_to(Status::Offline, Some(reason.to_owned()), session.now());
        }
    });
    link.redial().await;
    if is_waiting(&session.wait_for(REDIAL, |state| !is_waiting(state)).await) {
        link.give_up("the connection does not come back");
    }
}

/// Whether a session is meant to be connected.
fn is_watched(status: Status) -> bool {
    matches!(
        status,
        Status::Online | Status::Connecting | Status::Offline | Status::Starting
    )
}

fn tell(session: &Session, result: &Result<Duration, NoAnswer>, report: Report) {
    let name = &session.name;
    match (report, result) {
        (Report::Silent(number), Err(error)) => {
            tracing::error!(session = %name, %error, report = number, "the session does not answer");
        }
        (Report::Recovered, _) => {
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
    use super::*;

    #[test]
    fn an_outage_is_reported_three_times_and_its_end_once() {
        let mut outage = Outage::default();
        assert_eq!(outage.answered(), Report::Nothing);
        let reports: Vec<_> = (0..5).map(|_| outage.missed()).collect();
        assert_eq!(
            reports,
            [
                Report::Silent(1),
                Report::Silent(2),
                Report::Silent(3),
                Report::Nothing,
                Report::Nothing
            ]
        );
        assert_eq!(outage.answered(), Report::Recovered);
        assert_eq!(outage.answered(), Report::Nothing);
        assert_eq!(outage.missed(), Report::Silent(1));
    }
}
