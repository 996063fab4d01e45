//! All sessions: registering, finding, restoring, commanding and checking them.

mod account;
mod event_buffer;
mod files;
mod history_sync;
mod lifecycle;
mod outbox;
mod passkey;
mod qr_display;
mod read_elsewhere;
mod sender;
mod sending;
mod session;
mod session_error;
mod state;
mod state_events;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, watch};

use crate::config::NewChatPolicy;
use crate::history::History;
use crate::inbound::Inbox;
use crate::inbound::push_names::NameCache;
use crate::inbound::received_times::ReceivedTimes;
use crate::media::Media;
use crate::media::link_download::FileFetcher;
use crate::model::session_name::SessionName;
use crate::net::proxy::SessionProxies;
use crate::store::{Life, SavedSession, Store};
pub use crate::store::{RemovalMode, SettingsChange};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;
use crate::whatsapp::Whatsapp;

use event_buffer::SessionEventBuffer;
use files::AsideReason;
pub use files::SessionFiles;
pub use history_sync::progress::history_progress;
use lifecycle::actor::SessionActor;
pub use lifecycle::commands::LogoutMode;
pub use lifecycle::health_check::InboundHealth;
pub use qr_display::QrConsole;
use sender::MessageSender;
use sender::outcome_writer::OutcomeWriter;
pub use session::Session;
use session::{DesiredState, SenderChannels};
pub use session_error::SessionError;
pub use state::{AppStateSync, PasskeyState, PasskeyStep, QrCode, SessionPhase, SessionState};

/// Pause of a session after its task has panicked.
const PANIC_PAUSE: Duration = Duration::from_secs(5);

/// Every session of this process; cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<SessionsInner>,
}

struct SessionsInner {
    sessions: Mutex<BTreeMap<SessionName, Arc<Session>>>,
    /// Whether the saved sessions have been added.
    listed: watch::Sender<bool>,
    event_buffer: Arc<SessionEventBuffer>,
    outcome_writer: OutcomeWriter,
    /// Sessions that have come online, to be checked.
    online: mpsc::UnboundedSender<Arc<Session>>,
    to_check: Mutex<Option<mpsc::UnboundedReceiver<Arc<Session>>>>,
    deps: SessionDeps,
}

/// The dependencies of [`Sessions`] and of each session.
#[derive(Clone)]
pub struct SessionDeps {
    pub whatsapp: Whatsapp,
    /// The proxies of sessions.
    pub proxies: SessionProxies,
    pub files: SessionFiles,
    /// Accepts incoming messages.
    pub inbox: Arc<dyn Inbox>,
    /// Times of the last message received.
    pub received: Arc<ReceivedTimes>,
    /// Names of people.
    pub names: Arc<NameCache>,
    /// Stores commands, sent messages and session events.
    pub store: Store,
    pub console: QrConsole,
    /// Fetches the files of sent messages.
    pub fetcher: FileFetcher,
    /// Files uploaded or received earlier.
    pub media: Media,
    /// Imports history sync.
    pub history: History,
    pub clock: Clock,
    pub lifecycle: Lifecycle,
    /// Time limit for WhatsApp's answers.
    pub whatsapp_timeout: Duration,
    /// The operator's choice for messages to new contacts that WhatsApp would refuse.
    pub new_chats: NewChatPolicy,
}

/// The result of looking up or adding a session.
enum FoundSession {
    Existing(Arc<Session>),
    Added(Arc<Session>),
}

/// Metadata that the owner attaches to a session; a JSON object.
pub type SessionMetadata = Map<String, Value>;

impl Sessions {
    pub fn new(parts: SessionDeps) -> Self {
        let event_buffer = Arc::new(SessionEventBuffer::new(
            parts.store.clone(),
            parts.clock.clone(),
        ));
        parts
            .lifecycle
            .spawn(Arc::clone(&event_buffer).keep_saving(parts.lifecycle.clone()));
        let outcome_writer =
            OutcomeWriter::start(parts.store.clone(), parts.clock.clone(), &parts.lifecycle);
        let listed = watch::Sender::new(false);
        let (online, unchecked) = mpsc::unbounded_channel();
        let unchecked = Mutex::new(Some(unchecked));
        Self {
            inner: Arc::new(SessionsInner {
                sessions: Mutex::default(),
                listed,
                event_buffer,
                outcome_writer,
                online,
                to_check: unchecked,
                deps: parts,
            }),
        }
    }

    /// Returns the current life of a session, or `None` if there is no such session.
    pub fn life(&self, name: &SessionName) -> Option<Life> {
        self.find(name).map(|session| session.life())
    }

    pub fn find(&self, name: &SessionName) -> Option<Arc<Session>> {
        self.lock_sessions().get(name).cloned()
    }

    /// Lists all sessions, by name.
    pub fn all_sessions(&self) -> Vec<Arc<Session>> {
        self.lock_sessions().values().cloned().collect()
    }

    /// Starts or wakes the session, then waits until it is online, shows a QR code or has failed,
    /// but no longer than the timeout for WhatsApp. A session that is being removed is awaited and
    /// replaced by a new one.
    pub async fn register(
        &self,
        name: &SessionName,
    ) -> Result<(Arc<Session>, SessionState), SessionError> {
        let session = loop {
            let session = match self.find_or_add(name) {
                FoundSession::Added(session) => break session,
                FoundSession::Existing(session) => session,
            };
            let is_leaving = match self.acquire_turn(&session).await {
                Ok(_turn) => self.start_session(&session).await.map(|_| false)?,
                Err(SessionError::NotFound) => true,
                Err(error) => return Err(error),
            };
            if !is_leaving {
                break session;
            }
            self.wait_until_removed(&session).await?;
        };
        let state = session
            .wait_for_state(self.inner.deps.whatsapp_timeout, has_result)
            .await;
        Ok((session, state))
    }

    /// Returns the QR code to scan. If the last one has expired, requests new ones from WhatsApp
    /// first.
    pub async fn qr_code(&self, name: &SessionName) -> Option<QrCode> {
        let session = self.find(name)?;
        if !session.state().is_qr_expired() {
            return session.state().qr;
        }
        self.next_qr_code(&session, self.inner.deps.whatsapp_timeout)
            .await
    }

    /// Returns the QR code to scan, also waiting up to `limit` for the first one.
    pub async fn next_qr_code(&self, session: &Session, limit: Duration) -> Option<QrCode> {
        if session.state().is_qr_expired() {
            wake_session(session);
        }
        session.wait_for_state(limit, has_result).await.qr
    }

    /// Wakes a session that was logged out, so that it shows a QR code. Unlike a start, it leaves a
    /// stopped session stopped.
    pub fn wake_logged_out(&self, session: &Session) {
        if session.state().status == SessionPhase::LoggedOut {
            wake_session(session);
        }
    }

    fn find_or_add(&self, name: &SessionName) -> FoundSession {
        let mut sessions = self.lock_sessions();
        if let Some(session) = sessions.get(name) {
            return FoundSession::Existing(Arc::clone(session));
        }
        let session = self.add_session(&mut sessions, name, SavedSession::default());
        self.spawn_actor(Arc::clone(&session));
        FoundSession::Added(session)
    }

    /// Adds a session that does not exist yet.
    fn add_session(
        &self,
        sessions: &mut BTreeMap<SessionName, Arc<Session>>,
        name: &SessionName,
        ordered: SavedSession,
    ) -> Arc<Session> {
        let SavedSession {
            is_stopped,
            metadata,
            pacing,
            sync_progress: past,
            ..
        } = ordered;
        let desired_state = if is_stopped {
            DesiredState::Stop
        } else {
            DesiredState::Run
        };
        let event_buffer = Arc::clone(&self.inner.event_buffer);
        let parts = self.inner.deps.clone();
        // One of the same name may just have been removed.
        parts.proxies.forget(name.as_str());
        let life = parts.store.lives().ensure_life(name.as_str());
        let (session, channels) = Session::new(
            name.clone(),
            life,
            desired_state,
            metadata,
            event_buffer,
            Arc::clone(&parts.received),
            parts.clock.clone(),
        );
        session.init_sync_progress(past);
        session.set_pacing(pacing);
        let session = Arc::new(session);
        parts
            .lifecycle
            .spawn(self.clone().run_sender(Arc::clone(&session), channels));
        sessions.insert(name.clone(), Arc::clone(&session));
        session
    }

    /// Starts the session's task.
    fn spawn_actor(&self, session: Arc<Session>) {
        self.inner
            .deps
            .lifecycle
            .spawn(self.clone().run_session(session));
    }

    /// Sends a session's messages for as long as it lives. A sender that panicked is replaced by
    /// one that continues from the store.
    async fn run_sender(self, session: Arc<Session>, mut channels: SenderChannels) {
        let parts = &self.inner.deps;
        loop {
            let sender = MessageSender::new(
                Arc::clone(&session),
                parts.clone(),
                self.inner.outcome_writer.clone(),
            );
            // Boxed: the sender would be in this future twice, as it is made and as it runs.
            let running = Box::pin(sender.run(&mut channels));
            if parts.lifecycle.catch_panic(running).await.is_some() {
                return session.mark_sender_ended();
            }
            tracing::error!(session = %session.name, "restarting its sender");
            parts
                .lifecycle
                .unless_stopping(parts.clock.sleep(PANIC_PAUSE))
                .await;
        }
    }

    /// Runs a session for its whole existence. A panic must not end it: its task is started again.
    async fn run_session(self, session: Arc<Session>) {
        let SessionDeps {
            lifecycle, clock, ..
        } = &self.inner.deps;
        loop {
            let actor = SessionActor::new(
                Arc::clone(&session),
                self.inner.deps.clone(),
                self.inner.online.clone(),
            );
            // Boxed: in a debug build the frames of this future fill most of a thread's stack.
            if lifecycle.catch_panic(Box::pin(actor.run())).await.is_some() {
                break;
            }
            tracing::error!(session = %session.name, "restarting its task");
            session.set_link(None);
            session.set_status(
                SessionPhase::Offline,
                Some("an internal error of the gateway; it restarts in a moment".to_owned()),
            );
            lifecycle.unless_stopping(clock.sleep(PANIC_PAUSE)).await;
        }
        if session.desired_state() == DesiredState::Remove {
            let lives = self.inner.deps.store.lives();
            let remaining = lives.lives_of(session.name.as_str());
            // Before the name becomes free: the next session of this name begins another life.
            lives.end_life(session.name.as_str());
            let proxies = &self.inner.deps.proxies;
            proxies.end(session.name.as_str());
            self.lock_sessions().remove(&session.name);
            session.mark_ended();
            if session.removal_mode() == RemovalMode::Purge {
                session.wait_for_sender_end().await;
                self.purge_lives(remaining).await;
                session.mark_purged();
            }
            session.wait_for_sender_end().await;
            proxies.forget(session.name.as_str());
        }
        session.mark_ended();
    }

    /// Returns a description of the problem while sessions cannot save their keys.
    pub fn write_failure(&self) -> Option<String> {
        self.inner.deps.whatsapp.write_failure()
    }

    /// Starts the periodic checks of all connections. Only the first call has an effect.
    pub fn start_checks(&self, every: Duration) {
        let unchecked = self.inner.to_check.lock().take();
        if let Some(unchecked) = unchecked {
            self.inner
                .deps
                .lifecycle
                .spawn(self.clone().run_checks(every, unchecked));
        }
    }

    /// Saves the sessions' last events. To be called after all tasks of the program have ended, and
    /// before the store does.
    pub async fn save_rest(&self) {
        self.inner.event_buffer.save_rest().await;
    }

    fn lock_sessions(&self) -> parking_lot::MutexGuard<'_, BTreeMap<SessionName, Arc<Session>>> {
        self.inner.sessions.lock()
    }
}

/// Whether a caller that waits for the session has something to see.
fn has_result(state: &SessionState) -> bool {
    state.qr.is_some()
        || matches!(
            state.status,
            SessionPhase::Online
                | SessionPhase::Failed
                | SessionPhase::Stopped
                | SessionPhase::Passkey
        )
}

/// Wakes a session that rests, or ends its wait for the next attempt. The old status goes first, as
/// it would answer the waiting caller.
fn wake_session(session: &Session) {
    session.update_state(|state| {
        if state.is_resting() {
            state.set_status(SessionPhase::Starting, None, session.now());
        }
    });
    session.request_wake();
}
