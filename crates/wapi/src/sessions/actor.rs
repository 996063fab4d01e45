//! The task of a session: runs one link after another, and decides what happens in between.

mod leaving;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, watch};

use super::archive::{self, SessionArchive};
use super::pairing;
use super::reading;
use super::session::{Intent, NotingInbox};
use super::state::{End, Next, next};
use super::{Aside, Parts, Session, Status};
use crate::event::{EventData, LoggedOutSession, PairedSession};
use crate::identity::{self, Knowledge};
use crate::store::session_file::{SessionFile, inspect};
use crate::whatsapp::{Happening, Inbox, Link, Signal, Signals};

/// Longest time a login may take while a caller waits; one that takes longer will not succeed.
const LONGEST_LOGIN: SignedDuration = SignedDuration::from_secs(30);
/// Time without a login or a QR code after which the link is abandoned, whether or not a caller
/// waits.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// Time limits for opening a saved session and for writing to it. The disk may hang, and the engine
/// with it.
const OPENING: Duration = Duration::from_secs(60);
const WRITING: Duration = Duration::from_secs(10);

/// Keeps one session running until the program ends or the owner removes the session.
pub(super) struct Actor {
    session: Arc<Session>,
    around: Parts,
    /// Notified whenever the session comes online.
    checker: mpsc::UnboundedSender<Arc<Session>>,
    /// Consecutive links that ended before they came online.
    failures: u32,
}

impl Actor {
    pub fn new(
        session: Arc<Session>,
        around: Parts,
        checker: mpsc::UnboundedSender<Arc<Session>>,
    ) -> Self {
        Self {
            session,
            around,
            checker,
            failures: 0,
        }
    }

    /// Resolves the people of an event to ids that are already known. It registers nobody new,
    /// because that would make the session wait for the disk.
    async fn name_whom(&self, happening: &mut Happening) {
        let (store, session) = (&self.around.store, self.session.life());
        match identity::named(
            store,
            &session,
            &mut happening.data,
            &happening.chat,
            Knowledge::Old,
        )
        .await
        {
            Ok(chat) => happening.chat = chat,
            Err(error) => tracing::debug!(%error, "who somebody is cannot be looked up"),
        }
        self.around.names.hear(&session, &happening.data);
    }

    pub async fn run(mut self) {
        let mut intents = self.session.intents();
        loop {
            let intent = *intents.borrow_and_update();
            let then = match intent {
                Intent::Run => next(&self.one_link(&mut intents).await, self.failures),
                Intent::Stop => self.stopped().await,
                Intent::Remove => {
                    self.leave().await;
                    return self
                        .session
                        .move_to(Status::Stopped, Some("it was removed".to_owned()));
                }
            };
            if !self.rest(then, &mut intents).await {
                break;
            }
            self.failures = self.failures.saturating_add(1);
        }
        self.session
            .move_to(Status::Stopped, Some("the program is ending".to_owned()));
    }

    /// Waits until the session may continue. Returns `false` if it never will.
    async fn rest(&self, then: Next, intents: &mut watch::Receiver<Intent>) -> bool {
        let woken = async {
            tokio::select! {
                () = self.asked() => {}
                // The sender lives as long as the session, which this task holds.
                _ = intents.changed() => {}
            }
        };
        let woken = self.around.lifecycle.unless_stopping(woken);
        match then {
            Next::Never => return false,
            Next::WhenAsked => drop(woken.await),
            // A request to continue and the end of the pause have the same effect.
            Next::After(pause) => drop(self.around.clock.timeout(jittered(pause), woken).await),
        }
        !self.around.lifecycle.is_stopping()
    }

    /// Completes when a caller wants the session to continue. Such a caller ends the session's rest
    /// before notifying it. A health check that finds no connection does not, so it does not wake a
    /// device that was logged out.
    async fn asked(&self) {
        loop {
            self.session.asked.notified().await;
            if !self.session.state().is_resting() {
                return;
            }
        }
    }

    /// Opens the saved state, follows the link to its end, and cleans up.
    async fn one_link(&mut self, intents: &mut watch::Receiver<Intent>) -> End {
        let file = self.around.files.session(&self.session.name);
        let opened = self.around.clock.timeout(OPENING, self.open(&file)).await;
        let (link, signals) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(NotOpened::Unusable(reason))) => return self.failed(reason),
            Ok(Err(NotOpened::NotNow(reason))) => return self.not_now(reason),
            Err(timed_out) => {
                return self.not_now(format!("its file cannot be opened: {timed_out}"));
            }
        };
        let link = Arc::new(link);
        self.follow_life(&link);
        self.session.update(|state| state.account = link.account());
        self.session.set_link(Some(Arc::clone(&link)));
        link.start();
        let end = self.follow(&link, signals, intents).await;
        self.session.set_link(None);
        self.session
            .update(|state| state.unlink(self.around.clock.now()));
        pairing::hide(&self.session, &self.around.files).await;
        link.close().await;
        if end == End::LoggedOut {
            self.forget_device().await;
        }
        end
    }

    async fn open(&self, file: &Path) -> Result<(Link, Signals), NotOpened> {
        let now = self.around.clock.now();
        let paired = match inspect(file).await {
            SessionFile::Unusable(reason) => return Err(NotOpened::Unusable(reason)),
            SessionFile::Unreadable(reason) => return Err(NotOpened::NotNow(reason)),
            // Leftovers of a former device must not become part of the next one.
            SessionFile::Absent => match self
                .around
                .files
                .set_aside(&self.session.name, Aside::Removed, now)
                .await
            {
                Ok(()) => false,
                Err(error) => {
                    return Err(NotOpened::NotNow(format!(
                        "what is left of an earlier device stays: {error}"
                    )));
                }
            },
            SessionFile::NeverPaired => false,
            SessionFile::Paired => true,
        };
        self.session.update(|state| {
            state.paired = paired;
            state.move_to(
                if paired {
                    Status::Connecting
                } else {
                    Status::Starting
                },
                None,
                now,
            );
        });
        let inbox = NotingInbox {
            session: Arc::clone(&self.session),
            inbox: Arc::clone(&self.around.inbox),
        };
        let inbox: Arc<dyn Inbox> = Arc::new(inbox);
        let lifeline = self.around.store.lifeline(self.session.name.as_str());
        let archive = SessionArchive::of(&self.session, lifeline.clone(), &self.around);
        let notes = self.session.notes.clone();
        let opened = self
            .around
            .whatsapp
            .link(lifeline, file, inbox, notes, archive)
            .await;
        opened.map_err(|error| NotOpened::NotNow(format!("{error:#}")))
    }

    /// A linked device belongs to one account; from then on, everything known of the session
    /// belongs to that account's life.
    fn follow_life(&self, link: &Link) {
        if let Some(life) = link.life() {
            self.session.lives(life);
        }
    }

    /// Processes the link's events until the link ends.
    async fn follow(
        &mut self,
        link: &Link,
        mut signals: Signals,
        intents: &mut watch::Receiver<Intent>,
    ) -> End {
        // WhatsApp's last refusal explains an end that comes without a reason.
        let mut verdict = End::Unexplained;
        loop {
            let signal = tokio::select! {
                signal = signals.recv() => signal.unwrap_or(Signal::Ended),
                () = self.around.lifecycle.stopping() => return End::Stopped,
                _ = intents.changed() => return End::Told,
                () = self.session.asked.notified() => match self.is_stuck() {
                    true => return End::Impatient,
                    false => continue,
                },
                () = self.silence() => {
                    Signal::Stuck { reason: "WhatsApp took the connection and did not let us in".to_owned() }
                }
            };
            // It does not change the session, and there may be many of them.
            if let Signal::Happened(mut happening) = signal {
                self.name_whom(&mut happening).await;
                self.session.tell_of(*happening);
                continue;
            }
            if let Signal::ReadElsewhere { ids } = signal {
                let looking =
                    reading::read_elsewhere(Arc::clone(&self.session), self.around.clone(), ids);
                let stopping = self.around.lifecycle.clone();
                // The session does not wait for the history.
                self.around.lifecycle.spawn(async move {
                    stopping.unless_stopping(looking).await;
                });
                continue;
            }
            if matches!(signal, Signal::Paired) {
                self.keep_device(link).await;
            }
            let was_online = self.session.look(|state| state.status == Status::Online);
            self.note(link, &signal).await;
            match signal {
                Signal::Ended => return verdict,
                Signal::QrExpired => return End::Expired,
                Signal::LoggedOut { .. } => return End::LoggedOut,
                Signal::Replaced => return End::Replaced,
                Signal::Stuck { .. } => return End::Unexplained,
                Signal::Refused { wait, .. } => verdict = End::Refused { wait },
                Signal::LetIn | Signal::Online => {
                    verdict = End::Unexplained;
                    self.online(link, was_online);
                }
                other => self.take_in(other).await,
            }
        }
    }

    /// Applies the event to the session's state and emits session events for it.
    async fn note(&self, link: &Link, signal: &Signal) {
        let session = self.session.name.as_str().to_owned();
        match signal {
            // The file goes first, so that a reader of the new state no longer finds the code.
            Signal::QrExpired => pairing::hide(&self.session, &self.around.files).await,
            Signal::Paired => {
                self.follow_life(link);
                let account = link.account();
                self.session
                    .tell(EventData::SessionPaired(PairedSession { session, account }));
            }
            Signal::LoggedOut { reason } => {
                let (reason, account) = (reason.clone(), self.session.state().account);
                self.session
                    .tell(EventData::SessionLoggedOut(LoggedOutSession {
                        session,
                        reason,
                        account,
                    }));
            }
            Signal::Stuck { reason } => {
                tracing::warn!(session, reason, "the connection is given up")
            }
            _ => {}
        }
        let now = self.around.clock.now();
        self.session.update(|state| {
            if matches!(signal, Signal::Paired | Signal::LetIn | Signal::Online) {
                state.account = link.account();
                state.paired = true;
            }
            state.apply(signal, now);
        });
    }

    /// Whether a new link would be faster than this one. The engine waits up to a quarter of an
    /// hour between two attempts, and up to a minute for a server that accepts the connection and
    /// then stays silent.
    fn is_stuck(&self) -> bool {
        let state = self.session.state();
        let waited = self.around.clock.now().duration_since(state.since);
        match state.status {
            Status::Offline => true,
            Status::Starting | Status::Connecting => waited > LONGEST_LOGIN,
            _ => false,
        }
    }

    /// Completes when the session has been connecting for too long.
    async fn silence(&self) {
        let state = self.session.state();
        if !matches!(state.status, Status::Starting | Status::Connecting) {
            return std::future::pending().await;
        }
        let waited = self
            .around
            .clock
            .now()
            .duration_since(state.since)
            .try_into()
            .unwrap_or(Duration::ZERO);
        self.around
            .clock
            .sleep(LONGEST_SILENCE.saturating_sub(waited))
            .await;
    }

    /// Saves the new device before its pairing is announced.
    async fn keep_device(&self, link: &Link) {
        let name = &self.session.name;
        match self.around.clock.timeout(WRITING, link.save()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(session = %name, error = format!("{error:#}"), "the new device cannot be saved");
            }
            Err(error) => {
                tracing::error!(session = %name, %error, "the new device is not saved yet");
            }
        }
    }

    async fn take_in(&mut self, signal: Signal) {
        let name = &self.session.name;
        match signal {
            Signal::Qr { text, valid_for } => {
                let Parts {
                    files,
                    console,
                    clock,
                    ..
                } = &self.around;
                pairing::show(&self.session, &text, valid_for, files, console, clock).await;
            }
            Signal::Paired => {
                pairing::hide(&self.session, &self.around.files).await;
                tracing::info!(session = %name, "paired");
            }
            Signal::Unreachable { reason } | Signal::Offline { reason } => {
                tracing::warn!(session = %name, reason, "offline")
            }
            _ => {}
        }
    }

    /// `was_online`: the session was online before, and only its app state has been completed.
    fn online(&mut self, link: &Link, was_online: bool) {
        self.failures = 0;
        match self.session.is_shown() {
            true => link.look_there(),
            false => link.look_away(),
        }
        if was_online {
            return;
        }
        // After the program's end has begun, health checks no longer run.
        let _ = self.checker.send(Arc::clone(&self.session));
        tracing::info!(session = %self.session.name, "online");
    }

    /// The file is sound, so the obstacle (no file descriptors left, a full disk) may go away by
    /// itself.
    fn not_now(&self, reason: String) -> End {
        tracing::error!(session = %self.session.name, reason, "the session cannot be opened now; it is tried again");
        self.session.move_to(Status::Offline, Some(reason));
        End::Unexplained
    }

    fn failed(&self, reason: String) -> End {
        tracing::error!(session = %self.session.name, reason, "the session cannot be opened");
        self.session.move_to(Status::Failed, Some(reason));
        End::Failed
    }

    /// Stays offline until commanded otherwise. Still records whether the session is linked.
    async fn stopped(&mut self) -> Next {
        self.failures = 0;
        let file = self.around.files.session(&self.session.name);
        let found = self.around.clock.timeout(OPENING, inspect(&file)).await;
        let now = self.around.clock.now();
        self.session.update(|state| {
            match found {
                Ok(SessionFile::Paired) => state.paired = true,
                Ok(SessionFile::Absent | SessionFile::NeverPaired) => state.paired = false,
                _ => {}
            }
            state.move_to(Status::Stopped, Some(STOPPED_BY_HAND.to_owned()), now);
        });
        Next::WhenAsked
    }

    /// Moves the file of a logged-out device away. If the file cannot be moved, the next start of
    /// the session is logged out again.
    async fn forget_device(&self) {
        let Parts {
            files,
            store,
            clock,
            ..
        } = &self.around;
        let reason = self.session.state().reason;
        tracing::error!(session = %self.session.name, reason, "the device was logged out");
        if let Err(error) = files
            .set_aside(&self.session.name, Aside::LoggedOut, clock.now())
            .await
        {
            tracing::error!(session = %self.session.name, %error, "the file of a former device cannot be moved");
        }
        archive::start_over(&self.session, store).await;
        // No recipient asks a logged-out device for a retry.
        if let Err(error) = store
            .forget_payloads(&self.session.life(), Timestamp::MAX)
            .await
        {
            tracing::warn!(session = %self.session.name, %error, "what a former device sent cannot be forgotten");
        }
    }
}

/// The reason shown for a session that was stopped by its owner.
pub(super) const STOPPED_BY_HAND: &str = "somebody stopped it";

/// Reasons why a link could not be opened.
enum NotOpened {
    /// The file is broken, or is not one of ours.
    Unusable(String),
    /// The obstacle may go away.
    NotNow(String),
}

/// Spreads reconnects, so that sessions that fail together do not return together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.9 + 0.2 * rand::random::<f64>())
}
