//! The task of a session: runs one link after another, and decides what happens in between.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::{mpsc, watch};

use crate::inbound::identity::{self, ResolveMode};
use crate::model::event::{EventData, LoggedOutSession, PairedSession};
use crate::sessions::history_sync::import::SessionHistorySink;
use crate::sessions::history_sync::missing::watch_for_history;
use crate::sessions::qr_display;
use crate::sessions::read_elsewhere;
use crate::sessions::session::DesiredState;
use crate::sessions::state::{LinkEnd, NextAction, next_action};
use crate::sessions::{AsideReason, Session, SessionDeps, SessionPhase};
use crate::store::session_file::{SessionFile, inspect_file};
use crate::whatsapp::{ChatEvent, Link, LinkEvent, LinkEventReceiver};

/// Longest time a login may take while a caller waits; one that takes longer will not succeed.
const MAX_LOGIN_TIME: SignedDuration = SignedDuration::from_secs(30);
/// Time without a login or a QR code after which the link is abandoned, whether or not a caller
/// waits.
const MAX_CONNECTING_TIME: Duration = Duration::from_secs(60);
/// Time limits for opening a saved session and for writing to it. The disk may hang, and the engine
/// with it.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);

/// Keeps one session running until the program ends or the owner removes the session.
pub(in crate::sessions) struct SessionActor {
    pub(super) session: Arc<Session>,
    pub(super) deps: SessionDeps,
    /// Notified whenever the session comes online.
    checker: mpsc::UnboundedSender<Arc<Session>>,
    /// Consecutive links that ended before they came online.
    failures: u32,
}

impl SessionActor {
    pub fn new(
        session: Arc<Session>,
        deps: SessionDeps,
        checker: mpsc::UnboundedSender<Arc<Session>>,
    ) -> Self {
        Self {
            session,
            deps,
            checker,
            failures: 0,
        }
    }

    /// Resolves the people of an event to ids that are already known. It registers nobody new,
    /// because that would make the session wait for the disk.
    async fn resolve_people(&self, event: &mut ChatEvent) {
        let (store, session) = (&self.deps.store, self.session.life());
        match identity::resolve_event(
            store,
            &session,
            &mut event.data,
            &event.chat,
            ResolveMode::Lookup,
        )
        .await
        {
            Ok(chat) => event.chat = chat,
            Err(error) => tracing::debug!(%error, "failed to look up the identity of a person"),
        }
        self.deps.names.record_saved_name(&session, &event.data);
    }

    pub async fn run(mut self) {
        let mut desired_states = self.session.watch_desired_state();
        loop {
            let desired = *desired_states.borrow_and_update();
            let then = match desired {
                DesiredState::Run => {
                    next_action(&self.run_link(&mut desired_states).await, self.failures)
                }
                DesiredState::Stop => self.stay_stopped().await,
                DesiredState::Remove => {
                    self.remove_session().await;
                    return self
                        .session
                        .set_status(SessionPhase::Stopped, Some("it was removed".to_owned()));
                }
            };
            if !self.wait_for_next(then, &mut desired_states).await {
                break;
            }
            self.failures = self.failures.saturating_add(1);
        }
        self.session.set_status(
            SessionPhase::Stopped,
            Some("the program is ending".to_owned()),
        );
    }

    /// Waits until the session may continue. Returns `false` if it never will.
    async fn wait_for_next(
        &self,
        then: NextAction,
        desired_states: &mut watch::Receiver<DesiredState>,
    ) -> bool {
        let woken = async {
            tokio::select! {
                () = self.wait_for_wake() => {}
                // The sender lives as long as the session, which this task holds.
                _ = desired_states.changed() => {}
            }
        };
        let woken = self.deps.lifecycle.unless_stopping(woken);
        match then {
            NextAction::Never => return false,
            NextAction::OnRequest => drop(woken.await),
            // A request to continue and the end of the pause have the same effect.
            NextAction::After(pause) => {
                drop(self.deps.clock.timeout(add_jitter(pause), woken).await)
            }
        }
        !self.deps.lifecycle.is_stopping()
    }

    /// Completes when a caller wants the session to continue. Such a caller ends the session's rest
    /// before notifying it. A health check that finds no connection does not, so it does not wake a
    /// device that was logged out.
    async fn wait_for_wake(&self) {
        loop {
            self.session.wake.notified().await;
            if !self.session.state().is_resting() {
                return;
            }
        }
    }

    /// Opens the saved state, follows the link to its end, and cleans up.
    async fn run_link(&mut self, desired_states: &mut watch::Receiver<DesiredState>) -> LinkEnd {
        let file = self.deps.files.session_path(&self.session.name);
        if let Err(reason) = self.convert_database(&file).await {
            return self.retry_later(reason);
        }
        let opened = self
            .deps
            .clock
            .timeout(OPEN_TIMEOUT, self.open_link(&file))
            .await;
        let (link, signals) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(OpenLinkError::Unusable(reason))) => return self.mark_failed(reason),
            Ok(Err(OpenLinkError::Transient(reason))) => return self.retry_later(reason),
            Err(timed_out) => {
                return self.retry_later(format!("its file cannot be opened: {timed_out}"));
            }
        };
        // A command that came meanwhile concerns this link already; its proxy may be another.
        if desired_states.has_changed().unwrap_or(true) {
            link.close().await;
            return LinkEnd::DesiredStateChanged;
        }
        let link = Arc::new(link);
        self.update_life(&link);
        self.session
            .update_state(|state| state.account = link.account());
        self.session.set_link(Some(Arc::clone(&link)));
        link.start();
        let end = self.follow_link(&link, signals, desired_states).await;
        self.session.set_link(None);
        self.session
            .update_state(|state| state.clear_link(self.deps.clock.now()));
        qr_display::withdraw_qr_code(&self.session, &self.deps.files).await;
        link.close().await;
        if end == LinkEnd::LoggedOut {
            self.forget_device().await;
        }
        end
    }

    pub(super) async fn open_link(
        &self,
        file: &Path,
    ) -> Result<(Link, LinkEventReceiver), OpenLinkError> {
        let now = self.deps.clock.now();
        let paired = match inspect_file(file, self.deps.store.sealer()).await {
            SessionFile::Unusable(reason) => return Err(OpenLinkError::Unusable(reason)),
            SessionFile::Unreadable(reason) => return Err(OpenLinkError::Transient(reason)),
            // Leftovers of a former device must not become part of the next one.
            SessionFile::Absent => match self
                .deps
                .files
                .move_aside(&self.session.name, AsideReason::Removed, now)
                .await
            {
                Ok(()) => false,
                Err(error) => {
                    return Err(OpenLinkError::Transient(format!(
                        "the files of an earlier device cannot be removed: {error}"
                    )));
                }
            },
            SessionFile::NeverPaired => false,
            SessionFile::Paired => true,
        };
        self.save_linked(paired).await;
        self.session.update_state(|state| {
            state.paired = paired;
            state.set_status(
                if paired {
                    SessionPhase::Connecting
                } else {
                    SessionPhase::Starting
                },
                None,
                now,
            );
        });
        let inbox = Arc::clone(&self.deps.inbox);
        let lifeline = self.deps.store.device_life(self.session.name.as_str());
        let archive = SessionHistorySink::for_session(&self.session, lifeline.clone(), &self.deps);
        let receipts = self.session.receipts.clone();
        let whatsapp = &self.deps.whatsapp;
        let opened = whatsapp.open_link(lifeline, file, inbox, receipts, archive);
        opened
            .await
            .map_err(|error| OpenLinkError::Transient(format!("{error:#}")))
    }

    /// A linked device belongs to one account; from then on, everything known of the session
    /// belongs to that account's life.
    fn update_life(&self, link: &Link) {
        if let Some(life) = link.life() {
            self.session.set_life(life);
        }
    }

    /// Processes the link's events until the link ends.
    async fn follow_link(
        &mut self,
        link: &Link,
        mut signals: LinkEventReceiver,
        desired_states: &mut watch::Receiver<DesiredState>,
    ) -> LinkEnd {
        // WhatsApp's last refusal explains an end that comes without a reason.
        let mut end = LinkEnd::Unexplained;
        loop {
            let signal = tokio::select! {
                signal = signals.recv() => signal.unwrap_or(LinkEvent::Ended),
                () = self.deps.lifecycle.await_stop() => return LinkEnd::Stopped,
                _ = desired_states.changed() => return LinkEnd::DesiredStateChanged,
                () = self.session.wake.notified() => match self.is_stuck() {
                    true => return LinkEnd::ReconnectRequested,
                    false => continue,
                },
                () = self.wait_until_stalled() => {
                    LinkEvent::Stuck { reason: "WhatsApp accepted the connection but not the login".to_owned() }
                }
                () = self.wait_until_code_expires(link) => LinkEvent::QrExpired,
            };
            // It does not change the session, and there may be many of them.
            if let LinkEvent::Chat(mut event) = signal {
                self.resolve_people(&mut event).await;
                self.session.emit_chat_event(*event);
                continue;
            }
            if let LinkEvent::Limits(told) = signal {
                self.session.update_limits(*told);
                continue;
            }
            if let LinkEvent::ReadElsewhere { ids } = signal {
                let looking = read_elsewhere::emit_read_elsewhere(
                    Arc::clone(&self.session),
                    self.deps.clone(),
                    ids,
                );
                let stopping = self.deps.lifecycle.clone();
                // The session does not wait for the history.
                self.deps.lifecycle.spawn(async move {
                    stopping.unless_stopping(looking).await;
                });
                continue;
            }
            let was_online = self
                .session
                .read_state(|state| state.status == SessionPhase::Online);
            if matches!(signal, LinkEvent::Paired) {
                self.save_device(link).await;
                self.save_linked(true).await;
                self.end_connect_links();
            } else if matches!(signal, LinkEvent::LoggedIn | LinkEvent::Online) && !was_online {
                // The program may have ended before the pairing had ended them.
                self.end_connect_links();
            }
            self.apply_event(link, &signal).await;
            match signal {
                LinkEvent::Ended => return end,
                LinkEvent::QrExpired => return LinkEnd::Expired,
                LinkEvent::PasskeyFailed { .. } if self.session.state().paired => {}
                LinkEvent::PasskeyFailed { .. } => return LinkEnd::Expired,
                LinkEvent::LoggedOut { .. } => return LinkEnd::LoggedOut,
                LinkEvent::Replaced => return LinkEnd::Replaced,
                LinkEvent::Stuck { .. } => return LinkEnd::Unexplained,
                LinkEvent::Refused { wait, .. } => end = LinkEnd::Refused { wait },
                LinkEvent::LoggedIn | LinkEvent::Online => {
                    end = LinkEnd::Unexplained;
                    self.handle_online(link, was_online);
                }
                other => self.handle_event(other).await,
            }
        }
    }

    /// Applies the event to the session's state and emits session events for it.
    async fn apply_event(&self, link: &Link, signal: &LinkEvent) {
        let session = self.session.name.as_str().to_owned();
        match signal {
            // The file goes first, so that a reader of the new state no longer finds the code.
            LinkEvent::QrExpired | LinkEvent::QrSpent | LinkEvent::PasskeyRequested { .. } => {
                qr_display::withdraw_qr_code(&self.session, &self.deps.files).await
            }
            LinkEvent::Paired => {
                self.update_life(link);
                let account = link.account();
                self.session
                    .emit_event(EventData::SessionPaired(PairedSession { session, account }));
            }
            LinkEvent::LoggedOut { reason } => {
                let (reason, account) = (reason.clone(), self.session.state().account);
                self.session
                    .emit_event(EventData::SessionLoggedOut(LoggedOutSession {
                        session,
                        reason,
                        account,
                    }));
            }
            LinkEvent::Stuck { reason } => {
                tracing::warn!(session, reason, "giving up the connection")
            }
            _ => {}
        }
        let now = self.deps.clock.now();
        self.session.update_state(|state| {
            if matches!(
                signal,
                LinkEvent::Paired | LinkEvent::LoggedIn | LinkEvent::Online
            ) {
                state.account = link.account();
                state.paired = true;
            }
            state.apply_event(signal, now);
        });
    }

    /// Whether a new link would be faster than this one. The engine waits up to a quarter of an
    /// hour between two attempts, and up to a minute for a server that accepts the connection and
    /// then stays silent.
    fn is_stuck(&self) -> bool {
        let state = self.session.state();
        let waited = self.deps.clock.now().duration_since(state.since);
        match state.status {
            SessionPhase::Offline => true,
            SessionPhase::Starting | SessionPhase::Connecting => waited > MAX_LOGIN_TIME,
            _ => false,
        }
    }

    /// Completes when the session has been connecting for too long.
    async fn wait_until_stalled(&self) {
        let state = self.session.state();
        if !matches!(
            state.status,
            SessionPhase::Starting | SessionPhase::Connecting
        ) {
            return std::future::pending().await;
        }
        let waited = self
            .deps
            .clock
            .now()
            .duration_since(state.since)
            .try_into()
            .unwrap_or(Duration::ZERO);
        self.deps
            .clock
            .sleep(MAX_CONNECTING_TIME.saturating_sub(waited))
            .await;
    }

    async fn handle_event(&mut self, signal: LinkEvent) {
        let name = &self.session.name;
        match signal {
            LinkEvent::Qr {
                text,
                valid_for,
                number,
            } => {
                let SessionDeps {
                    files,
                    console,
                    clock,
                    ..
                } = &self.deps;
                qr_display::publish_qr_code(
                    &self.session,
                    &text,
                    (valid_for, number),
                    files,
                    console,
                    clock,
                )
                .await;
            }
            LinkEvent::Paired => {
                qr_display::withdraw_qr_code(&self.session, &self.deps.files).await;
                tracing::info!(session = %name, "paired");
            }
            LinkEvent::Unreachable { reason } | LinkEvent::Offline { reason } => {
                tracing::warn!(session = %name, reason, "offline")
            }
            _ => {}
        }
    }

    /// `was_online`: the session was online before, and only its app state has been completed.
    fn handle_online(&mut self, link: &Link, was_online: bool) {
        self.failures = 0;
        match self.session.is_available() {
            true => link.show_available(),
            false => link.show_unavailable(),
        }
        if was_online {
            return;
        }
        // After the program's end has begun, health checks no longer run.
        let _ = self.checker.send(Arc::clone(&self.session));
        let watching = watch_for_history(Arc::clone(&self.session), self.deps.clone());
        let stopping = self.deps.lifecycle.clone();
        self.deps.lifecycle.spawn(async move {
            stopping.unless_stopping(watching).await;
        });
        tracing::info!(session = %self.session.name, "online");
    }

    /// The file is sound, so the obstacle (no file descriptors left, a full disk) may go away by
    /// itself.
    fn retry_later(&self, reason: String) -> LinkEnd {
        tracing::error!(session = %self.session.name, reason, "failed to open the session; trying again");
        self.session.set_status(SessionPhase::Offline, Some(reason));
        LinkEnd::Unexplained
    }

    fn mark_failed(&self, reason: String) -> LinkEnd {
        tracing::error!(session = %self.session.name, reason, "failed to open the session");
        self.session.set_status(SessionPhase::Failed, Some(reason));
        LinkEnd::Failed
    }

    /// Stays offline until commanded otherwise. Still records whether the session is linked.
    async fn stay_stopped(&mut self) -> NextAction {
        self.failures = 0;
        let file = self.deps.files.session_path(&self.session.name);
        let found = self
            .deps
            .clock
            .timeout(OPEN_TIMEOUT, inspect_file(&file, self.deps.store.sealer()))
            .await;
        let now = self.deps.clock.now();
        self.session.update_state(|state| {
            match found {
                Ok(SessionFile::Paired) => state.paired = true,
                Ok(SessionFile::Absent | SessionFile::NeverPaired) => state.paired = false,
                _ => {}
            }
            state.set_status(
                SessionPhase::Stopped,
                Some(STOPPED_BY_OWNER.to_owned()),
                now,
            );
        });
        NextAction::OnRequest
    }
}

/// The reason shown for a session that was stopped by its owner.
pub(in crate::sessions) const STOPPED_BY_OWNER: &str = "it was stopped by a request";

/// Reasons why a link could not be opened.
pub(super) enum OpenLinkError {
    /// The file is broken, or is not one of ours.
    Unusable(String),
    /// The obstacle may go away.
    Transient(String),
}

/// Spreads reconnects, so that sessions that fail together do not return together.
fn add_jitter(pause: Duration) -> Duration {
    pause.mul_f64(0.9 + 0.2 * rand::random::<f64>())
}
