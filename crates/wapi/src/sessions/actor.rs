//! The task behind each session: one link after the other, and what to do between them.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::pairing::{self, Console};
use super::session::NotingInbox;
use super::state::{End, Next, next};
use super::{Files, Session, Status};
use crate::clock::Clock;
use crate::lifecycle::Lifecycle;
use crate::store::session_file::{SessionFile, inspect};
use crate::whatsapp::{Inbox, Link, Signal, Signals, Whatsapp};

/// After this many connections in a row that WhatsApp took but never let in, its key is learnt anew.
const STRANGE_GREETINGS: u32 = 4;

/// A login that takes longer is not going to succeed.
const LONGEST_LOGIN: SignedDuration = SignedDuration::from_secs(30);

/// What sessions work with; the same for all of them.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub whatsapp: Whatsapp,
    pub files: Files,
    pub inbox: Arc<dyn Inbox>,
    pub console: Console,
    pub clock: Clock,
    pub lifecycle: Lifecycle,
}

/// Keeps one session going until the program ends.
pub(super) struct Actor {
    session: Arc<Session>,
    around: Surroundings,
    /// Dials in a row that were answered but led nowhere.
    greetings: u32,
    /// Links in a row that ended before they were online.
    failures: u32,
}

impl Actor {
    pub fn new(session: Arc<Session>, around: Surroundings) -> Self {
        Self { session, around, greetings: 0, failures: 0 }
    }

    pub async fn run(mut self) {
        loop {
            let end = self.one_link().await;
            let asked = self.session.asked.notified();
            let asked_or_stopping = async {
                self.around.lifecycle.unless_stopping(asked).await;
            };
            match next(&end, self.failures) {
                Next::Never => break,
                Next::WhenAsked => asked_or_stopping.await,
                // Whether it was asked or waited long enough comes to the same.
                Next::After(pause) => drop(self.around.clock.timeout(jittered(pause), asked_or_stopping).await),
            }
            if self.around.lifecycle.is_stopping() {
                break;
            }
            self.failures = self.failures.saturating_add(1);
        }
        self.session.move_to(Status::Stopped, None);
    }

    /// Opens the saved state, follows the link to its end, and leaves everything tidy.
    async fn one_link(&mut self) -> End {
        let file = self.around.files.session(&self.session.name);
        let paired = match inspect(&file).await {
            SessionFile::Unusable(reason) => return self.failed(reason),
            SessionFile::Absent | SessionFile::NeverPaired => false,
            SessionFile::Paired => true,
        };
        self.session.update(|state| state.paired = paired);
        self.session.move_to(if paired { Status::Connecting } else { Status::Starting }, None);
        let inbox = Arc::new(NotingInbox { session: Arc::clone(&self.session), inbox: Arc::clone(&self.around.inbox) });
        let (link, signals) = match self.around.whatsapp.link(self.session.name.as_str(), &file, inbox).await {
            Ok(opened) => opened,
            Err(error) => return self.not_now(format!("{error:#}")),
        };
        let link = Arc::new(link);
        self.session.update(|state| state.account = link.account());
        self.session.set_link(Some(Arc::clone(&link)));
        link.start();
        let end = self.follow(&link, signals).await;
        self.session.set_link(None);
        self.session.update(|state| state.unlink(self.around.clock.now()));
        pairing::hide(&self.session, &self.around.files).await;
        link.close().await;
        if end == End::LoggedOut {
            self.set_aside().await;
        }
        end
    }

    /// Takes in what the link reports until it is over.
    async fn follow(&mut self, link: &Link, mut signals: Signals) -> End {
        // What WhatsApp last said against us explains an end that comes without a word.
        let mut verdict = End::Unexplained;
        loop {
            let signal = tokio::select! {
                signal = signals.recv() => signal.unwrap_or(Signal::Ended),
                () = self.around.lifecycle.stopping() => return End::Stopped,
                () = self.session.asked.notified() => match self.is_stuck() {
                    true => return End::Impatient,
                    false => continue,
                },
            };
            if signal == Signal::QrExpired {
                // First the file, so that whoever reads that the code is gone finds it gone.
                pairing::hide(&self.session, &self.around.files).await;
            }
            self.session.update(|state| state.apply(&signal, self.around.clock.now()));
            match signal {
                Signal::Ended => return verdict,
                Signal::QrExpired => return End::Expired,
                Signal::LoggedOut { .. } => return End::LoggedOut,
                Signal::Replaced => return End::Replaced,
                Signal::Refused { wait, .. } => verdict = End::Refused { wait },
                Signal::Online => {
                    verdict = End::Unexplained;
                    self.online(link);
                }
                other => self.take_in(link, other).await,
            }
        }
    }

    /// Whether a new link would be quicker than this one: the engine waits up to a quarter of an hour between two tries, and up to
    /// a minute for a server that takes the connection and says nothing.
    fn is_stuck(&self) -> bool {
        let state = self.session.state();
        let waited = self.around.clock.now().duration_since(state.since);
        match state.status {
            Status::Offline => true,
            Status::Connecting => waited > LONGEST_LOGIN,
            _ => false,
        }
    }

    async fn take_in(&mut self, link: &Link, signal: Signal) {
        let name = &self.session.name;
        match signal {
            Signal::Qr { text, valid_for } => {
                self.greetings = 0;
                let Surroundings { files, console, clock, .. } = &self.around;
                pairing::show(&self.session, &text, valid_for, files, console, clock).await;
            }
            Signal::Paired => {
                pairing::hide(&self.session, &self.around.files).await;
                if let Err(error) = link.save().await {
                    tracing::error!(session = %name, error = format!("{error:#}"), "the new device cannot be saved");
                }
                tracing::info!(session = %name, "paired");
            }
            Signal::Dialling => {
                self.greetings += 1;
                if self.greetings > STRANGE_GREETINGS {
                    self.greetings = 0;
                    link.forget_server_key().await;
                }
            }
            Signal::Unreachable { reason } => {
                self.greetings = self.greetings.saturating_sub(1);
                tracing::warn!(session = %name, reason, "offline");
            }
            Signal::Offline { reason } => tracing::warn!(session = %name, reason, "offline"),
            _ => {}
        }
    }

    fn online(&mut self, link: &Link) {
        (self.greetings, self.failures) = (0, 0);
        link.look_away();
        self.session.update(|state| {
            state.account = link.account();
            state.paired = true;
        });
        tracing::info!(session = %self.session.name, "online");
    }

    /// The file is sound, so what is in the way (no file descriptors left, a full disk) may pass by itself.
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

    async fn set_aside(&self) {
        let reason = self.session.state().reason;
        tracing::error!(session = %self.session.name, reason, "the device was logged out");
        if let Err(error) = self.around.files.set_aside(&self.session.name, self.around.clock.now()).await {
            tracing::error!(session = %self.session.name, %error, "the file of a logged-out device cannot be moved");
        }
    }
}

/// Many sessions that fail together should not come back together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.9 + 0.2 * rand::random::<f64>())
}
