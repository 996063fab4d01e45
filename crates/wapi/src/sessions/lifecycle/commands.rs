//! Commands of a session's owner: create, start, stop, restart, log out, remove. A command is saved
//! before it is carried out. Commands of one session run one after another and the last one wins;
//! none is accepted after a removal.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{MutexGuard, OwnedMutexGuard, watch};

use super::actor::STOPPED_BY_OWNER;
use crate::model::send_hold::Pacing;
use crate::model::session_name::SessionName;
use crate::net::proxy::{FormerProxy, ProxyAddress};
use crate::sessions::{
    DesiredState, Session, SessionDeps, SessionError, SessionMetadata, SessionPhase, SessionState,
    Sessions,
};
use crate::store::{RemovalMode, SavedSession, SettingsChange, StopState, SyncProgress};
use crate::whatsapp::{ProxyCheck, RequestError};

/// Time a session may take to come to rest. Its parts have limits of their own, which add up to
/// less.
const REST_TIMEOUT: Duration = Duration::from_secs(30);

/// Time a command may wait for earlier ones.
const TURN_TIMEOUT: Duration = Duration::from_secs(60);

/// Time the end of a connection may take to be noticed.
const LOGOUT_NOTICE_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether removing a session first takes its device off the account's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogoutMode {
    First,
    No,
}

impl Sessions {
    /// Creates a session and starts it. It survives restarts, scanned or not. With `past`, it
    /// requests history sync from its phone.
    pub async fn create(
        &self,
        name: &SessionName,
        metadata: SessionMetadata,
        past: Option<SyncProgress>,
        pacing: Pacing,
        proxy: Option<ProxyAddress>,
    ) -> Result<Arc<Session>, SessionError> {
        let ordered = SavedSession {
            metadata,
            pacing,
            proxy,
            sync_progress: past,
            ..SavedSession::default()
        };
        // Reserve the name before saving the row, so that a concurrent restore finds the row only
        // once the name is taken.
        let reservation = loop {
            let former = {
                let mut sessions = self.lock_sessions();
                match sessions.get(name) {
                    None => {
                        let session = self.add_session(&mut sessions, name, ordered.clone());
                        // Together with its name: nothing of it must leave by another way.
                        let proxies = &self.inner.deps.proxies;
                        let former = proxies.replace(name.as_str(), ordered.proxy.clone());
                        // No other command of this session is saved before this one.
                        let turn = Arc::clone(&session.command_lock)
                            .try_lock_owned()
                            .expect("its name is new");
                        break SessionReservation {
                            session,
                            sessions: self,
                            former_proxy: Some(former),
                            _turn: turn,
                        };
                    }
                    Some(former) => Arc::clone(former),
                }
            };
            if former.desired_state() != DesiredState::Remove {
                return Err(SessionError::Exists);
            }
            self.wait_until_removed(&former).await?;
        };
        self.inner
            .deps
            .store
            .sessions()
            .save_session(name.as_str(), &ordered)
            .await?;
        Ok(reservation.commit())
    }

    /// Changes settings of the session. One whose proxy changes is reconnected, unless it rests.
    pub async fn change_settings(
        &self,
        name: &SessionName,
        change: SettingsChange,
    ) -> Result<SessionState, SessionError> {
        let session = self.find(name).ok_or(SessionError::NotFound)?;
        let (before, later) = {
            let _turn = self.acquire_turn(&session).await?;
            let SessionDeps { store, proxies, .. } = &self.inner.deps;
            store
                .sessions()
                .save_settings(name.as_str(), &change)
                .await?;
            if let Some(pacing) = change.pacing {
                session.set_pacing(pacing);
            }
            let Some(proxy) = change.proxy else {
                return Ok(session.state());
            };
            let former = proxies.find(name.as_str()).map(|it| it.address);
            proxies.set(name.as_str(), proxy);
            let is_same = proxies.find(name.as_str()).map(|it| it.address) == former;
            let before = session.state();
            if is_same && before.status == SessionPhase::Offline {
                // It may have waited for somebody to confirm that it has no proxy.
                session.request_wake();
            }
            if is_same || before.is_resting() || session.desired_state() != DesiredState::Run {
                return Ok(before);
            }
            // The desired state stays the same; setting it again ends the link.
            session.set_desired_state(DesiredState::Run);
            (before, session.watch_desired_state())
        };
        let is_other =
            |state: &SessionState| (state.status, state.since) != (before.status, before.since);
        Ok(wait_for_effect(&session, later, is_other).await)
    }

    /// Tries the session's proxy.
    pub async fn check_proxy(&self, name: &SessionName) -> Result<ProxyCheck, SessionError> {
        self.find(name).ok_or(SessionError::NotFound)?;
        let check = self.inner.deps.whatsapp.check_proxy(name.as_str()).await;
        let check = check.map_err(|error| SessionError::ProxyUnchecked(format!("{error:#}")))?;
        check.ok_or(SessionError::NoProxy)
    }

    /// Starts a session that was stopped, and wakes one that rests. It stays started across
    /// restarts.
    pub async fn start(&self, name: &SessionName) -> Result<SessionState, SessionError> {
        let session = self.find(name).ok_or(SessionError::NotFound)?;
        let _turn = self.acquire_turn(&session).await?;
        self.start_session(&session).await
    }

    /// Starts a session while its turn is held.
    pub(in crate::sessions) async fn start_session(
        &self,
        session: &Session,
    ) -> Result<SessionState, SessionError> {
        if session.desired_state() == DesiredState::Stop {
            self.inner
                .deps
                .store
                .sessions()
                .save_stop_state(session.name.as_str(), StopState::Running)
                .await?;
            session.update_state(|state| {
                if state.status == SessionPhase::Stopped {
                    state.set_status(SessionPhase::Starting, None, session.now());
                }
            });
            session.set_desired_state(DesiredState::Run);
        } else {
            crate::sessions::wake_session(session);
        }
        Ok(session.state())
    }

    /// Stops a session until it is started again, across any number of restarts.
    pub async fn stop(&self, name: &SessionName) -> Result<SessionState, SessionError> {
        let session = self.find(name).ok_or(SessionError::NotFound)?;
        let later = {
            let _turn = self.acquire_turn(&session).await?;
            self.inner
                .deps
                .store
                .sessions()
                .save_stop_state(name.as_str(), StopState::Stopped)
                .await?;
            session.set_desired_state(DesiredState::Stop);
            session.watch_desired_state()
        };
        let is_stopped = |state: &SessionState| {
            state.status == SessionPhase::Stopped
                && state.reason.as_deref() == Some(STOPPED_BY_OWNER)
        };
        Ok(wait_for_effect(&session, later, is_stopped).await)
    }

    /// Drops the session's connection and makes a new one, with a client built from the saved
    /// state. Starts a session that was stopped.
    pub async fn restart(&self, name: &SessionName) -> Result<SessionState, SessionError> {
        let session = self.find(name).ok_or(SessionError::NotFound)?;
        let (before, later) = {
            let _turn = self.acquire_turn(&session).await?;
            let before = self.start_session(&session).await?;
            // The desired state stays the same; setting it again ends the link.
            session.set_desired_state(DesiredState::Run);
            (before, session.watch_desired_state())
        };
        let is_other =
            |state: &SessionState| (state.status, state.since) != (before.status, before.since);
        Ok(wait_for_effect(&session, later, is_other).await)
    }

    /// Takes the session off its account's list of devices. The session stays, and shows a QR code
    /// when it is started again.
    pub async fn log_out(&self, name: &SessionName) -> Result<SessionState, SessionError> {
        let session = self.find(name).ok_or(SessionError::NotFound)?;
        let later = {
            let _turn = self.acquire_turn(&session).await?;
            self.log_out_session(&session).await?;
            session.watch_desired_state()
        };
        Ok(wait_for_effect(&session, later, |state| {
            state.status == SessionPhase::LoggedOut
        })
        .await)
    }

    /// Waits until no earlier command is being saved. Fails for a session that is being removed.
    pub(in crate::sessions) async fn acquire_turn<'a>(
        &self,
        session: &'a Session,
    ) -> Result<MutexGuard<'a, ()>, SessionError> {
        let turn = self
            .inner
            .deps
            .clock
            .timeout(TURN_TIMEOUT, session.command_lock.lock())
            .await
            .map_err(|_| SessionError::Busy)?;
        match session.desired_state() {
            DesiredState::Remove => Err(SessionError::NotFound),
            DesiredState::Run | DesiredState::Stop if session.has_ended() => {
                Err(SessionError::Stopping)
            }
            DesiredState::Run | DesiredState::Stop => Ok(turn),
        }
    }

    /// Waits for the end of a session that is being removed.
    pub(in crate::sessions) async fn wait_until_removed(
        &self,
        session: &Session,
    ) -> Result<(), SessionError> {
        self.inner
            .deps
            .clock
            .timeout(REST_TIMEOUT, session.wait_until_ended())
            .await
            .map_err(|_| SessionError::Busy)
    }

    async fn log_out_session(&self, session: &Session) -> Result<(), SessionError> {
        let SessionState {
            paired,
            status,
            reason,
            ..
        } = session.state();
        if !paired {
            return Err(SessionError::NotPaired);
        }
        let link = session.link().filter(|_| status == SessionPhase::Online);
        let link = link.ok_or(SessionError::NotOnline { status, reason })?;
        let Err(error) = link.log_out(self.inner.deps.whatsapp_timeout).await else {
            return Ok(());
        };
        // WhatsApp's answer and the end of the connection arrive together, and the engine may drop
        // the answer.
        match session
            .wait_for_state(LOGOUT_NOTICE_TIMEOUT, |state| {
                state.status == SessionPhase::LoggedOut
            })
            .await
            .status
        {
            SessionPhase::LoggedOut => Ok(()),
            _ => Err(SessionError::Whatsapp(error)),
        }
    }

    /// Removes a session. Its file is moved aside; events received so far are still delivered. If
    /// no device is to stay linked, one that a phone links at this very moment is logged out, too.
    /// With [`RemovalMode::Purge`], the leftovers of a former session of that name are removed as well.
    /// A saved removal is completed whether or not the caller waits for it.
    pub async fn remove(
        &self,
        name: &SessionName,
        log_out: LogoutMode,
        leave: RemovalMode,
    ) -> Result<(), SessionError> {
        let removed = match self.find(name) {
            Some(session) => self.remove_session(&session, log_out, leave).await,
            None => Err(SessionError::NotFound),
        };
        match removed {
            Err(SessionError::NotFound) if leave == RemovalMode::Purge => {
                self.purge_former(name).await
            }
            removed => removed,
        }
    }

    async fn remove_session(
        &self,
        session: &Session,
        log_out: LogoutMode,
        leave: RemovalMode,
    ) -> Result<(), SessionError> {
        {
            let _turn = self.acquire_turn(session).await?;
            let is_paired = session.state().paired;
            if log_out == LogoutMode::First && is_paired {
                self.log_out_session(session).await?;
            }
            self.inner
                .deps
                .store
                .sessions()
                .save_removal(session.name.as_str(), leave)
                .await?;
            session.set_removal_mode(leave);
            if log_out == LogoutMode::First || !is_paired {
                session.require_logout();
            }
            session.set_desired_state(DesiredState::Remove);
        }
        self.wait_until_removed(session).await?;
        // From here on, either nothing more is written about the session, or nothing of it is left.
        let rest = async {
            session.wait_for_sender_end().await;
            if leave == RemovalMode::Purge {
                session.wait_until_purged().await;
            }
        };
        self.inner
            .deps
            .clock
            .timeout(REST_TIMEOUT, rest)
            .await
            .map_err(|_| SessionError::Busy)
    }

    /// Requests a code to type into the phone instead of scanning. `phone` is an international
    /// number in digits. Wakes a session that rests.
    pub async fn request_pairing_code(
        &self,
        name: &SessionName,
        phone: &str,
    ) -> Result<String, SessionError> {
        let session = self.find(name).ok_or(SessionError::NotFound)?;
        let limit = self.inner.deps.whatsapp_timeout;
        // A code belongs to a connection that waits for pairing, and such a connection shows a QR
        // code.
        let has_code = session.read_state(|state| state.waits_for_code)
            || self.next_qr_code(&session, limit).await.is_some();
        let SessionState {
            paired,
            status,
            reason,
            ..
        } = session.state();
        if paired {
            return Err(SessionError::AlreadyPaired);
        }
        let link = session
            .link()
            .filter(|_| has_code)
            .ok_or(SessionError::NotOnline { status, reason })?;
        link.request_pairing_code(phone, limit)
            .await
            .map_err(|error| match error {
                RequestError::Rejected(reason) => SessionError::PairingCodeRefused(reason),
                error => error.into(),
            })
    }
}

/// Waits up to [`REST_TIMEOUT`] until a command has taken effect, a later command has replaced it, or
/// the session has ended.
async fn wait_for_effect(
    session: &Session,
    mut later: watch::Receiver<DesiredState>,
    is_so: impl FnMut(&SessionState) -> bool,
) -> SessionState {
    tokio::select! {
        _ = session.wait_for_state(REST_TIMEOUT, is_so) => {}
        _ = later.changed() => {}
        () = session.wait_until_ended() => {}
    }
    session.state()
}

/// Reservation of the name of an unsaved session. Dropping it untaken frees the name.
struct SessionReservation<'a> {
    session: Arc<Session>,
    sessions: &'a Sessions,
    /// The proxy under this name before; `None` once the session is saved.
    former_proxy: Option<FormerProxy>,
    _turn: OwnedMutexGuard<()>,
}

impl SessionReservation<'_> {
    fn commit(mut self) -> Arc<Session> {
        self.former_proxy = None;
        self.sessions.spawn_actor(Arc::clone(&self.session));
        Arc::clone(&self.session)
    }
}

impl Drop for SessionReservation<'_> {
    fn drop(&mut self) {
        let Some(former) = self.former_proxy.take() else {
            return;
        };
        let name = &self.session.name;
        let SessionDeps { store, proxies, .. } = &self.sessions.inner.deps;
        store.lives().end_life(name.as_str());
        let mut sessions = self.sessions.lock_sessions();
        proxies.put_back(name.as_str(), former);
        sessions.remove(name);
        drop(sessions);
        self.session.mark_ended();
    }
}
