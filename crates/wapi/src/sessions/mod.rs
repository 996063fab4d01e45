//! All sessions: registering, finding, restoring, commanding and checking them.

mod actor;
mod archive;
mod asking;
mod checks;
mod control;
mod fetching;
mod files;
mod journal;
mod ledger;
mod name;
mod news;
mod newsletters;
mod outbox;
mod pairing;
mod past;
mod profile;
mod purging;
mod reading;
mod restore;
mod sender;
mod sending;
mod session;
mod shop;
mod state;
mod statuses;
mod timers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, watch};

use crate::clock::Clock;
use crate::fetch::Fetcher;
use crate::history::History;
use crate::lifecycle::Lifecycle;
use crate::media::Media;
use crate::names::KnownNames;
pub use crate::store::Leave;
use crate::store::{Life, Ordered, Store};
use crate::whatsapp::{Inbox, Whatsapp};

use actor::Actor;
pub use asking::AskError;
pub use checks::{Check, Inbound};
pub use control::{CommandError, LogOut};
use files::Aside;
pub use files::Files;
use journal::Journal;
use ledger::Ledger;
pub use name::{BadName, SessionName};
pub use pairing::Console;
pub use past::shown;
use sender::Sender;
pub use sending::{NotDeleted, Reply, SendError, Wish};
pub use session::Session;
use session::{Inlets, Intent};
pub use state::{AppState, Connection, QrCode, SessionState, Status};
pub use timers::NotSet;

/// Pause of a session after its task has panicked.
const AFTER_PANIC: Duration = Duration::from_secs(5);

/// Every session of this process; cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    sessions: Mutex<BTreeMap<SessionName, Arc<Session>>>,
    /// Whether the saved sessions have been added.
    listed: watch::Sender<bool>,
    /// Times of the last message received in an earlier run, by life id, for lives that have not
    /// been restored yet.
    received: Mutex<BTreeMap<i64, Timestamp>>,
    journal: Arc<Journal>,
    ledger: Ledger,
    /// Sessions that have come online, to be checked.
    online: mpsc::UnboundedSender<Arc<Session>>,
    unchecked: Mutex<Option<mpsc::UnboundedReceiver<Arc<Session>>>>,
    around: Parts,
}

/// The dependencies of [`Sessions`] and of each session.
#[derive(Clone)]
pub struct Parts {
    pub whatsapp: Whatsapp,
    pub files: Files,
    /// Accepts incoming messages.
    pub inbox: Arc<dyn Inbox>,
    /// Names of people.
    pub names: Arc<KnownNames>,
    /// Stores commands, sent messages and session events.
    pub store: Store,
    pub console: Console,
    /// Fetches the files of sent messages.
    pub fetcher: Fetcher,
    /// Files uploaded or received earlier.
    pub media: Media,
    /// Imports history sync.
    pub history: History,
    pub clock: Clock,
    pub lifecycle: Lifecycle,
    /// Time limit for WhatsApp's answers.
    pub whatsapp_timeout: Duration,
}

/// The result of looking up or adding a session.
enum Found {
    There(Arc<Session>),
    New(Arc<Session>),
}

/// Metadata that the owner attaches to a session; a JSON object.
pub type Metadata = Map<String, Value>;

impl Sessions {
    pub fn new(parts: Parts) -> Self {
        let journal = Arc::new(Journal::new(parts.store.clone(), parts.clock.clone()));
        parts
            .lifecycle
            .spawn(Arc::clone(&journal).keep_saving(parts.lifecycle.clone()));
        let ledger = Ledger::start(parts.store.clone(), parts.clock.clone(), &parts.lifecycle);
        let (sessions, received) = Default::default();
        let listed = watch::Sender::new(false);
        let (online, unchecked) = mpsc::unbounded_channel();
        let unchecked = Mutex::new(Some(unchecked));
        Self {
            inner: Arc::new(Inner {
                sessions,
                listed,
                received,
                journal,
                ledger,
                online,
                unchecked,
                around: parts,
            }),
        }
    }

    /// Returns the current life of a session, or `None` if there is no such session.
    pub fn life(&self, name: &SessionName) -> Option<Life> {
        self.find(name).map(|session| session.life())
    }

    pub fn find(&self, name: &SessionName) -> Option<Arc<Session>> {
        self.lock().get(name).cloned()
    }

    /// Lists all sessions, by name.
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.lock().values().cloned().collect()
    }

    /// Starts or wakes the session, then waits until it is online, shows a QR code or has failed,
    /// but no longer than the timeout for WhatsApp. A session that is being removed is awaited and
    /// replaced by a new one.
    pub async fn register(
        &self,
        name: &SessionName,
    ) -> Result<(Arc<Session>, SessionState), CommandError> {
        let session = loop {
            let session = match self.find_or_add(name) {
                Found::New(session) => break session,
                Found::There(session) => session,
            };
            let is_leaving = match self.turn(&session).await {
                Ok(_turn) => self.start_session(&session).await.map(|_| false)?,
                Err(CommandError::Unknown) => true,
                Err(error) => return Err(error),
            };
            if !is_leaving {
                break session;
            }
            self.gone(&session).await?;
        };
        let state = session
            .wait_for(self.inner.around.whatsapp_timeout, is_settled)
            .await;
        Ok((session, state))
    }

    /// Returns the QR code to scan. If the last one has expired, requests new ones from WhatsApp
    /// first.
    pub async fn qr_code(&self, name: &SessionName) -> Option<QrCode> {
        let session = self.find(name)?;
        if !session.state().is_expired() {
            return session.state().qr;
        }
        self.next_qr_code(&session, self.inner.around.whatsapp_timeout)
            .await
    }

    /// Returns the QR code to scan, also waiting up to `limit` for the first one.
    pub async fn next_qr_code(&self, session: &Session, limit: Duration) -> Option<QrCode> {
        if session.state().is_expired() {
            wake(session);
        }
        session.wait_for(limit, is_settled).await.qr
    }

    fn find_or_add(&self, name: &SessionName) -> Found {
        let mut sessions = self.lock();
        if let Some(session) = sessions.get(name) {
            return Found::There(Arc::clone(session));
        }
        let session = self.add(&mut sessions, name, Ordered::default());
        self.spawn(Arc::clone(&session));
        Found::New(session)
    }

    /// Adds a session that does not exist yet.
    fn add(
        &self,
        sessions: &mut BTreeMap<SessionName, Arc<Session>>,
        name: &SessionName,
        ordered: Ordered,
    ) -> Arc<Session> {
        let Ordered {
            is_stopped,
            metadata,
            past,
            ..
        } = ordered;
        let intent = if is_stopped {
            Intent::Stop
        } else {
            Intent::Run
        };
        let journal = Arc::clone(&self.inner.journal);
        let parts = self.inner.around.clone();
        let life = parts.store.lives().begun(name.as_str());
        let (session, inlets) = Session::new(
            name.clone(),
            life,
            intent,
            metadata,
            journal,
            parts.clock.clone(),
        );
        session.expect_past(past);
        let session = Arc::new(session);
        parts
            .lifecycle
            .spawn(self.clone().keep_sending(Arc::clone(&session), inlets));
        let received = self
            .inner
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&session.life().id());
        if let Some(at) = received {
            session.received(at);
        }
        sessions.insert(name.clone(), Arc::clone(&session));
        session
    }

    /// Starts the session's task.
    fn spawn(&self, session: Arc<Session>) {
        self.inner
            .around
            .lifecycle
            .spawn(self.clone().live(session));
    }

    /// Sends a session's messages for as long as it lives. A sender that panicked is replaced by
    /// one that continues from the store.
    async fn keep_sending(self, session: Arc<Session>, mut inlets: Inlets) {
        let parts = &self.inner.around;
        loop {
            let sender = Sender::new(
                Arc::clone(&session),
                parts.clone(),
                self.inner.ledger.clone(),
            );
            if parts
                .lifecycle
                .caught(sender.run(&mut inlets))
                .await
                .is_some()
            {
                return session.falls_silent();
            }
            tracing::error!(session = %session.name, "its sender is started anew");
            parts
                .lifecycle
                .unless_stopping(parts.clock.sleep(AFTER_PANIC))
                .await;
        }
    }

    /// Runs a session for its whole existence. A panic must not end it: its task is started again.
    async fn live(self, session: Arc<Session>) {
        let Parts {
            lifecycle, clock, ..
        } = &self.inner.around;
        loop {
            let actor = Actor::new(
                Arc::clone(&session),
                self.inner.around.clone(),
                self.inner.online.clone(),
            );
            if lifecycle.caught(actor.run()).await.is_some() {
                break;
            }
            tracing::error!(session = %session.name, "its task is started anew");
            session.set_link(None);
            session.move_to(
                Status::Offline,
                Some("an error of the gateway's own; it goes on in a moment".to_owned()),
            );
            lifecycle.unless_stopping(clock.sleep(AFTER_PANIC)).await;
        }
        if session.intent() == Intent::Remove {
            let lives = self.inner.around.store.lives();
            let left = lives.of(session.name.as_str());
            // Before the name becomes free: the next session of this name begins another life.
            lives.ended(session.name.as_str());
            self.lock().remove(&session.name);
            session.end();
            if session.leaves() == Leave::Nothing {
                session.silent().await;
                self.purge(left).await;
                session.is_purged();
            }
        }
        session.end();
    }

    /// Returns a description of the problem while sessions cannot save their keys.
    pub fn trouble(&self) -> Option<String> {
        self.inner.around.whatsapp.trouble()
    }

    /// Starts the periodic checks of all connections. Only the first call has an effect.
    pub fn start_checks(&self, every: Duration) {
        let unchecked = self
            .inner
            .unchecked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(unchecked) = unchecked {
            self.inner
                .around
                .lifecycle
                .spawn(self.clone().keep_checking(every, unchecked));
        }
    }

    /// Saves the sessions' last events. To be called after all tasks of the program have ended, and
    /// before the store does.
    pub async fn save_rest(&self) {
        self.inner.journal.save_rest().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<SessionName, Arc<Session>>> {
        self.inner
            .sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a caller that waits for the session has something to see.
fn is_settled(state: &SessionState) -> bool {
    state.qr.is_some()
        || matches!(
            state.status,
            Status::Online | Status::Failed | Status::Stopped
        )
}

/// Wakes a session that rests, or ends its wait for the next attempt. The old status goes first, as
/// it would answer the waiting caller.
fn wake(session: &Session) {
    session.update(|state| {
        if state.is_resting() {
            state.move_to(Status::Starting, None, session.now());
        }
    });
    session.ask();
}
