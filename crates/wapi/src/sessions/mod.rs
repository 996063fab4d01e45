//! All sessions: register, find, restore, check.

mod actor;
mod checks;
mod files;
mod name;
mod pairing;
mod sending;
mod session;
mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::lifecycle::Lifecycle;
use crate::store::session_file::{SessionFile, inspect};
use crate::whatsapp::{Inbox, Whatsapp};

use actor::{Actor, Surroundings};
pub use files::Files;
pub use name::{BadName, SessionName};
pub use pairing::Console;
pub use sending::SendError;
pub use session::Session;
pub use state::{QrCode, SessionState, Status};

/// The longest random wait before a saved session logs in at start.
const RESTORE_JITTER: Duration = Duration::from_millis(250);

/// Every session of this process; cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    sessions: Mutex<BTreeMap<SessionName, Arc<Session>>>,
    around: Surroundings,
    whatsapp_timeout: Duration,
}

/// What [`Sessions`] are made of.
pub struct Parts {
    pub whatsapp: Whatsapp,
    pub files: Files,
    /// Who takes over incoming messages.
    pub inbox: Arc<dyn Inbox>,
    pub console: Console,
    pub clock: Clock,
    pub lifecycle: Lifecycle,
    /// How long to wait for WhatsApp.
    pub whatsapp_timeout: Duration,
}

impl Sessions {
    pub fn new(parts: Parts) -> Self {
        let Parts { whatsapp, files, inbox, console, clock, lifecycle, whatsapp_timeout } = parts;
        let around = Surroundings { whatsapp, files, inbox, console, clock, lifecycle };
        Self { inner: Arc::new(Inner { sessions: Mutex::default(), around, whatsapp_timeout }) }
    }

    pub fn find(&self, name: &SessionName) -> Option<Arc<Session>> {
        self.lock().get(name).cloned()
    }

    /// All sessions, by name.
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.lock().values().cloned().collect()
    }

    /// Starts the session, or wakes it, and waits until it is online, shows a QR code or has failed; or until patience ends.
    pub async fn register(&self, name: &SessionName) -> SessionState {
        self.find_or_start(name).wait_for(self.inner.whatsapp_timeout, is_settled).await
    }

    /// The QR code that waits to be scanned. If the last one expired, asks WhatsApp for new ones first.
    pub async fn qr_code(&self, name: &SessionName) -> Option<QrCode> {
        let session = self.find(name)?;
        if !session.state().is_expired() {
            return session.state().qr;
        }
        wake(&session);
        session.wait_for(self.inner.whatsapp_timeout, is_settled).await.qr
    }

    fn find_or_start(&self, name: &SessionName) -> Arc<Session> {
        let mut sessions = self.lock();
        if let Some(session) = sessions.get(name) {
            wake(session);
            return Arc::clone(session);
        }
        let session = self.add(&mut sessions, name).expect("it was not there, and nobody else holds the lock");
        self.inner.around.lifecycle.spawn(Actor::new(Arc::clone(&session), self.inner.around.clone()).run());
        session
    }

    /// `None` when somebody registered it before.
    fn add(&self, sessions: &mut BTreeMap<SessionName, Arc<Session>>, name: &SessionName) -> Option<Arc<Session>> {
        if sessions.contains_key(name) {
            return None;
        }
        let session = Arc::new(Session::new(name.clone(), self.inner.around.clock.clone()));
        sessions.insert(name.clone(), Arc::clone(&session));
        Some(session)
    }

    /// Logs all saved sessions in, a few at a time, in the background. Sessions that were never paired are left for whoever
    /// registers them.
    pub async fn restore(&self, at_once: usize) -> Result<()> {
        let files = &self.inner.around.files;
        files.remove_all_qr_codes().await.context("removing the QR codes of an earlier run")?;
        let (names, strangers) = files.saved_sessions().await?;
        for path in strangers {
            tracing::warn!(file = %path.display(), "this file's name is not one that wapi gives; it is left alone");
        }
        let places = Arc::new(Semaphore::new(at_once));
        for name in names {
            if inspect(&files.session(&name)).await == SessionFile::NeverPaired {
                continue;
            }
            let Some(session) = self.add(&mut self.lock(), &name) else { continue };
            let restoring =
                restore_one(session, self.inner.around.clone(), Arc::clone(&places), self.inner.whatsapp_timeout);
            self.inner.around.lifecycle.spawn(restoring);
        }
        Ok(())
    }

    /// Starts checking all connections every so often.
    pub fn start_checks(&self, every: Duration) {
        let checking = self.clone().keep_checking(every, self.inner.whatsapp_timeout);
        self.inner.around.lifecycle.spawn(checking);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<SessionName, Arc<Session>>> {
        self.inner.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is something to tell whoever waits for the session.
fn is_settled(state: &SessionState) -> bool {
    state.qr.is_some() || matches!(state.status, Status::Online | Status::Failed | Status::Stopped)
}

/// A session that rests goes on, and one that waits for its next try tries now. The old status would answer whoever asked, so it
/// goes first.
fn wake(session: &Session) {
    if session.state().is_resting() {
        session.move_to(Status::Starting, None);
    }
    session.ask();
}

/// Keeps one of the few places until the session is online or clearly will not be for now, then lives on without it.
async fn restore_one(session: Arc<Session>, around: Surroundings, places: Arc<Semaphore>, limit: Duration) {
    let Some(Ok(place)) = around.lifecycle.unless_stopping(places.acquire_owned()).await else { return };
    around.clock.sleep(RESTORE_JITTER.mul_f64(rand::random())).await;
    let settled = Arc::clone(&session);
    around.lifecycle.spawn(async move {
        settled.wait_for(limit, |state| !matches!(state.status, Status::Starting | Status::Connecting)).await;
        drop(place);
    });
    Actor::new(session, around).run().await;
}
