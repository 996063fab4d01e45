//! Restores saved sessions when the program starts; sessions stopped by their owner stay stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::session::Intent;
use super::{Parts, PoisonError, Session, SessionName, Sessions, Status};
use crate::store::session_file::{SessionFile, inspect};
use crate::store::{Leave, Ordered, StoreError};
use crate::telemetry::shown;

/// Longest random delay before a saved session logs in at start.
const JITTER: Duration = Duration::from_millis(250);
/// Pause before the database is asked again.
const PAUSE: Duration = Duration::from_secs(1);

impl Sessions {
    /// Logs in all saved sessions in the background, a few at a time. A session that was never
    /// paired rests until its QR code is requested if it was created with `POST /v1/sessions`;
    /// otherwise it is not restored.
    pub async fn restore(&self, at_once: usize) {
        let Parts {
            lifecycle, clock, ..
        } = &self.inner.around;
        while let Err(error) = self.list_saved(at_once).await {
            tracing::error!(
                error = format!("{error:#}"),
                "saved sessions cannot be listed; trying again"
            );
            if lifecycle
                .unless_stopping(clock.sleep(PAUSE))
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
        let Parts {
            lifecycle, clock, ..
        } = &self.inner.around;
        let mut listed = self.inner.listed.subscribe();
        tokio::select! {
            listed = lifecycle.unless_stopping(listed.wait_for(|listed| *listed)) => matches!(listed, Some(Ok(_))),
            () = clock.sleep(limit) => false,
        }
    }

    async fn list_saved(&self, at_once: usize) -> Result<()> {
        let files = &self.inner.around.files;
        files
            .remove_all_qr_codes()
            .await
            .context("removing the QR codes of an earlier run")?;
        let Some(mut ordered) = self.remembered().await else {
            return Ok(());
        };
        let removed: BTreeSet<_> = ordered
            .extract_if(.., |_, ordered| ordered.removed.is_some())
            // It parsed when it was saved.
            .filter_map(|(name, ordered)| Some((SessionName::parse(&name).ok()?, ordered)))
            .map(|(name, ordered)| self.finish_removal(name, ordered))
            .collect();
        let (names, strangers) = files.saved_sessions().await?;
        for path in strangers {
            tracing::warn!(
                file = shown::file(&path),
                "this file's name is not one that wapi gives; it is left alone"
            );
        }
        let places = Arc::new(Semaphore::new(at_once));
        for name in names {
            if removed.contains(&name) {
                continue;
            }
            let ordered = ordered.remove(name.as_str());
            if ordered.is_none() && inspect(&files.session(&name)).await == SessionFile::NeverPaired
            {
                continue;
            }
            self.restore_one(&name, ordered, &places).await;
        }
        for (name, ordered) in ordered {
            // It parsed when it was saved.
            let Ok(name) = SessionName::parse(&name) else {
                continue;
            };
            self.restore_one(&name, Some(ordered), &places).await;
        }
        // End the lives of all other names, including sessions that disappeared while the program
        // was not running.
        let names = self
            .all()
            .iter()
            .map(|session| session.name.as_str().to_owned())
            .collect();
        self.inner.around.store.lives().ended_but(&names);
        self.inner.listed.send_replace(true);
        Ok(())
    }

    /// Continues the removal of a session that the program's end interrupted. The name stays taken
    /// until the removal succeeds, and no caller waits for it.
    fn finish_removal(&self, name: SessionName, ordered: Ordered) -> SessionName {
        let mut sessions = self.lock();
        // It may exist if listing the saved sessions is retried.
        if !sessions.contains_key(&name) {
            let leave = ordered.removed.unwrap_or(Leave::Lives);
            let session = self.add(&mut sessions, &name, ordered);
            session.leave(leave);
            session.set_intent(Intent::Remove);
            self.spawn(session);
        }
        name
    }

    /// Reads the saved sessions, by name. Retries until the database answers, because a session
    /// stopped by its owner must not start after a moment of trouble. Returns `None` if the program
    /// ends first.
    async fn remembered(&self) -> Option<BTreeMap<String, Ordered>> {
        let parts = &self.inner.around;
        loop {
            match self.recall().await {
                Ok(ordered) => return Some(ordered),
                Err(error) => tracing::error!(%error, "saved sessions wait for the database"),
            }
            parts
                .lifecycle
                .unless_stopping(parts.clock.sleep(PAUSE))
                .await?;
        }
    }

    async fn recall(&self) -> Result<BTreeMap<String, Ordered>, StoreError> {
        let store = &self.inner.around.store;
        store.note_received().await?;
        let received = store.last_received().await?;
        self.inner
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(received);
        store.ordered_sessions().await
    }

    async fn restore_one(
        &self,
        name: &SessionName,
        ordered: Option<Ordered>,
        places: &Arc<Semaphore>,
    ) {
        let file = inspect(&self.inner.around.files.session(name)).await;
        let is_unpaired = matches!(file, SessionFile::Absent | SessionFile::NeverPaired);
        let ordered = ordered.unwrap_or_default();
        let is_stopped = ordered.is_stopped;
        let session = {
            let mut sessions = self.lock();
            if sessions.contains_key(name) {
                // A caller registered it before.
                return;
            }
            self.add(&mut sessions, name, ordered)
        };
        if file == SessionFile::Paired {
            session.expect_device();
        }
        if is_unpaired && !is_stopped {
            // Unseen codes would expire one after the other.
            session.move_to(Status::ScanQr, Some("expired".to_owned()));
        }
        let restoring = self.clone().bring_back(session, Arc::clone(places));
        self.inner.around.lifecycle.spawn(restoring);
    }

    /// Holds one of the few places until the session is online or clearly cannot be for now, then
    /// runs the session without it. A command takes effect without waiting for the session's turn.
    async fn bring_back(self, session: Arc<Session>, places: Arc<Semaphore>) {
        let parts = self.inner.around.clone();
        let mut intents = session.intents();
        let ordered = async {
            if *intents.borrow_and_update() == Intent::Run {
                // The sender lives as long as the session, which this task holds.
                let _ = intents.changed().await;
            }
        };
        let place = tokio::select! {
            () = parts.lifecycle.stopping() => return session.end(),
            () = ordered => None,
            place = self.turn_at_start(&session, places) => place,
        };
        if place.is_some() {
            let (settled, limit) = (Arc::clone(&session), parts.whatsapp_timeout);
            parts.lifecycle.spawn(async move {
                settled
                    .wait_for(limit, |state| {
                        !matches!(state.status, Status::Starting | Status::Connecting)
                    })
                    .await;
                drop(place);
            });
        }
        Box::pin(self.live(session)).await;
    }

    /// Waits for a place. An unpaired session first waits until its QR code is requested.
    async fn turn_at_start(
        &self,
        session: &Session,
        places: Arc<Semaphore>,
    ) -> Option<OwnedSemaphorePermit> {
        while session.state().is_expired() {
            session.asked.notified().await;
        }
        let place = places.acquire_owned().await.ok();
        self.inner
            .around
            .clock
            .sleep(JITTER.mul_f64(rand::random()))
            .await;
        place
    }
}
