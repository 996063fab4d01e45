//! Restores saved sessions when the program starts; sessions stopped by their owner stay stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::masking;
use crate::model::session_name::SessionName;
use crate::sessions::session::DesiredState;
use crate::sessions::{Session, SessionDeps, SessionPhase, Sessions};
use crate::store::session_file::{SessionFile, inspect_file};
use crate::store::{RemovalMode, SavedSession, StoreError};

/// Longest random delay before a saved session logs in at start.
const MAX_JITTER: Duration = Duration::from_millis(250);
/// Pause before the database is asked again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

impl Sessions {
    /// Logs in all saved sessions in the background, a few at a time. A session that was never
    /// paired rests until its QR code is requested if it was created with `POST /v1/sessions`;
    /// otherwise it is not restored.
    pub async fn restore_all(&self, at_once: usize) {
        let SessionDeps {
            lifecycle, clock, ..
        } = &self.inner.deps;
        while let Err(error) = self.add_saved_sessions(at_once).await {
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

    async fn add_saved_sessions(&self, at_once: usize) -> Result<()> {
        let files = &self.inner.deps.files;
        files
            .remove_all_qr_codes()
            .await
            .context("removing the QR codes of an earlier run")?;
        let Some(mut ordered) = self.read_saved_sessions().await else {
            return Ok(());
        };
        let removed: BTreeSet<_> = ordered
            .extract_if(.., |_, ordered| ordered.removed.is_some())
            // It parsed when it was saved.
            .filter_map(|(name, ordered)| Some((SessionName::parse(&name).ok()?, ordered)))
            .map(|(name, ordered)| self.finish_removal(name, ordered))
            .collect();
        let (names, strangers) = files.list_sessions().await?;
        for path in strangers {
            tracing::warn!(
                file = masking::mask_path(&path),
                "ignoring a file whose name is not a session's"
            );
        }
        let permits = Arc::new(Semaphore::new(at_once));
        for name in names {
            if removed.contains(&name) {
                continue;
            }
            let ordered = ordered.remove(name.as_str());
            if ordered.is_none()
                && inspect_file(&files.session_path(&name)).await == SessionFile::NeverPaired
            {
                continue;
            }
            self.restore_session(&name, ordered, &permits).await;
        }
        for (name, ordered) in ordered {
            // It parsed when it was saved.
            let Ok(name) = SessionName::parse(&name) else {
                continue;
            };
            self.restore_session(&name, Some(ordered), &permits).await;
        }
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

    /// Reads the saved sessions, by name. Retries until the database answers, because a session
    /// stopped by its owner must not start after a moment of trouble. Returns `None` if the program
    /// ends first.
    async fn read_saved_sessions(&self) -> Option<BTreeMap<String, SavedSession>> {
        let parts = &self.inner.deps;
        loop {
            match self.try_read_saved().await {
                Ok(ordered) => return Some(ordered),
                Err(error) => tracing::error!(%error, "saved sessions wait for the database"),
            }
            parts
                .lifecycle
                .unless_stopping(parts.clock.sleep(RETRY_PAUSE))
                .await?;
        }
    }

    async fn try_read_saved(&self) -> Result<BTreeMap<String, SavedSession>, StoreError> {
        let store = &self.inner.deps.store;
        store.sessions().record_received().await?;
        let received = store.sessions().last_received().await?;
        self.inner.deps.received.add_saved(received);
        store.sessions().load_sessions().await
    }

    async fn restore_session(
        &self,
        name: &SessionName,
        ordered: Option<SavedSession>,
        permits: &Arc<Semaphore>,
    ) {
        let file = inspect_file(&self.inner.deps.files.session_path(name)).await;
        let is_unpaired = matches!(file, SessionFile::Absent | SessionFile::NeverPaired);
        let ordered = ordered.unwrap_or_default();
        let is_stopped = ordered.is_stopped;
        let session = {
            let mut sessions = self.lock_sessions();
            if sessions.contains_key(name) {
                // A caller registered it before.
                return;
            }
            self.add_session(&mut sessions, name, ordered)
        };
        if file == SessionFile::Paired {
            session.assume_paired();
        }
        if is_unpaired && !is_stopped {
            // Unseen codes would expire one after the other.
            session.set_status(SessionPhase::ScanQr, Some("expired".to_owned()));
        }
        let restoring = self.clone().run_restored(session, Arc::clone(permits));
        self.inner.deps.lifecycle.spawn(restoring);
    }

    /// Holds one of the few places until the session is online or clearly cannot be for now, then
    /// runs the session without it. A command takes effect without waiting for the session's turn.
    async fn run_restored(self, session: Arc<Session>, permits: Arc<Semaphore>) {
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
            permit = self.wait_for_permit(&session, permits) => permit,
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

    /// Waits for a place. An unpaired session first waits until its QR code is requested.
    async fn wait_for_permit(
        &self,
        session: &Session,
        permits: Arc<Semaphore>,
    ) -> Option<OwnedSemaphorePermit> {
        while session.state().is_qr_expired() {
            session.wake.notified().await;
        }
        let permit = permits.acquire_owned().await.ok();
        self.inner
            .deps
            .clock
            .sleep(MAX_JITTER.mul_f64(rand::random()))
            .await;
        permit
    }
}
