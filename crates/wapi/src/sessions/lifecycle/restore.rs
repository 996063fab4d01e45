//! Restores saved sessions when the program starts; sessions stopped by their owner stay stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::RestorePolicy;
use crate::model::masking;
use crate::model::session_name::SessionName;
use crate::sessions::session::DesiredState;
use crate::sessions::{Session, SessionDeps, SessionPhase, Sessions};
use crate::store::session_file::{SessionFile, inspect_file};
use crate::store::{RemovalMode, SavedSession, StoreError};
use crate::system::clock::Clock;
use crate::system::descriptors;

/// Longest random delay before a saved session asks for its turn to log in at start, so that each
/// start has another order.
const MAX_JITTER: Duration = Duration::from_millis(250);
/// Pause before the database is asked again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The saved sessions, by name, and the names of those that are linked.
type SavedSessions = (BTreeMap<String, SavedSession>, BTreeSet<String>);

/// The turns of saved sessions to log in.
struct LoginTurns {
    /// One for each login that may be under way.
    places: Arc<Semaphore>,
    interval: Duration,
    /// Uptime from which the next login may begin.
    next: Mutex<Duration>,
    clock: Clock,
}

impl LoginTurns {
    fn new(policy: RestorePolicy, clock: Clock) -> Self {
        Self {
            places: Arc::new(Semaphore::new(policy.max_logins)),
            interval: policy.interval,
            next: Mutex::default(),
            clock,
        }
    }

    /// Waits for a place, and then for the pace: sessions that wait for a place would otherwise leave
    /// all at once when logins that hang give up.
    async fn wait_for_turn(&self) -> Option<OwnedSemaphorePermit> {
        let jitter = MAX_JITTER.mul_f64(rand::random());
        self.clock.sleep(jitter).await;
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let wait = {
            let (mut next, now) = (self.next.lock(), self.clock.uptime());
            let turn = next.max(now);
            *next = turn + self.interval;
            turn - now
        };
        self.clock.sleep(wait).await;
        place
    }
}

impl Sessions {
    /// Logs in all saved sessions in the background, at the pace of the policy. A session that was never
    /// paired rests until its QR code is requested if it was created with `POST /v1/sessions`;
    /// otherwise it is not restored.
    pub async fn restore_all(&self, policy: RestorePolicy) {
        let SessionDeps {
            lifecycle, clock, ..
        } = &self.inner.deps;
        while let Err(error) = self.add_saved_sessions(policy).await {
            tracing::error!(
                error = format!("{error:#}"),
                "failed to list saved sessions; trying again"
            );
            if lifecycle
                .unless_stopping(clock.sleep(RETRY_PAUSE))
                .await
                .is_none()
            {
                return;
            }
        }
    }

    /// Whether the saved sessions have been added.
    pub fn are_listed(&self) -> bool {
        *self.inner.listed.borrow()
    }

    /// Waits up to `limit` until the saved sessions have been added. Returns `false` if they have
    /// not, or the program ends first.
    pub async fn wait_until_listed(&self, limit: Duration) -> bool {
        let SessionDeps {
            lifecycle, clock, ..
        } = &self.inner.deps;
        let mut listed = self.inner.listed.subscribe();
        tokio::select! {
            listed = lifecycle.unless_stopping(listed.wait_for(|listed| *listed)) => matches!(listed, Some(Ok(_))),
            () = clock.sleep(limit) => false,
        }
    }

    async fn add_saved_sessions(&self, policy: RestorePolicy) -> Result<()> {
        let files = &self.inner.deps.files;
        files
            .remove_all_qr_codes()
            .await
            .context("removing the QR codes of an earlier run")?;
        let Some((mut ordered, linked)) = self.read_saved_sessions().await else {
            return Ok(());
        };
        let removed: BTreeSet<_> = ordered
            .extract_if(.., |_, ordered| ordered.removed.is_some())
            // It parsed when it was saved.
            .filter_map(|(name, ordered)| Some((SessionName::parse(&name).ok()?, ordered)))
            .map(|(name, ordered)| self.finish_removal(name, ordered))
            .collect();
        let listed = files.list_sessions().await?;
        if listed.originals > 0 {
            tracing::warn!(
                count = listed.originals,
                "ignoring session files of the original (.gob): WhatsApp has ended their protocol; scan these sessions anew"
            );
        }
        for path in listed.strangers {
            tracing::warn!(
                file = masking::mask_path(&path),
                "ignoring a file whose name is not a session's"
            );
        }
        let turns = Arc::new(LoginTurns::new(policy, self.inner.deps.clock.clone()));
        for name in listed.names {
            if removed.contains(&name) {
                continue;
            }
            let ordered = ordered.remove(name.as_str());
            let is_linked = linked.contains(name.as_str());
            // Its file is inspected when it is opened.
            let file = match is_linked {
                true => SessionFile::Paired,
                false => {
                    inspect_file(&files.session_path(&name), self.inner.deps.store.sealer()).await
                }
            };
            if ordered.is_none() && file == SessionFile::NeverPaired {
                continue;
            }
            self.restore_session(&name, ordered, (&file, is_linked), &turns);
        }
        for (name, ordered) in ordered {
            // It parsed when it was saved.
            let Ok(name) = SessionName::parse(&name) else {
                continue;
            };
            // It may have come since the files were listed.
            let file =
                inspect_file(&files.session_path(&name), self.inner.deps.store.sealer()).await;
            let is_linked = linked.contains(name.as_str());
            self.restore_session(&name, Some(ordered), (&file, is_linked), &turns);
        }
        descriptors::warn_if_low(self.all_sessions().len());
        // End the lives of all other names, including sessions that disappeared while the program
        // was not running.
        let names = self
            .all_sessions()
            .iter()
            .map(|session| session.name.as_str().to_owned())
            .collect();
        self.inner.deps.store.lives().end_all_except(&names);
        self.inner.listed.send_replace(true);
        Ok(())
    }

    /// Continues the removal of a session that the program's end interrupted. The name stays taken
    /// until the removal succeeds, and no caller waits for it.
    fn finish_removal(&self, name: SessionName, ordered: SavedSession) -> SessionName {
        let mut sessions = self.lock_sessions();
        // It may exist if listing the saved sessions is retried.
        if !sessions.contains_key(&name) {
            let leave = ordered.removed.unwrap_or(RemovalMode::KeepLives);
            let session = self.add_session(&mut sessions, &name, ordered);
            session.set_removal_mode(leave);
            session.set_desired_state(DesiredState::Remove);
            self.spawn_actor(session);
        }
        name
    }

    /// Reads the saved sessions, by name, and the names of those that are linked. Retries until the database answers, because a session
    /// stopped by its owner must not start after a moment of trouble. Returns `None` if the program
    /// ends first.
    async fn read_saved_sessions(&self) -> Option<SavedSessions> {
        let parts = &self.inner.deps;
        loop {
            match self.try_read_saved().await {
                Ok(saved) => return Some(saved),
                Err(error) => tracing::error!(%error, "saved sessions wait for the database"),
            }
            parts
                .lifecycle
                .unless_stopping(parts.clock.sleep(RETRY_PAUSE))
                .await?;
        }
    }

    async fn try_read_saved(&self) -> Result<SavedSessions, StoreError> {
        let store = &self.inner.deps.store;
        store.sessions().record_received().await?;
        let received = store.sessions().last_received().await?;
        self.inner.deps.received.add_saved(received);
        let linked = store.sessions().linked_sessions().await?;
        Ok((store.sessions().load_sessions().await?, linked))
    }

    /// Restores a session, unless a caller has registered it before.
    fn restore_session(
        &self,
        name: &SessionName,
        ordered: Option<SavedSession>,
        (file, is_saved_as_linked): (&SessionFile, bool),
        turns: &Arc<LoginTurns>,
    ) {
        let is_unpaired = matches!(file, SessionFile::Absent | SessionFile::NeverPaired);
        let ordered = ordered.unwrap_or_default();
        let is_stopped = ordered.is_stopped;
        let session = {
            let mut sessions = self.lock_sessions();
            if sessions.contains_key(name) {
                return;
            }
            self.add_session(&mut sessions, name, ordered)
        };
        if *file == SessionFile::Paired {
            session.assume_paired();
        }
        if is_unpaired && !is_stopped {
            // Unseen codes would expire one after the other.
            session.set_status(SessionPhase::ScanQr, Some("expired".to_owned()));
        }
        session
            .is_saved_as_linked
            .store(is_saved_as_linked, Ordering::Relaxed);
        let restoring = self.clone().run_restored(session, Arc::clone(turns));
        self.inner.deps.lifecycle.spawn(restoring);
    }

    /// Holds one of the few places until the session is online or clearly cannot be for now, then
    /// runs the session without it. A command takes effect without waiting for the session's turn.
    async fn run_restored(self, session: Arc<Session>, turns: Arc<LoginTurns>) {
        let parts = self.inner.deps.clone();
        let mut intents = session.watch_desired_state();
        let ordered = async {
            if *intents.borrow_and_update() == DesiredState::Run {
                // The sender lives as long as the session, which this task holds.
                let _ = intents.changed().await;
            }
        };
        let permit = tokio::select! {
            () = parts.lifecycle.await_stop() => return session.mark_ended(),
            () = ordered => None,
            permit = wait_for_permit(&session, &turns) => permit,
        };
        if permit.is_some() {
            let (settled, limit) = (Arc::clone(&session), parts.whatsapp_timeout);
            parts.lifecycle.spawn(async move {
                settled
                    .wait_for_state(limit, |state| {
                        !matches!(
                            state.status,
                            SessionPhase::Starting | SessionPhase::Connecting
                        )
                    })
                    .await;
                drop(permit);
            });
        }
        Box::pin(self.run_session(session)).await;
    }
}

/// Waits for the turn of a session. An unpaired one first waits until its QR code is requested.
async fn wait_for_permit(session: &Session, turns: &LoginTurns) -> Option<OwnedSemaphorePermit> {
    while session.state().is_qr_expired() {
        session.wake.notified().await;
    }
    turns.wait_for_turn().await
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use jiff::Timestamp;

    use super::*;
    use crate::system::clock::TimeSource;

    const INTERVAL: Duration = Duration::from_secs(10);

    /// A clock that is set, and on which nobody waits; it notes for how long they would have.
    #[derive(Clone, Default)]
    struct NotingClock {
        uptime: Arc<Mutex<Duration>>,
        waits: Arc<Mutex<Vec<Duration>>>,
    }

    impl NotingClock {
        /// The waits since the last look, without the random ones.
        fn waits(&self) -> Vec<Duration> {
            let waits = std::mem::take(&mut *self.waits.lock());
            let is_turn = |wait: &Duration| wait.is_zero() || *wait >= INTERVAL;
            waits.into_iter().filter(is_turn).collect()
        }
    }

    impl TimeSource for NotingClock {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }

        fn uptime(&self) -> Duration {
            *self.uptime.lock()
        }

        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            self.waits.lock().push(duration);
            ready(()).boxed()
        }
    }

    fn turns(max_logins: usize, time: &NotingClock) -> LoginTurns {
        let interval = INTERVAL;
        let policy = RestorePolicy {
            max_logins,
            interval,
        };
        LoginTurns::new(policy, Clock::new(time.clone()))
    }

    #[tokio::test]
    async fn logins_begin_one_after_the_other() {
        let time = NotingClock::default();
        let turns = turns(9, &time);
        for _ in 0..3 {
            drop(turns.wait_for_turn().await.unwrap());
        }
        assert_eq!(time.waits(), [Duration::ZERO, INTERVAL, 2 * INTERVAL]);
        *time.uptime.lock() = 100 * INTERVAL;
        drop(turns.wait_for_turn().await.unwrap());
        assert_eq!(time.waits(), [Duration::ZERO]);
    }

    #[tokio::test]
    async fn those_that_waited_for_a_place_do_not_leave_at_once() {
        let time = NotingClock::default();
        let turns = turns(2, &time);
        let first = (turns.wait_for_turn().await, turns.wait_for_turn().await);
        let mut next = [
            Box::pin(turns.wait_for_turn()),
            Box::pin(turns.wait_for_turn()),
        ];
        for waiting in &mut next {
            assert!(waiting.now_or_never().is_none(), "there is no place");
        }
        time.waits();
        *time.uptime.lock() = 100 * INTERVAL;
        drop(first);
        for waiting in next {
            drop(waiting.await.unwrap());
        }
        assert_eq!(time.waits(), [Duration::ZERO, INTERVAL]);
    }
}
