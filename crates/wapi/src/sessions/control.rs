//! Commands of a session's owner: create, start, stop, restart, log out, remove. A command is saved
//! before it is carried out. Commands of one session run one after another and the last one wins;
//! none is accepted after a removal.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{MutexGuard, OwnedMutexGuard, watch};

use super::actor::STOPPED_BY_HAND;
use super::{Intent, Metadata, Session, SessionName, SessionState, Sessions, Status};
use crate::store::{Leave, Ordered, Past, Stop, StoreError};
use crate::whatsapp::{NoAnswer, NoCode};

/// Time a session may take to come to rest. Its parts have limits of their own, which add up to
/// less.
const RESTING: Duration = Duration::from_secs(30);

/// Time a command may wait for earlier ones.
const TURN: Duration = Duration::from_secs(60);

/// Time the end of a connection may take to be noticed.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Reasons why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("there is no session of this name")]
    Unknown,
    #[error("there is a session of this name")]
    Exists,
    #[error("no phone has linked the session")]
    NotPaired,
    #[error("a phone has linked the session")]
    Paired,
    /// The program no longer accepts commands.
    #[error("the program is ending")]
    Ending,
    /// An earlier command takes long. This one was not carried out; a removal continues in the
    /// background.
    #[error("an earlier order is still being followed")]
    Busy,
    #[error("the session is not online")]
    NotOnline {
        status: Status,
        reason: Option<String>,
    },
    /// WhatsApp was asked and did not answer.
    #[error(transparent)]
    NoAnswer(NoAnswer),
    #[error(transparent)]
    NoCode(NoCode),
    /// The command could not be saved, and nothing was done.
    #[error(transparent)]
    NotSaved(#[from] StoreError),
}

/// Whether removing a session first takes its device off the account's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOut {
    First,
    No,
}

impl Sessions {
    /// Creates a session and starts it. It survives restarts, scanned or not. With `past`, it
    /// requests history sync from its phone.
    pub async fn create(
        &self,
        name: &SessionName,
        metadata: Metadata,
        past: Option<Past>,
    ) -> Result<Arc<Session>, CommandError> {
        let ordered = Ordered {
            metadata,
            past,
            ..Ordered::default()
        };
        // Reserve the name before saving the row, so that a concurrent restore finds the row only
        // once the name is taken.
        let place = loop {
            let former = {
                let mut sessions = self.lock();
                match sessions.get(name) {
                    None => {
                        let session = self.add(&mut sessions, name, ordered.clone());
                        // No other command of this session is saved before this one.
                        let turn = Arc::clone(&session.turn)
                            .try_lock_owned()
                            .expect("nobody knows it yet");
                        break Place {
                            session,
                            sessions: self,
                            is_taken: false,
                            _turn: turn,
                        };
                    }
                    Some(former) => Arc::clone(former),
                }
            };
            if former.intent() != Intent::Remove {
                return Err(CommandError::Exists);
            }
            self.gone(&former).await?;
        };
        self.inner
            .around
            .store
            .order_session(name.as_str(), &ordered)
            .await?;
        Ok(place.take())
    }

    /// Starts a session that was stopped, and wakes one that rests. It stays started across
    /// restarts.
    pub async fn start(&self, name: &SessionName) -> Result<SessionState, CommandError> {
        let session = self.find(name).ok_or(CommandError::Unknown)?;
        let _turn = self.turn(&session).await?;
        self.start_session(&session).await
    }

    /// Starts a session while its turn is held.
    pub(super) async fn start_session(
        &self,
        session: &Session,
    ) -> Result<SessionState, CommandError> {
        if session.intent() == Intent::Stop {
            self.inner
                .around
                .store
                .order_stop(session.name.as_str(), Stop::No)
                .await?;
            session.update(|state| {
                if state.status == Status::Stopped {
                    state.move_to(Status::Starting, None, session.now());
                }
            });
            session.set_intent(Intent::Run);
        } else {
            super::wake(session);
        }
        Ok(session.state())
    }

    /// Stops a session until it is started again, across any number of restarts.
    pub async fn stop(&self, name: &SessionName) -> Result<SessionState, CommandError> {
        let session = self.find(name).ok_or(CommandError::Unknown)?;
        let later = {
            let _turn = self.turn(&session).await?;
            self.inner
                .around
                .store
                .order_stop(name.as_str(), Stop::ByHand)
                .await?;
            session.set_intent(Intent::Stop);
            session.intents()
        };
        let is_stopped = |state: &SessionState| {
            state.status == Status::Stopped && state.reason.as_deref() == Some(STOPPED_BY_HAND)
        };
        Ok(followed(&session, later, is_stopped).await)
    }

    /// Drops the session's connection and makes a new one, with a client built from the saved
    /// state. Starts a session that was stopped.
    pub async fn restart(&self, name: &SessionName) -> Result<SessionState, CommandError> {
        let session = self.find(name).ok_or(CommandError::Unknown)?;
        let (before, later) = {
            let _turn = self.turn(&session).await?;
            let before = self.start_session(&session).await?;
            // The intent stays the same; setting it again ends the link.
            session.set_intent(Intent::Run);
            (before, session.intents())
        };
        let is_other =
            |state: &SessionState| (state.status, state.since) != (before.status, before.since);
        Ok(followed(&session, later, is_other).await)
    }

    /// Takes the session off its account's list of devices. The session stays, and shows a QR code
    /// when it is started again.
    pub async fn log_out(&self, name: &SessionName) -> Result<SessionState, CommandError> {
        let session = self.find(name).ok_or(CommandError::Unknown)?;
        let later = {
            let _turn = self.turn(&session).await?;
            self.log_out_session(&session).await?;
            session.intents()
        };
        Ok(followed(&session, later, |state| state.status == Status::LoggedOut).await)
    }

    /// Waits until no earlier command is being saved. Fails for a session that is being removed.
    pub(super) async fn turn<'a>(
        &self,
        session: &'a Session,
    ) -> Result<MutexGuard<'a, ()>, CommandError> {
        let turn = self
            .inner
            .around
            .clock
            .timeout(TURN, session.turn.lock())
            .await
            .map_err(|_| CommandError::Busy)?;
        match session.intent() {
            Intent::Remove => Err(CommandError::Unknown),
            Intent::Run | Intent::Stop if session.has_ended() => Err(CommandError::Ending),
            Intent::Run | Intent::Stop => Ok(turn),
        }
    }

    /// Waits for the end of a session that is being removed.
    pub(super) async fn gone(&self, session: &Session) -> Result<(), CommandError> {
        self.inner
            .around
            .clock
            .timeout(RESTING, session.ended())
            .await
            .map_err(|_| CommandError::Busy)
    }

    async fn log_out_session(&self, session: &Session) -> Result<(), CommandError> {
        let SessionState {
            paired,
            status,
            reason,
            ..
        } = session.state();
        if !paired {
            return Err(CommandError::NotPaired);
        }
        let link = session.link().filter(|_| status == Status::Online);
        let link = link.ok_or(CommandError::NotOnline { status, reason })?;
        let Err(error) = link.log_out(self.inner.around.whatsapp_timeout).await else {
            return Ok(());
        };
        // WhatsApp's answer and the end of the connection arrive together, and the engine may drop
        // the answer.
        match session
            .wait_for(LAST_WORD, |state| state.status == Status::LoggedOut)
            .await
            .status
        {
            Status::LoggedOut => Ok(()),
            _ => Err(CommandError::NoAnswer(error)),
        }
    }

    /// Removes a session. Its file is moved aside; events received so far are still delivered. If
    /// no device is to stay linked, one that a phone links at this very moment is logged out, too.
    /// With [`Leave::Nothing`], the leftovers of a former session of that name are removed as well.
    /// A saved removal is completed whether or not the caller waits for it.
    pub async fn remove(
        &self,
        name: &SessionName,
        log_out: LogOut,
        leave: Leave,
    ) -> Result<(), CommandError> {
        let removed = match self.find(name) {
            Some(session) => self.remove_session(&session, log_out, leave).await,
            None => Err(CommandError::Unknown),
        };
        match removed {
            Err(CommandError::Unknown) if leave == Leave::Nothing => self.purge_former(name).await,
            removed => removed,
        }
    }

    async fn remove_session(
        &self,
        session: &Session,
        log_out: LogOut,
        leave: Leave,
    ) -> Result<(), CommandError> {
        {
            let _turn = self.turn(session).await?;
            let is_paired = session.state().paired;
            if log_out == LogOut::First && is_paired {
                self.log_out_session(session).await?;
            }
            self.inner
                .around
                .store
                .order_removal(session.name.as_str(), leave)
                .await?;
            session.leave(leave);
            if log_out == LogOut::First || !is_paired {
                session.leave_no_device();
            }
            session.set_intent(Intent::Remove);
        }
        self.gone(session).await?;
        // From here on, either nothing more is written about the session, or nothing of it is left.
        let rest = async {
            session.silent().await;
            if leave == Leave::Nothing {
                session.purged().await;
            }
        };
        self.inner
            .around
            .clock
            .timeout(RESTING, rest)
            .await
            .map_err(|_| CommandError::Busy)
    }

    /// Requests a code to type into the phone instead of scanning. `phone` is an international
    /// number in digits. Wakes a session that rests.
    pub async fn pairing_code(
        &self,
        name: &SessionName,
        phone: &str,
    ) -> Result<String, CommandError> {
        let session = self.find(name).ok_or(CommandError::Unknown)?;
        let limit = self.inner.around.whatsapp_timeout;
        // A code belongs to a connection that waits for pairing, and such a connection shows a QR
        // code.
        let has_code = self.next_qr_code(&session, limit).await.is_some();
        let SessionState {
            paired,
            status,
            reason,
            ..
        } = session.state();
        if paired {
            return Err(CommandError::Paired);
        }
        let link = session
            .link()
            .filter(|_| has_code)
            .ok_or(CommandError::NotOnline { status, reason })?;
        link.pairing_code(phone, limit)
            .await
            .map_err(CommandError::NoCode)
    }
}

/// Waits up to [`RESTING`] until a command has taken effect, a later command has replaced it, or
/// the session has ended.
async fn followed(
    session: &Session,
    mut later: watch::Receiver<Intent>,
    is_so: impl FnMut(&SessionState) -> bool,
) -> SessionState {
    tokio::select! {
        _ = session.wait_for(RESTING, is_so) => {}
        _ = later.changed() => {}
        () = session.ended() => {}
    }
    session.state()
}

/// Reservation of the name of an unsaved session. Dropping it untaken frees the name.
struct Place<'a> {
    session: Arc<Session>,
    sessions: &'a Sessions,
    is_taken: bool,
    _turn: OwnedMutexGuard<()>,
}

impl Place<'_> {
    fn take(mut self) -> Arc<Session> {
        self.is_taken = true;
        self.sessions.spawn(Arc::clone(&self.session));
        Arc::clone(&self.session)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.is_taken {
            self.sessions
                .inner
                .around
                .store
                .lives()
                .ended(self.session.name.as_str());
            self.sessions.lock().remove(&self.session.name);
            self.session.end();
        }
    }
}
